"""Bringing a policy or a snapshot into force, crash-safe by the order of its steps.

1. The policy is signed by a pinned steward key (the directory has no say), is this city's, has a version above every
   one that was in force here, and is not over. A snapshot was written whole before it comes here.
2. Every view that would answer is built: files first.
3. The signed policy goes into its file.
4. All pointers flip in one transaction: queries see before or after, in every serving process from the next query on.
5. Views that no grant and no running answer needs are forgotten in that transaction, and their files go after it.

The service writes the tables, so they are not believed alone: a version below the highest that was activated, which the
operator's own file records, is built no more.

What fails on the way leaves the policy and the data in force as they are. One operator at a time: a lock on a file. An
import holds it from its first byte on (``alone``), so that of two the one that read older files cannot come last. Who
gets the lock first clears away what one that was killed left behind.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass

from cimfed.errors import BadConfig, BadPolicy, CimfedError, Conflict, NotFound
from cimfed.model.instants import instant_text
from cimfed.policy.decide import shapes
from cimfed.policy.payload import shown_shape
from cimfed.policy.shape import gives_originals
from cimfed.trust.files import replace_file
from cimfed.trust.tlog.entries import Act
from cimfed_node.acting import operator
from cimfed_node.config import Home
from cimfed_node.ingest.snapshot import Snapshot, ids_on_disk, read_snapshot, sweep_snapshots
from cimfed_node.policies import SignedPolicy, read_policy
from cimfed_node.recorded import both, read_record, settled, write_record
from cimfed_node.room import full_told
from cimfed_node.stores.base import Engine, View
from cimfed_node.tables import Control, Transaction
from cimfed_node.tables.acts import put_act
from cimfed_node.tables.admissions import views_in_use
from cimfed_node.tables.publication import (
    ActiveGrant,
    ActivePolicy,
    SnapshotEntry,
    active_grants,
    active_policy,
    current_snapshots,
    drop_snapshots,
    drop_views,
    exchange_snapshot,
    highest_version,
    known_snapshots,
    put_grants,
    put_policy,
    put_snapshot,
    views,
)
from cimfed_node.views import Builder, Shelf
from cimfed_node.views.files import shown_snapshot
from cimfed_node.views.originals import told

log = logging.getLogger(__name__)

LOCK = "operator.lock"
Building = Callable[[str, int, int], None]
"""Told of each view before it is built: the grant, how many were built, how many there will be."""


@dataclass(frozen=True)
class GrantReport:
    """How many rows of the collection it gives; both None: there is no snapshot of it yet."""

    grant: str
    collection: str
    rows: int | None
    of: int | None


@dataclass(frozen=True)
class Report:
    """What is in force now. ``changed``: it was not so before. ``version`` 0: no policy is active."""

    version: int
    changed: bool
    grants: tuple[GrantReport, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """A policy that may be put in force. ``same``: it is already. ``notes``: what to tell the operator."""

    signed: SignedPolicy
    same: bool
    notes: tuple[str, ...]


class Publisher:
    """``shelves``: one for each engine of the home; opened only when there is something to build. ``clock`` in
    microseconds. ``complete``: whatever a command that was killed had begun for good; called by who gets the lock.
    """

    def __init__(
        self,
        home: Home,
        control: Control,
        shelves: Mapping[Engine, Shelf],
        clock: Callable[[], int],
        complete: Callable[[Publisher], None] = lambda _: None,
    ) -> None:
        self._home, self._control, self._shelves, self._clock = home, control, shelves, clock
        self._complete = complete
        self._is_alone = False

    def activate(self, content: bytes, source: str, building: Building = lambda *_: None) -> Report:
        """Puts a signed policy in force. BadSignature, BadPolicy or Conflict where it may not be."""
        now = self._clock()
        with self.alone():
            checked = self.check(content, source)
            signed, policy, same = checked.signed, checked.signed.policy, checked.same
            with self._control.reading() as connection:
                snapshots = current_snapshots(connection)
            current = {name: read_snapshot(self._home.snapshots / entry.id) for name, entry in snapshots.items()}
            grants, built, told_of = self._build(signed, current, building)
            if not same:
                replace_file(self._home.policy_file(policy.version), content, mode=0o640)
            with self._control.writing() as transaction:
                if not same:
                    put_policy(transaction, ActivePolicy(policy.version, signed.hash, now, policy.valid))
                put_grants(transaction, policy.version, grants, built.values(), self._home.place, now)
                self._forget(transaction, set(built))
                put_act(transaction, Act(now, "activate", operator(), subject=f"{policy.version} {signed.hash.hex()}"))
            if policy.version > self._recorded():  # also where an activation was killed just before this
                replace_file(self._home.policy_record, f"{policy.version}\n".encode())
            self._sweep()
        return Report(policy.version, not same, _reports(grants, built, current), (*checked.notes, *told_of))

    def check(self, content: bytes, source: str) -> Checked:
        """Rule 1: what ``activate`` raises before it builds anything. Takes no lock and touches nothing."""
        signed = read_policy(content, self._home.city, self._home.steward_keys, source)
        policy, now = signed.policy, self._clock()
        with self._control.reading() as connection:
            active = active_policy(connection)
            highest = highest_version(connection)
        same = active is not None and (active.version, active.hash) == (policy.version, signed.hash)
        highest = max(highest, self._recorded())
        if policy.version < highest or (policy.version == highest and not same):
            raise Conflict(
                f"version {policy.version} is not above version {highest}, which was in force here",
                place=source,
                remedy="Sign it with a higher version",
            )
        if now >= policy.valid[1]:
            raise BadPolicy(f"the policy's validity ended at {instant_text(policy.valid[1])}", place=source)
        early = now < policy.valid[0]
        notes = (f"nothing is granted before {instant_text(policy.valid[0])}",) if early else ()
        return Checked(signed, same, notes)

    def policy_in_force(self) -> SignedPolicy | None:
        """NotFound, BadPolicy or Conflict where there is one that cannot be believed."""
        with self._control.reading() as connection:
            active = active_policy(connection)
        return None if active is None else self._active(active)

    def adopt(
        self,
        snapshot: Snapshot,
        building: Building = lambda *_: None,
        imported: int | None = None,
        act: str = "import",
        reason: str = "",
    ) -> Report:
        """Makes a snapshot the current one of its collection, the active policy's views on it included.

        ``imported``: when it was, if not now. ``act``, ``reason``: what the log of acts calls it.
        """
        now = self._clock()
        with self.alone():
            with self._control.reading() as connection:
                active = active_policy(connection)
                before = current_snapshots(connection)
            grants: list[ActiveGrant] = []
            built: dict[str, View] = {}
            notes: tuple[str, ...] = ("no policy is active: nothing of it is given to anyone",)
            current: dict[str, Snapshot] = {}
            if active is not None:
                signed = self._active(active)
                current = {
                    name: read_snapshot(self._home.snapshots / entry.id)
                    for name, entry in before.items()
                    if name != snapshot.collection
                } | {snapshot.collection: snapshot}
                grants, built, notes = self._build(signed, current, building)
            write_record(self._home, both(read_record(self._home), {snapshot.collection: snapshot.id}))
            with self._control.writing() as transaction:
                put_snapshot(transaction, _entry(snapshot, now if imported is None else imported))
                if active is not None:
                    put_grants(transaction, active.version, grants, built.values(), self._home.place, now)
                self._forget(transaction, set(built))
                done = Act(now, act, operator(), snapshot.collection, snapshot.id, snapshot.rows, reason)
                put_act(transaction, done)
            self._sweep()
        known = before.get(snapshot.collection)
        return Report(
            active.version if active else 0,
            known is None or known.id != snapshot.id,
            _reports(grants, built, current),
            notes,
        )

    def exchange(
        self, new: Mapping[str, Snapshot], note: Callable[[Transaction], None], building: Building = lambda *_: None
    ) -> Report:
        """Puts snapshots in the place of others, by the ids of those; ``note`` is written down in the same transaction.

        No view of the others stays, though an answer may read it now. Where views cannot be built, their grants have
        none until a policy is activated. Done twice it is as done once.
        """
        with self.alone():
            with self._control.reading() as connection:
                active = active_policy(connection)
                before = current_snapshots(connection)
            now, key = self._clock(), self._home.secret.read_bytes()
            current = {
                name: new[entry.id] if entry.id in new else read_snapshot(self._home.snapshots / entry.id)
                for name, entry in before.items()
            }
            grants: list[ActiveGrant] = []
            built: dict[str, View] = {}
            notes: tuple[str, ...] = ()
            if active is not None:
                try:
                    grants, built, notes = self._build(self._active(active), current, building)
                except (CimfedError, OSError) as error:
                    log.warning("the views cannot be built: %s", error)
                    notes = ("the views cannot be built, nothing is given to anyone: activate a policy",)
            replaced = {name: current[name].id for name in current}
            write_record(self._home, both(read_record(self._home), replaced))
            with self._control.writing() as transaction:
                for old, snapshot in new.items():
                    exchange_snapshot(transaction, old, _entry(snapshot, now))
                if active is not None:
                    put_grants(transaction, active.version, grants, built.values(), self._home.place, now)
                gone = {shown_snapshot(key, old) for old in new}
                drop_views(
                    transaction, [v.id for v in views(transaction, self._home.place).values() if v.snapshot in gone]
                )
                self._forget(transaction, set(built))
                note(transaction)
            self._sweep()
        return Report(active.version if active else 0, True, _reports(grants, built, current), notes)

    def _build(
        self, signed: SignedPolicy, snapshots: Mapping[str, Snapshot], building: Building
    ) -> tuple[list[ActiveGrant], dict[str, View], tuple[str, ...]]:
        """Every grant with its view, the views by id, and what to tell the operator of untouched objects.

        Views that stand already are used as they are.
        """
        wanted = list(shapes(signed.policy))
        grants: list[ActiveGrant] = []
        built: dict[str, View] = {}
        notes: list[str] = []
        builders: dict[Engine, Builder] = {}
        try:
            for done, (grant, shape) in enumerate(wanted):
                building(grant, done, len(wanted))
                shown = shown_shape(signed.policy, shape)
                snapshot = snapshots.get(shape.collection)
                if snapshot is None:
                    grants.append(ActiveGrant(grant, shape.collection, shown, ""))
                    continue
                if snapshot.engine not in builders:
                    builders[snapshot.engine] = self._shelf(snapshot).builder()
                view = builders[snapshot.engine].build(snapshot, shape)
                built[view.id] = view
                if gives_originals(shape):
                    notes.append(f"{grant} gives {told(view)}")
                grants.append(ActiveGrant(grant, shape.collection, shown, view.id))
        finally:
            for builder in builders.values():
                builder.close()
        return grants, built, tuple(notes)

    def _shelf(self, snapshot: Snapshot) -> Shelf:
        try:
            return self._shelves[snapshot.engine]
        except KeyError:
            raise BadConfig(
                f"snapshot {snapshot.id[:12]} of {snapshot.collection} needs the engine {snapshot.engine}, which this "
                "node has not been connected to",
                remedy="cimfed-node postgis connect",
            ) from None

    def _active(self, active: ActivePolicy) -> SignedPolicy:
        recorded = self._recorded()
        if active.version < recorded:
            raise Conflict(
                f"the control database says that version {active.version} is active, but version {recorded} was",
                place=str(self._home.database),
                remedy="Find out who wrote it; then activate a newer version",
            )
        path = self._home.policy_file(active.version)
        try:
            signed = read_policy(path.read_bytes(), self._home.city, self._home.steward_keys, str(path))
        except OSError:
            raise NotFound(
                "the active policy's file is gone", place=str(path), remedy="Activate a newer version"
            ) from None
        if (signed.policy.version, signed.hash) != (active.version, active.hash):
            raise BadPolicy("the file is not the policy that was activated", place=str(path))
        return signed

    def _recorded(self) -> int:
        """The highest version activated, in a file that the service's user cannot write, unlike the tables."""
        path = self._home.policy_record
        try:
            return int(path.read_text("ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):
            raise BadConfig("the record of policy versions is damaged", place=str(path)) from None

    def tidy(self) -> None:
        """Forgets views that no grant and no running answer needs, and removes their files."""
        with self.alone():
            with self._control.writing() as transaction:
                self._forget(transaction, {item.view for item in active_grants(transaction)})
            self._sweep()

    def _forget(self, transaction: Transaction, needed: Set[str]) -> None:
        in_use = views_in_use(transaction, self._clock())
        drop_views(transaction, set(views(transaction, self._home.place)) - needed - in_use)

    def _sweep(self) -> None:
        """Removes what nothing names: views, and all that a command that was killed left half done."""
        home = self._home
        with self._control.reading() as connection:
            known = views(connection, home.place)
            recorded = known_snapshots(connection)
        in_force = {entry.collection: entry.id for entry, current in recorded.values() if current}
        write_record(home, settled(read_record(home), in_force))
        for shelf in self._shelves.values():
            shelf.sweep(set(known))
        sweep_snapshots(home.snapshots)
        gone = set(recorded) - ids_on_disk(home.snapshots)
        if any(not current for _, current in (recorded[id] for id in gone)):
            with self._control.writing() as transaction:
                drop_snapshots(transaction, gone)
        for path in home.scratch.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        records = (home.policy_record, home.current_record)
        half = (path for record in records for path in home.path.glob(f".{record.name}.*"))
        for path in (*home.policies.glob(".*.policy.json.*"), *half):
            path.unlink()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Conflict while another import or activation of this node runs; again inside of it: nothing.

        The lock goes with the process.
        """
        if self._is_alone:
            yield
            return
        path = self._home.path / LOCK
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(
                    "another import or activation is running on this node", remedy="Wait for it to end"
                ) from None
            self._is_alone = True
            with full_told(self._home.path):
                self._sweep()
                self._complete(self)
                yield
        finally:
            self._is_alone = False
            os.close(handle)


def _entry(snapshot: Snapshot, imported: int) -> SnapshotEntry:
    operation = snapshot.inventory.get("operation", {})
    return SnapshotEntry(
        id=snapshot.id,
        collection=snapshot.collection,
        rows=snapshot.rows,
        extent=snapshot.extent,
        operation=str(operation.get("name") or ""),
        accuracy=operation.get("accuracy_m"),
        vertical=str(snapshot.inventory.get("vertical") or ""),
        licence=snapshot.licence,
        attribution=snapshot.attribution,
        imported=imported,
    )


def _reports(
    grants: list[ActiveGrant], built: Mapping[str, View], snapshots: Mapping[str, Snapshot]
) -> tuple[GrantReport, ...]:
    return tuple(
        GrantReport(item.grant, item.collection, built[item.view].rows, snapshots[item.collection].rows)
        if item.view
        else GrantReport(item.grant, item.collection, None, None)
        for item in grants
    )
