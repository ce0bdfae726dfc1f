"""How long the directory service remembers what was decided."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from cimfed.errors import CimfedError
from cimfed.model.admission import AskStatus, Join, RequestState, Status
from cimfed.rpc.authorisation import JOIN, JOIN_STATUS
from cimfed.trust.card import parse_card, seal_card
from cimfed.trust.directory.edit import with_card, without
from cimfed.trust.invitation import Invitation
from cimfed.trust.keys import KeySigner
from cimfed.wire import admissions as wire
from tests.unit.cimfed.parties import GATEWAY, Party
from tests.unit.gateway.directory.alliance import DAY, START, Alliance, card_of

NAME = "uz.tashkent"


def send(alliance: Alliance, invitation: Invitation, card: bytes) -> Status:
    key = invitation.key
    request = Join(key.id, card, key.join_code(invitation.name, card))
    return wire.decode_status(alliance.serving.calls()[JOIN](wire.encode_join(request)))


def ask(alliance: Alliance, invitation: Invitation) -> str:
    """What became of its request, or the reason for which nothing is told."""
    key = invitation.key
    request = wire.encode_ask_status(AskStatus(key.id, invitation.name, key.status_code(invitation.name)))
    try:
        return str(wire.decode_status(alliance.serving.calls()[JOIN_STATUS](request)).state)
    except CimfedError as error:
        return error.reason


def hand_in(alliance: Alliance, card: bytes) -> Status:
    return wire.decode_status(alliance.serving.calls()[JOIN](wire.encode_join(Join(b"", card, b""))))


def pass_days(alliance: Alliance, days: int) -> None:
    """And somebody publishes, as the registrar does every month, and the revoker every day."""
    alliance.now += days * DAY
    alliance.versions["revoker"] += 1
    alliance.versions["registrar"] += 1
    alliance.send({**alliance.registrar_files(), **alliance.revoker_files()})


def rows(alliance: Alliance, table: str) -> int:
    with sqlite3.connect(alliance.folder / "records.sqlite") as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_newcomer_learns_of_the_decision_for_90_days_and_then_it_is_gone_with_its_invitation(
    alliance: Alliance,
) -> None:
    invitation = alliance.invite(NAME)
    send(alliance, invitation, card_of(Party.make(NAME, START)))
    pass_days(alliance, 80)  # it waits for long
    alliance.administer("deny", id=invitation.key.id.hex(), message="who are you?")
    pass_days(alliance, 89)
    assert ask(alliance, invitation) == "denied"
    pass_days(alliance, 2)
    assert ask(alliance, invitation) == "bad_invitation"
    assert (rows(alliance, "join_request"), rows(alliance, "invitation")) == (0, 0)


def test_a_request_that_waits_is_kept_however_long(alliance: Alliance) -> None:
    invitation = alliance.invite(NAME)
    send(alliance, invitation, card_of(Party.make(NAME, START)))
    for _ in range(3):
        pass_days(alliance, 80)
    assert ask(alliance, invitation) == "waiting"
    card = parse_card(alliance.administer("requests").requests[0].card)
    alliance.publish(alliance.listed(card))
    assert ask(alliance, invitation) == "listed"


def test_an_invitation_that_nobody_used_goes_90_days_after_its_end(alliance: Alliance) -> None:
    alliance.invite(NAME, days=3)
    pass_days(alliance, 60)
    pass_days(alliance, 32)
    assert rows(alliance, "invitation") == 1
    pass_days(alliance, 2)
    assert rows(alliance, "invitation") == 0


def test_a_card_without_an_invitation_is_remembered_for_as_long_as_its_key_is_listed(alliance: Alliance) -> None:
    """Else whoever has seen it could hand it in anew."""
    party, new = alliance.parties[GATEWAY], KeySigner.generate()
    both = replace(party.card(), keys=(party.signer.public, new.public))
    content = seal_card(both, party.signer, new)
    hand_in(alliance, content)
    (entry,) = alliance.administer("requests").requests
    alliance.administer("deny", id=entry.id.hex(), message="not now")
    for _ in range(3):
        pass_days(alliance, 80)
    assert hand_in(alliance, content) == Status(RequestState.DENIED, "not now")
    alliance.listing = without(alliance.listing, GATEWAY)
    anew = Party.make(GATEWAY, alliance.now).card()
    alliance.publish(with_card(alliance.listing, anew))
    assert rows(alliance, "join_request") == 0
