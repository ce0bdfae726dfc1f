"""The directory's files where they are published from, and the one hand that writes them.

1. What is taken is a publication that ``cimfed.trust.directory.acceptance`` lets pass: one after the other, never two
   at once. Everything else is left as it was.
2. Files are written first, then the log, then a new root and the timestamp: until then nobody is told of a new version,
   and none is told of without its entry in the log. After a crash before the log has it, the version before is current
   and the publication can be sent again. Once the log has it, it is published: the same transaction keeps what is to be
   shown, and whoever comes next shows it (``_roll_on``). So the log never names two files for one version.
3. The timestamp is renewed long before it ends, the snapshot too, so that what the roles say stays current for as long
   as the service runs.
4. Nothing is ever removed: old receipts point to old versions.
"""

from __future__ import annotations

import logging
import threading
from collections import ChainMap
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from cimfed.errors import BadDirectory, CimfedError, Conflict
from cimfed.model.names import DirectoryName, Federation
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.acceptance import accept, found, metadata_of
from cimfed.trust.directory.follow import pin
from cimfed.trust.directory.listing import Directory, expired
from cimfed.trust.directory.mirrors import Folder
from cimfed.trust.directory.publication import parsed, restamp, role_of, stamp
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import Signer
from cimfed.trust.tlog.entries import Publication
from cimfed_gateway.directory import tables
from cimfed_gateway.directory.admission import Roster, nothing_published, settle
from cimfed_gateway.directory.tables import Records

log = logging.getLogger(__name__)

_MICROSECOND = timedelta(microseconds=1)
STAMPED_FOR = layout.TIMESTAMP_LIFE // _MICROSECOND
RESTAMP_LEFT = STAMPED_FOR * 2 // 3  # what is left of a timestamp when it is renewed: it may be fetched for longer
SNAPSHOT_LEFT = layout.SNAPSHOT_LIFE // _MICROSECOND // 2


class Repository:
    """``home`` has ``root.json``, the first root, and ``files``. Safe for several threads of one process."""

    def __init__(
        self,
        home: Path,
        of: Federation,
        service: DirectoryName,
        online: Signer,
        records: Records,
        now: Callable[[], int],
    ) -> None:
        """BadDirectory where what lies there does not verify."""
        self._home, self._of, self._service = home, of, service
        self._online, self._records, self._now = online, records, now
        self._turn = threading.Lock()
        self.files = Folder(home / "files")
        self._root = b""
        self._held: Directory | None = None
        self._load()

    def roster(self) -> Roster:
        """DirectoryExpired before the first publication."""
        if self._held is None:
            raise nothing_published()
        return Roster(self._held.as_of(self._now()))

    def current(self, now: int) -> Directory:
        """The directory in force, for what is asked in this service's own name. DirectoryExpired."""
        directory = self.latest(now)
        if now >= directory.expires:
            raise expired(directory)
        return directory

    def latest(self, now: int) -> Directory:
        if self._held is None:
            raise nothing_published()
        return self._held.as_of(now)

    def begin(self, publication: Mapping[str, bytes]) -> Directory:
        """The first publication of the federation, whose root is pinned by it: the operator's deed, not a caller's.

        Conflict where there is a directory; BadDirectory for files that are none, or that name another service.
        """
        with self._turn:
            if self._held is not None:
                raise Conflict("there is a directory here already", remedy="Publish to it while it is served")
            now = self._now()
            files = found(publication, self._online, now)
            root = publication[layout.metadata_file(layout.ROOT, 1)]
            directory = self._own(proof.read(files, root, now, self._of))
            pin(self._home, root)
            self._root = root
            return self._put(directory, files, publication, now)

    def publish(self, publication: Mapping[str, bytes]) -> Directory:
        """The directory with it. BadDirectory, Conflict, TooLarge, ClockBehind, LogUnavailable, DirectoryExpired."""
        with self._turn:
            if self._held is None:
                raise nothing_published()
            self._roll_on()
            now = self._now()
            files = accept(self._held, self._root, publication, self._online, now)
            directory = self._own(proof.read({**self._held.files, **files}, self._root, now, self._of))
            return self._put(directory, files, publication, now)

    def renew(self) -> bool:
        """A new timestamp, and snapshot, where it is time for one; whether it was."""
        with self._turn:
            if self._held is None:
                return False
            self._roll_on()
            now = self._now()
            if self._held.ends[layout.SNAPSHOT] - now < SNAPSHOT_LEFT:
                files = stamp(self._held.files, {}, self._online, now)
            elif self._held.ends[layout.TIMESTAMP] - now < RESTAMP_LEFT:
                files = restamp(self._held.files, self._online, now)
            else:
                return False
            current = {**self._held.files, **files}
            directory = proof.restamped(self._held, current, self._root, now)
            directory = directory or proof.read(current, self._root, now, self._of)
            self._write(files)
            self._show(directory, files)
            return True

    def settle(self) -> None:
        """Ends the requests whose card is listed."""
        if self._held is not None:
            with self._records.writing() as transaction:
                settle(transaction, self.roster(), self._now())

    def _put(
        self, directory: Directory, files: Mapping[str, bytes], publication: Mapping[str, bytes], now: int
    ) -> Directory:
        self._write(files)
        with self._records.writing() as transaction:
            tables.check_clock(transaction, now)
            for path in metadata_of(publication):
                version, digest = parsed(publication[path]).signed.version, sha256(publication[path])
                tables.note(transaction, Publication(now, role_of(path), version, digest))
            tables.show_last(transaction, {path: files[path] for path in files if _is_shown_last(path)})
        self._show(directory, files)
        log.info("published: %s; the directory is at version %d", _roles(publication), directory.version)
        try:
            self.settle()
        except CimfedError as error:  # the next publication, or the next start, makes up for it
            log.error("the requests that were published could not be ended: %s", error)
        return directory

    def _write(self, files: Mapping[str, bytes]) -> None:
        for path, content in files.items():
            if not _is_shown_last(path):
                self.files.put(path, content)

    def _show(self, directory: Directory, files: Mapping[str, bytes]) -> None:
        """A root first: readers look for the next one by its name."""
        for path in sorted(filter(_is_shown_last, files), key=lambda path: path == layout.TIMESTAMP_FILE):
            self.files.put(path, files[path])
        self._held = directory

    def _roll_on(self) -> None:
        """Shows what the log has and nobody was shown: of a publication that broke off."""
        with self._records.reading() as connection:
            kept = tables.shown_last(connection)
        if not kept or _stamped(kept) <= _stamped(self.files):
            return
        current = ChainMap(dict(kept), self.files)  # type: ignore[arg-type]  # nothing is written to it
        self._show(proof.read(current, self._root, self._now(), self._of), kept)
        log.info("a publication that had broken off is shown")

    def _own(self, directory: Directory) -> Directory:
        if directory.service.name != self._service:
            raise BadDirectory(
                f"the directory names {directory.service.name} as its service, this is {self._service}",
                remedy="Send it to the service that it names",
            )
        return directory

    def _load(self) -> None:
        root = self._home / "root.json"
        if not root.exists():
            return
        self._root = root.read_bytes()
        self._roll_on()
        if layout.TIMESTAMP_FILE not in self.files:
            return
        self._held = proof.read(self.files, self._root, self._now(), self._of)


def _is_shown_last(path: str) -> bool:
    """What readers ask for by a name that they know beforehand."""
    return path == layout.TIMESTAMP_FILE or (path.startswith("metadata/") and role_of(path) == layout.ROOT)


def _stamped(files: Mapping[str, bytes]) -> int:
    """The version of the timestamp; 0 where there is none."""
    content = files.get(layout.TIMESTAMP_FILE)
    return 0 if content is None else int(parsed(content).signed.version)


def _roles(publication: Mapping[str, bytes]) -> str:
    return ", ".join(f"{role_of(path)} {parsed(publication[path]).signed.version}" for path in metadata_of(publication))
