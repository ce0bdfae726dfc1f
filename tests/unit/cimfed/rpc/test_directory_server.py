"""A server whose callers show no certificate: over real TLS, with little room for each."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from cimfed.errors import BadConfig, CimfedError, NodeUnreachable, NotAllowed, Overloaded, UnknownPeer
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.rpc.authorisation import FETCH, HEALTH_CHECK, HEALTH_WATCH, JOIN, PUBLISH, READ, REFLECTION
from cimfed.rpc.channel import unary
from cimfed.rpc.identity import current_caller, current_peer
from cimfed.rpc.options import CHANNEL, DIRECTORY_SERVER, Options
from cimfed.rpc.server import Server
from cimfed.rpc.throttle import Allowance, Throttle
from cimfed.trust.directory.edit import DAY
from cimfed.trust.tls import Leaf, Use, dns_name
from tests.unit.cimfed.parties import CITY, DIRECTORY, PARTNER, SCO, Party, World
from tests.unit.cimfed.rpc.serving import WITHIN

PLENTY = Allowance(rate=1000, burst=1000, slots_each=10, slots=10)


async def echo(request: bytes, _context: Any) -> bytes:
    assert current_caller() is None
    return request


@asynccontextmanager
async def directory_server(
    party: Party,
    unary_handlers: dict[str, Any],
    allowance: Allowance = PLENTY,
    options: Options = DIRECTORY_SERVER,
    now: Any = clock.now,
) -> AsyncIterator[Server]:
    throttle = Throttle(dict.fromkeys((*unary_handlers, HEALTH_CHECK), allowance))
    leaves = party.leaves(Use.SERVER)
    server = Server(
        Kind.DIRECTORY, "127.0.0.1:0", None, leaves, {}, unary_handlers, now=now, options=options, throttle=throttle
    )
    await server.start()
    await server.serve()
    try:
        yield server
    finally:
        await server.drain(0)


@asynccontextmanager
async def dialled(
    server: Server, party: Party, of: str | None = None, leaf: Leaf | None = None, options: Options = CHANNEL
) -> AsyncIterator[Any]:
    shown = (leaf.key_pem, leaf.chain_pem) if leaf else (None, None)
    credentials = grpc.ssl_channel_credentials(party.issuing.issuer.pem, *shown)
    named = (("grpc.ssl_target_name_override", dns_name(SCO, of or party.name)), ("grpc.enable_http_proxy", 0))
    channel = grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials, (*options, *named))
    try:
        yield channel
    finally:
        await channel.close()


async def refusal(channel: Any, method: str, request: bytes = b"") -> CimfedError:
    with pytest.raises(CimfedError) as raised:
        await unary(channel, method, request, WITHIN)
    return raised.value


@pytest.fixture
def service() -> Party:
    return Party.make(DIRECTORY, clock.now())


async def test_a_caller_without_a_certificate_is_answered_and_is_nobody(service: Party) -> None:
    async def who(_request: bytes, _context: Any) -> bytes:
        return current_peer().name.encode()

    async with directory_server(service, {JOIN: echo, PUBLISH: who}) as server, dialled(server, service) as channel:
        assert await unary(channel, JOIN, b"a card", WITHIN) == b"a card"
        assert isinstance(await refusal(channel, PUBLISH), UnknownPeer)


async def test_a_caller_that_shows_a_certificate_is_nobody_too(service: Party) -> None:
    world = World(clock.now())
    leaf = world.parties[PARTNER].leaves(Use.CLIENT).current(world.now)
    async with directory_server(service, {JOIN: echo}) as server, dialled(server, service, leaf=leaf) as channel:
        assert await unary(channel, JOIN, b"a card", WITHIN) == b"a card"


async def test_the_service_is_believed_by_its_own_issuer_and_name_alone(service: Party) -> None:
    async with directory_server(service, {JOIN: echo}) as server:
        for other in (Party.make(DIRECTORY, clock.now()), Party.make(CITY, clock.now())):
            async with dialled(server, other) as channel:
                assert isinstance(await refusal(channel, JOIN), NodeUnreachable)
        async with dialled(server, service, "dir.other") as channel:
            assert isinstance(await refusal(channel, JOIN), NodeUnreachable)


async def test_plaintext_does_not_get_in(service: Party) -> None:
    async with (
        directory_server(service, {JOIN: echo}) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        assert isinstance(await refusal(channel, JOIN), NodeUnreachable)


async def test_what_the_table_does_not_give_to_anybody_is_denied(service: Party) -> None:
    async with directory_server(service, {JOIN: echo, FETCH: echo}) as server, dialled(server, service) as channel:
        for method in (READ, HEALTH_WATCH, REFLECTION, "/cimfed.v1.AdmissionService/join"):
            assert isinstance(await refusal(channel, method), NotAllowed)
        assert await unary(channel, HEALTH_CHECK, b"", WITHIN) == b"\x08\x01"  # SERVING


async def test_who_calls_too_often_is_told_to_come_back(service: Party) -> None:
    allowance = Allowance(rate=0.001, burst=2, slots_each=2, slots=2)
    async with directory_server(service, {JOIN: echo}, allowance) as server, dialled(server, service) as channel:
        for _ in range(2):
            await unary(channel, JOIN, b"", WITHIN)
        refused = await refusal(channel, JOIN)
        assert isinstance(refused, Overloaded)
        assert refused.retry_after == 1000


async def test_calls_that_run_hold_their_slots(service: Party) -> None:
    entered, leave = asyncio.Semaphore(0), asyncio.Event()

    async def wait(_request: bytes, _context: Any) -> bytes:
        entered.release()
        await leave.wait()
        return b""

    allowance = Allowance(rate=100, burst=100, slots_each=1, slots=1)
    async with directory_server(service, {JOIN: wait}, allowance) as server, dialled(server, service) as channel:
        first = asyncio.ensure_future(unary(channel, JOIN, b"", WITHIN))
        await entered.acquire()
        assert isinstance(await refusal(channel, JOIN), Overloaded)
        leave.set()
        assert await first == b""
        assert await unary(channel, JOIN, b"", WITHIN) == b""


async def test_what_is_larger_than_a_publication_is_not_read(service: Party) -> None:
    unbounded = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
    async with (
        directory_server(service, {PUBLISH: echo}) as server,
        dialled(server, service, options=unbounded) as channel,
    ):
        limit = dict(DIRECTORY_SERVER)["grpc.max_receive_message_length"]
        assert isinstance(limit, int)
        assert len(await unary(channel, PUBLISH, bytes(limit - 100), WITHIN)) == limit - 100
        with pytest.raises(CimfedError, match="RESOURCE_EXHAUSTED"):
            await unary(channel, PUBLISH, bytes(limit + 1), WITHIN)


async def test_connections_are_bounded_and_room_comes_back(service: Party) -> None:
    name = "grpc.max_allowed_incoming_connections"
    assert dict(DIRECTORY_SERVER)[name] == 256
    options = (*(option for option in DIRECTORY_SERVER if option[0] != name), (name, 2))
    async with directory_server(service, {JOIN: echo}, options=options) as server:
        async with dialled(server, service) as first, dialled(server, service) as second:
            for channel in (first, second):
                assert await unary(channel, JOIN, b"in", WITHIN) == b"in"
            async with dialled(server, service) as third:
                assert isinstance(await refusal(third, JOIN), NodeUnreachable)
        async with asyncio.timeout(WITHIN):
            while True:  # the server sees a closed connection when its end arrives
                async with dialled(server, service) as channel:
                    try:
                        assert await unary(channel, JOIN, b"in", WITHIN) == b"in"
                        break
                    except NodeUnreachable:
                        continue


async def test_the_leaf_renews_without_a_restart() -> None:
    start = clock.now() - 4 * DAY
    moment, service = [start], Party.make(DIRECTORY, start)
    async with directory_server(service, {JOIN: echo}, now=lambda: moment[0]) as server:

        async def shown() -> str:
            return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", server.port))

        first = await shown()
        assert await shown() == first
        moment[0] = clock.now()
        assert await shown() != first
        async with dialled(server, service) as channel:
            assert await unary(channel, JOIN, b"in", WITHIN) == b"in"


async def test_a_node_is_never_served_to_nobody_nor_a_directory_service_to_the_listed() -> None:
    world = World(clock.now())
    leaves = world.parties[CITY].leaves(Use.SERVER)
    throttle = Throttle({})
    for kind, directory, its_throttle in (
        (Kind.CITY, None, throttle),
        (Kind.CITY, None, None),
        (Kind.CITY, world, throttle),
        (Kind.DIRECTORY, world, None),
        (Kind.DIRECTORY, None, None),
    ):
        with pytest.raises(BadConfig):
            Server(kind, "127.0.0.1:0", directory, leaves, {}, throttle=its_throttle)
