"""Every rule of a leaf with a leaf that breaks it and keeps all others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from cimfed.errors import BadConfig, UnknownPeer
from cimfed.model.names import Federation, Kind
from cimfed.trust.tls import Issuer, IssuingKey, LeafSource, Peer, Use, check_issuer, check_leaf
from tests.unit.cimfed.garbled import SUBJECTS, garbled, garbled_issuer
from tests.unit.cimfed.parties import CITY, PARTNER, SCO, Party, World

DAY = 86_400_000_000
NOW = 1_800_000_000_000_000
TIME = datetime.fromtimestamp(NOW / 1e6, UTC)
WORLD = World(NOW)
OWNER = WORLD.parties[PARTNER]


class Forge:
    """Makes leaves with cryptography alone, right in everything that a test does not change."""

    def __init__(self, party: Party = OWNER) -> None:
        self.name = x509.Name([])
        self.sans: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier("spiffe://sco/partner/inst.tsinghua"),
            x509.DNSName("inst.tsinghua.sco.invalid"),
        ]
        self.key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = ec.generate_private_key(ec.SECP256R1())
        self.uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        self.more: list[x509.UnrecognizedExtension] = []
        self.ca = False
        self.signs_certificates = False
        self.start, self.end = TIME - timedelta(minutes=1), TIME + timedelta(days=6)
        self.issuer = party.issuing.issuer.certificate.subject
        self.issuing_key = serialization.load_pem_private_key(party.issuing.to_pem(), None)

    def pem(self) -> bytes:
        usage = [True, False, False, False, False, self.signs_certificates, False, False, False]
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(self.issuer)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(self.start)
            .not_valid_after(self.end)
            .add_extension(x509.BasicConstraints(self.ca, None), True)
            .add_extension(x509.KeyUsage(*usage), True)
        )
        if self.sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(self.sans), True)
        if self.uses:
            builder = builder.add_extension(x509.ExtendedKeyUsage(self.uses), False)
        for extension in self.more:
            builder = builder.add_extension(extension, True)
        return builder.sign(self.issuing_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def check(pem: bytes, now: int = NOW, use: Use = Use.CLIENT) -> Peer:
    return check_leaf(pem, SCO, WORLD.current(now).issuers_of, now, use).peer


def test_a_leaf_that_keeps_every_rule_names_its_peer() -> None:
    assert check(Forge().pem()) == Peer(Kind.PARTNER, PARTNER)


def test_the_leaves_that_are_made_here_keep_every_rule() -> None:
    for use in Use:
        assert check(OWNER.leaves(use).current(NOW).chain_pem, NOW, use) == Peer(Kind.PARTNER, PARTNER)


def uri(text: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(text)


GOOD_URI, GOOD_DNS = uri("spiffe://sco/partner/inst.tsinghua"), x509.DNSName("inst.tsinghua.sco.invalid")

BAD_NAMES = {
    "no name at all": [],
    "a URI alone": [GOOD_URI],
    "a DNS name alone": [GOOD_DNS],
    "two URIs": [GOOD_URI, uri("spiffe://sco/city/kz.almaty"), GOOD_DNS],
    "two DNS names": [GOOD_URI, GOOD_DNS, x509.DNSName("kz.almaty.sco.invalid")],
    "the same URI twice": [GOOD_URI, GOOD_URI, GOOD_DNS],
    "an e-mail address too": [GOOD_URI, GOOD_DNS, x509.RFC822Name("a@sco.invalid")],
    "names that disagree": [GOOD_URI, x509.DNSName("kz.almaty.sco.invalid")],
    "a wildcard": [GOOD_URI, x509.DNSName("*.sco.invalid")],
    "a wildcard in both": [uri("spiffe://sco/partner/*"), x509.DNSName("*.sco.invalid")],
    "another name of an issuer's own": [uri("spiffe://sco/partner/inst.other"), x509.DNSName("inst.other.sco.invalid")],
    "a city's name": [uri("spiffe://sco/city/kz.almaty"), x509.DNSName("kz.almaty.sco.invalid")],
    "another kind": [uri("spiffe://sco/city/inst.tsinghua"), GOOD_DNS],
    "another federation": [uri("spiffe://other/partner/inst.tsinghua"), x509.DNSName("inst.tsinghua.other.invalid")],
    "a deeper path": [uri("spiffe://sco/partner/x/inst.tsinghua"), GOOD_DNS],
    "an encoded path": [uri("spiffe://sco/city/..%2fpartner/inst.tsinghua"), GOOD_DNS],
    "a query": [uri("spiffe://sco/partner/inst.tsinghua?x"), GOOD_DNS],
    "upper case": [uri("spiffe://sco/partner/INST.TSINGHUA"), x509.DNSName("INST.TSINGHUA.sco.invalid")],
    "another scheme": [uri("https://sco/partner/inst.tsinghua"), GOOD_DNS],
}


@pytest.mark.parametrize("names", BAD_NAMES.values(), ids=BAD_NAMES)
def test_rule_1_refuses_other_names(names: list[x509.GeneralName]) -> None:
    leaf = Forge()
    leaf.sans = names
    with pytest.raises(UnknownPeer):
        check(leaf.pem())


def test_rule_2_refuses_a_common_name_even_beside_good_names() -> None:
    leaf = Forge()
    leaf.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kz.almaty.sco.invalid")])
    with pytest.raises(UnknownPeer):
        check(leaf.pem())


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())])
def test_rule_3_refuses_other_keys(key: rsa.RSAPrivateKey) -> None:
    leaf = Forge()
    leaf.key = key
    with pytest.raises(UnknownPeer):
        check(leaf.pem())


@pytest.mark.parametrize(
    "uses",
    [
        [],
        [ExtendedKeyUsageOID.SERVER_AUTH],
        [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH],
        [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE],
    ],
)
def test_rule_4_refuses_another_use(uses: list[x509.ObjectIdentifier]) -> None:
    leaf = Forge()
    leaf.uses = uses
    with pytest.raises(UnknownPeer):
        check(leaf.pem())


def test_rule_5_refuses_a_certificate_that_can_issue() -> None:
    for ca, signs in ((True, False), (False, True), (True, True)):
        leaf = Forge()
        leaf.ca, leaf.signs_certificates = ca, signs
        with pytest.raises(UnknownPeer):
            check(leaf.pem())


def test_rule_6_refuses_a_listed_issuer_of_another_name() -> None:
    with pytest.raises(UnknownPeer):
        check(Forge(WORLD.parties[CITY]).pem())


def test_rule_6_refuses_an_issuer_that_only_bears_the_right_name() -> None:
    with pytest.raises(UnknownPeer):
        check(Forge(Party.make(PARTNER, NOW)).pem())


def test_rule_6_takes_any_issuer_that_is_listed_for_the_name_while_it_rotates() -> None:
    old, new = OWNER, Party.make(PARTNER, NOW)
    for listed in ((old, new), (new, old)):
        issuers = tuple(party.issuing.issuer for party in listed)
        for party in listed:
            pem = party.leaves(Use.CLIENT).current(NOW).chain_pem
            assert check_leaf(pem, SCO, lambda kind, name: issuers, NOW, Use.CLIENT).peer.name == PARTNER  # noqa: B023
    with pytest.raises(UnknownPeer):
        check_leaf(Forge().pem(), SCO, lambda kind, name: (new.issuing.issuer,), NOW, Use.CLIENT)
    with pytest.raises(UnknownPeer):
        check_leaf(Forge().pem(), SCO, lambda kind, name: (), NOW, Use.CLIENT)


def test_rule_6_refuses_an_issuer_in_between() -> None:
    middle = Forge()
    middle.ca = middle.signs_certificates = True
    leaf = Forge()
    leaf.issuer, leaf.issuing_key = x509.Name([]), middle.key
    with pytest.raises(UnknownPeer):
        check(leaf.pem())


def test_rule_6_refuses_the_issuing_certificate_itself() -> None:
    with pytest.raises(UnknownPeer):
        check(OWNER.issuing.issuer.pem)


def test_rule_7_refuses_before_after_and_for_too_long() -> None:
    pem = Forge().pem()
    for moment in (NOW - DAY, NOW + 6 * DAY):
        with pytest.raises(UnknownPeer):
            check(pem, moment)
    leaf = Forge()
    leaf.end = leaf.start + timedelta(days=8)
    with pytest.raises(UnknownPeer):
        check(leaf.pem())


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x03\x02\x01\x01"])
def test_what_is_no_certificate_is_refused(content: bytes) -> None:
    with pytest.raises(UnknownPeer):
        check(content)


def test_a_leaf_is_renewed_at_half_life_and_not_before() -> None:
    source = OWNER.leaves(Use.CLIENT)
    first = source.current(NOW)
    assert source.current(NOW + 3 * DAY) is first
    second = source.current(NOW + 4 * DAY)
    assert second is not first
    assert check(second.chain_pem, NOW + 10 * DAY) == Peer(Kind.PARTNER, PARTNER)


def test_a_leaf_does_not_show_its_private_key() -> None:
    assert "PRIVATE" not in repr(OWNER.leaves(Use.CLIENT).current(NOW))


def test_a_leaf_holds_for_a_peer_whose_clock_is_behind() -> None:
    assert check(OWNER.leaves(Use.CLIENT).current(NOW).chain_pem, NOW - 29_000_000)


def test_an_issuing_certificate_is_bound_to_its_name_and_federation() -> None:
    check_issuer(OWNER.issuing.issuer, SCO, PARTNER)
    for federation, name in ((SCO, "inst.other"), (Federation("other"), PARTNER)):
        with pytest.raises(BadConfig):
            check_issuer(OWNER.issuing.issuer, federation, name)
    with pytest.raises(BadConfig):
        check_issuer(Issuer(OWNER.leaves(Use.CLIENT).current(NOW).chain_pem), SCO, PARTNER)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_an_issuer_whose_subject_cannot_be_read_is_refused(subject: bytes) -> None:
    with pytest.raises(BadConfig, match="not an issuing certificate"):
        check_issuer(garbled_issuer(OWNER, subject), SCO, PARTNER)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_leaf_whose_subject_cannot_be_read_is_unknown(subject: bytes) -> None:
    forge = Forge()
    forge.name = x509.Name([x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "inst")])
    with pytest.raises(UnknownPeer, match="has a subject"):
        check_leaf(forge.pem(), SCO, WORLD.directory.issuers_of, NOW, Use.CLIENT)
    with pytest.raises(UnknownPeer, match="cannot be read"):
        check_leaf(garbled(OWNER, forge.pem(), subject), SCO, WORLD.directory.issuers_of, NOW, Use.CLIENT)


def test_a_long_name_can_have_certificates() -> None:
    name = f"inst.{'a' * 30}.{'b' * 30}.{'c' * 30}"
    source = LeafSource(IssuingKey.make(SCO, name, NOW), SCO, name, Use.CLIENT)
    assert source.current(NOW)


def test_an_issuing_key_opens_with_its_own_certificate_alone() -> None:
    assert IssuingKey.from_pem(OWNER.issuing.to_pem(), OWNER.issuing.issuer).issuer == OWNER.issuing.issuer
    with pytest.raises(BadConfig):
        IssuingKey.from_pem(OWNER.issuing.to_pem(), WORLD.parties[CITY].issuing.issuer)


@pytest.mark.parametrize(
    "more",
    [
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        WORLD.parties[CITY].issuing.issuer.pem,
        b"junk",
        b"\n",
    ],
)
def test_the_file_of_an_issuer_holds_its_certificate_alone(more: bytes) -> None:
    """A TLS stack would trust every certificate in it, and take no connection at all if one cannot be read."""
    for pem in (OWNER.issuing.issuer.pem + more, more + OWNER.issuing.issuer.pem):
        with pytest.raises(BadConfig):
            check_issuer(Issuer(pem), SCO, PARTNER)


def test_an_issuer_is_of_four_kib_at_most() -> None:
    """Readers keep the certificates of a whole directory."""
    own = OWNER.issuing.issuer.certificate
    key = serialization.load_pem_private_key(OWNER.issuing.to_pem(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    made = (
        x509.CertificateBuilder()
        .subject_name(own.subject)
        .issuer_name(own.issuer)
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(TIME)
        .not_valid_after(TIME + timedelta(days=6))
    )
    for extension in own.extensions:
        made = made.add_extension(extension.value, extension.critical)
    for size, taken in ((1000, True), (4000, False)):
        junk = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(size))
        issuer = Issuer(
            made.add_extension(junk, False).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        if taken:
            check_issuer(issuer, SCO, PARTNER)
        else:
            with pytest.raises(BadConfig, match="larger than 4 KiB"):
                check_issuer(issuer, SCO, PARTNER)


CONSTRAINED_TO_IT = bytes.fromhex("3008a0063004a502a100")
EDI_PARTY = bytes.fromhex("3004a502a100")  # a general name that cryptography does not read


def test_a_leaf_with_names_that_cannot_be_read_is_unknown() -> None:
    forge = Forge()
    forge.sans = []
    forge.more = [x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, EDI_PARTY)]
    with pytest.raises(UnknownPeer, match="cannot be read"):
        check_leaf(forge.pem(), SCO, lambda kind, name: OWNER.issuing.issuer, NOW, Use.CLIENT)


def test_an_issuer_whose_constraints_cannot_be_read_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = [False, False, False, False, False, True, False, False, False]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(TIME)
        .not_valid_after(TIME + timedelta(days=6))
        .add_extension(x509.BasicConstraints(True, 0), True)
        .add_extension(x509.KeyUsage(*usage), True)
        .add_extension(x509.UnrecognizedExtension(ExtensionOID.NAME_CONSTRAINTS, CONSTRAINED_TO_IT), True)
        .sign(key, hashes.SHA256())
    )
    with pytest.raises(BadConfig, match="not an issuing certificate"):
        check_issuer(Issuer(certificate.public_bytes(serialization.Encoding.PEM)), SCO, PARTNER)
