"""The threads that statements run in, shared among partners.

- A partner has at most half of the threads, and less while others use some: beyond its first it takes one only where
  as many stay free as it then holds. So a partner that comes later finds one.
- Who waits holds no thread. Partners get threads in turn, each partner's own queries in their order.
- Nobody waits for long: to a gateway a city that waits is a silent one, so after ``patience`` it is ``overloaded``.

In one event loop. A thread is held for one step of an answer: a statement up to its first rows, then batch by batch.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from cimfed.errors import Overloaded

PATIENCE = 10.0  # seconds; less than the silence that gateways bear
RETRY_AFTER = 10.0  # seconds

T = TypeVar("T")


class Workers:
    patience = PATIENCE

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="statement")
        self._free = threads
        self._held: Counter[str] = Counter()  # threads by partner
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}  # by partner; whose turn is next comes first

    async def run(self, partner: str, function: Callable[..., T], *arguments: Any) -> T:
        """Overloaded where no thread comes free in time. Cancelled: raises only once the thread is out of it."""
        await self._take(partner)
        step = asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        step.add_done_callback(lambda _: self._give_back(partner))
        try:
            return await asyncio.shield(step)
        except asyncio.CancelledError:
            await asyncio.wait([step])
            if not step.cancelled():
                step.exception()  # looked at: most likely the interruption that was asked for
            raise

    def close(self) -> None:
        """Blocks until every thread has ended."""
        self._executor.shutdown()

    async def _take(self, partner: str) -> None:
        if partner not in self._waiting and self._may_take(partner):
            self._hold(partner)
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(partner, deque()).append(turn)
        came: set[asyncio.Future[None]] = set()
        try:
            came, _ = await asyncio.wait([turn], timeout=self.patience)
        finally:
            if not came:
                self._leave(partner, turn)
        if not came:
            raise Overloaded(
                "the node is at other statements of this partner or of others",
                remedy=f"Ask again in {RETRY_AFTER:g} s, and less at a time",
                retry_after=RETRY_AFTER,
            )

    def _may_take(self, partner: str) -> bool:
        held = self._held[partner]
        return self._free >= (held + 2 if held else 1)

    def _hold(self, partner: str) -> None:
        self._free -= 1
        self._held[partner] += 1

    def _give_back(self, partner: str) -> None:
        self._free += 1
        self._held[partner] -= 1
        if not self._held[partner]:
            del self._held[partner]
        self._hand_out()

    def _hand_out(self) -> None:
        """To those who wait and may, in turn. A partner that was served waits behind the others."""
        while (partner := next(filter(self._may_take, self._waiting), None)) is not None:
            queue = self._waiting.pop(partner)
            queue.popleft().set_result(None)
            self._hold(partner)
            if queue:
                self._waiting[partner] = queue

    def _leave(self, partner: str, turn: asyncio.Future[None]) -> None:
        """A waiter goes; its turn may have come in the same moment."""
        if turn.done():
            self._give_back(partner)
            return
        queue = self._waiting[partner]
        queue.remove(turn)
        if not queue:
            del self._waiting[partner]
