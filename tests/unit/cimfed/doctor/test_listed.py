"""How the directory stands, and how it lists a party, by directories that a whole board signed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cimfed.doctor import listed
from cimfed.doctor.finding import Code, Finding, Severity
from cimfed.doctor.listed import Own
from cimfed.model.names import Federation
from cimfed.trust.directory import layout
from cimfed.trust.directory.edit import DAY, with_gateway, with_member, with_partner
from cimfed.trust.directory.listing import Directory, Listing, PublishedVocabulary
from cimfed.trust.identity_files import make_identity
from cimfed.trust.keys import KeySigner
from tests.board import Board

SCO = Federation("sco")
NOW = 1_767_225_600_000_000
HOUR = 3_600_000_000
CITY, PARTNER, GATEWAY = "kz.almaty", "inst.tsinghua", "gw.alliance"
STEWARD = KeySigner.generate().public


def codes(found: Iterable[Finding]) -> list[Code]:
    return [each.code for each in found]


class Federated:
    """A board with one of each listed, and their cards."""

    def __init__(self, folder: Path) -> None:
        self.cards = {
            name: make_identity(folder / name, name, SCO, NOW, address, stewards)
            for name, address, stewards in (
                (CITY, "almaty.example:8443", [STEWARD]),
                (GATEWAY, "gw.example:8443", ()),
                (PARTNER, "", ()),
            )
        }
        listing = with_member(Listing(), self.cards[CITY])
        listing = with_gateway(listing, self.cards[GATEWAY])
        self.listing = with_partner(listing, self.cards[PARTNER], "CN", ("researcher",), (NOW - DAY, NOW + 29 * DAY))
        self.board = Board(SCO, NOW, self.listing)

    @property
    def directory(self) -> Directory:
        return self.board.directory

    def own(self, name: str, **other: object) -> Own:
        card = self.cards[name]
        made = Own(name, card.keys, card.issuers, card.address, card.stewards)
        return replace(made, **other)  # type: ignore[arg-type]

    def said(self, name: str, at: int = NOW, **other: object) -> list[Code]:
        return codes(listed.listing(self.directory, self.own(name, **other), at))


@pytest.fixture
def sco(tmp_path: Path) -> Federated:
    return Federated(tmp_path)


@pytest.mark.parametrize("name", [CITY, GATEWAY, PARTNER])
def test_a_party_that_is_listed_as_it_is_is_well(sco: Federated, name: str) -> None:
    assert set(sco.said(name)) == {Code.OK}


# role, and how long before its end it is warned of: a third of its life, the revoker's six hours
WARNED = {
    layout.ROOT: 122 * 24 * HOUR,
    layout.TARGETS: 122 * 24 * HOUR,
    layout.REGISTRAR: 30 * 24 * HOUR,
    layout.SNAPSHOT: 56 * HOUR,
    layout.TIMESTAMP: HOUR // 12,
    layout.REVOKER: 6 * HOUR,
}


@pytest.mark.parametrize("role", layout.ROLES)
def test_a_role_is_warned_of_before_it_ends_and_is_an_error_from_then_on(sco: Federated, role: str) -> None:
    ends = sco.directory.ends[role]
    for at, code in (
        (ends - WARNED[role] - 1, None),
        (ends - WARNED[role], Code.ROLE_ENDING),
        (ends - 1, Code.ROLE_ENDING),
        (ends, Code.ROLE_ENDED),
    ):
        said = {each.about: each.code for each in listed.directory(sco.directory, at)}
        assert said.get(role) is code, at - ends


def test_a_directory_that_is_well_says_what_ends_first(sco: Federated) -> None:
    (found,) = listed.directory(sco.directory, NOW)
    assert found.severity is Severity.OK
    assert found.until == sco.directory.ends[layout.TIMESTAMP]


def test_another_vocabulary_is_told(sco: Federated) -> None:
    other = replace(sco.listing, vocabulary=PublishedVocabulary("9.9", bytes(32)))
    sco.board.publish(other, NOW)
    assert Code.VOCABULARY_OTHER in codes(listed.directory(sco.directory, NOW))


def test_a_party_that_is_not_listed_is_told_so(sco: Federated) -> None:
    sco.board.publish(replace(sco.listing, members={}), NOW)
    assert sco.said(CITY) == [Code.NOT_LISTED]


@pytest.mark.parametrize("name", [CITY, GATEWAY, PARTNER])
def test_a_revoked_party_hears_why_and_since_when(sco: Federated, name: str) -> None:
    sco.board.revoke(name, "left the alliance", NOW + 1)
    (found,) = listed.listing(sco.directory, sco.own(name), NOW + 2)
    assert found.code is Code.REVOKED
    assert "left the alliance" in found.what
    assert found.since == NOW + 1


def test_a_revoked_key_is_told_and_a_revoked_issuer(sco: Federated) -> None:
    card = sco.cards[CITY]
    sco.board.revoke(card.keys[0].id.hex(), "stolen", NOW)
    assert sco.said(CITY) == [Code.KEY_REVOKED]
    sco.board.revoke(card.issuers[0].id.hex(), "stolen too", NOW)
    assert sco.said(CITY) == [Code.KEY_REVOKED, Code.ISSUER_NOT_LISTED]


def test_a_revoked_access_key_is_not_called_valid(sco: Federated) -> None:
    sco.board.revoke(sco.cards[PARTNER].keys[0].id.hex(), "stolen", NOW)
    assert sco.said(PARTNER) == [Code.KEY_REVOKED]


@pytest.mark.parametrize(
    ("at", "severity"), [(-1, Severity.WARNING), (0, Severity.ERROR), (9, Severity.ERROR), (10, None)]
)
def test_a_suspension_is_told_before_and_while_it_holds(sco: Federated, at: int, severity: Severity | None) -> None:
    span = (NOW + 100, NOW + 110)
    member = replace(sco.listing.members[CITY], suspended=span)  # type: ignore[index]
    sco.board.publish(replace(sco.listing, members={member.name: member}), NOW)
    found = [each for each in listed.listing(sco.directory, sco.own(CITY), span[0] + at) if each.code is Code.SUSPENDED]
    assert [each.severity for each in found] == ([severity] if severity else [])
    assert all((each.since, each.until) == span for each in found)


def test_another_key_or_issuer_than_the_listed_one_is_an_error(sco: Federated, tmp_path: Path) -> None:
    other = make_identity(tmp_path / "other", CITY, SCO, NOW, "almaty.example:8443", [STEWARD])
    assert sco.said(CITY, keys=other.keys) == [Code.KEY_NOT_LISTED]
    assert sco.said(CITY, issuers=other.issuers) == [Code.ISSUER_NOT_LISTED]


def test_a_listed_key_that_is_not_here_is_told(sco: Federated) -> None:
    further = KeySigner.generate().public
    member = sco.listing.members[CITY]  # type: ignore[index]
    member = replace(member, keys=(*member.keys, further))
    sco.board.publish(replace(sco.listing, members={member.name: member}), NOW)
    assert sco.said(CITY) == [Code.KEY_ELSEWHERE]


def test_while_keys_change_one_that_is_listed_is_enough(sco: Federated, tmp_path: Path) -> None:
    old, following = sco.cards[CITY], make_identity(tmp_path / "next", CITY, SCO, NOW, "almaty.example:8443", [STEWARD])
    here = {"keys": (*old.keys, *following.keys), "issuers": (*old.issuers, *following.issuers)}
    member = sco.listing.members[CITY]  # type: ignore[index]
    for keys in (old.keys, (*old.keys, *following.keys), following.keys):
        for issuers in (old.issuers, (*old.issuers, *following.issuers), following.issuers):
            listed_now = replace(member, keys=keys, issuers=issuers)
            sco.board.publish(replace(sco.listing, members={member.name: listed_now}), NOW)
            assert sco.said(CITY, **here) == [Code.OK]
    assert sco.said(CITY) == [Code.KEY_NOT_LISTED, Code.ISSUER_NOT_LISTED]
    sco.board.revoke(old.keys[0].id.hex(), "stolen", NOW)
    assert sco.said(CITY, **here) == [Code.OK]


def test_what_cannot_be_had_is_not_compared(sco: Federated) -> None:
    assert sco.said(CITY, keys=(), issuers=(), address="", stewards=()) == [Code.OK]


def test_another_address_or_other_stewards_than_the_listed_ones_are_told(sco: Federated) -> None:
    assert sco.said(CITY, address="elsewhere.example:1") == [Code.ADDRESS_OTHER]
    new = KeySigner.generate().public
    for pinned, severity in (((new,), Severity.ERROR), ((STEWARD, new), Severity.WARNING)):
        (found,) = listed.listing(sco.directory, sco.own(CITY, stewards=pinned), NOW)
        assert (found.code, found.severity) == (Code.STEWARDS_OTHER, severity)


@pytest.mark.parametrize(
    ("days", "code"),
    [
        (-1.001, Code.ACCESS_KEY_NOT_BEGUN),
        (-1, Code.OK),
        (18.999, Code.OK),
        (19, Code.ACCESS_KEY_ENDING),  # of 30 days, the last ten
        (28.999, Code.ACCESS_KEY_ENDING),
        (29, Code.ACCESS_KEY_ENDED),
    ],
)
def test_an_access_key_is_told_of_before_it_ends(sco: Federated, days: float, code: Code) -> None:
    (found,) = (each for each in listed.listing(sco.directory, sco.own(PARTNER), NOW + int(days * DAY)) if each.until)
    assert found.code is code
    assert (found.since, found.until) == (NOW - DAY, NOW + 29 * DAY)


def test_an_office_hears_of_keys_that_end_and_of_cities_without_a_routing_entry(sco: Federated) -> None:
    assert codes(listed.office(sco.directory, NOW)) == [Code.CITIES_UNROUTED]
    partners, cities = listed.office(sco.directory, NOW + 20 * DAY)
    assert partners.code is Code.PARTNERS_ENDING
    assert PARTNER in partners.what
    assert CITY in cities.what


def test_a_long_time_is_warned_of_a_third_of_a_year_before_its_end() -> None:
    year = layout.BOARD_LIFE // timedelta(microseconds=1)
    assert listed.notice((0, 30 * DAY)) == 20 * DAY
    assert listed.notice((0, year)) == year - year // 3
    assert listed.notice((0, 10 * year)) == 10 * year - year // 3
