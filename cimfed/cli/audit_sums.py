"""What an auditor makes of entries: lines, sums by quarter, and what one key got. Pure; names and digests alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from cimfed.errors import BadConfig
from cimfed.model.instants import instant_of, instant_text, parse_instant
from cimfed.model.texts import plain
from cimfed.trust.tlog.checkpoint import Checkpoint, Origin
from cimfed.trust.tlog.entries import (
    Act,
    Admission,
    Decision,
    Entry,
    Other,
    Outcome,
    Passed,
    Publication,
    Restored,
    Returned,
)

_QUARTER = re.compile(r"([0-9]{4})Q([1-4])")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DIGITS = re.compile(r"[0-9a-f]{8,64}")


class By(StrEnum):
    COUNTRY = "country"
    ORGANISATION = "organisation"
    CITY = "city"
    PURPOSE = "purpose"


@dataclass(frozen=True)
class Line:
    """An entry and where it stands. ``log``: the origin, as text."""

    log: str
    index: int
    entry: Entry | Other

    @property
    def time(self) -> int:
        return self.entry.time if isinstance(self.entry, Entry) else 0


@dataclass(frozen=True)
class ReadLog:
    """Entries of one generation of a log from ``first`` on, whose tree has the root of ``checkpoint``.

    ``checkpoints``: how many agreed on the way. ``beyond``: entries after the last one, which nobody signed yet.
    """

    origin: Origin
    first: int
    entries: Sequence[Entry | Other]
    checkpoint: Checkpoint | None
    checkpoints: int
    cosigned: tuple[str, ...] = ()
    beyond: int = 0

    def lines(self) -> Iterator[Line]:
        for index, entry in enumerate(self.entries, self.first):
            yield Line(str(self.origin), index, entry)

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "log": str(self.origin),
            "entries": self.first + len(self.entries),
            "root": self.checkpoint.root.hex() if self.checkpoint else None,
            "signed": self.checkpoint.size if self.checkpoint else 0,
            "checkpoints": self.checkpoints,
            "cosigned": list(self.cosigned),
            "beyond": self.beyond,
        }


def facts(line: Line) -> dict[str, Any]:
    """For JSON; hashes and positions as hex digits, times as text. An entry that is not known: its type alone."""
    entry = line.entry
    found: dict[str, Any] = {"log": line.log, "index": line.index, "type": entry.type}
    if isinstance(entry, Other):
        return found
    for field in fields(entry):
        value = getattr(entry, field.name)
        match value:
            case bytes():
                value = value.hex()
            case int() if field.name == "time":
                value = when(value)
            case int() if field.name in ("position", "decision"):
                value = f"{value:016x}"
        found[field.name] = value
    return found


def said(entry: Entry | Other) -> str:
    """In one line."""
    match entry:
        case Decision():
            asked = " ".join(part for part in (entry.organisation, entry.kind, entry.collection) if part)
            verdict = f"refused, {entry.reason}" if entry.reason else f"granted {entry.grant}".rstrip()
            text = f"{asked} for {entry.purpose or 'nothing'}: {verdict} [{entry.position:016x}]"
        case Outcome():
            why = f" ({entry.reason})" if entry.reason else ""
            text = f"{entry.outcome}{why}, {entry.rows} rows [{entry.decision:016x}]"
        case Passed():
            text = f"{entry.organisation} to {entry.asked or 'nobody'} [{entry.position:016x}]"
        case Returned():
            text = f"{entry.outcome} [{entry.decision:016x}]"
        case Act():
            words = (entry.act, entry.collection, entry.subject, f"by {entry.operator}", entry.reason)
            text = " ".join(word for word in words if word)
        case Publication():
            text = f"{entry.role}, version {entry.version}"
        case Admission():
            text = f"{entry.step} {entry.name} {entry.reason}".rstrip()
        case Restored():
            text = f"begins anew after {entry.size} entries of {entry.origin}"
        case _:
            text = "of a newer release"
    return plain(text)


def when(time: int) -> str:
    try:
        return instant_text(time)
    except (OverflowError, ValueError):
        return str(time)


def quarter(text: str) -> tuple[int, int]:
    """The half-open instants of ``2026Q4``, in UTC."""
    found = _QUARTER.fullmatch(text)
    if found is None or found[1] == "0000":
        raise BadConfig("a quarter is written 2026Q4", place="--quarter")
    year, number = int(found[1]), int(found[2])
    start = datetime(year, 3 * number - 2, 1, tzinfo=UTC)
    end = datetime(year + number // 4, 1 if number == 4 else 3 * number + 1, 1, tzinfo=UTC)
    return instant_of(start), instant_of(end)


def since_of(text: str) -> int:
    """A day, or an instant."""
    found = parse_instant(f"{text}T00:00Z" if _DAY.fullmatch(text) else text)
    if found is None:
        raise BadConfig("a time is written 2026-10-01, or 2026-10-01T08:30Z", place="--since")
    return found


@dataclass(frozen=True)
class Sum:
    """``queries`` that were decided on, by what came of it; ``rows`` that were sent."""

    name: str
    granted: int
    refused: int
    rows: int


def sums(logs: Iterable[ReadLog], span: tuple[int, int], by: By, country_of: Callable[[str], str]) -> list[Sum]:
    """Of the cities' decisions in that time, the most granted first. Rows are those of their outcomes, whenever."""
    counted: dict[str, list[int]] = {}
    for read in logs:
        rows = {entry.decision: entry.rows for entry in read.entries if isinstance(entry, Outcome)}
        for entry in read.entries:
            if not isinstance(entry, Decision) or not span[0] <= entry.time < span[1]:
                continue
            match by:
                case By.COUNTRY:
                    name = country_of(entry.organisation) or "unknown"
                case By.ORGANISATION:
                    name = entry.organisation
                case By.CITY:
                    name = read.origin.party
                case By.PURPOSE:
                    name = entry.purpose or "none"
            line = counted.setdefault(plain(name), [0, 0, 0])
            line[1 if entry.reason else 0] += 1
            line[2] += rows.get(entry.position, 0)
    found = [Sum(name, *line) for name, line in counted.items()]
    return sorted(found, key=lambda item: (-item.granted, -item.refused, item.name))


@dataclass(frozen=True)
class Got:
    """A decision on a query of the key, and what came of it; None where nothing is logged of that (yet)."""

    city: str
    index: int
    decision: Decision
    outcome: Outcome | None

    @property
    def rows(self) -> int:
        return self.outcome.rows if self.outcome else 0

    @property
    def came(self) -> str:
        if self.decision.reason:
            return f"refused, {self.decision.reason}"
        return self.outcome.outcome if self.outcome else "not ended"


def key_of(text: str) -> Callable[[Decision], bool]:
    """Whether a decision is on a query of that key (the first digits of its id, at least 8) or organisation."""
    if text.startswith("inst."):
        return lambda entry: entry.organisation == text
    if not _DIGITS.fullmatch(text):
        raise BadConfig(
            "name a key by its id, or 8 of its first digits; or a partner",
            place=text[:80],
            remedy="cimfed directory show",
        )
    return lambda entry: entry.key_id.hex().startswith(text)


def exposure(logs: Iterable[ReadLog], wanted: Callable[[Decision], bool], since: int) -> list[Got]:
    """In the order of time."""
    found = []
    for read in logs:
        ended = {entry.decision: entry for entry in read.entries if isinstance(entry, Outcome)}
        for line in read.lines():
            entry = line.entry
            if isinstance(entry, Decision) and entry.time >= since and wanted(entry):
                found.append(Got(read.origin.party, line.index, entry, ended.get(entry.position)))
    return sorted(found, key=lambda item: (item.decision.time, item.city, item.index))
