"""Clocks that are wrong, ahead or behind, at a partner, a city or a gateway: what is refused, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import cimfed
from cimfed.errors import CimfedError
from cimfed.trust.tls import Use
from cimfed.wire.answers import decode_manifest
from tests.attack.liar import Told, lying
from tests.federation import raw
from tests.federation.world import SECOND, World, buildings

pytestmark = pytest.mark.asyncio

CITY, OTHER, PARTNER, GATEWAY = "kz.almaty", "uz.tashkent", "inst.tsinghua", "gw.alliance"
GRANTS = """
  - id: massing
    subject: {org: [inst.tsinghua]}
    purpose: [research]
    collection: building
    columns: {id: exact}
"""
LIFE = 120 * SECOND  # of a query here


@dataclass
class Hands:
    """``skew`` of the city's clock against everybody else's, in microseconds."""

    world: World
    ports: dict[str, int]
    leaves_of: int  # TLS has a clock of its own, which nobody sets here
    skew: int = 0

    def clock(self) -> int:
        return self.world.clock() + self.skew

    async def verdict(self, server: str, issued: int = 0) -> str:
        """What comes of a partner's query whose clock goes wrong by so much."""
        world, now = self.world, self.world.clock() + issued
        asked = raw.query(now, expires=now + LIFE, via=[GATEWAY], cities=[CITY], read=raw.read("building", "id"))
        party = world.parties[PARTNER]
        leaf = party.leaves[Use.CLIENT].current(self.leaves_of)
        issuer = world.directory.party(server).issuers[0].pem
        async with raw.Caller(self.ports[server], server, issuer, leaf) as caller:
            try:
                found = await caller.frames(raw.READ, raw.ask(party.signer, asked))
            except raw.Refused as refused:
                return refused.reason
        return next((reason_of(frame) for frame in found if frame["part"] == "manifest"), "")


def reason_of(frame: dict[str, dict[str, bytes]]) -> str:
    return decode_manifest(frame["manifest"]["payload"]).reason or "answered"


@asynccontextmanager
async def hands(folder: Path) -> AsyncIterator[Hands]:
    world = World(folder)
    world.add_gateway()
    world.add_partner()
    for name in (CITY, OTHER):
        city = world.add_city(name)
        city.adopt(buildings(name, [{"at": (70.0, 40.0)}] * 3))
        city.activate(GRANTS, more="declared: {building: {extent: [60, 20, 90, 50]}}")
    made = Hands(world, {}, world.clock())
    async with AsyncExitStack() as servers:
        node = await servers.enter_async_context(world.node(CITY, made.clock))
        await servers.enter_async_context(world.node(OTHER))
        gateway = await servers.enter_async_context(world.gateway())
        made.ports = {CITY: node.server.port, GATEWAY: gateway.port}
        yield made


@pytest.mark.parametrize("server", [CITY, GATEWAY])
async def test_a_partners_clock_may_be_half_a_minute_wrong_and_no_more(tmp_path: Path, server: str) -> None:
    async with hands(tmp_path) as at:
        assert await at.verdict(server, 10 * SECOND) == "answered"
        assert await at.verdict(server, 50 * SECOND) == "expired_query"
        assert await at.verdict(server, -LIFE - 10 * SECOND) == "answered"
        assert await at.verdict(server, -LIFE - 50 * SECOND) == "expired_query"


async def test_a_citys_clock_that_is_ahead_or_behind_refuses_for_that_city_alone(tmp_path: Path) -> None:
    async with hands(tmp_path) as at:
        for skew in (-20 * SECOND, 20 * SECOND):
            at.skew = skew
            assert await at.verdict(CITY) == "answered"
        at.skew = 0
        # To a city that is behind, the gateway's leaf, which was made just now, is of the future.
        for seconds, reason in ((600, "expired_query"), (-600, "unknown_peer")):
            at.skew = seconds * SECOND
            async with cimfed.connect_async(str(at.world.profile(PARTNER, GATEWAY))) as fed:
                answer = fed.read("building", purpose="research")
                table = await answer.to_table()
            assert set(table["city"].to_pylist()) == {OTHER}
            assert answer.coverage[CITY].reason == reason


async def test_a_city_whose_clock_is_set_back_answers_nothing_that_it_might_have_answered_before(
    tmp_path: Path,
) -> None:
    async with hands(tmp_path) as at:
        at.world.clock.offset = 3600 * SECOND
        assert await at.verdict(CITY) == "answered"
        at.world.clock.offset = 0
        assert await at.verdict(CITY) == "clock_behind"
        at.world.clock.offset = 3600 * SECOND
        assert await at.verdict(CITY) == "answered"


async def test_a_gateway_whose_coverage_is_of_another_time_is_not_believed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add_gateway()
    world.add_partner()
    city = world.add_city(CITY)
    city.adopt(buildings(CITY, [{"at": (70.0, 40.0)}]))
    city.activate(GRANTS)
    async with world.node(CITY), lying(world) as gateway:
        for wrong, reason in ((20, ""), (-20, ""), (60, "coverage_mismatch"), (-60, "coverage_mismatch")):

            def trick(told: Told, _: object, wrong: int = wrong) -> None:
                assert told.coverage is not None
                told.coverage = replace(told.coverage, now=told.coverage.now + wrong * SECOND)

            gateway.trick = trick
            async with cimfed.connect_async(str(world.profile(PARTNER, GATEWAY))) as fed:
                try:
                    await fed.read("building", purpose="research").to_table()
                    found = ""
                except CimfedError as error:
                    found = error.reason
            assert found == reason, wrong
