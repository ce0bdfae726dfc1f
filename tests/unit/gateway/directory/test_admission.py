"""Who joins by an invitation, what becomes of the card, and who asks for access."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cimfed.errors import CimfedError
from cimfed.model.admission import AskStatus, Join, RequestState, Status
from cimfed.model.names import Federation
from cimfed.rpc.authorisation import JOIN, JOIN_STATUS
from cimfed.trust.card import endorsed, parse_card, seal_card
from cimfed.trust.envelope import PayloadType, seal
from cimfed.trust.hashing import sha256
from cimfed.trust.invitation import Invitation
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.entries import Act, Admission
from cimfed.trust.tls import IssuingKey
from cimfed.wire import admissions as wire
from cimfed_gateway.directory import admission
from tests.unit.cimfed.parties import CITY, PARTNER, SCO, Party
from tests.unit.gateway.directory.alliance import DAY, SERVICE, START, Alliance, card_of, refusal

NAME = "uz.tashkent"


@pytest.fixture
def newcomer() -> Party:
    return Party.make(NAME, START)


def send(alliance: Alliance, invitation: Invitation, card: bytes, code: bytes | None = None) -> Status:
    key = invitation.key
    request = Join(key.id, card, key.join_code(invitation.name, card) if code is None else code)
    return wire.decode_status(alliance.serving.calls()[JOIN](wire.encode_join(request)))


def ask(alliance: Alliance, invitation: Invitation, name: str = "", code: bytes | None = None) -> Status:
    key = invitation.key
    request = AskStatus(key.id, name or invitation.name, key.status_code(invitation.name) if code is None else code)
    return wire.decode_status(alliance.serving.calls()[JOIN_STATUS](wire.encode_ask_status(request)))


def steps(alliance: Alliance) -> list[str]:
    return [entry.step for entry in alliance.entries() if isinstance(entry, Admission)]


def test_a_newcomer_joins_waits_is_approved_and_is_listed(alliance: Alliance, newcomer: Party) -> None:
    invitation, card = alliance.invite(NAME), card_of(newcomer)
    assert send(alliance, invitation, card) == Status(RequestState.WAITING)
    (entry,) = alliance.administer("requests").requests
    assert (entry.id, entry.card, entry.state, entry.new_keys) == (
        invitation.key.id, card, RequestState.WAITING, False,
    )  # fmt: skip
    fingerprint = parse_card(card).fingerprint
    alliance.administer("approve", id=entry.id.hex(), fingerprint=fingerprint)
    assert ask(alliance, invitation) == Status(RequestState.APPROVED)
    alliance.publish(alliance.listed(parse_card(entry.card)))
    assert ask(alliance, invitation) == Status(RequestState.LISTED)
    assert alliance.administer("requests").requests == ()
    assert steps(alliance) == ["invited", "requested", "approved", "listed"]
    logged = [entry for entry in alliance.entries() if isinstance(entry, Admission)]
    assert {item.name for item in logged} == {NAME}
    assert {item.card for item in logged[1:]} == {sha256(card)}
    assert [item.by for item in logged] == [alliance.registrar.public.id, b"", alliance.registrar.public.id, b""]


def test_a_lost_reply_may_be_asked_for_again_and_nothing_happens_twice(alliance: Alliance, newcomer: Party) -> None:
    invitation, card = alliance.invite(NAME), card_of(newcomer)
    for _ in range(3):
        assert send(alliance, invitation, card).state is RequestState.WAITING
    alliance.now += 10 * DAY  # the invitation itself is over
    assert send(alliance, invitation, card).state is RequestState.WAITING
    assert steps(alliance) == ["invited", "requested"]


def test_an_invitation_takes_one_card(alliance: Alliance, newcomer: Party) -> None:
    invitation = alliance.invite(NAME)
    send(alliance, invitation, card_of(newcomer))
    assert refusal(send, alliance, invitation, card_of(Party.make(NAME, START))) == "conflict"


def test_a_card_that_waits_may_come_again_signed_by_a_former_key_too(alliance: Alliance) -> None:
    successor = Party.make(CITY, START)
    invitation, card = alliance.invite(CITY, new_keys=True), card_of(successor)
    send(alliance, invitation, card)
    signed = endorsed(card, alliance.parties[CITY].steward)
    assert send(alliance, invitation, signed).state is RequestState.WAITING
    (entry,) = alliance.administer("requests").requests
    assert entry.card == signed
    alliance.administer("approve", id=entry.id.hex(), fingerprint=parse_card(card).fingerprint)
    alliance.publish(alliance.listed(parse_card(entry.card)))
    assert ask(alliance, invitation).state is RequestState.LISTED
    assert refusal(send, alliance, invitation, card) == "conflict"
    assert steps(alliance) == ["invited", "requested", "requested", "approved", "listed"]


def test_a_card_that_was_swapped_on_the_way_is_refused(alliance: Alliance, newcomer: Party) -> None:
    invitation, card = alliance.invite(NAME), card_of(newcomer)
    code = invitation.key.join_code(NAME, card)
    assert refusal(send, alliance, invitation, card_of(Party.make(NAME, START)), code) == "bad_invitation"
    assert send(alliance, invitation, card).state is RequestState.WAITING


def test_a_token_that_nobody_made_and_a_wrong_code_get_the_same_answer(alliance: Alliance, newcomer: Party) -> None:
    known, card = alliance.invite(NAME), card_of(newcomer)
    said = set()
    for invitation in (replace(known, secret=bytes(16)), replace(known, name="uz.other"), known):
        with pytest.raises(CimfedError) as raised:
            send(alliance, invitation, card, bytes(32))
        said.add(str(raised.value))
    assert len(said) == 1


@pytest.mark.parametrize("call", [send, ask])
def test_ten_wrong_codes_spoil_an_open_invitation_and_nine_do_not(alliance: Alliance, newcomer: Party, call) -> None:  # type: ignore[no-untyped-def]
    card = card_of(newcomer)

    def wrong(invitation: Invitation) -> str:
        if call is send:
            return refusal(send, alliance, invitation, card, bytes(32))
        return refusal(ask, alliance, invitation, code=bytes(32))

    spoiled, patient = alliance.invite(NAME), alliance.invite("uz.samarkand")
    for _ in range(admission.FAILURES):
        assert wrong(spoiled) == "bad_invitation"
    for _ in range(admission.FAILURES - 1):
        assert wrong(patient) == "bad_invitation"
    with pytest.raises(CimfedError, match="was tried too often"):
        send(alliance, spoiled, card)
    assert send(alliance, patient, card_of(Party.make("uz.samarkand", START))).state is RequestState.WAITING
    assert "spoiled" in steps(alliance)
    assert [entry.name for entry in alliance.administer("requests").invitations] == []


def test_wrong_codes_do_nothing_to_an_invitation_that_was_used(alliance: Alliance, newcomer: Party) -> None:
    invitation, card = alliance.invite(NAME), card_of(newcomer)
    send(alliance, invitation, card)
    for _ in range(2 * admission.FAILURES):
        assert refusal(send, alliance, invitation, card, bytes(32)) == "bad_invitation"
    assert ask(alliance, invitation).state is RequestState.WAITING


@pytest.mark.parametrize("code", [b"", bytes(31), bytes(33)])
def test_a_code_of_another_length_is_a_wrong_one(alliance: Alliance, newcomer: Party, code: bytes) -> None:
    assert refusal(send, alliance, alliance.invite(NAME), card_of(newcomer), code) == "bad_invitation"


def test_an_invitation_expires(alliance: Alliance, newcomer: Party) -> None:
    invitation = alliance.invite(NAME, days=3)
    alliance.now += 3 * DAY - 1
    alliance.repository.renew()
    assert refusal(send, alliance, invitation, b"no card") == "bad_directory"
    alliance.now += 1
    with pytest.raises(CimfedError, match="has expired"):
        send(alliance, invitation, card_of(newcomer))
    assert refusal(ask, alliance, invitation) == "bad_invitation"


def test_the_card_is_of_the_invited_name_and_federation(alliance: Alliance, newcomer: Party) -> None:
    invitation = alliance.invite(NAME)
    elsewhere = IssuingKey.make(Federation("other"), NAME, START)
    other = replace(newcomer.card(), federation=Federation("other"), issuers=(elsewhere.issuer,))
    for card in (
        card_of(Party.make("uz.samarkand", START)),
        card_of(Party.make("inst.tashkent", START)),
        seal_card(other, newcomer.signer),
        b"",
        b"{}",
    ):
        assert refusal(send, alliance, invitation, card) == "bad_directory"
    assert refusal(send, alliance, invitation, b" " * (wire.CARD + 1)) == "too_large"
    assert send(alliance, invitation, card_of(newcomer)).state is RequestState.WAITING


def test_a_listed_name_comes_with_new_keys_only_where_that_was_invited(alliance: Alliance) -> None:
    successor = Party.make(CITY, START)
    assert refusal(alliance.invite, CITY) == "conflict"
    invitation = alliance.invite(CITY, new_keys=True)
    assert send(alliance, invitation, card_of(successor)).state is RequestState.WAITING
    (entry,) = alliance.administer("requests").requests
    assert entry.new_keys
    alliance.publish(alliance.listed(parse_card(entry.card)))
    assert ask(alliance, invitation).state is RequestState.LISTED


def test_a_name_that_was_listed_since_its_invitation_does_not_take_the_card(
    alliance: Alliance, newcomer: Party
) -> None:
    invitation = alliance.invite(NAME)
    alliance.publish(alliance.listed(Party.make(NAME, START).card()))
    assert refusal(send, alliance, invitation, card_of(newcomer)) == "conflict"


def test_a_publication_that_lists_other_keys_does_not_end_the_request(alliance: Alliance, newcomer: Party) -> None:
    invitation = alliance.invite(NAME)
    send(alliance, invitation, card_of(newcomer))
    alliance.publish(alliance.listed(Party.make(NAME, START).card()))
    assert ask(alliance, invitation).state is RequestState.WAITING


def test_only_so_many_requests_wait(alliance: Alliance, newcomer: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "WAITING", 1)
    first, second = alliance.invite(NAME), alliance.invite("uz.samarkand")
    send(alliance, first, card_of(newcomer))
    samarkand = card_of(Party.make("uz.samarkand", START))
    assert refusal(send, alliance, second, samarkand) == "overloaded"
    alliance.administer("deny", id=first.key.id.hex(), message="")
    assert send(alliance, second, samarkand).state is RequestState.WAITING


def test_the_status_is_for_the_holder_alone(alliance: Alliance, newcomer: Party) -> None:
    invitation = alliance.invite(NAME)
    assert refusal(ask, alliance, invitation) == "bad_invitation"  # no card yet
    send(alliance, invitation, card_of(newcomer))
    assert refusal(ask, alliance, invitation, code=bytes(32)) == "bad_invitation"
    assert refusal(ask, alliance, invitation, name="uz.samarkand") == "bad_invitation"
    join_code = invitation.key.join_code(NAME, card_of(newcomer))
    assert refusal(ask, alliance, invitation, code=join_code) == "bad_invitation"
    assert ask(alliance, invitation).state is RequestState.WAITING


def test_a_clock_that_fell_back_is_not_believed(alliance: Alliance, newcomer: Party) -> None:
    invitation = alliance.invite(NAME, days=1)
    alliance.now += 2 * DAY
    assert refusal(send, alliance, invitation, card_of(newcomer)) == "bad_invitation"
    alliance.now -= 2 * DAY
    assert refusal(send, alliance, invitation, card_of(newcomer)) == "clock_behind"


def test_nobody_joins_a_federation_without_a_directory(tmp_path: Path, newcomer: Party) -> None:
    alliance = Alliance(tmp_path)
    invitation = Invitation.make(SCO, NAME, "dir.org:8443", bytes(32))
    assert refusal(send, alliance, invitation, card_of(newcomer)) == "directory_expired"


def test_secrets_stay_out_of_the_database_and_the_log(alliance: Alliance, newcomer: Party) -> None:
    invitation = alliance.invite(NAME)
    send(alliance, invitation, card_of(newcomer))
    content = b"".join(path.read_bytes() for path in alliance.folder.glob("records.sqlite*"))
    assert invitation.key.id in content
    assert invitation.secret not in content
    assert invitation.secret.hex().encode() not in content
    assert invitation.key.key.hex().encode() not in content  # the key is in its row, nowhere in an entry


def test_the_database_is_its_owners_alone(alliance: Alliance) -> None:
    alliance.invite(NAME)
    assert {path.stat().st_mode & 0o777 for path in alliance.folder.glob("records.sqlite*")} == {0o600}


# Requests for access


def test_a_request_for_access_reaches_the_registrar_and_the_steward_of_its_city(alliance: Alliance) -> None:
    wish = alliance.wish()
    alliance.ask_access(wish)
    steward = alliance.parties[CITY].steward
    for by in (None, steward):
        (entry,) = alliance.administer("access_requests", by, city=CITY).access_requests
        assert (entry.request, entry.received) == (wish, alliance.now)
    (act,) = [entry for entry in alliance.entries() if isinstance(entry, Act)]
    assert (act.act, act.operator, act.subject) == ("access-requested", PARTNER, wish.payload_hash.hex())
    assert "please" not in repr(alliance.entries())


def test_a_request_for_access_is_taken_once(alliance: Alliance) -> None:
    wish = alliance.wish()
    alliance.ask_access(wish)
    assert refusal(alliance.ask_access, wish) == "replayed"
    assert len(alliance.administer("access_requests", city="").access_requests) == 1


def test_only_a_partners_own_valid_key_asks(alliance: Alliance) -> None:
    wish = alliance.wish()
    stranger, city = KeySigner.generate(), alliance.parties[CITY].signer
    assert refusal(alliance.ask_access, seal(PayloadType.ACCESS_REQUEST, wish.payload, stranger)) == "unknown_key"
    assert refusal(alliance.ask_access, seal(PayloadType.ACCESS_REQUEST, wish.payload, city)) == "unknown_key"
    forged = replace(wish, signatures=(replace(wish.signatures[0], signature=bytes(64)),))
    assert refusal(alliance.ask_access, forged) == "bad_signature"
    assert refusal(alliance.ask_access, replace(wish, signatures=())) == "bad_signature"
    other = Party.make("inst.iitd", START)
    alliance.parties["inst.iitd"] = other
    alliance.publish(alliance.listed(other.card()))
    in_anothers_name = seal(PayloadType.ACCESS_REQUEST, wish.payload, other.signer)
    assert refusal(alliance.ask_access, in_anothers_name) == "bad_signature"
    alliance.revoke(alliance.parties[PARTNER].signer.public.id.hex())
    assert refusal(alliance.ask_access, wish) in ("unknown_key", "key_revoked")


def test_a_request_for_access_is_for_now_and_for_listed_cities(alliance: Alliance) -> None:
    wish = alliance.wish()
    assert refusal(alliance.ask_access, alliance.wish(cities=("uz.tashkent",))) == "bad_query"
    alliance.now += 12 * 60 * 1_000_000
    assert refusal(alliance.ask_access, wish) == "expired_query"


def test_of_one_partner_only_so_many_are_kept_and_none_for_ever(
    alliance: Alliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "KEPT_OF_PARTNER", 2)
    alliance.ask_access(alliance.wish())
    alliance.ask_access(alliance.wish())
    assert refusal(alliance.ask_access, alliance.wish()) == "overloaded"
    alliance.now += 31 * DAY
    alliance.repository.renew()
    alliance.versions["revoker"] += 1
    alliance.send(alliance.revoker_files())
    assert alliance.administer("access_requests", city="").access_requests == ()
    alliance.ask_access(alliance.wish())


def test_the_service_is_named(alliance: Alliance) -> None:
    assert alliance.repository.roster().lists(SERVICE)
