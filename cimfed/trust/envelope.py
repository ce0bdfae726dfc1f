"""DSSE envelopes: bytes with their type and signatures.

Rules (github.com/secure-systems-lab/dsse, protocol.md):
1. The signature is over the pre-authentication encoding of type and payload, never over a parsed form.
2. The payload type must be the one that the reader expects before anything is parsed.
3. A key id is a hint: every key that could have signed is tried where the hint leads nowhere.
4. A threshold counts distinct keys, not signatures or ids.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import rfc8785

from cimfed.errors import BadSignature, TooLarge
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import PublicKey, Signer, settled

MAX_SIGNATURES = 16


class PayloadType(StrEnum):
    QUERY = "application/vnd.cimfed.query.v1+protobuf"
    NARROWING = "application/vnd.cimfed.narrowing.v1+protobuf"
    HEAD = "application/vnd.cimfed.head.v1+protobuf"
    MANIFEST = "application/vnd.cimfed.manifest.v1+protobuf"
    COVERAGE = "application/vnd.cimfed.coverage.v1+protobuf"
    POLICY = "application/vnd.cimfed.policy.v1+json"
    ROUTING = "application/vnd.cimfed.routing.v1+json"
    CARD = "application/vnd.cimfed.card.v1+json"
    ADMIN = "application/vnd.cimfed.admin.v1+json"
    ACCESS_REQUEST = "application/vnd.cimfed.access-request.v1+json"


@dataclass(frozen=True)
class Signature:
    key_id: bytes
    signature: bytes


@dataclass(frozen=True)
class Envelope:
    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    @property
    def payload_hash(self) -> bytes:
        return sha256(self.payload)


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    kind = payload_type.encode("ascii")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(payload_type: PayloadType, payload: bytes, *signers: Signer) -> Envelope:
    message = pre_authentication(payload_type, payload)
    return Envelope(
        payload_type,
        payload,
        tuple(Signature(signer.public.id, signer.sign(message)) for signer in map(settled, signers)),
    )


def verify(
    envelope: Envelope, expected: PayloadType, keys: Iterable[PublicKey], threshold: int = 1
) -> tuple[PublicKey, ...]:
    """The distinct keys among ``keys`` that signed, at least ``threshold`` of them, else BadSignature."""
    if envelope.payload_type != expected:
        raise BadSignature("the envelope is of another payload type")
    if len(envelope.signatures) > MAX_SIGNATURES:
        raise BadSignature(f"more than {MAX_SIGNATURES} signatures")
    message = pre_authentication(expected, envelope.payload)
    found: dict[bytes, PublicKey] = {}
    known = tuple(keys)
    for signature in envelope.signatures:
        hinted = [key for key in known if key.id == signature.key_id] or known
        for key in hinted:
            if key.raw not in found and key.verifies(signature.signature, message):
                found[key.raw] = key
                break
    if threshold < 1 or len(found) < threshold:
        raise BadSignature("no valid signature by a key that may sign this")
    return tuple(found.values())


def to_json(envelope: Envelope) -> bytes:
    """The DSSE JSON form, for files."""
    return rfc8785.dumps(
        {
            "payloadType": envelope.payload_type,
            "payload": base64.b64encode(envelope.payload).decode(),
            "signatures": [
                {"keyid": item.key_id.hex(), "sig": base64.b64encode(item.signature).decode()}
                for item in envelope.signatures
            ],
        }
    )


def from_json(data: bytes, limit: int) -> Envelope:
    """An envelope of its DSSE JSON form; anything else is BadSignature, more than ``limit`` bytes TooLarge."""
    if len(data) > limit:
        raise TooLarge(f"the file has {len(data)} bytes, more than {limit}")
    try:
        document = json.loads(data)
        return Envelope(
            str(document["payloadType"]),
            base64.b64decode(document["payload"], validate=True),
            tuple(
                Signature(bytes.fromhex(item["keyid"]), base64.b64decode(item["sig"], validate=True))
                for item in document["signatures"]
            ),
        )
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise BadSignature("not a signed file (DSSE JSON)") from None
