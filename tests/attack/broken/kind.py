"""One way for input to be broken, and what must come of it.

A kind is refused as a whole (``error``), or is the fault of one object (``aside``): then the import is refused with
that object's line, and ``--quarantine`` lets the others through. A few are made right and counted (``mended``). Files
are called ``x`` unless a maker names them: what a file is called says nothing of its format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Data = bytes | str | dict[str, Any] | list[Any]
Made = Data | Callable[[Path], Path | Sequence[Path]]
"""What stands in the file, or what makes files in a folder and says which of them are named."""


@dataclass(frozen=True)
class Kind:
    """``says``: words of the message, or of the object's reason. ``at``: the place, where a name ends with ``:n`` for a
    line. ``bad``: the id of the one object that is at fault; None where all of the input is. ``good``: the ids that are
    imported beside it. ``options``: of the command, ``{}`` for the folder."""

    made: Made
    says: str
    at: str
    bad: str | None
    good: tuple[str, ...]
    options: tuple[str, ...]
    collection: str
    reason: str
    code: int

    def files(self, folder: Path) -> tuple[Path, ...]:
        """Makes the files, and gives those that are named."""
        if callable(self.made):
            made = self.made(folder)
            return (made,) if isinstance(made, Path) else tuple(made)
        (folder / "x").write_bytes(as_bytes(self.made))
        return (folder / "x",)


def as_bytes(data: Data) -> bytes:
    if isinstance(data, (dict, list)):
        data = json.dumps(data, ensure_ascii=False)
    return data.encode() if isinstance(data, str) else data


def error(
    made: Made,
    says: str,
    at: str = "x",
    *options: str,
    collection: str = "building",
    reason: str = "bad_file",
    code: int = 2,
) -> Kind:
    """All of it is refused, with a quarantine or without."""
    return Kind(made, says, at, None, (), options, collection, reason, code)


def aside(
    made: Made,
    says: str,
    bad: str = "bad",
    at: str = "x",
    *options: str,
    good: Sequence[str] = ("good",),
    collection: str = "building",
) -> Kind:
    """One object is at fault."""
    return Kind(made, says, at, bad, tuple(good), options, collection, "bad_file", 2)


def mended(made: Made, says: str, *good: str) -> Kind:
    """All is imported; ``says``: words of the report."""
    return Kind(made, says, "x", None, good, (), "building", "", 0)
