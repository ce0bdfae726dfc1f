"""An event loop in a thread of its own, for callers that have none.

It ends when it is closed, when its owner is forgotten, or with the program; what runs in it is cancelled in good order.
The thread is a daemon; a program ends when the loop has ended, and what its work does in threads.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from cimfed.errors import NodeUnreachable

T = TypeVar("T")
LOOK = 0.5  # seconds


class Loop:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run, args=(self._loop,), name="cimfed", daemon=True)
        self._thread.start()
        self._end = weakref.finalize(self, _stop, self._loop, self._thread)

    @property
    def closed(self) -> bool:
        return not self._end.alive

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine in the loop. An interrupt (Ctrl-C) while it is waited for cancels it."""
        if self.closed:
            work.close()
            raise NodeUnreachable("this connection is closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return _result(future)
        except CancelledError:
            raise NodeUnreachable("this connection was closed meanwhile") from None
        finally:
            future.cancel()

    def settle(self, work: Coroutine[Any, Any, None]) -> None:
        """As ``run``, for clean-up, which may come at any time: also late, or from the loop's own thread."""
        if self.closed:
            work.close()
        elif threading.current_thread() is self._thread:
            asyncio.run_coroutine_threadsafe(work, self._loop)
        else:
            self.run(work)

    def close(self) -> None:
        """Again: nothing."""
        self._end()


def _result(future: Future[T]) -> T:
    """Waits in pieces: an interrupt that comes just before a wait, or to another thread, does not break it off."""
    while not future.done():
        try:
            return future.result(LOOK)
        except TimeoutError:  # of the wait, or the work's own
            continue
    return future.result()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:  # at its end it cancels all tasks and awaits them
        runner.get_loop().run_forever()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if threading.current_thread() is not thread:
        while thread.is_alive():
            thread.join(LOOK)
