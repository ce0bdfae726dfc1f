"""DSSE against the specification's own vector, and the rules of verification."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from cimfed.errors import BadSignature, TooLarge
from cimfed.trust.envelope import (
    Envelope,
    PayloadType,
    Signature,
    from_json,
    pre_authentication,
    seal,
    to_json,
    verify,
)
from cimfed.trust.keys import KeySigner

# github.com/secure-systems-lab/dsse, protocol.md, "Test Vectors"
VECTOR = """{"payload": "aGVsbG8gd29ybGQ=",
 "payloadType": "http://example.com/HelloWorld",
 "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"""
X = 46950820868899156662930047687818585632848591499744589407958293238635476079160
Y = 5640078356564379163099075877009565129882514886557779369047442380624545832820

ONE, TWO = KeySigner.from_seed(bytes(32)), KeySigner.from_seed(bytes([1]) * 32)


def test_encodes_what_is_signed_as_the_specification_does() -> None:
    document = json.loads(VECTOR)
    signed = pre_authentication(document["payloadType"], base64.b64decode(document["payload"]))
    assert signed == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    raw = base64.b64decode(document["signatures"][0]["sig"])
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key = ec.EllipticCurvePublicNumbers(X, Y, ec.SECP256R1()).public_key()
    key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))  # raises where it does not hold


def test_json_form_comes_back_as_it_was() -> None:
    envelope = seal(PayloadType.ROUTING, b"payload", ONE, TWO)
    assert from_json(to_json(envelope), 10_000) == envelope
    assert json.loads(to_json(envelope))["payload"] == base64.b64encode(b"payload").decode()


def test_one_of_the_keys_is_enough_and_is_named() -> None:
    envelope = seal(PayloadType.QUERY, b"payload", ONE)
    assert verify(envelope, PayloadType.QUERY, [TWO.public, ONE.public]) == (ONE.public,)


def test_another_payload_type_is_refused_although_the_signature_holds() -> None:
    with pytest.raises(BadSignature):
        verify(seal(PayloadType.QUERY, b"payload", ONE), PayloadType.MANIFEST, [ONE.public])


def test_a_type_relabelled_is_refused() -> None:
    envelope = seal(PayloadType.QUERY, b"payload", ONE)
    with pytest.raises(BadSignature):
        verify(
            Envelope(PayloadType.MANIFEST, envelope.payload, envelope.signatures), PayloadType.MANIFEST, [ONE.public]
        )


@pytest.mark.parametrize("keys", [[], [TWO.public]])
def test_no_key_or_another_key_is_refused(keys: list) -> None:
    with pytest.raises(BadSignature):
        verify(seal(PayloadType.QUERY, b"payload", ONE), PayloadType.QUERY, keys)


def test_unsigned_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify(Envelope(PayloadType.QUERY, b"payload", ()), PayloadType.QUERY, [ONE.public])


def test_a_wrong_hint_does_not_hide_a_good_signature() -> None:
    (signature,) = seal(PayloadType.QUERY, b"payload", ONE).signatures
    misled = Envelope(PayloadType.QUERY, b"payload", (Signature(bytes(32), signature.signature),))
    assert verify(misled, PayloadType.QUERY, [TWO.public, ONE.public]) == (ONE.public,)


def test_one_key_under_two_ids_does_not_meet_a_threshold_of_two() -> None:
    (signature,) = seal(PayloadType.QUERY, b"payload", ONE).signatures
    doubled = Envelope(PayloadType.QUERY, b"payload", (signature, Signature(bytes(32), signature.signature)))
    with pytest.raises(BadSignature):
        verify(doubled, PayloadType.QUERY, [ONE.public, TWO.public], threshold=2)
    both = seal(PayloadType.QUERY, b"payload", ONE, TWO)
    assert len(verify(both, PayloadType.QUERY, [ONE.public, TWO.public], threshold=2)) == 2


def test_a_threshold_of_none_is_refused() -> None:
    with pytest.raises(BadSignature):
        verify(seal(PayloadType.QUERY, b"payload", ONE), PayloadType.QUERY, [ONE.public], threshold=0)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"payload":"!","payloadType":"x"}'])
def test_what_is_no_envelope_is_refused(content: bytes) -> None:
    with pytest.raises(BadSignature):
        from_json(content, 1_000_000)


def test_a_file_above_the_limit_is_not_parsed() -> None:
    with pytest.raises(TooLarge):
        from_json(b"{" * 11, 10)
