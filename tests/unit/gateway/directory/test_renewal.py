"""What a listed party hands in without an invitation: a new card, by the signature of a key that counts for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cimfed.errors import CimfedError
from cimfed.model.admission import Join, RequestState, Status
from cimfed.rpc.authorisation import JOIN
from cimfed.trust.card import Card, seal_card
from cimfed.trust.directory.edit import suspend, with_card
from cimfed.trust.directory.listing import Revocation
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.tlog.entries import Admission
from cimfed.wire import admissions as wire
from cimfed_gateway.directory import admission
from cimfed_gateway.directory.tables import SUPERSEDED
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, Party
from tests.unit.gateway.directory.alliance import DAY, Alliance


def hand_in(alliance: Alliance, content: bytes) -> Status:
    reply = alliance.serving.calls()[JOIN](wire.encode_join(Join(b"", content, b"")))
    return wire.decode_status(reply)


def refused(alliance: Alliance, content: bytes) -> str:
    with pytest.raises(CimfedError) as error:
        hand_in(alliance, content)
    return error.value.reason


def listed(alliance: Alliance, name: str) -> Card:
    return alliance.parties[name].card()


def sealed(card: Card, *signers: Signer) -> bytes:
    return seal_card(card, *signers)


def both(alliance: Alliance, name: str) -> tuple[Card, KeySigner, bytes]:
    """A card with a new key beside the listed one."""
    new, old = KeySigner.generate(), alliance.parties[name]
    card = replace(old.card(), keys=(old.signer.public, new.public))
    return card, new, sealed(card, old.signer, new)


@pytest.mark.parametrize("name", [CITY, GATEWAY, PARTNER])
def test_a_card_with_the_old_key_and_a_new_one_waits_and_is_listed(alliance: Alliance, name: str) -> None:
    card, _, content = both(alliance, name)
    assert hand_in(alliance, content).state is RequestState.WAITING
    (entry,) = alliance.administer("requests").requests
    assert (entry.card, entry.new_keys) == (content, True)
    alliance.publish(with_card(alliance.listing, card, None, None, (alliance.now, alliance.now + DAY)))
    assert hand_in(alliance, content).state is RequestState.LISTED
    assert alliance.administer("requests").requests == ()


def test_a_card_that_drops_the_old_key_is_listed_only_once_that_is_gone(alliance: Alliance) -> None:
    card, new, content = both(alliance, GATEWAY)
    hand_in(alliance, content)
    alliance.publish(with_card(alliance.listing, card))
    alone = replace(card, keys=(new.public,))
    assert hand_in(alliance, sealed(alone, new)).state is RequestState.WAITING
    alliance.publish(with_card(alliance.listing, alone))
    assert hand_in(alliance, sealed(alone, new)).state is RequestState.LISTED


def test_a_card_that_no_listed_key_has_signed_is_refused(alliance: Alliance) -> None:
    new = KeySigner.generate()
    for name in (CITY, GATEWAY, PARTNER):
        content = sealed(replace(listed(alliance, name), keys=(new.public,)), new)
        assert refused(alliance, content) == "bad_signature"
    stranger = Party.make("gw.stranger", alliance.now)
    assert refused(alliance, sealed(stranger.card(), stranger.signer)) == "unknown_peer"
    assert alliance.administer("requests").requests == ()


def test_a_key_of_another_party_does_not_count(alliance: Alliance) -> None:
    other = alliance.parties[PARTNER].signer
    content = sealed(replace(listed(alliance, GATEWAY), keys=(other.public,)), other)
    assert refused(alliance, content) == "bad_signature"


def test_a_key_that_is_revoked_suspended_or_out_of_date_hands_in_nothing(alliance: Alliance) -> None:
    _, _, content = both(alliance, GATEWAY)
    alliance.publish(suspend(alliance.listing, GATEWAY, (alliance.now, alliance.now + DAY)))
    assert refused(alliance, content) == "unknown_peer"
    alliance.publish(suspend(alliance.listing, GATEWAY, None))
    alliance.revoked = (Revocation(alliance.parties[GATEWAY].signer.public.id.hex(), "lost", alliance.now),)
    alliance.versions["revoker"] += 1
    alliance.send(alliance.revoker_files())
    assert refused(alliance, content) == "bad_signature"
    card, _, of_partner = both(alliance, PARTNER)
    (access,) = alliance.listing.partners[card.name].keys  # type: ignore[index]
    partner = replace(
        alliance.listing.partners[access.organisation],
        keys=(replace(access, valid=(alliance.now - DAY, alliance.now)),),
    )
    alliance.publish(replace(alliance.listing, partners={access.organisation: partner}))
    assert refused(alliance, of_partner) == "bad_signature"


def test_stewards_are_not_changed_by_a_nodes_key(alliance: Alliance) -> None:
    old = alliance.parties[CITY]
    content = sealed(replace(old.card(), stewards=(KeySigner.generate().public,)), old.signer)
    assert refused(alliance, content) == "conflict"


def test_the_same_card_is_one_request_and_what_was_denied_stays_so(alliance: Alliance) -> None:
    _, _, content = both(alliance, GATEWAY)
    assert hand_in(alliance, content) == hand_in(alliance, content)
    (entry,) = alliance.administer("requests").requests
    alliance.administer("deny", id=entry.id.hex(), message="not now")
    assert hand_in(alliance, content) == Status(RequestState.DENIED, "not now")


def elsewhere(alliance: Alliance, number: int) -> bytes:
    """A card of the gateway as it is listed, but for its address."""
    party = alliance.parties[GATEWAY]
    return sealed(replace(party.card(), address=f"gw.example:{number}"), party.signer)


def test_a_newer_card_takes_the_place_of_the_one_that_waits_and_the_registrar_is_told(alliance: Alliance) -> None:
    card, new, first = both(alliance, GATEWAY)
    second = sealed(replace(card, address="gw.example:2"), alliance.parties[GATEWAY].signer, new)
    for number, content in enumerate((elsewhere(alliance, 1), first, second)):
        hand_in(alliance, content)
        (entry,) = alliance.administer("requests").requests
        assert (entry.card, entry.replaced) == (content, number)
    assert hand_in(alliance, first) == Status(RequestState.DENIED, SUPERSEDED)


def test_who_has_stolen_a_key_puts_no_card_in_the_place_of_one_with_a_new_key(alliance: Alliance) -> None:
    _, new, content = both(alliance, GATEWAY)
    _, _, of_thief = both(alliance, GATEWAY)
    hand_in(alliance, content)
    with pytest.raises(CimfedError, match=new.public.id.hex()[:16]) as error:
        hand_in(alliance, of_thief)
    assert error.value.reason == "conflict"
    assert error.value.remedy is not None
    assert "somebody else has your key" in error.value.remedy
    assert refused(alliance, elsewhere(alliance, 1)) == "conflict"
    (entry,) = alliance.administer("requests").requests
    assert (entry.card, entry.replaced) == (content, 0)
    alliance.administer("deny", id=entry.id.hex(), message="")
    assert hand_in(alliance, of_thief).state is RequestState.WAITING


def test_a_new_key_that_was_revoked_meanwhile_holds_no_place(alliance: Alliance) -> None:
    _, new, content = both(alliance, GATEWAY)
    hand_in(alliance, content)
    alliance.revoke(new.public.id.hex())
    _, _, next_one = both(alliance, GATEWAY)
    assert hand_in(alliance, next_one).state is RequestState.WAITING


def test_cards_take_each_others_place_only_so_often_until_the_registrar_decides(
    alliance: Alliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "REPLACED", 2)
    for number in range(3):
        alliance.now += 1
        hand_in(alliance, elsewhere(alliance, 1 + number))
    assert refused(alliance, elsewhere(alliance, 4)) == "overloaded"
    assert hand_in(alliance, elsewhere(alliance, 3)).state is RequestState.WAITING
    (entry,) = alliance.administer("requests").requests
    alliance.now += 1
    alliance.administer("deny", id=entry.id.hex(), message="which one?")
    assert hand_in(alliance, elsewhere(alliance, 4)).state is RequestState.WAITING
    (entry,) = alliance.administer("requests").requests
    assert entry.replaced == 0


def test_a_card_that_came_by_an_invitation_keeps_its_place(alliance: Alliance) -> None:
    invitation = alliance.invite(GATEWAY, new_keys=True)
    anew = Party.make(GATEWAY, alliance.now)
    content, key = sealed(anew.card(), anew.signer), invitation.key
    join = Join(key.id, content, key.join_code(GATEWAY, content))
    alliance.serving.calls()[JOIN](wire.encode_join(join))
    _, _, renewal = both(alliance, GATEWAY)
    assert refused(alliance, renewal) == "conflict"


def test_a_card_as_it_is_listed_is_no_request(alliance: Alliance) -> None:
    party = alliance.parties[GATEWAY]
    (entry,) = [item for item in alliance.listing.gateways.values() if item.name == GATEWAY]
    content = sealed(replace(party.card(), address=entry.address), party.signer)
    assert hand_in(alliance, content).state is RequestState.LISTED
    assert alliance.administer("requests").requests == ()
    assert not [item for item in alliance.entries() if isinstance(item, Admission)]
