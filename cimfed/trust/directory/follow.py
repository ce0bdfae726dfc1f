"""Keeping up with the directory: the one place in ``cimfed.trust`` that keeps state on disk.

1. The pinned root (``root.json``) is where trust begins; it is written once and never replaced.
2. What is fetched goes through ``tuf.ngclient.Updater``, which remembers the versions seen: none goes back, also after
   a restart, and no mirror can mix files of two states.
3. Only what verified is kept in ``files``; that folder is a mirror that others can be served from, every version of
   everything that was ever current here included.
4. A mirror that is away, behind, slow, or serves what does not verify is passed over for the next; the directory in
   force stays, until it expires. Then ``DirectoryExpired``, until a mirror that is up to date can be reached.
5. Two timestamps of one version are a fork, which only the service's key can make: the second one is refused, and said.
   What was revoked here stays revoked until the board has spoken again. So neither thief hides what was seen.
6. Keys that the registrar lists for a party that is known here count by rules of their own
   (``cimfed.trust.directory.continuity``).
7. What is in force is replaced as a whole. Several threads may ask for it; only ``refresh`` waits for mirrors.

A home of it holds ``root.json``, ``trusted/`` (the framework's own), ``files/``, ``known.json`` and ``lock``: several
processes may follow in one folder.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tuf.api.exceptions import DownloadError, DownloadHTTPError, LengthOrHashMismatchError, RepositoryError
from tuf.ngclient import Updater, UpdaterConfig

from cimfed.errors import BadDirectory, CimfedError, Conflict, DirectoryExpired, NodeUnreachable
from cimfed.model.names import Federation
from cimfed.trust.card import Card
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.continuity import accepted, counted, held_back, learned, read_known, write_known
from cimfed.trust.directory.layout import metadata_file
from cimfed.trust.directory.listing import Directory, Gateway, Member, Partner, expired, other_vocabulary
from cimfed.trust.directory.mirrors import Fetcher, Folder, Mirror, MirrorSource, Overlaid, Unreachable
from cimfed.trust.directory.publication import parsed
from cimfed.trust.files import create_file, replace_file
from cimfed.trust.hashing import sha256

log = logging.getLogger(__name__)

KNOWN = "known.json"
REFRESH_EVERY = 2.0  # seconds
_PUT_BACK = (
    "Put it back from a backup, or take that of anybody who follows the directory, once its SHA-256 is the one that "
    "the administrator reads out"
)
_CONFIG = UpdaterConfig(
    max_root_rotations=layout.ROOTS,
    root_max_length=layout.METADATA_LIMIT,
    timestamp_max_length=16 * 1024,
    snapshot_max_length=layout.METADATA_LIMIT,
    targets_max_length=layout.METADATA_LIMIT,
)


def pin(home: Path, root: bytes) -> None:
    """Makes the folder of a new follower. BadDirectory for what is no root that is signed by its own keys."""
    proof.check_root(root)
    home.mkdir(parents=True, exist_ok=True)
    file = home / "root.json"
    if file.exists():
        if file.read_bytes() != root:
            raise Conflict("another root is pinned here", place=str(file))
        return
    create_file(file, root)


def pinned_root(home: Path) -> bytes:
    """The root that is pinned in a follower's folder. BadDirectory where it is gone, or is damaged itself."""
    file = home / "root.json"
    try:
        root = file.read_bytes()
    except OSError as error:
        raise BadDirectory(
            f"the pinned root cannot be read: {error.strerror}", place=str(file), remedy=_PUT_BACK
        ) from None
    try:
        proof.check_root(root)
    except BadDirectory:
        raise BadDirectory("the pinned root is damaged", place=str(file), remedy=_PUT_BACK) from None
    return root


def last_known(home: Path, of: Federation, now: int) -> Directory | None:
    """What a follower in that folder put in force last, expired or not. BadDirectory where it does not verify."""
    files = Folder(home / "files")
    timestamp = files.get(layout.TIMESTAMP_FILE)
    if timestamp is None:
        return None
    try:
        root = (home / "root.json").read_bytes()
    except OSError:
        return None
    # Another process may replace the timestamp meanwhile: what is read is of one.
    try:
        directory = proof.read(Overlaid(files, {layout.TIMESTAMP_FILE: timestamp}), root, now, of)
    except BadDirectory:
        pinned_root(home)  # whether that is damaged, and not what follows from it
        raise
    return counted(directory, read_known(home / KNOWN) or {})


def accept_keys(home: Path, party: Member | Gateway | Partner | Card) -> None:
    """The party's keys count here from now on, though no key that is known here may have named them."""
    with _alone(home):
        write_known(home / KNOWN, accepted(read_known(home / KNOWN) or {}, party))


class Follower:
    """A ``DirectorySource`` in a folder. ``mirrors`` are its own from now on; they are asked in the order given.

    ``now``: microseconds since the epoch. BadDirectory where no root is pinned in the folder.
    """

    def __init__(self, home: Path, of: Federation, mirrors: MirrorSource, now: Callable[[], int]) -> None:
        self._home, self._of, self._mirrors, self._now = home, of, mirrors, now
        self.files = Folder(home / "files")
        try:
            self.root = (home / "root.json").read_bytes()
        except OSError:
            raise BadDirectory(
                "no root of the directory is pinned here",
                place=str(home / "root.json"),
                remedy="Join the federation first",
            ) from None
        self._turn = threading.Lock()
        self._held: Directory | None = None
        self._trouble: dict[str, str] = {}
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._load()

    def current(self, now: int) -> Directory:
        """The directory in force. DirectoryExpired after its time, or where there never was one."""
        directory = self.latest(now)
        if now >= directory.expires:
            raise expired(directory)
        return directory

    def latest(self, now: int) -> Directory:
        """The newest directory known, expired or not. DirectoryExpired before there ever was one."""
        held = self._held
        if held is None:
            raise DirectoryExpired(
                "the directory was never fetched here", remedy="Is the directory service, or a mirror, reachable?"
            )
        counted = held.as_of(now)
        if counted is not held and self._held is held:
            self._held = counted
        return counted

    def refresh(self) -> Directory:
        """Asks the mirrors in turn until one is up to date; gives what is then in force.

        NodeUnreachable where none could be asked, BadDirectory where none served what verifies.
        """
        with self._turn:
            failures: list[CimfedError] = []
            for mirror in self._mirrors(self._held):
                try:
                    directory = self._refresh_from(mirror)
                except CimfedError as error:
                    self._note(mirror.name, f"{error.reason}: {error.message}")
                    failures.append(error)
                else:
                    self._note(mirror.name, "")
                    return directory
        if not failures:
            raise NodeUnreachable("no mirror of the directory is known")
        raise failures[0]

    def start(self) -> None:
        """Refreshes every two seconds from now on, in a thread."""
        self._thread = threading.Thread(target=self._keep_up, name="directory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        self._mirrors.close()

    def _keep_up(self) -> None:
        while not self._ending.wait(REFRESH_EVERY):
            try:
                self.refresh()
            except CimfedError:
                pass  # noted by mirror
            except Exception:
                log.exception("the directory could not be refreshed")

    def _note(self, mirror: str, trouble: str) -> None:
        """Says once what is wrong with a mirror, and once that it is well again."""
        if self._trouble.get(mirror, "") != trouble:
            self._trouble[mirror] = trouble
            if trouble:
                version = f"; version {self._held.version} stays in force until it expires" if self._held else ""
                log.warning("mirror %s: %s%s", mirror, trouble, version)
            else:
                log.info("mirror %s: up to date", mirror)

    def _load(self) -> None:
        """What was in force when this folder was last written."""
        try:
            known = last_known(self._home, self._of, self._now())
        except BadDirectory as error:
            log.error("%s: %s; nothing of it counts until a mirror was asked", self.files.path, error.line)
            return
        if known is not None:
            self._accept(known)

    def _refresh_from(self, mirror: Mirror) -> Directory:
        held, now = self._held, self._now()
        timestamp = mirror.get(layout.TIMESTAMP_FILE)
        if held is not None and timestamp == held.files.get(layout.TIMESTAMP_FILE):
            if now >= held.expires:
                raise expired(held)
            if held.strangers and (known := read_known(self._home / KNOWN)) is not None:
                self._accept(counted(held, known))  # some may have been accepted
            return self.latest(now)
        fetcher = Fetcher(mirror, timestamp, self.files, self._now)
        try:
            with _alone(self._home):
                try:
                    updated = self._update(fetcher, now)
                except RepositoryError:
                    # After the board has replaced stolen online keys, a version may come again with other content.
                    fetcher.kept = None
                    updated = self._update(fetcher, now)
                self._check_fork(timestamp, updated)
        except DownloadHTTPError:
            raise BadDirectory("the mirror lacks files that it should have") from None
        except DownloadError:
            raise BadDirectory("a file of the mirror is longer than it may be") from None
        except Unreachable as error:
            raise error.cause from None
        except OSError as error:
            raise BadDirectory(f"the directory cannot be kept: {error.strerror}", place=str(self._home)) from None
        except proof.BROKEN as error:
            raise BadDirectory(f"what the mirror serves does not verify: {proof.said(error)}") from None
        self._accept(updated)
        return updated

    def _update(self, fetcher: Fetcher, now: int) -> Directory:
        trusted = self._home / "trusted"
        trusted.mkdir(exist_ok=True)
        updater = Updater(str(trusted), "metadata/", None, "targets/", fetcher, _CONFIG, bootstrap=self.root)
        updater.refresh()
        proof.check_names(parsed((trusted / "snapshot.json").read_bytes()).signed)
        _keep_metadata(trusted, self.files, (layout.TARGETS, layout.SNAPSHOT))
        for path in (layout.SERVICE, layout.MEMBERS, *layout.PARTNERS, layout.REVOKED):
            self._fetch_target(updater, path)
        registrar = parsed((trusted / "registrar.json").read_bytes()).signed
        for path in {layout.VOCABULARY, layout.SUCCESSIONS} & registrar.targets.keys():
            self._fetch_target(updater, path)
        cities = []
        for city in proof.city_stewards(registrar):
            if self._fetch_routing(updater, fetcher, city):
                cities.append(city)
        _keep_metadata(trusted, self.files, (layout.REGISTRAR, layout.REVOKER, *cities))
        for file in (trusted / "root_history").glob("*.root.json"):
            if f"metadata/{file.name}" not in self.files:
                self.files.put(f"metadata/{file.name}", file.read_bytes())
        content = (trusted / "timestamp.json").read_bytes()
        files = Overlaid(self.files, {layout.TIMESTAMP_FILE: content})
        directory = None
        if self._held is not None:
            directory = proof.restamped(self._held, files, self.root, now)
        if directory is None:
            directory = proof.read(files, self.root, now, self._of)
        self._check_revoked(directory)
        directory = self._remembered(directory)
        self.files.put(layout.TIMESTAMP_FILE, content)
        return directory

    def _remembered(self, directory: Directory) -> Directory:
        """Rule 6. What is learned is kept before the directory is."""
        path = self._home / KNOWN
        known = read_known(path)
        before = learned({}, self._held) if known is None and self._held is not None else known or {}
        after = learned(before, directory)
        if after != known:
            write_known(path, after)
        return counted(directory, after)

    def _fetch_routing(self, updater: Updater, fetcher: Fetcher, city: str) -> bool:
        """Whether the city has a routing entry; asks the mirror again for one that is kept here and does not verify.

        What is not what the snapshot vouches for is the mirror's fault; what is, and yet says nothing, the city's.
        """
        kept = fetcher.kept
        try:
            try:
                self._fetch_target(updater, layout.routing_target(city))
            except RepositoryError:
                fetcher.kept = None
                self._fetch_target(updater, layout.routing_target(city))
        except LengthOrHashMismatchError:
            raise
        except (*proof.BROKEN, BadDirectory) as error:
            log.debug("no routing entry of %s: %s", city, error)
            return False
        finally:
            fetcher.kept = kept
        return True

    def _check_revoked(self, after: Directory) -> None:
        """Rule 5."""
        before = self._held
        if before is None or before.versions[layout.TARGETS] < after.versions[layout.TARGETS]:
            return
        if not set(after.revoked) >= set(before.revoked):
            raise BadDirectory(
                "what was revoked here is so no more, and the board has not spoken since",
                remedy="Tell the administrator: the keys of the revoker and of the directory service are misused",
            )

    @staticmethod
    def _check_fork(served: bytes | None, after: Directory) -> None:
        """Rule 5. Bytes that were only put down in another way say the same."""
        kept = after.files[layout.TIMESTAMP_FILE]
        if served is None or served == kept:
            return
        one, other = parsed(served), parsed(kept)
        if one.signed.version == other.signed.version and one.signed != other.signed:
            raise BadDirectory(
                f"there are two timestamps of version {one.signed.version}",
                remedy="Tell the administrator: the directory service's key is misused",
            )

    def _fetch_target(self, updater: Updater, path: str) -> None:
        target = updater.get_targetinfo(path)
        if target is None:
            raise BadDirectory(f"{path} is not there")
        file = self.files.path / proof.file_of(target)
        if updater.find_cached_target(target, str(file)) is None:
            partial = file.with_suffix(".partial")
            updater.download_target(target, str(partial))
            replace_file(file, partial.read_bytes())
            partial.unlink()

    def _accept(self, directory: Directory) -> None:
        before = self._held
        self._held = directory
        if directory.strangers - (before.strangers if before else frozenset()):
            for party in held_back(directory):
                log.warning("%s has new keys that no key of it names; they do not count: docs/keys.md", party.name)
        if before is None or before.version != directory.version:
            difference = other_vocabulary(directory)
            if difference is not None:
                log.warning("%s", difference)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One process at a time: the framework's state is several files."""
    handle = os.open(home / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o660)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _keep_metadata(trusted: Path, files: Folder, roles: Sequence[str]) -> None:
    """Verified metadata, under the names that others ask for."""
    for role in roles:
        content = (trusted / f"{role}.json").read_bytes()
        path = metadata_file(role, parsed(content).signed.version)
        if not layout.is_file(path):
            raise BadDirectory("a version is too high")
        if files.get(path) != content:
            files.put(path, content)


def fingerprint(root: bytes) -> str:
    """Of a root file, for people and invitations: SHA-256 in hex."""
    return sha256(root).hex()
