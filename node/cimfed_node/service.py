"""The node's handlers: Read, Aggregate and Catalog, from request bytes to frames.

The way of a query: admission in the executor of decisions (``cimfed_node.admit``), and the making of its statement,
which runs nothing yet; so the start of an answer never waits for another's statement. Then the answer from the store
in the threads of statements (``cimfed_node.stream``, ``cimfed_node.workers``), and in all cases, a moment later
(``cimfed.tlog.trailing``), the outcome into the log, which frees the slot. Refusals before check 4 are statuses,
counted and not logged; later ones are signed manifests, and the same one again is counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa

from cimfed.errors import CimfedError
from cimfed.model.answer import Manifest
from cimfed.model.limits import Limits
from cimfed.model.names import CityName, Federation
from cimfed.query.query import Aggregate, Catalog, Read, Request
from cimfed.rpc.authorisation import AGGREGATE, CATALOG, READ
from cimfed.rpc.identity import current_peer
from cimfed.rpc.outlet import Outlet
from cimfed.tlog.checkpoints import check_continues
from cimfed.trust.keys import Signer, settled, works
from cimfed.trust.tlog.entries import Outcome
from cimfed_node.admit import Admission, Admitter, Refusal
from cimfed_node.catalog import catalogue_rows
from cimfed_node.facts import described, facts, masked, refused
from cimfed_node.seal import Chainer, Sealer
from cimfed_node.stores.base import Reader, Store
from cimfed_node.stream import Stream, Write
from cimfed_node.tables import Control
from cimfed_node.workers import Workers

log = logging.getLogger(__name__)

DECIDERS = 4  # threads; the log's transactions take turns anyway
CANCELLED = "cancelled"  # the outcome of an answer that nobody waited for

T = TypeVar("T")
Handler = Callable[[bytes, Any], Awaitable[None]]
METHODS: Mapping[str, type[Request]] = {READ: Read, AGGREGATE: Aggregate, CATALOG: Catalog}


class NodeService:
    """Made inside the event loop. ``clock`` in microseconds since the epoch, ``monotonic`` in seconds."""

    def __init__(
        self,
        city: CityName,
        federation: Federation,
        signer: Signer,
        admitter: Admitter,
        store: Store,
        control: Control,
        clock: Callable[[], int],
        limits: Limits,
        workers: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._city, self._federation, self._signer = city, federation, signer
        self._admitter, self._store, self._control = admitter, store, control
        self._clock, self._limits, self._monotonic = clock, limits, monotonic
        self._deciding = ThreadPoolExecutor(DECIDERS, thread_name_prefix="decide")
        self._workers = Workers(workers)
        self._leftover: set[asyncio.Future[Any]] = set()  # what goes on when its caller has gone
        self.unadmitted: Counter[str] = Counter()  # refusals before check 4, by reason
        self.repeated: Counter[str] = Counter()  # refusals that had their line in the log before, by reason
        self.running: dict[int, Stream] = {}  # answers under way, by decision

    def streams(self) -> dict[str, Handler]:
        """The handlers by full method name."""
        return {method: partial(self._answer, kind) for method, kind in METHODS.items()}

    async def self_test(self) -> None:
        """CimfedError unless engine and signing key do what they must, and the log continues what was signed."""
        if not works(self._signer):
            raise CimfedError("the node's key does not sign")
        await self._in(self._deciding, self._admitter.self_test)
        await self._in(self._deciding, self._check_log)
        await self._workers.run(self._city, self._store.self_test)

    def _check_log(self) -> None:
        with self._control.reading() as connection:
            check_continues(connection)

    async def settled(self) -> None:
        """Waits for queries that were being decided when their callers went, and for the log."""
        while self._leftover:
            await asyncio.wait(self._leftover)
        await self._in(self._deciding, self._control.outcomes.flush)

    async def close(self) -> None:
        """After the last call."""
        await self.settled()
        await asyncio.to_thread(self._workers.close)
        await asyncio.to_thread(self._deciding.shutdown)

    # One query

    async def _answer(self, kind: type[Request], request: bytes, context: Any) -> None:
        verdict = await self._admit(kind, request)
        manifest = facts(verdict, self._city, self._federation)
        sealer = Sealer(settled(self._signer), self._city, manifest.request_hash, self._limits)
        outlet = Outlet(context.write)
        if isinstance(verdict, Refusal):
            if verdict.repeated:
                self.repeated[verdict.error.reason] += 1
            await outlet.write(sealer.manifest(manifest)[0])
            return
        ended = Outcome(0, verdict.decision, CANCELLED)
        try:
            await self._send(verdict, manifest, sealer, outlet.write)
        except CimfedError as error:
            ended = replace(ended, reason=error.reason)
            raise
        finally:
            sent, said = sealer.handed_over, sealer.said
            if said is not None:  # callers go as soon as they have it: the log says what was signed
                sent = sealer.sent
                ended = replace(ended, outcome=str(said.outcome), reason=said.reason)
            ended = replace(ended, rows=sent.rows, batches=sent.batches, chain=sent.chain)
            self._log(ended)

    async def _admit(self, kind: type[Request], request: bytes) -> Admission | Refusal:
        deciding = self._in(self._deciding, self._admitter.admit, kind, request, current_peer())
        self._leftover.add(deciding)
        deciding.add_done_callback(self._leftover.discard)
        try:
            return await asyncio.shield(deciding)
        except asyncio.CancelledError:
            deciding.add_done_callback(self._abandon)
            raise
        except CimfedError as error:
            self.unadmitted[error.reason] += 1
            raise

    def _abandon(self, deciding: asyncio.Future[Admission | Refusal]) -> None:
        """A query was admitted when its caller had gone: its slot must not stay taken."""
        if not deciding.cancelled() and deciding.exception() is None:
            verdict = deciding.result()
            if isinstance(verdict, Admission):
                self._log(Outcome(0, verdict.decision, CANCELLED))

    async def _send(self, admission: Admission, manifest: Manifest, sealer: Sealer, write: Write) -> Manifest:
        """Every frame of an admitted query; gives what its manifest says."""
        try:
            opened = await self._in(self._deciding, self._open, admission)
        except Exception as error:
            if not isinstance(error, CimfedError):
                log.exception("a statement could not be made")
            opened, manifest = None, refused(manifest, error)
        if opened is None:
            frame, manifest = sealer.manifest(manifest)
            await write(frame)
            return manifest
        reader, schema = opened
        request = admission.signed.query.request
        stream = Stream(
            reader,
            Chainer(
                self._city,
                manifest.request_hash,
                schema,
                manifest.view,
                request.compression if isinstance(request, Read) else "",
                self._limits,
            ),
            sealer,
            manifest,
            run=partial(self._workers.run, admission.signed.subject.org),
            close=partial(self._in, self._deciding, reader.close),
            check=partial(self._in, self._deciding, self._admitter.check_again, admission),
            monotonic=self._monotonic,
            limits=self._limits,
        )
        self.running[admission.decision] = stream
        try:
            return await stream.send(write)
        finally:
            del self.running[admission.decision]

    def _open(self, admission: Admission) -> tuple[Reader, pa.Schema] | None:
        """The rows of an answer and the schema to send; None where the city has no data of the collection yet."""
        signed, request = admission.signed, admission.signed.query.request
        if isinstance(request, Catalog):
            policy = admission.given.policy.policy if admission.given.policy else None
            rows = catalogue_rows(self._city, policy, signed, request.collection, self._control)
            return OneBatch(rows), rows.schema
        view = admission.view
        if view is None:
            return None
        reader = self._store.read(view, request) if isinstance(request, Read) else self._store.aggregate(view, request)
        return reader, described(masked(reader.schema, request, view), admission.snapshot)

    def _log(self, ended: Outcome) -> None:
        self._control.outcomes.add(replace(ended, time=self._clock()))

    def _in(self, executor: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(executor, function, *arguments)


class OneBatch:
    """A reader over rows that are at hand."""

    absent: tuple[str, ...] = ()

    def __init__(self, rows: pa.RecordBatch) -> None:
        self.schema = rows.schema
        self._rows: pa.RecordBatch | None = rows if rows.num_rows else None

    def read_next(self) -> pa.RecordBatch | None:
        rows, self._rows = self._rows, None
        return rows

    def interrupt(self) -> None:
        self._rows = None

    def close(self) -> None:
        self._rows = None
