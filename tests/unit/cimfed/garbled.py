"""Certificates whose subject cannot be taken apart, rightly signed. X.509 libraries read it late, and fail late."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cimfed.trust.tls import Issuer
from tests.unit.cimfed.parties import Party

ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
SUBJECTS = [
    pytest.param(b"\x0c\x04in\xfft", id="UTF-8 that is none"),
    pytest.param(b"\x02\x04inst", id="a number"),
    pytest.param(b"\x03\x04inst", id="bits"),
]
"""In the place of ``inst``, the first label of a partner's name."""


def garbled_issuer(party: Party, subject: bytes) -> Issuer:
    """A partner's issuer, with that in its name."""
    return Issuer(garbled(party, party.issuing.issuer.pem, subject))


def garbled(party: Party, certificate: bytes, subject: bytes) -> bytes:
    """A partner's certificate (PEM) with that in its names, signed by the partner's issuing key again."""
    key = serialization.load_pem_private_key(party.issuing.to_pem(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    was = x509.load_pem_x509_certificate(certificate).tbs_certificate_bytes
    signed = was.replace(b"\x16\x04inst", subject)
    assert signed != was
    signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    content = signed + ECDSA_WITH_SHA256 + bytes([3, len(signature) + 1, 0]) + signature
    text = base64.b64encode(b"\x30\x82" + len(content).to_bytes(2, "big") + content).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""]).encode()
