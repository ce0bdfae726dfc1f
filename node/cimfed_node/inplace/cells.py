"""What a column's value is to a mapping: whether it is there, its text, its number, and how ``ext`` keeps it.

The counterpart of ``ingest.values.to_text`` and ``number`` for PostgreSQL's types. A null is an attribute that is not
there. NaN, infinity and years before Christ are values that no property can hold: they stay in ``ext`` as text.
Of a ``json`` column what ``jsonb`` cannot hold (a lone surrogate, U+0000, a number without end) stays text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from cimfed_node.ingest.values import nfc
from cimfed_node.inplace.fragments import NULL, Sql, composed, joined, lit, name, not_blank, parsed_number, q, stripped
from cimfed_node.inplace.relation import Column, Kind

_SAFE = 2**53
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_UNHELD = r"\\u(0000|[dD][89a-fA-F])|[eE][+-]?[0-9]{4}|[0-9]{250}"
_ARGUMENTS = 40  # pairs in one call of jsonb_build_object, which takes 100 arguments


@dataclass(frozen=True)
class Cell:
    """Column number ``number`` of the statement: ``x`` is its value, ``t`` its text, ``n`` its number."""

    column: Column
    number: int

    @property
    def x(self) -> Sql:
        return name(f"x{self.number}")

    @property
    def t(self) -> Sql:
        return name(f"t{self.number}")

    @property
    def present(self) -> Sql:
        """There, and not blank."""
        return name(f"p{self.number}")

    def value(self) -> Sql:
        """The first layer: the value in a form that the others go on with."""
        raw = q("s.{}", name(self.column.name))
        match self.column.kind:
            case Kind.TEXT:
                return composed(q("{}::text", raw))
            case Kind.JSON:
                return self._document(raw)
            case Kind.NUMERIC:
                return q("{}::numeric", raw)
            case _:
                return raw

    def _document(self, raw: Sql) -> Sql:
        text = q("{}::text", raw) if self.column.document else q("to_json({})::text", raw)
        return q(
            "(SELECT CASE WHEN regexp_replace(d.j, {}, '', 'g') ~ {} THEN to_jsonb(d.j)"
            " ELSE NULLIF((CASE WHEN octet_length(d.j) = char_length(d.j) THEN d.j ELSE normalize(d.j, NFC) END)"
            "::jsonb, 'null'::jsonb) END FROM (SELECT {} AS j OFFSET 0) AS d)",
            lit(_PAIR),
            lit(_UNHELD),
            text,
        )

    def texts(self) -> dict[str, Sql]:
        """The second layer: ``t`` and ``p``."""
        x = self.x
        present: Sql = q("{} IS NOT NULL", x)
        match self.column.kind:
            case Kind.TEXT:
                text = not_blank(x)
                present = q("{} <> ''", stripped(x))
            case Kind.BOOLEAN | Kind.INTEGER:
                text = q("{}::text", x)
            case Kind.NUMERIC:
                text = q("CASE WHEN {} THEN trim_scale({})::text END", self._finite(), x)
            case Kind.FLOAT:
                text = q(
                    "CASE WHEN NOT {} THEN NULL WHEN {} = trunc({}) AND abs({}) < {} THEN {}::bigint::text"
                    " ELSE {}::text END",
                    *(self._finite(), x, x, x, lit(_SAFE), x, x),
                )
            case Kind.DATE | Kind.TIMESTAMP:
                text = q("CASE WHEN isfinite({0}) THEN to_jsonb({0}) #>> '{{}}' END", x)
            case Kind.TIMESTAMPTZ:
                text = q("CASE WHEN isfinite({0}) THEN (to_jsonb({0} AT TIME ZONE 'UTC') #>> '{{}}') || 'Z' END", x)
            case Kind.JSON:
                one = self._one()
                text = q(
                    "CASE jsonb_typeof({0}) WHEN 'string' THEN {1} WHEN 'boolean' THEN {0} #>> '{{}}'"
                    " WHEN 'number' THEN trim_scale(({0} #>> '{{}}')::numeric)::text END",
                    one,
                    not_blank(q("({} #>> '{{}}')", one)),
                )
                present = q(
                    "CASE jsonb_typeof({0}) WHEN 'string' THEN {1} IS NOT NULL WHEN 'null' THEN false"
                    " ELSE {0} IS NOT NULL END",
                    one,
                    not_blank(q("({} #>> '{{}}')", one)),
                )
            case Kind.BINARY:
                text, present = NULL, q("false")
        return {f"t{self.number}": q("({})::text", text), f"p{self.number}": q("COALESCE({}, false)", present)}

    def _one(self) -> Sql:
        """A list of one item stands for the item."""
        return q(
            "(CASE WHEN jsonb_typeof({0}) <> 'array' THEN {0} WHEN jsonb_array_length({0}) = 1 THEN {0} -> 0"
            " ELSE {0} END)",
            self.x,
        )

    def _finite(self) -> Sql:
        return q("({0} > '-Infinity' AND {0} < 'Infinity')", self.x)

    def as_number(self, *, comma: bool = False, unit: str = "") -> Sql:
        """The value as numeric; null where it is none."""
        if self.column.kind is Kind.NUMERIC:
            return q("CASE WHEN {} THEN {} END", self._finite(), self.x)
        if self.column.kind is Kind.INTEGER:
            return q("{}::numeric", self.x)
        if self.column.kind is Kind.FLOAT:
            return q("CASE WHEN {} THEN {}::text::numeric END", self._finite(), self.x)
        if self.column.kind is Kind.JSON:
            return q(
                "CASE WHEN jsonb_typeof({0}) = 'number' THEN ({0} #>> '{{}}')::numeric ELSE {1} END",
                self._one(),
                parsed_number(self.t, comma=comma, unit=unit),
            )
        return parsed_number(self.t, comma=comma, unit=unit)

    def kept(self) -> Sql:
        """The value as ``ext`` holds it: null where there is none."""
        x = self.x
        match self.column.kind:
            case Kind.JSON:
                return x
            case Kind.INTEGER:
                return q(
                    "CASE WHEN abs({0}::numeric) < {1} THEN to_jsonb({0}) ELSE to_jsonb({0}::text) END", x, lit(_SAFE)
                )
            case Kind.NUMERIC:
                return q(
                    "CASE WHEN NOT {0} OR ({1} = trunc({1}) AND abs({1}) >= {2}) THEN to_jsonb({1}::text)"
                    " ELSE to_jsonb(trim_scale({1})) END",
                    *(self._finite(), x, lit(_SAFE)),
                )
            case Kind.DATE | Kind.TIMESTAMP | Kind.TIMESTAMPTZ:
                zone = q("{} AT TIME ZONE 'UTC'", x) if self.column.kind is Kind.TIMESTAMPTZ else x
                mark = lit("Z" if self.column.kind is Kind.TIMESTAMPTZ else "")
                return q(
                    "CASE WHEN isfinite({0}) THEN to_jsonb((to_jsonb({1}) #>> '{{}}') || {2}) ELSE to_jsonb({0}) END",
                    *(x, zone, mark),
                )
            case _:
                return q("to_jsonb({})", x)


def document(entries: Iterable[tuple[Cell, Sql]]) -> Sql:
    """``ext``: a JSON object of (cell, condition) pairs, null where it is empty."""
    plain: dict[str, Sql] = {}
    nested: list[Sql] = []
    for cell, condition in entries:
        key = nfc(cell.column.name)
        kept = q("CASE WHEN {} THEN {} END", condition, cell.kept())
        if cell.column.kind is Kind.JSON:
            nested.append(
                q("CASE WHEN {0} AND {1} IS NOT NULL THEN jsonb_build_object({2}, {1}) ELSE '{{}}'::jsonb END",
                  condition, cell.x, lit(key))
            )  # fmt: skip
        else:
            plain[key] = q("{}::text, {}", lit(key), kept)
    pairs = list(plain.values())
    parts: list[Sql] = [
        q("jsonb_strip_nulls(jsonb_build_object({}))", joined(pairs[start : start + _ARGUMENTS]))
        for start in range(0, len(pairs), _ARGUMENTS)
    ]
    parts += nested
    if not parts:
        return sql.SQL("NULL::text")
    return q("NULLIF({}, '{{}}'::jsonb)::text", joined(parts, " || "))
