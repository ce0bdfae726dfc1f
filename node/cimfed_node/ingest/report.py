"""What an import found and did: values for the operator's eyes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from cimfed.model.texts import plain


@dataclass(frozen=True)
class BadObject:
    """An object that cannot be imported: in which file and line (0 where lines mean nothing), which, and why."""

    file: str
    object: str
    reason: str
    line: int = 0

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        return plain(f"{self.file}{line}: {self.object or '(no id)'}: {self.reason}")

    def json(self) -> bytes:
        """One line of a quarantine file."""
        entry: dict[str, object] = {"file": self.file, "object": self.object, "reason": self.reason}
        if self.line:
            entry["line"] = self.line
        return json.dumps(entry, ensure_ascii=False, sort_keys=True).encode() + b"\n"


@dataclass(frozen=True)
class OperationReport:
    """The one coordinate operation of a snapshot. ``accuracy_m`` is None where nobody states it.

    ``declared``: a null transform that this software declares, not one of PROJ's.
    """

    crs: str
    name: str
    accuracy_m: float | None
    declared: bool
    vertical: str


@dataclass(frozen=True)
class ImportReport:
    """Counts of one import.

    ``objects``: objects of the collection that were read. ``rows``: rows written. ``skipped``: objects of other
    types, by type, and rows that ``where`` left out (``""``).
    ``matched``: property -> source columns that gave it values, with counts. ``unmapped``: (property, column) -> values
    that are no code or number of it, with counts; they stay in ``ext``.
    ``unclaimed``: source columns that no rule names, with counts; they are in ``ext``.
    ``nulls``: rows without the property. ``derived``: property -> rows where it was computed from geometry.
    ``repaired``: lod0 geometries made valid. ``dropped``: geometries that rows do not hold (they are in the original),
    by cause. ``duplicates``: objects that shared an id with an earlier one. ``bad``: objects put into quarantine.
    """

    objects: int
    rows: int
    matched: Mapping[str, Mapping[str, int]]
    unmapped: Mapping[tuple[str, str], Mapping[str, int]]
    unclaimed: Mapping[str, int]
    nulls: Mapping[str, int]
    derived: Mapping[str, int]
    skipped: Mapping[str, int]
    dropped: Mapping[str, int]
    repaired: int
    duplicates: int
    bad: int
    operation: OperationReport
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Preview:
    """A dry run: the report of the whole file as it would be, its first bad objects, and five rows as they would be.

    ``rows`` hold plain values; geometries are given as WKT, cut short. ``mapping`` is the document in force,
    ready to be written and edited.
    """

    formats: tuple[str, ...]
    report: ImportReport
    bad: tuple[BadObject, ...]
    rows: tuple[Mapping[str, object], ...]
    mapping: Mapping[str, object] = field(default_factory=dict)
