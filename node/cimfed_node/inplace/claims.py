"""A mapping's rules on the columns of a relation: what each property's value is, which column gave it, which did not.

The counterpart of ``ingest.attributes``. A claim is a property's (for names, a language's) right to a column; the
lowest rank that gives a value wins. A column of which no claim wins stays in ``ext``. Codes are looked up by their
exact texts, which ``codes`` found in the relation: what "the same code" means is decided by one piece of code for both
ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from cimfed.model.vocabulary import Property, Type
from cimfed_node.ingest.attributes import LANGUAGE
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.mapping import Mapping as MappingDocument
from cimfed_node.ingest.mapping import Source
from cimfed_node.ingest.values import converter
from cimfed_node.inplace.cells import Cell
from cimfed_node.inplace.fragments import (
    YEAR,
    Sql,
    all_of,
    any_of,
    coalesced,
    half_even,
    lit,
    name,
    q,
    stripped,
)
from cimfed_node.inplace.relation import Kind
from cimfed_node.inplace.times import instant, parts

Codes = Mapping[tuple[str, str], Mapping[str, str | None]]
"""(property, column) -> exact text -> code, None for one that says nothing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Claim:
    """``m``: an intermediate; ``v``: the value; ``b``: why the row is bad."""

    number: int
    prop: Property
    cell: Cell
    rank: int
    source: Source | None = None  # None: a name
    language: str | None = None
    minus: Cell | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.prop.name, self.language or ""

    @property
    def v(self) -> Sql:
        return name(f"v{self.number}")

    @property
    def m(self) -> Sql:
        return name(f"m{self.number}")

    @property
    def silent(self) -> Sql:
        return name(f"k{self.number}")

    @property
    def missed(self) -> Sql:
        return name(f"f{self.number}")

    @property
    def won(self) -> Sql:
        return name(f"w{self.number}")

    def intermediate(self) -> Sql | None:
        source, cell = self.source, self.cell
        if source is None or self.prop.type in (Type.TEXT, Type.CODE):
            return None
        if self.prop.type is Type.TIME:
            return None if cell.column.kind in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ) else parts(cell.t)
        if source.year:
            later = q("{} !~ ' BC$'", cell.t) if cell.column.kind in (Kind.DATE, Kind.TIMESTAMP) else q("true")
            return q("CASE WHEN {0} ~ {1} AND {2} THEN {0} END", stripped(cell.t), lit(YEAR), later)
        unit = self.prop.unit if self.prop.unit == "m" and self.prop.type is Type.DECIMAL else ""
        if self.minus is not None:
            number: Sql = q(
                "({} - CASE WHEN {} THEN {} ELSE 0 END)",
                cell.as_number(comma=source.comma),
                self.minus.present,
                self.minus.as_number(comma=source.comma),
            )
        else:
            number = cell.as_number(comma=source.comma, unit=unit)
        return number if source.factor is None else q("({} * {}::numeric)", number, lit(str(source.factor)))

    def value(self, codes: Codes) -> tuple[Sql, Sql, Sql]:
        """Value, whether it is a known code that says nothing, and why the row is bad (or null)."""
        silent: Sql = q("false")
        bad: Sql = q("NULL::text")
        match self.prop.type:
            case Type.TEXT | Type.NAMES:
                value = self.cell.t
                bad = self._bad(
                    q("char_length({}) > {}", self.cell.t, lit(LIMITS.text)),
                    f"a text of more than {LIMITS.text:,} characters",
                )
            case Type.CODE:
                value, silent = self._code(codes)
            case Type.TIME:
                value = instant(self.cell.column.kind, self.cell.x, self.m)
            case Type.INTEGER if self.source is not None and self.source.year:
                value = q("substring({} FROM '^-?[0-9]{{4}}')::bigint", self.m)
            case Type.INTEGER:
                value = q("CASE WHEN {0} = trunc({0}) AND abs({0}) < {1} THEN {0}::bigint END", self.m, lit(2**63))
                bad = self._bad(q("abs({}) >= {}", self.m, lit(2**63)), "too large for 64 bits")
            case _:
                scale = self.prop.scale
                top = lit(10 ** (18 - scale))
                rounded = half_even(self.m, scale)
                value = q(
                    "CASE WHEN abs({0}) < {1} THEN CASE WHEN abs({2}) < {1} THEN ({2})::numeric(18, {3}) END END",
                    *(self.m, top, rounded, lit(scale)),
                )
                bad = self._bad(
                    q("abs({}) >= {} OR abs({}) >= {}", self.m, top, rounded, top),
                    f"too large for DECIMAL(18, {scale})",
                )
        return value, silent, bad

    def _bad(self, condition: Sql, why: str) -> Sql:
        return q(
            "CASE WHEN {} THEN {}::text END", condition, lit(f"{self.cell.column.name} for {self.prop.name}: {why}")
        )

    def _code(self, codes: Codes) -> tuple[Sql, Sql]:
        assert self.source is not None
        known = codes.get((self.prop.name, self.cell.column.name), {})
        table = q("{}::jsonb", lit(orjson.dumps(dict(known)).decode()))
        found = q("({} ->> {})", table, self.cell.t)
        silent = q("COALESCE(jsonb_exists({0}, {1}) AND {2} IS NULL, false)", table, self.cell.t, found)
        if self.source.otherwise is None:
            return found, silent
        return q(
            "CASE WHEN {0} IS NULL OR jsonb_exists({1}, {0}) THEN {2} ELSE {3} END",
            *(self.cell.t, table, found, lit(self.source.otherwise)),
        ), silent


def claims_of(mapping: MappingDocument, cells: Mapping[str, Cell]) -> list[Claim]:
    """The mapping's rules on the columns that the relation has."""
    claims: list[Claim] = []

    def add(prop: Property, column: str, rank: int, **more: Any) -> None:
        claims.append(Claim(len(claims), prop, cells[column], rank, **more))

    patterns: list[tuple[Property, str, int]] = []
    for rule in mapping.rules.values():
        for rank, source in enumerate(rule.sources):
            if source.column in cells:
                minus = cells.get(source.minus) if source.minus is not None else None
                add(rule.prop, source.column, rank, source=source, minus=minus)
        for rank, (language, column) in enumerate(rule.languages):
            if language == "*":
                patterns.append((rule.prop, column[:-1], rank))
            elif column in cells:
                add(rule.prop, column, rank, language=language)
    taken = {claim.cell.column.name for claim in claims}
    for column in cells:
        for prop, prefix, rank in patterns:
            language = column[len(prefix) :]
            if column not in taken and column.startswith(prefix) and LANGUAGE.fullmatch(language):
                add(prop, column, rank, language=language)
                taken.add(column)
    return claims


def by_key(claims: Iterable[Claim]) -> dict[tuple[str, str], list[Claim]]:
    """Claims of each property and language, the first in rank first."""
    groups: dict[tuple[str, str], list[Claim]] = {}
    for claim in sorted(claims, key=lambda claim: claim.rank):
        groups.setdefault(claim.key, []).append(claim)
    return groups


def layers(claims: list[Claim], codes: Codes) -> list[dict[str, Sql]]:
    """Intermediates; values; and which claims won or missed."""
    first = {f"m{c.number}": m for c in claims if (m := c.intermediate()) is not None}
    second: dict[str, Sql] = {}
    for claim in claims:
        value, silent, bad = claim.value(codes)
        second |= {f"v{claim.number}": value, f"k{claim.number}": silent, f"b{claim.number}": bad}
    third: dict[str, Sql] = {"attributes_bad": coalesced([name(f"b{c.number}") for c in claims], "text")}
    for group in by_key(claims).values():
        for place, claim in enumerate(group):
            before = [q("{} IS NULL", other.v) for other in group[:place]]
            third[f"w{claim.number}"] = all_of([q("{} IS NOT NULL", claim.v), *before])
            third[f"f{claim.number}"] = all_of(
                [claim.cell.present, q("{} IS NULL", claim.v), q("NOT {}", claim.silent),
                 q("{} IS NULL", name(f"b{claim.number}"))]
            )  # fmt: skip
    return [first, second, third] if first else [second, third]


def stays(cell: Cell, claims: list[Claim], skipped: bool) -> Sql:
    """Whether ``ext`` keeps a column's value."""
    own = [claim for claim in claims if claim.cell == cell]
    if skipped:
        return q("false")
    if not own:
        return q("true")
    return q("{} AND NOT {}", cell.present, any_of([claim.won for claim in own]))


def constant(prop: Property, text: str) -> Sql:
    """A constant of a mapping, which was checked when the mapping was read."""
    if prop.type is Type.CODE:
        return q("{}::text", lit(text))
    value = converter(prop, factor=None, comma=False, year=False)(text)
    match prop.type:
        case Type.DECIMAL:
            return q("{}::numeric(18, {})", lit(str(Decimal(value).scaleb(-prop.scale))), lit(prop.scale))
        case Type.TIME:
            return q("{}::timestamptz", lit((_EPOCH + timedelta(microseconds=value)).isoformat()))
        case Type.INTEGER:
            return q("{}::bigint", lit(value))
        case _:
            return q("{}::text", lit(value))
