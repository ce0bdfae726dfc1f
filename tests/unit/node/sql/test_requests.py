"""Reads and aggregates become one statement each: golden texts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cimfed.errors import BadQuery, UnknownProperty
from cimfed.query.aggregate import state_schema
from cimfed.query.expression import Comparator, Comparison, Literal, Property
from cimfed.query.query import Aggregate, Function, Measure, Read
from cimfed_node.sql import requests
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.duckdb import DUCKDB
from cimfed_node.sql.projection import project
from cimfed_node.sql.statement import Statement
from tests.unit.node import rows as made

COLUMNS = Columns(made.BUILDING, frozenset(made.COLUMNS))
TALL = Comparison(Comparator.GT, Property("height"), Literal(Decimal(50)))


def aggregate(*measures: Measure, by: tuple[str, ...] = (), where: Comparison | None = None) -> Statement:
    request = Aggregate("building", measures, by, where)
    return requests.aggregate(request, "v.parquet", 1001, COLUMNS, DUCKDB)


def test_a_read_names_its_columns_and_binds_the_rest() -> None:
    assert requests.read(("id", "height"), TALL, "v.parquet", COLUMNS, DUCKDB) == Statement(
        'SELECT t."id", t."height" FROM read_parquet($1) AS t WHERE (t."height" > $2::DECIMAL(18, 2))',
        ("v.parquet", Decimal("50.00")),
    )


def test_a_read_of_absent_columns_alone_still_counts_rows() -> None:
    statement = requests.read((), None, "v.parquet", COLUMNS, DUCKDB)
    assert statement.text == "SELECT TRUE AS present FROM read_parquet($1) AS t"


def test_an_aggregate_gives_each_state_once() -> None:
    measures = (
        Measure(Function.COUNT),
        Measure(Function.SUM, "height"),
        Measure(Function.MEAN, "height"),
        Measure(Function.SUM, "year_built"),
        Measure(Function.MIN, "function"),
        Measure(Function.MAX, "valid_from"),
    )
    statement = aggregate(*measures, by=("function", "city"), where=TALL)
    assert statement == Statement(
        'SELECT t."function", t."city", count(*) AS "count", '
        'sum(t."height")::DECIMAL(38, 2) AS "sum_height", count(t."height") AS "n_height", '
        'sum(t."year_built")::DECIMAL(38, 0) AS "sum_year_built", count(t."year_built") AS "n_year_built", '
        'min(t."function") AS "min_function", max(t."valid_from") AS "max_valid_from" '
        'FROM read_parquet($1) AS t WHERE (t."height" > $2::DECIMAL(18, 2)) '
        'GROUP BY t."function", t."city" LIMIT $3',
        ("v.parquet", Decimal("50.00"), 1001),
    )
    names = state_schema(Aggregate("building", measures, ("function", "city"))).names
    assert [f'"{name}"' in statement.text for name in names] == [True] * 9


def test_an_aggregate_of_everything_is_one_group() -> None:
    assert aggregate(Measure(Function.COUNT)).text == 'SELECT count(*) AS "count" FROM read_parquet($1) AS t'


@pytest.mark.parametrize("name", ["energy_kwh", "no_such_thing"])
def test_hidden_and_unknown_names_are_refused_in_the_same_words(name: str) -> None:
    for measures, by, place in (
        ((Measure(Function.COUNT),), (name,), "group_by"),
        ((Measure(Function.SUM, name),), (), "measures"),
        ((Measure(Function.MEAN, name),), (), "measures"),
        ((Measure(Function.MAX, name),), (), "measures"),
    ):
        with pytest.raises(UnknownProperty) as refused:
            aggregate(*measures, by=by)
        assert (refused.value.message, refused.value.place) == (
            f"building has no property {name!r}",
            f"{place}: {name}",
        )


def test_only_numbers_add_up_and_only_what_compares_groups() -> None:
    with pytest.raises(BadQuery):
        aggregate(Measure(Function.SUM, "function"))
    with pytest.raises(BadQuery):
        aggregate(Measure(Function.MIN, "geometry_lod0"))
    with pytest.raises(BadQuery):
        aggregate(Measure(Function.COUNT), by=("bbox",))


def test_a_projection_has_the_vocabularys_order_and_nulls_for_what_is_absent() -> None:
    view = made.schema(("city", "id", "height"))
    asked = Read("building", properties=("zebra", "height", "function", "id", "apple", "id"))
    found = project(asked, view, made.BUILDING)
    assert found.selected == ("id", "height")
    assert found.absent == ("function", "zebra", "apple")
    assert found.schema.names == ["id", "function", "height", "zebra", "apple"]
    assert [str(at.type) for at in found.schema] == ["string", "string", "decimal128(18, 2)", "null", "null"]
    assert found.schema.field("height").metadata == {b"cimfed:unit": b"m"}


def test_no_properties_named_are_all_of_the_view() -> None:
    view = made.schema(("city", "id", "height"))
    assert project(Read("building"), view, made.BUILDING).schema.equals(view, check_metadata=True)
    with pytest.raises(BadQuery):
        project(Read("building", properties=()), view, made.BUILDING)
