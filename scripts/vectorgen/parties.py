"""A small federation with keys of fixed seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cimfed.model.names import CityName, Federation, GatewayName, PartnerName
from cimfed.model.routing import RoutingEntry, routing_payload
from cimfed.trust.directory.listing import AccessKey, Gateway, Listing, Member, Partner
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import KeySigner
from cimfed.trust.tls import Issuer

SCO = Federation("sco")
GATEWAY = GatewayName("gw.alliance")
PARTNER = PartnerName("inst.tsinghua")
ALMATY, DELHI, MOSCOW, TASHKENT = map(CityName, ("kz.almaty", "in.delhi", "ru.moscow", "uz.tashkent"))
EXTENTS = {
    ALMATY: (76.5, 43.0, 77.25, 43.5),
    DELHI: (76.75, 28.25, 77.5, 29.0),
    MOSCOW: (37.0, 55.5, 38.0, 56.0),
    TASHKENT: (69.0, 41.0, 69.5, 41.5),
}

ROUTED = (MOSCOW,)  # the others have published no routing entry

SECOND = 1_000_000
DAY = 86_400 * SECOND
NOW = 1_792_000_000 * SECOND  # 2026-10-14T17:46:40Z
LIFE = 90 * DAY
VERSION = 7  # of the directory


def seed(role: str) -> bytes:
    return hashlib.sha256(f"cimfed vectors: {role}".encode()).digest()


@cache
def signer(role: str) -> KeySigner:
    """``registrar``, a party's name, or ``steward of <city>``."""
    return KeySigner.from_seed(seed(role))


def public(role: str) -> str:
    return signer(role).public.raw.hex()


def keys(*roles: str) -> Mapping[str, Any]:
    """As documents list them. Seeds are private keys: these keys are for tests alone."""
    return {role: {"seed": seed(role).hex(), "public": public(role)} for role in roles}


@cache
def issuer(name: str) -> Issuer:
    """A P-256 issuing certificate as docs/wire.md describes it."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = ec.derive_private_key(1 + int.from_bytes(seed(f"issuer of {name}"), "big") % (order - 1), ec.SECP256R1())
    host = f"{name}.{SCO}.invalid"
    subject = x509.Name([x509.NameAttribute(NameOID.DOMAIN_COMPONENT, label) for label in reversed(host.split("."))])
    start = datetime.fromtimestamp(NOW // SECOND, UTC) - timedelta(days=30)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(*(position == 5 for position in range(9))), critical=True)  # keyCertSign
        .add_extension(x509.NameConstraints([x509.DNSName(host)], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return Issuer(certificate.public_bytes(Encoding.PEM))


def routing(city: CityName) -> Envelope:
    entry = RoutingEntry(
        city, 3, hashlib.sha256(city.encode()).digest(), {"building": EXTENTS[city]}, (NOW - DAY, NOW + LIFE)
    )
    return seal(PayloadType.ROUTING, routing_payload(entry), signer(f"steward of {city}"))


def listing(*cities: CityName) -> Listing:
    """The cities, a gateway and a partner; nobody at all where there are no cities."""
    if not cities:
        return Listing()
    return Listing(
        members={
            city: Member(
                city,
                f"{city}.example:7443",
                (issuer(city),),
                (signer(city).public,),
                (signer(f"steward of {city}").public,),
            )
            for city in cities
        },
        gateways={
            GATEWAY: Gateway(GATEWAY, "gw.example:7443", (issuer(GATEWAY),), (signer(GATEWAY).public,)),
        },
        partners={
            PARTNER: Partner(
                PARTNER,
                "CN",
                ("researcher",),
                (issuer(PARTNER),),
                (AccessKey(signer(PARTNER).public, PARTNER, (NOW - DAY, NOW + 365 * DAY)),),
            )
        },
    )
