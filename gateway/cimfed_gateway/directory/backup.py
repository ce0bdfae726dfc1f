"""A backup of the directory service, taken while it serves, and its home out of one: all of it at once, or nothing.

1. The timestamp is read first, then the database is copied, then the other files: no version is told of in a backup
   without its files and its entry in the log.
2. What comes back is believed in nothing before its hashes held, the database has this release's tables alone, and the
   directory verifies from its own root.
3. It goes on from the newest state that mirrors show (``catching_up``), never from an older one. What was published
   after the backup is an entry of the new generation of the log.
4. What the backup cannot know is taken to have happened: every open invitation is withdrawn, and a request that was
   signed before the return is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from cimfed.archive.manifest import SEALED, Manifest
from cimfed.archive.party import CARD, check_card, open_sealed, with_keys
from cimfed.archive.place import arriving_folder, passing_folder, room_told
from cimfed.archive.read import opened
from cimfed.archive.write import Part
from cimfed.errors import BadBackup, BadConfig, BadDirectory, ClockBehind
from cimfed.model.instants import instant_text
from cimfed.model.names import federation
from cimfed.rpc import clock
from cimfed.tlog.copying import begin_again, check_sound, copy_database
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.layout import metadata_file
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Folder
from cimfed.trust.hashing import sha256
from cimfed.trust.identity_files import load_issuing_key, read
from cimfed.trust.tlog.entries import Publication
from cimfed.trust.tls import Leaf, LeafSource, Use
from cimfed_gateway.directory import tables
from cimfed_gateway.directory.catching_up import mirror_of, newest, version_of
from cimfed_gateway.directory.config import FILE, Home
from cimfed_gateway.directory.tables import SCHEMA_VERSION, TABLES, Records

PROGRAM = "cimfed-gateway directory"
RECORDS, ROOT, FILES = "records.sqlite", "repository/root.json", "repository/files/"
_FIXED = re.compile(rf"directory\.toml|card\.json|records\.sqlite|repository/root\.json|{re.escape(SEALED)}")


@dataclass
class Restored:
    """What came back, and from which version the directory goes on. ``then``: that of the backup."""

    manifest: Manifest
    home: Path
    log: str = ""
    has_keys: bool = False
    version: int = 0
    then: int = 0
    notes: list[str] = field(default_factory=list)


def belongs(name: str) -> bool:
    """Whether a backup of a directory service has members of this name."""
    return _FIXED.fullmatch(name) is not None or (name.startswith(FILES) and layout.is_file(name.removeprefix(FILES)))


@contextmanager
def prepared(home: Home, now: int, passphrase: bytes | None = None) -> Iterator[tuple[Manifest, list[Part]]]:
    """A backup to be written before this is left. ``passphrase``: keys are in it, sealed by that.

    BadConfig before the first publication.
    """
    files = Folder(home.repository / "files")
    with passing_folder(home.path / "backup") as folder, room_told(home.path):
        parts = [Part.of_bytes(name, read(home.path / name)) for name in (FILE, CARD, ROOT)]
        timestamp = Part.of_bytes(FILES + layout.TIMESTAMP_FILE, read(files.path / layout.TIMESTAMP_FILE))
        with closing(Records.open(home.records)) as records, records.reading() as connection:
            copy_database(connection, folder / RECORDS)
        parts.append(Part.of_file(RECORDS, folder / RECORDS))
        parts += [Part.of_file(FILES + path, files.path / path) for path in files if path != layout.TIMESTAMP_FILE]
        parts.append(timestamp)
        members = tuple(part.member for part in parts)
        contents = {"keys": "no" if passphrase is None else "yes"}
        party, alliance = home.name, home.settings.federation
        manifest = Manifest(PROGRAM, version("cimfed-gateway"), party, alliance, SCHEMA_VERSION, now, members, contents)
        if passphrase is not None:
            manifest, parts = with_keys(manifest, parts, home.path / "keys", passphrase)
        yield manifest, parts


def restore(
    file: Path,
    path: Path,
    mirrors: Sequence[str],
    *,
    passphrase: Callable[[], bytes],
    digest: str = "",
    generation: int = 0,
    now: Callable[[], int] = clock.now,
) -> Restored:
    """``mirrors``: to catch up from, as ``mirror_of`` takes them. ``passphrase`` is asked for where keys are in the
    backup. ``digest``: what it must hash to, where it is given. ``generation``: of the log, if not the next one.

    BadBackup, BadConfig, BadDirectory, ClockBehind, NodeUnreachable, NoRoom or Conflict, and nothing made, where it
    cannot be restored.
    """
    path = path.absolute()
    with opened(file, PROGRAM, SCHEMA_VERSION) as archive, arriving_folder(path) as folder:
        manifest = archive.manifest
        if digest and manifest.digest != digest.lower():
            raise BadBackup("this is another backup than that of this digest", place=str(file))
        secret = passphrase() if manifest.sealed else None
        archive.unpack(folder, belongs)
        home = _home(folder, manifest)
        held = _directory(home, now())
        done = Restored(manifest, path, then=held.version)
        (folder / "keys").mkdir(mode=0o700)
        if secret is not None:
            done.notes += open_sealed(folder, manifest, secret)
        (folder / SEALED).unlink(missing_ok=True)
        done.has_keys = any((folder / "keys").iterdir())
        leaf = _leaf(home, now()) if done.has_keys else None
        caught_up = newest((mirror_of(text, held, leaf) for text in mirrors), held, _root(home), now())
        if version_of(caught_up) > version_of(held):
            _adopt(home, caught_up)
        _new_life(home, done, held, caught_up, now(), generation)
        for name in (FILE, CARD):
            (folder / name).chmod(0o644)
        folder.chmod(0o750)
        return done


def _home(folder: Path, manifest: Manifest) -> Home:
    """BadBackup where its parts are not of one directory service."""
    for name in (FILE, CARD, RECORDS, ROOT, FILES + layout.TIMESTAMP_FILE):
        if not (folder / name).is_file():
            raise BadBackup("the backup lacks what every home has", place=name)
    home = Home.load(folder)
    if (home.name, home.settings.federation) != (manifest.party, manifest.federation):
        raise BadBackup("the settings are of another service than the manifest", place=FILE)
    check_card(folder, manifest)
    check_sound(home.records, TABLES)
    return home


def _root(home: Home) -> bytes:
    return read(home.repository / "root.json")


def _directory(home: Home, now: int) -> Directory:
    try:
        held = proof.read(Folder(home.repository / "files"), _root(home), now, federation(home.settings.federation))
    except BadDirectory as error:
        raise BadBackup(error.message, place="repository") from None
    if held.service.name != home.name:
        raise BadBackup(f"the directory names {held.service.name} as its service", place="repository")
    return held


def _leaf(home: Home, now: int) -> Leaf | None:
    """By which nodes and gateways know the service; None where that key did not come along."""
    try:
        issuing = load_issuing_key(home.path)
    except BadConfig:
        return None
    return LeafSource(issuing, federation(home.settings.federation), home.name, Use.CLIENT).current(now)


def _adopt(home: Home, directory: Directory) -> None:
    """Writes the files of a newer state, the timestamp last."""
    files = Folder(home.repository / "files")
    for path in sorted(directory.files, key=lambda path: path == layout.TIMESTAMP_FILE):
        files.put(path, directory.files[path])
    _directory(home, directory.at)


def _new_life(home: Home, done: Restored, held: Directory, caught_up: Directory, now: int, generation: int) -> None:
    """The log begins a new generation, since outside a longer one may have been seen."""
    with closing(Records.open(home.records)) as records, records.writing() as transaction:
        latest = max(tables.clock_mark(transaction), done.manifest.taken)
        if now + tables.TOLERANCE < latest:
            raise ClockBehind(
                f"this host's clock says {instant_text(now)}, the backup is of {instant_text(latest)}",
                remedy="Set the clock right, then restore",
            )
        done.log = str(begin_again(transaction, home.log_origin, now, generation))
        tables.begin_new_life(transaction, now)
        for role, number in caught_up.versions.items():
            if role not in (layout.SNAPSHOT, layout.TIMESTAMP) and number != held.versions.get(role):
                digest = sha256(caught_up.files[metadata_file(role, number)])
                tables.note(transaction, Publication(now, role, number, digest))
    done.version = caught_up.version
