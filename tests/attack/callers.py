"""Everybody who may knock at a server of a federation, with a node, a gateway and the directory service that they knock
at, all behind real TLS.

The registrar has a former colleague, whose key is revoked. Some are revoked or suspended after they have connected.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cimfed.errors import NodeUnreachable
from cimfed.model.instants import instant_text
from cimfed.model.names import DirectoryName, Federation, Kind, PartnerName, city_name, gateway_name
from cimfed.rpc import authorisation as rpcs
from cimfed.rpc.mirror import mirror
from cimfed.rpc.server import Server
from cimfed.rpc.throttle import Allowance, Throttle
from cimfed.tlog.keeper import Keeper
from cimfed.trust.admin import Argument
from cimfed.trust.directory import layout
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.publication import Holders
from cimfed.trust.identity_files import load_issuing_key
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tls import IssuingKey, Leaf, LeafSource, Use, leaf_builder
from cimfed.v1 import answer_pb2
from cimfed.wire.logs import AskProof
from cimfed_gateway.directory.repository import Repository
from cimfed_gateway.directory.service import ALLOWANCES, Service
from cimfed_gateway.directory.tables import Records
from tests.attack.asks import (
    CITY,
    DAY,
    GATEWAY,
    OTHER_CITY,
    PARTNER,
    Caller,
    Town,
    administer,
    made_up,
    read,
    registrars,
    verdict,
)
from tests.board import SERVICE
from tests.federation.world import FEDERATION, World, buildings
from tests.oracle.wire.streams import read_frame

GRANTS = """
  - id: massing
    subject: {org: [inst.tsinghua, inst.revoked-key, inst.expired-key, inst.revoked, inst.suspended]}
    purpose: [research]
    collection: building
    columns: {id: exact}
"""
PLENTY = Allowance(rate=1000, burst=1000, slots_each=16, slots=64)


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Town]:
    """Everything, with every caller; what some of them held is taken from them once they are connected."""
    world = World(folder)
    for name in (GATEWAY, "gw.other", "gw.revoked", "gw.suspended"):
        world.add_gateway(name)
    for name in (PARTNER, *(f"inst.{what}" for what in ("revoked", "revoked-key", "revoked-issuer", "suspended",
                                                        "expired-key"))):  # fmt: skip
        world.add_partner(name)
    for name in (CITY, OTHER_CITY, "in.revoked", "in.suspended"):
        world.add_city(name)
    city = world.cities[CITY]
    city.adopt(buildings(CITY, [{"at": (70.0, 40.0)}]))
    policy = city.sign(GRANTS, more="declared: {building: {extent: [60, 20, 90, 50]}}")
    city.put_in_force(policy)
    world.publish_routing(city, policy)
    entry = world.board.directory.member(CITY).routing
    assert entry is not None
    async with AsyncExitStack() as running:
        node = await running.enter_async_context(world.node(CITY))
        gateway = await running.enter_async_context(world.gateway())
        _expire(world)
        records = Records.create(folder / "records.sqlite")
        running.callback(records.close)
        repository = Repository(
            folder / "repository", FEDERATION, DirectoryName(SERVICE), world.board.online, records, world.clock
        )
        town = Town(world, KeySigner.generate(), repository, entry)
        service = Service(records, repository, world.clock)
        keeper = Keeper(records, Origin(FEDERATION, SERVICE), world.board.log, repository, _nobody, world.clock)
        directory = Server(
            Kind.DIRECTORY,
            "127.0.0.1:0",
            None,
            LeafSource(world.board.issuing, FEDERATION, SERVICE, Use.SERVER),
            {},
            {**service.handlers(), **mirror(repository.files), **keeper.handlers()},
            throttle=Throttle(dict.fromkeys(ALLOWANCES, PLENTY)),
        )
        await directory.start()
        running.push_async_callback(directory.drain, 1.0)
        await directory.serve()
        town.ports = {Kind.CITY: node.server.port, Kind.GATEWAY: gateway.port, Kind.DIRECTORY: directory.port}
        town.callers = dict(_callers(town))
        for name, caller in town.callers.items():
            if caller.held:
                await _connect(running, town, name, caller)
        town.decision = await _decided(town)
        _take_away(town)
        _found(town)
        _invite(town, service)
        for log in (node.log, world.keepers[GATEWAY], keeper):
            await log.publish(every=0)
        yield town


async def _connect(running: AsyncExitStack, town: Town, name: str, caller: Caller) -> None:
    for server in (Kind.CITY, Kind.GATEWAY):
        channel = town.held[name, server] = town.channel(server, caller.leaf)
        running.push_async_callback(channel.close)
        assert await verdict(town, caller, channel, "fetch") == "ok"


async def _decided(town: Town) -> AskProof:
    gateway = town.callers["a gateway"]
    async with town.calling("a gateway", Kind.CITY) as channel:
        found = [read_frame(data) async for data in channel.unary_stream(rpcs.READ)(read(town, gateway), timeout=20)]
    manifest = answer_pb2.Manifest.FromString(found[-1]["manifest"]["payload"])
    return AskProof(manifest.decision, manifest.request_hash)


async def _nobody(*_: object) -> bytes:
    raise NodeUnreachable("nobody is asked to witness here")


def _expire(world: World) -> None:
    """The key of inst.expired-key is valid no more."""
    partners, now = dict(world.listing.partners), world.clock()
    name = PartnerName("inst.expired-key")
    keys = tuple(replace(key, valid=(now - 2 * DAY, now - DAY)) for key in partners[name].keys)
    partners[name] = replace(partners[name], keys=keys)
    world.publish(replace(world.listing, partners=partners))


def _take_away(town: Town) -> None:
    """Revokes and suspends."""
    world = town.world
    listed, now, board = world.listing, world.clock(), world.board
    version, revoker = board.directory.versions[layout.TARGETS] + 1, Holders((board.revoker.public,))
    draft = drafts.targets_draft(version, FEDERATION, board.service, registrars(town), revoker, now)
    board.accept(board.sign(draft, *board.keys[:2]), now)
    world.board.revoke(town.former.public.id.hex(), "left", world.clock())
    span = (now - DAY, now + DAY)
    partner, gateway, member = PartnerName("inst.suspended"), gateway_name("gw.suspended"), city_name("in.suspended")
    world.publish(
        replace(
            listed,
            partners={**listed.partners, partner: replace(listed.partners[partner], suspended=span)},
            gateways={**listed.gateways, gateway: replace(listed.gateways[gateway], suspended=span)},
            members={**listed.members, member: replace(listed.members[member], suspended=span)},
        )
    )
    for subject in ("inst.revoked", "gw.revoked", "in.revoked"):
        world.board.revoke(subject, "lost", world.clock())
    world.board.revoke(world.parties["inst.revoked-key"].signer.public.id.hex(), "lost", world.clock())
    (issuer,) = world.listing.partners[PartnerName("inst.revoked-issuer")].issuers
    world.board.revoke(issuer.id.hex(), "lost", world.clock())


def _found(town: Town) -> None:
    """The directory service begins with what the world has, and with a former registrar."""
    world, board, now = town.world, town.world.board, town.now()
    revoked = board.directory.revoked
    holders = {"root": board.board.keys, "targets": board.board.keys, "registrar": [board.registrar.public],
               "revoker": [board.revoker.public]}  # fmt: skip
    files = {
        **drafts.root_draft(1, board.board, board.online.public, now),
        **drafts.targets_draft(1, FEDERATION, board.service, registrars(town), Holders((board.revoker.public,)), now),
        **drafts.registrar_draft(1, FEDERATION, world.listing, now),
        **drafts.revoker_draft(1, FEDERATION, revoked, now),
    }
    for signer in (*board.keys[:2], board.registrar, board.revoker):
        files = drafts.sign(files, signer, holders)
    town.repository.begin(files)


def _invite(town: Town, service: Service) -> None:
    """The newcomer's invitation is the registrar's."""
    invitation = town.callers["a newcomer with an invitation"].invitation
    assert invitation is not None
    arguments: dict[str, Argument] = {
        "id": invitation.key.id.hex(), "key": invitation.key.key.hex(), "name": invitation.name,
        "expires": instant_text(town.now() + DAY), "new_keys": False,
    }  # fmt: skip
    request = administer("invite", **arguments)(town, town.callers["a registrar"])
    service.calls()[rpcs.ADMINISTER](request)


def _callers(town: Town) -> Iterator[tuple[str, Caller]]:
    world, board = town.world, town.world.board
    steward = world.cities[CITY].steward

    def party(name: str, **how: Any) -> Caller:
        known = world.parties[name]
        leaf = known.leaves[Use.CLIENT].current(world.clock())
        return Caller(name, [known.signer], leaf, name.startswith("gw."), **how)

    def city(name: str, **how: Any) -> Caller:
        leaf = load_issuing_key(world.cities[name].home.path).issue(FEDERATION, name, Use.CLIENT, world.clock())
        return Caller(name, [world.cities[name].signer], leaf, **how)

    partner = party(PARTNER)
    yield "nobody", Caller("inst.nobody", [KeySigner.generate()])
    yield (
        "a newcomer with an invitation",
        Caller("inst.newcomer", [KeySigner.generate()], invitation=made_up("inst.newcomer")),
    )
    yield "a partner", partner
    yield "a city", city(OTHER_CITY)
    yield "a gateway", party("gw.other")
    yield (
        "the directory service",
        Caller(SERVICE, [board.log], board.issuing.issue(FEDERATION, SERVICE, Use.CLIENT, world.clock())),
    )
    offices: dict[str, Sequence[Signer]] = {
        "a steward": [steward],
        "a registrar": [board.registrar],
        "a former registrar": [town.former],
        "a revoker": [board.revoker],
        "one of the board": board.keys[:1],
        "enough of the board": board.keys[:2],
    }
    for name, signers in offices.items():
        yield name, Caller("inst.office", signers)
    for name, signers in offices.items():
        yield f"{name}, by a partner's leaf", Caller(PARTNER, signers, partner.leaf)
    for what in ("revoked", "suspended"):
        for name, made in ((f"inst.{what}", party), (f"gw.{what}", party), (f"in.{what}", city)):
            kind = {"inst": "partner", "gw": "gateway", "in": "city"}[name.split(".")[0]]
            yield f"a {what} {kind}", made(name)
            yield f"a {what} {kind}, connected before", made(name, held=True)
    yield "a partner whose key is revoked", party("inst.revoked-key")
    yield "a partner whose issuer is revoked", party("inst.revoked-issuer")
    yield "a partner whose issuer is revoked, connected before", party("inst.revoked-issuer", held=True)
    yield "a partner whose key has expired", party("inst.expired-key")
    yield "a partner whose leaf has expired", replace(partner, leaf=_leaf(world, PARTNER, FEDERATION, days=-1))
    yield (
        "a partner by its server's leaf",
        replace(partner, leaf=world.parties[PARTNER].leaves[Use.SERVER].current(world.clock())),
    )
    yield "a partner that speaks of another federation", replace(partner, asks_of="other")
    yield "a partner by a leaf of another federation", replace(partner, leaf=_leaf(world, PARTNER, "other"))
    other = IssuingKey.make(Federation("other"), PARTNER, world.clock())
    yield "a partner of another federation", Caller(
        PARTNER, [KeySigner.generate()], other.issue(Federation("other"), PARTNER, Use.CLIENT, world.clock()),
        asks_of="other",
    )  # fmt: skip


def _leaf(world: World, name: str, of: str, days: int = 1) -> Leaf:
    """A client's leaf by the party's own issuing key, which ends in so many days."""
    home = world.parties[name].home
    issuing = serialization.load_pem_private_key((home / "keys/tls.key").read_bytes(), None)
    assert isinstance(issuing, ec.EllipticCurvePrivateKey)
    key, end = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC) + timedelta(days=days)
    made = (
        leaf_builder(Federation(of), name, Use.CLIENT, end - timedelta(days=2), end)
        .issuer_name(load_issuing_key(home).issuer.certificate.subject)
        .public_key(key.public_key())
        .sign(issuing, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return Leaf(key.private_bytes(*form), made.public_bytes(serialization.Encoding.PEM), 0, 0)
