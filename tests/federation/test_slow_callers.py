"""A caller that reads slowly, not at all, or leaves: the gateway gives its slot back, and the cities are let go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import grpc
import pyarrow as pa
import pytest

from cimfed.rpc import layers
from cimfed.rpc.outlet import Outlet
from cimfed.rpc.server import Server
from cimfed.trust.tls import Use
from cimfed_gateway.service import Gateway
from cimfed_node.serve import Node
from tests.federation import raw
from tests.federation.world import World, buildings

CITIES = ("kz.almaty", "uz.tashkent")
GRANTS = """
  - id: all
    subject: {role: [researcher]}
    purpose: [research]
    collection: building
    columns: {id: exact, function: exact}
"""
ROWS = 40_000  # of 200 bytes: far more than connections hold back


class Hasty(Gateway):
    answer_time: ClassVar[float] = 2.0


class Scene:
    """A partner's call to a gateway over two cities, of which one frame was read."""

    def __init__(self, call: Any, gateway: Server, nodes: list[Node]) -> None:
        self.call, self.gateway, self.nodes = call, gateway, nodes

    async def ended(self) -> None:
        """Once the gateway's handler and the nodes' have run to their end."""
        async with asyncio.timeout(60):
            for server in (self.gateway, *(node.server for node in self.nodes)):
                if server._errors.running:
                    await asyncio.wait(set(server._errors.running))

    async def status(self) -> raw.Refused:
        """What the call ends with, once it is read after all."""
        try:
            while await self.call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            return raw.refusal(error)
        raise AssertionError("it ended well")


@asynccontextmanager
async def asked(folder: Path, make: Callable[..., Gateway] = Gateway) -> AsyncIterator[Scene]:
    world = World(folder)
    partner, _ = world.add_partner(), world.add_gateway()
    for name in CITIES:
        city = world.add_city(name)
        base = buildings(name, [{"function": "office" * 33}])
        table = base.take(pa.array([0] * ROWS, pa.int64()))
        ids = pa.array([f"b{number}" for number in range(ROWS)])
        city.adopt(table.set_column(table.column_names.index("id"), base.schema.field("id"), ids))
        city.activate(GRANTS)
        city.limits = {"batch_bytes": 256 * 1024}
    async with (
        world.node(CITIES[0]) as one,
        world.node(CITIES[1]) as other,
        world.gateway(make=make) as gateway,
    ):
        leaf = partner.leaves[Use.CLIENT].current(world.clock())
        issuer = world.directory.gateway("gw.alliance").issuers[0].pem
        async with raw.Caller(gateway.port, "gw.alliance", issuer, leaf) as caller:
            query = raw.query(world.clock(), read=raw.read(), via=["gw.alliance"])
            call = caller.channel.unary_stream(raw.READ)(raw.ask(partner.signer, query))  # with no deadline
            await call.read()
            yield Scene(call, gateway, [one, other])
            call.cancel()


def running(scene: Scene) -> list[int]:
    return [len(node.service.running) for node in scene.nodes]


async def test_a_caller_that_takes_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outlet, "stall", 0.3)
    monkeypatch.setattr(layers, "PARTING", 0.3)
    async with asked(tmp_path) as scene:
        await scene.ended()
        assert running(scene) == [0, 0]
        refused = await scene.status()
        assert (refused.code, refused.reason) == ("DEADLINE_EXCEEDED", "timed_out")
        assert "took no data" in refused.message


async def test_an_answer_has_an_end_however_slowly_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "PARTING", 0.3)
    async with asked(tmp_path, Hasty) as scene:
        await scene.ended()
        assert running(scene) == [0, 0]
        refused = await scene.status()
        assert (refused.code, refused.reason) == ("DEADLINE_EXCEEDED", "timed_out")
        assert "too slowly" in refused.message


async def test_a_caller_that_leaves_in_the_middle_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with asked(tmp_path) as scene:
        with caplog.at_level(logging.WARNING):
            scene.call.cancel()
            await scene.ended()
        assert running(scene) == [0, 0]
    told = [record for record in caplog.records if record.name.startswith("cimfed")]
    assert not [record for record in told if record.name != "cimfed.tlog.witness"]  # which come and go with the cities
