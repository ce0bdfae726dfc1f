"""What a query may ask by the vocabulary alone, and where an error is said to be."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimfed.errors import BadQuery, CimfedError, TooDeep, TooLarge, UnknownProperty
from cimfed.model.names import CityName, Federation
from cimfed.model.vocabulary import VOCABULARY
from cimfed.query.check import check, check_filter, check_request
from cimfed.query.cql2 import parse
from cimfed.query.expression import And, Box, Comparator, Comparison, Expression, In, Literal, Not, Or, Property
from cimfed.query.query import Aggregate, Catalog, Function, Measure, Query, Read, Request
from tests.unit.cimfed.query.trees import chain, trees

COUNT, SUM, MEAN, MIN, MAX = Function
BUILDING = VOCABULARY.collections["building"]


def refusal(request: Request, **how: bool) -> CimfedError:
    with pytest.raises(CimfedError) as caught:
        check_request(request, **how)
    return caught.value


@pytest.mark.parametrize(
    "where",
    [
        "height > 50 AND function IN ('office', 'retail')",
        "50 < height",
        "height > storeys_above",
        "storeys_above = 2.5",
        "district = function",
        "valid_from < TIMESTAMP('2026-01-01T00:00:00Z') OR valid_to IS NULL",
        "name IS NULL OR geometry_lod1 IS NOT NULL OR ext IS NULL OR bbox IS NULL",
        "city <> 'kz.almaty' AND id >= 'a'",
        "S_INTERSECTS(geometry, BBOX(179, -90, -179, 90))",
        "year_built BETWEEN -9223372036854775808 AND 9223372036854775807",
    ],
)
def test_filters_within_the_vocabulary_pass(where: str) -> None:
    check_request(Read("building", where=parse(where)))


@pytest.mark.parametrize(
    ("where", "place", "says"),
    [
        ("height = 'tall'", "where: height", "a number and text"),
        ("function = 5", "where: function", "a number and text"),
        ("height IN (1, '2')", "where: height", "a number and text"),
        ("height BETWEEN 1 AND DATE('2026-01-01')", "where: height", "a number and a time"),
        ("valid_from > '2026-01-01'", "where: valid_from", "a time and text"),
        ("height = function", "where: height", "a number and text"),
        ("height = true", "where: height", "no property is true or false"),
        ("name = 'Abay'", "where: name", "name is names and cannot be compared"),
        ("ext = '{}'", "where: ext", "cannot be compared"),
        ("geometry_lod0 = 'x'", "where: geometry_lod0", "use a box"),
        ("'a' = 'a'", "where", "needs a property"),
        ("S_INTERSECTS(geometry, BBOX(0, 1, 1, 0))", "where: geometry", "ymin not above ymax"),
        ("S_INTERSECTS(geometry, BBOX(0, 0, 181, 1))", "where: geometry", "in degrees"),
    ],
)
def test_filters_that_compare_what_cannot_be_compared_are_refused(where: str, place: str, says: str) -> None:
    for leave_unknown in (False, True):
        error = refusal(Read("building", where=parse(where)), leave_unknown=leave_unknown)
        assert isinstance(error, BadQuery)
        assert error.place == place
        assert says in str(error)


@pytest.mark.parametrize(
    ("request_", "place", "remedy"),
    [
        (Read("building", where=parse("hieght > 5")), "where: hieght", "Did you mean height?"),
        (Read("building", where=parse('function = "office"')), "where: office", "Text stands in single quotes"),
        (Read("building", properties=("id", "heigth")), "properties: heigth", "Did you mean height?"),
        (Aggregate("building", (Measure(COUNT),), ("functoin",)), "group_by: functoin", "Did you mean function?"),
        (Aggregate("building", (Measure(SUM, "floorarea"),)), "measures: floorarea", "Did you mean floor_area?"),
        (Read("building", where=parse("xyzzy IS NULL")), "where: xyzzy", None),
    ],
)
def test_unknown_names_are_refused_with_a_suggestion_or_left_to_the_view(
    request_: Request, place: str, remedy: str | None
) -> None:
    error = refusal(request_)
    assert isinstance(error, UnknownProperty)
    assert (error.place, error.remedy) == (place, remedy)
    check_request(request_, leave_unknown=True)


def test_literals_beside_a_name_that_is_left_to_the_view_are_checked_all_the_same() -> None:
    nul = Comparison(Comparator.EQ, Property("later"), Literal("a\0"))
    assert isinstance(refusal(Read("building", where=nul), leave_unknown=True), BadQuery)
    mixed = Comparison(Comparator.EQ, Property("later"), Literal("a"))
    check_request(Read("building", where=mixed), leave_unknown=True)


def test_collections_are_those_of_the_vocabulary() -> None:
    error = refusal(Read("buildings"))
    assert (error.reason, error.place, error.remedy) == ("bad_query", "collection", "Did you mean building?")
    assert "building, building_part, storey, room, transportation" in str(refusal(Catalog("xyzzy")))
    check_request(Catalog())
    check_request(Catalog("facility"))


@pytest.mark.parametrize(
    "value",
    [
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E-10"),
        Decimal(2**63),
        Decimal("1E+19"),
        Decimal("1E+999999"),
        Decimal("9223372036.8547758081"),
        "a\0b",
        "\ud800",
        datetime(2026, 1, 1),
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5))),
        1,
        1.5,
        None,
    ],
)
def test_literals_that_an_engine_might_choke_on_are_refused(value: Any) -> None:
    tree = Comparison(Comparator.EQ, Property("later"), Literal(value))
    with pytest.raises(BadQuery):
        check_filter(tree, BUILDING, leave_unknown=True)


@pytest.mark.parametrize(
    "value", ["9.2E+18", "0.000000001", "-9223372036.854775808", "9223372036.8547758070", "0E+99", "-0"]
)
def test_literals_of_64_bits_and_nine_decimals_pass(value: str) -> None:
    check_filter(Comparison(Comparator.EQ, Property("height"), Literal(Decimal(value))), BUILDING)


@pytest.mark.parametrize(
    "box",
    [
        Box(float("nan"), 0.0, 1.0, 1.0),
        Box(0.0, float("nan"), 1.0, 1.0),
        Box(0.0, 0.0, float("inf"), 1.0),
        Box(0.0, 0.0, 1.0, float("nan")),
        Box(0.0, -91.0, 1.0, 1.0),
    ],
)
def test_boxes_are_finite_and_in_range(box: Box) -> None:
    with pytest.raises(BadQuery):
        check_filter(box, BUILDING)


def test_sizes_of_trees_from_the_wire_are_limited() -> None:
    leaf = Box(0.0, 0.0, 1.0, 1.0)
    check_filter(chain([Not] * 63, leaf), BUILDING)
    with pytest.raises(TooDeep):
        check_filter(chain([Not] * 64, leaf), BUILDING)
    deep: Expression = leaf
    for _ in range(100_000):
        deep = Not(deep)
    with pytest.raises(TooDeep):
        check_filter(deep, BUILDING)
    check_filter(Or((leaf,) * 4095), BUILDING)
    with pytest.raises(TooLarge):
        check_filter(Or((leaf,) * 4096), BUILDING)
    one = Literal(Decimal(1))
    check_filter(In(Property("height"), (one,) * 1000), BUILDING)
    with pytest.raises(TooLarge):
        check_filter(In(Property("height"), (one,) * 1001), BUILDING)


@pytest.mark.parametrize("tree", [And(()), Or((Box(0.0, 0.0, 1.0, 1.0),)), In(Property("height"), ())])
def test_lists_of_an_expression_are_not_too_short(tree: Expression) -> None:
    with pytest.raises(BadQuery):
        check_filter(tree, BUILDING)


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        (Aggregate("building", ()), "measures"),
        (Aggregate("building", (Measure(COUNT), Measure(COUNT))), "measures: count"),
        (Aggregate("building", (Measure(COUNT, "height"),)), "measures: count_height"),
        (Aggregate("building", (Measure(SUM),)), "measures: sum"),
        (Aggregate("building", (Measure(SUM, "function"),)), "measures: sum_function"),
        (Aggregate("building", (Measure(MEAN, "valid_from"),)), "measures: mean_valid_from"),
        (Aggregate("building", (Measure(MIN, "bbox"),)), "measures: bbox"),
        (Aggregate("building", (Measure(COUNT),), ("name",)), "group_by: name"),
        (Aggregate("building", (Measure(COUNT),), ("city", "city")), "group_by: city"),
        (Read("building", properties=()), "properties"),
        (Read("building", properties=("id", "id")), "properties: id"),
        (Read("building", properties=("",)), "properties"),
        (Read("building", properties=("x" * 65,)), "properties"),
        (Read("building", properties=("a\nb",)), "properties"),
        (Read("building", compression="gzip"), "compression"),
    ],
)
def test_requests_that_make_no_sense_are_refused(request_: Request, place: str) -> None:
    for leave_unknown in (False, True):
        error = refusal(request_, leave_unknown=leave_unknown)
        assert (error.reason, error.place) == ("bad_query", place)


def test_aggregates_within_the_vocabulary_pass() -> None:
    measures = (
        Measure(COUNT),
        Measure(SUM, "floor_area"),
        Measure(MEAN, "storeys_above"),
        Measure(MIN, "valid_from"),
        Measure(MAX, "district"),
    )
    check_request(Aggregate("building", measures, ("city", "function", "year_built", "valid_to", "height")))


def query(**about: Any) -> Query:
    settled: dict[str, Any] = {
        "federation": Federation("sco"),
        "request": Read("building"),
        "purpose": "research",
        "issued": 0,
        "expires": 1,
        "nonce": bytes(16),
    }
    return Query(**(settled | about))


@pytest.mark.parametrize("purpose", ["", "Research", "heat planning", "1st", "é", "a" * 65, "a\n"])
def test_purposes_are_labels(purpose: str) -> None:
    check(query(purpose="heat-planning-2"))
    with pytest.raises(BadQuery) as caught:
        check(query(purpose=purpose))
    assert caught.value.place == "purpose"


def test_lists_of_a_query_are_limited_and_name_nothing_twice() -> None:
    many = tuple(CityName(f"kz.c{number}") for number in range(1001))
    check(query(cities=many[:1000], grants=dict.fromkeys(many[:1000], "g")))
    for about in ({"cities": many}, {"via": many}, {"grants": dict.fromkeys(many, "g")}):
        with pytest.raises(TooLarge):
            check(query(**about))
    with pytest.raises(BadQuery) as caught:
        check(query(cities=many[:1] * 2))
    assert caught.value.place == "cities: kz.c0"
    with pytest.raises(TooLarge):
        check_request(Read("building", properties=tuple(f"p{number}" for number in range(1001))), leave_unknown=True)


@settings(deadline=None)
@given(trees(), st.booleans())
def test_any_filter_passes_or_is_refused_by_an_error_of_ours(tree: Expression, leave_unknown: bool) -> None:
    with contextlib.suppress(CimfedError):
        check_filter(tree, BUILDING, leave_unknown=leave_unknown)


COLUMNS = {
    "height": st.decimals(-5, 5, places=2),
    "function": st.text("ab", max_size=2),
    "valid_from": st.datetimes(timezones=st.just(UTC)),
}


@settings(deadline=None)
@given(trees(COLUMNS))
def test_filters_of_rightly_typed_literals_pass(tree: Expression) -> None:
    check_filter(tree, BUILDING)
