"""A link across a continent: every byte takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cimfed.rpc import clock
from cimfed.rpc.authorisation import READ
from tests.unit.cimfed.parties import CITY, PARTNER, World
from tests.unit.cimfed.rpc.serving import ask, calling, echo, serving

ONE_WAY = 0.25  # seconds: a geostationary satellite's


@asynccontextmanager
async def slow_link(port: int) -> AsyncIterator[int]:
    """The port of a proxy to ``port`` that hands on what it gets, in order, each piece ``ONE_WAY`` later."""
    loop = asyncio.get_running_loop()
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                loop.call_later(ONE_WAY, writer.write, data)
        except ConnectionError:
            pass
        loop.call_later(ONE_WAY, writer.close)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        pumps.update({loop.create_task(pump(reader, there[1])), loop.create_task(pump(there[0], writer))})

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in pumps:
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def test_a_handshake_may_take_longer_than_the_first_wait_for_another_try() -> None:
    world = World(clock.now())
    async with serving(world, {READ: echo}) as server, slow_link(server.port) as port:
        world.serve_at(CITY, f"127.0.0.1:{port}")
        async with calling(world) as pool:
            assert await ask(pool, b"question") == [PARTNER.encode(), b"question"]
