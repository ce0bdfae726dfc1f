"""Files and a trusted root to a ``Directory``: the one way there, for followers, receipts and the service itself.

The steps are those of the framework's specification (5.3 to 5.6), over files that are at hand. Numbered in the code as
here; whatever breaks one is ``BadDirectory``:

1. the trusted root is signed by its own keys; each later one by those of the root before and by its own;
2. the timestamp is signed by its key of the last root; it vouches for the snapshot's version, length and hash;
3. the snapshot vouches for those of every role, and for nothing else;
4. ``targets`` is signed by the board; it delegates to the registrar and the revoker just what is theirs;
5. the registrar's role is signed by the registrar; it delegates to each city's stewards that city's routing entry;
6. the revoker's role is signed by the revoker, for no longer than a day;
7. every role names its own targets and no others; each has the length and the one hash that its role says;
8. the documents keep the rules of ``cimfed.trust.directory.documents``.

Every key stands under its own id (``tufkeys``), so a threshold counts distinct keys. Nothing is refused here for its
age: the earliest end of all stands in ``Directory.expires``, and whoever holds it looks there. What protects from
rollback is the memory of what was seen, which is the follower's. A bin of partners may be missing (a receipt has one),
and the successions, which tell those who remember other keys (``cimfed.trust.directory.continuity``).
A city's role may be missing, be signed by stewards that it has no more, or say more than its routing entry: it then has
no routing entry, and so cannot be ruled out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Set
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from securesystemslib.signer import Key, Signature
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from cimfed.errors import BadConfig, BadDirectory, BadSignature, CimfedError
from cimfed.model.instants import instant_of, instant_text, parse_instant
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, Federation, PartnerName, city_name
from cimfed.trust.directory import documents, layout
from cimfed.trust.directory.layout import Files, metadata_file, target_file
from cimfed.trust.directory.listing import Directory, Listing, Member, Partner
from cimfed.trust.directory.tufkeys import role_keys
from cimfed.trust.envelope import Envelope, from_json
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import PublicKey

ISSUED = "x-cimfed-issued"
"""A field of the timestamp: when it was made."""

S = TypeVar("S", bound=Signed)
BROKEN = (RepositoryError, DeserializationError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What the framework raises for bytes of others."""
logging.getLogger("tuf.api").setLevel(logging.WARNING)  # it tells of every key of a threshold that did not sign


def read(files: Files, trusted_root: bytes, at: int, of: Federation | None = None) -> Directory:
    """The directory that the files prove, as it counts at the instant ``at``. ``of``: no other federation's."""
    try:
        return _read(files, trusted_root, at, of)
    except BROKEN as error:
        raise BadDirectory(f"the directory does not verify: {said(error)}") from None
    except BadConfig as error:  # a name of another kind
        raise BadDirectory(f"the directory does not verify: {error.message}") from None


def follow_roots(files: Files, trusted_root: bytes) -> tuple[Root, list[str]]:
    """Step 1: the last root that follows from the trusted one, and the paths of both and of those between."""
    root = _trusted(trusted_root)
    paths = [metadata_file(layout.ROOT, root.version)]
    while (path := metadata_file(layout.ROOT, root.version + 1)) in files and len(paths) <= layout.ROOTS:
        data = files[path]
        following, signed, signatures = _parsed(Root, data)
        _check_top(following)
        root.verify_delegate(layout.ROOT, signed, signatures)
        following.verify_delegate(layout.ROOT, signed, signatures)
        if following.version != root.version + 1:
            raise BadDirectory("a root has another version than its name", place=path)
        root = following
        paths.append(path)
    return root, paths


def restamped(directory: Directory, files: Files, trusted_root: bytes, at: int) -> Directory | None:
    """The same directory under a newer timestamp; None where the files have another snapshot or another root."""
    try:
        root, used = follow_roots(files, trusted_root)
        timestamp = _role(files, layout.TIMESTAMP_FILE, Timestamp, root, layout.TIMESTAMP)
        file = metadata_file(layout.SNAPSHOT, timestamp.snapshot_meta.version)
        if not directory.files.keys() >= {file, *used}:
            return None
        _check_meta(directory.files, file, timestamp.snapshot_meta)
    except BROKEN as error:
        raise BadDirectory(f"the directory does not verify: {said(error)}") from None
    return replace(
        directory,
        issued=_issued(timestamp),
        ends={**directory.ends, layout.TIMESTAMP: instant_of(timestamp.expires)},
        at=at,
        files={**directory.files, layout.TIMESTAMP_FILE: files[layout.TIMESTAMP_FILE]},
    )


def check_root(data: bytes) -> Root:
    """A root that is signed by its own keys, else BadDirectory: what a follower begins with."""
    try:
        return _trusted(data)
    except BROKEN as error:
        raise BadDirectory(f"this is no root of a directory: {said(error)}", remedy="Give the root.json") from None


def for_receipt(directory: Directory, partners: Iterable[PartnerName]) -> Files:
    """What proves the directory without the bins of partners other than these, and without the successions."""
    bins = {layout.partners_bin(name).removeprefix("partners/") for name in partners}
    return {
        path: content
        for path, content in directory.files.items()
        if not path.startswith("targets/partners/") or path.split(".", 1)[1] in bins
    }


def _read(files: Files, trusted_root: bytes, at: int, of: Federation | None) -> Directory:
    # 1
    root, used = follow_roots(files, trusted_root)
    # 2
    timestamp = _role(files, layout.TIMESTAMP_FILE, Timestamp, root, layout.TIMESTAMP)
    # 3
    snapshot_file = metadata_file(layout.SNAPSHOT, timestamp.snapshot_meta.version)
    _check_meta(files, snapshot_file, timestamp.snapshot_meta)
    snapshot = _role(files, snapshot_file, Snapshot, root, layout.SNAPSHOT)
    if snapshot.version != timestamp.snapshot_meta.version:
        raise BadDirectory("the snapshot is another than the timestamp's")
    check_names(snapshot)
    used += [layout.TIMESTAMP_FILE, snapshot_file]
    opened = _Opened(files, snapshot, used)
    # 4
    targets = opened.role(layout.TARGETS, root)
    _check_delegations(targets)
    _check_targets(targets, {layout.SERVICE})
    federation, service = documents.parse_service(opened.target(targets, layout.SERVICE))
    if of is not None and federation != of:
        raise BadDirectory(f"this is the directory of {federation}, not of {of}")
    # 5
    registrar = opened.role(layout.REGISTRAR, targets)
    stewards = city_stewards(registrar)
    _check_targets(registrar, {layout.MEMBERS, layout.SUCCESSIONS, layout.VOCABULARY, *layout.PARTNERS})
    # 6
    revoker = opened.role(layout.REVOKER, targets)
    _check_targets(revoker, {layout.REVOKED})
    if revoker.delegations is not None:
        raise BadDirectory("the revoker delegates")
    if instant_of(revoker.expires) > _issued(timestamp) + _micros(layout.REVOKED_LIFE + layout.FUTURE):
        raise BadDirectory("the list of revocations says that it is good for more than a day")
    revoked = documents.parse_revoked(opened.target(revoker, layout.REVOKED), federation)
    # 7, 8
    members, gateways = documents.parse_members(opened.target(registrar, layout.MEMBERS), federation, stewards)
    routed = {name: _with_routing(member, opened, registrar) for name, member in members.items()}
    partners: dict[PartnerName, Partner] = {}
    for path in layout.PARTNERS:
        content = opened.target_if_there(registrar, path)
        if content is not None:
            partners |= documents.parse_partners(content, federation, path)
    vocabulary = (
        documents.parse_vocabulary(opened.target(registrar, layout.VOCABULARY))
        if layout.VOCABULARY in registrar.targets
        else None
    )
    named = layout.SUCCESSIONS in registrar.targets
    content = opened.target_if_there(registrar, layout.SUCCESSIONS) if named else None
    successions = documents.parse_successions(content, federation) if content is not None else ()
    published = Listing(routed, gateways, partners, vocabulary, successions)
    documents.check(federation, service, published.parties())
    roles = {
        layout.ROOT: root, layout.TIMESTAMP: timestamp, layout.SNAPSHOT: snapshot,
        layout.TARGETS: targets, layout.REGISTRAR: registrar, layout.REVOKER: revoker,
    }  # fmt: skip
    return Directory(
        federation=federation,
        version=snapshot.version,
        issued=_issued(timestamp),
        ends={name: instant_of(role.expires) for name, role in roles.items()},
        service=service,
        published=published,
        revoked=revoked,
        at=at,
        files={used[0]: trusted_root, **{path: files[path] for path in used[1:]}},
        versions={
            layout.ROOT: root.version,
            **{name.removesuffix(".json"): meta.version for name, meta in snapshot.meta.items()},
        },
        hash=sha256(files[snapshot_file]),
    )


class _Opened:
    """Roles and targets of one snapshot; ``used`` collects the paths of what was verified."""

    def __init__(self, files: Files, snapshot: Snapshot, used: list[str]) -> None:
        self._files, self._snapshot, self.used = files, snapshot, used

    def role(self, name: str, delegator: Root | Targets) -> Targets:
        found = self.role_if_there(name, delegator)
        if found is None:
            raise BadDirectory(f"the role {name} is not there")
        return found

    def role_if_there(self, name: str, delegator: Root | Targets) -> Targets | None:
        meta = self._snapshot.meta.get(f"{name}.json")
        if meta is None or (path := metadata_file(name, meta.version)) not in self._files:
            return None
        _check_meta(self._files, path, meta)
        found = _role(self._files, path, Targets, delegator, name)
        if found.version != meta.version:
            raise BadDirectory(f"the role {name} has another version than its snapshot says")
        self.used.append(path)
        return found

    def length(self, name: str) -> int:
        """Of the metadata of a role."""
        return self._snapshot.meta[f"{name}.json"].length or 0

    def target(self, role: Targets, path: str) -> bytes:
        content = self.target_if_there(role, path)
        if content is None:
            raise BadDirectory(f"{path} is not at hand")
        return content

    def target_if_there(self, role: Targets, path: str) -> bytes | None:
        """None where the file is not at hand; the role must name it."""
        target = role.targets.get(path)
        if target is None:
            raise BadDirectory(f"{path} is not there")
        file = file_of(target)
        content = self._files.get(file)
        if content is None:
            return None
        target.verify_length_and_hashes(content)
        self.used.append(file)
        return content


def city_stewards(registrar: Targets) -> dict[str, tuple[PublicKey, ...]]:
    """Step 5: the stewards of each city that the registrar delegates to."""
    delegations = registrar.delegations
    roles = delegations.roles if delegations is not None else None
    found: dict[str, tuple[PublicKey, ...]] = {}
    for name, role in (roles or {}).items():
        city = _city(name)
        assert delegations is not None
        if role.paths != [layout.routing_target(city)] or not role.terminating:
            raise BadDirectory("a city is given more or less than its routing entry", place=city)
        found[city] = role_keys(role, delegations.keys)
    return found


def _with_routing(member: Member, opened: _Opened, registrar: Targets) -> Member:
    used = list(opened.used)
    try:
        role = opened.role_if_there(member.name, registrar)
        if role is not None:
            _check_targets(role, {layout.routing_target(member.name)})
            if role.delegations is not None or opened.length(member.name) > layout.CITY_LIMIT:
                raise BadDirectory("a city says more than its routing entry", place=member.name)
        content = opened.target_if_there(role, layout.routing_target(member.name)) if role else None
        routed = member if content is None else replace(member, routing=routing_envelope(content))
        routed.entry  # noqa: B018  # verifies it
    except (*BROKEN, CimfedError):
        opened.used[:] = used
        return member
    return routed


def routing_envelope(content: bytes) -> Envelope:
    try:
        return from_json(content, 2 * LIMITS.envelope)
    except BadSignature as error:
        raise BadDirectory(error.message, place="routing") from None


def _check_delegations(targets: Targets) -> None:
    """Step 4: to the registrar and the revoker just what is theirs."""
    wanted = {layout.REGISTRAR: list(layout.REGISTRAR_PATHS), layout.REVOKER: [layout.REVOKED]}
    delegations = targets.delegations
    roles = (delegations.roles if delegations is not None else None) or {}
    if {name: role.paths for name, role in roles.items()} != wanted:
        raise BadDirectory("the board delegates to others than registrar and revoker, or other things")
    assert delegations is not None
    for role in roles.values():
        if not role.terminating:
            raise BadDirectory("a delegation of the board does not end the search")
        role_keys(role, delegations.keys)


def check_names(snapshot: Snapshot) -> None:
    """Step 3: a follower keeps metadata by the name of its role, so no other role may take one of those at the top."""
    for name in snapshot.meta:
        role = name.removesuffix(".json")
        if role not in (layout.TARGETS, layout.REGISTRAR, layout.REVOKER):
            _city(role)


def _city(role: str) -> CityName:
    try:
        return city_name(role)
    except CimfedError as error:
        raise BadDirectory(f"a role is no city's: {error.message}") from None


def _check_targets(role: Targets, own: Set[str]) -> None:
    others = role.targets.keys() - own
    if others:
        raise BadDirectory(f"a role names a target that is not its own: {min(others)[:100]!r}")


def file_of(target: TargetFile) -> str:
    """The file of a target: the one hash is that of its name, for every reader."""
    if target.hashes.keys() != {"sha256"}:
        raise BadDirectory("a target has another hash than SHA-256")
    file = target_file(target.path, target.hashes["sha256"])
    if not layout.is_file(file):
        raise BadDirectory("a target has a hash that is none")
    return file


def _role(files: Files, path: str, kind: type[S], delegator: Root | Targets, name: str) -> S:
    """Its signatures hold; BadDirectory where it is not there."""
    if path not in files:
        raise BadDirectory(f"{path} is not there")
    data = files[path]
    found, signed, signatures = _parsed(kind, data)
    role = delegator.get_delegated_role(name)
    keys = delegator.keys if isinstance(delegator, Root) else _delegated_keys(delegator)
    role_keys(role, keys)
    delegator.verify_delegate(name, signed, signatures)
    return found


def _delegated_keys(delegator: Targets) -> dict[str, Key]:
    assert delegator.delegations is not None
    return delegator.delegations.keys


def _trusted(data: bytes) -> Root:
    root, signed, signatures = _parsed(Root, data)
    _check_top(root)
    root.verify_delegate(layout.ROOT, signed, signatures)
    return root


def _check_top(root: Root) -> None:
    if not root.consistent_snapshot:
        raise BadDirectory("the root does not ask for consistent snapshots")
    for name in layout.TOP:
        role_keys(root.get_delegated_role(name), root.keys)


def _parsed(kind: type[S], data: bytes) -> tuple[S, bytes, dict[str, Signature]]:
    """What a file says, the bytes of it that are signed, and the signatures of these."""
    if len(data) > layout.METADATA_LIMIT:
        raise BadDirectory("a file of the directory is too large")
    metadata = Metadata[Any].from_bytes(data)
    if not isinstance(metadata.signed, kind):
        raise BadDirectory(f"this is no {kind.type} of the directory")
    return metadata.signed, metadata.signed_bytes, metadata.signatures


def _check_meta(files: Files, path: str, meta: MetaFile) -> None:
    if path not in files:
        raise BadDirectory(f"{path} is not there")
    if not meta.hashes or meta.hashes.keys() != {"sha256"} or meta.length is None:
        raise BadDirectory("the directory names a file without its hash and length", place=path)
    meta.verify_length_and_hashes(files[path])


def _issued(timestamp: Timestamp) -> int:
    text = timestamp.unrecognized_fields.get(ISSUED)
    issued = parse_instant(text) if isinstance(text, str) else None
    if issued is None or instant_text(issued) != text:
        raise BadDirectory("the timestamp does not say when it was made")
    return issued


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def said(error: Exception) -> str:
    """The framework's words where it has its own; they name roles, versions and counts alone."""
    return str(error)[:200] if isinstance(error, RepositoryError) else type(error).__name__
