"""The filter expression tree: the nodes of CQL2 that cimfed answers today, as frozen values.

Three-valued logic as in SQL: a comparison with null is unknown, and only TRUE passes a filter. Literals are text,
exact decimals (integers too), booleans and instants; there are no binary floats, so a comparison means the same
on every engine. ``Box`` is true where the bounding box of the row's geometry and the box share a point (closed,
OGC:CRS84 degrees, x is longitude); a box with ``xmin > xmax`` crosses the antimeridian.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

Scalar: TypeAlias = str | Decimal | bool | datetime
"""A literal: integers are Decimals of scale 0; datetimes are aware, in UTC, to the microsecond."""


@dataclass(frozen=True)
class Property:
    name: str


@dataclass(frozen=True)
class Literal:
    value: Scalar


Operand: TypeAlias = Property | Literal


class Comparator(StrEnum):
    EQ = "="
    NE = "<>"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True)
class Comparison:
    op: Comparator
    left: Operand
    right: Operand


@dataclass(frozen=True)
class In:
    item: Property
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Between:
    """Closed on both ends."""

    item: Property
    low: Literal
    high: Literal


@dataclass(frozen=True)
class IsNull:
    item: Property


@dataclass(frozen=True)
class Box:
    xmin: float
    ymin: float
    xmax: float
    ymax: float


@dataclass(frozen=True)
class Not:
    item: Expression


@dataclass(frozen=True)
class And:
    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Or:
    items: tuple[Expression, ...]


Expression: TypeAlias = Comparison | In | Between | IsNull | Box | Not | And | Or


def children(node: Expression) -> tuple[Expression, ...]:
    match node:
        case And(items) | Or(items):
            return items
        case Not(item):
            return (item,)
        case _:
            return ()


def walk(node: Expression) -> Iterator[Expression]:
    """Every boolean node, the root first; iterative, so that depth costs no stack."""
    stack = [node]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def operands(node: Expression) -> tuple[Operand, ...]:
    """The properties and literals that stand directly in a node."""
    match node:
        case Comparison(_, left, right):
            return (left, right)
        case In(item, values):
            return (item, *values)
        case Between(item, low, high):
            return (item, low, high)
        case IsNull(item):
            return (item,)
        case _:
            return ()


def properties(node: Expression) -> frozenset[str]:
    """Names of all properties that the tree mentions."""
    return frozenset(operand.name for part in walk(node) for operand in operands(part) if isinstance(operand, Property))
