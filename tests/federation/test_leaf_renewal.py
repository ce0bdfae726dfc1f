"""TLS leaves renew under load: questions go on through gateway and nodes while leaf after leaf passes its half-life."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

import cimfed
from cimfed.rpc import identity
from cimfed.trust.tls import CheckedLeaf, Leaf, LeafSource, check_leaf
from tests.federation.world import World, buildings

CITIES = ("kz.almaty", "uz.tashkent")
GRANTS = """
  - id: all
    subject: {role: [researcher]}
    purpose: [research]
    collection: building
    columns: {id: exact, function: exact}
"""
ROWS = 40_000  # of 800 bytes: far more than connections hold back
ASKERS, QUESTIONS = 6, 12
EVERY = 8  # answers between two renewals


class Leaves:
    """All leaves of this process. They pass their half-life when told to, since TLS itself has the real clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: defaultdict[str, set[bytes]] = defaultdict(set)  # by clients, as servers checked them
        self.renewals = 0
        self._sources: set[LeafSource] = set()
        current: Callable[[LeafSource, int], Leaf] = LeafSource.current

        def watched(source: LeafSource, now: int) -> Leaf:
            self._sources.add(source)
            return current(source, now)

        def checked(leaf: bytes, *how: Any) -> CheckedLeaf:
            found = check_leaf(leaf, *how)
            self.shown[found.peer.name].add(leaf)
            return found

        monkeypatch.setattr(LeafSource, "current", watched)
        monkeypatch.setattr(identity, "check_leaf", checked)

    def pass_half_life(self) -> None:
        self.renewals += 1
        for source in list(self._sources):
            if source._leaf is not None:
                source._leaf = replace(source._leaf, renew_at=0)


async def test_no_question_fails_and_no_stream_is_cut_while_leaves_are_renewed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves = Leaves(monkeypatch)
    world.add_gateway()
    world.add_partner()
    for name in CITIES:
        city = world.add_city(name)
        base = buildings(name, [{"function": "office" * 133}])
        table = base.take(pa.array([0] * ROWS, pa.int64()))
        ids = pa.array([f"b{number}" for number in range(ROWS)])
        city.adopt(table.set_column(table.column_names.index("id"), base.schema.field("id"), ids))
        city.activate(GRANTS)
        city.limits = {"batch_bytes": 256 * 1024}
    answered = 0

    async with (
        world.node(CITIES[0]) as one,
        world.node(CITIES[1]) as other,
        world.gateway(),
        cimfed.connect_async(str(world.profile())) as fed,
    ):

        async def ask_on(asker: int) -> None:
            nonlocal answered
            for number in range(QUESTIONS):
                wanted = f"b{asker * QUESTIONS + number}"
                answer = fed.read("building", where=f"id = '{wanted}'", purpose="research", require="all")
                table = await answer.to_table()
                assert sorted(table["city"].to_pylist()) == list(CITIES)
                assert set(table["id"].to_pylist()) == {wanted}
                answered += 1
                if answered % EVERY == 0:
                    leaves.pass_half_life()

        long = aiter(fed.read("building", purpose="research", require="all"))
        rows = (await anext(long)).num_rows
        async with asyncio.TaskGroup() as group:
            for asker in range(ASKERS):
                group.create_task(ask_on(asker))
        assert answered == ASKERS * QUESTIONS
        # The long answer is under way, on connections of the first leaves.
        assert one.service.running
        assert other.service.running
        async for batch in long:
            rows += batch.num_rows
        assert rows == len(CITIES) * ROWS

    assert leaves.renewals == ASKERS * QUESTIONS // EVERY
    for client in ("inst.tsinghua", "gw.alliance"):
        assert len(leaves.shown[client]) > leaves.renewals // 2
