"""Stops statements that run too long, and those that were told to stop before they could hear it.

Engines forget an interrupt that comes before the execute. So one thread interrupts what is due again and again, until
the call into the engine is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_AGAIN = 0.02  # seconds between interrupts of the same call


@dataclass(eq=False)
class Call:
    """One call into the engine that is under way. ``interrupt`` returns at once, and may come more than once."""

    interrupt: Callable[[], None]
    due: float  # by time.monotonic()


class Watch:
    """One for each engine; its thread starts with the first call and is a daemon."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: set[Call] = set()
        self._wakes = float("inf")  # when the thread looks next
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def during(self, interrupt: Callable[[], None], seconds: float) -> Iterator[Call]:
        """Interrupts the call inside once it takes longer."""
        call = Call(interrupt, time.monotonic() + seconds)
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="statement-watch", daemon=True)
                self._thread.start()
            self._calls.add(call)
            self._look_by(call.due)
        try:
            yield call
        finally:
            with self._changed:
                self._calls.discard(call)

    def stop(self, call: Call) -> None:
        """Make a call due now; harmless when it is over."""
        with self._changed:
            call.due = 0.0
            self._look_by(0.0)

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return bool(self._calls)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _look_by(self, due: float) -> None:
        if due < self._wakes:
            self._wakes = due
            self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                late = [call for call in self._calls if call.due <= now]
                for call in late:
                    call.interrupt()
                due = min((call.due for call in self._calls if call.due > now), default=float("inf"))
                self._wakes = min(due, now + _AGAIN) if late else due
                self._changed.wait(None if self._wakes == float("inf") else self._wakes - now)
