"""Checkpoints: the size and root of a log, signed by whose log it is (C2SP tlog-checkpoint), cosigned by witnesses
(C2SP tlog-cosignature, ``cosignature/v1``).

The **origin** names the log: ``<federation>/<party>``, and ``<federation>/<party>/<n>`` for the n-th generation, begun
after a restore that lost entries. The log's own signature bears the origin as its name, a cosignature the first
generation's origin of the witness: its party.

One key signs checkpoints, cosignatures and envelopes. None can stand for another: an envelope's message begins with
``DSSEv1`` and a space, a cosignature's with ``cosignature/v1`` and a newline, and no origin is either.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cimfed.errors import BadConfig, Forged, LogInconsistent
from cimfed.model.names import Federation, federation, kind_of
from cimfed.trust.keys import PublicKey, Signer, settled
from cimfed.trust.tlog.merkle import EMPTY_ROOT, HASH, MOST
from cimfed.trust.tlog.note import Note, NoteSignature, SignatureType, key_hash, parse_note, verified, verify_note

_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")
GENERATIONS = 2**17  # that a log may have, less one
_LATEST = 2**63 - 1  # seconds; what a cosignature's time may be


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes  # 32 bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True)
class Origin:
    """Whose log it is, and which generation."""

    federation: Federation
    party: str
    generation: int = 1

    def __str__(self) -> str:
        return f"{self.federation}/{self.party}" + (f"/{self.generation}" if self.generation > 1 else "")

    @property
    def first(self) -> Origin:
        """The same party's first generation, whose name its cosignatures bear."""
        return replace(self, generation=1)


def parse_origin(text: str) -> Origin:
    """LogInconsistent for what is no log's name."""
    alliance, _, rest = text.partition("/")
    party, numbered, number = rest.partition("/")
    try:
        kind_of(party)
        found = Origin(federation(alliance), party, int(number) if _DECIMAL.fullmatch(number) else 1)
    except BadConfig:
        raise LogInconsistent("a log has a name that is none") from None
    if str(found) != text or (numbered and not 2 <= found.generation < GENERATIONS):
        raise LogInconsistent("a log has a name that is none")
    return found


def parse_checkpoint(text: str) -> Checkpoint:
    """Of a note's text. LogInconsistent for anything else, extension lines too: nobody could audit them."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0] or not _DECIMAL.fullmatch(lines[1]):
        raise LogInconsistent("not a checkpoint of a log")
    size = int(lines[1])
    try:
        found = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError):
        raise LogInconsistent("not a checkpoint of a log: its root is not in base64") from None
    if len(found) != HASH or size >= MOST or (size == 0) != (found == EMPTY_ROOT):
        raise LogInconsistent("not a checkpoint of a log: no tree of this size has this root")
    checkpoint = Checkpoint(lines[0], size, found)
    if checkpoint.text != text:
        raise LogInconsistent("not a checkpoint of a log: its root is not in canonical base64")
    return checkpoint


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> Note:
    """Signed by the log, under its origin."""
    name, signer = checkpoint.origin, settled(signer)
    hashed = key_hash(name, SignatureType.ED25519, signer.public)
    return Note(checkpoint.text, (NoteSignature(name, hashed, signer.sign(checkpoint.text.encode())),))


def verify_checkpoint(content: bytes | Note, origin: Origin, keys: Sequence[PublicKey]) -> Checkpoint:
    """A checkpoint that one of these keys signed for this log. Forged where none did, LogInconsistent for no note."""
    note = content if isinstance(content, Note) else parse_note(content)
    checkpoint = parse_checkpoint(verify_note(note, str(origin), keys))
    if checkpoint.origin != str(origin):
        raise Forged("a checkpoint is of another log than its signer's")
    return checkpoint


def cosign(note: Note, witness: Origin, signer: Signer, seconds: int) -> NoteSignature:
    """The witness's cosignature, made at that time (seconds since the epoch), once it found the log consistent."""
    signer = settled(signer)
    hashed = key_hash(str(witness), SignatureType.COSIGNATURE, signer.public)
    return NoteSignature(str(witness), hashed, seconds.to_bytes(8, "big") + signer.sign(_cosigned(note.text, seconds)))


def cosigned_at(note: Note, witness: Origin, keys: Sequence[PublicKey]) -> int | None:
    """When the witness first cosigned it, in seconds since the epoch; None where it did not. Forged where false."""
    return cosigned_by(note, str(witness), keys)


def cosigned_by(note: Note, name: str, keys: Sequence[PublicKey]) -> int | None:
    """As ``cosigned_at``, by the name that the cosignature bears."""

    def verifies(key: PublicKey, value: bytes) -> bool:
        seconds = int.from_bytes(value[:8], "big")
        return len(value) == 72 and seconds <= _LATEST and key.verifies(value[8:], _cosigned(note.text, seconds))

    times = verified(note, name, SignatureType.COSIGNATURE, keys, verifies)
    return min((int.from_bytes(value[:8], "big") for value in times), default=None)


def with_signatures(note: Note, added: Sequence[NoteSignature]) -> Note:
    """The note with further signatures; those that it has stay once."""
    return replace(note, signatures=tuple(dict.fromkeys([*note.signatures, *added])))


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
