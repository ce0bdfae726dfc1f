"""Keys are a party's own by memory: what is listed under a known name counts once a known key has named it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from cimfed.errors import BadDirectory, Conflict, UnknownKey
from cimfed.model.names import CityName, Federation, Kind, PartnerName
from cimfed.trust.card import Card, endorsed, open_card, parse_card, seal_card
from cimfed.trust.directory import continuity, proof
from cimfed.trust.directory.continuity import Known, counted, held_back, learned, read_known, write_known
from cimfed.trust.directory.documents import SUCCESSION, successions_document
from cimfed.trust.directory.edit import DAY, with_card, with_more_keys, without
from cimfed.trust.directory.layout import TARGET_LIMIT
from cimfed.trust.directory.listing import Directory, Listing
from cimfed.trust.envelope import Envelope
from cimfed.trust.keys import KeySigner
from cimfed.trust.tls import IssuingKey
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, Party, World
from tests.unit.cimfed.trust.directory.test_proof import routing

NOW = 1_800_000_000_000_000
VALID = (NOW - DAY, NOW + DAY)


@pytest.fixture
def world() -> World:
    return World(NOW)


def signed(card: Card, *signers: KeySigner) -> Card:
    """As it comes out of a file that these have signed."""
    return parse_card(seal_card(card, *signers))


def listed(world: World, card: Card) -> Directory:
    world.listing = with_card(world.listing, card, None, None, VALID)
    return world.publish()


def both(old: Party, new: Party) -> Card:
    """Old and new keys, signed by both, as a rotation hands it in."""
    card = old.card()
    card = replace(card, keys=(*card.keys, *new.card().keys), issuers=(*card.issuers, *new.card().issuers))
    return signed(card, old.signer, new.signer)


def alone(party: Party) -> Card:
    return signed(party.card(), party.signer)


def met(directory: Directory) -> Known:
    return learned({}, directory)


def seen_by(known: Known, directory: Directory) -> Directory:
    return counted(directory, learned(known, directory))


@pytest.mark.parametrize("name", [CITY, GATEWAY, PARTNER])
def test_who_was_never_seen_counts_as_listed(world: World, name: str) -> None:
    seen = seen_by({}, world.directory)
    assert seen == world.directory
    assert seen.party(name) == world.directory.party(name)


@pytest.mark.parametrize("name", [CITY, GATEWAY, PARTNER])
def test_keys_that_the_registrar_alone_puts_under_a_known_name_do_not_count(world: World, name: str) -> None:
    known, thief = met(world.directory), Party.make(name, NOW)
    seen = seen_by(known, listed(world, alone(thief)))
    party = seen.party(name)
    assert party.keys == ()
    assert party.issuers == ()
    assert [item.name for item in held_back(seen)] == [name]
    assert thief.signer.public in [
        key if name != PARTNER else key.key  # type: ignore[union-attr]
        for item in seen.published.parties()
        if item.name == name
        for key in item.keys
    ]


def test_a_question_under_such_a_key_is_told_what_is_missing(world: World) -> None:
    known, thief = met(world.directory), Party.make(PARTNER, NOW)
    seen = seen_by(known, listed(world, alone(thief)))
    with pytest.raises(UnknownKey, match="no key that was known before has named it"):
        seen.access_key(thief.signer.public.id, NOW)


def test_a_further_key_beside_the_known_ones_does_not_count_and_those_do(world: World) -> None:
    known, own = met(world.directory), KeySigner.generate()
    partner = world.listing.partners[PartnerName(PARTNER)]
    more = replace(partner, keys=(*partner.keys, replace(partner.keys[0], key=own.public)))
    world.listing = replace(world.listing, partners={partner.name: more})
    seen = seen_by(known, world.publish())
    assert [key.key for key in seen.partner(PARTNER).keys] == [world.parties[PARTNER].signer.public]


@pytest.mark.parametrize("name", [CITY, GATEWAY, PARTNER])
def test_keys_that_a_known_key_has_named_count(world: World, name: str) -> None:
    known, old, new = met(world.directory), world.parties[name], Party.make(name, NOW)
    after = listed(world, both(old, new))
    assert seen_by(known, after).party(name) == after.party(name)
    assert len(after.party(name).issuers) == 2


def test_who_missed_the_steps_between_follows_them_all(world: World) -> None:
    known = met(world.directory)
    parties = [world.parties[GATEWAY], *(Party.make(GATEWAY, NOW) for _ in range(3))]
    for old, new in itertools.pairwise(parties):
        listed(world, both(old, new))
        after = listed(world, alone(new))
    assert seen_by(known, after).gateway(GATEWAY).keys == (parties[-1].signer.public,)


def test_who_missed_more_steps_than_are_kept_does_not(world: World) -> None:
    known = met(world.directory)
    parties = [world.parties[GATEWAY], *(Party.make(GATEWAY, NOW) for _ in range(5))]
    for old, new in itertools.pairwise(parties):
        listed(world, both(old, new))
        after = listed(world, alone(new))
    assert len(after.published.successions) == 4
    assert seen_by(known, after).gateway(GATEWAY).keys == ()
    later = continuity.learned({GATEWAY: frozenset({parties[1].signer.public.text})}, after)
    assert counted(after, later).gateway(GATEWAY).keys == (parties[-1].signer.public,)


def test_what_is_known_stays_known_though_the_party_goes_and_comes_back(world: World) -> None:
    known = met(world.directory)
    world.listing = without(world.listing, PARTNER)
    known = learned(known, world.publish())
    world.listing = with_card(world.listing, alone(Party.make(PARTNER, NOW)), "CN", (), VALID)
    assert seen_by(known, world.publish()).partner(PARTNER).keys == ()
    world.listing = with_card(without(world.listing, PARTNER), world.parties[PARTNER].card(), "CN", (), VALID)
    assert len(seen_by(known, world.publish()).partner(PARTNER).keys) == 1


def test_who_comes_back_with_new_keys_is_named_by_a_key_of_then(world: World) -> None:
    known, old, new = met(world.directory), world.parties[PARTNER], Party.make(PARTNER, NOW)
    card = parse_card(endorsed(seal_card(new.card(), new.signer), old.signer))
    world.listing = with_card(without(world.listing, PARTNER), card, "CN", (), VALID)
    assert [key.key for key in seen_by(known, world.publish()).partner(PARTNER).keys] == [new.signer.public]


def test_a_key_of_long_ago_names_a_successor_to_who_knew_it(world: World) -> None:
    known, first = met(world.directory), world.parties[PARTNER]
    second, third = (Party.make(PARTNER, NOW) for _ in range(2))
    listed(world, alone(second))  # nobody who knew the first takes it
    after = listed(world, parse_card(endorsed(seal_card(third.card(), third.signer), first.signer)))
    assert [key.key for key in seen_by(known, after).partner(PARTNER).keys] == [third.signer.public]


def test_a_newcomers_card_is_no_succession(world: World) -> None:
    assert listed(world, alone(Party.make("gw.newcomer", NOW))).published.successions == ()


def test_a_card_of_another_party_names_nothing(world: World) -> None:
    known, thief = met(world.directory), Party.make(PARTNER, NOW)
    other = Party(GATEWAY, thief.signer, Party.make(GATEWAY, NOW).issuing, thief.steward)
    foreign = both(world.parties[GATEWAY], other)  # the thief's key is named, by a gateway
    after = listed(world, alone(thief))
    world.listing = replace(world.listing, successions=(foreign.envelope,))
    assert seen_by(known, world.publish()).partner(PARTNER).keys == ()
    assert after.published.successions == ()


def test_a_card_of_another_federation_names_nothing(world: World) -> None:
    """Who has one key for both has its successors in each named apart: a trial's keys lie open more easily."""
    known, old, leaked = met(world.directory), world.parties[PARTNER], KeySigner.generate()
    trial = Federation("trial")
    card = replace(
        old.card(),
        federation=trial,
        issuers=(IssuingKey.make(trial, PARTNER, NOW).issuer,),
        keys=(old.signer.public, leaked.public),
    )
    listed(world, alone(replace(Party.make(PARTNER, NOW), signer=leaked)))
    world.listing = replace(world.listing, successions=(signed(card, old.signer, leaked).envelope,))
    assert seen_by(known, world.publish()).partner(PARTNER).keys == ()


def test_cards_are_opened_once_however_many_keys_are_held_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    known, opened = met(world.directory), list[Envelope]()
    for name in (CITY, GATEWAY, PARTNER):
        listed(world, alone(Party.make(name, NOW)))
    cards = tuple(both(Party.make(name, NOW), Party.make(name, NOW)).envelope for name in (CITY, GATEWAY, PARTNER))
    world.listing = replace(world.listing, successions=cards)
    after = world.publish()

    def counting(envelope: Envelope) -> Card:
        opened.append(envelope)
        return open_card(envelope)

    monkeypatch.setattr(continuity, "open_card", counting)
    assert len(held_back(seen_by(known, after))) == 3
    assert opened == list(cards)


def test_a_card_that_no_reader_takes_names_nothing(world: World) -> None:
    known, old, thief = met(world.directory), world.parties[PARTNER], Party.make(PARTNER, NOW)
    listed(world, alone(thief))
    half = replace(both(old, thief).envelope, signatures=both(old, thief).signatures[:1])  # not by all of its keys
    world.listing = replace(world.listing, successions=(half,))
    assert seen_by(known, world.publish()).partner(PARTNER).keys == ()


def test_a_steward_names_its_citys_new_keys(world: World) -> None:
    known, old, new = met(world.directory), world.parties[CITY], Party.make(CITY, NOW)
    card = replace(new.card(), stewards=old.card().stewards)
    content = endorsed(seal_card(card, new.signer), old.steward)
    assert parse_card(content) == card
    after = listed(world, parse_card(content))
    assert seen_by(known, after).member(CITY).keys == (new.signer.public,)


def test_a_city_with_a_steward_that_is_not_known_has_no_routing_entry(world: World) -> None:
    old, other = world.parties[CITY], KeySigner.generate()
    world.board.route(CITY, routing(old.steward), old.steward)
    known = met(world.directory)
    member = replace(world.listing.members[CityName(CITY)], stewards=(other.public,))
    world.listing = replace(world.listing, members={member.name: member})
    world.publish()
    after = world.board.route(CITY, routing(other), other)
    assert after.routing(CITY) is not None
    assert seen_by(known, after).routing(CITY) is None
    assert seen_by(known, after).member(CITY).keys == (old.signer.public,)


def test_a_former_key_names_a_further_one_by_endorsing_its_card(world: World) -> None:
    known, old, more = met(world.directory), world.parties[PARTNER], Party.make(PARTNER, NOW)
    plain = alone(more)
    assert with_more_keys(world.listing, plain, VALID).successions == ()
    card = parse_card(endorsed(seal_card(plain, more.signer), old.signer))
    world.listing = with_more_keys(world.listing, card, VALID)
    after = world.publish()
    assert seen_by(known, after).partner(PARTNER) == after.partner(PARTNER)
    assert len(after.partner(PARTNER).keys) == 2


def test_endorsing_twice_is_endorsing_once(world: World) -> None:
    old, new = world.parties[PARTNER], Party.make(PARTNER, NOW)
    once = endorsed(seal_card(new.card(), new.signer), old.signer)
    assert endorsed(once, old.signer) == once


def test_a_revoked_key_still_names_its_successor(world: World) -> None:
    """It is revoked the moment that it leaks; what it may do then is this alone, and the registrar must list it too."""
    known, old, new = met(world.directory), world.parties[PARTNER], Party.make(PARTNER, NOW)
    world.board.revoke(old.signer.public.id.hex(), "leaked")
    after = listed(world, parse_card(endorsed(seal_card(new.card(), new.signer), old.signer)))
    assert [key.key for key in seen_by(known, after).partner(PARTNER).keys] == [new.signer.public]


def test_accepted_keys_count(world: World) -> None:
    known, new = met(world.directory), Party.make(CITY, NOW)
    after = listed(world, alone(new))
    accepted = continuity.accepted(known, after.published.members[CityName(CITY)])
    assert counted(after, accepted).member(CITY) == after.member(CITY)


def test_the_same_card_twice_is_one_succession(world: World) -> None:
    card = both(world.parties[CITY], Party.make(CITY, NOW))
    listed(world, card)
    assert listed(world, card).published.successions == (card.envelope,)


def rotated(world: World, name: str, times: int = 1) -> None:
    """A party that changes its keys, and lets the old ones go."""
    for _ in range(times):
        old, new = world.parties[name], Party.make(name, NOW)
        world.listing = with_card(world.listing, both(old, new), "CN", (), VALID)
        world.listing = with_card(world.listing, alone(new), "CN", (), VALID)
        world.parties[name] = new


def admitted(world: World, name: str) -> None:
    world.parties[name] = Party.make(name, NOW)
    world.listing = with_card(world.listing, alone(world.parties[name]), "CN", (), VALID)


def kept(world: World) -> list[str]:
    """Whose cards are kept, oldest first."""
    return [open_card(envelope).name for envelope in world.listing.successions]


def test_partners_who_change_their_keys_push_out_no_card_of_a_city_or_gateway(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuity, "MOST", {Kind.CITY: 2, Kind.GATEWAY: 1, Kind.PARTNER: 2})
    for name in (CITY, GATEWAY):
        rotated(world, name)
    for name in ("inst.a", "inst.b", "inst.c"):
        admitted(world, name)
        rotated(world, name)
    assert kept(world) == [CITY, CITY, GATEWAY, "inst.b", "inst.c"]  # the city's steward is another one, too


def test_who_changes_keys_often_gives_up_its_own_cards_before_others_lose_theirs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuity, "MOST", {Kind.CITY: 1, Kind.GATEWAY: 1, Kind.PARTNER: 4})
    for name in ("inst.a", "inst.b", "inst.c"):
        admitted(world, name)
        rotated(world, name)
    rotated(world, "inst.c", 3)
    assert sorted(kept(world)) == ["inst.a", "inst.b", "inst.c", "inst.c"]


def test_all_kinds_together_have_room_in_a_file_of_the_directory() -> None:
    whole = successions_document(SCO, [])
    assert len(whole) + sum(continuity.MOST.values()) * (SUCCESSION + 1) < TARGET_LIMIT


def test_a_succession_that_is_too_large_is_refused_before_it_is_signed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuity, "SUCCESSION", 1000)
    with pytest.raises(Conflict, match="more than 1000"):
        listed(world, both(world.parties[CITY], Party.make(CITY, NOW)))


def test_a_receipt_needs_no_successions(world: World) -> None:
    after = listed(world, both(world.parties[CITY], Party.make(CITY, NOW)))
    files = proof.for_receipt(after, [PartnerName(PARTNER)])
    assert not [path for path in files if "successions" in path]
    assert [path for path in after.files if "successions" in path]
    assert proof.read(files, world.board.root, NOW).member(CITY) == after.member(CITY)


def test_what_is_known_is_kept(world: World, tmp_path: Path) -> None:
    assert read_known(tmp_path / "known.json") is None
    known = met(world.directory)
    write_known(tmp_path / "known.json", known)
    assert read_known(tmp_path / "known.json") == known


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b'{"format": "cimfed/known-keys/v1", "parties": 1}', b"\xff"])
def test_a_damaged_record_is_not_taken_for_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "known.json").write_bytes(damage)
    with pytest.raises(BadDirectory, match="cannot be read"):
        read_known(tmp_path / "known.json")


def test_who_is_not_listed_is_not_forgotten(world: World) -> None:
    world.listing = Listing()
    assert learned({"inst.gone": frozenset({"a"})}, world.publish()) == {"inst.gone": frozenset({"a"})}
