"""A node's server on a free port with real mutual TLS, and callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc

from cimfed.errors import CimfedError
from cimfed.model.names import kind_of
from cimfed.rpc import clock
from cimfed.rpc.admission import Admission
from cimfed.rpc.authorisation import READ
from cimfed.rpc.channel import ChannelPool
from cimfed.rpc.identity import current_peer
from cimfed.rpc.server import Server
from cimfed.trust.tls import Leaf, LeafSource, Use, dns_name
from tests.unit.cimfed.parties import CITY, PARTNER, SCO, Party, World

WITHIN = 60.0


async def echo(request: bytes, context: Any) -> None:
    """Who called, then what was asked."""
    await context.write(current_peer().name.encode())
    await context.write(request)


class Gate:
    """A handler that writes one message, then waits until it is opened; it knows how it ended."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered = asyncio.Semaphore(0)
        self.ended: list[str] = []

    async def __call__(self, request: bytes, context: Any) -> None:
        try:
            await context.write(b"first")
            self.entered.release()
            await self.open.wait()
            await context.write(b"last")
            self.ended.append("finished")
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise


@asynccontextmanager
async def serving(
    world: World,
    streams: Mapping[str, Any],
    name: str = CITY,
    leaves: LeafSource | None = None,
    admission: Admission | None = None,
    now: Callable[[], int] = clock.now,
    unary: Mapping[str, Any] | None = None,
) -> AsyncIterator[Server]:
    """The server of a listed party, whose address in the world's directory is where it listens."""
    server = Server(
        kind_of(name),
        "127.0.0.1:0",
        world,
        leaves or world.parties[name].leaves(Use.SERVER),
        streams,
        unary,
        admission,
        now,
    )
    await server.start()
    await server.serve()
    world.serve_at(name, f"127.0.0.1:{server.port}")
    try:
        yield server
    finally:
        await server.drain(0)


@asynccontextmanager
async def calling(world: World, party: Party | str = PARTNER) -> AsyncIterator[ChannelPool]:
    caller = world.parties[party] if isinstance(party, str) else party
    pool = ChannelPool(world, caller.leaves(Use.CLIENT))
    try:
        yield pool
    finally:
        await pool.close()


async def ask(pool: ChannelPool, request: bytes = b"", method: str = READ, name: str = CITY) -> list[bytes]:
    async with aclosing(pool.stream(name, method, request, WITHIN)) as messages:
        return [message async for message in messages]


async def refusal(pool: ChannelPool, request: bytes = b"", method: str = READ, name: str = CITY) -> CimfedError:
    """The error that a call ends with."""
    try:
        answer = await ask(pool, request, method, name)
    except CimfedError as error:
        return error
    raise AssertionError(f"answered: {answer}")


async def dial(port: int, roots: bytes, leaf: Leaf | None, host: str | None = None) -> grpc.StatusCode:
    """How a bare gRPC client with these credentials fares at a node; OK when it is answered."""
    target = host or dns_name(SCO, CITY)
    keys = (leaf.key_pem, leaf.chain_pem) if leaf else (None, None)
    credentials = grpc.ssl_channel_credentials(roots, *keys)
    options = (("grpc.ssl_target_name_override", target), ("grpc.enable_http_proxy", 0))
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        return await status_of(channel)


async def status_of(channel: Any) -> grpc.StatusCode:
    call = channel.unary_stream(READ)(b"", timeout=WITHIN)
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    finally:
        call.cancel()
    return grpc.StatusCode.OK
