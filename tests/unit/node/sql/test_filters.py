"""Filters become conditions that mean the same as the tree, for every row and literal."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from cimfed.errors import BadQuery, TooDeep, TooLarge, UnknownProperty
from cimfed.query.expression import (
    And,
    Between,
    Box,
    Comparator,
    Comparison,
    Expression,
    In,
    IsNull,
    Literal,
    Not,
    Or,
    Property,
)
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.duckdb import DUCKDB
from cimfed_node.sql.filters import condition
from cimfed_node.sql.statement import Parameters
from tests.unit.cimfed.query.naive import evaluate
from tests.unit.cimfed.query.trees import chain, trees
from tests.unit.node import rows as made

HEIGHT, YEAR, AREA = Property("height"), Property("year_built"), Property("floor_area")
FUNCTION, FROM = Property("function"), Property("valid_from")


def compiled(tree: Expression, present: tuple[str, ...] = made.COLUMNS, **options: Any) -> tuple[str, list[Any]]:
    parameters = Parameters()
    columns = Columns(made.BUILDING, frozenset(present), **options)
    return condition(tree, columns, DUCKDB, parameters), parameters.values


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(config={"threads": "1"})
    connection.execute("SET GLOBAL enable_geoparquet_conversion = false")
    yield connection
    connection.close()


def truths(
    engine: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], *trees: Expression, **options: Any
) -> list[list[bool | None]]:
    """What the engine makes of each condition for each row."""
    parameters = Parameters()
    columns = Columns(made.BUILDING, frozenset(made.COLUMNS), **options)
    items = [f"{condition(tree, columns, DUCKDB, parameters)} AS c{at}" for at, tree in enumerate(trees)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(made.table(rows), path)
        text = f"SELECT {', '.join(items)} FROM {DUCKDB.table(str(path), parameters)}"
        found = engine.execute(text, parameters.values).fetchall()
    return [[row[at] for row in found] for at in range(len(trees))]


def expected(rows: list[dict[str, Any]], *trees: Expression) -> list[list[bool | None]]:
    return [[evaluate(tree, row) for row in rows] for tree in trees]


@settings(max_examples=200, deadline=None)
@given(rows=made.rows(), tree=trees(made.LITERALS))
def test_every_row_gets_the_truth_that_three_valued_logic_gives_it(
    engine: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]], tree: Expression
) -> None:
    assert truths(engine, rows, tree) == expected(rows, tree)


PAIRS = [(HEIGHT, AREA), (HEIGHT, YEAR), (YEAR, AREA), (FUNCTION, Property("id")), (HEIGHT, HEIGHT), (FROM, FROM)]
COMPARISONS = [Comparison(op, left, right) for left, right in PAIRS for op in Comparator]


@settings(max_examples=30, deadline=None)
@given(rows=made.rows())
def test_two_properties_compare_exactly(engine: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    assert truths(engine, rows, *COMPARISONS) == expected(rows, *COMPARISONS)


def test_a_property_that_a_snapshot_lacks_is_null_to_a_policy(engine: duckdb.DuckDBPyConnection) -> None:
    storeys = Property("storeys_above")
    few = Comparison(Comparator.EQ, storeys, Literal(Decimal(3)))
    assert truths(engine, [made.building(1)], few, Not(IsNull(storeys)), lenient=True) == [[None], [False]]


@pytest.mark.parametrize("name", ["energy_kwh", "no_such_thing", 'x"; DROP TABLE t; --'])
def test_hidden_and_unknown_names_are_refused_in_the_same_words(name: str) -> None:
    for tree in (
        Comparison(Comparator.EQ, Property(name), Literal(Decimal(1))),
        In(Property(name), (Literal(Decimal(1)),)),
        Between(Property(name), Literal(Decimal(1)), Literal(Decimal(1))),
        IsNull(Property(name)),
        Comparison(Comparator.EQ, Property("height"), Property(name)),
    ):
        with pytest.raises(UnknownProperty) as refused:
            compiled(tree)
        assert refused.value.message == f"building has no property {name!r}"
        assert refused.value.place == f"where: {name}"
        assert refused.value.remedy is None


def test_a_box_needs_a_view_with_geometry() -> None:
    with pytest.raises(UnknownProperty) as refused:
        compiled(Box(0, 0, 1, 1), ("city", "id"))
    assert refused.value.place == "where: geometry"


@pytest.mark.parametrize(
    "tree",
    [
        Comparison(Comparator.GT, HEIGHT, Literal("tall")),
        Comparison(Comparator.GT, HEIGHT, Literal(True)),
        Comparison(Comparator.GT, FUNCTION, Literal(Decimal(1))),
        Comparison(Comparator.GT, FROM, Literal("2020-01-01")),
        Comparison(Comparator.GT, FROM, Literal(datetime(2020, 1, 1))),
        Comparison(Comparator.EQ, Property("geometry_lod0"), Literal("x")),
        Comparison(Comparator.EQ, HEIGHT, FUNCTION),
        Comparison(Comparator.EQ, Literal("1"), Literal(Decimal(1))),
        Comparison(Comparator.EQ, HEIGHT, Literal(Decimal("NaN"))),
        Comparison(Comparator.EQ, HEIGHT, Literal(Decimal("Infinity"))),
        Comparison(Comparator.EQ, HEIGHT, Literal(Decimal("1E+999999999"))),
        Comparison(Comparator.EQ, FUNCTION, Literal("\ud800")),
        Comparison(Comparator.EQ, FUNCTION, Literal("a\0b")),
        In(HEIGHT, (Literal("x"),)),
        Box(float("nan"), 0, 1, 1),
        Box(0, 0, float("inf"), 1),
    ],
)
def test_what_means_nothing_is_refused_before_an_engine_sees_it(tree: Expression) -> None:
    with pytest.raises(BadQuery):
        compiled(tree)


def test_filters_beyond_the_limits_are_refused() -> None:
    with pytest.raises(TooDeep):
        compiled(chain([Not] * 64, IsNull(HEIGHT)))
    with pytest.raises(TooLarge):
        compiled(And((IsNull(HEIGHT),) * 3000))


def test_filters_at_the_limits_run(engine: duckdb.DuckDBPyConnection) -> None:
    rows = [made.building(1, height=Decimal("1.00"), function="x"), made.building(2, height=None, function=None)]
    for tree in (
        chain([Not] * 63, IsNull(HEIGHT)),
        chain([And, Or, Not] * 21, IsNull(HEIGHT)),
        And((IsNull(HEIGHT),) * 2000),
        Or(tuple(Comparison(Comparator.EQ, HEIGHT, Literal(Decimal(number))) for number in range(1000, 2300))),
        In(HEIGHT, tuple(Literal(Decimal(number)) for number in range(1000))),
        In(FUNCTION, tuple(Literal("x" * 32 + str(number)) for number in range(1000))),
    ):
        assert truths(engine, rows, tree) == expected(rows, tree)
