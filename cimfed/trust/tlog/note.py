"""Signed notes (C2SP signed-note): a text, an empty line, and lines of signatures.

A signature names its key by a name and four bytes (``key_hash``), which say what kind of signature it is too. They are
hints: a signature of an unknown key is left alone, one that bears a known key's name and hash must verify.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from cimfed.errors import Forged, LogInconsistent
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import PublicKey

LARGEST = 64 * 1024  # bytes of a note
MOST_SIGNATURES = 64
_DASH = "\N{EM DASH} "


class SignatureType(IntEnum):
    """The byte that goes into the key hash."""

    ED25519 = 0x01
    COSIGNATURE = 0x04  # C2SP tlog-cosignature, of Ed25519


@dataclass(frozen=True)
class NoteSignature:
    name: str
    key_hash: bytes  # 4 bytes
    value: bytes

    @property
    def line(self) -> str:
        return f"{_DASH}{self.name} {base64.b64encode(self.key_hash + self.value).decode()}\n"


@dataclass(frozen=True)
class Note:
    """``text`` ends with a newline. Nothing of it counts before a signature was verified."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        return (self.text + "\n" + "".join(one.line for one in self.signatures)).encode()


def key_hash(name: str, kind: SignatureType, key: PublicKey) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + key.raw)[:4]


def parse_note(content: bytes) -> Note:
    """LogInconsistent for what is no signed note."""
    if len(content) > LARGEST:
        raise LogInconsistent("a signed note is longer than 64 KiB")
    try:
        whole = content.decode()
    except UnicodeDecodeError:
        raise LogInconsistent("a signed note is no text") from None
    text, gap, lines = whole.rpartition("\n\n")
    if not gap or not lines.endswith("\n") or any(char < " " and char != "\n" for char in whole):
        raise LogInconsistent("a signed note lacks its empty line or its last newline, or has control characters")
    signatures = [_signature(line) for line in lines[:-1].split("\n")]
    if len(signatures) > MOST_SIGNATURES:
        raise LogInconsistent(f"a signed note has more than {MOST_SIGNATURES} signatures")
    return Note(text + "\n", tuple(signatures))


def verified(
    note: Note,
    name: str,
    kind: SignatureType,
    keys: Sequence[PublicKey],
    verifies: Callable[[PublicKey, bytes], bool],
) -> list[bytes]:
    """The valid signatures (their values) of that name and kind by any of these keys; Forged where one is invalid."""
    found = []
    for key in keys:
        known = key_hash(name, kind, key)
        for one in note.signatures:
            if (one.name, one.key_hash) == (name, known):
                if not verifies(key, one.value):
                    raise Forged(f"a signed note bears a signature of {name} that is not valid")
                found.append(one.value)
    return found


def verify_note(note: Note, name: str, keys: Sequence[PublicKey]) -> str:
    """The text, once it has a valid Ed25519 signature of that name by one of these keys; else Forged."""
    message = note.text.encode()
    if not verified(note, name, SignatureType.ED25519, keys, lambda key, value: key.verifies(value, message)):
        raise Forged(f"a signed note is not signed by {name}")
    return note.text


def _signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not name or "+" in name or any(char.isspace() for char in name):
        raise LogInconsistent("a signed note has a line that is no signature")
    try:
        value = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise LogInconsistent("a signature of a note is not in base64") from None
    if len(value) < 5 or base64.b64encode(value).decode() != encoded:
        raise LogInconsistent("a signature of a note is too short, or not in canonical base64")
    return NoteSignature(name, value[:4], value[4:])
