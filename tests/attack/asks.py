"""What each caller of a federation asks of every RPC, and what comes back.

A caller asks for the most that its keys could get: a gateway presents a partner's query, the revoker publishes a
revocation, a steward its routing entry. A ``verdict`` is what came back: ``ok``, the reason of a refusal, ``signed``
and the reason where it stands in a manifest, or ``no connection``.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from cimfed.errors import BY_REASON
from cimfed.model.admission import AskStatus, Join
from cimfed.model.names import DirectoryName, Federation, Kind, PartnerName
from cimfed.rpc import authorisation as rpcs
from cimfed.rpc import clock
from cimfed.trust.admin import AccessRequest, AdminRequest, Argument, Occasion, seal_access, seal_admin
from cimfed.trust.card import Card, seal_card
from cimfed.trust.directory import layout
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.listing import Revocation
from cimfed.trust.directory.publication import Holders
from cimfed.trust.envelope import Envelope
from cimfed.trust.invitation import Invitation
from cimfed.trust.keys import KeySigner, Signer
from cimfed.trust.tlog.checkpoint import Checkpoint, Origin, sign_checkpoint
from cimfed.trust.tlog.merkle import EMPTY_ROOT
from cimfed.trust.tlog.readings import Reading
from cimfed.trust.tls import IssuingKey, Leaf, dns_name
from cimfed.v1 import answer_pb2, directory_service_pb2, query_pb2
from cimfed.wire import admissions as wire
from cimfed.wire import logs
from cimfed.wire.logs import AskProof
from cimfed_gateway.directory.repository import Repository
from tests.board import SERVICE
from tests.federation import raw
from tests.federation.world import FEDERATION, World
from tests.oracle.wire.streams import read_frame

CITY, OTHER_CITY, GATEWAY, PARTNER = "kz.almaty", "uz.tashkent", "gw.alliance", "inst.tsinghua"
UNKNOWN = "/cimfed.v1.QueryService/Write"
DAY = 86_400_000_000
WITHIN = 20.0
NO_CONNECTION = "no connection"


@dataclass(frozen=True)
class Caller:
    """``leaf``: what it shows; None: nothing. ``signers`` sign whatever it sends, in the name ``name``.

    ``presents``: it comes with a query of inst.tsinghua. ``held``: it has connected before it lost its right.
    ``asks_of``: the federation that it names in what it signs.
    """

    name: str
    signers: Sequence[Signer]
    leaf: Leaf | None = None
    presents: bool = False
    held: bool = False
    asks_of: str = FEDERATION
    invitation: Invitation | None = None

    @property
    def signer(self) -> Signer:
        return self.signers[0]


@dataclass
class Town:
    """What runs. ``ports`` by the kind of the server; ``held`` channels by caller and kind.

    ``decision``: of the city, on a query of inst.tsinghua that gw.other presented.
    """

    world: World
    former: KeySigner  # a registrar, whose key is revoked
    repository: Repository
    routing: Envelope  # of the city, as its steward signed it
    ports: dict[Kind, int] = field(default_factory=dict)
    callers: dict[str, Caller] = field(default_factory=dict)
    held: dict[tuple[str, Kind], Any] = field(default_factory=dict)
    decision: AskProof | None = None

    def channel(self, server: Kind, leaf: Leaf | None) -> Any:
        world = self.world
        name = {Kind.CITY: CITY, Kind.GATEWAY: GATEWAY, Kind.DIRECTORY: SERVICE}[server]
        issuer = world.board.directory.party(name).issuers[0].pem
        pair = (leaf.key_pem, leaf.chain_pem) if leaf else (None, None)
        return grpc.aio.secure_channel(
            f"127.0.0.1:{self.ports[server]}",
            grpc.ssl_channel_credentials(issuer, *pair),
            options=(
                ("grpc.ssl_target_name_override", dns_name(FEDERATION, name)),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.enable_http_proxy", 0),
            ),
        )

    @contextlib.asynccontextmanager
    async def calling(self, name: str, server: Kind) -> AsyncIterator[Any]:
        channel = self.held.get((name, server)) or self.channel(server, self.callers[name].leaf)
        yield channel
        if (name, server) not in self.held:
            await channel.close()

    def now(self) -> int:
        return self.world.clock()


# What is asked

Ask = Callable[[Town, Caller], bytes]


def query(town: Town, caller: Caller, **request: Any) -> bytes:
    world = town.world
    via = [caller.name] if caller.presents else [GATEWAY]
    asked = raw.query(town.now(), federation=caller.asks_of, cities=[CITY], via=via, **request)
    signer = world.parties[PARTNER].signer if caller.presents else caller.signer
    return raw.ask(signer, asked, [raw.narrowing(caller.signer, caller.name, asked)] if caller.presents else [])


def read(town: Town, caller: Caller) -> bytes:
    return query(town, caller, read=raw.read("building", "id"))


def aggregate(town: Town, caller: Caller) -> bytes:
    count = query_pb2.Measure(function=query_pb2.FUNCTION_COUNT)
    return query(town, caller, aggregate=query_pb2.Aggregate(collection="building", measures=[count]))


def catalog(town: Town, caller: Caller) -> bytes:
    return query(town, caller, catalog=query_pb2.Catalog(collection="building"))


def fetch(_town: Town, _caller: Caller) -> bytes:
    return directory_service_pb2.FetchRequest(path=layout.TIMESTAMP_FILE).SerializeToString()


def own_card(caller: Caller, name: str) -> bytes:
    issuing = IssuingKey.make(Federation(FEDERATION), name, clock.now())
    card = Card(Kind.PARTNER, name, Federation(FEDERATION), "", (issuing.issuer,), (caller.signer.public,))
    return seal_card(card, caller.signer)


def made_up(name: str) -> Invitation:
    return Invitation.make(Federation(FEDERATION), name, "localhost:1", bytes(32))


def join(_town: Town, caller: Caller) -> bytes:
    invitation = caller.invitation or made_up("inst.newcomer")
    card, key = own_card(caller, invitation.name), invitation.key
    return wire.encode_join(Join(key.id, card, key.join_code(invitation.name, card)))


def status(_town: Town, caller: Caller) -> bytes:
    invitation = caller.invitation or made_up("inst.newcomer")
    key = invitation.key
    return wire.encode_ask_status(AskStatus(key.id, invitation.name, key.status_code(invitation.name)))


def occasion(town: Town, caller: Caller) -> Occasion:
    return Occasion.now(Federation(caller.asks_of), DirectoryName(SERVICE), town.now())


def administer(action: str, **arguments: Argument) -> Ask:
    def ask(town: Town, caller: Caller) -> bytes:
        request = AdminRequest(occasion(town, caller), action, arguments)
        return wire.encode_administer(seal_admin(request, caller.signer))

    return ask


def request_access(town: Town, caller: Caller) -> bytes:
    partner = caller.name if caller.name.startswith("inst.") else PARTNER
    request = AccessRequest(occasion(town, caller), PartnerName(partner), (CITY,), "building", "research", "please")
    return wire.encode_request_access(seal_access(request, caller.signer))


def publish(draft: Callable[[Town], dict[str, bytes]]) -> Ask:
    """The next version of a role, signed by all the keys that the caller has, whoever's role it is."""

    def ask(town: Town, caller: Caller) -> bytes:
        files = draft(town)
        roles = [drafts.role_of(path) for path in files if path.startswith("metadata/")]
        for signer in caller.signers:
            files = drafts.sign(files, signer, {role: [signer.public] for role in roles})
        return wire.encode_publish(files)

    return ask


def next_version(town: Town, role: str) -> int:
    return town.repository.roster().directory.versions.get(role, 0) + 1


def listing(town: Town) -> dict[str, bytes]:
    published = town.repository.roster().directory.published
    return drafts.registrar_draft(next_version(town, layout.REGISTRAR), Federation(FEDERATION), published, town.now())


def revocation(town: Town) -> dict[str, bytes]:
    another = Revocation(KeySigner.generate().public.id.hex(), "lost", town.now())
    revoked = (*town.repository.roster().directory.revoked, another)
    return drafts.revoker_draft(next_version(town, layout.REVOKER), Federation(FEDERATION), revoked, town.now())


def board_word(town: Town) -> dict[str, bytes]:
    return drafts.targets_draft(
        next_version(town, layout.TARGETS), Federation(FEDERATION), town.world.board.service, registrars(town),
        Holders((town.world.board.revoker.public,)), town.now(),
    )  # fmt: skip


def route(town: Town) -> dict[str, bytes]:
    city = town.world.cities[CITY]
    return drafts.city_draft(city.name, next_version(town, CITY), town.routing, town.now() + 30 * DAY)


def registrars(town: Town) -> Holders:
    return Holders((town.world.board.registrar.public, town.former.public))


def checkpoint(_town: Town, _caller: Caller) -> bytes:
    return logs.encode_ask_checkpoint("")


def consistency(_town: Town, _caller: Caller) -> bytes:
    return logs.encode_ask_consistency(logs.AskConsistency("", 0, 0))


def prove(town: Town, _caller: Caller) -> bytes:
    """Of a decision on the query of inst.tsinghua that gw.other presented."""
    assert town.decision is not None
    return logs.encode_ask_proof(town.decision)


def cosign(town: Town, caller: Caller) -> bytes:
    """The first checkpoint of a log of the caller's own."""
    origin = Origin(Federation(caller.asks_of), caller.name)
    note = sign_checkpoint(Checkpoint(str(origin), 0, EMPTY_ROOT), caller.signer)
    return logs.encode_ask_cosignature(logs.AskCosignature(note.to_bytes(), 0, ()))


def entries(at: str) -> Ask:
    def ask(town: Town, caller: Caller) -> bytes:
        request = AdminRequest(occasion(town, caller), "entries", Reading(at, 0, 1).arguments)
        return logs.encode_ask_entries(seal_admin(request, caller.signer))

    return ask


def nothing(_town: Town, _caller: Caller) -> bytes:
    return b""


ASKS: Mapping[str, tuple[str, Ask]] = {
    "read": (rpcs.READ, read),
    "aggregate": (rpcs.AGGREGATE, aggregate),
    "catalog": (rpcs.CATALOG, catalog),
    "fetch": (rpcs.FETCH, fetch),
    "join": (rpcs.JOIN, join),
    "joined?": (rpcs.JOIN_STATUS, status),
    "invite": (rpcs.ADMINISTER, administer("requests")),
    "asked me": (rpcs.ADMINISTER, administer("access_requests", city=CITY)),
    "asked it": (rpcs.ADMINISTER, administer("access_requests", city=OTHER_CITY)),
    "access": (rpcs.REQUEST_ACCESS, request_access),
    "list": (rpcs.PUBLISH, publish(listing)),
    "revoke": (rpcs.PUBLISH, publish(revocation)),
    "board": (rpcs.PUBLISH, publish(board_word)),
    "route": (rpcs.PUBLISH, publish(route)),
    "checkpoint": (rpcs.CHECKPOINT, checkpoint),
    "consistency": (rpcs.CONSISTENCY, consistency),
    "prove": (rpcs.PROVE, prove),
    "cosign": (rpcs.COSIGN, cosign),
    "log of a city": (rpcs.ENTRIES, entries(CITY)),
    "log of a gateway": (rpcs.ENTRIES, entries(GATEWAY)),
    "log of a directory": (rpcs.ENTRIES, entries(SERVICE)),
    "health": (rpcs.HEALTH_CHECK, nothing),
    "watch": (rpcs.HEALTH_WATCH, nothing),
    "services": (rpcs.HEALTH_LIST, nothing),
    "reflect": (rpcs.REFLECTION, nothing),
    "unknown": (UNKNOWN, nothing),
}
"""By the column of the tables: the RPC and what is sent."""

STREAMS = {rpcs.READ, rpcs.AGGREGATE, rpcs.CATALOG, rpcs.HEALTH_WATCH}


async def verdict(town: Town, caller: Caller, channel: Any, column: str) -> str:
    method, make = ASKS[column]
    try:
        if method == rpcs.REFLECTION:
            request = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
            async for _ in channel.stream_stream(method)(iter([request]), timeout=WITHIN):
                return "ok"
        elif method in STREAMS:
            call = channel.unary_stream(method)(make(town, caller), timeout=WITHIN)
            if method == rpcs.HEALTH_WATCH:
                health_pb2.HealthCheckResponse.FromString(await call.read())
                call.cancel()
                return "ok"
            return _ending([read_frame(data) async for data in call])
        else:
            await channel.unary_unary(method)(make(town, caller), timeout=WITHIN)
        return "ok"
    except grpc.aio.AioRpcError as error:
        refused = raw.refusal(error)
    if not refused.reason:
        assert refused.code == "UNAVAILABLE", refused  # TLS, before anything of ours runs
        return NO_CONNECTION
    assert refused.code == BY_REASON[refused.reason].status, refused
    return refused.reason


def _ending(frames: list[dict[str, Any]]) -> str:
    assert frames[-1]["part"] in ("manifest", "coverage")
    for frame in frames:
        if frame["part"] == "manifest":
            reason = answer_pb2.Manifest.FromString(frame["manifest"]["payload"]).reason
            return f"signed {reason}" if reason else "ok"
    raise AssertionError("no city has answered")
