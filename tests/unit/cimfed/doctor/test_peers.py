"""Others, by what came of asking them."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

import pytest

from cimfed.doctor import peers
from cimfed.doctor.clocks import Offset
from cimfed.doctor.finding import Code, Finding, Severity
from cimfed.doctor.peers import SPREADS, Asked
from cimfed.errors import BadDirectory, DirectoryExpired, NodeUnreachable, NotAllowed, TimedOut, UnknownPeer
from cimfed.rpc.ping import Pong
from cimfed.trust.directory import layout
from cimfed.trust.directory.listing import Listing
from tests.board import Board

NOW = 1_767_225_600_000_000
BOARD = Board("sco", NOW)
FIRST = BOARD.directory
SECOND = BOARD.publish(Listing(), NOW)
WELL = Pong(True, 0.012, 5, 3)
CITY = Asked("kz.almaty", "almaty.example:8443", pong=WELL, served=SECOND)


def said(*asked: Asked, now: int = NOW) -> list[Finding]:
    return list(peers.peers(asked, SECOND, now))


def codes(found: Iterable[Finding]) -> list[Code]:
    return [each.code for each in found]


def test_one_that_serves_what_is_current_is_well() -> None:
    (found,) = said(CITY)
    assert found.code is Code.OK
    assert found.what == f"kz.almaty serves at almaty.example:8443, 12 ms, directory version {SECOND.version}"


@pytest.mark.parametrize("error", [NodeUnreachable("away"), TimedOut("late")])
def test_one_that_is_away_is_a_warning_unless_nothing_works_without_it(error: NodeUnreachable | TimedOut) -> None:
    away = replace(CITY, pong=None, served=None, error=error)
    found = said(away, replace(away, name="gw.alliance", needed=True), replace(CITY, name="dir.alliance"))
    assert codes(found) == [Code.PEER_UNREACHABLE, Code.PEER_UNREACHABLE, Code.OK]
    assert [each.severity for each in found] == [Severity.WARNING, Severity.ERROR, Severity.OK]


@pytest.mark.parametrize("error", [UnknownPeer("not listed"), NotAllowed("not you")])
def test_one_that_refuses_calls_from_here_is_an_error(error: UnknownPeer | NotAllowed) -> None:
    found = said(replace(CITY, pong=None, served=None, error=error), CITY)
    assert codes(found) == [Code.PEER_REFUSES, Code.OK]
    assert found[0].severity is Severity.ERROR


def test_one_that_says_that_it_does_not_serve_is_told() -> None:
    found = said(replace(CITY, pong=replace(WELL, serving=False)))
    assert codes(found) == [Code.PEER_NOT_SERVING]


def test_one_that_answers_with_an_error_is_not_called_unreachable() -> None:
    found = said(replace(CITY, pong=None, served=None, error=DirectoryExpired("too old")), replace(CITY, name="gw.x"))
    assert codes(found) == [Code.PEER_NOT_SERVING, Code.OK]
    assert "directory_expired: too old" in found[0].what


def test_without_any_mirror_the_directory_lasts_until_it_ends() -> None:
    found = said(replace(CITY, pong=None, served=None, error=NodeUnreachable("away")))
    assert codes(found) == [Code.PEER_UNREACHABLE, Code.MIRRORS_AWAY]
    assert found[-1].until == SECOND.expires


def test_a_mirror_is_behind_once_what_is_newer_has_had_time_to_spread() -> None:
    late = replace(CITY, served=FIRST)
    assert codes(said(late, now=SECOND.issued + SPREADS - 1)) == [Code.OK]
    assert codes(said(late, now=SECOND.issued + SPREADS)) == [Code.MIRROR_BEHIND]


def test_a_mirror_whose_timestamp_has_ended_is_behind() -> None:
    ends = SECOND.ends[layout.TIMESTAMP]
    assert codes(said(CITY, now=ends - 1)) == [Code.OK]
    assert codes(said(CITY, now=ends)) == [Code.MIRROR_BEHIND]


def test_a_mirror_that_serves_what_does_not_verify_is_an_error() -> None:
    found = said(replace(CITY, served=None, trouble=BadDirectory("not signed")), replace(CITY, name="gw.alliance"))
    assert codes(found) == [Code.MIRROR_FALSE, Code.OK]
    assert "not signed" in found[0].what


def test_a_service_under_another_certificate_is_told_and_still_well() -> None:
    found = said(replace(CITY, name="dir.alliance", verified=False))
    assert codes(found) == [Code.SERVICE_UNVERIFIED, Code.OK]


def test_plain_files_have_a_version_and_no_health() -> None:
    found = said(replace(CITY, name="https://files.example", address="", pong=None))
    assert codes(found) == [Code.OK]
    assert found[0].what == f"https://files.example has directory version {SECOND.version}"


@pytest.mark.parametrize(
    ("own", "code"),
    [
        (replace(CITY, own=True), Code.OK),
        (replace(CITY, own=True, pong=replace(WELL, serving=False)), Code.NOT_SERVING),
        (replace(CITY, own=True, pong=None, error=NodeUnreachable("away")), Code.NOT_SERVING),
    ],
)
def test_the_own_server_is_looked_at_from_outside(own: Asked, code: Code) -> None:
    (found, _) = said(own, replace(CITY, name="gw.alliance"))
    assert found.code is code
    assert found.severity in (Severity.OK, Severity.WARNING)


def test_clocks_are_compared_with_others_alone() -> None:
    own, untold = replace(CITY, own=True), replace(CITY, name="gw.old", pong=Pong(True, 0.1, None, 9))
    files = replace(CITY, name="https://files.example", pong=None)
    assert peers.offsets([own, untold, files, replace(CITY, name="gw.alliance")]) == {"gw.alliance": Offset(5, 3)}


def test_the_newest_directory_is_by_version_and_then_by_its_stamp() -> None:
    again = Board("sco", NOW).restamp(NOW + 1_000_000)
    assert peers.newest([None, FIRST, SECOND]) is SECOND
    assert peers.newest([SECOND, FIRST, None]) is SECOND
    assert peers.newest([FIRST, again]) is again
    assert peers.newest([None]) is None


def test_a_home_that_nothing_follows_in_is_told() -> None:
    ended = FIRST.expires
    assert codes(peers.followed(SECOND, SECOND, NOW)) == []
    assert codes(peers.followed(FIRST, SECOND, SECOND.issued + SPREADS - 1)) == []
    assert codes(peers.followed(FIRST, SECOND, SECOND.issued + SPREADS)) == [Code.DIRECTORY_BEHIND]
    assert codes(peers.followed(None, SECOND, NOW)) == [Code.DIRECTORY_BEHIND]
    assert codes(peers.followed(SECOND, SECOND, ended)) == []  # nobody has anything newer
    board = Board("sco", NOW)
    first, stamped = board.directory, board.restamp(NOW + 300_000_000)
    assert codes(peers.followed(first, stamped, first.expires - 1)) == []
    assert codes(peers.followed(first, stamped, first.expires)) == [Code.DIRECTORY_BEHIND]


def forked(board: Board) -> Board:
    """The same keys, told another story from now on."""
    other = copy.copy(board)
    other.files = dict(board.files)
    return other


def test_two_contents_of_one_version_are_a_fork() -> None:
    board = Board("sco", NOW)
    other = forked(board)
    before = board.directory
    here, there = board.revoke("inst.one", "lost", NOW), other.revoke("inst.two", "lost", NOW)
    assert here.version == there.version
    assert codes(peers.forks({"a": before, "b": here, "c": here})) == []
    (found,) = peers.forks({"gw.alliance": here, "kz.almaty": there})
    assert found.code is Code.DIRECTORY_FORKED
    assert f"version {here.version} of the directory is one at gw.alliance and another at kz.almaty" in found.what


def test_two_timestamps_of_one_version_are_a_fork() -> None:
    board = Board("sco", NOW)
    other = forked(board)
    here, there = board.restamp(NOW + 1_000_000), other.restamp(NOW + 2_000_000)
    (found,) = peers.forks({"a": here, "b": there})
    assert (found.code, found.what.startswith("timestamp 2 ")) == (Code.DIRECTORY_FORKED, True)


def test_revocations_that_are_gone_are_told() -> None:
    board = Board("sco", NOW)
    other = forked(board)
    held = board.revoke("inst.one", "lost", NOW)
    other.publish(Listing(), NOW)
    newer = other.publish(Listing(), NOW)
    assert newer.version > held.version
    (found,) = peers.forks({"this home": held, "dir.alliance": newer})
    assert "lacks revocations" in found.what
    assert codes(peers.forks({"this home": held, "dir.alliance": board.publish(Listing(), NOW)})) == []
