"""Messages of LogService as bytes, both ways.

Requests that are no such message are ``BadQuery``, or ``TooLarge``; replies that are none are ``BadAnswer``. Notes are
bytes of a signed note here, empty where there is none; nothing of them is verified.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from cimfed.errors import BadAnswer, BadQuery
from cimfed.model.limits import KIB
from cimfed.trust.envelope import Envelope
from cimfed.v1 import log_service_pb2 as pb
from cimfed.wire.envelopes import from_message, parse, to_message

REQUEST = 80 * KIB  # bytes: a note and a proof
HASHES = 64  # of a proof; of peaks
ENTRIES = 4096  # in a reply

Reply = TypeVar("Reply", bound=Message)


@dataclass(frozen=True)
class Checkpoints:
    """``latest`` and ``cosigned`` are notes of the log that was asked for; ``conflicts`` what was refused of it."""

    latest: bytes
    cosigned: bytes = b""
    conflicts: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class AskConsistency:
    origin: str
    old_size: int
    new_size: int


@dataclass(frozen=True)
class AskProof:
    decision: int
    request_hash: bytes


@dataclass(frozen=True)
class Proven:
    """An entry's bytes, where it stands, and that the log with this checkpoint has it."""

    entry: bytes
    index: int
    proof: tuple[bytes, ...]
    checkpoint: bytes


@dataclass(frozen=True)
class AskCosignature:
    checkpoint: bytes
    old_size: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True)
class Page:
    """Entries from ``first`` on. ``peaks``: of the tree before them. ``size``: of the log when they were read."""

    origin: str
    first: int
    entries: tuple[bytes, ...]
    peaks: tuple[bytes, ...]
    size: int


def encode_ask_checkpoint(origin: str) -> bytes:
    return pb.CheckpointRequest(origin=origin).SerializeToString()


def decode_ask_checkpoint(data: bytes) -> str:
    message = pb.CheckpointRequest()
    parse(message, data, "the request", REQUEST)
    return message.origin


def encode_checkpoints(found: Checkpoints) -> bytes:
    return pb.CheckpointReply(
        checkpoint=found.latest.decode(),
        cosigned=found.cosigned.decode(),
        conflicts=[note.decode() for note in found.conflicts],
    ).SerializeToString()


def decode_checkpoints(data: bytes) -> Checkpoints:
    message = _reply(pb.CheckpointReply(), data)
    return Checkpoints(
        message.checkpoint.encode(), message.cosigned.encode(), tuple(note.encode() for note in message.conflicts)
    )


def encode_ask_consistency(ask: AskConsistency) -> bytes:
    return pb.ConsistencyRequest(origin=ask.origin, old_size=ask.old_size, new_size=ask.new_size).SerializeToString()


def decode_ask_consistency(data: bytes) -> AskConsistency:
    message = pb.ConsistencyRequest()
    parse(message, data, "the request", REQUEST)
    return AskConsistency(message.origin, message.old_size, message.new_size)


def encode_consistency(proof: Sequence[bytes]) -> bytes:
    return pb.ConsistencyReply(proof=proof).SerializeToString()


def decode_consistency(data: bytes) -> tuple[bytes, ...]:
    return _few(_reply(pb.ConsistencyReply(), data).proof)


def encode_ask_proof(ask: AskProof) -> bytes:
    return pb.ProveRequest(decision=ask.decision, request_hash=ask.request_hash).SerializeToString()


def decode_ask_proof(data: bytes) -> AskProof:
    message = pb.ProveRequest()
    parse(message, data, "the request", REQUEST)
    return AskProof(message.decision, message.request_hash)


def encode_proven(found: Proven) -> bytes:
    return pb.ProveReply(
        entry=found.entry, index=found.index, proof=found.proof, checkpoint=found.checkpoint.decode()
    ).SerializeToString()


def decode_proven(data: bytes) -> Proven:
    message = _reply(pb.ProveReply(), data)
    return Proven(message.entry, message.index, _few(message.proof), message.checkpoint.encode())


def encode_ask_cosignature(ask: AskCosignature) -> bytes:
    return pb.CosignRequest(
        checkpoint=ask.checkpoint.decode(), old_size=ask.old_size, proof=ask.proof
    ).SerializeToString()


def decode_ask_cosignature(data: bytes) -> AskCosignature:
    message = pb.CosignRequest()
    parse(message, data, "the request", REQUEST)
    if len(message.proof) > HASHES:
        raise BadQuery("a proof has at most 64 hashes", place="proof")
    return AskCosignature(message.checkpoint.encode(), message.old_size, tuple(message.proof))


def encode_cosignature(outcome: str | int) -> bytes:
    """A line of a note, or the size that the witness saw last."""
    if isinstance(outcome, str):
        return pb.CosignReply(cosignature=outcome).SerializeToString()
    return pb.CosignReply(seen_size=outcome).SerializeToString()


def decode_cosignature(data: bytes) -> str | int:
    message = _reply(pb.CosignReply(), data)
    match message.WhichOneof("outcome"):
        case "cosignature":
            return message.cosignature
        case "seen_size":
            return int(message.seen_size)
    raise BadAnswer("the reply of a witness says nothing")


def encode_ask_entries(request: Envelope) -> bytes:
    return pb.EntriesRequest(request=to_message(request)).SerializeToString()


def decode_ask_entries(data: bytes) -> Envelope:
    message = pb.EntriesRequest()
    parse(message, data, "the request", REQUEST)
    return from_message(message.request)


def encode_page(page: Page) -> bytes:
    return pb.EntriesReply(
        origin=page.origin, first=page.first, entries=page.entries, peaks=page.peaks, size=page.size
    ).SerializeToString()


def decode_page(data: bytes) -> Page:
    message = _reply(pb.EntriesReply(), data)
    return Page(message.origin, message.first, tuple(message.entries), _few(message.peaks), message.size)


def _few(hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    if len(hashes) > HASHES:
        raise BadAnswer("the reply has more hashes than a tree has levels")
    return tuple(hashes)


def _reply(message: Reply, data: bytes) -> Reply:
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise BadAnswer(f"the reply is not a {message.DESCRIPTOR.name} message") from None
    return message
