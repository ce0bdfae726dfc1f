"""Answers as the caller has them, sync and async: batches as they are verified, then coverage and receipt.

Both keep these rules:

1. Nothing is asked before the first use; an answer is read once. ``to_table`` may be called again: it keeps its table.
2. A batch comes only under a signature of its city. That says that these rows are the city's, not that they are all.
3. When the stream has ended, the ending is checked; then ``coverage`` and ``receipt`` are there, whatever is raised.
   What does not verify raises DataLoss; fewer answers than required raise NotEnough or their common reason.
4. Rows of a city whose answer broke off are no answer: ``to_table`` leaves them out, and reading batch by batch, where
   they were handed out already, ends with Truncated.
5. Stopping early (``close``, leaving a loop, Ctrl-C) cancels the call all the way down.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from cimfed.client.ask import Question
from cimfed.client.complete import AskCity, complete_receipt
from cimfed.client.coverage import Coverage
from cimfed.client.feed import Feed
from cimfed.client.geo import to_geopandas
from cimfed.client.intake import Intake, Piece, schema_of
from cimfed.client.loop import Loop
from cimfed.client.originals import Header
from cimfed.client.verify import Stale
from cimfed.errors import Conflict, NodeUnreachable
from cimfed.model.names import CityName
from cimfed.trust.files import replace_file

if TYPE_CHECKING:
    import geopandas

    from cimfed.client.federation import Asker


T = TypeVar("T")
UNREACHABLE = "It may be down; it also turns away whom its directory does not list yet, and whose clock is days off"


class Receipt(bytes):
    """An answer without its rows, as ``cimfed receipt verify`` takes it."""

    def save(self, path: str | Path) -> None:
        replace_file(Path(path), self)


class _Answer:
    """What both kinds of answers share: all but waiting."""

    def __init__(self, asker: Asker, question: Question) -> None:
        self._asker = asker
        self._question = question
        self._intake: Intake | None = None
        self._feed: Feed | None = None
        self._table: pa.Table | None = None
        self._used = False
        self._completed: Receipt | None = None

    def __repr__(self) -> str:
        request = self._question.request
        of = f"{type(request).__name__.lower()} {request.collection or ''}".rstrip()
        if not self.ended:
            return f"<{type(self).__name__} of {of}: {'read in part' if self._used else 'nothing is asked yet'}>"
        coverage = self.coverage
        missing = f", {len(coverage.missing)} missing" if coverage.missing else ""
        return f"<{type(self).__name__} of {of}: {len(coverage.answered)} cities answered{missing}; see .coverage>"

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of every batch: those of the query, or all of the collection; ``city`` always."""
        return schema_of(self._question.request)

    @property
    def ended(self) -> bool:
        """Whether the answer was read to its verified end, so that there is a coverage."""
        return self._intake is not None and self._intake.coverage is not None

    @property
    def coverage(self) -> Coverage:
        """What came of every member. Conflict before the answer was read to its end."""
        return self._ended(self._intake.coverage if self._intake else None)

    @property
    def receipt(self) -> Receipt:
        """What proves the answer later. Conflict before the answer was read to its end."""
        return Receipt(self._completed or self._ended(self._intake.receipt if self._intake else None))

    @property
    def provenance(self) -> dict[str, Any]:
        """What a file of the answer should say of it (docs/export.md). Conflict before it was read to its end."""
        return self._ended(self._intake.provenance if self._intake else None)

    @property
    def headers(self) -> Mapping[str, tuple[Header, ...]]:
        """Of untouched objects: what the files of each city whose rows came said of all their objects.

        The numbers of ``original_header`` count from 0 here, city by city.
        """
        return dict(self._intake.headers.items()) if self._intake else {}

    @property
    def absent(self) -> Mapping[str, tuple[str, ...]]:
        """Requested properties that a city does not give, by city."""
        return {line.city: line.absent for line in self.coverage if line.absent}

    def _complete(self, ask: AskCity) -> Receipt:
        receipt = self.receipt
        assert self._intake is not None
        self._completed = Receipt(complete_receipt(receipt, self._intake.root, ask).receipt)
        return self._completed

    def _ended(self, value: T | None) -> T:
        if value is None:
            raise Conflict("the answer was not read to its verified end")
        return value

    def _use(self) -> None:
        if self._used:
            raise Conflict("this answer was read already", remedy="Ask again, or keep its table")
        self._used = True

    async def _next(self) -> bool:
        """Takes in more frames, at first it asks for them; False at the end."""
        if self._intake is None or self._feed is None:
            self._intake, self._feed = await self._asker.open(self._question)
        try:
            frames = await self._feed.next()
        except NodeUnreachable as error:
            error.remedy = error.remedy or self._asker.turned_away() or UNREACHABLE
            raise
        self._intake.put(frames)
        return bool(frames)

    async def _renew(self, stale: Stale) -> None:
        assert self._intake is not None
        self._intake.renew(await self._asker.newer_directory(stale))

    async def _close(self) -> None:
        if self._feed is not None:
            await self._feed.close()

    def _take(self) -> deque[Piece]:
        assert self._intake is not None
        return self._chosen(self._intake.take(self._asker.now()))

    def _finish(self) -> deque[Piece]:
        assert self._intake is not None
        return self._chosen(self._intake.finish())

    def _chosen(self, pieces: deque[Piece]) -> deque[Piece]:
        """Of a catalogue, what serves the purpose that was named, and what is only listed."""
        purpose = self._question.serving
        if not purpose:
            return pieces
        return deque(Piece(piece.city, _serving(piece.batch, purpose)) for piece in pieces)

    def _check(self, *, whole: bool) -> None:
        """After the end. ``whole``: the rows are with the caller already."""
        assert self._intake is not None
        if whole:
            self._intake.check_whole()
        self.coverage.require(self._question.require)

    def _make_table(self, pieces: list[Piece]) -> pa.Table:
        assert self._intake is not None
        self._check(whole=False)
        return self._intake.to_table(pieces)


class Answer(_Answer):
    """Iterate over it for ``pyarrow.RecordBatch``es, or take the whole. Also a context manager that closes it."""

    def __init__(self, asker: Asker, question: Question, loop: Loop) -> None:
        super().__init__(asker, question)
        self._loop = loop

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self._checked(self._pieces())

    def _checked(self, pieces: Iterator[Piece]) -> Iterator[pa.RecordBatch]:
        for piece in pieces:
            yield piece.batch
        self._check(whole=True)

    def to_reader(self) -> pa.RecordBatchReader:
        """For whatever reads Arrow streams; raises what iterating raises."""
        return pa.RecordBatchReader.from_batches(self.schema, iter(self))

    def to_table(self) -> pa.Table:
        """The whole answer, verified, or an error and nothing."""
        if self._table is None:
            self._table = self._make_table(list(self._pieces()))
        return self._table

    def spool(self, limit: int) -> pa.Table | pa.RecordBatchReader:
        """The whole answer as ``to_table`` gives it where that takes no more than ``limit`` bytes, else a reader.

        For what writes files: a small answer is verified to its end before the first byte is written.
        """
        pieces = self._pieces()
        kept: deque[Piece] = deque()
        size = 0
        for piece in pieces:
            kept.append(piece)
            size += piece.batch.nbytes
            if size > limit:
                return pa.RecordBatchReader.from_batches(self.schema, self._checked(_first(kept, pieces)))
        self._table = self._make_table(list(kept))
        return self._table

    def to_geopandas(self, lod: int | None = None) -> geopandas.GeoDataFrame:
        """The whole answer with the finest geometry that each row has, or that of one level of detail."""
        return to_geopandas(self.to_table(), lod)

    def complete_receipt(self) -> Receipt:
        """The receipt with the proof that the decisions are in the logs of the cities, of those that give it by now.

        They do about a second after the answer, and cosigned by others a little later; `cimfed receipt complete` does
        the same at any time, and names whose is missing.
        """
        return self._complete(lambda city, request: self._loop.run(self._asker.prove(city, request)))

    def close(self) -> None:
        self._used = True
        if self._feed is not None and not self._feed.ended:
            self._loop.settle(self._close())

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pieces(self) -> Iterator[Piece]:
        self._use()
        try:
            while self._loop.run(self._next()):
                while (pieces := self._taken()) is None:
                    pass
                while pieces:
                    yield pieces.popleft()
            yield from self._finish()
        finally:
            self.close()

    def _taken(self) -> deque[Piece] | None:
        try:
            return self._take()
        except Stale as stale:
            self._loop.run(self._renew(stale))
            return None


def _serving(rows: pa.RecordBatch, purpose: str) -> pa.RecordBatch:
    serves = [words is None or purpose in words.split() for words in rows["purposes"].to_pylist()]
    return rows.filter(pa.array(serves, pa.bool_()))


def _first(kept: deque[Piece], pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Both in turn; what was kept is let go as it is used."""
    while kept:
        yield kept.popleft()
    yield from pieces


class AsyncAnswer(_Answer):
    """Iterate over it (``async for``) for ``pyarrow.RecordBatch``es, or await the whole.

    Checks run in a thread, so that the loop goes on. Break off inside ``contextlib.aclosing`` or ``async with``.
    """

    async def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        async with aclosing(self._pieces()) as pieces:
            async for piece in pieces:
                yield piece.batch
        self._check(whole=True)

    async def to_table(self) -> pa.Table:
        """The whole answer, verified, or an error and nothing."""
        if self._table is None:
            self._table = self._make_table([piece async for piece in self._pieces()])
        return self._table

    async def to_geopandas(self, lod: int | None = None) -> geopandas.GeoDataFrame:
        """The whole answer with the finest geometry that each row has, or that of one level of detail."""
        return await asyncio.to_thread(to_geopandas, await self.to_table(), lod)

    async def complete_receipt(self) -> Receipt:
        """As ``Answer.complete_receipt``."""
        loop = asyncio.get_running_loop()

        def ask(city: CityName, request: bytes) -> bytes:
            return asyncio.run_coroutine_threadsafe(self._asker.prove(city, request), loop).result()

        return await asyncio.to_thread(self._complete, ask)

    async def aclose(self) -> None:
        self._used = True
        await self._close()

    async def __aenter__(self) -> AsyncAnswer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _pieces(self) -> AsyncGenerator[Piece, None]:
        self._use()
        try:
            while await self._next():
                while (pieces := await self._taken()) is None:
                    pass
                while pieces:
                    yield pieces.popleft()
            for piece in await asyncio.to_thread(self._finish):
                yield piece
        finally:
            await self.aclose()

    async def _taken(self) -> deque[Piece] | None:
        try:
            return await asyncio.to_thread(self._take)
        except Stale as stale:
            await self._renew(stale)
            return None
