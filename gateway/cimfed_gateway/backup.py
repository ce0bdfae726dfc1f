"""A gateway's backup, taken while it serves, and its home out of one: all of it under its name at once, or nothing.

In it: settings, card, the log as it is at one moment, versions of the directory seen, and the keys only where asked
for, sealed. A gateway holds no data and spends no nonces, so a return forgets only lines of its log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from cimfed.archive.manifest import SEALED, Manifest
from cimfed.archive.party import CARD, check_card, directory_parts, new_identity, open_sealed, with_keys
from cimfed.archive.place import arriving_folder, passing_folder, room_told
from cimfed.archive.read import opened
from cimfed.archive.write import Part
from cimfed.errors import BadBackup
from cimfed.model.names import federation
from cimfed.rpc import clock
from cimfed.tlog.copying import begin_again, check_sound, copy_database
from cimfed.tlog.schema import TABLES
from cimfed.trust.card import Card
from cimfed.trust.identity_files import read
from cimfed_gateway.config import FILE, Home
from cimfed_gateway.tables import Journal

PROGRAM = "cimfed-gateway"
SCHEMA = 2  # of the journal
JOURNAL = "journal.sqlite"
ROOT = "directory/root.json"  # what the directory is pinned by
_MEMBERS = re.compile(
    rf"gateway\.toml|card\.json|journal\.sqlite|{re.escape(SEALED)}"
    r"|directory/[A-Za-z0-9_][A-Za-z0-9_./-]*"
)


@dataclass
class Restored:
    """What came back. ``card``: of new keys, where they were made."""

    manifest: Manifest
    home: Path
    log: str = ""
    has_keys: bool = False
    card: Card | None = None
    notes: list[str] = field(default_factory=list)


def belongs(name: str) -> bool:
    """Whether a backup of a gateway has members of this name."""
    return _MEMBERS.fullmatch(name) is not None


@contextmanager
def prepared(home: Home, now: int, passphrase: bytes | None = None) -> Iterator[tuple[Manifest, list[Part]]]:
    """A backup to be written before this is left. ``passphrase``: keys are in it, sealed by that."""
    with passing_folder(home.path / "backup") as folder, room_told(home.path):
        parts = [Part.of_bytes(name, read(home.path / name)) for name in (FILE, CARD)]
        parts += directory_parts(home.path, home.directory)
        if home.journal.exists():
            with closing(Journal.open(home.journal)) as journal, journal.reading() as connection:
                copy_database(connection, folder / JOURNAL)
            parts.append(Part.of_file(JOURNAL, folder / JOURNAL))
        members = tuple(part.member for part in parts)
        contents = {"keys": "no" if passphrase is None else "yes"}
        party, alliance = home.name, home.settings.federation
        manifest = Manifest(PROGRAM, version(PROGRAM), party, alliance, SCHEMA, now, members, contents)
        if passphrase is not None:
            manifest, parts = with_keys(manifest, parts, home.path / "keys", passphrase)
        yield manifest, parts


def restore(
    file: Path,
    path: Path,
    *,
    passphrase: Callable[[], bytes],
    new_keys: bool = False,
    digest: str = "",
    generation: int = 0,
    now: Callable[[], int] = clock.now,
) -> Restored:
    """``passphrase`` is asked for where keys are in the backup and no ``new_keys`` are made. ``digest``: what the
    backup must hash to, where it is given. ``generation``: of the log, if not the next one.

    BadBackup, BadConfig, NoRoom or Conflict, and nothing made, where it cannot be restored.
    """
    path = path.absolute()
    with opened(file, PROGRAM, SCHEMA) as archive, arriving_folder(path) as folder:
        manifest = archive.manifest
        if digest and manifest.digest != digest.lower():
            raise BadBackup("this is another backup than that of this digest", place=str(file))
        secret = passphrase() if manifest.sealed and not new_keys else None
        archive.unpack(folder, belongs)
        home = _home(folder, manifest)
        done = Restored(manifest, path)
        (folder / "keys").mkdir(mode=0o700)
        if new_keys:
            done.card = new_identity(folder, federation(home.settings.federation), now())
        elif secret is not None:
            done.notes += open_sealed(folder, manifest, secret)
        (folder / SEALED).unlink(missing_ok=True)
        _new_life(home, done, now(), generation)
        done.has_keys = any((folder / "keys").iterdir())
        for name in (FILE, CARD):
            (folder / name).chmod(0o644)
        folder.chmod(0o750)
        return done


def _home(folder: Path, manifest: Manifest) -> Home:
    """BadBackup where its parts are not of one gateway."""
    for name in (FILE, CARD, ROOT):
        if not (folder / name).is_file():
            raise BadBackup("the backup lacks what every home has", place=name)
    home = Home.load(folder)
    if (home.name, home.settings.federation) != (manifest.party, manifest.federation):
        raise BadBackup("the settings are of another gateway than the manifest", place=FILE)
    check_card(folder, manifest)
    if home.journal.exists():
        check_sound(home.journal, TABLES)
    return home


def _new_life(home: Home, done: Restored, now: int, generation: int) -> None:
    """The log begins a new generation, since outside a longer one may have been seen."""
    with closing(Journal.open(home.journal)) as journal, journal.writing() as transaction:
        done.log = str(begin_again(transaction, home.log_origin, now, generation))
