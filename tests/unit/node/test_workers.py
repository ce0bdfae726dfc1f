"""Threads are shared among partners: no one has them all, all have their turn, nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from cimfed.errors import Overloaded
from cimfed_node.workers import Workers


class Steps:
    """Steps of statements that last until they are let go; ``begun`` tells which began, in order."""

    def __init__(self, threads: int) -> None:
        self.workers = Workers(threads)
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._gates: dict[str, threading.Event] = {}

    def _step(self, name: str) -> str:
        self._loop.call_soon_threadsafe(self.begun.put_nowait, name)
        assert self._gates[name].wait(60)
        return name

    def ask(self, partner: str, number: int = 0) -> asyncio.Task[str]:
        name = f"{partner}{number}"
        self._gates[name] = threading.Event()
        return asyncio.create_task(self.workers.run(partner, self._step, name))

    def let_go(self, *names: str) -> None:
        for name in names or self._gates:
            self._gates[name].set()

    async def began(self, count: int) -> list[str]:
        """The next ones that begin."""
        async with asyncio.timeout(20):
            return [await self.begun.get() for _ in range(count)]

    async def none_begins(self) -> bool:
        """Of those that could begin by now."""
        for _ in range(3):
            await asyncio.sleep(0)
        return self.begun.empty()


@pytest.fixture
async def eight() -> AsyncIterator[Steps]:
    steps = Steps(8)
    yield steps
    steps.let_go()
    await asyncio.to_thread(steps.workers.close)


@pytest.fixture
async def one() -> AsyncIterator[Steps]:
    steps = Steps(1)
    yield steps
    steps.let_go()
    await asyncio.to_thread(steps.workers.close)


async def test_a_partner_has_half_of_the_threads_and_each_later_one_finds_some(eight: Steps) -> None:
    running = []
    for partner, share in (("a", 4), ("b", 2), ("c", 1), ("d", 1)):
        running += [eight.ask(partner, number) for number in range(16)]
        assert sorted(await eight.began(share)) == [f"{partner}{number}" for number in range(share)]
        assert await eight.none_begins()
    eight.let_go()
    assert len(await asyncio.gather(*running)) == 64


async def test_the_only_thread_serves_partners_in_turn(one: Steps) -> None:
    running = [one.ask("a", number) for number in range(3)]
    assert await one.began(1) == ["a0"]
    running += [one.ask("b", number) for number in range(2)]
    await asyncio.sleep(0)
    one.let_go()
    assert await one.began(4) == ["a1", "b0", "a2", "b1"]
    await asyncio.gather(*running)


async def test_who_waits_too_long_is_overloaded_and_out_of_the_way(one: Steps, monkeypatch: pytest.MonkeyPatch) -> None:
    first = one.ask("a")
    assert await one.began(1) == ["a0"]
    monkeypatch.setattr(Workers, "patience", 0.01)
    with pytest.raises(Overloaded) as error:
        await one.ask("b")
    assert error.value.retry_after
    monkeypatch.undo()
    later = one.ask("c")
    one.let_go()
    assert await asyncio.gather(first, later) == ["a0", "c0"]


async def test_a_waiter_that_is_cancelled_is_passed_over(one: Steps) -> None:
    first, second, third = (one.ask("a", number) for number in range(3))
    assert await one.began(1) == ["a0"]
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    one.let_go()
    assert await asyncio.gather(first, third) == ["a0", "a2"]


async def test_a_turn_that_comes_as_its_waiter_is_cancelled_goes_to_the_next(one: Steps) -> None:
    first, second, third = (one.ask("a", number) for number in range(3))
    assert await one.began(1) == ["a0"]
    first.add_done_callback(lambda _: second.cancel())  # its turn has been given, and not yet been taken
    one.let_go()
    assert await asyncio.gather(first, third) == ["a0", "a2"]
    assert second.cancelled()


async def test_a_step_that_is_cancelled_holds_its_thread_until_it_is_out_of_it(one: Steps) -> None:
    first = one.ask("a")
    assert await one.began(1) == ["a0"]
    second = one.ask("b")
    first.cancel()
    assert await one.none_begins()
    assert not first.done()
    one.let_go("a0")
    assert await one.began(1) == ["b0"]
    with pytest.raises(asyncio.CancelledError):
        await first
    one.let_go()
    assert await second == "b0"


async def test_what_a_step_raises_is_raised_and_the_thread_comes_free(one: Steps) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await one.workers.run("a", lambda: 1 // 0)
