"""How a newcomer that has an invitation, and nothing else, comes to know the federation's directory.

1. The service is asked at the invitation's address, whoever it shows itself to be. Nothing that it says is believed.
2. Its root files are taken one after the other until one has the SHA-256 that the invitation names.
3. From that root the directory is verified as every follower does it (``cimfed.trust.directory.follow``). What is
   pinned then is its newest root.
4. From there on the service is asked under the issuers that the directory lists for it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from cimfed.errors import BadDirectory
from cimfed.model.admission import AskStatus, Join, Status
from cimfed.model.names import Federation
from cimfed.rpc import clock
from cimfed.rpc.mirror import Mirrors, UnknownService
from cimfed.rpc.service import ServiceClient
from cimfed.trust.directory import layout
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.layout import metadata_file
from cimfed.trust.directory.listing import Directory
from cimfed.trust.hashing import sha256
from cimfed.trust.invitation import Invitation


@dataclass(frozen=True)
class Met:
    """The directory as it was met by an invitation, and the root to pin."""

    invitation: Invitation
    directory: Directory
    root: bytes


def meet(invitation: Invitation) -> Met:
    """NodeUnreachable where the service is away, BadDirectory where what it serves is not what was named."""
    directory = looked_up(named_root(invitation), invitation.federation, invitation.service)
    newest = metadata_file(layout.ROOT, directory.versions[layout.ROOT])
    return Met(invitation, directory, directory.files[newest])


def named_root(invitation: Invitation) -> bytes:
    """The root file that the invitation names."""
    service = UnknownService(invitation.service)
    try:
        for version in range(1, layout.ROOTS + 1):
            content = service.get(metadata_file(layout.ROOT, version))
            if content is None:
                break
            if sha256(content) == invitation.root:
                return content
    finally:
        service.close()
    raise BadDirectory(
        f"{invitation.service} does not have the directory that the invitation names",
        place="TOKEN",
        remedy="Ask the administrator whether the invitation is of this federation: who answers there may be another",
    )


def looked_up(root: bytes, of: Federation, service: str) -> Directory:
    """The directory as the service has it now, with all files that prove it; nothing of it is kept on disk."""
    with tempfile.TemporaryDirectory(prefix="cimfed-directory-") as folder:
        pin(Path(folder), root)
        follower = Follower(Path(folder), of, Mirrors(of, service), clock.now)
        try:
            return follower.refresh()
        finally:
            follower.close()


def hand_in(met: Met, card: bytes) -> Status:
    """Hands in a card; the same one again is the same request."""
    key, name = met.invitation.key, met.invitation.name
    with ServiceClient(met.invitation.service, met.directory) as service:
        return service.join(Join(key.id, card, key.join_code(name, card)))


def ask_status(met: Met) -> Status:
    """What became of the card."""
    key, name = met.invitation.key, met.invitation.name
    with ServiceClient(met.invitation.service, met.directory) as service:
        return service.join_status(AskStatus(key.id, name, key.status_code(name)))
