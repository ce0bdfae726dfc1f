"""Routing rules a city out only where no row of its could pass: tried on random rows by the naive evaluator."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimfed.model.names import CityName, Federation
from cimfed.model.routing import Extent, RoutingEntry
from cimfed.query.cql2 import parse
from cimfed.query.expression import And, Box, Expression
from cimfed.query.query import Aggregate, Catalog, Function, Measure, Query, Read, Request
from cimfed.query.route import RuledOut, route
from tests.unit.cimfed.query.naive import evaluate
from tests.unit.cimfed.query.trees import trees

ALMATY, DELHI = CityName("kz.almaty"), CityName("in.delhi")
EXTENT = (76.7, 43.0, 77.1, 43.4)


def query(request: Request, **about: Any) -> Query:
    return Query(
        federation=Federation("sco"),
        request=request,
        purpose="research",
        nonce=bytes(16),
        **({"issued": 1000, "expires": 2000} | about),
    )


def entry(extent: Extent | None = EXTENT, valid: tuple[int, int] = (0, 10_000)) -> RoutingEntry:
    return RoutingEntry(ALMATY, 1, bytes(32), {"building": extent}, valid)


def ruled_out(where: str | Expression | None, extent: Extent | None = EXTENT) -> RuledOut | None:
    tree = parse(where) if isinstance(where, str) else where
    return route(query(Read("building", where=tree)), {ALMATY: entry(extent)})[ALMATY]


def box(*corners: float) -> str:
    return f"S_INTERSECTS(geometry, BBOX({','.join(map(repr, corners))}))"


HERE, EAST, WEST = box(76.8, 43.1, 76.9, 43.2), box(78.0, 43.1, 79.0, 43.2), box(70.0, 43.1, 71.0, 43.2)


@pytest.mark.parametrize(
    "where",
    [
        None,
        "height > 50",
        HERE,
        box(77.1, 43.4, 80.0, 50.0),  # touches a corner
        box(70.0, 40.0, 80.0, 50.0),
        box(76.8, 43.1, -170.0, 43.2),  # over the antimeridian, from here on
        f"{HERE} OR {EAST}",
        f"{EAST} OR height > 50",
        f"NOT {EAST}",
        f"NOT {HERE}",
        box(76.7, 43.1, 76.8, 43.2) + " AND " + box(77.0, 43.1, 77.1, 43.2),  # a large building touches both
    ],
)
def test_a_city_that_may_have_such_rows_is_asked(where: str | None) -> None:
    assert ruled_out(where) is None


@pytest.mark.parametrize(
    "where",
    [
        EAST,
        WEST,
        box(76.8, 43.5, 76.9, 44.0),
        box(77.2, 43.0, 76.6, 43.4),  # over the antimeridian, all but here
        f"{EAST} AND height > 50",
        f"{EAST} AND {HERE}",
        f"{EAST} OR {WEST}",
        f"({EAST} OR {WEST}) AND (height > 50 OR {HERE})",
    ],
)
def test_a_city_is_ruled_out_when_its_extent_has_no_such_rows(where: str) -> None:
    assert ruled_out(where) is RuledOut.EXTENT


def test_a_collection_without_declared_extent_is_asked() -> None:
    assert ruled_out(EAST, extent=None) is None


def test_a_collection_that_is_not_declared_is_ruled_out() -> None:
    entries = {ALMATY: entry()}
    assert route(query(Read("facility")), entries) == {ALMATY: RuledOut.COLLECTION}
    count = Aggregate("facility", (Measure(Function.COUNT),))
    assert route(query(count), entries) == {ALMATY: RuledOut.COLLECTION}


def test_catalogues_are_asked_of_all_since_cities_list_what_they_do_not_grant() -> None:
    assert route(query(Catalog("facility")), {ALMATY: entry()}) == {ALMATY: None}
    assert route(query(Catalog()), {ALMATY: entry(), DELHI: None}) == {ALMATY: None, DELHI: None}


def test_only_the_cities_that_the_query_names_are_asked() -> None:
    entries = {ALMATY: entry(), DELHI: None}
    asked = query(Read("building"), cities=(DELHI,))
    assert route(asked, entries) == {ALMATY: RuledOut.NOT_ADDRESSED, DELHI: None}
    assert route(query(Read("building")), entries) == {ALMATY: None, DELHI: None}


def test_a_city_without_entry_is_asked() -> None:
    assert route(query(Read("building", where=parse(EAST))), {ALMATY: None}) == {ALMATY: None}


@pytest.mark.parametrize("valid", [(0, 1999), (1001, 10_000), (0, 500), (3000, 4000)])
def test_an_entry_that_does_not_hold_for_the_querys_life_rules_nothing_out(valid: tuple[int, int]) -> None:
    for request in (Read("facility"), Read("building", where=parse(EAST))):
        assert route(query(request), {ALMATY: entry(valid=valid)}) == {ALMATY: None}
    assert route(query(Read("facility")), {ALMATY: entry(valid=(1000, 2000))}) == {ALMATY: RuledOut.COLLECTION}


# A coarse grid, so that boxes, extents and rows often share an edge or a corner, and one touches several others
X = st.sampled_from([-180.0, -120.0, -60.0, 0.0, 60.0, 120.0, 180.0])
Y = st.sampled_from([-90.0, -45.0, 0.0, 45.0, 90.0])
COLUMNS = {"height": st.integers(0, 4).map(Decimal)}


@st.composite
def extents(draw: st.DrawFn) -> Extent:
    xmin, xmax = sorted(draw(st.lists(X, min_size=2, max_size=2, unique=True)))
    ymin, ymax = sorted(draw(st.lists(Y, min_size=2, max_size=2, unique=True)))
    return xmin, ymin, xmax, ymax


@st.composite
def places(draw: st.DrawFn) -> Box:
    ymin, ymax = sorted((draw(Y), draw(Y)))
    return Box(draw(X), ymin, draw(X), ymax)


@st.composite
def rows(draw: st.DrawFn, extent: Extent) -> dict[str, Any]:
    """A row whose geometry lies within the extent, or that has none."""
    xmin, ymin, xmax, ymax = extent
    x = sorted(draw(X.filter(lambda value: xmin <= value <= xmax)) for _ in range(2))
    y = sorted(draw(Y.filter(lambda value: ymin <= value <= ymax)) for _ in range(2))
    found = {"xmin": x[0], "ymin": y[0], "xmax": x[1], "ymax": y[1]}
    return {"bbox": draw(st.just(found) | st.none()), "height": draw(st.none() | COLUMNS["height"])}


def filling(extent: Extent) -> dict[str, float]:
    """The box of a row that fills the extent."""
    return dict(zip(("xmin", "ymin", "xmax", "ymax"), extent, strict=True))


@settings(max_examples=500, deadline=None)
@given(trees(COLUMNS, places(), max_leaves=6), extents(), st.data())
def test_no_row_that_passes_is_ever_ruled_out(tree: Expression, extent: Extent, data: Any) -> None:
    if ruled_out(tree, extent):
        found = data.draw(st.lists(rows(extent), max_size=8))
        for height in range(5):
            found.append({"bbox": filling(extent), "height": Decimal(height)})
        assert not any(evaluate(tree, row) for row in found)


@settings(max_examples=400, deadline=None)
@given(st.lists(places(), min_size=2, max_size=3), extents())
def test_several_boxes_rule_out_exactly_the_extents_that_do_not_touch_them_all(
    several: list[Box], extent: Extent
) -> None:
    tree = And(tuple(several))
    assert (ruled_out(tree, extent) is None) == evaluate(tree, {"bbox": filling(extent)})


@settings(max_examples=400, deadline=None)
@given(extents(), extents(), st.booleans())
def test_one_box_rules_out_exactly_the_extents_that_it_does_not_touch(
    extent: Extent, corners: Extent, crosses: bool
) -> None:
    xmin, ymin, xmax, ymax = corners
    asked = Box(xmax, ymin, xmin, ymax) if crosses else Box(xmin, ymin, xmax, ymax)
    assert (ruled_out(asked, extent) is None) == evaluate(asked, {"bbox": filling(extent)})
