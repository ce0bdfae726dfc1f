"""An oracle for filters: three-valued logic over one row at a time, in plain Python.

A row is a mapping of property names to values: str, int, Decimal, aware datetime or None; ``bbox`` is a mapping of
xmin, ymin, xmax, ymax, or None for a row without geometry. A name that the row lacks is a KeyError: rows of a test
have all the columns of their view. None stands for unknown. Slow on purpose, and shares no code with what it checks.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

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
)

Row = Mapping[str, Any]

_COMPARE: dict[Comparator, Callable[[Any, Any], bool]] = {
    Comparator.EQ: operator.eq,
    Comparator.NE: operator.ne,
    Comparator.LT: operator.lt,
    Comparator.LE: operator.le,
    Comparator.GT: operator.gt,
    Comparator.GE: operator.ge,
}


def evaluate(node: Expression, row: Row) -> bool | None:
    """TRUE, FALSE or unknown (None), as SQL has it; text compares by code point, which is bytewise in UTF-8."""
    match node:
        case Comparison(op, left, right):
            return _compare(op, _value(left, row), _value(right, row))
        case In(item, values):
            return _any(_compare(Comparator.EQ, row[item.name], each.value) for each in values)
        case Between(item, low, high):
            value = row[item.name]
            return _all([_compare(Comparator.GE, value, low.value), _compare(Comparator.LE, value, high.value)])
        case IsNull(item):
            return row[item.name] is None
        case Box():
            return _touches(row["bbox"], node)
        case Not(item):
            found = evaluate(item, row)
            return None if found is None else not found
        case And(items):
            return _all(evaluate(each, row) for each in items)
        case Or(items):
            return _any(evaluate(each, row) for each in items)


def select(node: Expression | None, rows: Iterable[Row]) -> list[Row]:
    """The rows that pass: those for which the filter is TRUE."""
    return [row for row in rows if node is None or evaluate(node, row) is True]


def _value(operand: Operand, row: Row) -> Any:
    return operand.value if isinstance(operand, Literal) else row[operand.name]


def _compare(op: Comparator, left: Any, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    return _COMPARE[op](left, right)


def _touches(box: Mapping[str, float] | None, query: Box) -> bool | None:
    if box is None:
        return None
    if box["ymax"] < query.ymin or box["ymin"] > query.ymax:
        return False
    if query.xmin <= query.xmax:
        return bool(box["xmax"] >= query.xmin and box["xmin"] <= query.xmax)
    return bool(box["xmax"] >= query.xmin or box["xmin"] <= query.xmax)  # two pieces, east and west of 180


def _all(found: Iterable[bool | None]) -> bool | None:
    seen = list(found)
    return False if False in seen else None if None in seen else True


def _any(found: Iterable[bool | None]) -> bool | None:
    seen = list(found)
    return True if True in seen else None if None in seen else False
