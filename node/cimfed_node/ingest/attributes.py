"""Attributes of objects to values of properties, by a mapping.

``AttributeReader.read`` runs once per object. What a column means is found out once per column, not once per object.
Counts for the report are kept on the way; numbers of distinct columns and codes are bounded.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from cimfed.model.vocabulary import Property, Type
from cimfed_node.ingest.canonical import canonical
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.mapping import Mapping as MappingDocument
from cimfed_node.ingest.mapping import Source, fold
from cimfed_node.ingest.values import MISFIT, OutOfRange, converter, number, plain, to_text

LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_SCALARS = {str, int, float, bool}
_SILENT = object()  # a code that is known and says nothing

Convert = Callable[[Any, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class _Claim:
    """A property's (and for names a language's) right to a column; the lowest rank that gives a value wins."""

    prop: str
    rank: int
    convert: Convert
    language: str | None = None
    alone: bool = True  # no other attribute is looked at
    key: str = ""  # property and language

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.prop} {self.language or ''}")


@dataclass(slots=True)
class Values:
    """What one object's attributes come to: values by property (decimals as scaled integers), and the rest."""

    values: dict[str, Any]
    ext: str | None


class AttributeReader:
    """A mapping at work on one import. Columns in ``skip`` were read elsewhere (id, coordinates): they are not repeated
    in ``ext``, but may still be claimed. ``local``: what times without an offset are."""

    def __init__(self, mapping: MappingDocument, local: Callable[[datetime], int] | None = None) -> None:
        self._local = local
        self._claims: dict[str, tuple[_Claim, ...]] = {}
        self._patterns: list[tuple[str, str, int]] = []
        self._constants: dict[str, Any] = {}
        self.skip: set[str] = set()
        self.matched: Counter[tuple[str, str]] = Counter()
        self.unclaimed: Counter[str] = Counter()
        self.unmapped: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.codes: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        claims: defaultdict[str, list[_Claim]] = defaultdict(list)
        for name, rule in mapping.rules.items():
            if rule.constant is not None:
                self._constants[name] = _constant(rule.prop, rule.constant)
            for rank, source in enumerate(rule.sources):
                convert = self._conversion(rule.prop, source)
                claims[source.column].append(_Claim(name, rank, convert, alone=source.minus is None))
            for rank, (language, column) in enumerate(rule.languages):
                if language == "*":
                    self._patterns.append((name, column[:-1], rank))
                else:
                    claims[column].append(_Claim(name, rank, _name, language))
        self._known = {column: tuple(found) for column, found in claims.items()}

    def _conversion(self, prop: Property, source: Source) -> Convert:
        if prop.type is Type.CODE:
            return self._code(prop, source)
        convert = converter(prop, factor=source.factor, comma=source.comma, year=source.year, local=self._local)
        if source.minus is None:
            return lambda raw, _: convert(raw)
        minus, comma = source.minus, source.comma

        def difference(raw: Any, attributes: Mapping[str, Any]) -> Any:
            value = number(raw, comma=comma)
            if not isinstance(value, Decimal):
                return value
            less = number(attributes.get(minus), comma=comma)
            if less is MISFIT:
                return MISFIT  # a level that is no number: the whole value would be far too much
            return convert(str(value - less) if isinstance(less, Decimal) else str(value))

        return difference

    def _code(self, prop: Property, source: Source) -> Convert:
        table = source.codes or {}
        seen = self.codes[prop.name, source.column]
        memo: dict[str, Any] = {}
        miss = MISFIT if source.otherwise is None else source.otherwise

        def convert(raw: Any, _: Mapping[str, Any]) -> Any:
            text = raw if type(raw) is str else to_text(plain(raw))
            if text is None or text is MISFIT:
                return text
            try:
                return memo[text]
            except KeyError:
                pass
            folded = fold(text)
            found = table.get(folded, miss) if folded else None
            value = _SILENT if found is None and folded else found
            if len(memo) < 10 * LIMITS.codes:
                memo[text] = value
            if folded in table and len(seen) < LIMITS.codes:
                seen.add(folded)
            return value

        return convert

    def _claim(self, column: str) -> tuple[_Claim, ...]:
        """What a column that is met for the first time means."""
        if len(self._claims) >= LIMITS.columns:
            raise OutOfRange(f"more than {LIMITS.columns:,} different attributes in one import")
        claims = list(self._known.get(column, ()))
        for name, prefix, rank in self._patterns:
            language = column[len(prefix) :]
            if not claims and column.startswith(prefix) and LANGUAGE.fullmatch(language):
                claims.append(_Claim(name, rank, _name, language))
        self._claims[column] = tuple(claims)
        return self._claims[column]

    def read(self, attributes: Mapping[str, Any]) -> Values:
        """Raises OutOfRange where a number does not fit its property."""
        values: dict[str, Any] = dict(self._constants)
        holders: dict[str, tuple[_Claim, str, Any]] = {}
        rest: dict[str, Any] = {}
        for column, raw in attributes.items():
            claims = self._claims.get(column)
            if claims is None:
                claims = self._claim(column)
            if not claims and column not in self.skip:
                rest[column] = raw
                self.unclaimed[column] += 1
            for claim in claims:
                try:
                    value = claim.convert(raw, attributes)
                except OutOfRange as error:
                    raise OutOfRange(f"{column} for {claim.prop}: {error}") from None
                if value is None:
                    continue
                if value is MISFIT:
                    rest[column] = raw
                    self._miss(claim.prop, column, raw)
                elif value is _SILENT:
                    rest[column] = raw
                else:
                    held = holders.get(claim.key)
                    if held is None:
                        holders[claim.key] = claim, column, value
                    elif claim.rank < held[0].rank:
                        rest[held[1]] = attributes[held[1]]
                        holders[claim.key] = claim, column, value
                    else:
                        rest[column] = raw
        for claim, column, value in holders.values():
            if rest:
                rest.pop(column, None)
            self.matched[claim.prop, column] += 1
            if claim.language is None:
                values[claim.prop] = value
            else:
                values.setdefault(claim.prop, {})[claim.language] = value
        for column in self.skip if rest else ():
            rest.pop(column, None)
        return Values(values, canonical(rest) if rest else None)

    def read_columns(self, names: Sequence[str], columns: Sequence[list[Any]], rows: int) -> list[Values | OutOfRange]:
        """What ``read`` gives for each of many objects whose attributes come as columns, None where one has none. An
        error stands in place of what cannot be held."""
        errors: dict[int, OutOfRange] = {}
        entries: defaultdict[str, list[tuple[int, int, _Claim, list[Any]]]] = defaultdict(list)
        free: list[int] = []  # columns that nobody claims
        for at, (column, raws) in enumerate(zip(names, columns, strict=True)):
            try:
                claims = self._claims[column] if column in self._claims else self._claim(column)
            except OutOfRange as error:
                errors |= {row: errors.get(row, error) for row, raw in enumerate(raws) if raw is not None}
                continue
            for claim in claims:
                found = self._converted(claim, names, columns, at, errors)
                entries[claim.key].append((claim.rank, at, claim, found))
            if not claims and column not in self.skip:
                free.append(at)
        values: list[dict[str, Any]] = [dict(self._constants) for _ in range(rows)]
        lost: defaultdict[int, set[int]] = defaultdict(set)  # column -> rows whose value no claim took
        won: defaultdict[int, set[int]] = defaultdict(set)
        for claimed in entries.values():
            self._award(sorted(claimed, key=lambda entry: entry[:2]), names, columns, values, errors, lost, won)
        rest: list[dict[str, Any]] = [{} for _ in range(rows)]
        for at in free:
            column, count = names[at], 0
            for row, raw in enumerate(columns[at]):
                if raw is not None and row not in errors:
                    rest[row][column] = raw
                    count += 1
            if count:
                self.unclaimed[column] += count
        for at, losers in lost.items():
            if names[at] not in self.skip:
                for row in losers - won[at]:
                    rest[row][names[at]] = columns[at][row]
        return [errors[row] if row in errors else _values(values[row], rest[row]) for row in range(rows)]

    @staticmethod
    def _converted(
        claim: _Claim, names: Sequence[str], columns: Sequence[list[Any]], at: int, errors: dict[int, OutOfRange]
    ) -> list[Any]:
        """A column's values by a claim, each distinct one converted once; those of rows with an error are None."""
        raws, convert = columns[at], claim.convert

        def one(raw: Any, attributes: Mapping[str, Any]) -> Any:
            try:
                return convert(raw, attributes)
            except OutOfRange as error:
                return OutOfRange(f"{names[at]} for {claim.prop}: {error}")

        kinds = set(map(type, raws)) - {type(None)}
        if not claim.alone:
            rows = range(len(raws))
            found = [
                None if raws[row] is None else one(raws[row], {n: c[row] for n, c in zip(names, columns, strict=True)})
                for row in rows
            ]
        elif len(kinds) == 1 and kinds <= _SCALARS:  # else 1, 1.0 and true would be one key
            known = {raw: one(raw, {}) for raw in set(raws) - {None}}
            known[None] = None
            found = [known[raw] for raw in raws]
        else:
            found = [None if raw is None else one(raw, {}) for raw in raws]
        for row, value in enumerate(found):
            if type(value) is OutOfRange:
                errors.setdefault(row, value)
        return found

    def _award(
        self,
        claimed: list[tuple[int, int, _Claim, list[Any]]],
        names: Sequence[str],
        columns: Sequence[list[Any]],
        values: list[dict[str, Any]],
        errors: Mapping[int, OutOfRange],
        lost: Mapping[int, set[int]],
        won: Mapping[int, set[int]],
    ) -> None:
        """Give one property (or name in a language) its values: of several columns the first in order that has one."""
        held: set[int] = set()
        for _, at, claim, found in claimed:
            prop, language, several = claim.prop, claim.language, len(claimed) > 1
            taken, losers = won[at], lost[at]
            count = 0
            for row, value in enumerate(found):
                if value is None or row in errors:
                    continue
                if value is MISFIT:
                    losers.add(row)
                    self._miss(prop, names[at], columns[at][row])
                elif value is _SILENT or (several and row in held):
                    losers.add(row)
                else:
                    if several:
                        held.add(row)
                    taken.add(row)
                    if language is None:
                        values[row][prop] = value
                    else:
                        values[row].setdefault(prop, {})[language] = value
                    count += 1
            if count:
                self.matched[prop, names[at]] += count

    @property
    def active(self) -> set[str]:
        """Properties that any object had a value for so far."""
        return {prop for prop, _ in self.matched} | self._constants.keys()

    def _miss(self, prop: str, column: str, raw: Any) -> None:
        counts = self.unmapped[prop, column]
        text = str(raw)[:64]
        if text in counts or len(counts) < LIMITS.codes:
            counts[text] += 1
        else:
            counts["(others)"] += 1


def _values(values: dict[str, Any], rest: dict[str, Any]) -> Values | OutOfRange:
    try:
        return Values(values, canonical(rest) if rest else None)
    except OutOfRange as error:
        return error


def _name(raw: Any, _: Mapping[str, Any]) -> Any:
    return to_text(raw)


def _constant(prop: Property, text: str) -> Any:
    if prop.type is Type.CODE:
        return text
    return converter(prop, factor=None, comma=False, year=False)(text)
