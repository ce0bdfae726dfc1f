"""Drafting and signing: the next version of a role, on the machine where its keys are.

A ``draft`` is files: metadata that still lacks signatures, with the targets that it names. ``sign`` adds one signature
to every metadata that a key may sign; whoever holds another key of the role may add theirs, anywhere, later. A draft
whose thresholds are met is a publication, which the directory service takes (``acceptance``). The service itself
stamps: ``stamp`` makes the next snapshot and timestamp, ``restamp`` the next timestamp of the same snapshot.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import rfc8785
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Key,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from cimfed.errors import BadConfig, BadDirectory
from cimfed.model.instants import datetime_of, instant_text
from cimfed.model.names import CityName, Federation
from cimfed.trust.directory import documents, layout
from cimfed.trust.directory.layout import Files, metadata_file, target_file
from cimfed.trust.directory.listing import Listing, Revocation, Service
from cimfed.trust.directory.proof import BROKEN, ISSUED
from cimfed.trust.directory.tufkeys import RoleSigner, keys_by_id, role_keys
from cimfed.trust.envelope import Envelope, to_json
from cimfed.trust.keys import PublicKey, Signer

_COMPACT = JSONSerializer(compact=True)


@dataclass(frozen=True)
class Holders:
    """Who holds a role: its keys, and how many of them must sign."""

    keys: tuple[PublicKey, ...]
    threshold: int = 1

    def __post_init__(self) -> None:
        if len(set(self.keys)) != len(self.keys):
            raise BadConfig("a key is named twice")
        if not 1 <= self.threshold <= len(self.keys):
            raise BadConfig(f"{self.threshold} of {len(self.keys)} keys cannot sign", remedy="Name more keys")


def root_draft(version: int, board: Holders, online: PublicKey, now: int) -> dict[str, bytes]:
    """The root of that version: the board signs for ``root`` and ``targets``, the service's key for the others."""
    keys = keys_by_id((*board.keys, online))
    holders = {
        layout.ROOT: board,
        layout.TARGETS: board,
        layout.SNAPSHOT: Holders((online,)),
        layout.TIMESTAMP: Holders((online,)),
    }
    roles = {name: Role([key.id.hex() for key in held.keys], held.threshold) for name, held in holders.items()}
    root = Root(version, None, _end(now, layout.BOARD_LIFE), keys, roles, consistent_snapshot=True)
    return _draft(layout.ROOT, root, {})


def targets_draft(
    version: int, of: Federation, service: Service, registrar: Holders, revoker: Holders, now: int
) -> dict[str, bytes]:
    """The board's word: who the service, the registrar and the revoker are."""
    delegations = _delegations(
        [
            (layout.REGISTRAR, registrar, list(layout.REGISTRAR_PATHS)),
            (layout.REVOKER, revoker, [layout.REVOKED]),
        ]
    )
    end = _end(now, layout.BOARD_LIFE)
    return _draft(
        layout.TARGETS,
        Targets(version, None, end, delegations=delegations),
        {layout.SERVICE: documents.service_document(of, service)},
    )


def registrar_draft(
    version: int, of: Federation, listing: Listing, now: int, life: timedelta = layout.REGISTRAR_LIFE
) -> dict[str, bytes]:
    """The registrar's word: everybody listed, and each city's stewards."""
    cities = [
        (name, Holders(member.stewards), [layout.routing_target(name)]) for name, member in listing.members.items()
    ]
    contents = {
        layout.MEMBERS: documents.members_document(of, listing.members, listing.gateways),
        **documents.partners_documents(of, listing.partners),
    }
    if listing.successions:
        contents[layout.SUCCESSIONS] = documents.successions_document(of, listing.successions)
    if listing.vocabulary is not None:
        contents[layout.VOCABULARY] = documents.vocabulary_document(listing.vocabulary)
    delegations = _delegations(cities) if cities else None
    return _draft(layout.REGISTRAR, Targets(version, None, _end(now, life), delegations=delegations), contents)


def revoker_draft(version: int, of: Federation, revoked: Sequence[Revocation], now: int) -> dict[str, bytes]:
    """The revoker's word, for a day."""
    return _draft(
        layout.REVOKER,
        Targets(version, None, _end(now, layout.REVOKED_LIFE)),
        {layout.REVOKED: documents.revoked_document(of, revoked)},
    )


def city_draft(city: CityName, version: int, routing: Envelope, ends: int) -> dict[str, bytes]:
    """A city's word: its routing entry. ``ends``: when its policy does."""
    targets = Targets(version, None, datetime_of(ends))
    return _draft(city, targets, {layout.routing_target(city): to_json(routing)})


def sign(draft: Files, signer: Signer, holders: Mapping[str, Iterable[PublicKey]]) -> dict[str, bytes]:
    """The draft with this key's signature on every metadata that it may sign, by ``holders``. BadConfig: on none."""
    signed, count = dict(draft), 0
    for path, content in draft.items():
        if path.startswith("metadata/") and signer.public in holders.get(role_of(path), ()):
            signed[path] = _signed(content, signer)
            count += 1
    if not count:
        raise BadConfig("this key signs nothing of this draft", remedy="Compare it with the keys of the role")
    return signed


def missing_signatures(draft: Files, role: str, held: Holders) -> int:
    """How many more distinct keys must sign that role's metadata in the draft."""
    (path,) = (path for path in draft if path.startswith("metadata/") and role_of(path) == role)
    metadata = parsed(draft[path])
    good = sum(_by(metadata, key) for key in set(held.keys))
    return max(0, held.threshold - good)


def role_of(path: str) -> str:
    """The role of a file of metadata."""
    name = path.removeprefix("metadata/").removesuffix(".json")
    return name if name == layout.TIMESTAMP else name.split(".", 1)[1]


def holders_of(root: Root | Targets, role: str) -> Holders:
    """Who holds a role by what a root or a delegating role says."""
    found = root.get_delegated_role(role)
    if isinstance(root, Root):
        keys = root.keys
    else:
        assert root.delegations is not None
        keys = root.delegations.keys
    return Holders(role_keys(found, keys), found.threshold)


def parsed(content: bytes) -> Metadata[Any]:
    """BadDirectory for what is no metadata. Nothing is verified."""
    try:
        return Metadata[Any].from_bytes(content)
    except BROKEN:
        raise BadDirectory("this is no metadata of a directory") from None


# The service's own


def stamp(current: Files, changed: Files, signer: Signer, now: int) -> dict[str, bytes]:
    """The next snapshot and timestamp: ``current`` is what they are now (empty: none), ``changed`` new files."""
    old = _newest(current)
    meta: dict[str, MetaFile] = {}
    snapshot_version, timestamp_version = 1, 1
    if old is not None:
        timestamp, snapshot = old
        meta.update(snapshot.meta)
        snapshot_version, timestamp_version = snapshot.version + 1, timestamp.version + 1
    for path, content in changed.items():
        if path.startswith("metadata/") and (role := role_of(path)) not in (layout.ROOT,):
            meta[f"{role}.json"] = MetaFile.from_data(parsed(content).signed.version, content, ["sha256"])
    new = Metadata(Snapshot(snapshot_version, None, _end(now, layout.SNAPSHOT_LIFE), meta))
    new.sign(RoleSigner(signer))
    content = new.to_bytes(_COMPACT)
    stamped = _timestamp(timestamp_version, MetaFile.from_data(snapshot_version, content, ["sha256"]), signer, now)
    return {metadata_file(layout.SNAPSHOT, snapshot_version): content, layout.TIMESTAMP_FILE: stamped}


def restamp(current: Files, signer: Signer, now: int) -> dict[str, bytes]:
    """The next timestamp over the snapshot that is current."""
    old = _newest(current)
    if old is None:
        raise BadDirectory("there is no directory to stamp")
    timestamp, _ = old
    return {layout.TIMESTAMP_FILE: _timestamp(timestamp.version + 1, timestamp.snapshot_meta, signer, now)}


def _newest(current: Files) -> tuple[Timestamp, Snapshot] | None:
    if layout.TIMESTAMP_FILE not in current:
        return None
    timestamp = parsed(current[layout.TIMESTAMP_FILE]).signed
    assert isinstance(timestamp, Timestamp)
    snapshot = parsed(current[metadata_file(layout.SNAPSHOT, timestamp.snapshot_meta.version)]).signed
    assert isinstance(snapshot, Snapshot)
    return timestamp, snapshot


def _timestamp(version: int, snapshot: MetaFile, signer: Signer, now: int) -> bytes:
    fields = {ISSUED: instant_text(now - now % 1_000_000)}
    metadata = Metadata(Timestamp(version, None, _end(now, layout.TIMESTAMP_LIFE), snapshot, fields))
    metadata.sign(RoleSigner(signer))
    return metadata.to_bytes(_COMPACT)


def _draft(role: str, signed: Targets | Root, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for path, content in contents.items():
        assert isinstance(signed, Targets)
        target = TargetFile.from_data(path, content, ["sha256"])
        signed.targets[path] = target
        files[target_file(path, target.hashes["sha256"])] = content
    return {metadata_file(role, signed.version): Metadata[Any](signed).to_bytes(_COMPACT), **files}


def _delegations(roles: Iterable[tuple[str, Holders, list[str]]]) -> Delegations:
    keys: dict[str, Key] = {}
    found: dict[str, DelegatedRole] = {}
    for name, held, paths in roles:
        keys |= keys_by_id(held.keys)
        found[name] = DelegatedRole(
            name, [key.id.hex() for key in held.keys], held.threshold, terminating=True, paths=paths
        )
    return Delegations(keys, found)


def _signed(content: bytes, signer: Signer) -> bytes:
    metadata = parsed(content)
    metadata.sign(RoleSigner(signer), append=True)
    return metadata.to_bytes(_COMPACT)


def _by(metadata: Metadata[Any], key: PublicKey) -> bool:
    signature = metadata.signatures.get(key.id.hex())
    if signature is None:
        return False
    try:
        return key.verifies(bytes.fromhex(signature.signature), metadata.signed_bytes)
    except ValueError:
        return False


def _end(now: int, life: timedelta) -> datetime:
    return datetime_of(now).replace(microsecond=0) + life


# A draft or a publication as one file, to be carried from one machine to the next

FORMAT = "cimfed/publication/v1"


def to_file(files: Files) -> bytes:
    return rfc8785.dumps(
        {"format": FORMAT, "files": {path: b64encode(content).decode() for path, content in files.items()}}
    )


def from_file(data: bytes, place: str) -> dict[str, bytes]:
    """BadDirectory for what is none. Nothing is verified."""
    try:
        document = json.loads(data)
        if document.keys() != {"format", "files"} or document["format"] != FORMAT:
            raise ValueError
        files = {str(path): b64decode(text, validate=True) for path, text in document["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadDirectory(f"not a draft or a publication of format {FORMAT}", place=place) from None
    if not files or not all(layout.is_file(path) for path in files):
        raise BadDirectory("a file in it is none of a directory's", place=place)
    return files
