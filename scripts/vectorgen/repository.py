"""The directory of the vectors as a repository of The Update Framework, and what can be done to it.

    made = Repository(ALMATY)
    made.contents["members.json"] = b"..."      # a target; its role names it as it then is
    made.signers["timestamp"] = (GATEWAY,)      # who signs
    made.files(change)                          # signed from the targets up to the timestamp

What a role says is what ``cimfed.trust.directory.publication`` drafts; signing and stamping are done here by hand.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from cimfed.model.instants import instant_text
from cimfed.model.names import CityName, DirectoryName
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.layout import (
    REGISTRAR,
    REVOKER,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    metadata_file,
    target_file,
)
from cimfed.trust.directory.listing import Listing, Revocation, Service
from cimfed.trust.directory.proof import ISSUED
from cimfed.trust.directory.publication import Holders, role_of
from cimfed.trust.envelope import Envelope
from cimfed.trust.hashing import sha256
from tests.oracle.wire.directory import canonical
from vectorgen.parties import LIFE, NOW, ROUTED, SCO, SECOND, VERSION, issuer, listing, routing, signer

Signed = dict[str, Any]
Files = dict[str, bytes]
Change = Callable[[str, Signed], object]

BOARD = ("board 1", "board 2", "board 3")
ONLINE = "directory service"
SERVICE = DirectoryName("dir.alliance")
LOG = "log of dir.alliance"
SIGNERS: Mapping[str, tuple[str, ...]] = {
    TARGETS: BOARD[:2],
    REGISTRAR: (REGISTRAR,),
    REVOKER: (REVOKER,),
    SNAPSHOT: (ONLINE,),
    TIMESTAMP: (ONLINE,),
}
MADE = NOW - 300 * SECOND
SPEC = "1.0.31"
SNAPSHOT_ENDS, TIMESTAMP_ENDS = "2026-10-21T17:41:40Z", "2026-10-14T17:56:40Z"
ENDS = NOW + 600 * SECOND  # the timestamp's end is the first


def held(*names: str, threshold: int = 1) -> Holders:
    return Holders(tuple(signer(name).public for name in names), threshold)


BOARD_HELD = held(*BOARD, threshold=2)


def signed(said: Signed, *names: str) -> bytes:
    """A file of metadata, signed by these."""
    message = canonical(said)
    signatures = [{"keyid": signer(name).public.id.hex(), "sig": signer(name).sign(message).hex()} for name in names]
    return json.dumps({"signatures": signatures, "signed": said}, separators=(",", ":"), sort_keys=True).encode()


class Repository:
    """``roots``: what each version of the root says, and who signs it."""

    def __init__(
        self, *cities: CityName, listed: Listing | None = None, revoked: Sequence[Revocation] = (), at: int = MADE
    ) -> None:
        self.roles: dict[str, Signed] = {}
        self.contents: dict[str, bytes] = {}
        self.signers = dict(SIGNERS)
        service = Service(SERVICE, "dir.example:7443", (issuer(SERVICE),), (signer(LOG).public,))
        everybody = listing(*cities) if listed is None else listed
        self._take(drafts.targets_draft(2, SCO, service, held(REGISTRAR), held(REVOKER), at))
        self._take(drafts.registrar_draft(5, SCO, everybody, at))
        self._take(drafts.revoker_draft(3, SCO, revoked, at))
        for city in cities:
            if city in ROUTED:
                self.route(city, routing(city))
        self.roots = [(said_of(drafts.root_draft(1, BOARD_HELD, signer(ONLINE).public, at)), BOARD[:2])]
        self.roles[SNAPSHOT] = {"_type": SNAPSHOT, "spec_version": SPEC, "version": VERSION, "expires": SNAPSHOT_ENDS}
        self.roles[TIMESTAMP] = {
            "_type": TIMESTAMP, "spec_version": SPEC, "version": 12, "expires": TIMESTAMP_ENDS,
            ISSUED: instant_text(at),
        }  # fmt: skip

    def route(self, city: CityName, entry: Envelope, *by: str) -> None:
        self._take(drafts.city_draft(city, 3, entry, NOW + LIFE))
        self.signers[city] = by or (f"steward of {city}",)

    def files(self, change: Change = lambda role, said: None) -> Files:
        """``change`` is given what each role is about to say, once that is complete."""
        found = {metadata_file(ROOT, 1 + at): signed(said, *by) for at, (said, by) in enumerate(self.roots)}
        meta: dict[str, Any] = {}
        for name in [name for name in self.roles if name not in (SNAPSHOT, TIMESTAMP)]:
            said = copy.deepcopy(self.roles[name])
            for path, content in ((path, self.contents[path]) for path in said["targets"]):
                said["targets"][path] = {"hashes": {"sha256": sha256(content).hex()}, "length": len(content)}
                found[target_file(path, sha256(content).hex())] = content
            meta[f"{name}.json"] = self._put(found, name, said, change)
        meta = {"snapshot.json": self._put(found, SNAPSHOT, self.roles[SNAPSHOT] | {"meta": meta}, change)}
        self._put(found, TIMESTAMP, self.roles[TIMESTAMP] | {"meta": meta}, change)
        return found

    def _put(self, found: Files, name: str, said: Signed, change: Change) -> dict[str, Any]:
        said = copy.deepcopy(said)
        version = said["version"]
        change(name, said)
        data = found[metadata_file(name, version)] = signed(said, *self.signers[name])
        return {"version": version, "length": len(data), "hashes": {"sha256": sha256(data).hex()}}

    def _take(self, draft: Mapping[str, bytes]) -> None:
        said = said_of(draft)
        (path,) = (path for path in draft if path.startswith("metadata/"))
        self.roles[role_of(path)] = said
        for target, about in said["targets"].items():
            self.contents[target] = draft[target_file(target, about["hashes"]["sha256"])]


def said_of(draft: Mapping[str, bytes]) -> Signed:
    (data,) = (content for path, content in draft.items() if path.startswith("metadata/"))
    return dict(json.loads(data)["signed"])


@cache
def directory(*cities: CityName) -> Files:
    """Version 7 of the directory, in force at NOW; of nobody where there are no cities."""
    return Repository(*cities).files()
