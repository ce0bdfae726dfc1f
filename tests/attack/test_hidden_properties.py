"""What a policy hides cannot be told from what the city never had: filters, groups, measures, columns, bytes.

The same question is asked about a property that the policy hides and about one of the same type that is not in the
city's data; and about the hidden one when its values are other values, and when there are none. Answers are read by
docs/wire.md alone. What may differ: the query itself and so its hash, the number of the decision, the time, and what
names the snapshot. Rows of a view without geometry come in an order that is drawn anew by the city's key for each view.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cimfed.trust.tls import Use
from cimfed.v1 import query_pb2
from tests.federation import raw
from tests.federation.world import World, buildings
from tests.oracle.wire.streams import City

CITY = "kz.almaty"
HIDDEN, NEVER = "energy_kwh", "volume"  # of one type; the data have the first alone
SECRET = "energy_class"  # a code, hidden too; "roof_type" is not in the data
GRANTS = """
  - id: massing
    subject: {org: [inst.tsinghua]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact}
"""
PLACED = """
  - id: massing
    subject: {org: [inst.tsinghua]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact}
    geometry: {max_lod: 0}
"""
OF_ONE_ASKING = {"request_hash", "decision", "now"}
OF_THE_SNAPSHOT = {"snapshot", "view", "chain"}


def rows(energy: int | None = 1000) -> list[dict[str, Any]]:
    """``energy``: what the hidden values start from; None: the city has none of them."""
    hidden = [
        {} if energy is None else {"energy_kwh": Decimal(energy + 7 * number), "energy_class": "ABCDEFG"[number % 7]}
        for number in range(30)
    ]
    return [{"height": Decimal(number), "at": (70 + number * 0.01, 40.0), **more} for number, more in enumerate(hidden)]


@dataclass
class Reply:
    """An answer as it came: what the manifest says, the columns, the batches' bytes."""

    manifest: dict[str, Any]
    schema: pa.Schema | None
    payloads: list[bytes]

    def sorted_rows(self) -> list[str]:
        batches = [pa.ipc.read_record_batch(pa.py_buffer(payload), self.schema) for payload in self.payloads]
        return sorted(str(row) for batch in batches for row in batch.to_pylist())

    def without(self, *names: str) -> dict[str, Any]:
        return {name: value for name, value in self.manifest.items() if name not in names}


class Desk:
    def __init__(self, world: World, caller: raw.Caller) -> None:
        self.world, self.caller = world, caller

    async def ask(self, **request: Any) -> Reply:
        asked = raw.query(self.world.clock(), **request)
        payload = raw.ask(self.world.parties["inst.tsinghua"].signer, asked)
        kind = asked.WhichOneof("request")
        keys = [key.raw for key in self.world.directory.member(CITY).keys]
        city = City(CITY, keys, _hash(asked), "sco", "building")
        schema, payloads = None, []
        for frame in await self.caller.frames(raw.METHODS[kind], payload):
            city.take(frame)
            if frame["part"] == "start":
                schema = pa.ipc.read_schema(pa.py_buffer(frame["start"]["schema"]))
            elif not frame["part"]:
                payloads.append(frame["payload"])
        return Reply(city.finish(), schema, payloads)


def _hash(asked: query_pb2.Query) -> bytes:
    return hashlib.sha256(asked.SerializeToString()).digest()


@asynccontextmanager
async def desk(world: World) -> AsyncIterator[Desk]:
    async with world.node(CITY) as node:
        leaf = world.parties["inst.tsinghua"].leaves[Use.CLIENT].current(world.clock())
        async with raw.Caller(node.server.port, CITY, world.directory.member(CITY).issuers[0].pem, leaf) as caller:
            yield Desk(world, caller)


def city_with(folder: Path, data: list[dict[str, Any]], grants: str = GRANTS) -> World:
    world = World(folder)
    world.add_partner()
    city = world.add_city(CITY)
    city.adopt(buildings(CITY, data))
    city.activate(grants)
    return world


@pytest.fixture(scope="module")
def almaty(tmp_path_factory: pytest.TempPathFactory) -> World:
    return city_with(tmp_path_factory.mktemp("almaty"), rows())


def number(value: int) -> query_pb2.Literal:
    return query_pb2.Literal(decimal=query_pb2.Decimal(unscaled=value))


def compared(name: str, op: int = query_pb2.COMPARATOR_GT) -> query_pb2.Expression:
    left, right = query_pb2.Operand(property=name), query_pb2.Operand(literal=number(1))
    return query_pb2.Expression(comparison=query_pb2.Comparison(op=op, left=left, right=right))  # type: ignore[arg-type]


def listed(name: str) -> query_pb2.Expression:
    return query_pb2.Expression(**{"in": query_pb2.In(property=name, values=[number(1), number(1007)])})


def between(name: str) -> query_pb2.Expression:
    return query_pb2.Expression(between=query_pb2.Between(property=name, low=number(0), high=number(9000)))


def null(name: str) -> query_pb2.Expression:
    return query_pb2.Expression(is_null=query_pb2.IsNull(property=name))


def joined(connective: int, *parts: query_pb2.Expression) -> query_pb2.Expression:
    return query_pb2.Expression(connective=connective, parts=parts)  # type: ignore[arg-type]


FILTERS = {
    "a comparison": compared,
    "a comparison of unlike": lambda name: compared(name, query_pb2.COMPARATOR_NE),
    "a list": listed,
    "a range": between,
    "a test for null": null,
    "the negation of a comparison": lambda name: joined(query_pb2.CONNECTIVE_NOT, compared(name)),
    "an OR with what is always true": lambda name: joined(
        query_pb2.CONNECTIVE_OR, compared(name), joined(query_pb2.CONNECTIVE_NOT, null("height"))
    ),
    "an AND with what is never true": lambda name: joined(query_pb2.CONNECTIVE_AND, compared(name), null("id")),
    "a comparison with another column": lambda name: query_pb2.Expression(
        comparison=query_pb2.Comparison(
            op=query_pb2.COMPARATOR_LT,
            left=query_pb2.Operand(property="height"),
            right=query_pb2.Operand(property=name),
        )
    ),
}
AGGREGATES = {
    "a group": lambda name: {"group_by": [name], "measures": [{"function": query_pb2.FUNCTION_COUNT}]},
    "a sum": lambda name: {"measures": [{"function": query_pb2.FUNCTION_SUM, "property": name}]},
    "a mean": lambda name: {"measures": [{"function": query_pb2.FUNCTION_MEAN, "property": name}]},
    "a least value": lambda name: {"measures": [{"function": query_pb2.FUNCTION_MIN, "property": name}]},
    "a filter of an aggregate": lambda name: {
        "where": compared(name),
        "measures": [{"function": query_pb2.FUNCTION_COUNT}],
    },
}


def refused_alike(hidden: Reply, never: Reply, names: tuple[str, str] = (HIDDEN, NEVER)) -> None:
    """The same manifest but for the name that was asked for."""
    assert (hidden.manifest["outcome"], hidden.manifest["reason"]) == ("refused", "unknown_property")
    assert hidden.payloads == never.payloads == []
    assert hidden.schema is never.schema is None
    said, other = hidden.without(*OF_ONE_ASKING), never.without(*OF_ONE_ASKING)
    assert names[0] in said["message"]
    assert said | {"message": said["message"].replace(names[0], names[1])} == other


@pytest.mark.parametrize("where", FILTERS.values(), ids=FILTERS.keys())
async def test_a_hidden_property_is_refused_as_one_that_was_never_there_in(almaty: World, where: Any) -> None:
    async with desk(almaty) as node:
        hidden, never = [await node.ask(read=raw.read("building", "id", where=where(name))) for name in (HIDDEN, NEVER)]
        refused_alike(hidden, never)
        nobodys = await node.ask(read=raw.read("building", "id", where=where("colour")))
        refused_alike(hidden, nobodys, (HIDDEN, "colour"))


@pytest.mark.parametrize("aggregate", AGGREGATES.values(), ids=AGGREGATES.keys())
async def test_a_hidden_property_is_refused_as_one_that_was_never_there_by(almaty: World, aggregate: Any) -> None:
    async with desk(almaty) as node:
        hidden, never, nobodys = [
            await node.ask(aggregate={"collection": "building", **aggregate(name)})
            for name in (HIDDEN, NEVER, "colour")
        ]
    refused_alike(hidden, never)
    refused_alike(hidden, nobodys, (HIDDEN, "colour"))


async def test_a_hidden_property_is_a_column_of_nulls_as_one_that_was_never_there(almaty: World) -> None:
    async with desk(almaty) as node:
        hidden, never = [await node.ask(read=raw.read("building", "id", name)) for name in (HIDDEN, NEVER)]
        codes = [await node.ask(read=raw.read("building", "id", name)) for name in (SECRET, "roof_type")]
    for one, other, names in ((hidden, never, (HIDDEN, NEVER)), (codes[0], codes[1], (SECRET, "roof_type"))):
        assert one.manifest["absent"] == [names[0]]
        assert other.manifest["absent"] == [names[1]]
        assert one.without("absent", "chain", *OF_ONE_ASKING) == other.without("absent", "chain", *OF_ONE_ASKING)
        assert one.schema is not None
        assert other.schema is not None
        assert one.schema.field(names[0]).type == other.schema.field(names[1]).type
        columns = [item.with_name("?") if item.name in names else item for item in one.schema]
        assert columns == [item.with_name("?") if item.name in names else item for item in other.schema]
        assert one.payloads == other.payloads


async def test_of_all_properties_neither_is_one(almaty: World) -> None:
    async with desk(almaty) as node:
        answer = await node.ask(read=raw.read("building"))
    assert answer.schema is not None
    assert {HIDDEN, NEVER, SECRET} & set(answer.schema.names) == set()
    assert answer.manifest["absent"] == []


QUESTIONS: dict[str, dict[str, Any]] = {
    "all rows": {"read": raw.read("building")},
    "named columns": {"read": raw.read("building", "id", "height", HIDDEN)},
    "a filter": {"read": raw.read("building", "id", where=compared("height"))},
    "a refused filter": {"read": raw.read("building", "id", where=compared(HIDDEN))},
    "an aggregate": {"aggregate": {"collection": "building", "measures": [{"function": query_pb2.FUNCTION_COUNT}]}},
}


@pytest.mark.parametrize("other", [rows(5000), rows(None)], ids=["with other hidden values", "without any"])
@pytest.mark.parametrize("grants", [GRANTS, PLACED], ids=["without geometry", "with geometry"])
async def test_a_city_answers_to_the_byte_as_one(tmp_path: Path, other: list[dict[str, Any]], grants: str) -> None:
    """The same city before and after an import that changes hidden values alone."""
    world = city_with(tmp_path, rows(), grants)
    async with desk(world) as node:
        before = {name: await node.ask(**question) for name, question in QUESTIONS.items()}
        world.cities[CITY].adopt(buildings(CITY, other))
        after = {name: await node.ask(**question) for name, question in QUESTIONS.items()}
    for name, first in before.items():
        second = after[name]
        assert first.without(*OF_ONE_ASKING, *OF_THE_SNAPSHOT) == second.without(*OF_ONE_ASKING, *OF_THE_SNAPSHOT)
        assert first.schema == second.schema
        assert [len(payload) for payload in first.payloads] == [len(payload) for payload in second.payloads]
        if grants == PLACED:
            assert first.payloads == second.payloads
        else:
            assert first.sorted_rows() == second.sorted_rows()
    assert before["all rows"].manifest["snapshot"] != after["all rows"].manifest["snapshot"]


async def test_the_files_that_queries_read_hold_nothing_that_is_hidden(tmp_path: Path) -> None:
    files = []
    for number_of, energy in enumerate((1000, 5000, None)):
        folder = tmp_path / str(number_of)
        folder.mkdir()
        world = city_with(folder, rows(energy))
        (file,) = world.cities[CITY].home.views.glob("*.parquet")
        table = pa.parquet.read_table(file)
        files.append((table.schema, sorted(map(str, table.to_pylist()))))
        assert table.schema.names == ["city", "id", "height"]
    assert files[0] == files[1] == files[2]
