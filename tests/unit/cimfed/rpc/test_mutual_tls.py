"""Who gets through to a server, over real TLS."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import grpc

from cimfed.errors import DirectoryExpired, NodeUnreachable, UnknownPeer
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.rpc.authorisation import READ
from cimfed.rpc.channel import ChannelPool
from cimfed.rpc.mirror import Mirrors, mirror
from cimfed.rpc.server import Server
from cimfed.trust.directory.edit import DAY
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.listing import Directory, expired
from cimfed.trust.directory.mirrors import Always
from cimfed.trust.tls import Issuer, Leaf, Use
from tests.board import Files
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, Party, World, listed
from tests.unit.cimfed.rpc.serving import WITHIN, Gate, ask, calling, dial, echo, refusal, serving, status_of

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def test_a_listed_partner_is_answered_and_named() -> None:
    world = World(clock.now())
    async with serving(world, {READ: echo}), calling(world) as pool:
        assert await ask(pool, b"question") == [PARTNER.encode(), b"question"]
    async with serving(world, {READ: echo}), calling(world, GATEWAY) as pool:
        assert await ask(pool) == [GATEWAY.encode(), b""]


async def test_a_leaf_of_an_issuer_that_is_not_listed_does_not_get_in() -> None:
    world = World(clock.now())
    for name in (PARTNER, "inst.other"):
        async with serving(world, {READ: echo}), calling(world, Party.make(name, world.now)) as pool:
            assert isinstance(await refusal(pool), NodeUnreachable)


async def test_plaintext_no_certificate_and_a_server_leaf_do_not_get_in() -> None:
    world = World(clock.now())
    issuer = world.parties[CITY].issuing.issuer.pem
    async with serving(world, {READ: echo}) as server:
        partner = world.parties[PARTNER]
        assert await dial(server.port, issuer, partner.leaves(Use.CLIENT).current(world.now)) is grpc.StatusCode.OK
        assert await dial(server.port, issuer, None) is UNAVAILABLE
        server_leaf = partner.leaves(Use.SERVER).current(world.now)
        assert await dial(server.port, issuer, server_leaf) is not grpc.StatusCode.OK
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            assert await status_of(channel) is UNAVAILABLE


async def test_an_expired_leaf_does_not_get_in() -> None:
    now = clock.now()
    world = World(now)
    old = world.parties[PARTNER].leaves(Use.CLIENT).current(now - 8 * DAY)
    async with serving(world, {READ: echo}) as server:
        assert await dial(server.port, world.parties[CITY].issuing.issuer.pem, old) is not grpc.StatusCode.OK


async def test_a_client_takes_the_leaf_of_the_dialled_city_alone() -> None:
    """A partner with a valid leaf of its own cannot pass for the city, whatever its leaf says it is for."""
    world = World(clock.now())
    for impostor in (world.parties[PARTNER], Party.make(CITY, world.now)):
        async with serving(world, {READ: echo}, leaves=impostor.leaves(Use.SERVER)), calling(world) as pool:
            assert isinstance(await refusal(pool), NodeUnreachable)


async def test_a_client_does_not_take_a_citys_client_leaf_for_its_server() -> None:
    world = World(clock.now())
    leaves = world.parties[CITY].leaves(Use.CLIENT)
    async with serving(world, {READ: echo}, leaves=leaves), calling(world) as pool:
        assert isinstance(await refusal(pool), NodeUnreachable)


async def test_a_partner_dropped_from_the_directory_is_refused_on_its_open_connection() -> None:
    world = World(clock.now())
    async with serving(world, {READ: echo}), calling(world) as pool:
        assert await ask(pool)
        async with pool.lease(CITY) as channel:
            assert await status_of(channel) is grpc.StatusCode.OK
            world.drop(PARTNER)
            assert await status_of(channel) is grpc.StatusCode.UNAUTHENTICATED


async def test_a_new_issuer_of_a_listed_name_ends_the_trust_in_the_old_one() -> None:
    world = World(clock.now())
    async with serving(world, {READ: echo}), calling(world) as old:
        assert await ask(old)
        successor = replace(world.parties[PARTNER], issuing=Party.make(PARTNER, world.now).issuing)
        world.parties[PARTNER] = successor
        address = world.current(0).address(CITY)
        world.listing = replace(world.listing, partners={})
        world.listing = listed(world.listing, successor, world.now)
        world.serve_at(CITY, address)
        assert isinstance(await refusal(old), UnknownPeer)
        async with calling(world) as new:
            assert await ask(new)


async def test_a_partner_listed_later_gets_in_without_a_restart() -> None:
    world = World(clock.now(), CITY, GATEWAY)
    newcomer = Party.make(PARTNER, world.now)
    async with serving(world, {READ: echo}):
        async with calling(world, newcomer) as pool:
            assert isinstance(await refusal(pool), NodeUnreachable)
        world.listing = listed(world.listing, newcomer, world.now)
        world.publish()
        async with calling(world, newcomer) as pool:
            assert await ask(pool)


class Expiring:
    """A source whose directory runs out when told to."""

    def __init__(self, world: World) -> None:
        self.world, self.over = world, False

    def current(self, now: int) -> Directory:
        if self.over:
            raise expired(self.world.current(now))
        return self.world.current(now)

    def latest(self, now: int) -> Directory:
        return self.world.current(now)


async def test_an_expired_directory_is_enough_to_find_a_newer_one_and_for_nothing_else(tmp_path: Path) -> None:
    world, moment = World(clock.now()), [clock.now()]
    leaves = world.parties[PARTNER].leaves(Use.CLIENT)
    async with serving(world, {READ: echo}, unary=mirror(world.board.files)):
        pin(tmp_path, world.board.root)
        first = Follower(tmp_path, SCO, Always(Files(world.board.files)), lambda: moment[0])
        first.refresh()
        later = Follower(tmp_path, SCO, Mirrors(SCO, "", PARTNER, leaves, now=lambda: moment[0]), lambda: moment[0])
        pool = ChannelPool(later, leaves, lambda: moment[0])
        assert await ask(pool)
        moment[0] += 3_600_000_000
        assert isinstance(await refusal(pool), DirectoryExpired)
        world.board.restamp(moment[0])
        await asyncio.to_thread(later.refresh)
        assert later.current(moment[0]).issued > world.now
        assert await ask(pool)
        await pool.close()
        await asyncio.to_thread(later.close)


async def test_with_an_expired_directory_every_call_is_refused_until_there_is_a_new_one() -> None:
    world = World(clock.now())
    source = Expiring(world)
    server = Server(Kind.CITY, "127.0.0.1:0", source, world.parties[CITY].leaves(Use.SERVER), {READ: echo})
    await server.start()
    world.serve_at(CITY, f"127.0.0.1:{server.port}")
    source.over = True
    async with calling(world) as pool:
        assert isinstance(await refusal(pool), DirectoryExpired)
    source.over = False
    async with calling(world) as pool:
        assert await ask(pool)
    await server.drain(0)


async def test_leaves_renew_without_dropping_a_stream() -> None:
    """Both ends pass their half-life between two calls; the first stream runs on. (TLS itself uses the real clock.)"""
    start = clock.now() - 4 * DAY
    world, moment, gate = World(start), [start], Gate()
    leaves = {use: world.parties[name].leaves(use) for use, name in ((Use.SERVER, CITY), (Use.CLIENT, PARTNER))}
    async with serving(world, {READ: gate}, leaves=leaves[Use.SERVER], now=lambda: moment[0]):
        pool = ChannelPool(world, leaves[Use.CLIENT], lambda: moment[0])
        async with aclosing(pool.stream(CITY, READ, b"", WITHIN)) as first:
            assert await anext(first) == b"first"
            before = {use: source.current(moment[0]) for use, source in leaves.items()}
            moment[0] = clock.now()
            async with aclosing(pool.stream(CITY, READ, b"", WITHIN)) as second:
                assert await anext(second) == b"first"
            for use, source in leaves.items():
                assert source.current(moment[0]) is not before[use]
            gate.open.set()
            assert [message async for message in first] == [b"last"]
        await pool.close()


class Switching:
    """The leaf source of a server whose leaf becomes a stranger's."""

    def __init__(self, world: World) -> None:
        self.sources = [world.parties[CITY].leaves(Use.SERVER), Party.make(CITY, world.now).leaves(Use.SERVER)]

    @property
    def issuer(self) -> Issuer:
        return self.sources[0].issuer

    def current(self, now: int) -> Leaf:
        return self.sources[0].current(now)


async def test_the_server_shows_the_leaf_of_the_moment_at_each_handshake() -> None:
    world = World(clock.now())
    leaves = Switching(world)
    async with serving(world, {READ: echo}, leaves=leaves):
        async with calling(world) as before:
            assert await ask(before)
            leaves.sources.reverse()
            assert await ask(before)
        async with calling(world) as after:
            assert isinstance(await refusal(after), NodeUnreachable)
