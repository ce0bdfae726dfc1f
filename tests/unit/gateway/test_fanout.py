"""What comes of asking one city: its manifest's outcome, or the gateway's own word with the cause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from cimfed.errors import CimfedError, DirectoryExpired, NodeUnreachable, Overloaded, TimedOut
from cimfed.model.answer import Head, Manifest, Outcome
from cimfed.model.names import city_name, federation
from cimfed.trust.envelope import PayloadType, seal
from cimfed.trust.keys import KeySigner
from cimfed.wire import answers, frames
from cimfed_gateway.fanout import Patience, ask
from cimfed_gateway.registry import FAILURES, Registry
from cimfed_gateway.relay import Relay

CITY = city_name("kz.almaty")
REQUEST = b"r" * 32
KEY = KeySigner.generate()
SCO = federation("sco")


def manifest(
    outcome: Outcome = Outcome.ANSWERED, *, city: str = CITY, signer: KeySigner = KEY, **more: object
) -> bytes:
    value = Manifest(REQUEST, b"", SCO, city_name(city), "building", outcome, **{"chain": b"c" * 32, **more})  # type: ignore[arg-type]
    envelope = seal(PayloadType.MANIFEST, answers.encode_manifest(value), signer)
    return frames.encode(frames.Frame(city, frames.Manifest(envelope)))


def rows(index: int, city: str = CITY) -> bytes:
    return frames.encode(frames.Frame(city, None, index, 3, b"payload"))


def head(signer: KeySigner = KEY) -> bytes:
    envelope = seal(PayloadType.HEAD, answers.encode_head(Head(REQUEST, CITY, 1, b"c" * 32)), signer)
    return frames.encode(frames.Frame(CITY, frames.Head(envelope)))


class Caller:
    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def emit(self, data: bytes) -> None:
        self.got.append(data)


def sending(*items: bytes | CimfedError) -> Callable[[float], AsyncIterator[bytes]]:
    async def stream(_seconds: float) -> AsyncIterator[bytes]:
        for item in items:
            if isinstance(item, CimfedError):
                raise item
            yield item

    return stream


def registry() -> Registry:
    return Registry(lambda: 0.0)


async def outcome_of(*items: bytes | CimfedError, book: Registry | None = None) -> tuple[object, list[bytes]]:
    caller = Caller()
    relay = Relay(CITY, REQUEST, (KEY.public,))
    result = await ask(relay, sending(*items), caller.emit, Patience(5, 5), book or registry())
    return result, caller.got


async def test_frames_pass_as_the_bytes_that_came_and_the_manifest_tells_the_outcome() -> None:
    sent = [rows(1), head(), rows(2), manifest()]
    result, got = await outcome_of(*sent)
    assert got == sent
    assert result.outcome is Outcome.ANSWERED
    assert result.manifest_hash == frames.decode(sent[-1]).part.envelope.payload_hash


async def test_what_a_city_sends_after_its_manifest_is_not_passed_on() -> None:
    result, got = await outcome_of(manifest(), rows(1))
    assert result.outcome is Outcome.ANSWERED
    assert len(got) == 1


async def test_a_refusal_is_the_citys_word() -> None:
    result, _ = await outcome_of(manifest(Outcome.REFUSED, reason="not_granted", message="no"))
    assert (result.outcome, result.reason) == (Outcome.REFUSED, "not_granted")


@pytest.mark.parametrize(
    ("items", "outcome", "reason"),
    [
        ([NodeUnreachable("gone")], Outcome.UNREACHABLE, "node_unreachable"),
        ([TimedOut("late")], Outcome.TIMED_OUT, "timed_out"),
        ([DirectoryExpired("old")], Outcome.UNREACHABLE, "directory_expired"),
        ([rows(1), NodeUnreachable("gone")], Outcome.BROKEN, "node_unreachable"),
        ([rows(1)], Outcome.BROKEN, "truncated"),
        ([], Outcome.BROKEN, "truncated"),
        ([rows(1, "uz.tashkent")], Outcome.BROKEN, "chain_broken"),
        ([manifest(signer=KeySigner.generate())], Outcome.BROKEN, "chain_broken"),
        ([rows(1), head(KeySigner.generate()), rows(2), manifest()], Outcome.BROKEN, "chain_broken"),
        ([manifest(Outcome.RULED_OUT)], Outcome.BROKEN, "chain_broken"),
        ([b"\xff\xff"], Outcome.BROKEN, "chain_broken"),
    ],
)
async def test_what_goes_wrong_is_the_gateways_word_with_its_cause(
    items: list[bytes | CimfedError], outcome: Outcome, reason: str
) -> None:
    result, _ = await outcome_of(*items)
    assert (result.outcome, result.reason) == (outcome, reason)


async def test_a_silent_city_is_given_up() -> None:
    never = asyncio.Event()

    async def silent(_seconds: float) -> AsyncIterator[bytes]:
        await never.wait()
        yield b""

    relay = Relay(CITY, REQUEST, (KEY.public,))
    result = await ask(relay, silent, Caller().emit, Patience(5, 0.01), registry())
    assert result.outcome is Outcome.TIMED_OUT


async def test_a_city_that_keeps_failing_is_not_asked_again_at_once() -> None:
    book = registry()
    for _ in range(FAILURES):
        await outcome_of(NodeUnreachable("gone"), book=book)
    result, got = await outcome_of(manifest(), book=book)
    assert result.outcome is Outcome.UNREACHABLE
    assert got == []


async def silent(_seconds: float) -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def start_then_silent(_seconds: float) -> AsyncIterator[bytes]:
    yield rows(1)
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("stream", "patience", "outcome"),
    [
        (silent, Patience(5, 0.01, own=False), Outcome.ANSWERED),  # a caller who has no time
        (start_then_silent, Patience(5, 0.01), Outcome.ANSWERED),  # a question that takes its time
        (sending(rows(1), TimedOut("late")), Patience(5, 5), Outcome.ANSWERED),  # a caller who reads slowly
        (silent, Patience(5, 0.01), Outcome.UNREACHABLE),
    ],
)
async def test_only_a_city_that_fails_is_left_alone(
    stream: Callable[[float], AsyncIterator[bytes]], patience: Patience, outcome: Outcome
) -> None:
    """Else one partner could keep a city from all the others."""
    book = registry()
    for _ in range(FAILURES):
        result = await ask(Relay(CITY, REQUEST, (KEY.public,)), stream, Caller().emit, patience, book)
        assert result.outcome is Outcome.TIMED_OUT
    result, _ = await outcome_of(manifest(), book=book)
    assert result.outcome is outcome


@pytest.mark.parametrize("reason", ["not_granted", "overloaded", "timed_out"])
async def test_refusing_is_not_failing(reason: str) -> None:
    book = registry()
    for _ in range(FAILURES + 1):
        result, _ = await outcome_of(manifest(Outcome.REFUSED, reason=reason), book=book)
        assert result.outcome is Outcome.REFUSED


async def test_a_full_city_does_not_fail() -> None:
    book = registry()
    for _ in range(FAILURES + 1):
        result, _ = await outcome_of(Overloaded("64 queries are running here"), book=book)
        assert (result.outcome, result.reason) == (Outcome.UNREACHABLE, "overloaded")
    result, _ = await outcome_of(manifest(), book=book)
    assert result.outcome is Outcome.ANSWERED


async def test_a_caller_that_takes_nothing_ends_the_answer_and_is_no_fault_of_the_city() -> None:
    closed: list[bool] = []
    book = registry()

    async def endless(_seconds: float) -> AsyncIterator[bytes]:
        try:
            while True:
                yield rows(1)
        finally:
            closed.append(True)

    async def stuck(_data: bytes) -> None:
        raise TimedOut("the caller took no data for too long")

    for _ in range(FAILURES):
        with pytest.raises(TimedOut, match="the caller"):
            await ask(Relay(CITY, REQUEST, (KEY.public,)), endless, stuck, Patience(5, 5), book)
    assert len(closed) == FAILURES
    result, _ = await outcome_of(manifest(), book=book)
    assert result.outcome is Outcome.ANSWERED


async def test_cancelling_reaches_the_city_and_leaves_a_probe_free() -> None:
    closed = asyncio.Event()
    begun = asyncio.Event()

    async def endless(_seconds: float) -> AsyncIterator[bytes]:
        try:
            while True:
                begun.set()
                yield rows(1)
                await asyncio.sleep(0)
        finally:
            closed.set()

    relay = Relay(CITY, REQUEST, (KEY.public,))
    task = asyncio.create_task(ask(relay, endless, Caller().emit, Patience(5, 5), registry()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()
