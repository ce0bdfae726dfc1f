"""Golden texts: the same filters, requests and shapes, as DuckDB and as PostgreSQL are told them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import shapely

from cimfed.policy.shape import EXACT, NULL, Shape, band
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
from cimfed.query.query import Aggregate, Function, Measure
from cimfed_node.sql import requests, shapes
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.dialect import Dialect
from cimfed_node.sql.duckdb import DUCKDB
from cimfed_node.sql.filters import condition
from cimfed_node.sql.postgis import POSTGIS, Relation
from cimfed_node.sql.statement import Parameters
from tests.unit.node import rows as made

HEIGHT, YEAR, AREA = Property("height"), Property("year_built"), Property("floor_area")
FUNCTION, FROM = Property("function"), Property("valid_from")
COLUMNS = Columns(made.BUILDING, frozenset(made.COLUMNS))
TALL = Comparison(Comparator.GT, HEIGHT, Literal(Decimal(50)))
KEY = b"k" * 32
TRIANGLE = shapely.to_wkb(shapely.Polygon([(0, 0), (2, 0), (0, 2)]), flavor="iso")
SQUARE = shapely.to_wkb(shapely.box(0, 0, 1, 1), flavor="iso")

FILTERS = [
    (
        Comparison(Comparator.GT, HEIGHT, Literal(Decimal(50))),
        '(t."height" > $1::DECIMAL(18, 2))',
        '(t."height" > CAST($1 AS numeric(18, 2)))',
        [Decimal("50.00")],
    ),
    (
        Comparison(Comparator.LE, Literal(Decimal(50)), HEIGHT),
        '(t."height" >= $1::DECIMAL(18, 2))',
        '(t."height" >= CAST($1 AS numeric(18, 2)))',
        [Decimal("50.00")],
    ),
    (
        Comparison(Comparator.LT, HEIGHT, Literal(Decimal("5.005"))),
        '(t."height" <= $1::DECIMAL(18, 2))',
        '(t."height" <= CAST($1 AS numeric(18, 2)))',
        [Decimal("5.00")],
    ),
    (
        Comparison(Comparator.GE, HEIGHT, Literal(Decimal("-5.005"))),
        '(t."height" > $1::DECIMAL(18, 2))',
        '(t."height" > CAST($1 AS numeric(18, 2)))',
        [Decimal("-5.01")],
    ),
    (
        Comparison(Comparator.EQ, HEIGHT, Literal(Decimal("5.005"))),
        '(t."height" <> t."height")',
        '(t."height" <> t."height")',
        [],
    ),
    (
        Comparison(Comparator.NE, HEIGHT, Literal(Decimal("5.005"))),
        '(t."height" = t."height")',
        '(t."height" = t."height")',
        [],
    ),
    (
        Comparison(Comparator.LT, HEIGHT, Literal(Decimal(2**63 - 1))),
        '(t."height" = t."height")',
        '(t."height" = t."height")',
        [],
    ),
    (
        Comparison(Comparator.LT, HEIGHT, Literal(Decimal(-(2**63)))),
        '(t."height" <> t."height")',
        '(t."height" <> t."height")',
        [],
    ),
    (
        Comparison(Comparator.EQ, YEAR, AREA),
        '(t."year_built"::DECIMAL(38, 1) = t."floor_area"::DECIMAL(38, 1))',
        '(CAST(t."year_built" AS numeric) = CAST(t."floor_area" AS numeric))',
        [],
    ),
    (
        Comparison(Comparator.EQ, FUNCTION, Literal("o'clock")),
        '(t."function" = $1::VARCHAR)',
        '(t."function" COLLATE "C" = CAST($1 AS text))',
        ["o'clock"],
    ),
    (
        Comparison(Comparator.LT, FROM, Literal(datetime(2020, 1, 1, tzinfo=UTC))),
        '(t."valid_from" < $1::TIMESTAMPTZ)',
        '(t."valid_from" < CAST($1 AS timestamp with time zone))',
        [datetime(2020, 1, 1, tzinfo=UTC)],
    ),
    (
        In(YEAR, (Literal(Decimal(1990)), Literal(Decimal("1990.5")), Literal(Decimal(1991)))),
        '(t."year_built" IN ($1::BIGINT, $2::BIGINT))',
        '(t."year_built" IN (CAST($1 AS bigint), CAST($2 AS bigint)))',
        [1990, 1991],
    ),
    (
        In(YEAR, (Literal(Decimal("0.5")),)),
        '(t."year_built" <> t."year_built")',
        '(t."year_built" <> t."year_built")',
        [],
    ),
    (
        Between(YEAR, Literal(Decimal("1899.5")), Literal(Decimal(1950))),
        '((t."year_built" > $1::BIGINT) AND (t."year_built" <= $2::BIGINT))',
        '((t."year_built" > CAST($1 AS bigint)) AND (t."year_built" <= CAST($2 AS bigint)))',
        [1899, 1950],
    ),
    (
        IsNull(Property("geometry_lod0")),
        '(t."geometry_lod0" IS NULL)',
        '(t."geometry_lod0" IS NULL)',
        [],
    ),
    (
        Box(1.0, 2.0, 3.0, 4.0),
        "(t.bbox.ymax >= $1::DOUBLE AND t.bbox.ymin <= $2::DOUBLE AND t.bbox.xmax >= $3::DOUBLE"
        " AND t.bbox.xmin <= $4::DOUBLE)",
        "(ST_MakeEnvelope(t.bbox_xmin, t.bbox_ymin, t.bbox_xmax, t.bbox_ymax, 4326) &&"
        " ST_MakeEnvelope(CAST($3 AS double precision), CAST($1 AS double precision), CAST($4 AS double"
        " precision), CAST($2 AS double precision), 4326) AND t.bbox_ymax >= CAST($1 AS double precision)"
        " AND t.bbox_ymin <= CAST($2 AS double precision) AND t.bbox_xmax >= CAST($3 AS double precision)"
        " AND t.bbox_xmin <= CAST($4 AS double precision))",
        [2.0, 4.0, 1.0, 3.0],
    ),
    (
        Box(170.0, 2.0, -170.0, 4.0),
        "(t.bbox.ymax >= $1::DOUBLE AND t.bbox.ymin <= $2::DOUBLE AND (t.bbox.xmax >= $3::DOUBLE"
        " OR t.bbox.xmin <= $4::DOUBLE))",
        "((ST_MakeEnvelope(t.bbox_xmin, t.bbox_ymin, t.bbox_xmax, t.bbox_ymax, 4326) &&"
        " ST_MakeEnvelope(CAST($3 AS double precision), CAST($1 AS double precision), 1e38, CAST($2 AS"
        " double precision), 4326) OR ST_MakeEnvelope(t.bbox_xmin, t.bbox_ymin, t.bbox_xmax, t.bbox_ymax,"
        " 4326) && ST_MakeEnvelope(-1e38, CAST($1 AS double precision), CAST($4 AS double precision),"
        " CAST($2 AS double precision), 4326)) AND t.bbox_ymax >= CAST($1 AS double precision) AND"
        " t.bbox_ymin <= CAST($2 AS double precision) AND (t.bbox_xmax >= CAST($3 AS double precision) OR"
        " t.bbox_xmin <= CAST($4 AS double precision)))",
        [2.0, 4.0, 170.0, -170.0],
    ),
    (
        Not(Or((IsNull(HEIGHT), And((IsNull(YEAR), IsNull(AREA)))))),
        '(NOT ((t."height" IS NULL) OR ((t."year_built" IS NULL) AND (t."floor_area" IS NULL))))',
        '(NOT ((t."height" IS NULL) OR ((t."year_built" IS NULL) AND (t."floor_area" IS NULL))))',
        [],
    ),
    (
        Comparison(Comparator.LT, Literal("a"), Literal("b")),
        "TRUE",
        "TRUE",
        [],
    ),
]


@pytest.mark.parametrize(("tree", "duckdb", "postgis", "values"), FILTERS)
def test_a_filter(tree: Expression, duckdb: str, postgis: str, values: list[Any]) -> None:
    for dialect, text in ((DUCKDB, duckdb), (POSTGIS, postgis)):
        parameters = Parameters()
        assert condition(tree, COLUMNS, dialect, parameters) == text
        assert parameters.values == values


def _source(dialect: Dialect) -> Any:
    return Relation("x") if dialect is POSTGIS else "x"


@pytest.mark.parametrize(
    ("selected", "dialect", "text"),
    [
        (
            ("id", "height", "bbox", "geometry_lod0", "valid_from"),
            DUCKDB,
            'SELECT t."id", t."height", t."bbox", t."geometry_lod0", t."valid_from" '
            'FROM read_parquet($1) AS t WHERE (t."height" > $2::DECIMAL(18, 2))',
        ),
        (
            ("id", "height", "bbox", "geometry_lod0", "valid_from"),
            POSTGIS,
            'SELECT t."id" COLLATE "C", CAST(t."height" * 100 AS bigint), '
            't."bbox_xmin", t."bbox_ymin", t."bbox_xmax", t."bbox_ymax", '
            """ST_AsBinary(t."geometry_lod0", CAST('NDR' AS text)), t."valid_from" """
            'FROM $1 AS t WHERE (t."height" > CAST($2 AS numeric(18, 2)))',
        ),
        ((), DUCKDB, 'SELECT TRUE AS present FROM read_parquet($1) AS t WHERE (t."height" > $2::DECIMAL(18, 2))'),
        ((), POSTGIS, 'SELECT TRUE AS present FROM $1 AS t WHERE (t."height" > CAST($2 AS numeric(18, 2)))'),
    ],
)
def test_a_read(selected: tuple[str, ...], dialect: Dialect, text: str) -> None:
    statement = requests.read(selected, TALL, "x", COLUMNS, dialect)
    assert statement.text == text
    assert statement.parameters == (_source(dialect), Decimal("50.00"))


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (
            DUCKDB,
            'SELECT t."function", t."height", count(*) AS "count", '
            'sum(t."height")::DECIMAL(38, 2) AS "sum_height", count(t."height") AS "n_height", '
            'sum(t."year_built")::DECIMAL(38, 0) AS "sum_year_built", count(t."year_built") AS "n_year_built", '
            'min(t."function") AS "min_function", max(t."valid_from") AS "max_valid_from", '
            'min(t."height") AS "min_height" '
            'FROM read_parquet($1) AS t WHERE (t."height" > $2::DECIMAL(18, 2)) '
            'GROUP BY t."function", t."height" LIMIT $3',
        ),
        (
            POSTGIS,
            'SELECT t."function" COLLATE "C", CAST(t."height" * 100 AS bigint), count(*) AS "count", '
            'CAST(sum(t."height") AS text) AS "sum_height", count(t."height") AS "n_height", '
            'CAST(sum(t."year_built") AS text) AS "sum_year_built", count(t."year_built") AS "n_year_built", '
            'min(t."function" COLLATE "C") AS "min_function", max(t."valid_from") AS "max_valid_from", '
            'CAST(min(t."height") * 100 AS bigint) AS "min_height" '
            'FROM $1 AS t WHERE (t."height" > CAST($2 AS numeric(18, 2))) '
            'GROUP BY t."function" COLLATE "C", t."height" LIMIT $3',
        ),
    ],
)
def test_an_aggregate(dialect: Dialect, text: str) -> None:
    measures = (
        Measure(Function.COUNT),
        Measure(Function.MEAN, "height"),
        Measure(Function.SUM, "year_built"),
        Measure(Function.MIN, "function"),
        Measure(Function.MAX, "valid_from"),
        Measure(Function.MIN, "height"),
    )
    request = Aggregate("building", measures, ("function", "height"), TALL)
    statement = requests.aggregate(request, "x", 1001, COLUMNS, dialect)
    assert statement.text == text
    assert statement.parameters == (_source(dialect), Decimal("50.00"), 1001)


BANDS = Shape(
    "building",
    frozenset(),
    frozenset(),
    {"id": EXACT, "name": NULL, "function": NULL, "height": band(Decimal("2.5")), "year_built": band(Decimal(10))},
    None,
    (0, 1),
)
PLACED = Shape("building", frozenset([TALL]), frozenset([TRIANGLE, SQUARE]), {"name": EXACT}, 0, (0, 1))


@pytest.mark.parametrize(
    ("shape", "dialect", "text", "values"),
    [
        (
            BANDS,
            DUCKDB,
            'SELECT t."city", t."id", NULL::MAP(VARCHAR, VARCHAR) AS "name", NULL::VARCHAR AS "function", '
            'TRY_CAST(t."height"::DECIMAL(38, 2) - ((t."height" % $1::DECIMAL(18, 2) + $1::DECIMAL(18, 2))'
            ' % $1::DECIMAL(18, 2)) AS DECIMAL(18, 2)) AS "height", '
            'TRY_CAST(t."year_built"::HUGEINT - ((t."year_built" % $2::BIGINT + $2::BIGINT) % $2::BIGINT) AS BIGINT)'
            ' AS "year_built" FROM read_parquet($3) AS t ORDER BY sha256($4::BLOB || encode(t.id))',
            (Decimal("2.5"), 10, "x", KEY),
        ),
        (
            BANDS,
            POSTGIS,
            'SELECT t."city", t."id", CAST(NULL AS text[]) AS "name_languages", CAST(NULL AS text[]) AS "name_texts", '
            'CAST(NULL AS text) AS "function", CASE WHEN t."height" >= -999999999999999999e-2'
            ' + mod(mod(t."height", CAST($1 AS numeric)) + CAST($1 AS numeric), CAST($1 AS numeric)) THEN t."height"'
            ' - mod(mod(t."height", CAST($1 AS numeric)) + CAST($1 AS numeric), CAST($1 AS numeric)) END AS "height", '
            'CASE WHEN t."year_built" >= CAST(-9223372036854775808 AS bigint)'
            ' + mod(mod(t."year_built", CAST($2 AS bigint)) + CAST($2 AS bigint), CAST($2 AS bigint))'
            ' THEN t."year_built"'
            ' - mod(mod(t."year_built", CAST($2 AS bigint)) + CAST($2 AS bigint), CAST($2 AS bigint)) END'
            """ AS "year_built" FROM $3 AS t ORDER BY sha256(CAST($4 AS bytea) || convert_to(t."id", 'UTF8'))""",
            (Decimal("2.5"), 10, Relation("x"), KEY),
        ),
        (
            PLACED,
            DUCKDB,
            'SELECT t."city", t."name", t."geometry_lod0", t."bbox" FROM read_parquet($1) AS t'
            ' WHERE (t."height" > $2::DECIMAL(18, 2))'
            " AND (t.bbox.xmin >= $3::DOUBLE AND t.bbox.ymin >= $4::DOUBLE"
            " AND t.bbox.xmax <= $5::DOUBLE AND t.bbox.ymax <= $6::DOUBLE"
            " AND ST_Covers(ST_GeomFromWKB($7::BLOB), ST_GeomFromWKB(t.geometry_lod0)))"
            " AND (t.geometry_lod0 IS NOT NULL AND t.bbox.xmin >= $8::DOUBLE AND t.bbox.ymin >= $9::DOUBLE"
            " AND t.bbox.xmax <= $10::DOUBLE AND t.bbox.ymax <= $11::DOUBLE)",
            ("x", Decimal("50.00"), 0.0, 0.0, 2.0, 2.0, TRIANGLE, 0.0, 0.0, 1.0, 1.0),
        ),
        (
            PLACED,
            POSTGIS,
            'SELECT t."city", t."name_languages", t."name_texts", t."geometry_lod0",'
            ' t."bbox_xmin", t."bbox_ymin", t."bbox_xmax", t."bbox_ymax" FROM $1 AS t'
            ' WHERE (t."height" > CAST($2 AS numeric(18, 2)))'
            " AND (t.bbox_xmin >= CAST($3 AS double precision) AND t.bbox_ymin >= CAST($4 AS double precision)"
            " AND t.bbox_xmax <= CAST($5 AS double precision) AND t.bbox_ymax <= CAST($6 AS double precision)"
            " AND ST_Covers(ST_GeomFromWKB(CAST($7 AS bytea), 4326), t.geometry_lod0))"
            " AND (t.geometry_lod0 IS NOT NULL"
            " AND t.bbox_xmin >= CAST($8 AS double precision) AND t.bbox_ymin >= CAST($9 AS double precision)"
            " AND t.bbox_xmax <= CAST($10 AS double precision) AND t.bbox_ymax <= CAST($11 AS double precision))"
            " ORDER BY t.geometry_lod0 NULLS LAST, sha256(CAST($12 AS bytea) || convert_to(t.\"id\", 'UTF8'))",
            (Relation("x"), Decimal("50.00"), 0.0, 0.0, 2.0, 2.0, TRIANGLE, 0.0, 0.0, 1.0, 1.0, KEY),
        ),
    ],
)
def test_a_view(shape: Shape, dialect: Dialect, text: str, values: tuple[Any, ...]) -> None:
    statement = shapes.view(shape, frozenset((*made.COLUMNS, "name")), "x", KEY, dialect)
    assert (statement.text, statement.parameters) == (text, values)
