"""Handing the routing entry of a policy that came into force to the directory service.

The steward signed it when the policy was signed, and whoever has it may publish it; so the operator need not wait for
anybody. What goes wrong here leaves the policy in force: the city answers as it says, and is asked as the entry before
says, until the new one is published.
"""

from __future__ import annotations

from pathlib import Path

from cimfed.errors import BadDirectory, CimfedError
from cimfed.rpc import clock
from cimfed.rpc.service import ServiceClient
from cimfed.trust.directory import publication
from cimfed.trust.directory.acceptance import metadata_of
from cimfed.trust.directory.follow import last_known
from cimfed.trust.identity_files import read
from cimfed_node.config import Home

SUFFIX, ROUTING_SUFFIX = ".policy.json", ".routing.json"


def announced(home: Home, policy: Path) -> str:
    """What came of it, for people; empty where there is no routing entry beside the policy."""
    beside = policy.with_name(policy.name.removesuffix(SUFFIX) + ROUTING_SUFFIX)
    if not policy.name.endswith(SUFFIX) or not beside.exists():
        return ""
    try:
        files = publication.from_file(read(beside), str(beside))
        roles = {publication.role_of(path): publication.parsed(files[path]).signed for path in metadata_of(files)}
        if roles.keys() != {home.city}:
            raise BadDirectory(f"this is no routing entry of {home.city}", place=str(beside))
        directory = last_known(home.directory, home.federation, clock.now())
        if directory is not None and directory.versions.get(home.city, 0) >= roles[home.city].version:
            return "its routing entry is published already"
        with ServiceClient(home.settings.directory, directory) as service:
            version = service.publish(files)
    except CimfedError as error:
        return f"its routing entry is not published: {error.line}. Later: cimfed policy publish {beside}"
    return f"its routing entry is published, in version {version} of the directory"
