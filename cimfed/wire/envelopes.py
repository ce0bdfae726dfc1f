"""Envelopes and asks as protobuf bytes."""

from __future__ import annotations

from google.protobuf.message import DecodeError, Message

from cimfed.errors import BadQuery, TooLarge
from cimfed.model.limits import LIMITS
from cimfed.trust.envelope import Envelope, Signature
from cimfed.v1 import envelope_pb2, query_service_pb2


def to_message(envelope: Envelope) -> envelope_pb2.Envelope:
    return envelope_pb2.Envelope(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signatures=[
            envelope_pb2.Signature(key_id=item.key_id, signature=item.signature) for item in envelope.signatures
        ],
    )


def from_message(message: envelope_pb2.Envelope) -> Envelope:
    return Envelope(
        message.payload_type,
        message.payload,
        tuple(Signature(item.key_id, item.signature) for item in message.signatures),
    )


def parse(message: Message, data: bytes, what: str, limit: int = LIMITS.envelope) -> None:
    """Fills ``message`` from bytes; TooLarge above ``limit``, BadQuery for bytes that are no such message."""
    if len(data) > limit:
        raise TooLarge(f"{what} has {len(data)} bytes, more than {limit}")
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise BadQuery(f"{what} is not a {message.DESCRIPTOR.name} message") from None


def encode_ask(query: Envelope, narrowings: tuple[Envelope, ...] = ()) -> bytes:
    return query_service_pb2.Ask(
        query=to_message(query), narrowings=[to_message(item) for item in narrowings]
    ).SerializeToString()


def decode_ask(data: bytes) -> tuple[Envelope, tuple[Envelope, ...]]:
    """The query's envelope and the narrowings, nearest gateway last; nothing is verified yet."""
    message = query_service_pb2.Ask()
    parse(message, data, "the request", LIMITS.envelope + LIMITS.gateways_passed * 4096)
    if len(message.narrowings) > LIMITS.gateways_passed:
        raise TooLarge(f"the query passed more than {LIMITS.gateways_passed} gateways")
    query = from_message(message.query)
    if len(query.payload) > LIMITS.envelope:
        raise TooLarge(f"the query has more than {LIMITS.envelope} bytes")
    return query, tuple(from_message(item) for item in message.narrowings)
