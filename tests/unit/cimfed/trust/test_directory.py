"""The directory's file: what a reader takes and what it refuses; its lookups."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rfc8785

from cimfed.errors import BadDirectory, Conflict, DirectoryExpired, TooLarge, UnknownKey, UnknownPeer
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, Kind
from cimfed.model.routing import RoutingEntry, routing_payload
from cimfed.trust.directory.documents import address, parse
from cimfed.trust.directory.edit import DAY, publish, with_member, with_partner, with_routing
from cimfed.trust.envelope import Envelope, PayloadType, from_json, seal, to_json
from cimfed.trust.keys import KeySigner

from ..parties import CITY, GATEWAY, PARTNER, SCO, Party, World, listed

NOW = 1_800_000_000_000_000


def entry(version: int = 1, city: str = CITY) -> RoutingEntry:
    return RoutingEntry(CityName(city), version, bytes(32), {"building": (76.0, 43.0, 77.0, 44.0)}, (NOW, NOW + DAY))


def routing(signer: KeySigner, version: int = 1, city: str = CITY) -> Envelope:
    return seal(PayloadType.ROUTING, routing_payload(entry(version, city)), signer)


@pytest.fixture
def world() -> World:
    made = World(NOW, CITY, GATEWAY, PARTNER, "inst.iitd")
    made.listing = with_routing(made.listing, CityName(CITY), routing(made.parties[CITY].steward))
    made.publish()
    return made


def reread(world: World, now: int = NOW) -> Any:
    return parse(world.current(now).content, world.registrar.public, now)


def changed(world: World, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The same directory with a changed document, signed by the registrar all the same."""
    document = json.loads(from_json(world.current(NOW).content, LIMITS.directory).payload)
    change(document)
    return to_json(seal(PayloadType.DIRECTORY, rfc8785.dumps(document), world.registrar))


def test_what_was_published_reads_back_with_every_lookup(world: World) -> None:
    directory = reread(world)
    almaty, tsinghua = world.parties[CITY], world.parties[PARTNER]
    assert (directory.federation, directory.version) == (SCO, 2)
    assert directory.member(CITY).keys == (almaty.signer.public,)
    assert directory.gateway(GATEWAY).keys == (world.parties[GATEWAY].signer.public,)
    assert (directory.partner(PARTNER).country, directory.partner(PARTNER).roles) == ("CN", ("researcher",))
    assert directory.address(CITY) == "127.0.0.1:1"
    assert directory.issuer(Kind.CITY, CITY) == almaty.issuing.issuer
    assert len(directory.issuers) == 4
    assert directory.routing(CITY) == (entry(), routing(almaty.steward))
    found = directory.access_key(tsinghua.signer.public.id, NOW)
    assert (found.key, found.organisation) == (tsinghua.signer.public, PARTNER)
    assert {key.organisation for key in directory.access_keys(NOW)} == {PARTNER, "inst.iitd"}


def test_who_is_not_listed_is_unknown_to_every_lookup(world: World) -> None:
    directory = reread(world)
    for lookup in (
        lambda: directory.member("uz.tashkent"),
        lambda: directory.gateway(CITY),
        lambda: directory.partner("inst.other"),
        lambda: directory.issuer(Kind.GATEWAY, CITY),
        lambda: directory.address(PARTNER),
        lambda: directory.routing("uz.tashkent"),
    ):
        with pytest.raises(UnknownPeer):
            lookup()


def test_an_access_key_counts_within_its_dates_alone(world: World) -> None:
    directory, key = reread(world), world.parties[PARTNER].signer.public
    for moment in (NOW - 1, NOW + 365 * DAY):
        with pytest.raises(UnknownKey):
            directory.access_key(key.id, moment)
        assert key not in [item.key for item in directory.access_keys(moment)]
    with pytest.raises(UnknownKey):
        directory.access_key(world.parties[CITY].signer.public.id, NOW)


def test_it_is_refused_from_the_moment_it_expires(world: World) -> None:
    expires = world.current(NOW).expires
    assert reread(world, expires - 1)
    with pytest.raises(DirectoryExpired):
        reread(world, expires)


def test_another_key_no_signature_and_another_type_are_refused(world: World) -> None:
    content = world.current(NOW).content
    with pytest.raises(BadDirectory):
        parse(content, KeySigner.generate().public, NOW)
    envelope = from_json(content, LIMITS.directory)
    with pytest.raises(BadDirectory):
        parse(to_json(replace(envelope, signatures=())), world.registrar.public, NOW)
    with pytest.raises(BadDirectory):
        parse(to_json(seal(PayloadType.ROUTING, envelope.payload, world.registrar)), world.registrar.public, NOW)


def test_one_changed_byte_is_refused(world: World) -> None:
    envelope = from_json(world.current(NOW).content, LIMITS.directory)
    payload = envelope.payload.replace(b"127.0.0.1:1", b"127.0.0.1:2")
    assert payload != envelope.payload
    with pytest.raises(BadDirectory):
        parse(to_json(replace(envelope, payload=payload)), world.registrar.public, NOW)


def test_a_file_above_the_limit_is_not_parsed(world: World) -> None:
    with pytest.raises(TooLarge):
        parse(b"{" * (LIMITS.directory + 1), world.registrar.public, NOW)


def _swap(document: dict[str, Any]) -> None:
    """Two partners with one access key."""
    partners = document["partners"]
    partners["inst.iitd"]["keys"] = partners[PARTNER]["keys"]


def _one_issuer(document: dict[str, Any]) -> None:
    document["partners"]["inst.iitd"]["issuer"] = document["partners"][PARTNER]["issuer"]


def _key_of_a_city(document: dict[str, Any]) -> None:
    document["partners"][PARTNER]["keys"][0]["key"] = document["members"][CITY]["keys"][0]


def _foreign_routing(document: dict[str, Any]) -> None:
    stray = to_json(routing(KeySigner.generate()))
    document["members"][CITY]["routing"] = base64.b64encode(stray).decode()


BAD = {
    "an unknown field": lambda d: d.update(extra=1),
    "an unknown field inside": lambda d: d["members"][CITY].update(trusted=True),
    "a missing field": lambda d: d["partners"][PARTNER].pop("roles"),
    "another format": lambda d: d.update(format="cimfed/directory/v2"),
    "no version": lambda d: d.update(version=0),
    "a version that is text": lambda d: d.update(version="2"),
    "a version that is true": lambda d: d.update(version=True),
    "an end before its beginning": lambda d: d.update(expires=d["issued"]),
    "a time without zone": lambda d: d.update(expires="2030-01-01T00:00:00"),
    "a federation that is no label": lambda d: d.update(federation="SCO"),
    "a partner among cities": lambda d: d["members"].update({PARTNER: d["members"].pop(CITY)}),
    "a name in upper case": lambda d: d["gateways"].update({"gw.Alliance": d["gateways"].pop(GATEWAY)}),
    "an address without port": lambda d: d["members"][CITY].update(address="127.0.0.1"),
    "an issuer of another": lambda d: d["members"][CITY].update(issuer=d["gateways"][GATEWAY]["issuer"]),
    "an issuer that is text": lambda d: d["members"][CITY].update(issuer="none"),
    "two partners with one key": _swap,
    "two partners with one issuer": _one_issuer,
    "a partner with a city's key": _key_of_a_city,
    "a key listed twice": lambda d: d["members"][CITY]["keys"].append(d["members"][CITY]["keys"][0]),
    "a key of another algorithm": lambda d: d["members"][CITY].update(keys=["rsa:" + "00" * 32]),
    "a routing entry of another steward": _foreign_routing,
    "roles out of order": lambda d: d["partners"][PARTNER].update(roles=["z", "a"]),
    "a list for a mapping": lambda d: d.update(members=[]),
    "a number for a name": lambda d: d["partners"][PARTNER].update(country=7),
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_a_directory_that_is_signed_but_wrong_is_refused(world: World, change: Callable[[dict[str, Any]], Any]) -> None:
    with pytest.raises(BadDirectory):
        parse(changed(world, change), world.registrar.public, NOW)


def test_a_name_doubled_in_the_text_is_refused(world: World) -> None:
    payload = from_json(world.current(NOW).content, LIMITS.directory).payload
    doubled = payload.replace(b'"version":2', b'"version":2,"version":2')
    assert doubled != payload
    with pytest.raises(BadDirectory):
        parse(to_json(seal(PayloadType.DIRECTORY, doubled, world.registrar)), world.registrar.public, NOW)


@pytest.mark.parametrize("text", ["a:0", "a:65536", ":1", "a b:1", "a:1\n", "http://a:1", "a", "-a:1", "a:01"])
def test_an_address_is_a_host_and_a_port(text: str) -> None:
    with pytest.raises(BadDirectory):
        address(text)


@pytest.mark.parametrize("text", ["127.0.0.1:1", "node.almaty.example:65535", "[::1]:50051"])
def test_addresses_are_kept_as_they_stand(text: str) -> None:
    assert address(text) == text


class TestPublishing:
    def test_each_version_is_one_on(self, world: World) -> None:
        assert [world.publish().version, world.publish().version] == [3, 4]

    def test_the_same_card_again_changes_nothing(self, world: World) -> None:
        assert with_member(world.listing, world.parties[CITY].card()) == world.listing
        again = with_partner(
            world.listing, world.parties[PARTNER].card(), "CN", ("researcher",), (NOW + DAY, NOW + 2 * DAY)
        )
        assert again == world.listing

    def test_an_expired_access_key_gets_new_dates(self, world: World) -> None:
        later = (NOW + 400 * DAY, NOW + 500 * DAY)
        again = with_partner(world.listing, world.parties[PARTNER].card(), "CN", ("researcher",), later)
        assert again.partners[PARTNER].keys[0].valid == later

    def test_new_stewards_take_the_old_routing_entry_away(self, world: World) -> None:
        successor = replace(world.parties[CITY], steward=KeySigner.generate())
        assert with_member(world.listing, successor.card()).members[CITY].routing is None

    def test_a_routing_entry_of_another_steward_or_city_is_refused(self, world: World) -> None:
        for stray in (
            routing(KeySigner.generate(), 2),
            routing(world.parties[CITY].steward, 2, "uz.tashkent"),
        ):
            with pytest.raises(BadDirectory):
                with_routing(world.listing, CityName(CITY), stray)

    def test_a_routing_entry_does_not_go_back_in_version(self, world: World) -> None:
        newer = with_routing(world.listing, CityName(CITY), routing(world.parties[CITY].steward, 3))
        with pytest.raises(Conflict):
            with_routing(newer, CityName(CITY), routing(world.parties[CITY].steward, 2))
        assert with_routing(newer, CityName(CITY), routing(world.parties[CITY].steward, 3)) == newer

    def test_listing_a_city_anew_does_not_bring_an_older_routing_entry_back(self, world: World) -> None:
        party = world.parties[CITY]
        newer = with_routing(world.listing, CityName(CITY), routing(party.steward, 3))
        with pytest.raises(Conflict):
            with_member(newer, party.card(), routing(party.steward, 2))
        with pytest.raises(BadDirectory):
            with_member(newer, party.card(), routing(KeySigner.generate(), 4))
        later = with_member(newer, party.card(), routing(party.steward, 4))
        assert later.members[CityName(CITY)].routing == routing(party.steward, 4)

    def test_a_routing_entry_of_no_member_is_refused(self, world: World) -> None:
        with pytest.raises(BadDirectory):
            with_routing(world.listing, CityName("uz.tashkent"), routing(world.parties[CITY].steward))

    def test_the_registrar_does_not_sign_what_readers_would_refuse(self, world: World) -> None:
        twin = replace(Party.make("uz.tashkent", NOW), signer=world.parties[CITY].signer)
        with pytest.raises(BadDirectory):
            publish(SCO, listed(world.listing, twin, NOW), world.directory, NOW, world.registrar)
