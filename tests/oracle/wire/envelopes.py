"""DSSE envelopes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.oracle.wire.encoding import Refused, sha256

TYPE = "application/vnd.cimfed.{}.v1+protobuf"
JSON_TYPE = "application/vnd.cimfed.{}.v1+json"
MAX_SIGNATURES = 16


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    kind = payload_type.encode()
    return b" ".join((b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload))


def key_id(key: bytes) -> bytes:
    return sha256(key)


def signed_by(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def open_envelope(
    envelope: Mapping[str, Any], payload_type: str, keys: Sequence[bytes], threshold: int = 1, reason: str = "forged"
) -> bytes:
    """The payload, once ``threshold`` distinct keys of ``keys`` have signed it."""
    signatures = envelope["signatures"]
    if envelope["payload_type"] != payload_type or len(signatures) > MAX_SIGNATURES:
        raise Refused(reason, "another payload type, or too many signatures")
    message = pre_authentication(payload_type, envelope["payload"])
    found = set()
    for item in signatures:
        may = [key for key in keys if key_id(key) == item["key_id"]] or keys
        found.update(key for key in may if signed_by(key, item["signature"], message))
    if len(found) < threshold:
        raise Refused(reason, "no valid signature by a key that may sign this")
    return bytes(envelope["payload"])


def of_json(text: str) -> dict[str, Any]:
    """Of DSSE JSON, the form of files."""
    try:
        document = json.loads(text)
        return {
            "payload_type": document["payloadType"],
            "payload": base64.b64decode(document["payload"], validate=True),
            "signatures": [
                {"key_id": bytes.fromhex(item["keyid"]), "signature": base64.b64decode(item["sig"], validate=True)}
                for item in document["signatures"]
            ],
        }
    except (ValueError, KeyError, TypeError):
        raise Refused("bad_signature", "not DSSE JSON") from None


def hash_of(envelope: Mapping[str, Any]) -> bytes:
    """request_hash, manifest_hash and so on."""
    return sha256(envelope["payload"])
