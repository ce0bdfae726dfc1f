"""A health check tells the time: over real mTLS, by servers whose clock is another, or that do not tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health

from cimfed.errors import NodeUnreachable
from cimfed.rpc import clock, server
from cimfed.rpc.channel import credentials_for, dialling
from cimfed.rpc.ping import ping
from cimfed.trust.tls import Use, dns_name
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, World
from tests.unit.cimfed.rpc.serving import serving

SECOND = 1_000_000


@pytest.fixture
def world() -> World:
    return World(clock.now(), CITY, GATEWAY, PARTNER)


@contextmanager
def dialled(world: World, port: int) -> Iterator[Any]:
    """As a partner dials a city, without an event loop."""
    leaf = world.parties[PARTNER].leaves(Use.CLIENT).current(clock.now())
    address = f"127.0.0.1:{port}"
    credentials = credentials_for((world.parties[CITY].issuing.issuer,), leaf)
    with grpc.secure_channel(address, credentials, dialling(dns_name(SCO, CITY), address)) as channel:
        yield channel


@pytest.mark.parametrize("ahead", [0, 12, -20])
async def test_the_other_clock_is_known_within_half_of_what_the_call_took(world: World, ahead: int) -> None:
    def now() -> int:
        return clock.now() + ahead * SECOND

    async with serving(world, {}, now=now) as served:
        with dialled(world, served.port) as channel:
            pong = await asyncio.to_thread(ping, channel, CITY, clock.now)
    assert pong.serving
    assert pong.offset is not None
    assert abs(pong.offset - ahead * SECOND) <= pong.doubt + 1000  # two readings of one clock
    assert pong.doubt <= pong.latency * SECOND / 2


async def test_a_server_that_does_not_serve_says_so_and_still_tells_the_time(world: World) -> None:
    async with serving(world, {}) as served:
        await served._health.enter_graceful_shutdown()
        with dialled(world, served.port) as channel:
            pong = await asyncio.to_thread(ping, channel, CITY, clock.now)
    assert not pong.serving
    assert pong.offset is not None


@pytest.mark.parametrize("told", [None, "noon", "-5", "9" * 40])
async def test_a_server_that_tells_no_time_has_none(
    world: World, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(health.aio.HealthServicer):  # type: ignore[misc]
        def __init__(self, _now: Callable[[], int]) -> None:
            super().__init__()

        async def Check(self, request: Any, context: Any) -> Any:
            if told is not None:
                context.set_trailing_metadata((("cimfed-time", told),))
            return await super().Check(request, context)

    monkeypatch.setattr(server, "TimedHealth", Other)
    async with serving(world, {}) as served:
        with dialled(world, served.port) as channel:
            pong = await asyncio.to_thread(ping, channel, CITY, clock.now)
    assert pong.serving
    assert pong.offset is None


async def test_one_that_is_away_is_unreachable(world: World) -> None:
    async with serving(world, {}) as served:
        port = served.port
    with dialled(world, port) as channel, pytest.raises(NodeUnreachable):
        await asyncio.to_thread(ping, channel, CITY, clock.now)
