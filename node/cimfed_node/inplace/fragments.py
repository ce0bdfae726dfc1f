"""Pieces of SQL that the statements of this room are made of. Values and names come in by psycopg's composition only.

Expressions never raise, whatever a value is: every cast stands in a CASE behind the test that lets it pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import sql

Sql = sql.Composable

WHITESPACE = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
"""What Python strips; PostgreSQL's own idea of white space goes with the collation."""

BLANKS: Sql = sql.SQL("E'" + "".join(f"\\u{ord(character):04x}" for character in WHITESPACE) + "'")
NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
YEAR = r"^(-?[0-9]{4})(-[0-9]{2}(-[0-9]{2}([T ][^\n]*)?)?)?$"
NULL = sql.SQL("NULL")
TRUE, FALSE = sql.SQL("true"), sql.SQL("false")


def q(template: str, *parts: Sql, **named: Sql) -> sql.Composed:
    return sql.SQL(template).format(*parts, **named)


def lit(value: Any) -> sql.Literal:
    return sql.Literal(value)


def name(*parts: str) -> sql.Identifier:
    return sql.Identifier(*parts)


def joined(parts: Iterable[Sql], between: str = ", ") -> sql.Composed:
    return sql.SQL(between).join(parts)


def coalesced(parts: Sequence[Sql], kind: str) -> Sql:
    """The first that is not null; a null of the type where there is none."""
    if not parts:
        return q("NULL::" + kind)
    return parts[0] if len(parts) == 1 else q("COALESCE({})", joined(parts))


def any_of(parts: Sequence[Sql]) -> Sql:
    return q("({})", joined(parts, " OR ")) if parts else FALSE


def all_of(parts: Sequence[Sql]) -> Sql:
    return q("({})", joined(parts, " AND ")) if parts else TRUE


def nest(source: Sql, *layers: Mapping[str, Sql]) -> Sql:
    """A subselect that adds columns layer by layer, each made of those below it and worked out once.

    ``OFFSET 0`` keeps the planner from folding the layers into one expression that repeats the lower ones; columns that
    nobody asks for are left out by it all the same.
    """
    inner = source
    for number, layer in enumerate(layers):
        columns = [q("{} AS {}", expression, name(column)) for column, expression in layer.items()]
        if number:
            columns = [q("s.*"), *columns]
        inner = q("(SELECT {} FROM {} AS s OFFSET 0)", joined(columns), inner)
    return inner


def stripped(text: Sql) -> Sql:
    return q("btrim({}, {})", text, BLANKS)


def composed(text: Sql) -> Sql:
    """Unicode's normal form C; text of ASCII, which is most, has it already."""
    return q("CASE WHEN octet_length({0}) = char_length({0}) THEN {0} ELSE normalize({0}, NFC) END", text)


def not_blank(text: Sql) -> Sql:
    return q("CASE WHEN {} <> '' THEN {} END", stripped(text), text)


def parsed_number(text: Sql, *, comma: bool = False, unit: str = "") -> Sql:
    """Text as numeric; null where it is no number."""
    plain = stripped(text)
    if unit:
        plain = q(
            "CASE WHEN right({0}, {2}) = {1} THEN rtrim(left({0}, -{2}), {3}) ELSE {0} END",
            plain,
            lit(unit),
            lit(len(unit)),
            BLANKS,
        )
    if comma:
        plain = q("replace(translate({}, {}, ''), ',', '.')", plain, lit(" \u00a0"))
    return q(
        "(SELECT CASE WHEN char_length(n.s) <= 64 AND n.s ~ {} THEN n.s::numeric END"
        " FROM (SELECT {} AS s OFFSET 0) AS n)",
        lit(NUMBER),
        plain,
    )


def half_even(number: Sql, scale: int) -> Sql:
    """A numeric rounded half to even at a scale."""
    step = sql.SQL("1" if scale == 0 else "0." + "0" * (scale - 1) + "1")
    return q(
        "CASE WHEN mod(abs({0}), 2 * {1}) = 0.5 * {1} THEN trunc({0}, {2}) ELSE round({0}, {2}) END",
        number,
        step,
        lit(scale),
    )


def measured(value: Sql, scale: int) -> Sql:
    """A double that was measured as a decimal: noise below a millionth of the unit is taken off before the rounding."""
    unit = sql.SQL(str(10**scale))
    return q(
        "(SELECT ({} / {})::numeric(18, {}) FROM (SELECT round(({})::numeric * {}, 6) AS w OFFSET 0) AS n)",
        half_even(sql.SQL("n.w"), 0),
        unit,
        lit(scale),
        value,
        unit,
    )
