"""A call read ahead: frames in their order, a bounded number of bytes before the one who uses them.

Frames are handed over in bunches, so that a thread of its own can check them with few changes of hand: when the stream
has ended, when a bunch is large, and where rows are waited for when a signature has released some (nothing can be
used before). The network waits while the reader does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from cimfed.errors import CimfedError, NodeUnreachable
from cimfed.model.limits import MIB
from cimfed.wire import frames

BUNCH = 4 * MIB
AHEAD = 8 * MIB
KEPT = 512  # what a frame takes besides its bytes: empty ones would never fill a bunch


class Feed:
    """Must be made, used and closed in one event loop. ``rows``: whether they are waited for one by one."""

    def __init__(self, messages: AsyncGenerator[bytes, None], *, rows: bool) -> None:
        self._messages = messages
        self._rows = rows
        self._frames: list[frames.Frame] = []
        self._bytes = 0
        self._ended = False
        self._error: CimfedError | None = None
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    @property
    def ended(self) -> bool:
        return self._task.done()

    async def next(self) -> list[frames.Frame]:
        """The next frames; none at the end. Raises what ended the call, after the frames before it."""
        await self._ready.wait()
        taken, self._frames, self._bytes = self._frames, [], 0
        self._room.set()
        if not self._ended:
            self._ready.clear()
        if not taken and self._error is not None:
            raise self._error
        return taken

    async def close(self) -> None:
        """Cancels the call if it still runs."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._messages.aclose()

    async def _read(self) -> None:
        try:
            async for message in self._messages:
                frame = frames.decode(message)
                self._frames.append(frame)
                self._bytes += len(message) + KEPT
                if (self._rows and isinstance(frame.part, frames.Head | frames.Manifest)) or self._bytes >= BUNCH:
                    self._ready.set()
                while self._bytes >= AHEAD:
                    self._room.clear()
                    await self._room.wait()
        except CimfedError as error:
            self._error = error
        except asyncio.CancelledError:
            self._error = NodeUnreachable("the answer was closed here before its end")
            raise
        finally:
            self._ended = True
            self._ready.set()
