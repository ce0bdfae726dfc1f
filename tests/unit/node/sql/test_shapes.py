"""A shape becomes one statement over a snapshot: golden texts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
import shapely

from cimfed.errors import BadPolicy
from cimfed.policy.shape import EXACT, NULL, Mask, Shape, band
from cimfed.query.expression import Comparator, Comparison, IsNull, Literal, Not, Property
from cimfed_node.sql import shapes
from cimfed_node.sql.duckdb import DUCKDB
from cimfed_node.sql.statement import Statement
from tests.unit.node import rows as made

KEY = b"k" * 32
SNAPSHOT = (*made.COLUMNS, "geometry_lod1", "geometry_lod2", "zmin", "zmax")


def shape(columns: Mapping[str, Mask], max_lod: int | None = None, **parts: Any) -> Shape:
    return Shape("building", parts.get("rows", frozenset()), parts.get("areas", frozenset()), columns, max_lod, (0, 1))


def statement(of: Shape, snapshot: tuple[str, ...] = SNAPSHOT) -> Statement:
    return shapes.view(of, frozenset(snapshot), "s.parquet", KEY, DUCKDB)


def test_columns_masks_and_the_secret_order() -> None:
    of = shape({"height": band(Decimal("2.5")), "year_built": band(Decimal(10)), "function": NULL, "id": EXACT})
    assert statement(of) == Statement(
        'SELECT t."city", t."id", NULL::VARCHAR AS "function", '
        'TRY_CAST(t."height"::DECIMAL(38, 2) - ((t."height" % $1::DECIMAL(18, 2) + $1::DECIMAL(18, 2))'
        ' % $1::DECIMAL(18, 2)) AS DECIMAL(18, 2)) AS "height", '
        'TRY_CAST(t."year_built"::HUGEINT - ((t."year_built" % $2::BIGINT + $2::BIGINT) % $2::BIGINT) AS BIGINT)'
        ' AS "year_built" FROM read_parquet($3) AS t ORDER BY sha256($4::BLOB || encode(t.id))',
        (Decimal("2.5"), 10, "s.parquet", KEY),
    )


def test_geometry_comes_up_to_the_level_and_keeps_the_snapshots_order() -> None:
    assert statement(shape({"zmax": EXACT}, 1)).text == (
        'SELECT t."city", t."geometry_lod0", t."geometry_lod1", t."bbox", t."zmax" FROM read_parquet($1) AS t'
    )
    assert statement(shape({"zmax": EXACT}, 0)).text == (
        'SELECT t."city", t."geometry_lod0", t."bbox" FROM read_parquet($1) AS t'
    )


def test_rows_and_areas_are_conjoined_in_one_order() -> None:
    one = Comparison(Comparator.GT, Property("height"), Literal(Decimal(5)))
    other = Not(IsNull(Property("storeys_above")))
    box = shapely.to_wkb(shapely.box(0, 0, 1, 1), flavor="iso")
    triangle = shapely.to_wkb(shapely.Polygon([(0, 0), (2, 0), (0, 2)]), flavor="iso")
    of = shape({}, 0, rows=frozenset([one, other]), areas=frozenset([box, triangle]))
    again = shape({}, 0, rows=frozenset([other, one]), areas=frozenset([triangle, box]))
    found = statement(of)
    assert found == statement(again)
    where = found.text.split(" WHERE ")[1]
    assert '(t."height" > $2::DECIMAL(18, 2))' in where
    assert "(NOT (NULL::BIGINT IS NULL))" in where  # the snapshot has no storeys_above: no row passes
    assert where.count("ST_Covers") == 1  # a rectangle needs the boxes alone
    assert triangle in found.parameters
    assert where.count(" IS NOT NULL AND t.bbox") == 1


def test_no_geometry_lies_in_no_area() -> None:
    area = shapely.to_wkb(shapely.box(0, 0, 1, 1), flavor="iso")
    assert " WHERE FALSE" in statement(shape({"id": EXACT}, areas=frozenset([area])), ("city", "id")).text


def test_a_column_that_the_snapshot_lacks_is_left_out() -> None:
    assert list(shapes.columns_of(shape({"energy_kwh": EXACT, "id": EXACT}, 3), frozenset(SNAPSHOT))) == [
        "city",
        "id",
        "geometry_lod0",
        "geometry_lod1",
        "geometry_lod2",
        "bbox",
    ]


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("function", band(Decimal(5))),
        ("height", band(Decimal("0.001"))),
        ("height", band(Decimal(0))),
        ("height", band(Decimal(-5))),
        ("year_built", band(Decimal("0.5"))),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(name: str, mask: Mask) -> None:
    with pytest.raises(BadPolicy):
        statement(shape({name: mask}))
