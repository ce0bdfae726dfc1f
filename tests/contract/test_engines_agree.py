"""Both engines, given the same rows, the same shape and the same request, answer alike: values, refusals, types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cimfed.errors import CimfedError
from cimfed.policy.shape import EXACT, NULL, Mask, Shape, band
from cimfed.query.expression import And, Box, Comparator, Comparison, In, IsNull, Literal, Not, Or, Property
from cimfed.query.query import Aggregate, Function, Measure, Read
from cimfed_node.stores.base import Store, View
from tests.contract.benches import DuckDBBench, PostGISBench
from tests.contract.store_contract import everything
from tests.postgres import Cluster
from tests.unit.cimfed.query.trees import chain, trees
from tests.unit.node import rows as made

COLUMNS = (*made.COLUMNS, "name", "geometry_lod1", "ext")
Benches = tuple[DuckDBBench, PostGISBench]


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory, postgres: Cluster) -> Iterator[Benches]:
    found = DuckDBBench(tmp_path_factory.mktemp("duckdb")), PostGISBench(tmp_path_factory.mktemp("postgis"), postgres)
    yield found
    for bench in found:
        bench.close()


# Rows: those of all tests, with valid geometry of every kind, names and solids beside them.

_SOLIDS = [
    None,
    shapely.Point(76, 43, -0.0),
    shapely.LineString([(76, 43, 1), (77, 44, 2.5)]),
    shapely.MultiPolygon([shapely.force_3d(shapely.box(76, 43, 77, 44), 5.0)]),
    shapely.GeometryCollection([shapely.Point(1, 2), shapely.box(0, 0, 1, 1)]),
]
_names = st.none() | st.dictionaries(st.sampled_from(["kk", "ru", "und"]), st.sampled_from(["", "Үй", "a'\\b"])).map(
    lambda names: list(names.items())
)


def _footprint(box: Mapping[str, float]) -> shapely.Geometry:
    """The rectangle of a box, or the line or point that it is."""
    west, south, east, north = box.values()
    if west < east and south < north:
        return shapely.box(west, south, east, north)
    return (
        shapely.Point(west, south)
        if (west, south) == (east, north)
        else shapely.LineString([(west, south), (east, north)])
    )


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(made.rows())
    for row in rows:
        solid = draw(st.sampled_from(_SOLIDS))
        row["name"] = draw(_names)
        row["ext"] = draw(st.sampled_from([None, '{"a": "\\u0000"}']))
        row["geometry_lod1"] = None if solid is None else shapely.to_wkb(solid, flavor="iso")
        if row["bbox"] is not None:
            # To a centimetre: of a line of 1e-170 degrees, versions of one library say differently what covers it.
            # And no -0.0, which DuckDB writes as 0.0 or the other way round where both are in one column.
            row["bbox"] = {side: round(value, 7) + 0.0 for side, value in row["bbox"].items()}
            row["geometry_lod0"] = shapely.to_wkb(_footprint(row["bbox"]), flavor="iso")
    return made.table(rows, COLUMNS)


# Shapes: some columns, masks that fit them, rows and areas.

_AREAS = [
    shapely.box(-90, -45, 90, 45),
    shapely.Polygon([(-180, -90), (180, -90), (180, 90)]),
    shapely.box(-180, -90, 180, 90).difference(shapely.box(10, 10, 20, 20)),
    shapely.MultiPolygon([shapely.box(-180, -90, 0, 90), shapely.box(0.1, -90, 180, 90)]),
]
_MASKS: Mapping[str, list[Mask]] = {
    "id": [EXACT],
    "name": [EXACT, NULL],
    "ext": [EXACT, NULL],
    "function": [EXACT, NULL],
    "valid_from": [EXACT, NULL],
    "height": [EXACT, NULL, band(Decimal("0.05")), band(Decimal(3)), band(Decimal(10) ** 9)],
    "floor_area": [EXACT, band(Decimal("0.1")), band(Decimal("2.5"))],
    "year_built": [EXACT, NULL, band(Decimal(7)), band(Decimal(10) ** 9)],
}
_conditions = trees(made.LITERALS, max_leaves=4).filter(lambda tree: "Box(" not in repr(tree))  # areas are apart


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    columns = draw(st.lists(st.sampled_from(sorted(_MASKS)), unique=True, min_size=1))
    areas = draw(st.sets(st.sampled_from(_AREAS), max_size=2)) if draw(st.booleans()) else set()
    return Shape(
        "building",
        frozenset(draw(st.lists(_conditions, max_size=1))),
        frozenset(shapely.to_wkb(area, flavor="iso") for area in areas),
        {name: draw(st.sampled_from(_MASKS[name])) for name in columns},
        draw(st.sampled_from([None, 0, 1])),
        (0, 1),
    )


# Requests: of what the view has, and of what it may lack.

_wheres = st.none() | trees(made.LITERALS, max_leaves=6)
reads = st.builds(
    Read,
    st.just("building"),
    _wheres,
    st.none() | st.lists(st.sampled_from([*COLUMNS, "zebra"]), min_size=1, max_size=5, unique=True).map(tuple),
)
_GROUPED = ["function", "height", "year_built", "floor_area", "valid_from", "city", "id"]
_measures = st.one_of(
    st.just(Measure(Function.COUNT)),
    st.builds(
        Measure,
        st.sampled_from([Function.SUM, Function.MEAN]),
        st.sampled_from(["height", "floor_area", "year_built"]),
    ),
    st.builds(Measure, st.sampled_from([Function.MIN, Function.MAX]), st.sampled_from(_GROUPED)),
)
aggregates = st.builds(
    Aggregate,
    st.just("building"),
    st.lists(_measures, min_size=1, max_size=4, unique=True).map(tuple),
    st.lists(st.sampled_from(_GROUPED), max_size=2, unique=True).map(tuple),
    _wheres,
)


def answer(store: Store, view: View, request: Read | Aggregate) -> Any:
    try:
        reader = store.read(view, request) if isinstance(request, Read) else store.aggregate(view, request)
    except CimfedError as refused:
        return type(refused), refused.line
    found = everything(reader)
    return found.schema.to_string(), sorted(map(repr, found.to_pylist()))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=tables(),
    shape=shapes(),
    requests=st.lists(st.one_of(reads, aggregates), min_size=6, max_size=6),
)
def test_every_request_is_answered_alike(
    benches: Benches, rows: pa.Table, shape: Shape, requests: list[Read | Aggregate]
) -> None:
    duckdb, postgis = benches
    one, other = duckdb.shaped(rows, shape), postgis.shaped(rows, shape)
    assert (one.id, one.rows, one.snapshot) == (other.id, other.rows, other.snapshot)
    assert one.schema.equals(other.schema, check_metadata=True)
    whole = [everything(bench.store.read(view, Read("building"))) for bench, view in ((duckdb, one), (postgis, other))]
    if shape.max_lod is None:
        assert whole[0].equals(whole[1], check_metadata=True)  # in the same order too
    for request in (Read("building"), *requests):
        assert answer(duckdb.store, one, request) == answer(postgis.store, other, request), request


def test_filters_at_the_limits_run_on_both(benches: Benches) -> None:
    height, function = Property("height"), Property("function")
    rows = made.table([made.building(1, height=Decimal("1.00"), function="x"), made.building(2)])
    views = [(bench.store, bench.view(rows, geometry=False)) for bench in benches]
    for tree in (
        chain([Not] * 63, IsNull(height)),
        chain([And, Or, Not] * 21, IsNull(height)),
        And((IsNull(height),) * 2000),
        Or(tuple(Comparison(Comparator.EQ, height, Literal(Decimal(number))) for number in range(1300))),
        In(height, tuple(Literal(Decimal(number)) for number in range(1000))),
        In(function, tuple(Literal("x" * 32 + str(number)) for number in range(1000))),
        Comparison(Comparator.GT, function, Literal("\\'$1" * 6000)),
    ):
        one, other = (answer(store, view, Read("building", tree)) for store, view in views)
        assert one == other
        assert isinstance(one[1], list)


def test_boxes_of_any_finite_size_are_answered_alike(benches: Benches) -> None:
    rows = made.table(
        [made.building(1, shapely.Point(76, 43)), made.building(2, shapely.Point(-76, 43)), made.building(3)]
    )
    views = [(bench.store, bench.view(rows)) for bench in benches]
    ends = (-1e308, -1e38, -76.0, -5e-324, 0.0, 76.0, 4e38, 1e308)
    for west, south, east in product(ends, ends, ends):
        request = Read("building", Box(west, south, east, 1e308), ("id",))
        one, other = (answer(store, view, request) for store, view in views)
        assert one == other, request
