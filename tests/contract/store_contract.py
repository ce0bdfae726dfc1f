"""What every store must do, whatever its engine: subclass ``StoreContract`` and give it the fixture ``bench``.

Answers are checked against plain Python over the rows that the view was made from: the oracle of filters
(``tests.unit.cimfed.query.naive``), and sums of ``Decimal`` for aggregates.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any, Protocol

import pyarrow as pa
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cimfed.errors import BadQuery, CimfedError, TimedOut, TooLarge, UnknownProperty, ViewGone
from cimfed.model.limits import LIMITS, Limits
from cimfed.model.schema import GEOARROW
from cimfed.query.expression import And, Box, Comparator, Comparison, Expression, IsNull, Literal, Not, Property
from cimfed.query.query import Aggregate, Function, Measure, Read
from cimfed_node.stores.base import MAX_BATCH, Reader, Store, View
from tests.unit.cimfed.query.naive import select
from tests.unit.cimfed.query.trees import trees
from tests.unit.node import rows as made

COUNT = Measure(Function.COUNT)
RANDOM = settings(
    max_examples=60,
    deadline=None,
    # One bench for all examples, and one method for all stores.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class Bench(Protocol):
    """A store, and how to give it views."""

    store: Store

    def view(self, rows: pa.Table, *, geometry: bool = True) -> View:
        """A view of all of these rows and columns, exact; without geometry and box if so asked."""

    def remove(self, view: View) -> None:
        """Takes the view away from under the store."""

    def limited(self, limits: Limits) -> Store:
        """Another store over the same views."""


def everything(reader: Reader) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    try:
        while (batch := reader.read_next()) is not None:
            assert batch.num_rows > 0
            assert batch.nbytes <= MAX_BATCH or batch.num_rows == 1
            assert batch.schema.equals(reader.schema, check_metadata=True)
            batches.append(batch)
        assert reader.read_next() is None
    finally:
        reader.close()
    return pa.Table.from_batches(batches, reader.schema)


def ids(table: pa.Table) -> list[str]:
    return sorted(table["id"].to_pylist())


def of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted(row["id"] for row in rows)


def many(number: int) -> pa.Table:
    """Rows for statements that take a while, all alike but for their ids."""
    return made.table(
        [made.building(at, function="office", height=Decimal(at % 100)) for at in range(number)],
        ("city", "id", "function", "height"),
    )


def wide(number: int) -> pa.Table:
    """Rows of 4 KiB each: of enough of them, most cannot be on their way before they are asked for."""
    text = "x" * 4096
    return made.table([made.building(at, function=text, height=Decimal(at % 100)) for at in range(number)])


class StoreContract:
    """The fixture ``bench`` may have any scope."""

    # Reading

    def test_a_read_of_all_gives_every_row_as_it_is(self, bench: Bench) -> None:
        rows = [
            made.building(1, shapely.box(76, 43, 77, 44), height=Decimal("-0.05"), function="школа", year_built=1966),
            made.building(2, shapely.Point(76.5, 43.25), valid_from=None),
            made.building(3, None, function="", height=Decimal("9999999999999999.99"), floor_area=Decimal("0.1")),
        ]
        view = bench.view(made.table(rows))
        found = everything(bench.store.read(view, Read("building")))
        assert found.schema.equals(made.schema(), check_metadata=True)
        assert found.schema.field("geometry_lod0").metadata == GEOARROW
        assert sorted(found.to_pylist(), key=str) == sorted(made.table(rows).to_pylist(), key=str)

    def test_names_and_times_come_as_they_are(self, bench: Bench) -> None:
        columns = ("city", "id", "name", "valid_from", "valid_to", "ext")
        times = [row for row in ("1969-12-31T23:59:59.999999", "0001-01-01T00:00:00", "9999-12-31T23:59:59.999999")]
        rows = [
            {
                "city": made.CITY,
                "id": f"b{at}",
                "name": [("kk", "Алматы"), ("und", "")] if at else None,
                "valid_from": time,
                "valid_to": None,
                "ext": '{"a": 1}',
            }
            for at, time in enumerate(times)
        ]
        utc = pa.timestamp("us", tz="UTC")
        stamps = pa.array(times).cast(pa.timestamp("us")).cast(pa.int64()).cast(utc)
        rows = [{**row, "valid_from": stamps[at].as_py()} for at, row in enumerate(rows)]
        table = made.table(rows, columns)
        found = everything(bench.store.read(bench.view(table, geometry=False), Read("building")))
        assert found.schema.equals(table.schema, check_metadata=True)
        assert found.sort_by("id").to_pylist() == table.sort_by("id").to_pylist()

    def test_a_projection_has_the_vocabularys_order_and_nulls_for_what_the_view_lacks(self, bench: Bench) -> None:
        view = bench.view(made.table([made.building(1, height=Decimal(3))], ("city", "id", "height")), geometry=False)
        asked = Read("building", properties=("zebra", "height", "id", "function", "geometry_lod0"))
        reader = bench.store.read(view, asked)
        assert reader.absent == ("geometry_lod0", "function", "zebra")
        found = everything(reader)
        assert found.to_pylist() == [
            {"id": "b1", "geometry_lod0": None, "function": None, "height": Decimal("3.00"), "zebra": None}
        ]
        assert found.schema.field("zebra").type == pa.null()
        assert found.schema.field("geometry_lod0").metadata == GEOARROW

    def test_a_read_of_absent_properties_alone_counts_the_rows(self, bench: Bench) -> None:
        view = bench.view(many(5000), geometry=False)
        found = everything(bench.store.read(view, Read("building", properties=("energy_kwh",))))
        assert (found.num_rows, found["energy_kwh"].null_count) == (5000, 5000)

    @RANDOM
    @given(rows=made.rows(), where=trees(made.LITERALS))
    def test_a_filter_passes_what_three_valued_logic_passes(
        self, bench: Bench, rows: list[dict[str, Any]], where: Expression
    ) -> None:
        view = bench.view(made.table(rows))
        assert ids(everything(bench.store.read(view, Read("building", where)))) == of(select(where, rows))

    def test_every_comparison_is_exact_at_the_borders_of_a_scale(self, bench: Bench) -> None:
        heights = ["-0.02", "-0.01", "0.00", "0.01", "0.02", "9999999999999999.99", "-9999999999999999.99"]
        rows = [made.building(at, height=Decimal(height)) for at, height in enumerate(heights)]
        rows.append(made.building(99, height=None))
        view = bench.view(made.table(rows))
        for text in ("0.01", "0.005", "0.015", "-0.005", "-0.015", "0", "0.000000001", "9223372036854775807"):
            for op in Comparator:
                where = Comparison(op, Property("height"), Literal(Decimal(text)))
                for tree in (where, Not(where)):
                    found = everything(bench.store.read(view, Read("building", tree, ("id",))))
                    assert ids(found) == of(select(tree, rows)), (op, text)

    def test_boxes_are_closed_and_cross_the_antimeridian(self, bench: Bench) -> None:
        rows = [
            made.building(1, shapely.box(10, 10, 20, 20)),
            made.building(2, shapely.Point(20, 20)),
            made.building(3, shapely.box(179, 10, 180, 20)),
            made.building(4, shapely.box(-180, 10, -179, 20)),
            made.building(5, None),
        ]
        view = bench.view(made.table(rows))
        for box, expected in (
            (Box(20, 20, 30, 30), ["b1", "b2"]),
            (Box(20.000001, 20, 30, 30), []),
            (Box(0, 0, 10, 10), ["b1"]),
            (Box(180, 0, -180, 90), ["b3", "b4"]),
            (Box(179.5, 0, -179.5, 90), ["b3", "b4"]),
            (Box(19, 0, -179.5, 90), ["b1", "b2", "b3", "b4"]),
            (Box(-180, -90, 180, 90), ["b1", "b2", "b3", "b4"]),
        ):
            assert ids(everything(bench.store.read(view, Read("building", box, ("id",))))) == expected
            assert of(select(box, rows)) == expected
        assert ids(everything(bench.store.read(view, Read("building", Not(Box(0, 0, 1, 1)))))) == [
            "b1",
            "b2",
            "b3",
            "b4",
        ]

    def test_an_empty_view_answers(self, bench: Bench) -> None:
        view = bench.view(made.table([]))
        assert everything(bench.store.read(view, Read("building"))).num_rows == 0
        measures = (COUNT, Measure(Function.SUM, "height"), Measure(Function.MIN, "function"))
        whole = everything(bench.store.aggregate(view, Aggregate("building", measures)))
        assert whole.to_pylist() == [{"count": 0, "sum_height": None, "n_height": 0, "min_function": None}]
        grouped = Aggregate("building", measures, ("function",))
        assert everything(bench.store.aggregate(view, grouped)).num_rows == 0

    def test_batches_stay_small_whatever_the_rows_are_like(self, bench: Bench) -> None:
        thin = shapely.Point(76, 43)
        wide = shapely.LineString([(76 + at / 1e6, 43 + at / 1e6) for at in range(60_000)])  # just under 1 MiB
        rows = [made.building(at, wide if at >= 3000 else thin) for at in range(3012)]
        found = everything(bench.store.read(bench.view(made.table(rows)), Read("building")))
        assert ids(found) == of(rows)

    # Refusing

    def test_hidden_and_unknown_names_are_refused_alike_and_before_anything_runs(self, bench: Bench) -> None:
        view = bench.view(made.table([made.building(1)], ("city", "id", "height")), geometry=False)
        for name in ("energy_kwh", "no_such_thing"):
            where = And((IsNull(Property("id")), IsNull(Property(name))))
            said = set()
            for ask in (
                lambda where=where: bench.store.read(view, Read("building", where)),
                lambda where=where: bench.store.aggregate(view, Aggregate("building", (COUNT,), (), where)),
                lambda name=name: bench.store.aggregate(view, Aggregate("building", (COUNT,), (name,))),
                lambda name=name: bench.store.aggregate(view, Aggregate("building", (Measure(Function.SUM, name),))),
            ):
                with pytest.raises(UnknownProperty) as refused:
                    ask()
                said.add((refused.value.message, refused.value.remedy))
            assert said == {(f"building has no property {name!r}", None)}
        with pytest.raises(UnknownProperty):
            bench.store.read(view, Read("building", Box(0, 0, 1, 1)))

    def test_what_cannot_be_compared_or_added_is_refused(self, bench: Bench) -> None:
        view = bench.view(made.table([made.building(1, shapely.Point(1, 1))]))
        with pytest.raises(BadQuery):
            bench.store.read(view, Read("building", Comparison(Comparator.GT, Property("height"), Literal("x"))))
        with pytest.raises(BadQuery):
            bench.store.aggregate(view, Aggregate("building", (COUNT,), ("bbox",)))
        with pytest.raises(BadQuery):
            bench.store.aggregate(view, Aggregate("building", (Measure(Function.MEAN, "function"),)))
        with pytest.raises(BadQuery):
            bench.store.read(view, Read("facility"))

    # Adding up

    @RANDOM
    @given(
        rows=made.rows(max_size=20),
        where=st.none() | trees(made.LITERALS),
        by=st.lists(
            st.sampled_from(["function", "year_built", "height", "valid_from", "city"]), max_size=2, unique=True
        ),
    )
    def test_an_aggregate_is_what_decimals_add_up_to(
        self, bench: Bench, rows: list[dict[str, Any]], where: Expression | None, by: list[str]
    ) -> None:
        measures = (
            COUNT,
            Measure(Function.SUM, "height"),
            Measure(Function.MEAN, "height"),
            Measure(Function.SUM, "year_built"),
            Measure(Function.MIN, "height"),
            Measure(Function.MAX, "function"),
            Measure(Function.MIN, "valid_from"),
        )
        request = Aggregate("building", measures, tuple(by), where)
        found = everything(bench.store.aggregate(bench.view(made.table(rows)), request))
        expected = [_state(group) | key for key, group in _groups(select(where, rows), by)]
        assert sorted(found.to_pylist(), key=str) == sorted(
            ({name: row[name] for name in found.schema.names} for row in expected), key=str
        )

    def test_sums_are_exact_where_no_float_and_no_64_bits_would_be(self, bench: Bench) -> None:
        top, last = Decimal("9999999999999999.99"), 2**63 - 1
        rows = [made.building(at, height=top, year_built=last) for at in range(1000)]
        request = Aggregate("building", (Measure(Function.SUM, "height"), Measure(Function.SUM, "year_built")))
        found = everything(bench.store.aggregate(bench.view(made.table(rows)), request)).to_pylist()
        with localcontext(prec=40):
            assert found == [
                {
                    "sum_height": top * 1000,
                    "n_height": 1000,
                    "sum_year_built": Decimal(last) * 1000,
                    "n_year_built": 1000,
                }
            ]

    def test_more_groups_than_the_limit_are_refused_and_as_many_are_not(self, bench: Bench) -> None:
        view = bench.view(many(5000), geometry=False)
        request = Aggregate("building", (COUNT,), ("id",))
        just = bench.limited(replace(LIMITS, groups=5000))
        assert everything(just.aggregate(view, request)).num_rows == 5000
        just.close()
        fewer = bench.limited(replace(LIMITS, groups=4999))
        with pytest.raises(TooLarge):
            everything(fewer.aggregate(view, request))
        fewer.close()

    # Stopping

    def test_two_readers_at_once_each_get_their_own(self, bench: Bench) -> None:
        one, other = bench.view(many(20_000), geometry=False), bench.view(many(10_000), geometry=False)
        small = bench.limited(replace(LIMITS, batch_bytes=64 * 1024))
        readers = [
            small.read(one, Read("building")),
            small.read(other, Read("building")),
            small.read(one, Read("building")),
        ]
        rows = [0, 0, 0]
        open_ones = {0, 1, 2}
        while open_ones:
            for at in sorted(open_ones):
                batch = readers[at].read_next()
                if batch is None:
                    open_ones.discard(at)
                else:
                    rows[at] += batch.num_rows
        for reader in readers:
            reader.close()
        small.close()
        assert rows == [20_000, 10_000, 20_000]

    def test_readers_in_several_threads_each_get_their_own(self, bench: Bench) -> None:
        view = bench.view(many(20_000), geometry=False)
        found: dict[int, int] = {}

        def run(at: int) -> None:
            where = Comparison(Comparator.LT, Property("height"), Literal(Decimal(at)))
            found[at] = everything(bench.store.read(view, Read("building", where))).num_rows

        threads = [threading.Thread(target=run, args=(at,)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {at: at * 200 for at in range(8)}

    def test_an_interrupted_reader_never_ends_well(self, bench: Bench) -> None:
        view = bench.view(many(20_000), geometry=False)
        small = bench.limited(replace(LIMITS, batch_bytes=64 * 1024))
        for before in (0, 1, 3):
            reader = small.read(view, Read("building"))
            for _ in range(before):
                assert reader.read_next() is not None
            reader.interrupt()
            for _ in range(2):
                with pytest.raises(CimfedError) as stopped:
                    reader.read_next()
                assert stopped.value.reason == "internal"
            reader.interrupt()
            reader.close()
            reader.close()
        small.close()

    def test_a_reader_closed_early_leaves_the_store_whole(self, bench: Bench) -> None:
        view = bench.view(many(20_000), geometry=False)
        for before in (0, 1):
            reader = bench.store.read(view, Read("building"))
            for _ in range(before):
                reader.read_next()
            reader.close()
            reader.interrupt()
            with pytest.raises(CimfedError):
                reader.read_next()
        assert everything(bench.store.read(view, Read("building"))).num_rows == 20_000

    def test_a_statement_that_takes_too_long_is_stopped(self, bench: Bench) -> None:
        view = bench.view(many(20_000), geometry=False)
        hasty = bench.limited(replace(LIMITS, statement_time=0.0))
        with pytest.raises(TimedOut):
            everything(hasty.read(view, Read("building")))
        with pytest.raises(TimedOut):
            everything(hasty.aggregate(view, Aggregate("building", (COUNT,), ("id",))))
        hasty.close()

    def test_a_view_that_went_is_said_to_be_gone(self, bench: Bench) -> None:
        view = bench.view(many(10), geometry=False)
        assert everything(bench.store.read(view, Read("building"))).num_rows == 10
        bench.remove(view)
        with pytest.raises(ViewGone):
            everything(bench.store.read(view, Read("building")))
        with pytest.raises(ViewGone):
            everything(bench.store.aggregate(view, Aggregate("building", (COUNT,))))

    def test_the_store_tests_itself(self, bench: Bench) -> None:
        bench.store.self_test()


def _groups(
    rows: Sequence[Mapping[str, Any]], by: Sequence[str]
) -> list[tuple[dict[str, Any], list[Mapping[str, Any]]]]:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in by)].append(row)
    if not by and not groups:
        groups[()] = []
    return [(dict(zip(by, key, strict=True)), group) for key, group in groups.items()]


def _state(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    def values(name: str) -> list[Any]:
        return [row[name] for row in rows if row[name] is not None]

    def total(name: str) -> Decimal | None:
        with localcontext(prec=60):
            return sum((Decimal(value) for value in values(name)), Decimal(0)) if values(name) else None

    return {
        "count": len(rows),
        "sum_height": total("height"),
        "n_height": len(values("height")),
        "sum_year_built": total("year_built"),
        "n_year_built": len(values("year_built")),
        "min_height": min(values("height"), default=None),
        "max_function": max(values("function"), default=None),
        "min_valid_from": min(values("valid_from"), default=None),
    }
