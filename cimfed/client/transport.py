"""The way to the servers, as the client sees it: bytes in, bytes out. A test plugs in one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from cimfed.errors import TimedOut
from cimfed.model.limits import LIMITS
from cimfed.rpc.channel import ChannelPool

SILENCE = LIMITS.statement_time + 60.0
"""Seconds without a frame after which a server is given up: a city's statement may take long before its first row."""


class Transport(Protocol):
    def stream(self, method: str, request: bytes, within: float | None) -> AsyncGenerator[bytes, None]:
        """The frames of an answer, within so many seconds. Raises CimfedError; closing it cancels the call."""
        ...

    async def unary(self, name: str, method: str, request: bytes, within: float) -> bytes:
        """One message of a party, whoever it is. Raises CimfedError."""
        ...

    async def close(self) -> None: ...


class Wire:
    """Over gRPC to one gateway or city."""

    def __init__(self, pool: ChannelPool, source: str) -> None:
        self._pool, self._source = pool, source

    async def stream(self, method: str, request: bytes, within: float | None) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._pool.stream(self._source, method, request, within)) as messages:
            while True:
                try:
                    async with asyncio.timeout(SILENCE):
                        message = await anext(messages)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise TimedOut(f"{self._source} has sent nothing for {SILENCE:.0f} s") from None
                yield message

    async def unary(self, name: str, method: str, request: bytes, within: float) -> bytes:
        return await self._pool.unary(name, method, request, within)

    async def close(self) -> None:
        await self._pool.close()
