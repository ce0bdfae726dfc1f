"""Frames read ahead: a server that sends without end fills no memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from cimfed.client.feed import AHEAD, Feed


@pytest.mark.parametrize("rows", [True, False])
async def test_frames_without_bytes_are_handed_over_too(rows: bool) -> None:
    sent = 0

    async def empty() -> AsyncGenerator[bytes, None]:
        nonlocal sent
        while True:
            sent += 1
            yield b""
            if sent % 100 == 0:
                await asyncio.sleep(0)

    feed = Feed(empty(), rows=rows)
    try:
        assert await asyncio.wait_for(feed.next(), 60)
        for _ in range(2000):  # turns in which 200,000 could be sent
            await asyncio.sleep(0)
        assert sent < 3 * AHEAD // 512
    finally:
        await feed.close()
