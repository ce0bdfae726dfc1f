"""Where the messages of an answer leave: whole, in turn, and never for ever to a caller that takes none.

``context.write`` waits while the caller takes nothing, and would hold the call's slot for as long as the caller likes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cimfed.errors import TimedOut

STALL = 600.0  # seconds that a caller may take no data


class Outlet:
    """Of one call. Several tasks may write; waiting for a slow caller makes them all wait."""

    stall = STALL

    def __init__(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        self._write = write
        self._turn = asyncio.Lock()

    async def write(self, data: bytes) -> None:
        """TimedOut once the caller has taken nothing for too long."""
        async with self._turn:
            try:
                async with asyncio.timeout(self.stall):
                    await self._write(data)
            except TimeoutError:
                raise TimedOut("the caller took no data for too long") from None
