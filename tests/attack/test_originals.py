"""Untouched objects: nobody without the right learns that there are any, and nobody on the way changes one unnoticed.

As in ``test_hidden_properties`` answers are read by docs/wire.md alone: what is asked of a city that has untouched
objects and does not grant them is compared with what was never there.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import cimfed
from cimfed.client import ask
from cimfed.errors import BadQuery, ChainBroken
from cimfed.model.schema import ORIGINALS
from cimfed.query.query import Query
from cimfed.v1 import query_pb2, query_service_pb2
from cimfed.wire import frames
from cimfed.wire.filters import known
from cimfed.wire.queries import decode_query, encode_query
from tests.attack.liar import Told, lying
from tests.attack.test_hidden_properties import (
    AGGREGATES,
    CITY,
    FILTERS,
    OF_ONE_ASKING,
    OF_THE_SNAPSHOT,
    desk,
    refused_alike,
)
from tests.federation import raw
from tests.federation.test_originals import brought_in
from tests.federation.world import World
from tests.ingest.making import as_bytes, feature, features
from tests.unit.cimfed.policy.documents import untouched

SECRET = "a secret of the file"
PLAIN = untouched(original="false")
PURPOSES = PLAIN + untouched().replace("id: untouched", "id: others").replace("[CN]", "[IN]")
Trick = Any


def houses(*, secret: str = SECRET) -> dict[str, Any]:
    """``secret`` stands in a member of each feature that no column has."""
    made = features(*(feature(f"b{number}", height=number + 1) for number in range(30)))
    return {**made, "features": [{**item, "foreign": secret * 50} for item in made["features"]]}


def city_with(folder: Path, data: dict[str, Any], grants: str) -> World:
    world = World(folder)
    world.add_gateway()
    world.add_partner()
    city = world.add_city(CITY)
    path = folder / "houses.geojson"
    path.write_bytes(as_bytes(data))
    brought_in(city, path)
    city.activate(grants)
    return world


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> World:
    return city_with(tmp_path_factory.mktemp("without"), houses(), PURPOSES)


@pytest.fixture(scope="module")
def granted(tmp_path_factory: pytest.TempPathFactory) -> World:
    return city_with(tmp_path_factory.mktemp("granted"), houses(), untouched())


# Asking without the right


async def test_untouched_objects_that_are_not_granted_are_refused_as_a_property_that_was_never_there(
    without: World,
) -> None:
    wheres = [None, FILTERS["a comparison"]("height"), FILTERS["a test for null"]("id")]
    async with desk(without) as node:
        never = await node.ask(read=raw.read("building", "id", where=FILTERS["a comparison"]("colour")))
        for where in wheres:
            for names in ((), ("id",), ("id", "colour")):
                asked = await node.ask(read=raw.read("building", *names, where=where, original=True))
                said, other = asked.without(*OF_ONE_ASKING), never.without(*OF_ONE_ASKING)
                for item in (said, other):
                    item["message"] = item["message"].split(" (at ")[0]
                assert said | {"message": said["message"].replace("original", "colour")} == other
                assert asked.payloads == []
                assert asked.schema is None


@pytest.mark.parametrize("right", ["without", "granted"])
@pytest.mark.parametrize("name", ["original", "original_header"])
async def test_they_are_no_property_to_filter_or_group_by(
    right: str, name: str, request: pytest.FixtureRequest
) -> None:
    """With the right as little as without."""
    async with desk(request.getfixturevalue(right)) as node:
        for where in FILTERS.values():
            hidden, never = [
                await node.ask(read=raw.read("building", "id", where=where(item))) for item in (name, "colour")
            ]
            refused_alike(hidden, never, (name, "colour"))
        for aggregate in AGGREGATES.values():
            hidden, never = [
                await node.ask(aggregate={"collection": "building", **aggregate(item)}) for item in (name, "colour")
            ]
            refused_alike(hidden, never, (name, "colour"))
        column, never = [await node.ask(read=raw.read("building", "id", item)) for item in (name, "colour")]
        assert column.schema is not None
        assert column.schema.field(name).type == pa.null()
        assert column.without("absent", "chain", *OF_ONE_ASKING) == never.without("absent", "chain", *OF_ONE_ASKING)
        assert column.payloads == never.payloads
        both = await node.ask(read=raw.read("building", "id", name, original=True))
        assert both.manifest["reason"] == "bad_query"


async def test_a_city_answers_to_the_byte_as_one_whose_file_says_other_things(tmp_path: Path) -> None:
    """What no column shows changes nothing for who has no right to it, whatever is asked."""
    questions: list[dict[str, Any]] = [
        {"read": raw.read("building")},
        {"read": raw.read("building", original=True)},
        {"read": raw.read("building", "id", where=FILTERS["a comparison"]("original"))},
    ]
    world = city_with(tmp_path, houses(), PURPOSES)
    async with desk(world) as node:
        before = [await node.ask(**question) for question in questions]
        path = tmp_path / "houses.geojson"
        path.write_bytes(as_bytes(houses(secret="?")))
        brought_in(world.cities[CITY], path)
        after = [await node.ask(**question) for question in questions]
    for first, second in zip(before, after, strict=True):
        assert first.without(*OF_ONE_ASKING, *OF_THE_SNAPSHOT) == second.without(*OF_ONE_ASKING, *OF_THE_SNAPSHOT)
        assert first.schema == second.schema
        assert first.schema is None or ORIGINALS not in (first.schema.metadata or {})
        assert [len(payload) for payload in first.payloads] == [len(payload) for payload in second.payloads]
        assert first.sorted_rows() == second.sorted_rows()  # of one place, so in an order drawn by the view's key


def test_no_file_of_a_view_without_the_right_holds_any(tmp_path: Path) -> None:
    world = city_with(tmp_path, houses(), PLAIN)
    views = list(world.cities[CITY].home.views.iterdir())
    assert {path.name.partition(".")[2] for path in views} == {"parquet", "json"}
    for path in views:
        if path.suffix == ".parquet":
            assert SECRET not in str(pa.parquet.read_table(path).to_pydict())
        assert SECRET.encode() not in path.read_bytes()


async def test_who_has_the_right_is_given_them_only_when_asking(granted: World) -> None:
    async with desk(granted) as node:
        plain, whole = [await node.ask(read=raw.read("building", original=original)) for original in (False, True)]
    assert plain.schema is not None
    assert whole.schema is not None
    assert not {"original", "original_header"} & set(plain.schema.names)
    assert SECRET.encode() not in b"".join(map(bytes, plain.payloads))
    assert whole.schema.names == [*plain.schema.names, "original", "original_header"]
    assert json.loads(whole.schema.metadata[ORIGINALS]) == [
        {"file": "houses.geojson", "header": {"type": "FeatureCollection"}}
    ]
    assert SECRET.encode() in b"".join(map(bytes, whole.payloads))


# A gateway that lies


def changed(told: Told, how: Any) -> None:
    """Every batch made anew, as if the city had sent it."""
    items = told.cities[CITY]
    (start,) = (frames.decode(data).part for data in items if isinstance(frames.decode(data).part, frames.Start))
    assert isinstance(start, frames.Start)
    schema = pa.ipc.read_schema(pa.py_buffer(start.schema))
    for at in told.places(CITY, None):
        frame = frames.decode(items[at])
        batch = how(pa.ipc.read_record_batch(pa.py_buffer(bytes(frame.payload)), schema))
        payload = batch.serialize().to_pybytes()
        items[at] = frames.encode(replace(frame, rows=batch.num_rows, payload=payload))


def beside(batch: pa.RecordBatch, column: pa.Array) -> pa.RecordBatch:
    return batch.set_column(batch.schema.get_field_index("original"), batch.schema.field("original"), column)


def replace_them(told: Told, _liar: Any) -> None:
    changed(told, lambda batch: beside(batch, pa.array(['{"type":"Feature"}'] * batch.num_rows, pa.string())))


def drop_them(told: Told, _liar: Any) -> None:
    changed(told, lambda batch: beside(batch, pa.nulls(batch.num_rows, pa.string())))


def swap_two_of_them(told: Told, _liar: Any) -> None:
    changed(told, lambda batch: beside(batch, batch["original"].take(pa.array([1, 0, *range(2, batch.num_rows)]))))


def drop_rows(told: Told, _liar: Any) -> None:
    changed(told, lambda batch: batch.slice(1))


def change_the_headers(told: Told, _liar: Any) -> None:
    """So that the objects seem to be of another coordinate system."""
    items = told.cities[CITY]
    (at,) = told.places(CITY, frames.Start)
    start = frames.decode(items[at]).part
    assert isinstance(start, frames.Start)
    schema = pa.ipc.read_schema(pa.py_buffer(start.schema))
    said = schema.metadata[ORIGINALS].replace(b"houses", b"horses")
    other = schema.with_metadata({**schema.metadata, ORIGINALS: said})
    items[at] = frames.encode(frames.Frame(CITY, replace(start, schema=other.serialize().to_pybytes())))


@pytest.mark.parametrize("trick", [replace_them, drop_them, swap_two_of_them, drop_rows, change_the_headers])
async def test_a_gateway_is_caught_that_tries_to(granted: World, trick: Trick) -> None:
    async with (
        granted.node(CITY),
        lying(granted) as gateway,
        cimfed.connect_async(str(granted.profile())) as fed,
    ):
        honest = await fed.read("building", purpose="research", original=True).to_table()
        assert honest.num_rows == 30
        assert honest["original"].null_count == 0
        gateway.trick = trick
        with pytest.raises(ChainBroken, match=CITY):
            await fed.read("building", purpose="research", original=True).to_table()


async def test_a_gateway_that_asks_for_them_in_a_partners_place_gets_nothing(granted: World) -> None:
    """The signature is over the field, too."""
    signer = granted.parties["inst.tsinghua"].signer
    async with desk(granted) as node:
        asked = raw.query(granted.clock(), read=raw.read("building"))
        signed = raw.sign(signer, raw.QUERY, asked.SerializeToString())
        asked.read.original = True
        signed.payload = asked.SerializeToString()
        with pytest.raises(raw.Refused) as refused:
            await node.caller.frames(raw.READ, query_service_pb2.Ask(query=signed).SerializeToString())
    assert refused.value.reason == "bad_signature"


# Releases that do not know of them


def of_an_older_release() -> Any:
    """``Query`` as it was: the same messages without the field."""
    file = descriptor_pb2.FileDescriptorProto()
    query_pb2.DESCRIPTOR.CopyToProto(file)
    (read,) = (message for message in file.message_type if message.name == "Read")
    (field,) = (field for field in read.field if field.name == "original")
    assert field.number == 6
    read.field.remove(field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[attr-defined]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("cimfed.v1.Query"))


def query(original: bool) -> Query:
    request = ask.read_request("building", None, None, None, "", original)
    asked = ask.question(request, "research", None, None, "any", None)
    return ask.make_query(asked, "sco", CITY, 1_800_000_000_000_000, bytes(16))  # type: ignore[arg-type]


def test_a_node_or_gateway_that_does_not_know_the_field_refuses_the_query() -> None:
    """By the rule that every release keeps: what is not understood is not passed over."""
    older = of_an_older_release()
    plain, whole = older.FromString(encode_query(query(False))), older.FromString(encode_query(query(True)))
    known(plain.read, "read")
    with pytest.raises(BadQuery, match="fields that this release does not know"):
        known(whole.read, "read")
    assert decode_query(encode_query(query(True))) == query(True)


def test_a_query_that_does_not_ask_for_them_is_the_bytes_that_it_was() -> None:
    older = of_an_older_release()
    data = encode_query(query(False))
    assert older.FromString(data).SerializeToString() == data
