"""Filters -> conditions.

A literal never forces a conversion of the column beside it: a number that the column's type cannot hold is moved
to the nearest one that it can, and the comparison with it. So ``height < 5.005`` on two decimals becomes
``height <= 5.00``, exact, and the engine can still rule out row groups by their statistics.

Three-valued logic: what is decided here for every value of a column is still unknown for null, and is written
``x = x`` (true or unknown) and ``x <> x`` (false or unknown).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from cimfed.errors import BadQuery
from cimfed.model.vocabulary import NUMERIC, Property, Type
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
    Operand,
    Or,
    Scalar,
)
from cimfed.query.expression import Property as Named
from cimfed.query.literals import INT64_MAX, INT64_MIN, check_literal, number, unscaled
from cimfed.query.size import check_size
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.dialect import Dialect
from cimfed_node.sql.statement import Parameters

_MIRRORED = {
    Comparator.EQ: Comparator.EQ,
    Comparator.NE: Comparator.NE,
    Comparator.LT: Comparator.GT,
    Comparator.LE: Comparator.GE,
    Comparator.GT: Comparator.LT,
    Comparator.GE: Comparator.LE,
}
_CONSTANT: dict[Comparator, Callable[[Any, Any], bool]] = {
    Comparator.EQ: operator.eq,
    Comparator.NE: operator.ne,
    Comparator.LT: operator.lt,
    Comparator.LE: operator.le,
    Comparator.GT: operator.gt,
    Comparator.GE: operator.ge,
}
_BELOW = frozenset({Comparator.LT, Comparator.LE})
_ABOVE = frozenset({Comparator.GT, Comparator.GE})
_DECIMAL_MAX = 10**18 - 1
PLACE = "where"


def condition(node: Expression, columns: Columns, dialect: Dialect, parameters: Parameters) -> str:
    """A boolean SQL expression, in parentheses where it needs them."""
    check_size(node)
    return _Writer(columns, dialect, parameters).write(node)


class _Writer:
    def __init__(self, columns: Columns, dialect: Dialect, parameters: Parameters) -> None:
        self.columns = columns
        self.dialect = dialect
        self.parameters = parameters

    def write(self, node: Expression) -> str:
        match node:
            case And(items):
                return self._joined(" AND ", items, "TRUE")
            case Or(items):
                return self._joined(" OR ", items, "FALSE")
            case Not(item):
                return f"(NOT {self.write(item)})"
            case Comparison(op, left, right):
                return self._comparison(op, left, right)
            case In(item, values):
                return self._in(self.columns.comparable(item.name, PLACE), values)
            case Between(item, low, high):
                prop = self.columns.comparable(item.name, PLACE)
                low_end = self._with_literal(Comparator.GE, prop, low.value)
                high_end = self._with_literal(Comparator.LE, prop, high.value)
                return f"({low_end} AND {high_end})"
            case IsNull(item):
                return f"({self._item(self.columns.find(item.name, PLACE))} IS NULL)"
            case Box():
                return self._box(node)

    def _joined(self, word: str, items: tuple[Expression, ...], empty: str) -> str:
        return "(" + word.join(self.write(item) for item in items) + ")" if items else empty

    def _comparison(self, op: Comparator, left: Operand, right: Operand) -> str:
        match left, right:
            case Named(one), Named(other):
                return self._of_two(op, self.columns.comparable(one, PLACE), self.columns.comparable(other, PLACE))
            case Named(name), Literal(value):
                return self._with_literal(op, self.columns.comparable(name, PLACE), value)
            case Literal(value), Named(name):
                return self._with_literal(_MIRRORED[op], self.columns.comparable(name, PLACE), value)
            case Literal(one), Literal(other):
                if _kind(one) is not _kind(other):
                    raise BadQuery("literals of two types cannot be compared")
                return "TRUE" if _CONSTANT[op](one, other) else "FALSE"
        raise BadQuery("a comparison has two operands")

    def _of_two(self, op: Comparator, one: Property, other: Property) -> str:
        left, right = self._item(one), self._item(other)
        if one.type in NUMERIC and other.type in NUMERIC:
            if (one.type, one.scale) != (other.type, other.scale):
                scale = max(one.scale, other.scale)
                left, right = self.dialect.widened(left, scale), self.dialect.widened(right, scale)
        elif _of_type(one) is not _of_type(other):
            raise BadQuery(f"{one.name} and {other.name} are of different types", place=f"{PLACE}: {one.name}")
        return f"({left} {op} {right})"

    def _with_literal(self, op: Comparator, prop: Property, value: Scalar) -> str:
        check_literal(value, PLACE)
        if _kind(value) is not _of_type(prop):
            raise BadQuery(f"{prop.name} cannot be compared with that literal", place=f"{PLACE}: {prop.name}")
        if not isinstance(value, Decimal):
            return f"({self._item(prop)} {op} {self._bound(prop, value)})"
        floor, exact = _floor(value, prop.scale)
        low, high = _range(prop)
        if not low <= floor <= high or (not exact and op not in _BELOW | _ABOVE):
            return self._whatever(prop, _beyond(op, below=floor < low, above=floor > high))
        if not exact:
            op = Comparator.LE if op in _BELOW else Comparator.GT
        return f"({self._item(prop)} {op} {self._bound(prop, _number(floor, prop))})"

    def _in(self, prop: Property, values: tuple[Literal, ...]) -> str:
        if not values:
            return "FALSE"
        bound: list[str] = []
        for literal in values:
            check_literal(literal.value, PLACE)
            value: Any = literal.value
            if _kind(value) is not _of_type(prop):
                raise BadQuery(f"{prop.name} cannot be compared with that literal", place=f"{PLACE}: {prop.name}")
            if isinstance(value, Decimal):
                floor, exact = _floor(value, prop.scale)
                low, high = _range(prop)
                if not exact or not low <= floor <= high:
                    continue  # equal to no value of the column
                value = _number(floor, prop)
            bound.append(self._bound(prop, value))
        return f"({self._item(prop)} IN ({', '.join(bound)}))" if bound else self._whatever(prop, False)

    def _box(self, box: Box) -> str:
        if "bbox" not in self.columns.present:
            raise self.columns.unknown("geometry", PLACE)
        if not all(isfinite(side) for side in (box.xmin, box.ymin, box.xmax, box.ymax)):
            raise BadQuery("a box has four finite sides", place=f"{PLACE}: geometry")
        return self.dialect.touches(box, self.parameters)

    def _whatever(self, prop: Property, truth: bool) -> str:
        """The same for every value that the column holds, unknown for null."""
        item = self._item(prop)
        return f"({item} = {item})" if truth else f"({item} <> {item})"

    def _item(self, prop: Property) -> str:
        return self.columns.item(prop, self.dialect)

    def _bound(self, prop: Property, value: Any) -> str:
        return self.dialect.typed(self.parameters.bind(value), prop)


def _kind(value: Scalar) -> type:
    return bool if isinstance(value, bool) else type(value)


def _of_type(prop: Property) -> type:
    """The literals that a property can be compared with."""
    if prop.type in NUMERIC:
        return Decimal
    return datetime if prop.type is Type.TIME else str


def _floor(value: Decimal, scale: int) -> tuple[int, bool]:
    """The greatest integer whose ``10**-scale``-fold is not above the value, and whether it is the value."""
    digits, decimals = unscaled(value)
    if decimals <= scale:
        return digits * 10 ** (scale - decimals), True
    floor, rest = divmod(digits, 10 ** (decimals - scale))
    return floor, rest == 0


def _range(prop: Property) -> tuple[int, int]:
    return (INT64_MIN, INT64_MAX) if prop.type is Type.INTEGER else (-_DECIMAL_MAX, _DECIMAL_MAX)


def _number(floor: int, prop: Property) -> int | Decimal:
    return floor if prop.type is Type.INTEGER else number(floor, prop.scale)


def _beyond(op: Comparator, *, below: bool, above: bool) -> bool:
    """What a comparison is with a literal below or above every value of the column, or between two of them."""
    if op in (Comparator.EQ, Comparator.NE):
        return op is Comparator.NE
    return (above and op in _BELOW) or (below and op in _ABOVE)
