"""The laws of the meet, and what it may never do."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import BadPolicy
from cimfed.model.vocabulary import VOCABULARY
from cimfed.policy.meet import canonical, is_coarser, meet, meet_masks, shape_hash, widest
from cimfed.policy.shape import EXACT, NULL, Mask, MaskKind, Shape, band, gives_originals, view_columns
from cimfed.query.expression import Comparator, Comparison, IsNull, Literal, Property

widths = st.sampled_from(["1", "2", "3", "5", "6", "7", "10", "0.5", "2.5", "0.01", "999999937", "1000000000"]).map(
    Decimal
) | st.decimals(Decimal("0.01"), 1000, places=2)
masks = st.sampled_from([EXACT, NULL]) | widths.map(band)
names = st.sampled_from(["id", "name", "function", "height", "storeys_above", "year_built", "floor_area"])
predicates = st.sampled_from(
    [
        IsNull(Property("height")),
        Comparison(Comparator.EQ, Property("usage_state"), Literal("in_use")),
        Comparison(Comparator.GT, Property("height"), Literal(Decimal("2.50"))),
        Comparison(Comparator.GT, Property("height"), Literal(Decimal("2.5"))),
    ]
)
areas = st.integers(0, 3).map(lambda x: bytes(shapely.to_wkb(shapely.box(x, 0, x + 1, 1))))
words = st.frozensets(st.sampled_from(["gw.a", "gw.b", "direct"]))
instants = st.integers(0, 10)
shapes = st.builds(
    Shape,
    collection=st.just("building"),
    rows=st.frozensets(predicates, max_size=3),
    areas=st.frozensets(areas, max_size=3),
    columns=st.dictionaries(names, masks, max_size=5),
    max_lod=st.none() | st.integers(0, 3),
    valid=st.tuples(instants, instants),
    obligations=st.frozensets(st.sampled_from(["attribution", "no-onward-sharing"])),
    via=st.none() | words,
    original=st.booleans(),
)


@given(shapes, shapes)
def test_it_is_commutative(one: Shape, other: Shape) -> None:
    assert meet(one, other) == meet(other, one)
    assert shape_hash(meet(one, other)) == shape_hash(meet(other, one))


@given(shapes, shapes, shapes)
def test_it_is_associative(one: Shape, two: Shape, three: Shape) -> None:
    assert meet(meet(one, two), three) == meet(one, meet(two, three))


@given(shapes, shapes)
def test_it_is_idempotent(one: Shape, other: Shape) -> None:
    assert meet(one, one) == one
    assert meet(meet(one, other), other) == meet(one, other)


@given(shapes)
def test_the_widest_shape_changes_nothing(shape: Shape) -> None:
    assert meet(widest("building"), shape) == shape


@given(shapes, shapes)
def test_it_never_widens(one: Shape, other: Shape) -> None:
    both = meet(one, other)
    assert both.rows >= one.rows
    assert both.areas >= one.areas
    assert both.obligations >= one.obligations
    assert both.columns.keys() <= one.columns.keys()
    assert all(is_coarser(mask, one.columns[name]) for name, mask in both.columns.items())
    assert both.max_lod is None or (one.max_lod is not None and both.max_lod <= one.max_lod)
    assert set(range(*both.valid)) <= set(range(*one.valid))
    assert one.via is None or (both.via is not None and both.via <= one.via)
    assert view_columns(both).keys() <= view_columns(one).keys()
    assert both.original <= one.original
    assert gives_originals(both) <= gives_originals(one)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (EXACT, EXACT, EXACT),
        (EXACT, band(Decimal(5)), band(Decimal(5))),
        (EXACT, NULL, NULL),
        (band(Decimal(5)), NULL, NULL),
        (band(Decimal(5)), band(Decimal(10)), band(Decimal(10))),
        (band(Decimal(2)), band(Decimal(3)), band(Decimal(6))),
        (band(Decimal("2.5")), band(Decimal(2)), band(Decimal(10))),
        (band(Decimal("0.04")), band(Decimal("0.06")), band(Decimal("0.12"))),
        (band(Decimal(999_999_937)), band(Decimal(2)), NULL),  # beyond any width that says something
    ],
)
def test_two_masks_meet_at_the_finest_that_either_gives(one: Mask, other: Mask, both: Mask) -> None:
    assert meet_masks(one, other) == meet_masks(other, one) == both


def test_three_bands_meet_at_one_mask_whoever_comes_first() -> None:
    two, three, six = (band(Decimal(width)) for width in (2, 3, 6))
    assert meet_masks(meet_masks(two, three), six) == meet_masks(two, meet_masks(three, six)) == six


def masked(mask: Mask, value: Fraction) -> Fraction | None:
    """What a mask leaves of a value, by the definition on the steward's page."""
    if mask.kind is MaskKind.NULL:
        return None
    if mask.width is None:
        return value
    return floor(value / Fraction(mask.width)) * Fraction(mask.width)


@given(masks, masks, st.fractions(-10_000, 10_000), st.fractions(-10_000, 10_000))
def test_values_that_one_mask_makes_equal_stay_equal_under_the_meet(
    one: Mask, other: Mask, value: Fraction, near: Fraction
) -> None:
    both = meet_masks(one, other)
    near = value + near / 1000
    for mask in (one, other):
        if masked(mask, value) == masked(mask, near):
            assert masked(both, value) == masked(both, near)
    seen = masked(one, value)
    assert masked(both, value) == (None if seen is None else masked(both, seen)) or both == NULL


@given(st.sampled_from([1, 2, 3, 4, 5, 6, 10, 12]), st.sampled_from([1, 2, 3, 4, 5, 6, 10, 12]))
def test_no_finer_band_can_be_had_from_both(one: int, other: int) -> None:
    both = meet_masks(band(Decimal(one)), band(Decimal(other))).width
    assert both == min(width for width in range(1, 200) if width % one == 0 and width % other == 0)


def test_shapes_of_two_collections_do_not_meet() -> None:
    with pytest.raises(BadPolicy):
        meet(widest("building"), widest("facility"))


# The canonical form


@given(shapes, shapes)
def test_shapes_have_one_hash_exactly_where_they_are_equal(one: Shape, other: Shape) -> None:
    assert (canonical(one) == canonical(other)) == (one == other)


def test_a_shape_is_this_to_the_byte() -> None:
    shape = Shape(
        collection="building",
        rows=frozenset({IsNull(Property("height"))}),
        areas=frozenset({b"\x01\x02"}),
        columns={"height": band(Decimal("5.0")), "id": EXACT},
        max_lod=None,
        valid=(1, 2**60),
        obligations=frozenset({"b", "a"}),
    )
    assert canonical(shape) == (
        b'{"areas":["0102"],"collection":"building","columns":{"height":{"band":"5"},"id":"exact"},"max_lod":null,'
        b'"obligations":["a","b"],"rows":["{\\"args\\":[{\\"property\\":\\"height\\"}],\\"op\\":\\"isNull\\"}"],'
        b'"valid":["1","1152921504606846976"],"via":null}'
    )


def test_a_shape_with_originals_says_so_in_its_bytes_and_others_do_not() -> None:
    untouched = widest("building")
    text = canonical(untouched)
    assert text.count(b'"original":true') == 1
    assert canonical(replace(untouched, original=False)) == text.replace(b'"original":true,', b"")


# Untouched objects


def test_a_shape_gives_untouched_objects_only_where_it_hides_nothing_of_them() -> None:
    for name in VOCABULARY.collections:
        assert gives_originals(widest(name)) == (name not in ("building_part", "storey", "room"))
    every = widest("building")
    assert gives_originals(replace(every, rows=frozenset({IsNull(Property("height"))}), areas=frozenset({b"\x01"})))
    assert not gives_originals(replace(every, original=False))
    assert not gives_originals(replace(every, max_lod=2))
    assert not gives_originals(replace(every, max_lod=None))
    for column in every.columns:
        less = {name: mask for name, mask in every.columns.items() if name != column}
        assert not gives_originals(replace(every, columns=less))
        assert not gives_originals(replace(every, columns={**less, column: NULL}))
        assert not gives_originals(meet(every, replace(every, columns={**less, column: NULL})))


def test_the_hash_does_not_depend_on_the_process() -> None:
    script = (
        "from tests.unit.cimfed.policy.documents import *\n"
        "from cimfed.policy.decide import shapes\nfrom cimfed.policy.meet import shape_hash\n"
        "print([shape_hash(shape).hex() for _, shape in shapes(policy(EXAMPLE))])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


# The columns of a view


def test_a_view_has_city_the_columns_named_and_geometry_as_far_as_it_goes() -> None:
    shape = replace(widest("building"), columns={"height": band(Decimal(5)), "zmax": EXACT, "id": EXACT}, max_lod=1)
    assert list(view_columns(shape).items()) == [
        ("city", EXACT),
        ("id", EXACT),
        ("geometry_lod0", EXACT),
        ("geometry_lod1", EXACT),
        ("bbox", EXACT),
        ("zmax", EXACT),
        ("height", band(Decimal(5))),
    ]
    assert list(view_columns(replace(shape, max_lod=0))) == ["city", "id", "geometry_lod0", "bbox", "height"]
    assert list(view_columns(replace(shape, max_lod=None))) == ["city", "id", "height"]
