"""Asking without cimfed's client: what docs/wire.md and the generated messages say is enough."""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cimfed.v1 import query_pb2
from tests.federation.world import World, buildings

ROOT = Path(__file__).resolve().parents[2]
HEIGHTS = {"kz.almaty": ["3.20", "12.00", "40.15"], "uz.tashkent": ["9.00", "21.50"], "in.delhi": ["7.00"]}
GRANT = """
  - id: massing
    subject: {{org: [{org}]}}
    purpose: [research]
    collection: building
    columns: {{id: exact, height: exact}}
"""


@pytest.fixture
def alliance(world: World) -> World:
    """Three cities: two grant, in.delhi grants to somebody else. ru.moscow is a member that nobody serves."""
    world.add_gateway()
    world.add_partner()
    for name, heights in HEIGHTS.items():
        city = world.add_city(name)
        city.adopt(buildings(name, [{"height": Decimal(height)} for height in heights]))
        city.activate(GRANT.format(org="inst.iitd" if name == "in.delhi" else "inst.tsinghua"))
    world.add_city("ru.moscow")
    return world


async def ask(world: World, request: dict[str, Any]) -> dict[str, Any]:
    """What the thin client prints, run as a program of its own against servers that run here."""
    async with world.node("kz.almaty"), world.node("uz.tashkent"), world.node("in.delhi"), world.gateway() as gateway:
        assert gateway.port
        arguments = (
            str(world.parties["inst.tsinghua"].home),
            str(world.files),
            str(world.root),
            "gw.alliance",
            json.dumps(request),
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.federation.thin_client", *arguments,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, err.decode()
        return json.loads(out)


OUTCOMES = {
    "kz.almaty": ["answered", ""],
    "uz.tashkent": ["answered", ""],
    "in.delhi": ["refused", "not_granted"],
    "ru.moscow": ["unreachable", "node_unreachable"],
}


async def test_a_read_by_hand_is_answered_and_verifies(alliance: World) -> None:
    over_ten = {
        "comparison": {
            "op": query_pb2.COMPARATOR_GT,
            "left": {"property": "height"},
            "right": {"literal": {"decimal": {"unscaled": 10, "scale": 0}}},
        }
    }
    answer = await ask(
        alliance, {"collection": "building", "where": over_ten, "properties": ["city", "height"], "compression": 1}
    )
    assert answer["outcomes"] == OUTCOMES
    expected = [
        (name, height) for name in ("kz.almaty", "uz.tashkent") for height in HEIGHTS[name] if float(height) > 10
    ]
    assert sorted((row["city"], row["height"]) for row in answer["rows"]) == expected


async def test_an_aggregate_by_hand_is_answered_and_verifies(alliance: World) -> None:
    measures = [{"function": query_pb2.FUNCTION_COUNT}, {"function": query_pb2.FUNCTION_SUM, "property": "height"}]
    answer = await ask(alliance, {"collection": "building", "group_by": ["city"], "measures": measures})
    assert answer["outcomes"] == OUTCOMES
    states = {row["city"]: (row["count"], row["sum_height"], row["n_height"]) for row in answer["rows"]}
    assert states == {
        name: (len(HEIGHTS[name]), str(sum(map(Decimal, HEIGHTS[name]))), len(HEIGHTS[name]))
        for name in ("kz.almaty", "uz.tashkent")
    }


async def test_of_cimfed_only_the_generated_messages_are_loaded(alliance: World) -> None:
    answer = await ask(alliance, {"collection": "building", "all_properties": True, "compression": 1})
    assert all(module in ("cimfed", "cimfed.v1") or module.startswith("cimfed.v1.") for module in answer["cimfed"])
