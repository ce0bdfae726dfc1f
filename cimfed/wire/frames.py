"""Frames of an answer, encoded and decoded without touching their payload.

A frame's payload is megabytes, everything before it a few hundred bytes. So the first fields are parsed alone and
the payload stays a view into the message as received; a gateway passes the message on as it came. The payload must
be the last field: were a field allowed behind it, a partial reader and a full parser could disagree.
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from cimfed.errors import ChainBroken
from cimfed.model.limits import LIMITS
from cimfed.trust.envelope import Envelope
from cimfed.v1 import answer_pb2
from cimfed.wire.envelopes import from_message, to_message

_PAYLOAD_TAG = (15 << 3) | 2  # one byte: 0x7a
_VARINT, _LENGTH = 0, 2


@dataclass(frozen=True)
class Start:
    schema: bytes  # Arrow IPC encapsulated schema message
    view: str


@dataclass(frozen=True)
class Head:
    envelope: Envelope


@dataclass(frozen=True)
class Manifest:
    envelope: Envelope


@dataclass(frozen=True)
class Coverage:
    envelope: Envelope


Part = Start | Head | Manifest | Coverage


@dataclass(frozen=True)
class Frame:
    """``index`` counts frames with payload from 1 and is 0 for others; ``payload`` is an Arrow record batch message."""

    city: str
    part: Part | None = None
    index: int = 0
    rows: int = 0
    payload: bytes | memoryview = b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append((value & 0x7F) | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode(frame: Frame) -> bytes:
    """The frame's bytes, payload last."""
    head = answer_pb2.Frame(index=frame.index, city=frame.city, rows=frame.rows)
    match frame.part:
        case Start(schema, view):
            head.start.schema = schema
            head.start.view = view
        case Head(envelope):
            head.head.CopyFrom(to_message(envelope))
        case Manifest(envelope):
            head.manifest.CopyFrom(to_message(envelope))
        case Coverage(envelope):
            head.coverage.CopyFrom(to_message(envelope))
        case None:
            pass
    first = head.SerializeToString()
    if not frame.payload:
        return first
    return b"".join((first, bytes((_PAYLOAD_TAG,)), _varint(len(frame.payload)), frame.payload))


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ChainBroken("a frame is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _payload_start(data: memoryview) -> tuple[int, int]:
    """Where the first fields end and where the payload begins; both the length where there is none."""
    at = 0
    while at < len(data):
        begin = at
        tag, at = _read_varint(data, at)
        if tag == _PAYLOAD_TAG:
            length, at = _read_varint(data, at)
            if at + length != len(data):
                raise ChainBroken("a frame's payload does not end the frame")
            return begin, at
        match tag & 7:
            case wire if wire == _VARINT:
                _, at = _read_varint(data, at)
            case wire if wire == _LENGTH:
                length, at = _read_varint(data, at)
                at += length
            case _:
                raise ChainBroken("a frame has a field of an unknown form")
    if at != len(data):
        raise ChainBroken("a frame is cut short")
    return at, at


def decode(data: bytes) -> Frame:
    """The frame; its payload is a view into ``data``, empty where there is none. Malformed: ChainBroken."""
    if len(data) > LIMITS.frame:
        raise ChainBroken(f"a frame has {len(data)} bytes, more than {LIMITS.frame}")
    view = memoryview(data)
    end, payload = _payload_start(view)
    message = answer_pb2.Frame()
    try:
        message.ParseFromString(data[:end])
    except DecodeError:
        raise ChainBroken("a frame cannot be parsed") from None
    part: Part | None
    match message.WhichOneof("part"):
        case "start":
            part = Start(message.start.schema, message.start.view)
        case "head":
            part = Head(from_message(message.head))
        case "manifest":
            part = Manifest(from_message(message.manifest))
        case "coverage":
            part = Coverage(from_message(message.coverage))
        case _:
            part = None
    return Frame(message.city, part, message.index, message.rows, view[payload:])
