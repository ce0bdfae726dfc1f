"""Row predicates of a policy: as a JSON tree in signed bytes, checked, and split into what is conjoined.

The tree is CQL2 JSON (OGC 21-065r2) but for numbers and instants, which are exact text: ``{"number": "12.5"}``,
``{"timestamp": "2026-01-01T00:00:00Z"}``. Nobody parses CQL2 text but the steward's tool. Predicates speak of
properties, also of those that the grant does not give; places are the business of ``area``.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from cimfed.errors import BadPolicy, CimfedError
from cimfed.model.instants import datetime_of, instant_of, instant_text, parse_instant
from cimfed.model.limits import LIMITS
from cimfed.model.vocabulary import Collection
from cimfed.policy.cursor import Cursor
from cimfed.query.check import check_filter
from cimfed.query.cql2 import parse
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
    Property,
    walk,
)
from cimfed.query.literals import canonical

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{0,8}[1-9])?")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def tree(node: Expression) -> dict[str, Any]:
    """The JSON tree of an expression; ``read_tree`` gives the expression back."""
    match node:
        case Comparison(op, left, right):
            return _op(op.value, _operand(left), _operand(right))
        case In(item, values):
            return _op("in", _operand(item), [_operand(value) for value in values])
        case Between(item, low, high):
            return _op("between", _operand(item), _operand(low), _operand(high))
        case IsNull(item):
            return _op("isNull", _operand(item))
        case Not(item):
            return _op("not", tree(item))
        case And(items):
            return _op("and", *(tree(item) for item in items))
        case Or(items):
            return _op("or", *(tree(item) for item in items))
        case Box():
            raise BadPolicy("rows speaks of properties, not of places", remedy="Use area")


def _op(op: str, *args: object) -> dict[str, Any]:
    return {"op": op, "args": list(args)}


def _operand(operand: Operand) -> object:
    match operand:
        case Property(name):
            return {"property": name}
        case Literal(bool(value)):
            return value
        case Literal(str(value)):
            return value
        case Literal(Decimal() as value):
            return {"number": number_text(value)}
        case Literal(datetime() as value):
            return {"timestamp": instant_text(instant_of(value))}
    raise AssertionError(operand)


def number_text(value: Decimal) -> str:
    """One text for one number; ``cimfed.query.literals`` says which numbers there are."""
    return format(canonical(value), "f")


def read_tree(at: Cursor) -> Expression:
    return _Reader().node(at, 1)


class _Reader:
    """Counts as it goes, so that a tree is bounded before anything else looks at it."""

    def __init__(self) -> None:
        self.count = 0

    def node(self, at: Cursor, depth: int) -> Expression:
        self._one_more(at)
        if depth > LIMITS.filter_depth:
            raise at.error(f"more than {LIMITS.filter_depth} levels deep")
        found = at.fields("a condition", ("op", "args"))
        op = found["op"].text("the operator")
        args = found["args"].items("arguments", LIMITS.filter_nodes)
        match op, args:
            case (("and" | "or"), [_, *_]):
                items = tuple(self.node(arg, depth + 1) for arg in args)
                return And(items) if op == "and" else Or(items)
            case "not", [item]:
                return Not(self.node(item, depth + 1))
            case "isNull", [item]:
                return IsNull(self.property(item))
            case "between", [item, low, high]:
                return Between(self.property(item), self.literal(low), self.literal(high))
            case "in", [item, values]:
                items_of = values.items("values", LIMITS.filter_nodes)
                if not items_of:
                    raise values.error("an empty list matches nothing")
                return In(self.property(item), tuple(self.literal(value) for value in items_of))
            case _, [left, right] if op in list(Comparator):
                return Comparison(Comparator(op), self.operand(left), self.operand(right))
        raise at.error(f"no operator {op[:64]!r} of {len(args)} arguments")

    def operand(self, at: Cursor) -> Operand:
        if isinstance(at.value, dict) and "property" in at.value:
            return self.property(at)
        return self.literal(at)

    def property(self, at: Cursor) -> Property:
        self._one_more(at)
        found = at.fields("a property", ("property",))
        return Property(found["property"].match(_NAME, "the name of a property"))

    def literal(self, at: Cursor) -> Literal:
        self._one_more(at)
        if isinstance(at.value, bool):
            return Literal(at.value)
        if isinstance(at.value, str):
            return Literal(at.text("text"))
        found = at.fields("a literal", (), ("number", "timestamp"))
        if len(found) != 1:
            raise at.error("a literal is text, true, false, a number or a timestamp")
        if "number" in found:
            return Literal(Decimal(found["number"].match(_NUMBER, "an exact number")))
        instant = parse_instant(found["timestamp"].text("a timestamp"))
        if instant is None:
            raise found["timestamp"].error("not a timestamp in UTC")
        return Literal(datetime_of(instant))

    def _one_more(self, at: Cursor) -> None:
        self.count += 1
        if self.count > LIMITS.filter_nodes:
            raise at.error(f"more than {LIMITS.filter_nodes} nodes")


def read_text(at: Cursor) -> Expression:
    """The expression of CQL2 text, as the steward writes it."""
    text = at.text("a condition in CQL2 text")
    try:
        return parse(text)
    except CimfedError as error:
        raise _at(at, error) from None


def check_rows(node: Expression, collection: Collection, at: Cursor) -> None:
    """The condition against the vocabulary: properties exist, types agree, places stay out."""
    try:
        if any(isinstance(part, Box) for part in walk(node)):
            raise BadPolicy("the condition speaks of properties, not of places", remedy="Use area")
        check_filter(node, collection)
    except CimfedError as error:
        raise _at(at, error) from None


def _at(at: Cursor, error: CimfedError) -> BadPolicy:
    return at.error(f"rows: {error.message}" + (f" ({error.place})" if error.place else ""), error.remedy)


def conjuncts(node: Expression | None) -> frozenset[Expression]:
    """The predicates that must all be true where ``node`` must be: nested ANDs taken apart, none where None."""
    if node is None:
        return frozenset()
    found: set[Expression] = set()
    stack = [node]
    while stack:
        part = stack.pop()
        if isinstance(part, And):
            stack.extend(part.items)
        else:
            found.add(part)
    return frozenset(found)
