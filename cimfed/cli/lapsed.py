"""The directory as it is served, for those who can mend it: also where something that a role said has ended.

A follower takes nothing that has ended, so with the registrar's word, or the revoker's, it would be over for the very
commands that renew it. Everything is verified here as ever but the ends; and no version is older than one seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from cimfed.errors import BadDirectory, CimfedError, DirectoryExpired
from cimfed.model.names import Federation
from cimfed.rpc import clock
from cimfed.rpc.mirror import Mirrors
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.follow import Follower
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Mirror


def current(home: Path, of: Federation, service: str) -> Directory:
    """What the service has now. NodeUnreachable, BadDirectory."""
    mirrors = Mirrors(of, service)
    follower = Follower(home, of, mirrors, clock.now)
    try:
        try:
            return follower.refresh()
        except (BadDirectory, DirectoryExpired) as error:
            return _ended(follower, mirrors, of, error)
    finally:
        follower.close()


def _ended(follower: Follower, mirrors: Mirrors, of: Federation, error: CimfedError) -> Directory:
    """The directory in spite of its end; the error itself, where that is not all that is wrong."""
    now = clock.now()
    try:
        known: Directory | None = follower.latest(now)
    except DirectoryExpired:
        known = None
    for mirror in mirrors(known):
        try:
            found = proof.read(_Served(mirror), follower.root, now, of)
        except CimfedError:
            continue
        older = known and [role for role, version in known.versions.items() if found.versions.get(role, 0) < version]
        if not older and now >= found.expires:
            return found
    raise error


class _Served(Mapping[str, bytes]):
    """The files of a mirror, each asked for once."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._had: dict[str, bytes | None] = {}

    def __getitem__(self, path: str) -> bytes:
        if path not in self._had:
            self._had[path] = self._mirror.get(path) if layout.is_file(path) else None
        content = self._had[path]
        if content is None:
            raise KeyError(path)
        return content

    def __iter__(self) -> Iterator[str]:
        return iter(path for path, content in self._had.items() if content is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
