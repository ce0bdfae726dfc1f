"""What a node's backup holds, and how it is taken while the node serves.

The operator's lock is held from the first byte to the last, so no import, activation or prune changes what is named;
queries go on. The control database is copied as it is at one moment; everything else that it names is written only by
holders of the lock. In it: settings, card, policies, the records of versions and current snapshots, the directory's
state, the current snapshots with their untouched objects unless they are left out, and the keys only where asked for,
sealed. Not in it: views, which are made again of the rest; connections to PostgreSQL and its tables; earlier snapshots.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cimfed.archive.manifest import SEALED, Manifest
from cimfed.archive.party import CARD, directory_parts, with_keys
from cimfed.archive.write import Part
from cimfed.errors import BadFile, CimfedError
from cimfed.tlog.copying import copy_database
from cimfed.trust.identity_files import read
from cimfed.trust.tlog.entries import Act
from cimfed_node.acting import operator
from cimfed_node.activate import Publisher
from cimfed_node.config import FILE, Home
from cimfed_node.ingest.snapshot import INVENTORY, read_snapshot
from cimfed_node.tables import Control
from cimfed_node.tables.acts import put_act
from cimfed_node.tables.publication import active_policy, current_snapshots
from cimfed_node.tables.schema import SCHEMA_VERSION

PROGRAM = "cimfed-node"
DATABASE = "control/control.sqlite"
ROOT = "control/directory/root.json"  # what the directory is pinned by
_DIRECTORY = r"control/directory/[A-Za-z0-9_][A-Za-z0-9_./-]*"
_MEMBERS = re.compile(
    rf"node\.toml|card\.json|policy\.version|snapshots\.current|{re.escape(DATABASE)}|{re.escape(SEALED)}"
    rf"|policies/[1-9][0-9]{{0,17}}\.policy\.json|{_DIRECTORY}"
    r"|snapshots/[0-9a-f]{64}/[A-Za-z0-9_][A-Za-z0-9_.-]*"
)
NOT_KEYS = ("postgis.json",)  # a password of another system, which may be another one where the node comes back


def belongs(name: str) -> bool:
    """Whether a backup of a node has members of this name."""
    return _MEMBERS.fullmatch(name) is not None


@dataclass(frozen=True)
class Backup:
    """What is to be written; its files are as they are while the lock is held."""

    manifest: Manifest
    parts: tuple[Part, ...]
    notes: tuple[str, ...]  # what is not in it


@contextmanager
def prepared(
    home: Home, control: Control, publisher: Publisher, now: int, *, data: bool = True, passphrase: bytes | None = None
) -> Iterator[Backup]:
    """A backup to be written before this is left. ``passphrase``: keys are in it, sealed by that.

    Conflict while another command of the operator runs.
    """
    with publisher.alone():
        held = {"data": data, "keys": passphrase is not None, "database": home.database_of_operator.exists()}
        contents = {name: "yes" if there else "no" for name, there in held.items()}
        with control.writing() as transaction:
            said = f"with{'' if data else 'out'} data, with{'' if passphrase else 'out'} keys"
            put_act(transaction, Act(now, "backup", operator(), reason=said))
        copy = home.scratch / f"backup-{secrets.token_hex(8)}.sqlite"
        try:
            with control.reading() as connection:
                copy_database(connection, copy)
            parts = [*_settings(home), Part.of_file(DATABASE, copy)]
            with control.reading() as connection:  # as in the copy: only who holds the lock changes these
                policy, current = active_policy(connection), current_snapshots(connection)
            contents["policy"] = str(policy.version) if policy else "none"
            notes = []
            for collection, entry in current.items():
                snapshot = read_snapshot(home.snapshots / entry.id)
                contents[f"snapshot of {collection}"] = f"{entry.id[:12]}, {entry.rows:,} rows"
                if "in_place" in snapshot.inventory:
                    relation = snapshot.inventory["in_place"]["relation"]
                    notes.append(f"the rows of {relation} are the database's: back that up too")
                if data:
                    parts += _snapshot(snapshot.folder, snapshot.inventory["files"])
            manifest = Manifest(
                PROGRAM,
                version(PROGRAM),
                home.city,
                home.federation,
                SCHEMA_VERSION,
                now,
                tuple(part.member for part in parts),
                contents,
            )
            if passphrase is not None:
                manifest, parts = with_keys(manifest, parts, home.keys, passphrase, NOT_KEYS)
            yield Backup(manifest, tuple(parts), tuple(notes))
        finally:
            for left in home.scratch.glob(f"{copy.name}*"):
                left.unlink()


def _settings(home: Home) -> Iterator[Part]:
    """The small files, as they are."""
    for path in (
        home.path / FILE,
        home.path / CARD,
        home.policy_record,
        home.current_record,
        *sorted(home.policies.iterdir()),
    ):
        name = str(path.relative_to(home.path))
        if belongs(name) and path.exists():
            yield Part.of_bytes(name, read(path))
    yield from directory_parts(home.path, home.directory)


def _snapshot(folder: Path, files: dict[str, dict[str, str]]) -> Iterator[Part]:
    name = f"snapshots/{folder.name}"
    yield Part.of_file(f"{name}/{INVENTORY}", folder / INVENTORY, folder.name)
    for file, entry in files.items():
        try:
            yield Part.of_file(f"{name}/{file}", folder / file, entry["sha256"])
        except CimfedError:
            raise BadFile(
                "a file of the current snapshot is missing",
                place=f"{folder.name}/{file}",
                remedy="Import its source again, which mends it; or --no-data",
            ) from None
