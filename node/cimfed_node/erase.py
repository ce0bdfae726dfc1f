"""Erasing objects for good: from every snapshot that is kept, from all views, and from every way back.

Leaves out what is not the node's: the files that were imported, quarantine files, backups, answers that were given,
and relations in place, with the views that were made of them; the command says where there are any.

Rules:
1. With an object goes what belongs to it (``ingest.belonging``), in every collection, and the untouched objects that
   they came of. An untouched object that others came of too goes whole; the rows of those stay.
2. Snapshots are immutable, so each that holds any of it is replaced by a new one without, and the old one is removed,
   even if an answer reads a view of it: that answer ends there.
3. Everything is made ready in a folder of its own; the plan that is put into it last is the point of no return. Killed
   before, nothing was begun. Killed after, whoever next gets the operator's lock completes it: every step may be done
   twice.
4. What is written down is the number of objects, who did it and why, and keyed digests that refuse a later import: of
   the objects, and of what went with them as far as something else may belong to that.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cimfed.errors import BadConfig, BadFile, NotFound
from cimfed.model.vocabulary import VOCABULARY
from cimfed.trust.files import replace_file
from cimfed.trust.tlog.entries import Act
from cimfed_node.activate import Building, Publisher, Report
from cimfed_node.config import Home
from cimfed_node.ingest.arrays import Bools, among
from cimfed_node.ingest.belonging import belonging, columns, named_by_others, object_digest
from cimfed_node.ingest.carry import Original, original_items
from cimfed_node.ingest.reduce import reduced
from cimfed_node.ingest.snapshot import ERASING, PLAN, Snapshot, ids_on_disk, read_snapshot, remove_folder
from cimfed_node.ingest.update import kept_ids
from cimfed_node.ingest.values import nfc
from cimfed_node.tables import Transaction
from cimfed_node.tables.acts import put_act, put_erased

log = logging.getLogger(__name__)

FORMAT = "cimfed/erasure/v1"
MOST = 10_000  # objects in one command
_FAMILY = b'"CityObjects"'
Objects = Mapping[str, Any]
"""Arrays of ids by collection."""


@dataclass(frozen=True)
class Erasure:
    """What is to be erased: objects of one collection, and what belongs to them (``objects``).

    ``rows``: in all snapshots; ``belonging``: how many of these are not the named objects' own. ``in_place``:
    collections of which there are snapshots of relations in place: these have no rows here, and were not searched.
    """

    collection: str
    ids: tuple[str, ...]
    objects: Objects
    snapshots: tuple[Snapshot, ...]
    rows: int
    belonging: int
    in_place: tuple[str, ...]


def find(home: Home, collection: str, ids: Sequence[str]) -> Erasure:
    """Reads every snapshot whole. NotFound where none holds one of the ids; BadFile where one is damaged."""
    if collection not in VOCABULARY.collections:
        raise BadConfig(f"there is no collection {collection[:64]!r}", place="--collection")
    ids = tuple(dict.fromkeys(map(nfc, ids)))
    if not 0 < len(ids) <= MOST:
        raise BadConfig(f"{len(ids):,} ids; one command erases between 1 and {MOST:,}", place="--id")
    held = [_sound(home.snapshots / id) for id in sorted(ids_on_disk(home.snapshots))]
    named = pa.array(ids, pa.string())
    met: set[str | None] = set()
    for snapshot in held:
        if snapshot.collection == collection:
            for table in _tables(snapshot):
                met.update(pc.unique(table["id"].filter(pa.array(among(table["id"], named)))).to_pylist())
    if lacking := [id for id in ids if id not in met]:
        raise NotFound(
            f"no snapshot here holds {len(lacking):,} of the ids in {collection}, the first {lacking[0][:64]!r}",
            remedy="Nothing was erased. Name those there; in a table in place, delete the row and import again",
        )
    objects = _with_belongings(held, {collection: named})
    names = _names(objects)
    touched, rows, own = [], 0, 0
    for snapshot in held:
        here = 0
        for table in _tables(snapshot):
            here += int(belonging(table, snapshot.collection, objects).sum())
            own += int(among(table["id"], named).sum()) if snapshot.collection == collection else 0
        if here or _mentions(snapshot, names):
            touched.append(snapshot)
            rows += here
    in_place = sorted({snapshot.collection for snapshot in held if "in_place" in snapshot.inventory})
    return Erasure(collection, ids, objects, tuple(touched), rows, rows - own, tuple(in_place))


def _sound(folder: Path) -> Snapshot:
    try:
        return read_snapshot(folder, verify=True)
    except BadFile as error:
        raise BadFile(
            f"snapshot {folder.name[:12]} is damaged, and what it holds cannot be told ({error.message})",
            place=str(folder),
            remedy="Mend it by importing its source again, or remove it with cimfed-node snapshots prune --keep 0",
        ) from None


def _tables(snapshot: Snapshot) -> Iterable[pa.Table]:
    """What tells whether a row belongs to an object, a row group at a time."""
    for path in snapshot.paths:
        with pq.ParquetFile(path) as file:
            wanted = [name for name in columns(snapshot.collection) if name in file.schema_arrow.names]
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, columns=wanted)


def _with_belongings(held: Sequence[Snapshot], objects: dict[str, Any]) -> dict[str, Any]:
    """The objects, and those that belong to them as far as others may belong to these in turn."""
    while True:
        before = {collection: len(ids) for collection, ids in objects.items()}
        for snapshot in held:
            if snapshot.collection in named_by_others():
                for table in _tables(snapshot):
                    ids = table["id"].filter(pa.array(belonging(table, snapshot.collection, objects)))
                    known = objects.get(snapshot.collection, pa.array([], pa.string()))
                    merged = pc.unique(pa.chunked_array([known, *ids.cast(pa.string()).chunks]))
                    if len(merged):
                        objects[snapshot.collection] = merged
        if {collection: len(ids) for collection, ids in objects.items()} == before:
            return objects


def _names(objects: Objects) -> frozenset[str]:
    return frozenset(id for ids in objects.values() for id in ids.to_pylist())


def _shows(raw: bytes, names: Set[str]) -> bool:
    """Whether an untouched object is a family of CityJSON that one of these is a member of."""
    if _FAMILY not in raw:
        return False
    node = orjson.loads(raw)
    members = node.get("CityObjects") if isinstance(node, dict) else None
    return isinstance(members, dict) and not names.isdisjoint(members)


def _mentions(snapshot: Snapshot, names: Set[str]) -> bool:
    """Whether an untouched object of a snapshot shows an erased one beside its own rows."""
    return any(_shows(item.raw, names) for item in original_items(snapshot) if _FAMILY in item.line)


def _without(snapshot: Snapshot, objects: Objects, into: Path) -> Snapshot:
    names = _names(objects)
    gone: list[Any] = [pa.array([], pa.string())]

    def leaving(table: pa.Table) -> Bools:
        left = belonging(table, snapshot.collection, objects)
        gone.append(table["id"].filter(pa.array(left)).cast(pa.string()).combine_chunks())
        return left

    def keeping(items: list[Original]) -> list[list[str]]:
        """Rows are read first: by now it is known which went."""
        kept = kept_ids(items, _with_stems(pa.concat_arrays(gone)))
        return [
            [] if len(ids) < len(item.ids) or _shows(item.raw, names) else ids
            for item, ids in zip(items, kept, strict=True)
        ]

    return reduced(snapshot, leaving, keeping, into)[0]


def _with_stems(ids: Any) -> Any:
    """``b~2`` was ``b`` in its file, where several objects had that id: none of those stays untouched."""
    return pc.unique(pa.concat_arrays([ids, pc.replace_substring_regex(ids, "~[0-9]+$", "")]))


def erase(home: Home, publishing: Publisher, wanted: Erasure, act: Act, building: Building = lambda *_: None) -> Report:
    """Erases what ``find`` found, under the same lock."""
    with publishing.alone():
        staging = home.snapshots / ERASING
        staging.mkdir(mode=0o700)
        try:
            _prepare(home, wanted, act, staging)
        except BaseException:
            if not (staging / PLAN).exists():
                remove_folder(staging)
            raise
        report = _complete(home, publishing, building)
        assert report is not None
        return report


def _prepare(home: Home, wanted: Erasure, act: Act, staging: Path) -> None:
    """All new snapshots, and then the plan."""
    exchanged = {snapshot.id: _without(snapshot, wanted.objects, staging).id for snapshot in wanted.snapshots}
    key = home.secret.read_bytes()
    plan = {
        "format": FORMAT,
        "act": {name: getattr(act, name) for name in ("time", "act", "operator", "collection", "objects", "reason")},
        "token": act.token.hex(),
        "digests": [
            object_digest(key, name, id).hex() for name, ids in wanted.objects.items() for id in ids.to_pylist()
        ],
        "snapshots": exchanged,
    }
    replace_file(staging / PLAN, json.dumps(plan).encode(), 0o600)


@dataclass(frozen=True)
class _Plan:
    """``snapshots``: the new id of each old one."""

    act: Act
    digests: tuple[bytes, ...]
    snapshots: Mapping[str, str]


def _plan(staging: Path) -> _Plan | None:
    """BadConfig where it is damaged: nothing is changed any more before somebody looked."""
    try:
        plan = json.loads((staging / PLAN).read_bytes())
        if plan["format"] != FORMAT:
            raise BadConfig(
                "an erasure of another release was cut short", place=str(staging), remedy="Run that one again"
            )
        ids = [*plan["snapshots"], *plan["snapshots"].values()]
        if not all(re.fullmatch("[0-9a-f]{64}", id) for id in ids):
            raise ValueError
        act = Act(**plan["act"], token=bytes.fromhex(plan["token"]))
        return _Plan(act, tuple(map(bytes.fromhex, plan["digests"])), plan["snapshots"])
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        raise BadConfig(
            "the plan of an erasure that was cut short is damaged",
            place=str(staging / PLAN),
            remedy="Remove that folder, and erase the same objects again: what was not done yet is done then",
        ) from None


def complete(home: Home, publishing: Publisher) -> None:
    """What an erasure that was killed had begun for good."""
    if _complete(home, publishing) is not None:
        log.warning("an erasure that was cut short is complete now")


def _complete(home: Home, publishing: Publisher, building: Building = lambda *_: None) -> Report | None:
    staging = home.snapshots / ERASING
    plan = _plan(staging)
    if plan is None:
        return None
    token, exchanged = plan.act.token, plan.snapshots
    new: dict[str, Snapshot] = {}
    for old, id in exchanged.items():
        if (staging / id).exists() and not (home.snapshots / id).exists():
            os.rename(staging / id, home.snapshots / id)
        new[old] = read_snapshot(home.snapshots / id)

    def note(transaction: Transaction) -> None:
        put_act(transaction, plan.act)
        put_erased(transaction, plan.digests, token)

    report = publishing.exchange(new, note, building)
    for old in exchanged:
        if (home.snapshots / old).exists():
            remove_folder(home.snapshots / old)
    remove_folder(staging)
    return report
