"""The snapshots of a node: what there is, the way back to an earlier one, and the end of those that nobody needs.

Leaves out how a snapshot lies on the disk (``ingest.snapshot``) and how one comes into force (``activate``).
Rules:
1. What is on the disk counts; the tables add which is current, and when each was imported.
2. A way back is an adoption like any other, after every file was compared with its hash: the active policy's views are
   built first, the pointers flip in one transaction.
3. A snapshot goes only if it is not current and no view stands on it that a grant or a running answer needs. It is gone
   with its name, its row after that; what is left when that is cut short is swept by the next command.
4. Who changes something holds the operator's lock from the choice to the end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cimfed.errors import BadConfig, BadFile, CimfedError, Conflict, NotFound
from cimfed.rpc import clock
from cimfed.trust.tlog.entries import Act
from cimfed_node.acting import operator
from cimfed_node.activate import Building, Publisher, Report
from cimfed_node.config import Home
from cimfed_node.ingest.belonging import Erased, OnErased
from cimfed_node.ingest.changes import Changes, changes
from cimfed_node.ingest.snapshot import (
    FileState,
    Snapshot,
    file_states,
    ids_on_disk,
    read_snapshot,
    remove_folder,
)
from cimfed_node.recorded import read_record, strangers
from cimfed_node.tables import Control
from cimfed_node.tables.acts import erased_digests, put_act
from cimfed_node.tables.admissions import views_in_use
from cimfed_node.tables.publication import (
    active_grants,
    current_snapshots,
    drop_snapshots,
    known_snapshots,
    views,
)
from cimfed_node.views.files import shown_snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """A view that stands on a snapshot: the grants that it answers, and whether an answer reads it now."""

    id: str
    rows: int
    grants: tuple[str, ...]
    in_use: bool

    @property
    def needed(self) -> bool:
        return bool(self.grants) or self.in_use


@dataclass(frozen=True)
class Held:
    """A snapshot on the disk.

    ``size`` in bytes; ``imported`` in microseconds, None for one that never came into force. ``readable``: its
    inventory is what its id says; if not, ``collection`` and ``rows`` are what the tables know, or empty and None.
    ``recorded``: the operator's own record has it as current, whatever the tables say. ``engine``: what its views are
    served by, empty where that cannot be read; ``in_place``: its rows are a table's.
    """

    id: str
    folder: Path
    collection: str
    rows: int | None
    size: int
    imported: int | None
    current: bool
    readable: bool
    views: tuple[Standing, ...]
    recorded: bool = False
    engine: str = ""
    in_place: bool = False

    @property
    def needed(self) -> bool:
        return self.current or self.recorded or any(view.needed for view in self.views)


@dataclass(frozen=True)
class Details:
    """A snapshot with its inventory, and every file of that with its size, its hash and what became of it."""

    held: Held
    snapshot: Snapshot
    files: tuple[tuple[str, int, str, FileState], ...]

    @property
    def verified(self) -> bool:
        return all(state == FileState.VERIFIED for *_, state in self.files)


def held_snapshots(home: Home, control: Control, now: int) -> list[Held]:
    """All on the disk, by collection, the newest import first."""
    try:
        secret = home.secret.read_bytes()
        ids = ids_on_disk(home.snapshots)
        record = read_record(home)
    except OSError as error:
        raise BadConfig(
            f"the snapshots cannot be read: {error.strerror}",
            place=str(error.filename),
            remedy="They are the operator's, not the service's",
        ) from None
    with control.reading() as connection:
        known = known_snapshots(connection)
        standing = views(connection, home.place)
        grants = active_grants(connection)
        in_use = views_in_use(connection, now)
    in_force = {entry.collection: entry.id for entry, current in known.values() if current}
    for name in strangers(record, in_force):
        log.warning(
            "the tables say that snapshot %s of %s is current, which no operator brought into force: "
            "find out who wrote them, then name the right one to cimfed-node snapshots rollback",
            in_force[name][:12],
            name,
        )
    recorded = {id for ids in record.values() for id in ids}
    on: dict[str, list[Standing]] = {}
    for view in standing.values():
        of = tuple(item.grant for item in grants if item.view == view.id)
        on.setdefault(view.snapshot, []).append(Standing(view.id, view.rows, of, view.id in in_use))
    found = []
    for id in ids:
        folder = home.snapshots / id
        entry, current = known.get(id, (None, False))
        try:
            snapshot = read_snapshot(folder)
        except CimfedError:
            snapshot = None
        of_it = snapshot or entry
        found.append(
            Held(
                id=id,
                folder=folder,
                collection=of_it.collection if of_it else "",
                rows=of_it.rows if of_it else None,
                size=sum(path.stat().st_size for path in folder.iterdir()),
                imported=entry.imported if entry else None,
                current=current,
                readable=snapshot is not None,
                recorded=id in recorded,
                engine=str(snapshot.engine) if snapshot else "",
                in_place=snapshot is not None and "in_place" in snapshot.inventory,
                views=tuple(sorted(on.get(shown_snapshot(secret, id), ()), key=lambda view: (view.grants, view.id))),
            )
        )
    return sorted(found, key=lambda item: (item.collection, -(item.imported or 0), item.id))


def named(held: Iterable[Held], wanted: str) -> Held:
    """The one whose id begins so. NotFound where there is none, Conflict where there are several."""
    found = [item for item in held if wanted and item.id.startswith(wanted)]
    if not found:
        raise NotFound(f"there is no snapshot {wanted[:64]}", remedy="cimfed-node snapshots list shows all")
    if len(found) > 1:
        raise Conflict(f"{len(found)} snapshots begin with {wanted[:64]}", remedy="Give more of the id")
    return found[0]


def details(held: Held) -> Details:
    """Reads every file whole. BadFile where the inventory itself is damaged."""
    snapshot = read_snapshot(held.folder)
    states = file_states(held.folder, snapshot.inventory)
    listed: dict[str, Any] = snapshot.inventory["files"]
    files = tuple((name, entry["size"], entry["sha256"], states[name]) for name, entry in listed.items())
    return Details(held, snapshot, files)


def earlier(held: Iterable[Held], collection: str, wanted: str | None) -> Held:
    """The one to go back to: that of this id, else the one that was imported last before the current one."""
    of_it = [item for item in held if item.collection == collection]
    if wanted is not None:
        chosen = named(of_it, wanted)
        if chosen.current:
            raise Conflict(f"snapshot {chosen.id[:12]} of {collection} is current already")
        return chosen
    current = next((item for item in of_it if item.current), None)
    before = [
        item
        for item in of_it
        if item.imported is not None and (current is None or item.imported < (current.imported or 0))
    ]
    if not before:
        raise NotFound(
            f"there is no earlier snapshot of {collection}", remedy="cimfed-node snapshots list shows all; name one"
        )
    return before[0]


def roll_back(control: Control, publisher: Publisher, chosen: Held, building: Building = lambda *_: None) -> Report:
    """Makes it current, under the time of its own import. Nothing is done where ``may_come_back`` raises."""
    with publisher.alone():
        snapshot = may_come_back(control, chosen)
        report = publisher.adopt(snapshot, building, chosen.imported, "rollback")
        log.info("snapshot %s of %s is current again", chosen.id, chosen.collection)
    return report


def may_come_back(control: Control, chosen: Held) -> Snapshot:
    """BadFile where its files do not verify.

    Conflict for a table in place where objects were erased here: it is searched for them at its import alone.
    """
    snapshot = read_snapshot(chosen.folder, verify=True)
    with control.reading() as connection:
        if "in_place" in snapshot.inventory and erased_digests(connection):
            raise Conflict(
                "objects were erased from this node, and this table in place may hold them",
                place=snapshot.inventory["in_place"]["relation"],
                remedy="Import it in place again, which looks for them",
            )
    return snapshot


def prunable(held: Sequence[Held], keep: int) -> list[Held]:
    """Those that nobody needs but for the newest ``keep`` of each collection; damaged ones are not worth keeping."""
    kept: dict[str, int] = {}
    chosen = []
    for item in held:
        if item.needed:
            continue
        if item.readable and kept.get(item.collection, 0) < keep:
            kept[item.collection] = kept.get(item.collection, 0) + 1
        else:
            chosen.append(item)
    return chosen


def prune(control: Control, publisher: Publisher, chosen: Iterable[Held]) -> None:
    """Removes snapshots that ``prunable`` gave under the same lock; views that nobody needs go before them.

    Each is written down before it goes.
    """
    with publisher.alone():
        publisher.tidy()
        for item in chosen:
            with control.writing() as transaction:
                act = Act(clock.now(), "prune", operator(), item.collection, item.id, item.rows or 0)
                put_act(transaction, act)
            remove_folder(item.folder)
            with control.writing() as transaction:
                drop_snapshots(transaction, [item.id])
            log.info("snapshot %s of %s was removed, %d bytes", item.id, item.collection or "?", item.size)


def to_follow(home: Home, control: Control, collection: str, *, verify: bool) -> Snapshot:
    """The current snapshot, which another one is to follow. NotFound where there is none, BadFile where it is damaged.

    Under the operator's lock, or another command may replace it in between.
    """
    with control.reading() as connection:
        entry = current_snapshots(connection).get(collection)
    if entry is None:
        raise NotFound(
            f"there is no current snapshot of {collection[:64]}", remedy="Import a whole one first, without --update"
        )
    found = read_snapshot(home.snapshots / entry.id, verify=verify)
    if "in_place" in found.inventory:
        raise Conflict(
            f"the current snapshot of {collection} is a table in place", remedy="Change the table and import it again"
        )
    return found


def erased_here(home: Home, control: Control, rule: OnErased) -> Erased:
    """What an import must know of the objects that were erased."""
    with control.reading() as connection:
        digests = erased_digests(connection)
    return Erased(home.secret.read_bytes() if digests else b"", digests, rule)


def tables_in_place(home: Home, control: Control) -> list[str]:
    """Tables that current snapshots are of."""
    with control.reading() as connection:
        current = current_snapshots(connection).values()
    found = (read_snapshot(home.snapshots / entry.id).inventory.get("in_place") for entry in current)
    return [str(facts["relation"]) for facts in found if facts is not None]


def discard(home: Home, control: Control, snapshot: Snapshot) -> None:
    """Removes a snapshot that never came into force."""
    with control.reading() as connection:
        if snapshot.id in known_snapshots(connection):
            return
    remove_folder(snapshot.folder)


def since_current(home: Home, control: Control, snapshot: Snapshot) -> Changes | None:
    """What a new snapshot changes against the current one; None where there is none that could be read."""
    with control.reading() as connection:
        entry = current_snapshots(connection).get(snapshot.collection)
    if entry is None:
        return None
    try:
        before = read_snapshot(home.snapshots / entry.id)
        if not (before.paths and snapshot.paths):  # a relation in place has no rows here
            return None
        return changes(before.paths, snapshot.paths)
    except (BadFile, NotFound, OSError, ValueError) as error:  # Arrow's errors are of the last two
        log.warning("the snapshot before cannot be compared (%s)", type(error).__name__)
        return None
