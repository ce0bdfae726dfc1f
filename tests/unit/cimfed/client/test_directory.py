"""A client whose directory is older than the gateway's, or newer."""

from __future__ import annotations

import pytest

from cimfed.client.federation import Federation
from cimfed.errors import CoverageMismatch, DirectoryExpired, Forged
from cimfed.trust.keys import KeySigner
from tests.unit.cimfed.client.world import ALMATY, DAY, NOW, World, asker, connect, line_of


def ask(fed: Federation) -> int:
    return fed.read("building", purpose="research", require="all").to_table().num_rows


def test_a_newer_directory_is_fetched_before_the_first_question() -> None:
    world = World()
    old = world.publish(without=ALMATY)
    world.publish()
    with Federation(asker(world, line_of(world), known=old)) as fed:
        assert ask(fed) == 62


def test_a_city_that_joined_since_is_found_by_fetching_the_directory() -> None:
    world = World()
    old = world.publish(without=ALMATY)
    world.publish()
    line = line_of(world)
    newer, line.mirrored = line.mirrored, old
    with Federation(asker(world, line, known=old)) as fed:
        fed.catalog().close()
        honest = line.respond

        def respond(request: bytes) -> object:
            line.mirrored = newer  # the gateway learns of it only now
            return honest(request)

        line.respond = respond  # type: ignore[assignment]
        assert ask(fed) == 62


def test_a_key_that_was_replaced_since_is_found_by_fetching_the_directory() -> None:
    world = World()
    old = world.directory
    world.cities[ALMATY].key = KeySigner.generate()
    line = line_of(world)
    line.mirrored = old
    honest = line.respond

    def respond(request: bytes) -> object:
        line.mirrored = world.publish()
        return honest(request)

    line.respond = respond  # type: ignore[assignment]
    with Federation(asker(world, line, known=old)) as fed:
        assert ask(fed) == 62


def test_a_key_that_no_directory_lists_is_refused() -> None:
    world = World()
    world.cities[ALMATY].key = KeySigner.generate()
    with connect(world) as fed, pytest.raises(Forged, match=r"kz\.almaty"):
        ask(fed)


def test_a_gateway_that_used_an_older_directory_may_have_left_out_a_member() -> None:
    world = World()
    old = world.publish(without=ALMATY)
    new = world.publish()
    world.directory = old
    with Federation(asker(world, line_of(world), known=new)) as fed, pytest.raises(CoverageMismatch, match="older"):
        ask(fed)


def test_a_gateway_that_names_a_version_it_does_not_hand_out_is_not_believed() -> None:
    world = World()
    known = world.directory
    version = world.publish().version
    line = line_of(world)
    line.mirrored = known
    with (
        Federation(asker(world, line, known=known)) as fed,
        pytest.raises(CoverageMismatch, match=f"used version {version}"),
    ):
        ask(fed)


@pytest.mark.parametrize(("begins", "rows"), [(2001, 62), (2000, 22)])
def test_a_city_is_suspended_from_its_instant_on_by_the_clock_of_the_gateway(begins: int, rows: int) -> None:
    world = World()
    directory = world.publish(suspended={ALMATY: (NOW + begins, NOW + DAY)})
    answered = NOW + 2000  # when the gateway seals its coverage
    world.directory = directory.as_of(answered)
    assert (ALMATY in world.directory.members) == (rows == 62)
    with Federation(asker(world, line_of(world), known=directory)) as fed:
        assert ask(fed) == rows


def test_a_gateway_cannot_leave_a_city_out_that_is_suspended_later() -> None:
    world = World()
    directory = world.publish(suspended={ALMATY: (NOW + 2001, NOW + DAY)})
    world.directory = directory.as_of(NOW + 2001)
    with Federation(asker(world, line_of(world), known=directory)) as fed, pytest.raises(CoverageMismatch):
        ask(fed)


def test_a_suspended_city_is_back_when_its_time_is_over() -> None:
    world = World()
    directory = world.publish(suspended={ALMATY: (NOW - DAY, NOW)})
    world.directory = directory
    with Federation(asker(world, line_of(world), known=directory)) as fed:
        assert ask(fed) == 62


def test_an_expired_directory_asks_nothing() -> None:
    world = World()
    line = line_of(world)
    line.mirrored = world.directory
    world.now = world.directory.expires
    with Federation(asker(world, line)) as fed, pytest.raises(DirectoryExpired, match="its timestamp ended"):
        ask(fed)
    assert line.asked == []
