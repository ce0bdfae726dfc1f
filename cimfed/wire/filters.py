"""Filter expressions as protobuf messages and back.

Decoding is strict and bounded: it counts as it goes, stops at the limits of depth and nodes before going further
down, and refuses unset oneofs, unspecified enum values, unknown fields and numbers that are not in their one form.
What needs the vocabulary is left to ``cimfed.query.check``.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from cimfed.errors import BadQuery, TooDeep, TooLarge
from cimfed.model.instants import datetime_of, instant_of
from cimfed.model.limits import LIMITS
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
)
from cimfed.query.literals import MAX_SCALE, number, unscaled
from cimfed.v1 import query_pb2

WHERE = "where"
_T = TypeVar("_T")
_COMPARATORS = {op: getattr(query_pb2, f"COMPARATOR_{op.name}") for op in Comparator}
_COMPARATOR_OF = {number: op for op, number in _COMPARATORS.items()}


def known(message: Message, place: str) -> None:
    """Refuses fields of a newer release: what is not understood must not be passed over."""
    if len(UnknownFieldSet(message)):
        raise BadQuery(
            f"{message.DESCRIPTOR.name} has fields that this release does not know",
            place=place,
            remedy="Ask for what this release has, or have it upgraded",
        )


def of_enum(values: dict[int, _T], value: int, what: str, place: str) -> _T:
    try:
        return values[value]
    except KeyError:
        raise BadQuery(f"{what} is unspecified or unknown", place=place) from None


def encode_filter(node: Expression) -> query_pb2.Expression:
    match node:
        case Comparison(op, left, right):
            compared = query_pb2.Comparison(op=_COMPARATORS[op], left=_operand(left), right=_operand(right))
            return query_pb2.Expression(comparison=compared)
        case In(item, values):
            message = query_pb2.Expression()
            listed = getattr(message, "in")  # a word of Python's
            listed.property = item.name
            listed.values.extend(_literal(value) for value in values)
            return message
        case Between(item, low, high):
            between = query_pb2.Between(property=item.name, low=_literal(low), high=_literal(high))
            return query_pb2.Expression(between=between)
        case IsNull(item):
            return query_pb2.Expression(is_null=query_pb2.IsNull(property=item.name))
        case Box(xmin, ymin, xmax, ymax):
            return query_pb2.Expression(box=query_pb2.Box(xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax))
        case Not(item):
            return query_pb2.Expression(connective=query_pb2.CONNECTIVE_NOT, parts=[encode_filter(item)])
        case And(items) | Or(items):
            joined = query_pb2.CONNECTIVE_AND if isinstance(node, And) else query_pb2.CONNECTIVE_OR
            return query_pb2.Expression(connective=joined, parts=map(encode_filter, items))


def _operand(operand: Operand) -> query_pb2.Operand:
    if isinstance(operand, Property):
        return query_pb2.Operand(property=operand.name)
    return query_pb2.Operand(literal=_literal(operand))


def _literal(literal: Literal) -> query_pb2.Literal:
    match literal.value:
        case bool(value):
            return query_pb2.Literal(boolean=value)
        case str(value):
            return query_pb2.Literal(text=value)
        case datetime() as value:
            return query_pb2.Literal(time=instant_of(value))
        case Decimal() as value:
            digits, scale = unscaled(value)
            return query_pb2.Literal(decimal=query_pb2.Decimal(unscaled=digits, scale=scale))


def decode_filter(message: query_pb2.Expression) -> Expression:
    return _Decoder().node(message, 1)


class _Decoder:
    def __init__(self) -> None:
        self._nodes = 0

    def node(self, message: query_pb2.Expression, depth: int) -> Expression:
        if depth > LIMITS.filter_depth:
            raise TooDeep(f"the filter is more than {LIMITS.filter_depth} deep", place=WHERE)
        self._count()
        known(message, WHERE)
        kind = message.WhichOneof("node")
        if kind == "connective":
            return self._joined(message, depth)
        if message.parts:
            raise BadQuery("only AND, OR and NOT have parts", place=WHERE)
        match kind:
            case "comparison":
                return self._comparison(message.comparison)
            case "in":
                return self._in(getattr(message, "in"))
            case "between":
                known(message.between, WHERE)
                item = self._property(message.between.property)
                return Between(item, self._literal(message.between.low), self._literal(message.between.high))
            case "is_null":
                known(message.is_null, WHERE)
                return IsNull(self._property(message.is_null.property))
            case "box":
                known(message.box, WHERE)
                return Box(message.box.xmin, message.box.ymin, message.box.xmax, message.box.ymax)
            case _:
                raise BadQuery("an expression is empty", place=WHERE)

    def _joined(self, message: query_pb2.Expression, depth: int) -> Expression:
        parts = tuple(self.node(part, depth + 1) for part in message.parts)
        match message.connective, parts:
            case query_pb2.CONNECTIVE_NOT, (part,):
                return Not(part)
            case query_pb2.CONNECTIVE_AND, (_, _, *_):
                return And(parts)
            case query_pb2.CONNECTIVE_OR, (_, _, *_):
                return Or(parts)
        raise BadQuery("NOT has one part, AND and OR have two or more", place=WHERE)

    def _comparison(self, message: query_pb2.Comparison) -> Comparison:
        known(message, WHERE)
        op = of_enum(_COMPARATOR_OF, message.op, "a comparator", WHERE)
        return Comparison(op, self._operand(message.left), self._operand(message.right))

    def _in(self, message: query_pb2.In) -> In:
        known(message, WHERE)
        item = self._property(message.property)
        if not message.values:
            raise BadQuery("the list of IN is empty", place=WHERE)
        return In(item, tuple(map(self._literal, message.values)))

    def _operand(self, message: query_pb2.Operand) -> Operand:
        known(message, WHERE)
        match message.WhichOneof("operand"):
            case "property":
                return self._property(message.property)
            case "literal":
                return self._literal(message.literal)
            case _:
                raise BadQuery("an operand is empty", place=WHERE)

    def _property(self, name: str) -> Property:
        self._count()
        if not name:
            raise BadQuery("a property has no name", place=WHERE)
        return Property(name)

    def _literal(self, message: query_pb2.Literal) -> Literal:
        self._count()
        known(message, WHERE)
        match message.WhichOneof("value"):
            case "text":
                return Literal(message.text)
            case "boolean":
                return Literal(message.boolean)
            case "time":
                try:
                    return Literal(datetime_of(message.time))
                except OverflowError:
                    raise BadQuery("a time is out of range", place=WHERE, remedy="Years go from 1 to 9999") from None
            case "decimal":
                known(message.decimal, WHERE)
                return Literal(_decimal(message.decimal))
            case _:
                raise BadQuery("a literal is empty", place=WHERE)

    def _count(self) -> None:
        self._nodes += 1
        if self._nodes > LIMITS.filter_nodes:
            raise TooLarge(f"the filter has more than {LIMITS.filter_nodes} nodes", place=WHERE)


def _decimal(message: query_pb2.Decimal) -> Decimal:
    if message.scale > MAX_SCALE or (message.scale and message.unscaled % 10 == 0):
        raise BadQuery("a number is not in its shortest form, or has more than 9 decimals", place=WHERE)
    return number(message.unscaled, message.scale)
