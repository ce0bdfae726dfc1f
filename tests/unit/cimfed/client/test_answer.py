"""What a caller gets: one schema, all rows, nulls where a city lacks a column, and an end that says who answered."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest

from cimfed.client.federation import AsyncFederation, Federation
from cimfed.errors import (
    BadQuery,
    Conflict,
    CoverageMismatch,
    NodeUnreachable,
    NotEnough,
    NotGranted,
    Truncated,
    UnknownProperty,
)
from cimfed.model.answer import Outcome
from cimfed.model.vocabulary import VOCABULARY
from tests.unit.cimfed.client.world import (
    ALMATY,
    QINGDAO,
    TASHKENT,
    Line,
    Stream,
    World,
    asker,
    connect,
    connect_async,
    line_of,
)


def went_down(city: str, outcome: Outcome = Outcome.UNREACHABLE, after: int = 0) -> object:
    """A gateway that lost a city after some of its frames, and says so."""

    def change(stream: Stream) -> None:
        stream.drop(*stream.of(city)[after:])
        stream.say(city, outcome=outcome, reason="node_unreachable", message="no connection", manifest_hash=b"")

    return change


def test_a_table_has_every_citys_rows_and_nulls_for_what_a_city_lacks() -> None:
    with connect(World()) as fed:
        table = fed.read("building", purpose="research").to_table()
    rows = {row["id"]: row for row in table.to_pylist(maps_as_pydicts="strict")}
    assert len(rows) == table.num_rows == 4 * 10 + 7 + 3 * 5
    assert rows["kz.almaty/7"]["height"] == Decimal("7.25")
    assert rows["kz.almaty/7"]["function"] is None
    assert rows["cn.qingdao/3"]["name"] == {"en": "House 3", "zh": "楼3"}
    assert rows["uz.tashkent/3"]["geometry_lod1"] is not None
    assert {row["city"] for row in rows.values()} == {ALMATY, QINGDAO, TASHKENT}


def test_columns_that_no_city_has_are_dropped_from_a_table_and_stay_in_a_stream() -> None:
    with connect(World()) as fed:
        table = fed.read("building", purpose="research").to_table()
        reader = fed.read("building", purpose="research").to_reader()
        names = list(VOCABULARY.collections["building"].properties)
        assert reader.schema.names == names
        assert reader.read_all().num_rows == 62
    had = {"city", "id", "name", "geometry_lod0", "geometry_lod1", "bbox", "function", "height"}
    assert table.column_names == [name for name in names if name in had]


def test_named_properties_are_the_columns_in_the_vocabularys_order() -> None:
    with connect(World()) as fed:
        answer = fed.read("building", properties=["height", "volume", "id"], purpose="research")
        assert answer.schema.names == ["city", "id", "height", "volume"]
        table = answer.to_table()
    assert table.schema.equals(answer.schema)
    assert table["volume"].null_count == table.num_rows


def test_the_city_column_is_the_signers_whatever_its_batches_say() -> None:
    world = World()
    city = world.cities[ALMATY]
    city.batches = [
        batch.set_column(0, batch.schema.field(0), pa.array([str(QINGDAO)] * batch.num_rows)) for batch in city.batches
    ]
    with connect(world) as fed:
        table = fed.read("building", purpose="research", cities=[ALMATY]).to_table()
    assert set(table["city"].to_pylist()) == {ALMATY}


def test_coverage_says_what_came_of_every_member() -> None:
    with connect(World()) as fed:
        answer = fed.read("building", purpose="research")
        with pytest.raises(Conflict):
            _ = answer.coverage
        answer.to_table()
        line = answer.coverage[ALMATY]
    assert answer.coverage.complete
    assert (line.outcome, line.word, line.rows, line.grant, line.policy_version) == (
        "answered",
        "city",
        40,
        "massing",
        3,
    )
    assert line.masks == {"height": "band(5)"}
    coarse = answer.to_table().schema.field("height").metadata[b"cimfed:masks"]
    assert json.loads(coarse) == {ALMATY: "band(5)"}
    assert answer.absent == {ALMATY: ("function",)}
    assert "kz.almaty" in repr(answer.coverage)


def test_an_answer_is_read_once_but_keeps_its_table() -> None:
    with connect(World()) as fed:
        answer = fed.read("building", purpose="research")
        assert answer.to_table() is answer.to_table()
        with pytest.raises(Conflict):
            list(answer)


@pytest.mark.parametrize("require", ["all", 3])
def test_a_city_that_is_down_is_not_enough_for(require: str | int) -> None:
    with connect(World(), went_down(ALMATY)) as fed:  # type: ignore[arg-type]
        answer = fed.read("building", purpose="research", require=require)
        with pytest.raises(NotEnough, match=r"kz\.almaty \(node_unreachable\)"):
            answer.to_table()
        assert answer.coverage[ALMATY].word == "gateway"


@pytest.mark.parametrize("require", ["any", 2])
def test_a_city_that_is_down_costs_its_own_rows(require: str | int) -> None:
    with connect(World(), went_down(ALMATY)) as fed:  # type: ignore[arg-type]
        answer = fed.read("building", purpose="research", require=require)
        assert sum(batch.num_rows for batch in answer) == 22
        assert not answer.coverage.complete


def test_ruled_out_cities_are_missed_by_nobody() -> None:
    with connect(World()) as fed:
        answer = fed.read("building", purpose="research", bbox=(76, 43, 78, 44), require="all")
        assert answer.to_table().num_rows == 40
        assert answer.coverage[QINGDAO].word == "steward"
        nowhere = fed.read("building", purpose="research", bbox=(0, 0, 1, 1))
        assert nowhere.to_table().num_rows == 0


def test_a_member_that_is_not_addressed_is_no_part_of_the_answer() -> None:
    with connect(World()) as fed:
        answer = fed.read("building", purpose="research", cities=[ALMATY], require="all")
        assert answer.to_table().num_rows == 40
        assert [line.city for line in answer.coverage if line.asked] == [ALMATY]


def test_refused_by_all_for_one_reason_is_that_error() -> None:
    world = World()
    for city in world.cities.values():
        city.refusal = "not_granted"
    with connect(world) as fed, pytest.raises(NotGranted, match=r"kz\.almaty"):
        fed.read("building", purpose="research").to_table()


def test_one_refusal_leaves_the_others() -> None:
    world = World()
    world.cities[ALMATY].refusal = "choose_grant"
    with connect(world) as fed:
        answer = fed.read("building", purpose="research")
        assert answer.to_table().num_rows == 22
    assert (answer.coverage[ALMATY].outcome, answer.coverage[ALMATY].reason) == ("refused", "choose_grant")


@pytest.mark.parametrize("outcome", [Outcome.BROKEN, Outcome.TIMED_OUT])
def test_rows_of_a_city_that_broke_off_are_left_out_of_a_table(outcome: Outcome) -> None:
    with connect(World(), went_down(ALMATY, outcome, after=3)) as fed:  # type: ignore[arg-type]
        answer = fed.read("building", purpose="research")
        table = answer.to_table()
    assert set(table["city"].to_pylist()) == {QINGDAO, TASHKENT}
    assert answer.coverage[ALMATY].rows == 0


def test_a_stream_that_gave_rows_of_a_city_that_broke_off_ends_with_an_error() -> None:
    with connect(World(), went_down(ALMATY, Outcome.BROKEN, after=3)) as fed:  # type: ignore[arg-type]
        answer = fed.read("building", purpose="research")
        with pytest.raises(Truncated, match=r"kz\.almaty: its answer broke off after 10 verified rows"):
            list(answer)
        assert answer.coverage[ALMATY].outcome == Outcome.BROKEN


def test_what_is_wrong_in_a_question_is_told_at_once() -> None:
    world = World()
    line = line_of(world)
    with Federation(asker(world, line)) as fed:
        with pytest.raises(UnknownProperty, match="Did you mean height"):
            fed.read("building", where="hieght > 5", purpose="research")
        with pytest.raises(BadQuery, match="purpose"):
            fed.read("building")
        with pytest.raises(BadQuery, match="column"):
            fed.read("building", where="height >", purpose="research")
        with pytest.raises(BadQuery, match="require"):
            fed.read("building", purpose="research", require="most")
        with pytest.raises(BadQuery, match="four numbers"):
            fed.read("building", purpose="research", bbox=(1, 2, 3))
    assert line.asked == []


def test_an_error_of_the_call_is_raised_as_it_is() -> None:
    world = World()
    line = Line(lambda request: [], world.directory, error=NodeUnreachable("gw.alliance cannot be reached"))
    with Federation(asker(world, line)) as fed, pytest.raises(NodeUnreachable):
        fed.read("building", purpose="research").to_table()


def test_one_city_asked_directly_ends_with_its_manifest() -> None:
    world = World()

    def respond(request: bytes) -> list[bytes]:
        stream = world.answer(request)
        from cimfed.wire import frames

        return [frames.encode(frame) for frame in world.cities[ALMATY].stream(stream.query)]

    with Federation(asker(world, Line(respond, world.directory), source=ALMATY)) as fed:
        answer = fed.read("building", purpose="research", require="all")
        assert answer.to_table().num_rows == 40
        assert [line.city for line in answer.coverage] == [ALMATY]
        assert answer.coverage.gateway == ""
        with pytest.raises(BadQuery, match=r"only kz\.almaty"):
            fed.read("building", purpose="research", cities=[QINGDAO]).to_table()


def test_leaving_a_loop_early_cancels_the_call_and_leaves_nothing_running() -> None:
    world = World()
    line = line_of(world)
    fed = Federation(asker(world, line))
    for batch in fed.read("building", purpose="research"):
        assert batch.num_rows
        break
    assert line.open == 0
    assert fed._loop.run(_tasks()) == 1  # only the one that counts
    fed.close()
    assert line.closed
    with pytest.raises(NodeUnreachable):
        fed.read("building", purpose="research").to_table()


def test_closing_ends_answers_that_still_run() -> None:
    world = World()
    line = line_of(world)
    fed = Federation(asker(world, line))
    batches = iter(fed.read("building", purpose="research"))
    next(batches)
    fed.close()
    assert line.open == 0


async def _tasks() -> int:
    import asyncio

    return len(asyncio.all_tasks())


async def test_the_async_client_gives_the_same() -> None:
    async with connect_async(World()) as fed:
        table = await fed.read("building", purpose="research", require="all").to_table()
        answer = fed.read("building", purpose="research")
        rows = sum([batch.num_rows async for batch in answer])
    assert rows == table.num_rows == 62
    assert answer.coverage.complete


async def test_leaving_an_async_loop_early_cancels_the_call() -> None:
    import asyncio

    world = World()
    line = line_of(world)
    async with AsyncFederation(asker(world, line)) as fed:
        async with fed.read("building", purpose="research") as answer, aclosing(aiter(answer)) as batches:  # type: ignore[type-var]
            async for batch in batches:
                assert batch.num_rows
                break
        assert line.open == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}


def test_aggregates_are_added_up_from_the_signed_parts() -> None:
    with connect(totals_world()) as fed:
        answer = fed.aggregate("building", ["count", "mean:height", "max:height"], by=["function"], purpose="research")
        rows = {row["function"]: row for row in answer.to_table().to_pylist()}
    # three cities send (office, 2 rows, 10.5 over 2, max 6) and (null, 1 row, no height)
    assert rows["office"] == {"function": "office", "count": 6, "mean_height": 5.25, "max_height": Decimal("6.00")}
    assert rows[None] == {"function": None, "count": 3, "mean_height": None, "max_height": None}
    assert list(answer.schema.names) == ["function", "count", "mean_height", "max_height"]


def totals_world() -> World:
    world = World()
    for city in world.cities.values():
        city.batches = [
            pa.record_batch(
                {
                    "function": pa.array(["office", None]),
                    "count": pa.array([2, 1]),
                    "sum_height": pa.array([Decimal("10.50"), None], pa.decimal128(38, 2)),
                    "n_height": pa.array([2, 0]),
                    "max_height": pa.array([Decimal("6.00"), None], pa.decimal128(18, 2)),
                }
            )
        ]
    return world


def test_an_aggregate_needs_all_cities_unless_told_otherwise() -> None:
    def change(stream: Stream) -> None:
        went_down(ALMATY)(stream)  # type: ignore[operator]

    with connect(totals_world(), change) as fed, pytest.raises(CoverageMismatch, match="another total"):
        # this gateway's total still counts the city that it calls unreachable
        fed.aggregate(
            "building", ["count", "mean:height", "max:height"], by=["function"], purpose="research"
        ).to_table()
    world = totals_world()
    world.cities[ALMATY].refusal = "not_granted"
    with connect(world) as fed:
        measures = ["count", "mean:height", "max:height"]
        with pytest.raises(NotEnough, match=r"kz\.almaty"):
            fed.aggregate("building", measures, by=["function"], purpose="research").to_table()
        answer = fed.aggregate("building", measures, by=["function"], purpose="research", require="any")
        assert sum(answer.to_table()["count"].to_pylist()) == 6


@pytest.mark.parametrize("change", ["bytes", "dropped", "hash", "content"])
def test_another_total_than_the_parts_make_is_caught(change: str) -> None:
    def manipulate(stream: Stream) -> None:
        at = stream.payloads("gw.alliance")[0]
        assert stream.coverage is not None
        if change == "bytes":
            data = bytearray(stream.frames[at].payload)
            data[-1] ^= 1
            stream.frames[at] = replace(stream.frames[at], payload=bytes(data))
        elif change == "dropped":
            stream.drop(at - 1, at)
            stream.coverage = replace(stream.coverage, total_hash=b"")
        elif change == "hash":
            stream.coverage = replace(stream.coverage, total_hash=bytes(32))
        else:
            _replace_total(stream, at)

    with connect(totals_world(), manipulate) as fed, pytest.raises(CoverageMismatch, match="total"):
        fed.aggregate(
            "building", ["count", "mean:height", "max:height"], by=["function"], purpose="research"
        ).to_table()


def _replace_total(stream: Stream, at: int) -> None:
    """The gateway signs a total of its own making: well-formed, but not the sum of the parts."""
    from cimfed.trust.hashing import digest, sha256
    from cimfed.wire import frames

    start = stream.frames[at - 1].part
    assert isinstance(start, frames.Start)
    assert stream.coverage is not None
    batch = pa.ipc.read_record_batch(
        pa.py_buffer(stream.frames[at].payload), pa.ipc.read_schema(pa.py_buffer(start.schema))
    )
    wrong = batch.set_column(1, batch.schema.field(1), pa.array([count + 1 for count in batch["count"].to_pylist()]))
    data = wrong.serialize().to_pybytes()
    stream.frames[at] = replace(stream.frames[at], payload=data)
    stream.coverage = replace(stream.coverage, total_hash=digest("cimfed/total/v1", (start.schema, sha256(data))))
