"""The directory service's RPCs: the contract of the protos without a wire, then over one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc_testing
import pytest

from cimfed.errors import BY_REASON, BadInvitation, BadQuery, CimfedError, NodeUnreachable, Overloaded
from cimfed.model.admission import Join, RequestState
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.rpc.authorisation import ADMINISTER, FETCH, HEALTH_CHECK, JOIN, JOIN_STATUS, PUBLISH, REQUEST_ACCESS, TABLE
from cimfed.rpc.channel import unary
from cimfed.rpc.mirror import mirror
from cimfed.rpc.options import CHANNEL, DIRECTORY_SERVER
from cimfed.rpc.server import Server
from cimfed.rpc.throttle import Throttle
from cimfed.trust.admin import seal_admin
from cimfed.trust.directory import layout, proof
from cimfed.trust.hashing import sha256
from cimfed.trust.invitation import parse_invitation
from cimfed.trust.tls import Use, dns_name
from cimfed.v1 import admission_service_pb2 as admission
from cimfed.v1 import directory_service_pb2, publication_service_pb2
from cimfed.wire import admissions as wire
from cimfed.wire.errors import to_grpc
from cimfed_gateway.directory.service import ALLOWANCES, Call
from tests.unit.cimfed.parties import SCO, Party
from tests.unit.gateway.directory.alliance import SERVICE, START, Alliance, card_of

SERVICES = {
    file.DESCRIPTOR.services_by_name[name]
    for file, name in ((admission, "AdmissionService"), (publication_service_pb2, "PublicationService"))
}
METHODS = {f"/{service.full_name}/{method.name}": method for service in SERVICES for method in service.methods}
WITHIN = 60.0
NAME = "uz.tashkent"


# Without a wire


class Servicer:
    """What grpcio-testing drives: the calls behind the generated messages."""

    def __init__(self, calls: dict[str, Call]) -> None:
        for name, method in METHODS.items():
            setattr(self, method.name, self._behaviour(calls[name], method))

    @staticmethod
    def _behaviour(call: Call, method: Any) -> Any:
        def behave(request: Any, context: Any) -> Any:
            assert type(request).DESCRIPTOR is method.input_type
            try:
                return method.output_type._concrete_class.FromString(call(request.SerializeToString()))
            except CimfedError as error:
                code, details, trailing = to_grpc(error)
                context.set_trailing_metadata(trailing)
                context.set_code(code)
                context.set_details(details)
                return method.output_type._concrete_class()

        return behave


class Bench:
    def __init__(self, alliance: Alliance) -> None:
        servicer = Servicer(dict(alliance.serving.calls()))
        self._server = grpc_testing.server_from_dictionary(
            dict.fromkeys(SERVICES, servicer), grpc_testing.strict_real_time()
        )

    def ask(self, name: str, request: bytes) -> tuple[Any, grpc.StatusCode]:
        method = METHODS[name]
        message = method.input_type._concrete_class.FromString(request)
        rpc = self._server.invoke_unary_unary(method, (), message, None)
        reply, _, code, _ = rpc.termination()
        return reply, code


def ordered(alliance: Alliance, action: str, **arguments: str) -> bytes:
    return wire.encode_administer(seal_admin(alliance.order(action, **arguments), alliance.registrar))


@pytest.fixture
def bench(alliance: Alliance) -> Bench:
    return Bench(alliance)


def test_every_rpc_of_the_protos_is_served_and_has_an_allowance(alliance: Alliance) -> None:
    assert alliance.serving.calls().keys() == METHODS.keys()
    assert ALLOWANCES.keys() == {method for method, callers in TABLE[Kind.DIRECTORY].items() if callers}


def test_the_way_of_a_newcomer_by_the_messages_of_the_protos(alliance: Alliance, bench: Bench) -> None:
    invitation, card = alliance.invite(NAME), card_of(Party.make(NAME, START))
    key = invitation.key
    join = wire.encode_join(Join(key.id, card, key.join_code(NAME, card)))
    reply, code = bench.ask(JOIN, join)
    assert (code, reply.state) == (grpc.StatusCode.OK, admission.REQUEST_STATE_WAITING)
    reply, code = bench.ask(ADMINISTER, ordered(alliance, "requests"))
    assert code is grpc.StatusCode.OK
    assert [(entry.id, entry.card) for entry in reply.requests] == [(key.id, card)]
    _, code = bench.ask(ADMINISTER, ordered(alliance, "deny", id=key.id.hex(), message="not yet"))
    assert code is grpc.StatusCode.OK
    status = admission.JoinStatusRequest(invitation=key.id, name=NAME, code=key.status_code(NAME)).SerializeToString()
    reply, code = bench.ask(JOIN_STATUS, status)
    assert (reply.state, reply.message) == (admission.REQUEST_STATE_DENIED, "not yet")
    assert bench.ask(REQUEST_ACCESS, wire.encode_request_access(alliance.wish()))[1] is grpc.StatusCode.OK
    alliance.versions[layout.REVOKER] += 1
    reply, code = bench.ask(PUBLISH, wire.encode_publish(alliance.revoker_files()))
    assert (code, reply.version) == (grpc.StatusCode.OK, 2)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_an_empty_message_is_an_error_with_a_status_of_the_tree(bench: Bench, name: str) -> None:
    _, code = bench.ask(name, b"")
    assert code is not grpc.StatusCode.OK
    assert code.name in {cls.status for cls in BY_REASON.values()}
    assert code is not grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("name", sorted(METHODS))
def test_bytes_that_are_no_message_are_a_bad_query(alliance: Alliance, name: str) -> None:
    with pytest.raises(BadQuery):
        alliance.serving.calls()[name](b"\xff")


# Over a wire


@asynccontextmanager
async def served(alliance: Alliance) -> AsyncIterator[Server]:
    server = Server(
        Kind.DIRECTORY,
        "127.0.0.1:0",
        None,
        alliance.service_party.leaves(Use.SERVER),
        {},
        {**alliance.serving.handlers(), **mirror(alliance.repository.files)},
        now=lambda: alliance.now,
        options=DIRECTORY_SERVER,
        throttle=Throttle(ALLOWANCES),
    )
    await server.start()
    await server.serve()
    try:
        yield server
    finally:
        await server.drain(0)


@asynccontextmanager
async def dialled(server: Server, party: Party) -> AsyncIterator[Any]:
    credentials = grpc.ssl_channel_credentials(party.issuing.issuer.pem)
    named = (("grpc.ssl_target_name_override", dns_name(SCO, party.name)), ("grpc.enable_http_proxy", 0))
    channel = grpc.aio.secure_channel(f"127.0.0.1:{server.port}", credentials, (*CHANNEL, *named))
    try:
        yield channel
    finally:
        await channel.close()


@pytest.fixture
def today(tmp_path: Path) -> Alliance:
    """TLS goes by the real clock."""
    return Alliance(tmp_path, clock.now()).begin()


async def test_a_newcomer_joins_over_the_wire_with_nothing_but_its_token(today: Alliance) -> None:
    invitation = parse_invitation(today.invite(NAME).text)
    party = Party.make(NAME, today.now)
    card, key = card_of(party), invitation.key
    async with served(today) as server, dialled(server, today.service_party) as channel:

        async def fetch(path: str) -> bytes:
            request = directory_service_pb2.FetchRequest(path=path).SerializeToString()
            reply = directory_service_pb2.FetchReply.FromString(await unary(channel, FETCH, request, WITHIN))
            assert reply.found
            return bytes(reply.content)

        root = await fetch(layout.metadata_file(layout.ROOT, 1))
        assert sha256(root) == invitation.root
        files = {path: await fetch(path) for path in today.repository.roster().directory.files}
        assert proof.read(files, root, today.now, invitation.federation).service.name == SERVICE
        join = wire.encode_join(Join(key.id, card, key.join_code(NAME, card)))
        assert wire.decode_status(await unary(channel, JOIN, join, WITHIN)).state is RequestState.WAITING
        assert await unary(channel, HEALTH_CHECK, b"", WITHIN) == b"\x08\x01"  # SERVING


async def test_what_is_refused_arrives_as_what_it_is(today: Alliance) -> None:
    async with served(today) as server, dialled(server, today.service_party) as channel:
        with pytest.raises(BadInvitation):
            await unary(channel, JOIN, wire.encode_join(Join(bytes(32), b"", bytes(32))), WITHIN)
        with pytest.raises(BadQuery):
            await unary(channel, ADMINISTER, b"\xff", WITHIN)


async def test_who_guesses_is_slowed_down(today: Alliance) -> None:
    guess = wire.encode_join(Join(bytes(32), b"", bytes(32)))
    async with served(today) as server, dialled(server, today.service_party) as channel:
        for _ in range(int(ALLOWANCES[JOIN].burst)):
            with pytest.raises(BadInvitation):
                await unary(channel, JOIN, guess, WITHIN)
        with pytest.raises(Overloaded):
            await unary(channel, JOIN, guess, WITHIN)


async def test_another_server_does_not_pass_for_the_service(today: Alliance) -> None:
    async with served(today) as server, dialled(server, Party.make(SERVICE, today.now)) as channel:
        with pytest.raises(NodeUnreachable):
            await unary(channel, HEALTH_CHECK, b"", WITHIN)
