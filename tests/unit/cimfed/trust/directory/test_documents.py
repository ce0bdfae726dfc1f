"""Target files: each rule of ``documents`` with a document that breaks it and keeps all others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rfc8785

from cimfed.errors import BadDirectory
from cimfed.model.names import Federation
from cimfed.trust.directory import documents
from cimfed.trust.directory.layout import PARTNERS, partners_bin
from cimfed.trust.directory.listing import Listing, PublishedVocabulary, Revocation, Service
from cimfed.trust.envelope import PayloadType, seal
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import KeySigner
from tests.unit.cimfed.parties import CITY, DIRECTORY, GATEWAY, PARTNER, SCO, Party, World
from tests.unit.cimfed.trust.directory.test_proof import entry, routing

NOW = 1_800_000_000_000_000
SPAN = (NOW, NOW + 3_600_000_000)
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def world() -> World:
    """Never changed by a test."""
    return World(NOW, CITY, GATEWAY, PARTNER, "inst.iitd")


@pytest.fixture
def listing(world: World) -> Listing:
    return world.listing


def members(world: World, content: bytes) -> Any:
    return documents.parse_members(content, SCO, {CITY: (world.parties[CITY].steward.public,)})


def written(listing: Listing) -> bytes:
    return documents.members_document(SCO, listing.members, listing.gateways)


def changed(content: bytes, change: Change) -> bytes:
    document = json.loads(content)
    change(document)
    return rfc8785.dumps(document)


def test_what_is_written_reads_back(world: World, listing: Listing) -> None:
    assert members(world, written(listing)) == (listing.members, listing.gateways)
    bins = documents.partners_documents(SCO, listing.partners)
    found = {name: item for path in bins for name, item in documents.parse_partners(bins[path], SCO, path).items()}
    assert found == listing.partners
    service = world.board.service
    assert documents.parse_service(documents.service_document(SCO, service)) == (SCO, service)
    vocabulary = PublishedVocabulary("2", bytes(32))
    assert documents.parse_vocabulary(documents.vocabulary_document(vocabulary)) == vocabulary
    revoked = (Revocation(PARTNER, "lost", NOW), Revocation("ab" * 32, "утеряно", NOW + 1))
    assert documents.parse_revoked(documents.revoked_document(SCO, revoked), SCO) == revoked


def test_suspensions_are_written_and_read_back(world: World, listing: Listing) -> None:
    away = replace(listing.members[CITY], suspended=SPAN)
    suspended = replace(listing, members={CITY: away})
    assert members(world, written(suspended))[0] == {CITY: away}
    assert b"suspended" not in written(listing)


# Rule 1

FORMS: dict[str, Change] = {
    "an unknown field": lambda d: d.update(extra=1),
    "an unknown field inside": lambda d: d["members"][CITY].update(trusted=True),
    "a missing field": lambda d: d["members"][CITY].pop("keys"),
    "another format": lambda d: d.update(format="cimfed/members/v2"),
    "no format": lambda d: d.pop("format"),
    "another federation": lambda d: d.update(federation="silkroad"),
    "a list for a mapping": lambda d: d.update(members=[]),
    "a mapping for a list": lambda d: d["members"][CITY].update(keys={}),
    "a number for text": lambda d: d["members"][CITY].update(address=7),
    "a null": lambda d: d["members"][CITY].update(suspended=None),
    "a mapping for a text": lambda d: d["members"][CITY].update(keys=[{}]),
    "a number for a document's part": lambda d: d.update(gateways=7),
}


@pytest.mark.parametrize("change", FORMS.values(), ids=FORMS)
def test_rule_1_a_document_has_its_fields_and_no_others(world: World, listing: Listing, change: Change) -> None:
    with pytest.raises(BadDirectory):
        members(world, changed(written(listing), change))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b",", b", ", 1),
        lambda text: text + b"\n",
        lambda text: text.replace(b'"federation"', b'"federation":"sco","federation"'),
        lambda text: text.replace(b"sco", b"\\u0073co", 1),
        lambda text: text[:-1],
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: b"",
        lambda text: b"[]",
        lambda text: b"[" * 100_000,
        lambda text: b"\xff",
    ],
)
def test_rule_1_a_document_is_the_bytes_that_are_written_here(
    world: World, listing: Listing, change: Callable[[bytes], bytes]
) -> None:
    with pytest.raises(BadDirectory):
        members(world, change(written(listing)))


def test_rule_1_keys_out_of_order_are_another_document(world: World, listing: Listing) -> None:
    document = json.loads(written(listing))
    backwards = json.dumps(dict(reversed(list(document.items()))), separators=(",", ":"), ensure_ascii=False).encode()
    assert json.loads(backwards) == document
    with pytest.raises(BadDirectory, match="canonical"):
        members(world, backwards)


def test_rule_1_stewards_are_of_the_cities_that_are_listed(world: World, listing: Listing) -> None:
    steward = world.parties[CITY].steward.public
    for stewards in ({}, {"uz.tashkent": (steward,)}, {CITY: (steward,), "uz.tashkent": (steward,)}):
        with pytest.raises(BadDirectory, match="stewards"):
            documents.parse_members(written(listing), SCO, stewards)


# Rule 2

MEMBERS: dict[str, Change] = {
    "a partner among cities": lambda d: d["members"].update({CITY: d["members"][CITY], PARTNER: d["members"][CITY]}),
    "a city among gateways": lambda d: d["gateways"].update({"uz.tashkent": d["gateways"].pop(GATEWAY)}),
    "a name in upper case": lambda d: d["gateways"].update({"gw.Alliance": d["gateways"].pop(GATEWAY)}),
    "an address without port": lambda d: d["members"][CITY].update(address="127.0.0.1"),
    "an address with a scheme": lambda d: d["members"][CITY].update(address="https://a:1"),
    "no key": lambda d: d["members"][CITY].update(keys=[]),
    "nine keys": lambda d: d["members"][CITY].update(keys=[KeySigner.generate().public.text for _ in range(9)]),
    "a key of another algorithm": lambda d: d["members"][CITY].update(keys=["rsa:" + "00" * 32]),
    "a key in capitals": lambda d: d["members"][CITY].update(keys=[d["members"][CITY]["keys"][0].upper()]),
    "no issuer": lambda d: d["members"][CITY].update(issuers=[]),
    "three issuers": lambda d: d["members"][CITY].update(issuers=d["members"][CITY]["issuers"] * 3),
    "a suspension of no time": lambda d: d["members"][CITY].update(suspended=["2027-01-01T00:00:00Z"] * 2),
    "a suspension that ends before it begins": lambda d: d["members"][CITY].update(
        suspended=["2027-01-02T00:00:00Z", "2027-01-01T00:00:00Z"]
    ),
    "a suspension without end": lambda d: d["members"][CITY].update(suspended=["2027-01-02T00:00:00Z"]),
    "a time without zone": lambda d: d["members"][CITY].update(
        suspended=["2027-01-02T00:00:00", "2027-01-03T00:00:00"]
    ),
}


@pytest.mark.parametrize("change", MEMBERS.values(), ids=MEMBERS)
def test_rule_2_of_members_and_gateways(world: World, listing: Listing, change: Change) -> None:
    content = changed(written(listing), change)
    stewards = dict.fromkeys(json.loads(content)["members"], (world.parties[CITY].steward.public,))
    with pytest.raises(BadDirectory):
        documents.parse_members(content, SCO, stewards)


OF_PARTNERS: dict[str, Change] = {
    "a country of three letters": lambda p: p.update(country="CHN"),
    "a country in small letters": lambda p: p.update(country="cn"),
    "a country that is a number": lambda p: p.update(country=7),
    "roles out of order": lambda p: p.update(roles=["teacher", "researcher"]),
    "a role twice": lambda p: p.update(roles=["researcher", "researcher"]),
    "a role of two words": lambda p: p.update(roles=["chief researcher"]),
    "nine keys": lambda p: p.update(keys=[{**p["keys"][0], "key": KeySigner.generate().public.text} for _ in range(9)]),
    "a key without dates": lambda p: p["keys"][0].pop("valid"),
    "a key that ends before it begins": lambda p: p["keys"][0].update(valid=p["keys"][0]["valid"][::-1]),
    "an issuer that is text": lambda p: p.update(issuers=["none"]),
    "an issuer with a line before it": lambda p: p.update(issuers=["note\n" + p["issuers"][0]]),
    "no issuer": lambda p: p.update(issuers=[]),
}


@pytest.mark.parametrize("change", OF_PARTNERS.values(), ids=OF_PARTNERS)
def test_rule_2_of_partners(world: World, listing: Listing, change: Change) -> None:
    path = partners_bin(PARTNER)
    content = documents.partners_documents(SCO, listing.partners)[path]
    content = changed(content, lambda d: change(d["partners"][PARTNER]))

    def read() -> None:
        documents.check(SCO, world.board.service, documents.parse_partners(content, SCO, path).values())

    with pytest.raises(BadDirectory):
        read()


def test_rule_2_a_partner_is_in_its_own_bin(listing: Listing) -> None:
    path, digit = partners_bin(PARTNER), sha256(PARTNER.encode()).hex()[0]
    assert path == f"partners/{digit}.json"
    content = documents.partners_documents(SCO, listing.partners)[path]
    other = next(name for name in PARTNERS if name != path)
    with pytest.raises(BadDirectory):
        documents.parse_partners(content, SCO, other)
    moved = changed(content, lambda d: d.update(bin=other.removeprefix("partners/").removesuffix(".json")))
    for where in (path, other):
        with pytest.raises(BadDirectory):
            documents.parse_partners(moved, SCO, where)


def test_a_bin_that_was_read_before_is_not_to_be_changed(listing: Listing) -> None:
    path = partners_bin(PARTNER)
    content = documents.partners_documents(SCO, listing.partners)[path]
    found = documents.parse_partners(content, SCO, path)
    assert documents.parse_partners(bytes(bytearray(content)), SCO, path) is found
    assert found == {PARTNER: listing.partners[PARTNER]}
    with pytest.raises(TypeError):
        found[PARTNER] = listing.partners[PARTNER]  # type: ignore[index]


def test_rule_2_a_service_bears_a_services_name(world: World) -> None:
    content = documents.service_document(SCO, world.board.service)
    for name in (GATEWAY, CITY, PARTNER, "dir", "dir.Alliance"):
        with pytest.raises(BadDirectory):
            documents.parse_service(changed(content, lambda d: d.update(name=name)))  # noqa: B023
    with pytest.raises(BadDirectory):
        documents.parse_service(changed(content, lambda d: d.update(federation="SCO")))


@pytest.mark.parametrize(
    "change",
    [
        {"version": ""},
        {"version": "2\n"},
        {"version": "-1"},
        {"version": 2},
        {"sha256": "ab" * 31},
        {"sha256": "AB" * 32},
        {"sha256": "g" * 64},
        {"sha256": None},
        {"more": 1},
    ],
    ids=str,
)
def test_rule_2_of_a_vocabulary(change: dict[str, Any]) -> None:
    content = documents.vocabulary_document(PublishedVocabulary("2", bytes(32)))
    with pytest.raises(BadDirectory):
        documents.parse_vocabulary(changed(content, lambda d: d.update(change)))


@pytest.mark.parametrize(
    "item",
    [
        Revocation("Kz.Almaty", "lost", NOW),
        Revocation("ab" * 31, "lost", NOW),
        Revocation("AB" * 32, "lost", NOW),
        Revocation("", "lost", NOW),
        Revocation(PARTNER, "", NOW),
        Revocation(PARTNER, "x" * 201, NOW),
        Revocation(PARTNER, "two\nlines", NOW),
        Revocation(PARTNER, "red \x1b[31m", NOW),
    ],
    ids=str,
)
def test_rule_2_of_what_is_revoked(item: Revocation) -> None:
    with pytest.raises(BadDirectory):
        documents.parse_revoked(documents.revoked_document(SCO, [item]), SCO)


def test_rule_2_nothing_is_revoked_twice() -> None:
    twice = [Revocation(PARTNER, "lost", NOW), Revocation(PARTNER, "found", NOW + 1)]
    with pytest.raises(BadDirectory, match="twice"):
        documents.parse_revoked(documents.revoked_document(SCO, twice), SCO)


@pytest.mark.parametrize("text", ["a:0", "a:65536", ":1", "a b:1", "a:1\n", "http://a:1", "a", "-a:1", "a:01", ""])
def test_rule_2_an_address_is_a_host_and_a_port(text: str) -> None:
    with pytest.raises(BadDirectory):
        documents.address(text)


@pytest.mark.parametrize("text", ["127.0.0.1:1", "node.almaty.example:65535", "[::1]:50051"])
def test_addresses_are_kept_as_they_stand(text: str) -> None:
    assert documents.address(text) == text


# Rules 3 to 5


def check(world: World, listing: Listing, service: Service | None = None) -> None:
    documents.check(SCO, service or world.board.service, listing.parties())


def test_rule_3_an_issuing_certificate_is_made_for_its_party(world: World, listing: Listing) -> None:
    check(world, listing)
    member, issuers = listing.members[CITY], {name: (party.issuing.issuer,) for name, party in world.parties.items()}
    with pytest.raises(BadDirectory, match=CITY):
        check(world, replace(listing, members={CITY: replace(member, issuers=issuers[GATEWAY])}))
    both = (*member.issuers, *issuers["inst.iitd"])
    with pytest.raises(BadDirectory):
        check(world, replace(listing, members={CITY: replace(member, issuers=both)}))
    with pytest.raises(BadDirectory):
        documents.check(Federation("silkroad"), world.board.service, listing.parties())
    with pytest.raises(BadDirectory, match=DIRECTORY):
        check(world, listing, replace(world.board.service, issuers=issuers[CITY]))


def test_rule_3_while_it_changes_a_party_has_an_old_issuer_and_a_new(world: World, listing: Listing) -> None:
    new = Party.make(CITY, NOW).issuing.issuer
    member = listing.members[CITY]
    check(world, replace(listing, members={CITY: replace(member, issuers=(*member.issuers, new))}))


def test_rule_4_a_key_stands_once_in_the_whole_directory(world: World, listing: Listing) -> None:
    keys = {name: party.signer.public for name, party in world.parties.items()}
    member, gateway = listing.members[CITY], listing.gateways[GATEWAY]
    partner, other = listing.partners[PARTNER], listing.partners["inst.iitd"]
    steward = world.parties[CITY].steward.public
    for wrong in (
        replace(listing, members={CITY: replace(member, keys=(keys[CITY], keys[CITY]))}),
        replace(listing, members={CITY: replace(member, keys=(steward,))}),
        replace(listing, gateways={GATEWAY: replace(gateway, keys=(keys[CITY],))}),
        replace(listing, gateways={GATEWAY: replace(gateway, keys=(steward,))}),
        replace(listing, partners={PARTNER: partner, "inst.iitd": replace(other, keys=partner.keys)}),
        replace(listing, partners={PARTNER: replace(partner, keys=(replace(partner.keys[0], key=keys[CITY]),))}),
        replace(listing, members={CITY: replace(member, issuers=member.issuers * 2)}),
    ):
        with pytest.raises(BadDirectory, match="already listed"):
            check(world, wrong)
    with pytest.raises(BadDirectory, match="already listed"):
        check(world, listing, replace(world.board.service, keys=(keys[GATEWAY],)))


def test_rule_5_a_routing_entry_is_the_citys_own_and_its_stewards(world: World, listing: Listing) -> None:
    member, steward = listing.members[CITY], world.parties[CITY].steward

    def routed(envelope: Any) -> Listing:
        return replace(listing, members={CITY: replace(member, routing=envelope)})

    check(world, routed(routing(steward)))
    assert routed(routing(steward)).members[CITY].entry == entry()
    for envelope in (
        routing(KeySigner.generate()),
        routing(world.parties[CITY].signer),
        routing(steward, "uz.tashkent"),
        seal(PayloadType.POLICY, routing(steward).payload, steward),
        seal(PayloadType.ROUTING, b"{}", steward),
    ):
        with pytest.raises(BadDirectory):
            check(world, routed(envelope))
