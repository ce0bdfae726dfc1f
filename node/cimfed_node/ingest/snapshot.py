"""Snapshots on disk: a folder named by the SHA-256 of its inventory.

``<id>/<collection>.parquet`` holds the rows, ``<id>/original.jsonl.zst`` the untouched objects, ``<id>/inventory.json``
says what is there: RFC 8785 JSON whose SHA-256 is the snapshot's id. What is appended comes as further segments,
``<collection>.0002.parquet`` and ``original.0002.jsonl.zst``; those before it are links to the same files.
Files are written into a folder with a temporary name, flushed to the disk, then renamed: a snapshot is whole or not
there. So is its end: renamed first, then removed. What a process that was killed left under a temporary name is swept
by whoever comes next, under the operator's lock.
Which snapshot is current is not known here; the node's control tables say so.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import rfc8785

from cimfed.errors import BadFile, NotFound
from cimfed.model.instants import parse_instant
from cimfed.model.names import CityName
from cimfed.model.routing import Extent
from cimfed_node.stores.base import Engine

FORMAT = "cimfed/snapshot/v1"
INVENTORY = "inventory.json"
ORIGINAL = "original.jsonl.zst"
IMPORTING = ".import-"
REMOVED = ".removed-"
ERASING = ".erasing"
PLAN = "plan.json"
_ID = re.compile(r"[0-9a-f]{64}")


class FileState(StrEnum):
    """A file against what the inventory says of it."""

    VERIFIED = "verified"
    CHANGED = "changed"
    MISSING = "missing"


@dataclass(frozen=True)
class Snapshot:
    """One immutable collection of a city.

    ``extent``: xmin, ymin, xmax, ymax in OGC:CRS84, None where no row has a geometry. ``times``: earliest
    ``valid_from`` and latest ``valid_to`` in microseconds since the epoch, None where unknown. ``inventory``: all that
    was recorded.
    """

    id: str
    city: CityName
    collection: str
    folder: Path
    rows: int
    extent: Extent | None
    times: tuple[int | None, int | None]
    vocabulary: str
    licence: str
    attribution: str
    inventory: Mapping[str, Any]

    @property
    def path(self) -> Path:
        """The rows of the first segment, as GeoParquet."""
        return self.folder / f"{self.collection}.parquet"

    @property
    def engine(self) -> Engine:
        """What its views are made and served by."""
        return Engine(self.inventory.get("engine", Engine.DUCKDB))

    @property
    def paths(self) -> tuple[Path, ...]:
        """The rows of every segment, in the order that they were appended; none of a table in place."""
        return () if "in_place" in self.inventory else self._files(".parquet") or (self.path,)

    @property
    def originals(self) -> tuple[Path, ...]:
        """The untouched objects of every segment, as JSON lines in zstd."""
        return self._files(".jsonl.zst")

    def _files(self, end: str) -> tuple[Path, ...]:
        names = [name for name in self.inventory.get("files", {}) if name.endswith(end)]
        return tuple(self.folder / name for name in sorted(names, key=_segment))


def segment_name(name: str, number: int) -> str:
    """A file's name in a further segment: ``observation.parquet`` is ``observation.0002.parquet`` in the second."""
    stem, _, end = name.partition(".")
    return name if number == 1 else f"{stem}.{number:04}.{end}"


def _segment(name: str) -> int:
    number = name.split(".")[1]
    return int(number) if number.isdigit() else 1


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digests(path: Path, parts: Sequence[Path]) -> dict[str, Any]:
    """The SHA-256 of a source, and of the files that belong to it; that of a folder is theirs together."""
    found = {part.name: sha256_file(part) for part in parts}
    if path.is_dir():
        return {"sha256": hashlib.sha256(rfc8785.dumps(found)).hexdigest(), "parts": found}
    return {"sha256": sha256_file(path), **({"parts": found} if found else {})}


def _value(folder: Path, snapshot_id: str, inventory: Mapping[str, Any]) -> Snapshot:
    extent = inventory["extent"]
    first, last = (None if text is None else parse_instant(text) for text in inventory["times"])
    return Snapshot(
        id=snapshot_id,
        city=CityName(inventory["city"]),
        collection=inventory["collection"],
        folder=folder,
        rows=inventory["rows"],
        extent=None if extent is None else (extent[0], extent[1], extent[2], extent[3]),
        times=(first, last),
        vocabulary=inventory["vocabulary"],
        licence=inventory["licence"],
        attribution=inventory["attribution"],
        inventory=inventory,
    )


def read_snapshot(folder: Path, *, verify: bool = False) -> Snapshot:
    """The snapshot in a folder. The inventory is always checked against the folder's name; files only if asked.

    Raises NotFound where there is none, BadFile where it is not what its name says.
    """
    try:
        raw = (folder / INVENTORY).read_bytes()
    except FileNotFoundError:
        raise NotFound("there is no such snapshot", place=folder.name) from None
    if hashlib.sha256(raw).hexdigest() != folder.name:
        raise BadFile("the inventory does not hash to the snapshot's id", place=folder.name)
    inventory = json.loads(raw)
    if inventory.get("format") != FORMAT:
        raise BadFile("the inventory has another format", place=folder.name, remedy="Import the source again")
    if verify:
        for name, state in file_states(folder, inventory).items():
            if state != FileState.VERIFIED:
                raise BadFile(
                    f"a file of the snapshot is {state}",
                    place=f"{folder.name}/{name}",
                    remedy="Import its source again, which mends it",
                )
    return _value(folder, folder.name, inventory)


def file_states(folder: Path, inventory: Mapping[str, Any]) -> dict[str, FileState]:
    """Every file of the inventory, read whole and compared with its hash."""

    def state(name: str, entry: Mapping[str, Any]) -> FileState:
        try:
            same = sha256_file(folder / name) == entry["sha256"]
        except FileNotFoundError:
            return FileState.MISSING
        return FileState.VERIFIED if same else FileState.CHANGED

    return {name: state(name, entry) for name, entry in inventory["files"].items()}


def ids_on_disk(snapshots: Path) -> set[str]:
    return {path.name for path in snapshots.iterdir() if _ID.fullmatch(path.name)}


def remove_folder(folder: Path) -> None:
    """It is gone with its name; the files go after that."""
    removed = folder.with_name(f"{REMOVED}{folder.name}")
    os.rename(folder, removed)
    _flush(folder.parent)
    shutil.rmtree(removed)


def sweep_snapshots(snapshots: Path) -> None:
    """Removes what imports and removals that were killed left behind. For the holder of the operator's lock."""
    for path in snapshots.iterdir():
        undecided = path.name == ERASING and not (path / PLAN).exists()
        if path.name.startswith((IMPORTING, REMOVED)) or undecided:
            shutil.rmtree(path)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def seal_snapshot(
    temporary: Path, snapshots: Path, facts: Mapping[str, Any], known: Mapping[str, Any] | None = None
) -> Snapshot:
    """Turn a filled temporary folder beside the snapshots into one; ``facts`` is the inventory without its files.

    ``known``: what was recorded of files that were taken over from another snapshot, which are not read again.

    The same facts and files give the same id: importing them again finds the snapshot that is there, and mends files
    of it that were changed.
    """
    held = known or {}
    files: dict[str, Any] = {
        path.name: held.get(path.name) or {"sha256": sha256_file(path), "size": path.stat().st_size}
        for path in sorted(temporary.iterdir())
    }
    raw = rfc8785.dumps({"format": FORMAT, "files": files, **facts})
    snapshot_id = hashlib.sha256(raw).hexdigest()
    target = snapshots / snapshot_id
    if target.exists():
        _mend(target, temporary, files)
        return read_snapshot(target)
    (temporary / INVENTORY).write_bytes(raw)
    for path in temporary.iterdir():
        _flush(path)
    _flush(temporary)
    try:
        os.rename(temporary, target)
    except OSError:
        if not target.exists():  # another import that gave the same was faster
            raise
    _flush(snapshots)
    return read_snapshot(target)


def _mend(target: Path, source: Path, files: Mapping[str, Any]) -> None:
    """Puts files in place of those that are not what the inventory says; one by one, so that each is old or new."""
    for name, state in file_states(target, {"files": files}).items():
        if state != FileState.VERIFIED:
            _flush(source / name)
            os.replace(source / name, target / name)
    _flush(target)
