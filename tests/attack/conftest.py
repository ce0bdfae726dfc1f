"""A federation for attacks: three cities with real nodes, a gateway that can be told to lie, a partner and a stranger.

One for a whole file of tests: each of them asks a question of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import cimfed
from cimfed.client.federation import AsyncFederation
from cimfed_node.serve import Node
from tests.attack.asks import Town
from tests.attack.callers import serving
from tests.attack.liar import Liar, lying
from tests.federation.world import World, buildings

CITIES = ("kz.almaty", "uz.tashkent", "in.delhi")
ROWS = 40
GRANTS = """
  - id: massing
    subject: {org: [inst.tsinghua]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact, function: exact}
    geometry: {max_lod: 0}
  - id: everything
    subject: {org: [inst.accomplice]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact, function: exact, energy_kwh: exact}
    geometry: {max_lod: 0}
"""
DECLARED = "declared: {building: {extent: [60, 20, 90, 50]}}"


@dataclass
class Scene:
    """Everything that runs. ``gateway`` lies when it is told to."""

    world: World
    gateway: Liar
    nodes: dict[str, Node]

    def ask(self, partner: str = "inst.tsinghua", **how: Any) -> AsyncFederation:
        """The real client, for ``async with``."""
        return cimfed.connect_async(str(self.world.profile(partner)), **how)


def rows(city: str) -> list[dict[str, Any]]:
    """Heights from 1 m on, a metre apart; no office in in.delhi."""
    return [
        {
            "height": Decimal(number + 1),
            "function": "school" if city == "in.delhi" or number % 2 else "office",
            "energy_kwh": Decimal(1000 + number),
            "at": (70 + number * 0.01, 40.0),
        }
        for number in range(ROWS)
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    world = World(Path(tmp_path_factory.mktemp("attack")))
    world.add_gateway()
    world.add_gateway("gw.other")
    for partner in ("inst.tsinghua", "inst.accomplice", "inst.stranger"):
        world.add_partner(partner)
    for name in CITIES:
        city = world.add_city(name)
        city.limits["batch_bytes"] = 2000  # several batches of few rows
        city.adopt(buildings(name, rows(name)))
        city.activate(GRANTS, more=DECLARED)
    async with AsyncExitStack() as servers:
        nodes = {name: await servers.enter_async_context(world.node(name)) for name in CITIES}
        gateway = await servers.enter_async_context(lying(world))
        yield Scene(world, gateway, nodes)


@pytest.fixture
def scene(running: Scene) -> Iterator[Scene]:
    """With a gateway that is honest until it is told otherwise."""
    yield running
    running.gateway.trick = running.gateway.deed = None
    running.gateway.times = 1
    running.world.clock.offset = 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Another federation, with a directory service and everybody who may knock."""
    async with serving(Path(tmp_path_factory.mktemp("town"))) as town:
        yield town
