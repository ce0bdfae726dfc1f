"""New keys of a party that is known: named by a former key or a steward's, or accepted by whoever knew the party."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cimfed.model.names import CityName
from cimfed.rpc import clock
from cimfed.rpc.mirror import Mirrors
from cimfed.trust.card import parse_card
from cimfed.trust.directory.follow import Follower, last_known
from cimfed.trust.directory.listing import Directory
from cimfed.trust.keys import PublicKey
from tests.service import Running, serving
from tests.unit.cimfed.parties import SCO

CITY, PARTNER, GATEWAY = "kz.almaty", "inst.iitd", "gw.alliance"
READERS = {
    "partner": ("profiles/inst.iitd/directory", ("cimfed", "key", "accept", CITY, "--profile", PARTNER)),
    "node": ("uz.tashkent/control/directory", ("cimfed-node", "key", "accept", CITY, "--home", "uz.tashkent")),
    "office": ("second/directory", ("cimfed", "key", "accept", CITY, "--home", "second")),
    "gateway": (f"{GATEWAY}/directory", ("cimfed-gateway", "key", "accept", CITY, "--home", GATEWAY)),
}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    """Everybody has joined, and knows everybody."""
    with serving(tmp_path) as running:
        running.join_gateway()
        running.join_partner()
        for city in (CITY, "uz.tashkent"):
            running.join_city(city)
        running.ok("cimfed", "directory", "office", "--home", "second", "--federation", SCO,
                   "--root", "office/directory/root.json", "--directory", running.address)  # fmt: skip
        for folder, _ in READERS.values():
            look(running, folder)
        yield running


def look(service: Running, folder: str) -> None:
    """As each of them does every two seconds."""
    follower = Follower(service.folder / folder, SCO, Mirrors(SCO, service.address), clock.now)
    follower.refresh()
    follower.close()


def known(service: Running, folder: str) -> Directory:
    found = last_known(service.folder / folder, SCO, clock.now())
    assert found is not None
    return found


def joined_anew(service: Running, *more: object) -> tuple[str, tuple[PublicKey, ...]]:
    """The city comes back with new keys; what the registrar was told, and the keys."""
    token = service.token("member", CITY, "--new-keys")
    service.ok("cimfed-node", "join", token, "--home", "anew", "--address", "localhost:9",
               "--steward-key", service.steward(CITY), *more)  # fmt: skip
    said = service.approve(CITY).out
    for folder, _ in READERS.values():
        look(service, folder)
    return said, parse_card((service.folder / "anew" / "card.json").read_bytes()).keys


@pytest.mark.parametrize("former", [f"{CITY}/keys/node.key", f"{CITY}.steward.key"], ids=["its old key", "its steward"])
def test_new_keys_that_a_key_of_the_party_has_named_count_everywhere(service: Running, former: str) -> None:
    said, keys = joined_anew(service, "--former", former)
    assert "has signed this card" not in said
    for folder, _ in READERS.values():
        assert known(service, folder).member(CITY).keys == keys


def test_who_was_taken_off_the_list_comes_back_by_a_key_of_then(service: Running) -> None:
    service.ok("cimfed", "member", "remove", CITY, "--reason", "moves", "--yes")
    words = ("--home", "anew", "--address", "localhost:9", "--steward-key", service.steward(CITY))
    token = service.token("member", CITY)
    service.ok("cimfed-node", "join", token, *words)
    approve = ("cimfed", "requests", "approve", CITY, "--dry-run")
    assert f"no key that was listed for {CITY} has signed this card" in service.ok(*approve).out
    service.ok("cimfed-node", "join", token, *words, "--former", f"{CITY}.steward.key")
    assert "has signed this card" not in service.approve(CITY).out
    keys = parse_card((service.folder / "anew" / "card.json").read_bytes()).keys
    for folder, _ in READERS.values():
        look(service, folder)
        assert known(service, folder).member(CITY).keys == keys


def test_a_former_key_that_is_not_there_or_was_never_the_partys_is_told(service: Running) -> None:
    words = ("cimfed-node", "join", service.token("member", CITY, "--new-keys"), "--home", "anew", "--address",
             "localhost:9", "--steward-key", service.steward(CITY), "--former")  # fmt: skip
    assert service.refused(*words, "nowhere.key") == "bad_config"
    assert not (service.folder / "anew").exists()
    assert "does not list the former key" in service.ok(*words, "uz.tashkent/keys/node.key").out


@pytest.mark.parametrize("reader", READERS)
def test_new_keys_that_nothing_has_named_count_for_who_has_accepted_them(service: Running, reader: str) -> None:
    said, keys = joined_anew(service)
    assert "no key that is listed for kz.almaty has signed this card" in said
    folder, words = READERS[reader]
    assert known(service, folder).member(CITY).keys == ()
    assert known(service, folder).published.members[CityName(CITY)].keys == keys
    fingerprint = parse_card((service.folder / "anew" / "card.json").read_bytes()).fingerprint
    assert fingerprint in service.ok(*words, "--dry-run").out
    assert service.refused(*words) == "not_confirmed"
    assert service.refused(*words, "--fingerprint", "0" * 32) == "bad_directory"
    assert known(service, folder).member(CITY).keys == ()
    assert "they count here from now on" in service.ok(*words, "--fingerprint", fingerprint).out
    assert known(service, folder).member(CITY).keys == keys
    assert "count here already" in service.ok(*words, "--yes").out
    others = [other for name, (other, _) in READERS.items() if name != reader]
    assert [known(service, other).member(CITY).keys for other in others] == [(), (), ()]
    assert known(service, "office/directory").member(CITY).keys == keys  # the registrar has compared the fingerprint


def test_nothing_is_accepted_of_a_party_that_is_not_listed(service: Running) -> None:
    assert service.refused("cimfed", "key", "accept", "ir.tehran", "--profile", PARTNER, "--yes") == "not_found"


def test_a_card_is_endorsed_where_it_lies(service: Running) -> None:
    card = service.folder / CITY / "card.json"
    before = card.read_bytes()
    steward = service.folder / f"{CITY}.steward.key"
    service.ok("cimfed", "key", "endorse", card, "--key", steward, "--dry-run")
    assert card.read_bytes() == before
    service.ok("cimfed", "key", "endorse", card, "--key", steward)
    assert parse_card(card.read_bytes()) == parse_card(before)
    assert card.read_bytes() != before
    assert service.refused("cimfed", "key", "endorse", steward.with_suffix(".pub"), "--key", steward) == "bad_directory"
