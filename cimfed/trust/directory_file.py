"""The directory as a file on disk: the one place in ``cimfed.trust`` that keeps state there.

1. The file is looked at (stat) every two seconds at most, and read again when it has changed.
2. The version in force never goes back, nor does one version come with two contents: both are kept in a small state
   file, written before the new directory is used, so that a restart forgets nothing.
3. A new file that is broken, unsigned or older leaves the directory in force as it is, loudly, until that expires.
   One that could not be read or recorded is tried again at the next look: it may revoke a key.

4. A directory that publishes another vocabulary than this release's is good, and said so when it comes into force.

It may be asked from several threads (a TLS stack has its own). Reading and checking happen in the caller's thread.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cimfed.errors import BadDirectory, CimfedError
from cimfed.model.names import Federation
from cimfed.trust.directory import Directory, expired, other_vocabulary
from cimfed.trust.directory_format import parse, parse_however_old
from cimfed.trust.files import replace_file
from cimfed.trust.keys import PublicKey

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds


class _NotKept(BadDirectory):
    """This host's fault, not the file's: it is worth another look."""


class FileDirectory:
    """A ``DirectorySource`` over a file. ``state`` is the path of the state file; ``monotonic`` gives seconds.

    One registrar's key may sign directories of several federations: only that of ``federation`` is taken.
    """

    def __init__(
        self,
        path: Path,
        registrar: PublicKey,
        state: Path,
        federation: Federation,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._registrar, self._state, self._monotonic = path, registrar, state, monotonic
        self._federation = federation
        self._lock = threading.Lock()
        self._directory: Directory | None = None
        self._error: CimfedError | None = None
        self._looked: float | None = None
        self._seen: tuple[int, int, int] | None = None

    def current(self, now: int) -> Directory:
        """The directory in force. BadDirectory before there ever was a good one, DirectoryExpired after its time."""
        directory = self.latest(now)
        if now >= directory.expires:
            raise expired(directory)
        return directory

    def latest(self, now: int) -> Directory:
        """The newest directory known, expired or not. BadDirectory before there ever was a good one."""
        with self._lock:
            moment = self._monotonic()
            if self._looked is None or moment - self._looked >= LOOK_EVERY:
                self._looked = moment
                self._look()
            if self._directory is None:
                raise self._error or BadDirectory("there is no directory", place=str(self._path))
            return self._directory

    def update(self, content: bytes, now: int) -> Directory:
        """Puts a fetched directory in force and in the file. BadDirectory, and no change, where it may not be."""
        with self._lock:
            directory = parse(content, self._registrar, now)
            self._check_version(directory)
            try:
                replace_file(self._path, content)
                self._seen = self._stamp()
            except OSError as error:
                raise BadDirectory(
                    f"the new directory cannot be kept: {error.strerror}", place=str(self._path)
                ) from None
            self._accept(directory)
            return directory

    def _look(self) -> None:
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._accept(parse_however_old(self._path.read_bytes(), self._registrar))
            self._seen, self._error = stamp, None
        except _NotKept as error:
            self._error = error
        except CimfedError as error:
            self._seen, self._error = stamp, error
        except OSError as error:
            self._error = BadDirectory(
                f"the directory cannot be read: {error.strerror}",
                place=str(self._path),
                remedy="Get the current file from the administrator or a gateway",
            )
        if self._error is not None:
            kept = f"; version {self._directory.version} stays in force" if self._directory else ""
            log.error("%s: %s%s", self._path, self._error, kept)

    def _accept(self, directory: Directory) -> None:
        """Puts it in force, after recording its version (rule 2)."""
        if self._check_version(directory):
            state = {"federation": directory.federation, "version": directory.version, "sha256": directory.hash.hex()}
            try:
                replace_file(self._state, json.dumps(state).encode())
            except OSError as error:
                raise _NotKept(
                    f"the directory's version cannot be recorded: {error.strerror}", place=str(self._state)
                ) from None
        difference = other_vocabulary(directory)
        if difference is not None:
            log.warning("%s: %s", self._path, difference)
        self._directory = directory

    def _check_version(self, directory: Directory) -> bool:
        """Whether it is newer than what was seen. BadDirectory where it is older, or another of the same version."""
        if directory.federation != self._federation:
            raise BadDirectory(
                f"this is the directory of {directory.federation}, not of {self._federation}", place=str(self._path)
            )
        version, known = self._floor()
        if directory.version < version:
            raise BadDirectory(
                f"version {directory.version} of the directory is older than version {version}, which was seen before",
                place=str(self._path),
            )
        if directory.version == version and directory.hash.hex() != known:
            raise BadDirectory(
                f"there are two different files of version {version} of the directory",
                place=str(self._path),
                remedy="Tell the administrator: the registrar's key signed both",
            )
        return directory.version > version

    def _floor(self) -> tuple[int, str]:
        """The highest version seen and its hash; 0 where none was."""
        try:
            state = json.loads(self._state.read_bytes())
            of, version, known = str(state["federation"]), int(state["version"]), str(state["sha256"])
            if of != self._federation:
                raise ValueError
        except FileNotFoundError:
            return 0, ""
        except (OSError, ValueError, KeyError, TypeError):
            raise BadDirectory(
                "the record of directory versions is damaged",
                place=str(self._state),
                remedy="If you are sure of the current directory, remove this file",
            ) from None
        return version, known

    def _stamp(self) -> tuple[int, int, int]:
        stat = os.stat(self._path)
        return stat.st_mtime_ns, stat.st_size, stat.st_ino
