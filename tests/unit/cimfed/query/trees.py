"""Hypothesis strategies: filters that ``check`` passes, over any names or over a given set of properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

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

CHARACTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])

texts = st.text(CHARACTERS, max_size=12)
names = st.one_of(
    st.text(CHARACTERS, min_size=1, max_size=8).filter(str.isprintable),
    st.sampled_from(["height", "osm:height", "date", "timestamp", "bbox", "casei", "point", "And", "null", "div"]),
)


@st.composite
def numbers(draw: st.DrawFn) -> Decimal:
    """Numbers in their one form; every number that a literal may be."""
    scale = draw(st.integers(0, 9))
    value = draw(st.integers(-(2**63), 2**63 - 1))
    while scale and value % 10 == 0:
        value, scale = value // 10, scale - 1
    return Decimal(f"{value}E-{scale}") if scale else Decimal(value)


instants = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))
scalars: st.SearchStrategy[Any] = st.one_of(texts, numbers(), st.booleans(), instants)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x = st.floats(-180, 180).map(lambda value: value + 0.0)
    y = st.floats(-90, 90).map(lambda value: value + 0.0)
    ymin, ymax = sorted((draw(y), draw(y)))
    return Box(draw(x), ymin, draw(x), ymax)


@st.composite
def leaves(
    draw: st.DrawFn, columns: Mapping[str, st.SearchStrategy[Any]] | None, places: st.SearchStrategy[Box]
) -> Expression:
    name = draw(names) if columns is None else draw(st.sampled_from(sorted(columns)))
    item = Property(name)
    literal = (scalars if columns is None else columns[name]).map(Literal)
    match draw(st.integers(0, 4)):
        case 0:
            both = (item, draw(literal))
            left, right = both if draw(st.booleans()) else both[::-1]
            return Comparison(draw(st.sampled_from(Comparator)), left, right)
        case 1:
            return In(item, tuple(draw(st.lists(literal, min_size=1, max_size=4))))
        case 2:
            return Between(item, draw(literal), draw(literal))
        case 3:
            return draw(places)
        case _:
            return IsNull(item)


def trees(
    columns: Mapping[str, st.SearchStrategy[Any]] | None = None,
    places: st.SearchStrategy[Box] | None = None,
    max_leaves: int = 12,
) -> st.SearchStrategy[Expression]:
    """Filters; ``columns`` gives the properties to use, each with a strategy of its literals' values."""

    def grow(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(inner.map(Not), parts.map(And), parts.map(Or))

    return st.recursive(leaves(columns, boxes() if places is None else places), grow, max_leaves=max_leaves)


def chain(kinds: Sequence[type[And] | type[Or] | type[Not]], leaf: Expression) -> Expression:
    """A tree as deep as ``kinds`` is long, and one."""
    tree = leaf
    for kind in kinds:
        tree = Not(tree) if kind is Not else kind((tree, leaf))
    return tree
