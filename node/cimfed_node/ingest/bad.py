"""Bad objects of one import, while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

from cimfed.errors import BadFile
from cimfed_node.ingest.report import BadObject

BAD = "bad.jsonl"
SHOWN = 20  # bad objects that a refusal lists


@dataclass
class Bad:
    """Bad objects: the first ones, their number, and all of them in a file beside the chunks."""

    file: BinaryIO
    first: list[BadObject] = field(default_factory=list)
    count: int = 0

    def add(self, bad: BadObject) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(bad)
        self.file.write(bad.json())

    def refusal(self, *, others: bool) -> BadFile:
        """``others``: whether any object is good."""
        more = self.count - len(self.first)
        way = "let the others through with --quarantine FILE" if others else "see whether --crs says what they are in"
        return BadFile(
            f"{self.count:,} bad objects; nothing was imported",
            place=self.first[0].file,
            remedy=f"Mend them, or {way}",
            details=[*map(str, self.first), *([f"and {more:,} more"] if more else [])],
        )
