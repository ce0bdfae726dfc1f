"""The log's part of a receipt: the entry of a decision, its way to the root of a tree, and who signed that."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.oracle.wire.directory import Directory
from tests.oracle.wire.encoding import Refused, sha256
from tests.oracle.wire.envelopes import signed_by
from tests.oracle.wire.streams import City

LARGEST_ENTRY = 16 * 1024
LARGEST_NOTE = 64 * 1024
MOST_SIGNATURES = 64
NOTE, COSIGNATURE = 0x01, 0x04  # kinds of signatures
SECOND = 1_000_000
TOLERANCE = 31 * SECOND
NUMBERS = ("time", "policy")
FACTS = (
    *("type", "time", "position", "request_hash", "key_id", "organisation", "presenter", "kind"),
    *("purpose", "collection", "policy", "grant", "view", "reason"),
)
REPEATED = ("replayed", "expired_query", "not_addressed")

Signatures = Sequence[tuple[str, bytes, bytes]]  # name, hash of the key, value


@dataclass(frozen=True)
class Asked:
    """What the receipt's query says, and who signed and presented it."""

    request_hash: bytes
    key_id: bytes
    organisation: str
    presenter: str
    kind: str
    purpose: str
    collection: str


@dataclass(frozen=True)
class Logged:
    origin: str
    index: int
    size: int
    cosigned: Sequence[str]


def bad(what: str) -> Refused:
    return Refused("log_inconsistent", what)


def read_log_part(part: Mapping[str, Any], city: City, asked: Asked, directory: Directory) -> Logged:
    entry = read_entry(part["entry"])
    _check_entry(entry, city.manifest or {}, asked)
    text, signatures = read_note(part["checkpoint"])
    origin, size, root = read_checkpoint(text)
    name = f"{directory.federation}/{city.name}"
    if not re.fullmatch(rf"{re.escape(name)}(/([2-9]|[1-9][0-9]+))?", origin):
        raise bad("a checkpoint of another log")
    own = _signed(signatures, origin, NOTE, city.keys, text)
    if not own:
        raise Refused("forged", "the city did not sign the checkpoint")
    if part["index"] >= size or climb(part["index"], size, leaf_hash(part["entry"]), part["proof"]) != root:
        raise bad("the log has no such entry there")
    others, times = 0, dict[str, list[int]]()
    for witness, keys in directory.members.items():
        if witness == city.name:
            continue
        found = _signed(signatures, f"{directory.federation}/{witness}", COSIGNATURE, keys, text)
        others += len(found)
        if found:
            times[witness] = [int.from_bytes(value[:8], "big") for value in found]
    if len(own) + others != len(signatures):
        raise Refused("forged", "a signature of nobody who may sign this")
    if any(min(found) * SECOND + TOLERANCE < entry["time"] for found in times.values()):
        raise bad("cosigned before it was decided")
    return Logged(origin, part["index"], size, sorted(times))


# Entries


def read_entry(data: bytes) -> dict[str, Any]:
    """A decision's facts; those that are left out are empty or zero."""
    try:
        entry = json.loads(data)
        canonical = json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except (ValueError, RecursionError):
        raise bad("an entry is not in canonical JSON") from None
    if len(data) > LARGEST_ENTRY or canonical != data or not isinstance(entry, dict):
        raise bad("an entry is not in canonical JSON, or too large")
    if entry.get("type") != "decision" or not entry.keys() <= set(FACTS):
        raise bad("no decision")
    if any(type(value) is not (int if name in NUMBERS else str) or not value for name, value in entry.items()):
        raise bad("a fact of another kind, or one that is empty")
    return {name: entry.get(name, 0 if name in NUMBERS else "") for name in FACTS}


def _check_entry(entry: Mapping[str, Any], manifest: Mapping[str, Any], asked: Asked) -> None:
    said: dict[str, Any] = {
        "position": f"{manifest['decision']:016x}",
        "request_hash": asked.request_hash.hex(),
        "key_id": asked.key_id.hex(),
        "organisation": asked.organisation,
        "presenter": asked.presenter,
        "kind": asked.kind,
        "purpose": asked.purpose[:64],
        "collection": asked.collection[:64],
    }
    if entry["reason"]:
        said["reason"] = manifest["reason"] if manifest["outcome"] == "refused" else ""
    else:
        said["view"] = manifest["view"]
    if entry["reason"] in REPEATED:
        if entry["time"] > manifest["now"]:
            raise bad("a refusal that was repeated before it was given")
    else:
        said |= {"time": manifest["now"], "grant": manifest["grant"]}
        if manifest["policy_version"] or not (entry["reason"] or asked.kind == "catalog"):
            said["policy"] = manifest["policy_version"]
    for name, value in said.items():
        if entry[name] != value:
            raise bad(f"another {name} than the answer")


# Trees (RFC 6962, 2.1)


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\0" + entry)


def climb(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root of a tree of that size with this leaf there, given the hashes beside its way, the lowest first."""
    if size == 1:
        if proof:
            raise bad("the proof is too long")
        return leaf
    if not proof or len(proof[-1]) != 32:
        raise bad("the proof is too short, or holds what is no hash")
    left = 1
    while 2 * left < size:
        left *= 2
    if index < left:
        return sha256(b"\1" + climb(index, left, leaf, proof[:-1]) + proof[-1])
    return sha256(b"\1" + proof[-1] + climb(index - left, size - left, leaf, proof[:-1]))


# Signed notes


def read_note(note: str) -> tuple[str, Signatures]:
    """The text that is signed, with its last newline, and the lines of signatures."""
    text, gap, lines = note.rpartition("\n\n")
    if len(note.encode()) > LARGEST_NOTE or not gap or not lines.endswith("\n"):
        raise bad("not a signed note")
    if any(char < " " and char != "\n" for char in note):
        raise bad("a note with control characters")
    signatures = [_signature(line) for line in lines[:-1].split("\n")]
    if len(signatures) > MOST_SIGNATURES:
        raise bad("too many signatures")
    return text + "\n", signatures


def read_checkpoint(text: str) -> tuple[str, int, bytes]:
    """Name, size and root of a log."""
    lines = text.split("\n")
    if len(lines) != 4 or not lines[0] or not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]):
        raise bad("not a checkpoint")
    size, root = int(lines[1]), _base64(lines[2])
    if len(root) != 32 or size >= 2**63 or (size == 0) != (root == sha256(b"")):
        raise bad("not a checkpoint")
    return lines[0], size, root


def _signature(line: str) -> tuple[str, bytes, bytes]:
    found = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
    value = _base64(found[2]) if found else b""
    if not found or len(value) < 5:
        raise bad("a line that is no signature")
    return found[1], value[:4], value[4:]


def _signed(signatures: Signatures, name: str, kind: int, keys: Sequence[bytes], text: str) -> list[bytes]:
    """The values of the signatures that bear this name and the hash of one of these keys, all of which must hold."""
    found = []
    for key in keys:
        hashed = sha256(name.encode() + b"\n" + bytes([kind]) + key)[:4]
        for value in (value for *of, value in signatures if of == [name, hashed]):
            if not _holds(kind, key, value, text):
                raise Refused("forged", f"a signature of {name} does not hold")
            found.append(value)
    return found


def _holds(kind: int, key: bytes, value: bytes, text: str) -> bool:
    if kind == NOTE:
        return signed_by(key, value, text.encode())
    seconds = int.from_bytes(value[:8], "big")
    return seconds < 2**63 and signed_by(key, value[8:], f"cosignature/v1\ntime {seconds}\n{text}".encode())


def _base64(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except ValueError:
        raise bad("not in base64") from None
    if base64.b64encode(found).decode() != text:
        raise bad("not in canonical base64")
    return found
