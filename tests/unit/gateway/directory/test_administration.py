"""What a registrar's signed request does, and that nobody else's does anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cimfed.errors import CimfedError
from cimfed.model.admission import Join
from cimfed.model.instants import instant_text
from cimfed.rpc.authorisation import ADMINISTER, JOIN
from cimfed.trust.admin import AdminRequest, seal_admin
from cimfed.trust.card import parse_card
from cimfed.trust.directory import layout
from cimfed.trust.directory.publication import Holders
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.invitation import Invitation
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.entries import Admission
from cimfed.wire import admissions as wire
from cimfed_gateway.directory import administration
from cimfed_gateway.directory.administration import ACTIONS
from tests.unit.cimfed.parties import CITY, PARTNER, Party
from tests.unit.gateway.directory.alliance import DAY, START, Alliance, card_of, refusal

NAME = "uz.tashkent"
ID, KEY = "ab" * 32, "cd" * 32


def arguments(alliance: Alliance, **change: Any) -> dict[str, Any]:
    return {
        "id": ID, "key": KEY, "name": NAME, "expires": instant_text(alliance.now + DAY), "new_keys": False, **change,
    }  # fmt: skip


def hand_in(alliance: Alliance, invitation: Invitation, card: bytes) -> None:
    key = invitation.key
    alliance.serving.calls()[JOIN](wire.encode_join(Join(key.id, card, key.join_code(invitation.name, card))))


@pytest.fixture
def waiting(alliance: Alliance) -> tuple[str, str]:
    """Id and fingerprint of a request that waits."""
    invitation, card = alliance.invite(NAME), card_of(Party.make(NAME, START))
    hand_in(alliance, invitation, card)
    return invitation.key.id.hex(), parse_card(card).fingerprint


SAMPLES: dict[str, dict[str, Any]] = {
    "invite": {"id": ID, "key": KEY, "name": NAME, "expires": instant_text(START + DAY), "new_keys": False},
    "withdraw": {"id": ID},
    "requests": {},
    "approve": {"id": ID, "fingerprint": "0"},
    "deny": {"id": ID, "message": ""},
    "access_requests": {"city": ""},
    "explain": {"step": "suspended", "name": CITY, "reason": "an inquiry"},
}


def test_there_is_a_sample_of_every_action() -> None:
    assert SAMPLES.keys() == ACTIONS.keys()


@pytest.mark.parametrize("action", SAMPLES)
def test_nobody_but_a_registrar_administers(alliance: Alliance, action: str) -> None:
    others = [KeySigner.generate(), alliance.online, alliance.revoker, *alliance.board, alliance.service_party.signer]
    for party in alliance.parties.values():
        others += [party.signer, party.steward]
    for signer in others:
        assert refusal(alliance.administer, action, signer, **SAMPLES[action]) == "bad_signature"
    assert alliance.entries()[-1].type == "publication"


@pytest.mark.parametrize("action", SAMPLES)
def test_an_action_has_exactly_its_arguments(alliance: Alliance, action: str) -> None:
    given = SAMPLES[action]
    assert refusal(alliance.administer, action, **given, more="x") == "bad_query"
    for name, value in given.items():
        without = {key: item for key, item in given.items() if key != name}
        assert refusal(alliance.administer, action, **without) == "bad_query"
        other = "x" if isinstance(value, bool) else True
        assert refusal(alliance.administer, action, **{**given, name: other}) == "bad_query"


def test_there_are_no_other_actions(alliance: Alliance) -> None:
    for action in ("list", "suspend", "revoke", "publish"):
        assert refusal(alliance.administer, action) == "bad_query"


def test_a_request_is_taken_once(alliance: Alliance) -> None:
    envelope = seal_admin(alliance.order("requests"), alliance.registrar)
    alliance.deliver(envelope)
    assert refusal(alliance.deliver, envelope) == "replayed"
    alliance.administer("requests")  # the same with a nonce of its own


def test_a_request_that_was_refused_may_come_again(alliance: Alliance) -> None:
    envelope = seal_admin(alliance.order("withdraw", id=ID), alliance.registrar)
    for _ in range(2):
        assert refusal(alliance.deliver, envelope) == "not_found"


def test_a_nonce_is_kept_for_as_long_as_its_request_is_taken(alliance: Alliance) -> None:
    envelope = seal_admin(alliance.order("requests"), alliance.registrar)
    alliance.deliver(envelope)
    alliance.now += 629 * 1_000_000
    alliance.administer("requests")
    assert refusal(alliance.deliver, envelope) == "replayed"
    alliance.now += 1_000_000
    assert refusal(alliance.deliver, envelope) == "expired_query"


def test_a_request_to_another_service_or_federation_is_not_heard(alliance: Alliance) -> None:
    order = alliance.order("requests")
    for change in ({"service": "dir.other"}, {"federation": "other"}):
        elsewhere = AdminRequest(replace(order.occasion, **change), order.action, {})
        assert refusal(alliance.deliver, seal_admin(elsewhere, alliance.registrar)) == "not_addressed"


def test_what_is_no_envelope_of_an_administrator_is_not_heard(alliance: Alliance) -> None:
    payload = seal_admin(alliance.order("requests"), alliance.registrar).payload
    for kind in (PayloadType.CARD, PayloadType.QUERY, PayloadType.ACCESS_REQUEST):
        assert refusal(alliance.deliver, seal(kind, payload, alliance.registrar)) == "bad_signature"
    assert refusal(alliance.deliver, Envelope("", b"", ())) == "bad_signature"
    assert refusal(alliance.serving.calls()[ADMINISTER], b"\xff") == "bad_query"


def test_any_registrar_key_administers_and_one_that_was_revoked_does_not(tmp_path: Path) -> None:
    second = KeySigner.generate()
    alliance = Alliance(tmp_path)
    alliance.registrars = Holders((alliance.registrar.public, second.public))
    alliance.begin()
    for signer in (alliance.registrar, second):
        alliance.administer("requests", signer)
    alliance.revoke(second.public.id.hex())
    assert refusal(alliance.administer, "requests", second) == "bad_signature"
    alliance.administer("requests", alliance.registrar)


def test_a_registrar_whom_the_board_has_replaced_administers_no_more(alliance: Alliance) -> None:
    old, alliance.registrar = alliance.registrar, KeySigner.generate()
    alliance.registrars = Holders((alliance.registrar.public,))
    alliance.versions[layout.TARGETS] += 1
    alliance.versions[layout.REGISTRAR] += 1
    alliance.send({**alliance.targets(), **alliance.registrar_files()})
    assert refusal(alliance.administer, "requests", old) == "bad_signature"
    alliance.administer("requests")


def test_when_the_boards_word_has_ended_nobody_administers(alliance: Alliance) -> None:
    alliance.now += 367 * DAY
    assert refusal(alliance.administer, "requests") == "directory_expired"


def test_the_registrar_administers_when_its_own_word_has_ended(alliance: Alliance) -> None:
    alliance.now += 91 * DAY
    alliance.administer("requests")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "uz"}, "bad_query"),
        ({"name": "dir.other"}, "bad_query"),
        ({"name": CITY}, "conflict"),
        ({"new_keys": True}, "not_found"),
        ({"expires": "soon"}, "bad_query"),
        ({"expires": instant_text(START)}, "bad_query"),
        ({"expires": instant_text(START + 31 * DAY)}, "bad_query"),
        ({"id": "AB" * 32}, "bad_query"),
        ({"key": "ab"}, "bad_query"),
    ],
)
def test_what_cannot_be_invited_is_not(alliance: Alliance, change: dict[str, Any], reason: str) -> None:
    assert refusal(alliance.administer, "invite", **arguments(alliance, **change)) == reason
    assert alliance.administer("requests").invitations == ()


def test_a_suspended_or_revoked_name_is_still_taken(alliance: Alliance) -> None:
    alliance.revoke(CITY)
    assert refusal(alliance.invite, CITY) == "conflict"


def test_a_name_is_invited_once_at_a_time(alliance: Alliance) -> None:
    first = alliance.invite(NAME, days=1)
    assert refusal(alliance.invite, NAME) == "conflict"
    alliance.administer("withdraw", id=first.key.id.hex())
    second = alliance.invite(NAME, days=1)
    hand_in(alliance, second, card_of(Party.make(NAME, START)))
    assert refusal(alliance.invite, NAME) == "conflict"
    alliance.administer("deny", id=second.key.id.hex(), message="")
    alliance.invite(NAME, days=1)
    alliance.now += 2 * DAY
    alliance.invite(NAME)


def test_an_id_is_used_once_for_ever(alliance: Alliance) -> None:
    alliance.administer("invite", **arguments(alliance))
    alliance.administer("withdraw", id=ID)
    assert refusal(alliance.administer, "invite", **arguments(alliance)) == "conflict"


def test_only_so_many_invitations_are_open(alliance: Alliance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(administration, "INVITATIONS", 1)
    alliance.invite(NAME)
    assert refusal(alliance.invite, "uz.samarkand") == "overloaded"


def test_a_withdrawn_invitation_takes_nobody(alliance: Alliance) -> None:
    invitation = alliance.invite(NAME)
    alliance.administer("withdraw", id=invitation.key.id.hex())
    with pytest.raises(CimfedError, match="was withdrawn"):
        hand_in(alliance, invitation, card_of(Party.make(NAME, START)))
    alliance.administer("withdraw", id=invitation.key.id.hex())  # once more changes nothing
    assert [entry.step for entry in alliance.entries() if isinstance(entry, Admission)] == ["invited", "withdrawn"]


def test_what_was_used_is_denied_not_withdrawn(alliance: Alliance, waiting: tuple[str, str]) -> None:
    assert refusal(alliance.administer, "withdraw", id=waiting[0]) == "conflict"


def test_approval_is_of_a_fingerprint(alliance: Alliance, waiting: tuple[str, str]) -> None:
    id_, fingerprint = waiting
    other = parse_card(card_of(Party.make(NAME, START))).fingerprint
    for wrong in ("", other, fingerprint.upper() if fingerprint.upper() != fingerprint else other):
        assert refusal(alliance.administer, "approve", id=id_, fingerprint=wrong) == "conflict"
    (entry,) = alliance.administer("approve", id=id_, fingerprint=fingerprint).requests
    assert entry.state == "approved"
    alliance.administer("approve", id=id_, fingerprint=fingerprint)
    steps = [entry.step for entry in alliance.entries() if isinstance(entry, Admission)]
    assert steps == ["invited", "requested", "approved"]


def test_what_was_denied_stays_denied(alliance: Alliance, waiting: tuple[str, str]) -> None:
    id_, fingerprint = waiting
    alliance.administer("deny", id=id_, message="we do not know you")
    assert refusal(alliance.administer, "approve", id=id_, fingerprint=fingerprint) == "conflict"
    assert refusal(alliance.administer, "deny", id=id_, message="") == "conflict"
    last = alliance.entries()[-1]
    assert isinstance(last, Admission)
    assert (last.step, last.reason) == ("denied", "we do not know you")


@pytest.mark.parametrize("message", ["x" * 201, "two\nlines", "\x1b[31m"])
def test_a_denial_says_one_short_line(alliance: Alliance, waiting: tuple[str, str], message: str) -> None:
    assert refusal(alliance.administer, "deny", id=waiting[0], message=message) == "bad_query"


def test_a_steward_reads_what_is_asked_of_its_own_city_alone(alliance: Alliance) -> None:
    other = Party.make(NAME, START)
    alliance.publish(alliance.listed(other.card()))
    alliance.ask_access(alliance.wish(cities=(CITY,)))
    alliance.ask_access(alliance.wish(cities=(NAME,)))
    alliance.ask_access(alliance.wish(cities=(CITY, NAME)))
    steward = alliance.parties[CITY].steward
    assert len(alliance.administer("access_requests", steward, city=CITY).access_requests) == 2
    for city in (NAME, "", "kz", "%", PARTNER):
        assert refusal(alliance.administer, "access_requests", steward, city=city) == "bad_signature"
    assert refusal(alliance.administer, "requests", steward) == "bad_signature"
    assert len(alliance.administer("access_requests", city="").access_requests) == 3
    for nowhere in ("%", "_z.almaty", "kz.almat", "almaty"):
        assert alliance.administer("access_requests", city=nowhere).access_requests == ()


def test_a_steward_of_a_city_that_was_revoked_reads_nothing(alliance: Alliance) -> None:
    alliance.revoke(CITY)
    steward = alliance.parties[CITY].steward
    assert refusal(alliance.administer, "access_requests", steward, city=CITY) == "bad_signature"


def test_an_act_that_cannot_be_logged_is_not_done(alliance: Alliance) -> None:
    with alliance.records.writing() as transaction:
        transaction.exec_driver_sql("ALTER TABLE log_entry RENAME TO elsewhere")
    assert refusal(alliance.invite, NAME) == "log_unavailable"
    with alliance.records.writing() as transaction:
        transaction.exec_driver_sql("ALTER TABLE elsewhere RENAME TO log_entry")
    assert alliance.administer("requests").invitations == ()


def test_why_a_party_is_suspended_lifted_or_removed_is_in_the_log(alliance: Alliance) -> None:
    for step in ("suspended", "lifted", "removed"):
        alliance.administer("explain", step=step, name=CITY, reason=f"{step}: an inquiry")
    told = [entry for entry in alliance.entries() if isinstance(entry, Admission)]
    assert [(entry.step, entry.name, entry.reason) for entry in told[-3:]] == [
        (step, CITY, f"{step}: an inquiry") for step in ("suspended", "lifted", "removed")
    ]
    assert {entry.by for entry in told[-3:]} == {alliance.registrar.public.id}
    for wrong in ({"step": "listed"}, {"reason": ""}, {"reason": "two\nlines"}, {"reason": "x" * 201}):
        assert refusal(alliance.administer, "explain", **{**SAMPLES["explain"], **wrong}) == "bad_query"
    assert refusal(alliance.administer, "explain", **{**SAMPLES["explain"], "name": NAME}) == "not_found"
