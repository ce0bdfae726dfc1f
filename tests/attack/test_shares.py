"""A partner's share of a city is its own by whatever way it comes, and is not won back by breaking answers off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cimfed.trust.tls import Use
from cimfed.wire.answers import decode_manifest
from cimfed_node.serve import Node
from cimfed_node.tables.admissions import decisions
from tests.federation import raw
from tests.federation.world import World, buildings

pytestmark = pytest.mark.asyncio

CITY, PARTNER, ANOTHER = "kz.almaty", "inst.tsinghua", "inst.iitd"
GATEWAYS = ("gw.east", "gw.west")
SHARE = 3
GRANTS = """
  - id: massing
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, function: exact}
"""


@dataclass
class Counter:
    world: World
    node: Node
    callers: dict[str, raw.Caller]

    def request(self, by: str, partner: str = PARTNER) -> bytes:
        """A query of the partner that comes by itself or by a gateway."""
        world, via = self.world, [by] if by in GATEWAYS else []
        asked = raw.query(world.clock(), via=via, read=raw.read())
        narrowings = [raw.narrowing(world.parties[by].signer, by, asked)] if via else []
        return raw.ask(world.parties[partner].signer, asked, narrowings)

    async def begun(self, by: str) -> Any:
        """An answer of many frames that is not read to its end."""
        call = self.callers[by].call(raw.READ, self.request(by))
        for _ in range(3):
            await call.read()
        return call

    async def verdict(self, by: str, request: bytes | None = None, partner: str = PARTNER) -> str:
        found = await self.callers[by].frames(raw.READ, request or self.request(by, partner))
        return decode_manifest(found[-1]["manifest"]["payload"]).reason or "answered"

    def tasks(self) -> set[asyncio.Task[Any]]:
        return set(self.node.server._errors.running)


@asynccontextmanager
async def counter(folder: Path) -> AsyncIterator[Counter]:
    world = World(folder)
    for name in (PARTNER, ANOTHER):
        world.add_partner(name)
    for name in GATEWAYS:
        world.add_gateway(name)
    city = world.add_city(CITY)
    base = buildings(CITY, [{"function": "office" * 200}])
    table = base.take(pa.array([0] * 40_000, pa.int64()))
    ids = pa.array([f"b{number}" for number in range(40_000)])
    city.adopt(table.set_column(table.column_names.index("id"), base.schema.field("id"), ids))
    city.activate(GRANTS)
    city.limits = {"batch_bytes": 256 * 1024, "head_bytes": 1024 * 1024, "concurrent_per_partner": SHARE}
    async with AsyncExitStack() as running:
        node = await running.enter_async_context(world.node(CITY))
        callers = {}
        for name in (*GATEWAYS, PARTNER, ANOTHER):
            leaf = world.parties[name].leaves[Use.CLIENT].current(world.clock())
            issuer = world.directory.member(CITY).issuers[0].pem
            callers[name] = await running.enter_async_context(raw.Caller(node.server.port, CITY, issuer, leaf))
        yield Counter(world, node, callers)


async def test_several_gateways_and_the_partner_itself_draw_on_one_share(tmp_path: Path) -> None:
    async with counter(tmp_path) as at:
        held = [await at.begun(by) for by in (*GATEWAYS, PARTNER)]
        for by in (*GATEWAYS, PARTNER):
            assert await at.verdict(by) == "overloaded"
        assert await at.verdict(ANOTHER, partner=ANOTHER) == "answered"
        for call in held:
            call.cancel()


async def test_who_breaks_answers_off_has_asked_and_holds_its_slots_until_they_have_ended(tmp_path: Path) -> None:
    async with counter(tmp_path) as at:
        requests = [at.request(PARTNER) for _ in range(SHARE)]
        calls = [at.callers[PARTNER].call(raw.READ, request) for request in requests]
        for call in calls:
            for _ in range(3):
                await call.read()
        assert await at.verdict(PARTNER) == "overloaded"
        tasks = at.tasks()
        for call in calls:
            call.cancel()
        await asyncio.wait(tasks, timeout=20)
        assert await at.verdict(PARTNER) == "answered"
        for request in requests:
            assert await at.verdict(PARTNER, request) == "replayed"
        with at.node.control.reading() as connection:
            lines = [(line.reason, outcome.outcome if outcome else "") for _, line, outcome in decisions(connection)]
        assert lines.count(("", "cancelled")) == SHARE  # each is in the log, with what it took
