"""The directory: files of a TUF repository, followed from a root that is pinned. It says whose signatures count."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.oracle.wire.encoding import Refused, sha256
from tests.oracle.wire.envelopes import JSON_TYPE, of_json, open_envelope, signed_by

TIMESTAMP = "metadata/timestamp.json"
DELEGATED = {
    "registrar": ["members.json", "vocabulary.json", "partners/*", "routing/*"],
    "revoker": ["revoked.json"],
}
DAY = 86_400_000_000
TOLERANCE = 30_000_000

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Directory:
    """Keys by name, of whoever is neither revoked nor suspended. Certificates and what policies say are not looked at.

    ``routed``: the cities whose stewards signed a routing entry. ``served``: where cities and gateways are reached, as
    it is listed. ``issued`` to ``expires``: when the directory is in force.
    """

    federation: str
    version: int
    issued: int
    expires: int
    members: Mapping[str, Sequence[bytes]]
    gateways: Mapping[str, Sequence[bytes]]
    partners: Mapping[str, Sequence[bytes]]
    routed: Sequence[str]
    served: Mapping[str, Mapping[str, Any]]


def bad(what: str) -> Refused:
    return Refused("bad_directory", what)


def read_directory(files: Files, root: bytes, now: int, *, expired_too: bool = False) -> Directory:
    try:
        found = _read(files, root, now)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise bad("malformed") from None
    if now >= found.expires and not expired_too:
        raise Refused("directory_expired", f"at {found.expires}")
    return found


def canonical(value: Any) -> bytes:
    """The bytes that are signed: keys sorted, no blanks, no floats; in texts only ``"`` and ``\\`` are escaped."""
    match value:
        case bool() | None:
            return {True: b"true", False: b"false", None: b"null"}[value]
        case int():
            return str(value).encode()
        case str():
            return b'"' + value.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
        case list():
            return b"[" + b",".join(map(canonical, value)) + b"]"
        case dict():
            return b"{" + b",".join(canonical(key) + b":" + canonical(value[key]) for key in sorted(value)) + b"}"
    raise bad("a number that is no integer")


def raw_key(text: str) -> bytes:
    algorithm, digits = text.split(":")
    if algorithm != "ed25519":
        raise bad("a key of another algorithm")
    return bytes.fromhex(digits)


def _read(files: Files, pinned: bytes, now: int) -> Directory:
    root = _role(pinned, "root", _holders(json.loads(pinned)["signed"], "root"))
    while (path := f"metadata/{root['version'] + 1}.root.json") in files:
        later = _role(files[path], "root", _holders(root, "root"))
        _role(files[path], "root", _holders(later, "root"))
        if later["version"] != root["version"] + 1:
            raise bad("a root of another version than its name")
        root = later
    timestamp = _role(files[TIMESTAMP], "timestamp", _holders(root, "timestamp"))
    vouched = timestamp["meta"]["snapshot.json"]
    snapshot = _vouched(files, "snapshot", vouched, _holders(root, "snapshot"))

    def role(name: str, by: Mapping[str, Any]) -> dict[str, Any]:
        return _vouched(files, name, snapshot["meta"][f"{name}.json"], _holders(by, name))

    targets = role("targets", root)
    if {item["name"]: item["paths"] for item in targets["delegations"]["roles"]} != DELEGATED:
        raise bad("the board delegates something else")
    registrar, revoker = role("registrar", targets), role("revoker", targets)
    issued = _instant(timestamp["x-cimfed-issued"])
    if _instant(revoker["expires"]) > issued + DAY + TOLERANCE:
        raise bad("revocations that say they hold for more than a day")
    federation = json.loads(_target(files, targets, "service.json"))["federation"]
    revoked = {item["subject"] for item in json.loads(_target(files, revoker, "revoked.json"))["revoked"]}
    listed = json.loads(_target(files, registrar, "members.json"))
    stewards = {item["name"]: item for item in (registrar.get("delegations") or {"roles": []})["roles"]}
    if {name: item["paths"] for name, item in stewards.items()} != {
        name: [f"routing/{name}.json"] for name in listed["members"]
    }:
        raise bad("stewards of others than the members, or of more")
    partners: dict[str, Any] = {}
    for path in (path for path in registrar["targets"] if re.fullmatch(r"partners/[0-9a-f]\.json", path)):
        if (content := _target_if_there(files, registrar, path)) is not None:
            partners |= json.loads(content)["partners"]
    return Directory(
        federation,
        snapshot["version"],
        issued,
        min(_instant(item["expires"]) for item in (root, timestamp, snapshot, targets, registrar, revoker)),
        _standing(listed["members"], revoked, now),
        _standing(listed["gateways"], revoked, now),
        _standing(partners, revoked, now),
        [name for name in listed["members"] if _is_routed(files, snapshot, registrar, name)],
        {**listed["members"], **listed["gateways"]},
    )


def _role(data: bytes, name: str, holders: tuple[list[bytes], int]) -> dict[str, Any]:
    """What a file of metadata says, once enough of the role's keys have signed it."""
    document = json.loads(data)
    said, (keys, threshold) = document["signed"], holders
    by_id = {item["keyid"]: bytes.fromhex(item["sig"]) for item in document["signatures"]}
    good = {key for key in keys if signed_by(key, by_id.get(sha256(key).hex(), b""), canonical(said))}
    if len(good) < threshold or threshold < 1:
        raise bad(f"{name} is not signed by enough of its keys")
    if said["_type"] != (name if name in ("root", "timestamp", "snapshot") else "targets"):
        raise bad(f"another kind of file than {name}")
    return dict(said)


def _holders(by: Mapping[str, Any], name: str) -> tuple[list[bytes], int]:
    """The keys of a role and its threshold, as a root or a delegating role names them."""
    if by["_type"] == "root":
        about, keys = by["roles"][name], by["keys"]
    else:
        (about,) = (item for item in by["delegations"]["roles"] if item["name"] == name)
        keys = by["delegations"]["keys"]
    found = []
    for key_id in about["keyids"]:
        raw = bytes.fromhex(keys[key_id]["keyval"]["public"])
        if (keys[key_id]["keytype"], keys[key_id]["scheme"]) != ("ed25519", "ed25519") or sha256(raw).hex() != key_id:
            raise bad("a key of another algorithm, or under another id than its own")
        found.append(raw)
    return found, about["threshold"]


def _vouched(files: Files, name: str, meta: Mapping[str, Any], holders: tuple[list[bytes], int]) -> dict[str, Any]:
    data = files[f"metadata/{meta['version']}.{name}.json"]
    if (len(data), sha256(data).hex()) != (meta["length"], meta["hashes"]["sha256"]):
        raise bad(f"{name} is another file than was vouched for")
    said = _role(data, name, holders)
    if said["version"] != meta["version"]:
        raise bad(f"{name} is of another version than was vouched for")
    return said


def _target(files: Files, role: Mapping[str, Any], path: str) -> bytes:
    content = _target_if_there(files, role, path)
    if content is None:
        raise bad(f"{path} is not there")
    return content


def _target_if_there(files: Files, role: Mapping[str, Any], path: str) -> bytes | None:
    about = role["targets"][path]
    folder, slash, name = path.rpartition("/")
    content = files.get(f"targets/{folder}{slash}{about['hashes']['sha256']}.{name}")
    if content is not None and (len(content), sha256(content).hex()) != (about["length"], about["hashes"]["sha256"]):
        raise bad(f"{path} is another file than its role says")
    return content


def _standing(parties: Mapping[str, Any], revoked: set[str], now: int) -> dict[str, list[bytes]]:
    """Keys of everybody who is neither revoked nor suspended now, without those that are revoked."""
    found = {}
    for name, item in parties.items():
        start, end = map(_instant, item.get("suspended", ["1970-01-01T00:00:00Z"] * 2))
        if name not in revoked and not start <= now < end:
            keys = [raw_key(key if isinstance(key, str) else key["key"]) for key in item["keys"]]
            found[name] = [key for key in keys if sha256(key).hex() not in revoked]
    return found


def _is_routed(files: Files, snapshot: Mapping[str, Any], registrar: Mapping[str, Any], city: str) -> bool:
    """A city whose own role does not verify has no routing entry; everything else counts all the same."""
    try:
        keys, threshold = _holders(registrar, city)
        own = _vouched(files, city, snapshot["meta"][f"{city}.json"], (keys, threshold))
        envelope = of_json(_target(files, own, f"routing/{city}.json").decode())
        payload = open_envelope(envelope, JSON_TYPE.format("routing"), keys)
    except (Refused, ValueError, KeyError, TypeError):
        return False
    return bool(json.loads(payload)["city"] == city)


def _instant(text: str) -> int:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", text):
        raise bad("a time in another form")
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)
