"""The entries of a log: what was decided, what came of it, what was done. Digests and names, never data or filters.

An entry is canonical JSON (RFC 8785) with a ``type``; these bytes are what the tree is made of, and the only truth: a
field that is empty is left out, so the bytes of an entry are the same whenever it is written. Hashes and keys are hex,
a decision's position 16 hex digits (it is drawn from 63 bits: too many for a JSON number), times microseconds since
1970-01-01T00:00Z. ``decode`` gives what a newer release wrote as ``Other``: its hash counts, whatever it says.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, NewType, get_type_hints

import rfc8785

from cimfed.errors import LogInconsistent, LogUnavailable

LARGEST = 16 * 1024  # bytes of an entry
Position = NewType("Position", int)
"""Of a decision: drawn, between 1 and 2**63 - 1, since one that counted would tell how much others ask."""


def draw_position() -> Position:
    return Position(1 + secrets.randbelow(2**63 - 1))


@dataclass(frozen=True)
class Entry:
    """Base of all; ``time`` is when it was written."""

    type: ClassVar[str] = ""

    time: int


@dataclass(frozen=True)
class Decision(Entry):
    """A node's decision on a query, before any data flows. ``reason`` is empty where the query was granted."""

    type: ClassVar[str] = "decision"

    position: Position
    request_hash: bytes
    key_id: bytes
    organisation: str
    presenter: str
    kind: str  # read, aggregate, catalog
    purpose: str = ""
    collection: str = ""
    policy: int = 0
    grant: str = ""
    view: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Outcome(Entry):
    """What came of a granted query: ``outcome`` is answered, no_data, refused or cancelled."""

    type: ClassVar[str] = "outcome"

    decision: Position
    outcome: str
    reason: str = ""
    rows: int = 0
    batches: int = 0
    chain: bytes = b""


@dataclass(frozen=True)
class Passed(Entry):
    """A gateway's decision to pass a query on, before it goes out; ``asked``: the cities, joined by spaces."""

    type: ClassVar[str] = "passed"

    position: Position
    request_hash: bytes
    key_id: bytes
    organisation: str
    asked: str = ""


@dataclass(frozen=True)
class Returned(Entry):
    """What a gateway's query came to: ``outcome`` is ``city=outcome`` joined by spaces, or cancelled."""

    type: ClassVar[str] = "returned"

    decision: Position
    outcome: str


@dataclass(frozen=True)
class Act(Entry):
    """An administrative act, by whom (``operator``) and on what (``subject``: a snapshot's id, a policy's version and
    hash, ...). ``objects``: how many rows or objects it was about. ``token``: drawn once, so that an act that is done
    again after a crash has one entry."""

    type: ClassVar[str] = "act"

    act: str
    operator: str
    collection: str = ""
    subject: str = ""
    objects: int = 0
    reason: str = ""
    token: bytes = field(default_factory=lambda: secrets.token_bytes(16))


@dataclass(frozen=True)
class Publication(Entry):
    """The directory service took new metadata of a role: its version, and the SHA-256 of its file."""

    type: ClassVar[str] = "publication"

    role: str
    version: int
    sha256: bytes


@dataclass(frozen=True)
class Admission(Entry):
    """A step in admitting a party, of an invitation or a request; ``card``: its card's SHA-256."""

    type: ClassVar[str] = "admission"

    step: str
    name: str
    by: bytes = b""  # the key's id
    card: bytes = b""
    reason: str = ""


@dataclass(frozen=True)
class Restored(Entry):
    """The first entry of a log that begins anew: the log before it, and the last checkpoint of that which is known."""

    type: ClassVar[str] = "restored"

    origin: str
    size: int
    root: bytes


@dataclass(frozen=True)
class Other:
    """An entry that this release does not know."""

    type: str
    fields: Mapping[str, Any]


def _described(cls: type[Entry]) -> tuple[tuple[str, Any, Any], ...]:
    """Name, kind and default of each field; MISSING where there is none."""
    hints = get_type_hints(cls)
    return tuple((each.name, hints[each.name], each.default) for each in fields(cls))


_TYPES: dict[str, type[Entry]] = {cls.type: cls for cls in Entry.__subclasses__()}
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
_FIELDS = {kind: _described(cls) for kind, cls in _TYPES.items()}


def encode(entry: Entry) -> bytes:
    """The entry's bytes. LogUnavailable for what cannot be written down: a text that is none, a number too large."""
    document: dict[str, Any] = {"type": entry.type}
    for name, kind, default in _FIELDS[entry.type]:
        value = getattr(entry, name)
        if value != default:
            document[name] = f"{value:016x}" if kind is Position else value.hex() if kind is bytes else value
    try:
        content = _canonical(document)
    except ValueError:
        raise LogUnavailable("an entry of the log cannot be written down") from None
    if len(content) > LARGEST:
        raise LogUnavailable(f"an entry of the log is larger than {LARGEST} bytes")
    return content


def _canonical(document: Mapping[str, str | int]) -> bytes:
    """As RFC 8785 has it for texts and whole numbers under names in ASCII, in a third of ``rfc8785``'s time."""
    if any(isinstance(value, int) and abs(value) >= 2**53 for value in document.values()):
        raise ValueError
    return _ENCODER.encode(document).encode()


def decode(content: bytes) -> Entry | Other:
    """LogInconsistent for bytes that are no canonical JSON object with a type."""
    try:
        document = json.loads(content)
        canonical = len(content) <= LARGEST and rfc8785.dumps(document) == content
    except (rfc8785.CanonicalizationError, ValueError, RecursionError):
        raise LogInconsistent("an entry of the log is not in canonical JSON") from None
    if not canonical or not isinstance(document, dict) or not isinstance(document.get("type"), str):
        raise LogInconsistent("an entry of the log is not in canonical JSON, or has no type")
    kind = document.pop("type")
    return _known(kind, document) or Other(kind, document)


def _known(kind: str, document: Mapping[str, Any]) -> Entry | None:
    cls = _TYPES.get(kind)
    if cls is None:
        return None
    described = _FIELDS[kind]
    if not document.keys() <= {name for name, _, _ in described}:
        return None
    values: dict[str, Any] = {}
    for name, expected, default in described:
        if name not in document:
            if default is MISSING:
                return None
            continue
        value = _value(document[name], expected)
        if value is None or value == default:
            return None
        values[name] = value
    return cls(**values)


def _value(value: Any, kind: Any) -> Any:
    """As the field has it; None where it is of another kind, or not as it is written."""
    try:
        match kind:
            case _ if kind is Position:
                number = int(value, 16)
                return number if value == f"{number:016x}" and 0 < number < 2**63 else None
            case _ if kind is bytes:
                found = bytes.fromhex(value)
                return found if found.hex() == value else None
            case _:
                return value if type(value) is kind else None
    except (TypeError, ValueError):
        return None
