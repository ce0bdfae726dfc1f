"""Expression tree -> CQL2 text, for receipts and logs; ``parse`` of it gives the same tree.

Literals stand as they are, line ends of a text included: who prints it to a terminal or a log escapes it. The tree
is one that ``cimfed.query.check`` passes.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

from cimfed.query.cql2.lexer import WORDS
from cimfed.query.expression import (
    And,
    Between,
    Box,
    Comparison,
    Expression,
    In,
    IsNull,
    Literal,
    Not,
    Operand,
    Or,
)

_BARE = re.compile("[A-Za-z][A-Za-z0-9_]*")  # readers differ over other names without double quotes


def to_cql2(tree: Expression) -> str:
    match tree:
        case And(items):
            return " AND ".join(_part(item, And, Or) for item in items)
        case Or(items):
            return " OR ".join(_part(item, Or) for item in items)
        case Not(In() | Between() | IsNull() as item):
            return _listed(item, "NOT ")
        case Not(item):
            return f"NOT {_part(item, And, Or, Not)}"
        case Comparison(op, left, right):
            return f"{_operand(left)} {op} {_operand(right)}"
        case Box(xmin, ymin, xmax, ymax):
            return f"S_INTERSECTS(geometry, BBOX({xmin!r}, {ymin!r}, {xmax!r}, {ymax!r}))"
        case _:
            return _listed(tree)


def _part(tree: Expression, *bracketed: type[Expression]) -> str:
    text = to_cql2(tree)
    return f"({text})" if isinstance(tree, bracketed) else text


def _listed(tree: In | Between | IsNull, negation: str = "") -> str:
    name = _operand(tree.item)
    match tree:
        case In(_, values):
            return f"{name} {negation}IN ({', '.join(map(_operand, values))})"
        case Between(_, low, high):
            return f"{name} {negation}BETWEEN {_operand(low)} AND {_operand(high)}"
        case IsNull():
            return f"{name} IS {negation}NULL"


def _operand(operand: Operand) -> str:
    if not isinstance(operand, Literal):
        bare = _BARE.fullmatch(operand.name) and operand.name.lower() not in WORDS
        return operand.name if bare else '"{}"'.format(operand.name.replace('"', '""'))
    match operand.value:
        case bool(value):
            return str(value).upper()
        case str(value):
            return "'{}'".format(value.replace("'", "''"))
        case datetime() as value:
            return f"TIMESTAMP('{value.replace(tzinfo=None).isoformat()}Z')"
        case Decimal() as value:
            return f"{value:f}"
