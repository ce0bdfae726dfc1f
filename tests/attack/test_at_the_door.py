"""Who a node lets in, by real TLS: a name counts only under its own issuer, its own use and its own query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cimfed.trust.identity_files import load_issuing_key
from cimfed.trust.tls import IssuingKey, Leaf, Use
from cimfed_node.tables.admissions import decisions
from tests.attack.conftest import Scene
from tests.federation import raw
from tests.federation.world import FEDERATION, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CITY = "kz.almaty"
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NO_CONNECTION = "UNAVAILABLE", ""  # TLS refuses before anything of ours runs
UNKNOWN = "UNAUTHENTICATED", "unknown_peer"


def own_leaf(world: World, name: str, use: Use = Use.CLIENT) -> Leaf:
    return world.parties[name].leaves[use].current(world.clock())


def leaf_by(world: World, issuer: str, name: str) -> Leaf:
    """A leaf in a name, made with the issuing key of another party."""
    return load_issuing_key(world.parties[issuer].home).issue(FEDERATION, name, Use.CLIENT, world.clock())


def crafted(
    world: World, issuer: str, names: list[x509.GeneralName], subject: str = "", key: PrivateKey | None = None
) -> Leaf:
    """A leaf with any names, made with a party's own issuing key."""
    home = world.parties[issuer].home
    issuing = serialization.load_pem_private_key((home / "keys/tls.key").read_bytes(), None)
    certificate = x509.load_pem_x509_certificate((home / "keys/tls.pem").read_bytes())
    key, now = key or ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    common = [x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)] if subject else []
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(common))
        .issuer_name(certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=30))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=not common)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
        .sign(issuing, hashes.SHA256())  # type: ignore[arg-type]
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Leaf(key.private_bytes(*form), made.public_bytes(serialization.Encoding.PEM), 0, 0)


def of_another_key(world: World, key: PrivateKey) -> Leaf:
    return crafted(world, "inst.stranger", [uri("inst.stranger", "partner"), dns("inst.stranger")], key=key)


def uri(name: str, kind: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(f"spiffe://sco/{kind}/{name}")


def dns(name: str) -> x509.GeneralName:
    return x509.DNSName(f"{name}.sco.invalid")


@dataclass(frozen=True)
class Visit:
    """Who comes with what: always a query that inst.tsinghua signed for gw.alliance to present, or for itself."""

    leaf: Callable[[World], Leaf]
    verdict: tuple[str, str]
    presenter: str = ""  # whose narrowing it shows; none: it comes as the partner itself
    signer: str = ""  # who really signed the narrowing

    def request(self, world: World) -> bytes:
        via = ["gw.alliance"] if self.presenter else []
        asked = raw.query(world.clock(), via=via, read=raw.read("building", "id"))
        partner = world.parties["inst.tsinghua"].signer
        if not self.presenter:
            return raw.ask(partner, asked)
        signer = world.parties[self.signer or self.presenter].signer
        return raw.ask(partner, asked, [raw.narrowing(signer, self.presenter, asked)])


VISITS = {
    "a stranger with a partner's query": Visit(
        lambda world: own_leaf(world, "inst.stranger"), ("PERMISSION_DENIED", "not_via")
    ),
    "a partner that presents as a gateway": Visit(
        lambda world: own_leaf(world, "inst.stranger"), ("PERMISSION_DENIED", "not_via"), presenter="gw.alliance"
    ),
    "a partner with a narrowing that it signed in the gateway's name": Visit(
        lambda world: own_leaf(world, "inst.stranger"),
        ("PERMISSION_DENIED", "not_via"),
        presenter="gw.alliance",
        signer="inst.stranger",
    ),
    "a gateway that the query does not name, with the other's narrowing": Visit(
        lambda world: own_leaf(world, "gw.other"), ("PERMISSION_DENIED", "not_via"), presenter="gw.alliance"
    ),
    "a gateway that the query does not name, with its own narrowing": Visit(
        lambda world: own_leaf(world, "gw.other"), ("PERMISSION_DENIED", "not_via"), presenter="gw.other"
    ),
    "a gateway without a narrowing": Visit(
        lambda world: own_leaf(world, "gw.alliance"), ("PERMISSION_DENIED", "not_via")
    ),
    "a leaf in the gateway's name by a partner's issuer": Visit(
        lambda world: leaf_by(world, "inst.stranger", "gw.alliance"), NO_CONNECTION, presenter="gw.alliance"
    ),
    "a leaf in another partner's name by a partner's issuer": Visit(
        lambda world: leaf_by(world, "inst.stranger", "inst.tsinghua"), NO_CONNECTION
    ),
    "a leaf whose URI alone is another partner's": Visit(
        lambda world: crafted(world, "inst.stranger", [uri("inst.tsinghua", "partner"), dns("inst.stranger")]), UNKNOWN
    ),
    "a leaf whose URI says that the partner is a gateway": Visit(
        lambda world: crafted(world, "inst.stranger", [uri("inst.stranger", "gateway"), dns("inst.stranger")]), UNKNOWN
    ),
    "a leaf with two URIs": Visit(
        lambda world: crafted(
            world,
            "inst.stranger",
            [uri("inst.stranger", "partner"), uri("inst.tsinghua", "partner"), dns("inst.stranger")],
        ),
        UNKNOWN,
    ),
    "a leaf without a DNS name, another's as its common name": Visit(
        lambda world: crafted(world, "inst.stranger", [uri("inst.stranger", "partner")], "inst.tsinghua.sco.invalid"),
        UNKNOWN,
    ),
    "a leaf with a wildcard": Visit(
        lambda world: crafted(world, "inst.stranger", [uri("inst.stranger", "partner"), dns("*")]), NO_CONNECTION
    ),
    "a leaf with a key of P-384": Visit(
        lambda world: of_another_key(world, ec.generate_private_key(ec.SECP384R1())), UNKNOWN
    ),
    "a leaf with an RSA key": Visit(
        lambda world: of_another_key(world, rsa.generate_private_key(65537, 2048)), UNKNOWN
    ),
    "a server's leaf": Visit(lambda world: own_leaf(world, "inst.tsinghua", Use.SERVER), NO_CONNECTION),
}


async def ask(scene: Scene, channel: Any, request: bytes) -> raw.Refused:
    """The refusal that a request ends with; no frame may come before it."""
    try:
        async for _ in channel.unary_stream(raw.READ)(request, timeout=20):
            raise AssertionError("it was answered")
    except grpc.aio.AioRpcError as error:
        return raw.refusal(error)
    raise AssertionError("the call ended well")


def logged(scene: Scene) -> int:
    with scene.nodes[CITY].control.reading() as connection:
        return len(decisions(connection))


def caller(scene: Scene, leaf: Leaf) -> raw.Caller:
    return raw.Caller(scene.nodes[CITY].server.port, CITY, scene.world.directory.member(CITY).issuers[0].pem, leaf)


@pytest.mark.parametrize("visit", VISITS.values(), ids=VISITS.keys())
async def test_a_node_turns_away(scene: Scene, visit: Visit) -> None:
    before = logged(scene)
    async with caller(scene, visit.leaf(scene.world)) as desk:
        refused = await ask(scene, desk.channel, visit.request(scene.world))
    assert (refused.code, refused.reason) == visit.verdict, refused
    assert logged(scene) == before


async def test_a_node_lets_the_partner_and_its_gateway_in(scene: Scene) -> None:
    for name, presenter in (("inst.tsinghua", ""), ("gw.alliance", "gw.alliance")):
        request = Visit(lambda world: own_leaf(world, "inst.tsinghua"), ("", ""), presenter).request(scene.world)
        async with caller(scene, own_leaf(scene.world, name)) as desk:
            found = await desk.frames(raw.READ, request)
        assert found[-1]["part"] == "manifest"


async def test_a_city_asks_nobody(scene: Scene) -> None:
    leaf = load_issuing_key(scene.world.cities["uz.tashkent"].home.path).issue(
        FEDERATION, "uz.tashkent", Use.CLIENT, scene.world.clock()
    )
    request = Visit(lambda world: leaf, ("", "")).request(scene.world)
    async with caller(scene, leaf) as desk:
        refused = await ask(scene, desk.channel, request)
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "not_allowed")


async def test_a_gateway_that_was_never_listed_gets_no_connection(scene: Scene) -> None:
    issuing = IssuingKey.make(FEDERATION, "gw.rogue", scene.world.clock())
    leaf = issuing.issue(FEDERATION, "gw.rogue", Use.CLIENT, scene.world.clock())
    request = Visit(lambda world: leaf, ("", ""), "gw.alliance").request(scene.world)
    async with caller(scene, leaf) as desk:
        refused = await ask(scene, desk.channel, request)
    assert (refused.code, refused.reason) == NO_CONNECTION


async def test_a_gateway_that_is_listed_no_more_is_nobody_on_the_connection_that_it_holds(scene: Scene) -> None:
    party = scene.world.add_gateway("gw.leaving")
    asked = raw.query(scene.world.clock(), via=["gw.leaving"], read=raw.read("building", "id"))
    partner = scene.world.parties["inst.tsinghua"].signer
    request = raw.ask(partner, asked, [raw.narrowing(party.signer, "gw.leaving", asked)])
    async with caller(scene, own_leaf(scene.world, "gw.leaving")) as desk:
        assert (await desk.frames(raw.READ, request))[-1]["part"] == "manifest"
        scene.world.remove("gw.leaving")
        refused = await ask(scene, desk.channel, request)
    assert (refused.code, refused.reason) == UNKNOWN


@pytest.mark.parametrize("encrypted", [True, False], ids=["without a client certificate", "in plaintext"])
async def test_nobody_is_let_in(scene: Scene, encrypted: bool) -> None:
    address = f"127.0.0.1:{scene.nodes[CITY].server.port}"
    options = (("grpc.ssl_target_name_override", f"{CITY}.sco.invalid"), ("grpc.enable_http_proxy", 0))
    if encrypted:
        credentials = grpc.ssl_channel_credentials(scene.world.directory.member(CITY).issuers[0].pem)
        channel = grpc.aio.secure_channel(address, credentials, options=options)
    else:
        channel = grpc.aio.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),))
    async with channel:
        refused = await ask(scene, channel, Visit(lambda world: None, ("", "")).request(scene.world))  # type: ignore[arg-type,return-value]
    assert (refused.code, refused.reason) == NO_CONNECTION
