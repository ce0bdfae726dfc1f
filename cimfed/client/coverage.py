"""Coverage as the caller sees it: every member, what came of it, and on whose word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from cimfed.client.columns import Said
from cimfed.errors import (
    BY_REASON,
    ChooseGrant,
    CimfedError,
    NodeUnreachable,
    NotEnough,
    NotGranted,
    UnknownProperty,
    from_reason,
)
from cimfed.model import answer as signed
from cimfed.model.answer import BY_CITY, Outcome
from cimfed.model.names import CityName
from cimfed.model.texts import plain
from cimfed.query.route import RuledOut

ENOUGH = frozenset({Outcome.ANSWERED, Outcome.NO_DATA})
"""Outcomes that count as an answer. RULED_OUT lacks nothing either, but nobody was asked."""

SIGNED = (NotGranted, ChooseGrant, UnknownProperty)
"""Refusals that come in a city's signed manifest and in no other way."""


class Word(StrEnum):
    """Whose word an outcome is."""

    CITY = "city"  # its signed manifest
    STEWARD = "steward"  # its signed routing entry, and the same arithmetic here
    GATEWAY = "gateway"  # nobody else's


@dataclass(frozen=True)
class CityCoverage:
    """One member's line. What the manifest says is empty where there is none; ``rows`` counts verified rows only.

    ``masks``: properties that the query names and the city has coarsened, and how. ``absent``: requested properties
    that it does not give. ``licence``, ``attribution``, ``vertical`` (the datum of heights): what it says of the data,
    signed with the rows; empty where it said nothing or sent none.
    """

    city: CityName
    outcome: Outcome
    word: Word
    rows: int = 0
    reason: str = ""
    message: str = ""
    grant: str = ""
    policy_version: int = 0
    snapshot: str = ""
    masks: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    licence: str = ""
    attribution: str = ""
    vertical: str = ""

    @property
    def asked(self) -> bool:
        """Whether the query is addressed to it; a member that it does not name is no part of the answer."""
        return not (self.outcome is Outcome.RULED_OUT and self.reason == RuledOut.NOT_ADDRESSED)

    @property
    def missing(self) -> bool:
        """Whether the answer may lack rows of this city."""
        return self.outcome not in ENOUGH and self.outcome is not Outcome.RULED_OUT

    @property
    def error(self) -> CimfedError:
        """What is missing, as the error of its reason.

        What a city denies it signs: on a gateway's word alone it is not denied, but unreachable.
        """
        if self.word is Word.CITY:
            return from_reason(self.reason, f"{self.city}: {self.message or self.outcome}")
        kind = BY_REASON.get(self.reason, NodeUnreachable)
        if issubclass(kind, SIGNED):
            kind = NodeUnreachable
        return kind(f"{self.city} is {self.outcome}, says the gateway: {self.message or self.reason}")


@dataclass(frozen=True)
class Coverage:
    """What came of every member. ``gateway`` is empty where a city was asked directly."""

    gateway: str
    directory_version: int
    cities: tuple[CityCoverage, ...]

    def __iter__(self) -> Iterator[CityCoverage]:
        return iter(self.cities)

    def __getitem__(self, city: str) -> CityCoverage:
        for line in self.cities:
            if line.city == city:
                return line
        raise KeyError(city)

    @property
    def complete(self) -> bool:
        """Whether no city that may have had rows is missing."""
        return not self.missing

    @property
    def answered(self) -> tuple[CityCoverage, ...]:
        return tuple(line for line in self.cities if line.outcome in ENOUGH)

    @property
    def missing(self) -> tuple[CityCoverage, ...]:
        return tuple(line for line in self.cities if line.missing)

    @property
    def rows(self) -> int:
        return sum(line.rows for line in self.cities)

    def require(self, enough: str | int) -> None:
        """NotEnough unless so many cities answered: ``all``, ``any`` or a number.

        ``all``: every city that may have rows; ``any``: one, or none where routing shows that no city has rows; a
        refusal or a gateway's word is no answer. Where nobody answered and all for one reason, that reason's error.
        """
        count = len(self.answered)
        if enough == "all":
            satisfied = self.complete
        elif enough == "any":
            satisfied = count > 0 or self.complete
        else:
            satisfied = count >= int(enough)
        if satisfied:
            return
        missing = self.missing
        if not count and missing and len({line.reason for line in missing}) == 1:
            error = missing[0].error
            if len({line.message for line in missing}) == 1:
                names = ", ".join(line.city for line in missing)
                error.message = error.message.replace(missing[0].city, names, 1)
            else:
                error.message = "; ".join(line.error.message for line in missing)
            raise error
        away = ", ".join(f"{line.city} ({line.reason or line.outcome})" for line in missing) or "none"
        raise NotEnough(f"{count} cities answered, {enough} required; missing: {away}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "gateway": self.gateway,
            "directory_version": self.directory_version,
            "complete": self.complete,
            "cities": [{**asdict(line), "masks": dict(line.masks)} for line in self.cities],
        }

    def table(self) -> str:
        """Plain text, one line for a member."""
        head = ("city", "outcome", "rows", "whose word", "grant", "policy", "reason")
        lines = [head, *(_cells(line) for line in self.cities if line.asked)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    __repr__ = table
    __str__ = table


def _cells(line: CityCoverage) -> tuple[str, ...]:
    return (
        line.city,
        str(line.outcome),
        str(line.rows) if line.outcome in BY_CITY else "",
        str(line.word),
        plain(line.grant),
        str(line.policy_version or ""),
        plain(": ".join(part for part in (line.reason, line.message) if part)),
    )


def of_outcomes(
    coverage: signed.Coverage | None,
    directory_version: int,
    manifests: Mapping[CityName, signed.Manifest],
    said: Mapping[CityName, Said],
) -> Coverage:
    """Of a verified answer. ``coverage`` is None where one city was asked directly."""
    by_city = {city: _of_manifest(manifest, said.get(city, Said())) for city, manifest in manifests.items()}
    if coverage is None:
        return Coverage("", directory_version, tuple(by_city[city] for city in sorted(by_city)))
    return Coverage(
        coverage.gateway,
        directory_version,
        tuple(
            by_city.get(line.city)
            or CityCoverage(
                line.city,
                line.outcome,
                Word.STEWARD if line.outcome is Outcome.RULED_OUT else Word.GATEWAY,
                reason=line.reason,
                message=line.message,
            )
            for line in sorted(coverage.cities, key=lambda line: line.city)
        ),
    )


def _of_manifest(manifest: signed.Manifest, said: Said) -> CityCoverage:
    """A city's own word. Rows of an answer that it broke off do not count."""
    return CityCoverage(
        city=manifest.city,
        outcome=manifest.outcome,
        word=Word.CITY,
        rows=manifest.rows if manifest.outcome is Outcome.ANSWERED else 0,
        reason=manifest.reason,
        message=manifest.message,
        grant=manifest.grant,
        policy_version=manifest.policy_version,
        snapshot=manifest.snapshot,
        masks=said.masks,
        absent=manifest.absent,
        obligations=manifest.obligations,
        licence=said.licence,
        attribution=said.attribution,
        vertical=said.vertical,
    )
