"""Lookups of a directory, and the registrar's changes of a listing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cimfed.errors import BadDirectory, Conflict, KeyRevoked, NotFound, UnknownKey, UnknownPeer
from cimfed.model.names import CityName, GatewayName, Kind, PartnerName
from cimfed.trust.directory import edit
from cimfed.trust.directory.edit import DAY
from cimfed.trust.directory.listing import Directory, Listing, expired, ids_of, keys_of, signing_keys
from cimfed.trust.keys import KeySigner
from tests.unit.cimfed.parties import CITY, DIRECTORY, GATEWAY, PARTNER, SCO, Party, World
from tests.unit.cimfed.trust.directory.test_proof import entry, routing

NOW = 1_800_000_000_000_000
SOON = (NOW + DAY, NOW + 2 * DAY)
LATER = (NOW + 400 * DAY, NOW + 500 * DAY)


@pytest.fixture
def world() -> World:
    made = World(NOW, CITY, GATEWAY, PARTNER, "inst.iitd")
    made.board.route(CITY, routing(made.parties[CITY].steward), made.parties[CITY].steward)
    return made


def test_every_lookup_gives_what_is_listed(world: World) -> None:
    directory = world.directory
    almaty, tsinghua = world.parties[CITY], world.parties[PARTNER]
    assert directory.federation == SCO
    assert directory.member(CITY).keys == (almaty.signer.public,)
    assert directory.member(CITY).stewards == (almaty.steward.public,)
    assert directory.gateway(GATEWAY).keys == (world.parties[GATEWAY].signer.public,)
    assert (directory.partner(PARTNER).country, directory.partner(PARTNER).roles) == ("CN", ("researcher",))
    assert directory.party(DIRECTORY) == directory.service == world.board.service
    assert directory.address(CITY) == "127.0.0.1:1"
    assert directory.address(DIRECTORY) == world.board.service.address
    assert directory.issuers_of(Kind.CITY, CITY) == (almaty.issuing.issuer,)
    assert directory.issuers_of(Kind.DIRECTORY, DIRECTORY) == (world.board.issuing.issuer,)
    assert len(directory.issuers) == 5
    assert directory.routing(CITY) == (entry(), routing(almaty.steward))
    found = directory.access_key(tsinghua.signer.public.id, NOW)
    assert (found.key, found.organisation) == (tsinghua.signer.public, PARTNER)


def test_who_is_not_listed_is_unknown_to_every_lookup(world: World) -> None:
    directory = world.directory
    for lookup in (
        lambda: directory.member("uz.tashkent"),
        lambda: directory.gateway(CITY),
        lambda: directory.partner("inst.other"),
        lambda: directory.party("gw.other"),
        lambda: directory.issuers_of(Kind.GATEWAY, CITY),
        lambda: directory.issuers_of(Kind.CITY, DIRECTORY),
        lambda: directory.address(PARTNER),
        lambda: directory.address("gw.other"),
        lambda: directory.routing("uz.tashkent"),
    ):
        with pytest.raises(UnknownPeer):
            lookup()


def test_an_access_key_counts_within_its_dates_alone(world: World) -> None:
    directory, key = world.directory, world.parties[PARTNER].signer.public
    directory.access_key(key.id, NOW + 365 * DAY - 1)
    for moment in (NOW - 1, NOW + 365 * DAY):
        with pytest.raises(UnknownKey, match="not valid now"):
            directory.access_key(key.id, moment)
    for other in (world.parties[CITY].signer, world.parties[CITY].steward, world.board.log):
        with pytest.raises(UnknownKey, match="no such access key"):
            directory.access_key(other.public.id, NOW)


# What is revoked


def test_a_revoked_key_is_told_from_an_unknown_one(world: World) -> None:
    key = world.parties[PARTNER].signer.public
    directory = world.board.revoke(key.id.hex(), "stolen")
    with pytest.raises(KeyRevoked) as caught:
        directory.access_key(key.id, NOW)
    assert caught.value.reason == "key_revoked"
    assert directory.partner(PARTNER).keys == ()
    assert directory.access_key(world.parties["inst.iitd"].signer.public.id, NOW).organisation == "inst.iitd"
    world.drop(PARTNER)
    with pytest.raises(UnknownKey):
        world.directory.access_key(key.id, NOW)


def test_with_a_revoked_organisation_all_its_keys_are_revoked(world: World) -> None:
    directory = world.board.revoke(PARTNER, "left")
    with pytest.raises(KeyRevoked):
        directory.access_key(world.parties[PARTNER].signer.public.id, NOW)
    with pytest.raises(UnknownPeer):
        directory.party(PARTNER)
    assert PARTNER in directory.published.partners
    assert world.parties[PARTNER].issuing.issuer not in directory.issuers


@pytest.mark.parametrize("name", [CITY, GATEWAY, PARTNER])
def test_a_revoked_issuer_is_nobodys(world: World, name: str) -> None:
    party = world.parties[name]
    directory = world.board.revoke(party.issuing.issuer.id.hex(), "stolen")
    assert directory.party(name).issuers == ()
    assert party.issuing.issuer not in directory.issuers
    assert signing_keys(directory.party(name)) == (party.signer.public,)


@pytest.mark.parametrize("name", [CITY, GATEWAY])
def test_a_revoked_node_or_gateway_key_signs_nothing_more(world: World, name: str) -> None:
    party = world.parties[name]
    directory = world.board.revoke(party.signer.public.id.hex(), "stolen")
    assert signing_keys(directory.party(name)) == ()
    assert directory.party(name).issuers == (party.issuing.issuer,)


def test_a_stewards_key_is_the_citys_own_affair(world: World) -> None:
    steward = world.parties[CITY].steward.public
    directory = world.board.revoke(steward.id.hex(), "stolen")
    assert directory.member(CITY) == replace(directory.published.members[CityName(CITY)])
    assert steward.id.hex() not in ids_of(directory.member(CITY))
    assert steward in keys_of(directory.member(CITY))


def test_expiry_names_the_role_that_ended(world: World) -> None:
    assert "its timestamp ended at 2027-01-15T08:15:00Z" in expired(world.directory).message
    assert world.directory.expires == min(world.directory.ends.values())


def suspended(world: World, name: str, *span: int) -> Directory:
    world.listing = edit.suspend(world.listing, name, span or None)  # type: ignore[arg-type]
    return world.publish()


@pytest.mark.parametrize("name", [CITY, GATEWAY, PARTNER])
def test_who_is_suspended_is_not_listed_for_that_time(world: World, name: str) -> None:
    directory = suspended(world, name, NOW + 10, NOW + 20)
    for moment, listed in ((NOW + 9, True), (NOW + 10, False), (NOW + 19, False), (NOW + 20, True), (NOW, True)):
        assert (name in {party.name for party in directory.as_of(moment).listing.parties()}) == listed
    back = suspended(world, name)
    assert name in {party.name for party in back.as_of(NOW + 15).listing.parties()}


def test_another_instant_with_nothing_between_is_the_same_value(world: World) -> None:
    directory = suspended(world, CITY, NOW + 10, NOW + 20)
    assert directory.as_of(NOW + 9) is directory
    within = directory.as_of(NOW + 10)
    assert within is not directory
    assert within.as_of(NOW + 19) is within
    assert within.as_of(NOW + 9).members == directory.members
    assert within.files == directory.files


# The registrar's changes


def test_the_same_card_again_changes_nothing(world: World) -> None:
    for name in (CITY, GATEWAY):
        assert edit.with_card(world.listing, world.parties[name].card()) == world.listing
    partner = world.parties[PARTNER].card()
    assert edit.with_partner(world.listing, partner, "CN", ("researcher",), SOON) == world.listing


def test_a_partners_facts_stay_where_none_are_given(world: World) -> None:
    again = edit.with_card(world.listing, world.parties[PARTNER].card(), None, None, SOON)
    assert again == world.listing
    other = edit.with_card(world.listing, world.parties[PARTNER].card(), "IN", ("teacher", "dean"), SOON)
    found = other.partners[PartnerName(PARTNER)]
    assert (found.country, found.roles, found.keys) == (
        "IN",
        ("dean", "teacher"),
        world.listing.partners[PartnerName(PARTNER)].keys,
    )


def test_a_new_partner_has_a_country_and_dates() -> None:
    card = Party.make("inst.new", NOW).card()
    with pytest.raises(BadDirectory, match="country"):
        edit.with_partner(Listing(), card, None, None, LATER)
    with pytest.raises(BadDirectory, match="not listed"):
        edit.with_card(Listing(), card, "CN", ())
    with pytest.raises(BadDirectory):
        edit.with_partner(Listing(), card, "china", None, LATER)
    assert edit.with_partner(Listing(), card, "CN", None, LATER).partners[PartnerName("inst.new")].roles == ()


def test_a_new_access_key_gets_the_dates_that_are_given_and_the_old_one_keeps_its_own(world: World) -> None:
    card, new = world.parties[PARTNER].card(), KeySigner.generate().public
    both = edit.with_partner(world.listing, replace(card, keys=(*card.keys, new)), None, None, SOON)
    old, added = both.partners[PartnerName(PARTNER)].keys
    assert (old.valid, added.valid) == ((NOW, NOW + 365 * DAY), SOON)


def test_an_expired_access_key_gets_new_dates(world: World) -> None:
    again = edit.with_partner(world.listing, world.parties[PARTNER].card(), "CN", ("researcher",), LATER)
    assert again.partners[PartnerName(PARTNER)].keys[0].valid == LATER


def test_listing_somebody_anew_ends_no_suspension(world: World) -> None:
    for name in (CITY, GATEWAY, PARTNER):
        away = edit.suspend(world.listing, name, LATER)
        again = edit.with_card(away, world.parties[name].card(), None, None, LATER)
        assert [party.suspended for party in again.parties() if party.name == name] == [LATER]


def test_new_stewards_take_the_old_routing_entry_away(world: World) -> None:
    listing = world.directory.published
    assert listing.members[CityName(CITY)].routing is not None
    assert edit.with_member(listing, world.parties[CITY].card()) == listing
    successor = replace(world.parties[CITY], steward=KeySigner.generate())
    assert edit.with_member(listing, successor.card()).members[CityName(CITY)].routing is None


def test_who_takes_anothers_name_with_other_keys_is_found_out(world: World) -> None:
    for name in (CITY, GATEWAY, PARTNER):
        edit.check_keys(world.listing, world.parties[name].card())
        with pytest.raises(Conflict, match=f"{name} is listed with other keys"):
            edit.check_keys(world.listing, Party.make(name, NOW).card())
        for stolen in ("issuing", "signer"):
            other = replace(world.parties[name], **{stolen: getattr(Party.make(name, NOW), stolen)})
            with pytest.raises(Conflict):
                edit.check_keys(world.listing, other.card())
    edit.check_keys(world.listing, Party.make("inst.new", NOW).card())


def test_taking_somebody_off_leaves_the_others(world: World) -> None:
    names = {party.name for party in world.listing.parties()}
    for name in names:
        assert {party.name for party in edit.without(world.listing, name).parties()} == names - {name}


@pytest.mark.parametrize("change", [edit.without, lambda listing, name: edit.suspend(listing, name, LATER)])
def test_who_is_not_listed_cannot_be_changed(world: World, change: Callable[[Listing, str], Any]) -> None:
    for name in ("uz.tashkent", "gw.other", "inst.other"):
        with pytest.raises(NotFound):
            change(world.listing, name)


def test_a_directory_service_is_the_boards_to_list(world: World) -> None:
    card = replace(world.parties[GATEWAY].card(), kind=Kind.DIRECTORY, name=DIRECTORY)
    with pytest.raises(BadDirectory, match="not listed by the registrar"):
        edit.with_card(world.listing, card, valid=LATER)


def test_a_gateway_may_move(world: World) -> None:
    moved = edit.with_card(world.listing, world.parties[GATEWAY].card("gw.new:1"))
    assert moved.gateways[GatewayName(GATEWAY)].address == "gw.new:1"
