"""What comes of frames: verified batches of one schema, and at the end a coverage and a receipt.

No I/O: frames are put in, ``take`` gives what a city's signature has released. It does the work that costs (hashes,
Arrow's checks), so it is called where that disturbs nobody. One thread at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cimfed.client import totals
from cimfed.client.columns import Said, Shaper, masks_of, read_schema, with_masks, without_empty
from cimfed.client.coverage import Coverage, of_outcomes
from cimfed.client.originals import Header, headers_of
from cimfed.client.provenance import provenance
from cimfed.client.receipts import make_receipt
from cimfed.client.verify import Released, Verifier
from cimfed.errors import Truncated
from cimfed.model.answer import Outcome
from cimfed.model.catalog import CATALOG
from cimfed.model.names import CityName
from cimfed.query import aggregate
from cimfed.query.query import Aggregate, Catalog, Query, Read, Request
from cimfed.trust.answer import CityAnswer
from cimfed.trust.directory.listing import Directory
from cimfed.trust.envelope import Envelope
from cimfed.wire.batches import read_schema_message
from cimfed.wire.frames import Frame


@dataclass(frozen=True)
class Piece:
    """Verified rows of one city; of an aggregate, groups of all of them (``city`` is empty)."""

    city: str
    batch: pa.RecordBatch


def schema_of(request: Request) -> pa.Schema:
    """The columns of an answer, which the request alone decides."""
    match request:
        case Read():
            return read_schema(request)
        case Catalog():
            return CATALOG
        case Aggregate():
            return aggregate.finish(request, aggregate.state_schema(request).empty_table()).schema


class Intake:
    """One answer, from its first frame to its receipt."""

    def __init__(self, query: Query, envelope: Envelope, source: str, directory: Directory) -> None:
        self.coverage: Coverage | None = None
        self.receipt: bytes | None = None
        self.provenance: dict[str, Any] | None = None
        self.headers: dict[CityName, tuple[Header, ...]] = {}  # of untouched objects, of cities that rows came of
        self._envelope = envelope
        self._verifier = Verifier(query, envelope, source, directory)
        self._due: deque[Frame] = deque()
        self._pieces: deque[Piece] = deque()
        self._schemas: dict[CityName, pa.Schema] = {}
        self._shapers: dict[CityName, Shaper] = {}
        self._target = None if isinstance(query.request, Aggregate) else schema_of(query.request)
        self._untouched = isinstance(query.request, Read) and query.request.original
        self._parts = totals.Parts(query.request) if isinstance(query.request, Aggregate) else None

    def put(self, frames: Iterable[Frame]) -> None:
        self._due.extend(frames)

    def take(self, now: int) -> deque[Piece]:
        """All that is released by the frames put in. Stale: ``renew``, then call it again."""
        while self._due:
            released = self._verifier.take(self._due[0], now)
            self._due.popleft()
            for item in released:
                self._add(item)
        pieces, self._pieces = self._pieces, deque()
        return pieces

    @property
    def directory_version(self) -> int:
        return self._verifier.directory.version

    @property
    def root(self) -> bytes:
        """The root of the directory that its files were verified from: the first one of them."""
        return next(iter(self._verifier.directory.files.values()))

    def renew(self, directory: Directory) -> None:
        self._verifier.renew(directory)

    def finish(self) -> deque[Piece]:
        """To be called when no frame is left: checks the ending and gives an aggregate's result."""
        verifier = self._verifier
        verifier.end()
        for answer in verifier.cities.values():
            self._schema(answer)
        coverage = of_outcomes(
            verifier.coverage[0] if verifier.coverage else None,
            verifier.directory.version,
            {city: answer.ending[0] for city, answer in verifier.cities.items() if answer.ending},
            {city: Said.of(schema) for city, schema in self._schemas.items()},
        )
        pieces: deque[Piece] = deque()
        if self._parts is not None:
            pieces.extend(Piece("", batch) for batch in self._total(self._parts, coverage).to_batches())
        self.coverage, self.receipt = coverage, make_receipt(self._envelope, verifier)
        self.provenance = provenance(verifier.query, self._envelope.payload_hash, coverage)
        return pieces

    def check_whole(self) -> None:
        """Truncated when rows were handed out of a city whose answer then broke off: they cannot be taken back."""
        for city, answer in self._verifier.cities.items():
            if self._parts is None and answer.released and self._line(city).outcome is not Outcome.ANSWERED:
                raise Truncated(
                    f"{city}: its answer broke off after {answer.released} verified rows ({self._line(city).reason})",
                    remedy="Ask again, or read the whole table at once: it leaves such rows out",
                )

    def to_table(self, pieces: Iterable[Piece]) -> pa.Table:
        """The rows of the cities that answered to their end, city by city in the order of their names.

        Columns that nobody has are dropped where none was named.
        Coarsened columns bear ``cimfed:masks``: which city did it, and how.
        """
        whole = [
            piece.batch
            for piece in sorted(pieces, key=lambda piece: piece.city)
            if not piece.city or self._line(piece.city).outcome is Outcome.ANSWERED
        ]
        request = self._verifier.query.request
        table = pa.Table.from_batches(whole, self._target or schema_of(request))
        if isinstance(request, Read) and request.properties is None:
            table = without_empty(table, {name for shaper in self._shapers.values() for name in shaper.given})
        measures = request.measures if isinstance(request, Aggregate) else ()
        return with_masks(
            table,
            {city: masks_of(schema) for city, schema in self._schemas.items()},
            {measure.name: measure.of for measure in measures},
        )

    def _add(self, item: Released) -> None:
        city, batch = item.answer.city, item.batch
        schema = self._schema(item.answer)
        if self._parts is not None:
            self._parts.add(city, schema, batch.payload, batch.rows)
            return
        shaper = self._shapers.get(city)
        if shaper is None:
            assert self._target is not None
            self.headers[city] = headers_of(city, schema) if self._untouched else ()
            shaper = self._shapers[city] = Shaper(city, schema, self._target, len(self.headers[city]))
        self._pieces.append(Piece(city, shaper.shape(batch.payload, batch.rows)))

    def _schema(self, answer: CityAnswer) -> pa.Schema:
        """Read only when something was signed: by then the chain vouches for its bytes."""
        found = self._schemas.get(answer.city)
        if found is None and answer.schema:
            found = self._schemas[answer.city] = read_schema_message(answer.city, answer.schema)
        return found or pa.schema([])

    def _total(self, parts: totals.Parts, coverage: Coverage) -> pa.Table:
        answered = [line.city for line in coverage if line.outcome is Outcome.ANSWERED]
        state, result = parts.finish(answered)
        verifier = self._verifier
        if not verifier.direct:
            request = verifier.query.request
            assert isinstance(request, Aggregate)
            totals.compare(request, state, verifier.source, verifier.total, answered)
        return result

    def _line(self, city: str):  # type: ignore[no-untyped-def]
        assert self.coverage is not None
        return self.coverage[city]
