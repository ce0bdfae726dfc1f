"""What a server does with calls: errors, unknown methods, admission, health, reflection, drain, cancellation."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from cimfed.errors import (
    BadConfig,
    BadQuery,
    CimfedError,
    NodeUnreachable,
    NotAllowed,
    Overloaded,
    TimedOut,
    UnknownProperty,
)
from cimfed.model.limits import LIMITS, MIB
from cimfed.model.names import Kind
from cimfed.rpc import clock, layers
from cimfed.rpc.admission import Admission
from cimfed.rpc.authorisation import AGGREGATE, FETCH, HEALTH_CHECK, HEALTH_WATCH, READ, REFLECTION
from cimfed.rpc.mirror import PartyMirror, mirror
from cimfed.rpc.outlet import Outlet
from cimfed.rpc.server import Server
from cimfed.trust.tls import Use
from cimfed.v1 import directory_service_pb2
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, World
from tests.unit.cimfed.rpc.serving import WITHIN, Gate, ask, calling, echo, refusal, serving

SERVING = health_pb2.HealthCheckResponse(status="SERVING").SerializeToString()
NOT_SERVING = health_pb2.HealthCheckResponse(status="NOT_SERVING").SerializeToString()


@pytest.fixture
def world() -> World:
    return World(clock.now(), CITY, GATEWAY, PARTNER, "inst.iitd")


async def test_an_error_arrives_as_the_same_error(world: World) -> None:
    async def refuse(request: bytes, context: Any) -> None:
        raise UnknownProperty("no such property", place="where.0", remedy="See cimfed catalog", retry_after=1.5)

    async with serving(world, {READ: refuse}), calling(world) as pool:
        error = await refusal(pool)
    assert type(error) is UnknownProperty
    assert (error.message, error.place, error.remedy, error.retry_after) == (
        "no such property",
        "where.0",
        "See cimfed catalog",
        1.5,
    )


async def test_an_error_after_the_first_message_arrives_too(world: World) -> None:
    async def refuse(request: bytes, context: Any) -> None:
        await context.write(b"first")
        raise TimedOut("too slow")

    async with (
        serving(world, {READ: refuse}),
        calling(world) as pool,
        aclosing(pool.stream(CITY, READ, b"", WITHIN)) as messages,
    ):
        assert await anext(messages) == b"first"
        with pytest.raises(TimedOut, match="too slow"):
            await anext(messages)


async def test_an_unexpected_exception_keeps_its_text_to_the_log(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(request: bytes, context: Any) -> None:
        raise RuntimeError("the secret of row 7")

    with caplog.at_level(logging.ERROR):
        async with serving(world, {READ: fail}), calling(world) as pool:
            error = await refusal(pool)
    assert error.reason == "internal"
    assert "secret" not in str(error)
    assert "secret of row 7" in caplog.text


async def test_an_unknown_method_is_not_allowed(world: World) -> None:
    async with serving(world, {READ: echo}), calling(world) as pool:
        for method in ("/cimfed.v1.QueryService/Write", "/a/b", "/cimfed.v1.QueryService/read"):
            assert isinstance(await refusal(pool, method=method), NotAllowed)


async def test_a_method_of_the_contract_that_is_not_served_is_not_allowed(world: World) -> None:
    async with serving(world, {READ: echo}), calling(world) as pool:
        assert isinstance(await refusal(pool, method=AGGREGATE), NotAllowed)


async def test_a_gateway_does_not_serve_a_gateway(world: World) -> None:
    async with serving(world, {READ: echo}, name=GATEWAY):
        async with calling(world, CITY) as pool:
            assert isinstance(await refusal(pool, name=GATEWAY), NotAllowed)
        async with calling(world, PARTNER) as pool:
            assert await ask(pool, name=GATEWAY)


async def test_a_caller_that_leaves_in_the_middle_is_no_error(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It stops a write that waits for room; nothing is written far ahead of the reader."""
    written = []

    async def flood(request: bytes, context: Any) -> None:
        for count in range(1000):
            await context.write(bytes(MIB))
            written.append(count)

    with caplog.at_level(logging.WARNING):
        async with serving(world, {READ: flood}) as server, calling(world) as pool:
            async with aclosing(pool.stream(CITY, READ, b"", WITHIN)) as messages:
                for _ in range(3):
                    await anext(messages)
            await server.drain(5)
    assert len(written) < 50
    assert not caplog.records


async def test_a_write_that_fails_ends_the_call_with_an_error(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def write_in_vain(request: bytes, context: Any) -> None:
        raise grpc.aio.InternalError("as execute_batch says it")

    with caplog.at_level(logging.WARNING):
        async with serving(world, {READ: write_in_vain}), calling(world) as pool:
            assert (await refusal(pool)).reason == "internal"
    assert not caplog.records


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ([TimedOut("too slow"), grpc.aio.InternalError("gone")], "timed_out"),
        ([grpc.aio.InternalError("gone"), TimedOut("too slow"), KeyError("the secret of row 7")], "internal"),
    ],
)
async def test_of_what_several_tasks_raise_the_gravest_counts(
    world: World, caplog: pytest.LogCaptureFixture, raised: list[Exception], reason: str
) -> None:
    async def fail(request: bytes, context: Any) -> None:
        raise ExceptionGroup("of tasks", [ExceptionGroup("of some", raised[:2]), *raised[2:]])

    with caplog.at_level(logging.WARNING):
        async with serving(world, {READ: fail}), calling(world) as pool:
            assert (await refusal(pool)).reason == reason
    assert ("secret of row 7" in caplog.text) == bool(caplog.records) == (reason == "internal")


async def test_a_caller_that_leaves_several_writers_is_no_error(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def flood(write: Any) -> None:
        while True:
            await write(bytes(MIB))

    async def flood_twice(request: bytes, context: Any) -> None:
        outlet = Outlet(context.write)
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(flood(outlet.write))

    with caplog.at_level(logging.WARNING):
        async with serving(world, {READ: flood_twice}) as server, calling(world) as pool:
            async with aclosing(pool.stream(CITY, READ, b"", WITHIN)) as messages:
                for _ in range(3):
                    await anext(messages)
            await server.drain(5)
    assert not caplog.records


async def test_a_caller_that_takes_nothing_holds_neither_slot_nor_task(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status waits with the data that it does not take, and is delivered when it does."""
    monkeypatch.setattr(Outlet, "stall", 0.1)
    monkeypatch.setattr(layers, "PARTING", 0.1)
    admission = Admission()

    async def flood(request: bytes, context: Any) -> None:
        outlet = Outlet(context.write)
        while True:
            await outlet.write(bytes(MIB))

    async with (
        serving(world, {READ: flood}, admission=admission) as server,
        calling(world) as pool,
        aclosing(pool.stream(CITY, READ, b"", WITHIN)) as messages,
    ):
        await anext(messages)
        async with asyncio.timeout(WITHIN):
            if running := set(server._errors.running):
                await asyncio.wait(running)
        assert (admission.running, server._errors.running) == (0, set())
        with pytest.raises(TimedOut, match="the caller took no data"):
            async for _ in messages:
                pass


class TestAdmission:
    async def test_a_partner_above_its_share_is_told_when_to_come_back(self, world: World) -> None:
        gate = Gate()
        async with (
            serving(world, {READ: gate}, admission=Admission(in_all=10, per_partner=2)),
            calling(world) as pool,
            calling(world, "inst.iitd") as other,
        ):
            running = [asyncio.create_task(ask(pool)) for _ in range(2)]
            for _ in running:
                await gate.entered.acquire()
            error = await refusal(pool)
            assert isinstance(error, Overloaded)
            assert error.retry_after
            fine = asyncio.create_task(ask(other))
            await gate.entered.acquire()
            gate.open.set()
            assert await asyncio.gather(*running, fine) == [[b"first", b"last"]] * 3
            assert await ask(pool) == [b"first", b"last"]

    async def test_a_full_server_refuses_everybody_but_answers_health(self, world: World) -> None:
        gate, admission = Gate(), Admission(in_all=1, per_partner=10)
        async with serving(world, {READ: gate}, admission=admission), calling(world, GATEWAY) as pool:
            running = asyncio.create_task(ask(pool))
            await gate.entered.acquire()
            assert isinstance(await refusal(pool), Overloaded)
            assert await pool.unary(CITY, HEALTH_CHECK, b"", WITHIN) == SERVING
            assert admission.running == 1
            gate.open.set()
            await running
        assert admission.running == 0

    async def test_a_cancelled_query_gives_its_slot_back(self, world: World) -> None:
        gate, admission = Gate(), Admission(in_all=1)
        async with serving(world, {READ: gate}, admission=admission) as server, calling(world) as pool:
            async with aclosing(pool.stream(CITY, READ, b"", WITHIN)) as messages:
                assert await anext(messages) == b"first"
            await server.drain(5)
        assert gate.ended == ["cancelled"]
        assert admission.running == 0

    def test_a_partners_slots_are_its_own(self) -> None:
        admission = Admission(per_partner=1)
        with admission.partner_slot("inst.a"):
            with pytest.raises(Overloaded), admission.partner_slot("inst.a"):
                pass
            with admission.partner_slot("inst.b"):
                pass
        with admission.partner_slot("inst.a"):
            pass


class TestHealth:
    async def test_it_says_serving_only_from_ready_to_drain(self, world: World) -> None:
        gate = Gate()
        server = Server(Kind.CITY, "127.0.0.1:0", world, world.parties[CITY].leaves(Use.SERVER), {READ: gate})
        await server.start()
        world.serve_at(CITY, f"127.0.0.1:{server.port}")
        async with calling(world) as pool:
            check = health_pb2.HealthCheckRequest(service="cimfed.v1.QueryService").SerializeToString()
            assert await pool.unary(CITY, HEALTH_CHECK, check, WITHIN) == NOT_SERVING
            async with aclosing(pool.stream(CITY, HEALTH_WATCH, b"", WITHIN)) as states:
                assert await anext(states) == NOT_SERVING
                await server.serve()
                assert await anext(states) == SERVING
                assert await pool.unary(CITY, HEALTH_CHECK, check, WITHIN) == SERVING
                running = asyncio.create_task(ask(pool))
                await gate.entered.acquire()
                draining = asyncio.create_task(server.drain(grace=10))
                assert await anext(states) == NOT_SERVING
            gate.open.set()
            assert await running == [b"first", b"last"]
            await draining

    async def test_drain_waits_for_the_handlers_own_endings(self, world: World) -> None:
        ended = []

        async def slow_to_end(request: bytes, context: Any) -> None:
            try:
                await context.write(b"first")
                await asyncio.Event().wait()
            finally:
                for _ in range(50):
                    await asyncio.sleep(0)
                ended.append(True)

        async with (
            serving(world, {READ: slow_to_end}) as server,
            calling(world) as pool,
            aclosing(pool.stream(CITY, READ, b"", WITHIN)) as messages,
        ):
            await anext(messages)
            await server.drain(0)
            assert ended == [True]


async def test_reflection_lists_the_services(world: World) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    async with serving(world, {READ: echo}), calling(world) as pool, pool.lease(CITY) as channel:
        call = channel.stream_stream(REFLECTION)(timeout=WITHIN)
        await call.write(request)
        reply = reflection_pb2.ServerReflectionResponse.FromString(await call.read())
        call.cancel()
    assert {service.name for service in reply.list_services_response.service} == {
        "cimfed.v1.QueryService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_a_port_in_use_is_refused(world: World) -> None:
    async with serving(world, {READ: echo}) as server:
        with pytest.raises(BadConfig):
            Server(Kind.CITY, f"127.0.0.1:{server.port}", world, world.parties[CITY].leaves(Use.SERVER), {READ: echo})


async def test_a_mirror_gives_the_files_of_the_directory_one_by_one(world: World) -> None:
    files = world.board.files
    async with serving(world, {READ: echo}, unary=mirror(files)) as server, calling(world) as pool:
        leaf = world.parties[PARTNER].leaves(Use.CLIENT).current(world.now)
        city = PartyMirror(SCO, CITY, f"127.0.0.1:{server.port}", world.directory.member(CITY).issuers, leaf)
        try:
            served = {path: await asyncio.to_thread(city.get, path) for path in files}
            assert served == files
            assert await asyncio.to_thread(city.get, "metadata/99.registrar.json") is None
        finally:
            city.close()
        assert isinstance(await refusal(pool, b"\xff", FETCH), BadQuery)


async def test_a_mirror_looks_for_nothing_but_files_of_a_directory(world: World) -> None:
    files = {"../node.key": b"secret", "metadata/../../node.key": b"secret", "settings.json": b"secret"}
    async with serving(world, {READ: echo}, unary=mirror(files)), calling(world) as pool:
        for path in files:
            request = directory_service_pb2.FetchRequest(path=path).SerializeToString()
            reply = directory_service_pb2.FetchReply()
            reply.ParseFromString(await pool.unary(CITY, FETCH, request, WITHIN))
            assert (reply.found, reply.content) == (False, b"")


class TestChannels:
    async def test_a_server_that_is_away_is_unreachable(self, world: World) -> None:
        async with serving(world, {READ: echo}):
            pass
        async with calling(world) as pool:
            assert isinstance(await refusal(pool), NodeUnreachable)

    async def test_a_call_that_takes_too_long_is_timed_out(self, world: World) -> None:
        gate = Gate()
        async with (
            serving(world, {READ: gate}),
            calling(world) as pool,
            aclosing(pool.stream(CITY, READ, b"", 1.0)) as messages,
        ):
            assert await anext(messages) == b"first"
            with pytest.raises(TimedOut):
                await anext(messages)

    async def test_closing_the_pool_ends_a_reader_with_an_error_not_a_short_answer(self, world: World) -> None:
        gate = Gate()
        async with serving(world, {READ: gate}), calling(world) as pool:
            reader = asyncio.create_task(refusal(pool))
            await gate.entered.acquire()
            await pool.close()
            assert isinstance(await reader, NodeUnreachable)
            assert isinstance(await refusal(pool), NodeUnreachable)

    async def test_a_cancelled_reader_is_cancelled_and_so_is_the_handler(self, world: World) -> None:
        gate = Gate()
        async with serving(world, {READ: gate}) as server, calling(world) as pool:
            reader = asyncio.create_task(ask(pool))
            await gate.entered.acquire()
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            await server.drain(5)
        assert gate.ended == ["cancelled"]

    async def test_a_channel_follows_the_directorys_address(self, world: World) -> None:
        async with calling(world) as pool:
            async with serving(world, {READ: echo}):
                assert await ask(pool, b"one")
            async with serving(world, {READ: echo}):
                assert await ask(pool, b"two")

    async def test_large_messages_pass_and_larger_ones_do_not(self, world: World) -> None:
        async def send(request: bytes, context: Any) -> None:
            await context.write(bytes(int(request)))

        async with serving(world, {READ: send}), calling(world) as pool:
            (message,) = await ask(pool, b"4194304")
            assert len(message) == 4 * 1024 * 1024
            assert await refusal(pool, b"8000000")


async def test_nothing_is_left_running(world: World) -> None:
    before = asyncio.all_tasks()
    async with serving(world, {READ: echo}), calling(world) as pool:
        await ask(pool)
        assert grpc.aio.EOF is not None
    if left := asyncio.all_tasks() - before:
        await asyncio.wait(left, timeout=10)
    assert asyncio.all_tasks() == before


async def test_a_request_above_the_limit_is_refused_unread(world: World) -> None:
    async with serving(world, {READ: echo}), calling(world) as pool:
        assert (await ask(pool, request=bytes(LIMITS.request - 64)))[1] == bytes(LIMITS.request - 64)
        with pytest.raises(CimfedError, match="RESOURCE_EXHAUSTED"):
            await ask(pool, request=bytes(LIMITS.request + 1))
