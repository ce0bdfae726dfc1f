"""The directory as it is served, for those who can mend it: also where something that a role said has ended.

A follower takes nothing that has ended, so with the registrar's word, or the revoker's, it would be over for the very
commands that renew it. Everything is verified here as ever but the ends; and no version is older than one seen.
"""

from __future__ import annotations

from pathlib import Path

from cimfed.errors import BadDirectory, CimfedError, DirectoryExpired
from cimfed.model.names import Federation
from cimfed.rpc import clock
from cimfed.rpc.mirror import Mirrors
from cimfed.trust.directory import proof
from cimfed.trust.directory.follow import Follower
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Served


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
            found = proof.read(Served(mirror), follower.root, now, of)
        except CimfedError:
            continue
        older = known and [role for role, version in known.versions.items() if found.versions.get(role, 0) < version]
        if not older and now >= found.expires:
            return found
    raise error
