"""A snapshot that follows another: rows of files replace those of the same id or are added, some are taken out.

Rules:
1. The result is a whole snapshot of its own; the one before stays as it is.
2. Rows of one CRS keep the coordinate operation that those before came by, unless another one is asked for. Where there
   are several, the inventory says which sources came by which (``parts``), and its own operation names all of them with
   the worst accuracy: the catalogue never shows one for another.
3. All heights of a snapshot are in one vertical system; rows without heights have no say in it.
4. An id cannot be both among the files' rows and among those to take out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from cimfed.errors import BadFile
from cimfed_node.ingest.arrays import Bools, among
from cimfed_node.ingest.carry import Carried, Original, carry_originals, carry_rows, flat_ids
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.reduce import reduced
from cimfed_node.ingest.snapshot import Snapshot
from cimfed_node.ingest.spill import Spill
from cimfed_node.ingest.values import nfc
from cimfed_node.room import Room

PART = ("mapping", "where", "id_column", "on_duplicate", "time_zone", "bad", "crs", "vertical", "operation")
"""What an inventory says of one import, but for its sources."""


@dataclass(frozen=True)
class Base:
    """The snapshot that is followed, and the ids that are taken out of it; ``appended``: or it is appended to."""

    snapshot: Snapshot
    removed: Any = field(default_factory=lambda: pa.array([], pa.string()))
    appended: bool = False

    @property
    def operations(self) -> dict[str, str]:
        """The definition of the operation that rows came by, by their CRS; the last one of each."""
        return {
            part["crs"]: part["operation"]["definition"] for part in parts(self.snapshot.inventory) if "crs" in part
        }


def read_ids(path: Path | None) -> Any:
    """Ids, one a line; none where there is no file. BadFile where it cannot be read."""
    if path is None:
        return pa.array([], pa.string())
    ids: dict[str, None] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            while line := file.readline(LIMITS.text + 1):
                if len(line) > LIMITS.text:
                    raise BadFile("a line that is too long for an id", place=path.name)
                if line.strip():
                    ids[nfc(line.rstrip("\r\n"))] = None
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror}", place=path.name) from None
    except UnicodeDecodeError:
        raise BadFile("not UTF-8", place=path.name, remedy="Write one id a line, in UTF-8") from None
    return pa.array(list(ids), pa.string())


def take_over(base: Base, spill: Spill, original: Path, carried: Carried) -> list[str]:
    """Adds what stays of the base to the spill and to the original. Gives what the operator should know."""
    columns = [spill.chunk(number).column("id") for number in range(spill.chunks)]
    own: Any = pa.chunked_array([c for column in columns for c in column.chunks], pa.string()).combine_chunks()
    both = base.removed.filter(pa.array(among(base.removed, own)))
    if len(both):
        raise BadFile(
            f"{len(both):,} ids are both in the files and to be taken out, the first {both[0].as_py()[:64]!r}",
            place="--remove",
            remedy="Take them out of one of the two",
        )
    gone: Any = pa.concat_arrays([own, base.removed])
    leaving = _Leaving(gone, base.removed)
    carry_rows(base.snapshot, spill, leaving, carried)
    with pa.OSFile(str(original), "ab") as file, pa.CompressedOutputStream(file, "zstd") as sink:
        carry_originals(base.snapshot, sink, lambda items: kept_ids(items, gone))
    return leaving.notes


def take_out(base: Base, snapshots: Path, room: Room | None = None) -> tuple[Snapshot, list[str]]:
    """A snapshot without some rows, and nothing new."""
    leaving = _Leaving(base.removed, base.removed)
    snapshot, _ = reduced(base.snapshot, leaving, lambda items: kept_ids(items, base.removed), snapshots, room)
    return snapshot, leaving.notes


class _Leaving:
    """Rows of these ids are left out; those of ``removed`` are counted, each id stands in one row."""

    def __init__(self, gone: Any, removed: Any) -> None:
        self._gone, self._removed, self._found = gone, removed, 0

    def __call__(self, table: pa.Table) -> Bools:
        self._found += int(among(table.column("id"), self._removed).sum())
        return among(table.column("id"), self._gone)

    @property
    def notes(self) -> list[str]:
        missing = len(self._removed) - self._found
        return [f"{missing:,} of the ids to take out are not in the current snapshot"] if missing else []


def kept_ids(items: list[Original], gone: Any) -> list[list[str]]:
    """Of each object's ids those that are not gone."""
    ids, begins = flat_ids(items)
    left = among(pa.array(ids, pa.string()), gone)
    if not left.any():
        return [item.ids for item in items]
    return [
        [id for id, out in zip(item.ids, left[begin : begin + len(item.ids)], strict=True) if not out]
        for item, begin in zip(items, begins.tolist(), strict=False)
    ]


def parts(inventory: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The imports that a snapshot's rows came by, the first one first; each with its ``sources``."""
    held: list[dict[str, Any]] | None = inventory.get("parts")
    if held is not None:
        return held
    return [{"sources": inventory.get("sources", []), **{key: inventory[key] for key in PART if key in inventory}}]


def following(before: Mapping[str, Any], facts: dict[str, Any], own_heights: bool, carried: Carried) -> dict[str, Any]:
    """The inventory without its files of a snapshot that follows another; ``facts``: of the new rows' import."""
    held = [dict(part) for part in parts(before)] if carried.rows else []
    new = {"sources": facts["sources"], **{key: facts[key] for key in PART if key in facts}}
    alike = next((part for part in held if all(part.get(key) == new.get(key) for key in PART)), None)
    if alike is None:
        held.append(new)
    else:
        alike["sources"] = [*alike["sources"], *(item for item in new["sources"] if item not in alike["sources"])]
    return {
        **{key: before[key] for key in ("engine",) if key in before},
        **facts,
        "licence": facts["licence"] or before["licence"],
        "attribution": facts["attribution"] or before["attribution"],
        "vertical": _vertical(before, facts, own_heights, carried),
        **summary(held),
    }


def summary(held: list[dict[str, Any]]) -> dict[str, Any]:
    """What stands in an inventory for all its parts."""
    if len(held) < 2:
        return {"sources": held[0]["sources"]} if held else {}
    operations = [part["operation"] for part in held if "operation" in part]
    accuracies = [operation.get("accuracy_m") for operation in operations]
    return {
        "sources": [item for part in held for item in part["sources"]],
        "crs": "; ".join(dict.fromkeys(part["crs"] for part in held if "crs" in part)),
        "operation": {
            "name": "; ".join(dict.fromkeys(operation["name"] for operation in operations)),
            "accuracy_m": None if None in accuracies else max(accuracies),
            "definition": "; ".join(dict.fromkeys(operation.get("definition", "") for operation in operations)),
            "declared": "; ".join(dict.fromkeys(filter(None, (operation.get("declared") for operation in operations)))),
            "proj": operations[-1].get("proj", ""),
        },
        "parts": held,
    }


def _vertical(before: Mapping[str, Any], facts: Mapping[str, Any], own_heights: bool, carried: Carried) -> str:
    old, new = str(before.get("vertical") or ""), str(facts["vertical"])
    if not carried.heights:
        return new if own_heights else new or old
    if own_heights and old != new:
        raise BadFile(
            f"heights in {new or 'a system that is not named'} after heights in {old or 'one that is not named'}",
            remedy="A snapshot has one vertical system: name the CRS with --crs, or import all of it again",
        )
    return old
