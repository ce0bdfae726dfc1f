"""TLS certificates: every organisation issues its own short-lived leaves, and what a leaf must be to be believed.

An organisation has one P-256 issuing key with a self-signed certificate that the directory lists. Leaves are made in
memory, seven days long and renewed at half-life; a server's and a client's are separate. The rules of a leaf, numbered
in ``check_leaf`` as here; whatever breaks one is ``UnknownPeer``:

1. it names the party by exactly one URI, ``spiffe://<federation>/<kind>/<name>``, and by exactly one DNS name,
   ``<name>.<federation>.invalid``, that agree; no other names, no wildcard;
2. its subject is empty: TLS stacks fall back to a common name where no DNS name is found;
3. its key is P-256;
4. it is for the use at hand, server or client, and for no other;
5. it is no CA and signs no certificates;
6. it was issued directly by an issuer that the directory lists for that very name;
7. it is valid now, and was made for no more than seven days.

The TLS stack checks chain and validity too, but against all listed issuers at once: it would take a leaf of any
partner's issuer in a city's name. Rule 6 is what binds name to issuer. Here nothing is read from disk, and the time
(microseconds since 1970-01-01T00:00Z) is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cimfed.errors import BadConfig, CimfedError, UnknownPeer
from cimfed.model.limits import KIB, LIMITS
from cimfed.model.names import Federation, KeyId, Kind, kind_of
from cimfed.trust.hashing import sha256

LEAF_LIFE = timedelta(days=7)
UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    UnsupportedAlgorithm,
)
"""What a certificate that somebody else made can raise where it is looked into."""
ISSUER = 4 * KIB  # bytes of its file; one that cimfed makes has 750
ISSUER_LIFE = timedelta(days=3650)
BACKDATED = timedelta(seconds=LIMITS.clock_tolerance)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Use(StrEnum):
    SERVER = "server"
    CLIENT = "client"


_EKU = {Use.SERVER: ExtendedKeyUsageOID.SERVER_AUTH, Use.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True)
class Peer:
    """Who is on the other side of a TLS connection. ``issuer``: the id of the key that issued the leaf."""

    kind: Kind
    name: str
    issuer: bytes = field(default=b"", compare=False)


def spiffe_id(federation: str, name: str) -> str:
    return f"spiffe://{federation}/{kind_of(name)}/{name}"


def dns_name(federation: str, name: str) -> str:
    """What a client dials by ``grpc.ssl_target_name_override``; ``.invalid`` never resolves (RFC 2606)."""
    return f"{name}.{federation}.invalid"


@dataclass(frozen=True)
class Issuer:
    """The certificate of a party's issuing key, as the directory lists it."""

    pem: bytes

    @cached_property
    def certificate(self) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(self.pem)
        except UNREADABLE:
            raise BadConfig("not a certificate (PEM)") from None

    @cached_property
    def key(self) -> bytes:
        """The public key (DER), by which two issuers are compared."""
        return self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def valid(self) -> tuple[int, int]:
        """Half-open, in microseconds."""
        return _instant(self.certificate.not_valid_before_utc), _instant(self.certificate.not_valid_after_utc)

    @property
    def id(self) -> KeyId:
        """SHA-256 of the public key: what a revocation names."""
        return KeyId(sha256(self.key))


def check_issuer(issuer: Issuer, federation: Federation, name: str) -> None:
    """BadConfig unless it is what ``IssuingKey.make`` makes for that name: P-256, self-signed, this party's alone.

    Its subject must name the party: TLS stacks look issuers up by subject, and two with one subject hide each other.
    Its file must hold nothing else: TLS stacks trust every certificate in it, and take none if one cannot be read.
    """
    if len(issuer.pem) > ISSUER:
        raise BadConfig(f"the issuing certificate is larger than {ISSUER // KIB} KiB")
    certificate = issuer.certificate
    try:
        certificate.verify_directly_issued_by(certificate)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        names = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        subject = certificate.subject
    except (*UNREADABLE, InvalidSignature):
        raise BadConfig("not an issuing certificate of cimfed: not self-signed, or an extension is missing") from None
    if certificate.public_bytes(serialization.Encoding.PEM) != issuer.pem:
        raise BadConfig("the file of the issuing certificate holds more than that certificate")
    if not _is_p256(certificate):
        raise BadConfig("the issuing key is not P-256")
    if not constraints.ca or constraints.path_length != 0 or not usage.key_cert_sign:
        raise BadConfig("the issuing certificate may not issue leaves, or may issue more than leaves")
    if subject != _issuer_subject(federation, name) or names != _constraints(federation, name):
        raise BadConfig(f"the issuing certificate was not made for {name} in {federation}")


@dataclass(frozen=True)
class Leaf:
    """A key and its certificate. Times in microseconds; ``renew_at`` is its half-life."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes
    renew_at: int
    expires: int


class IssuingKey:
    """A party's own TLS issuing key. Made where it is used, it never travels."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, issuer: Issuer) -> None:
        self._key = key
        self.issuer = issuer

    @classmethod
    def make(cls, federation: Federation, name: str, now: int) -> IssuingKey:
        key = ec.generate_private_key(ec.SECP256R1())
        start = _time(now) - BACKDATED
        subject = _issuer_subject(federation, name)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + ISSUER_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .add_extension(_constraints(federation, name), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(key, Issuer(certificate.public_bytes(serialization.Encoding.PEM)))

    @classmethod
    def from_pem(cls, key_pem: bytes, issuer: Issuer) -> IssuingKey:
        try:
            key = serialization.load_pem_private_key(key_pem, None)
        except (ValueError, TypeError):
            raise BadConfig("the TLS issuing key cannot be read: it must be an unencrypted PEM") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise BadConfig("the TLS issuing key is not P-256")
        if key.public_key() != issuer.certificate.public_key():
            raise BadConfig("the TLS issuing key does not belong to its certificate")
        return cls(key, issuer)

    def to_pem(self) -> bytes:
        """Unencrypted, for a file of mode 0600: it works for as long as the party is on the wire."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def issue(self, federation: Federation, name: str, use: Use, now: int) -> Leaf:
        """A fresh leaf, backdated by the clock tolerance."""
        key = ec.generate_private_key(ec.SECP256R1())
        start = _time(now) - BACKDATED
        end = start + LEAF_LIFE
        certificate = (
            leaf_builder(federation, name, use, start, end)
            .issuer_name(self.issuer.certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Leaf(
            key_pem=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            chain_pem=certificate.public_bytes(serialization.Encoding.PEM),
            renew_at=now + (LEAF_LIFE / 2) // _MICROSECOND,
            expires=_instant(end),
        )


class LeafSource:
    """The leaf to show now: the same object until its half-life, then a new one. Nothing is kept on disk.

    A TLS stack asks from threads of its own; two that ask at once may each get a fresh leaf, and both are good.
    """

    def __init__(self, issuing: IssuingKey, federation: Federation, name: str, use: Use) -> None:
        check_issuer(issuing.issuer, federation, name)
        self._issuing, self._federation, self._name, self._use = issuing, federation, name, use
        self.issuer = issuing.issuer
        self._leaf: Leaf | None = None

    def current(self, now: int) -> Leaf:
        leaf = self._leaf
        if leaf is None or now >= leaf.renew_at:
            leaf = self._leaf = self._issuing.issue(self._federation, self._name, self._use, now)
        return leaf


@dataclass(frozen=True)
class CheckedLeaf:
    """A leaf that kept every rule when it was checked; ``holds`` is rule 7, which time can break."""

    peer: Peer
    valid: tuple[int, int]

    def holds(self, now: int) -> bool:
        return self.valid[0] <= now < self.valid[1]


def check_leaf(
    leaf: bytes, federation: Federation, issuers_of: Callable[[Kind, str], Sequence[Issuer]], now: int, use: Use
) -> CheckedLeaf:
    """Whose leaf (PEM or DER) it is. ``issuers_of`` raises for a name that the directory does not list."""
    try:
        certificate = (
            x509.load_pem_x509_certificate(leaf) if leaf.startswith(b"-----") else x509.load_der_x509_certificate(leaf)
        )
        extensions = certificate.extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        subject = list(certificate.subject)
    except UNREADABLE:
        raise UnknownPeer("the peer's certificate cannot be read or bears no names") from None
    # 1
    peer = _named(names, federation)
    # 2
    if subject:
        raise UnknownPeer("the peer's certificate has a subject; it must be empty")
    # 3
    if not _is_p256(certificate):
        raise UnknownPeer("the key of the peer's certificate is not P-256")
    # 4, 5
    _check_use(extensions, use)
    # 6
    issuer = _issuer_of(certificate, issuers_of, peer)
    if issuer is None:
        raise UnknownPeer(f"the directory lists no issuer of this certificate for {peer.name}")
    # 7
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    checked = CheckedLeaf(replace(peer, issuer=issuer.id), (_instant(start), _instant(end)))
    if end - start > LEAF_LIFE or not checked.holds(now):
        raise UnknownPeer("the peer's certificate is not valid now, or was made for more than seven days")
    return checked


def _issuer_of(
    certificate: x509.Certificate, issuers_of: Callable[[Kind, str], Sequence[Issuer]], peer: Peer
) -> Issuer | None:
    try:
        listed = issuers_of(peer.kind, peer.name)
    except CimfedError:
        return None
    for issuer in listed:
        with suppress(ValueError, TypeError, InvalidSignature):
            certificate.verify_directly_issued_by(issuer.certificate)
            return issuer
    return None


def server_name(leaf: bytes) -> str:
    """The DNS name that a server's leaf (PEM) shows. UnknownPeer for one without. Nothing of it is believed."""
    try:
        certificate = x509.load_pem_x509_certificate(leaf)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (name,) = names.get_values_for_type(x509.DNSName)
    except UNREADABLE:
        raise UnknownPeer("the server's certificate cannot be read or bears no name") from None
    return name


def _named(names: x509.SubjectAlternativeName, federation: Federation) -> Peer:
    if sorted(type(name).__name__ for name in names) != ["DNSName", "UniformResourceIdentifier"]:
        raise UnknownPeer("the peer's certificate must have one URI and one DNS name, and no other")
    (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    (dns,) = names.get_values_for_type(x509.DNSName)
    name = uri.rsplit("/", 1)[-1]
    try:
        expected = spiffe_id(federation, name), dns_name(federation, name)
    except CimfedError:
        raise UnknownPeer("the peer's certificate names nobody") from None
    if (uri, dns) != expected:
        raise UnknownPeer("the names of the peer's certificate do not agree, or are of another federation")
    return Peer(kind_of(name), name)


def _check_use(extensions: x509.Extensions, use: Use) -> None:
    try:
        uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise UnknownPeer("the peer's certificate does not say what it is for") from None
    if list(uses) != [_EKU[use]]:
        raise UnknownPeer(f"the peer's certificate is not for use as a {use} alone")
    if constraints.ca or usage.key_cert_sign or not usage.digital_signature:
        raise UnknownPeer("the peer's certificate is an issuer's")


def leaf_builder(
    federation: Federation, name: str, use: Use, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    """All of a leaf but its key and issuer. The names are critical since the subject is empty (RFC 5280 4.2.1.6)."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.UniformResourceIdentifier(spiffe_id(federation, name)),
                    x509.DNSName(dns_name(federation, name)),
                ]
            ),
            critical=True,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_EKU[use]]), critical=True)
    )


def _issuer_subject(federation: str, name: str) -> x509.Name:
    """The party's DNS name as domain components (RFC 2247): unlike a common name, of any length."""
    labels = reversed(dns_name(federation, name).split("."))
    return x509.Name([x509.NameAttribute(NameOID.DOMAIN_COMPONENT, label) for label in labels])


def _constraints(federation: str, name: str) -> x509.NameConstraints:
    return x509.NameConstraints(permitted_subtrees=[x509.DNSName(dns_name(federation, name))], excluded_subtrees=None)


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _is_p256(certificate: x509.Certificate) -> bool:
    key = certificate.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)


def _time(instant: int) -> datetime:
    return (_EPOCH + timedelta(microseconds=instant)).replace(microsecond=0)


def _instant(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND
