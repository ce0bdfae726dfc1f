"""A client whose directory is older than the gateway's, or newer."""

from __future__ import annotations

import pytest

from cimfed.client.federation import Federation
from cimfed.errors import CoverageMismatch, Forged
from cimfed.trust.keys import KeySigner

from .world import ALMATY, World, asker, connect, line_of


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
    world.publish()
    line = line_of(world)
    line.mirrored = known
    with Federation(asker(world, line, known=known)) as fed, pytest.raises(CoverageMismatch, match="used version 2"):
        ask(fed)
