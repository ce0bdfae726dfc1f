"""Publishes checkpoints while a server runs: at most one a second, when the log grew, and a last one when it ends.

When another key signs than signed the last one, the log says so, and a checkpoint is signed at once: whoever knows the
new key alone finds nothing that it cannot verify.

Once an hour the old ones are thinned out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from cimfed.errors import CimfedError
from cimfed.tlog import checkpoints
from cimfed.tlog import log as entries
from cimfed.tlog.checkpoints import EVERY, HOUR, Made
from cimfed.tlog.database import Database
from cimfed.trust.keys import Signer, settled
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tlog.entries import Act

log = logging.getLogger(__name__)


class Publisher:
    """Started inside the event loop. ``now`` in microseconds since the epoch; ``published`` is told of each one."""

    def __init__(
        self,
        database: Database,
        origin: Origin,
        signer: Signer,
        now: Callable[[], int],
        published: Callable[[Made], None] = lambda _: None,
    ) -> None:
        self._database, self._origin, self._signer, self._now = database, origin, signer, now
        self._published = published
        self._thinned = 0  # when, microseconds since the epoch
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """After the last entry: publishes what has grown since."""
        self._ending.set()
        if self._task is not None:
            await self._task
        await self.publish(every=0)

    async def publish(self, every: int = EVERY) -> Made | None:
        """Once, now. What goes wrong is said in the server's log, and tried again a second later."""
        try:
            made = await asyncio.to_thread(self._publish, every)
        except CimfedError as error:
            log.error("no checkpoint of the log was signed: %s", error)
            return None
        if made is not None:
            self._published(made)
        return made

    async def _run(self) -> None:
        while not self._ending.is_set():
            await self.publish()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), EVERY / 1e6)

    def _publish(self, every: int) -> Made | None:
        now, signer = self._now(), settled(self._signer)
        with self._database.reading() as connection:
            last = checkpoints.latest(connection)
            changed = last is not None and not checkpoints.is_signed_by(last, self._origin, signer.public)
            if not changed and not checkpoints.due(connection, now, every):
                return None
        with self._database.writing() as transaction:
            if changed:
                entries.append(transaction, Act(now, "key", self._origin.party, subject=signer.public.id.hex()))
            if not 0 <= now - self._thinned < HOUR:
                self._thinned = now
                checkpoints.thin(transaction, now)
            return checkpoints.publish(transaction, self._origin, signer, now, 0 if changed else every)
