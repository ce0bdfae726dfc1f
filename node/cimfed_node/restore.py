"""A home out of a backup: all of it under its name at once, or nothing.

1. The archive is checked as it is unpacked, into a folder beside the home; nothing of it is run or believed before its
   hashes held: the database has this release's tables alone, the settings are those of a node of the city that the
   manifest names, snapshots are what their ids say, keys are those of the card.
2. The database begins a new life (``tables.life``), at a time that is not below the backup's own.
3. Views are built of the snapshots and the policy in force, where the keys are there and the policy still stands;
   else ``serve`` refuses until they are (``returned``).
4. The folder is flushed and gets its name. Whatever fails before leaves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cimfed.archive.manifest import SEALED, Manifest
from cimfed.archive.party import CARD, check_card, new_identity, open_sealed
from cimfed.archive.place import arriving_folder
from cimfed.archive.read import opened
from cimfed.errors import BadBackup, CimfedError, ClockBehind, NoRoom
from cimfed.model.instants import instant_text
from cimfed.tlog.copying import check_sound
from cimfed.trust.card import Card
from cimfed.trust.identity_files import read
from cimfed.trust.tlog.entries import Act
from cimfed_node.acting import operator
from cimfed_node.activate import Building, Report
from cimfed_node.backup import DATABASE, PROGRAM, ROOT, belongs
from cimfed_node.config import FILE, Home
from cimfed_node.ingest.snapshot import INVENTORY, ids_on_disk, read_snapshot
from cimfed_node.operate import publisher
from cimfed_node.recorded import read_record, write_record
from cimfed_node.returned import TOLERANCE
from cimfed_node.room import full_told
from cimfed_node.setup import group_of, make_folders, make_secret
from cimfed_node.tables import Control
from cimfed_node.tables.admissions import clock_mark
from cimfed_node.tables.life import begin_new_life
from cimfed_node.tables.publication import active_policy, current_snapshots
from cimfed_node.tables.schema import SCHEMA_VERSION, TABLES


@dataclass
class Restored:
    """What came back. ``card``: of new keys, where they were made. ``report``: of the views, where they were built.
    ``log``: what the log is named from now on."""

    manifest: Manifest
    home: Path
    has_keys: bool
    policy: int
    log: str = ""
    card: Card | None = None
    report: Report | None = None
    notes: list[str] = field(default_factory=list)


def restore(
    file: Path,
    path: Path,
    now: Callable[[], int],
    *,
    passphrase: Callable[[], bytes],
    new_keys: bool = False,
    city: str = "",
    digest: str = "",
    generation: int = 0,
    building: Building = lambda *_: None,
) -> Restored:
    """``passphrase`` is asked for where keys are in the backup and no ``new_keys`` are made. ``city``, ``digest``: what
    the backup must be of, and must hash to, where they are given. ``generation``: of the log, if not the next one.
    Times in microseconds.

    BadBackup, BadConfig, NoRoom or Conflict, and nothing made, where it cannot be restored.
    """
    path = path.absolute()
    with opened(file, PROGRAM, SCHEMA_VERSION) as archive, arriving_folder(path) as folder, _room(folder):
        manifest = archive.manifest
        if city and manifest.party != city:
            raise BadBackup(f"this is a backup of {manifest.party[:64]}, not of {city}", place=str(file))
        if digest and manifest.digest != digest.lower():
            raise BadBackup("this is another backup than that of this digest", place=str(file))
        secret = passphrase() if manifest.sealed and not new_keys else None
        archive.unpack(folder, belongs)
        home = _home(folder, manifest)
        make_folders(home, group_of(home.settings))
        done = Restored(manifest, path, False, 0)
        _keys(home, manifest, secret, done, now() if new_keys else None)
        _new_life(home, manifest, now(), generation, done)
        _owners(home)
        _views(home, now, building, done)
        return done


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """NoRoom for whatever says that the disk is full, also of the database."""
    try:
        with full_told(folder):
            yield
    except NoRoom as error:
        raise NoRoom(error.message, place=error.place, remedy="Make room, or name another place") from None


def _home(folder: Path, manifest: Manifest) -> Home:
    """BadBackup where its parts are not of one node."""
    for name in (FILE, DATABASE, CARD, ROOT):
        if not (folder / name).is_file():
            raise BadBackup("the backup lacks what every home has", place=name)
    home = Home.load(folder)
    if (home.city, home.federation) != (manifest.party, manifest.federation):
        raise BadBackup("the settings are of another city than the manifest", place=FILE)
    check_card(folder, manifest)
    check_sound(home.database, TABLES)
    home.snapshots.mkdir(exist_ok=True)
    for id in ids_on_disk(home.snapshots):
        try:
            _check_snapshot(home, id, manifest)
        except (CimfedError, KeyError, TypeError, ValueError):
            raise BadBackup("a snapshot is of another city, or is not what its inventory says", place=id) from None
    return home


def _check_snapshot(home: Home, id: str, manifest: Manifest) -> None:
    """By the hashes that were compared while it was unpacked."""
    snapshot, at = read_snapshot(home.snapshots / id), f"snapshots/{id}/"
    recorded = {name: entry["sha256"] for name, entry in snapshot.inventory["files"].items()}
    held = {item.name.removeprefix(at): item.sha256 for item in manifest.members if item.name.startswith(at)}
    del held[INVENTORY]
    if snapshot.city != home.city or held != recorded:
        raise ValueError


def _keys(home: Home, manifest: Manifest, secret: bytes | None, done: Restored, made: int | None) -> None:
    """The backup's, new ones where ``made`` is the time of that, or none."""
    if made is not None:
        done.card = new_identity(home.path, home.federation, made)
        make_secret(home)
    elif secret is not None:
        done.notes += open_sealed(home.path, manifest, secret)
    (home.path / SEALED).unlink(missing_ok=True)
    done.has_keys = home.secret.exists()


def _new_life(home: Home, manifest: Manifest, now: int, generation: int, done: Restored) -> None:
    present = ids_on_disk(home.snapshots)
    control = Control.open(home.database)
    try:
        with control.reading() as connection:
            mark, policy = clock_mark(connection), active_policy(connection)
        latest = max(mark, manifest.taken)
        if now + TOLERANCE < latest:
            raise ClockBehind(
                f"this host's clock says {instant_text(now)}, the backup is of {instant_text(latest)}",
                remedy="Set the clock right, then restore",
            )
        act = Act(now, "restore", operator(), subject=manifest.digest, reason=f"taken {instant_text(manifest.taken)}")
        with control.writing() as transaction:
            done.log = str(begin_new_life(transaction, act, present, home.log_origin, generation))
        record = {name: [id for id in ids if id in present] for name, ids in read_record(home).items()}
        write_record(home, {name: ids for name, ids in record.items() if ids})
    finally:
        control.close()
    done.policy = policy.version if policy else 0


def _owners(home: Home) -> None:
    """Modes and groups as ``init`` and commands give them; those of snapshots stay the operator's alone."""
    for path in (home.path / FILE, home.path / CARD, home.policy_record, home.current_record):
        if path.exists():
            path.chmod(0o640 if path == home.current_record else 0o644)
    for folder, mode in ((home.policies, 0o640), (home.control, 0o660)):
        for path in folder.rglob("*"):  # the group of the folder, as if they had been made there
            os.chown(path, -1, folder.stat().st_gid)
            path.chmod(mode if path.is_file() else 0o2770)
    (home.directory / "root.json").chmod(0o644)  # pinned: nobody's to write


def _views(home: Home, now: Callable[[], int], building: Building, done: Restored) -> None:
    control = Control.open(home.database)
    try:
        with control.reading() as connection:
            policy, current = active_policy(connection), current_snapshots(connection)
        if policy is None:
            return
        if not done.has_keys:
            if current:
                done.notes.append("views need the city's secret: once the keys are there, activate the policy again")
            return
        file = home.policy_file(policy.version)
        try:
            publishing = publisher(home, control, now)
            done.report = publishing.activate(read(file), file.name, building)
        except NoRoom:
            raise
        except CimfedError as error:
            done.notes.append(f"the views were not built ({error.line}); the node does not serve before they are")
    finally:
        control.close()
