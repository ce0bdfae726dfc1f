"""The log of a server while it runs: checkpoints are signed, other cities cosign them, and LogService answers for it.

One of these belongs to every node, every gateway and the directory service; a city's is a witness of others besides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cimfed.model.names import Kind, kind_of
from cimfed.tlog.checkpoints import EVERY, Made
from cimfed.tlog.database import Database
from cimfed.tlog.publisher import Publisher
from cimfed.tlog.service import LogService
from cimfed.tlog.witness import Ask, Cosigner, Witness
from cimfed.trust.directory.listing import DirectorySource
from cimfed.trust.keys import Signer
from cimfed.trust.tlog.checkpoint import Origin


class Keeper:
    """Made inside the event loop. ``ask`` calls other cities by name; whoever gives it closes it, after this."""

    def __init__(
        self,
        database: Database,
        origin: Origin,
        signer: Signer,
        directories: DirectorySource,
        ask: Ask,
        now: Callable[[], int],
        *,
        audit: bool = True,
    ) -> None:
        city = kind_of(origin.party) is Kind.CITY
        witness = Witness(database, origin, signer, directories, now) if city else None
        self.service = LogService(database, origin, directories, now, witness, audit=audit)
        self.cosigner = Cosigner(database, origin, directories, ask, now)
        self._publisher = Publisher(database, origin, signer, now, self.cosigner.published)

    def handlers(self) -> Mapping[str, Callable[[bytes, Any], Awaitable[bytes]]]:
        """Unary handlers by full method name."""
        return self.service.handlers()

    def start(self) -> None:
        self._publisher.start()
        self.cosigner.start()

    async def publish(self, every: int = EVERY) -> Made | None:
        return await self._publisher.publish(every)

    async def close(self) -> None:
        """After the last entry. The last checkpoint is cosigned after the next start."""
        await self.cosigner.close()
        await self._publisher.close()
