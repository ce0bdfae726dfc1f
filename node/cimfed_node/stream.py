"""One answer on its way: from the store's reader to the caller's connection.

- Reading, serialising and hashing happen in a worker's thread, one batch at a time: a slow caller holds no thread.
- At most ``AHEAD`` frames wait; ``write`` is the back-pressure, and gives up a caller that takes nothing. Memory does
  not grow with the answer.
- A task beside it asks every second whether the answer may go on, and interrupts the engine if not. It ends an
  answer that takes too long in all: a caller who reads a frame now and then would keep its slot for ever.
- An answer that may not go on is cut off after ``ending_seconds`` where its end is not taken: who reads slowly is
  not given more.
- Whatever ends the answer early, what was written is a signed prefix: the manifest counts just that, with the reason.
  The engine's own words never leave.
- Cancelled: the engine is interrupted, everything is given back, and the cancellation goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from cimfed.errors import CimfedError, TimedOut
from cimfed.model.answer import Manifest
from cimfed.model.limits import KIB, Limits
from cimfed_node.facts import refused
from cimfed_node.seal import Chainer, Sealed, Sealer
from cimfed_node.stores.base import Reader

log = logging.getLogger(__name__)

AHEAD = 3  # frames between the executor and the connection
SMALL = 64 * KIB  # bytes

Write = Callable[[bytes], Awaitable[None]]
Run = Callable[..., Awaitable[Any]]
"""Runs a function with its arguments in a worker's thread; cancelled, it raises once the thread is out of it."""


class Stream:
    """``close`` closes the reader, when nothing reads any more, without waiting for a worker. ``check`` raises once
    the answer may not go on. Times are monotonic seconds.
    """

    def __init__(
        self,
        reader: Reader,
        chainer: Chainer,
        sealer: Sealer,
        facts: Manifest,
        run: Run,
        close: Callable[[], Awaitable[None]],
        check: Callable[[], Awaitable[None]],
        monotonic: Callable[[], float],
        limits: Limits,
    ) -> None:
        self._reader, self._chainer, self._sealer, self._facts = reader, chainer, sealer, facts
        self._run, self._close, self._check, self._monotonic, self._limits = run, close, check, monotonic, limits
        self._frames: asyncio.Queue[Sealed | None] = asyncio.Queue(AHEAD)
        self._exhausted = False  # the reader gave all and is closed
        self.stopped: Exception | None = None  # why the answer ends early
        self.checking: asyncio.Task[None] | None = None  # ends once the answer may not go on

    async def send(self, write: Write) -> Manifest:
        """All frames, the manifest last; gives what the manifest says. Raises what stopped an answer whose end the
        caller does not take."""
        try:
            async with asyncio.timeout(None) as cut:
                return await self._send(write, cut)
        except TimeoutError:
            if cut.expired() and self.stopped is not None:
                raise self.stopped from None
            raise

    async def _send(self, write: Write, cut: asyncio.Timeout) -> Manifest:
        self.checking = asyncio.create_task(self._keep_checking(cut))
        tasks = [asyncio.create_task(self._read_all()), self.checking]
        try:
            try:
                await write(self._chainer.start_frame)
                self._sealer.start(self._chainer.empty)
                await self._send_all(write)
            finally:
                self._reader.interrupt()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            if not self._exhausted:
                await asyncio.shield(self._close())
        manifest = self._facts if self.stopped is None else refused(self._facts, self.stopped)
        return await self._end(write, manifest)

    async def _send_all(self, write: Write) -> None:
        while self.stopped is None:
            try:
                async with asyncio.timeout(self._sealer.wait(self._monotonic())):
                    sealed = await self._frames.get()
            except TimeoutError:
                head = self._sealer.overdue(self._monotonic())
            else:
                if sealed is None or self.stopped is not None:
                    return
                self._sealer.hands_over(sealed)
                await write(sealed.frame)
                head = self._sealer.wrote(sealed, self._monotonic())
            if head is not None:
                await write(head)

    async def _end(self, write: Write, manifest: Manifest) -> Manifest:
        frame, manifest = self._sealer.manifest(manifest)
        await write(frame)
        return manifest

    async def _read_all(self) -> None:
        """Frames, then None. The first thing that goes wrong stops the answer."""
        try:
            while not self._exhausted:
                for sealed in await self._run(self._next):
                    await self._frames.put(sealed)
        except Exception as error:
            self._stop(error)
        await self._frames.put(None)

    def _next(self) -> list[Sealed]:
        """The frames of the next batch. After a small one the end is likely near, and looked for in the same go."""
        frames: list[Sealed] = []
        while not frames or sum(len(sealed.frame) for sealed in frames) < SMALL:
            batch: pa.RecordBatch | None = self._reader.read_next()
            if batch is None:
                self._reader.close()
                self._exhausted = True
                break
            frames.extend(self._chainer.add(batch))
        if self._exhausted and frames:
            frames[-1] = replace(frames[-1], last=True)
        return frames

    async def _keep_checking(self, cut: asyncio.Timeout) -> None:
        ends = self._monotonic() + self._limits.answer_time
        while True:
            await asyncio.sleep(self._limits.recheck_seconds)
            try:
                if self._monotonic() > ends:
                    raise TimedOut("the answer was read too slowly", remedy="Ask for less, or ask several queries")
                await self._check()
            except Exception as error:
                self._stop(error)
                self._reader.interrupt()  # wakes the writer where it waits for the engine
                cut.reschedule(
                    asyncio.get_running_loop().time() + self._limits.ending_seconds
                )  # and where it waits for the caller
                return

    def _stop(self, error: Exception) -> None:
        """The first cause counts: what an interrupt brings about is not one."""
        if self.stopped is None:
            self.stopped = error
            if not isinstance(error, CimfedError):
                log.error("an answer failed", exc_info=error)
