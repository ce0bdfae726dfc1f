"""One answer, batch by batch, whatever engine its rows come from.

Rules:
1. Nothing runs before the first ``read_next``; from then on rows stream, and at most a few batches are in memory.
2. Only the engine's own end of rows is the end. After an interrupt, which an engine may miss or take for an end,
   every ``read_next`` raises: a short answer must never look like a whole one.
3. The time limit counts the engine's time, not that of a slow consumer.
4. What the engine raises is translated; its words do not leave.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import pyarrow as pa

from cimfed.errors import CimfedError, TimedOut, TooLarge
from cimfed_node.stores.base import MAX_BATCH


class Rows(Protocol):
    """Rows as the engine gives them: the columns of the answer that the view has, in the order of its schema."""

    def next(self, seconds: float) -> pa.RecordBatch | None:
        """The next batch that has rows, None at the end; stops itself after about so many seconds."""

    def interrupt(self) -> None:
        """From any thread: make ``next`` return or raise soon, also one that only begins."""

    def close(self) -> None:
        """Not while ``next`` runs."""


class BatchReader:
    """A ``stores.base.Reader``. ``max_rows``: more than these are TooLarge. ``translate``: the engine's errors."""

    def __init__(
        self,
        rows: Rows,
        schema: pa.Schema,
        translate: Callable[[Exception], CimfedError],
        *,
        seconds: float,
        absent: tuple[str, ...] = (),
        max_rows: int | None = None,
    ) -> None:
        self.schema = schema
        self.absent = absent
        self._rows = rows
        self._translate = translate
        self._left = seconds
        self._room = max_rows
        self._ready: deque[pa.RecordBatch] = deque()
        self._failure: CimfedError | None = None
        self._done = False
        self._interrupted = False
        self._reading = threading.Lock()  # held through a call into the engine

    def read_next(self) -> pa.RecordBatch | None:
        with self._reading:
            try:
                self._refuse_if_stopped()
                if not self._ready and not self._done:
                    self._fill()
            except CimfedError as error:
                self._failure = error
                self._release()
                raise
            return self._ready.popleft() if self._ready else None

    def interrupt(self) -> None:
        self._interrupted = True
        self._rows.interrupt()

    def close(self) -> None:
        with self._reading:
            if self._failure is None:
                self._failure = CimfedError("the reader is closed")
            self._release()

    def _refuse_if_stopped(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._interrupted:
            raise CimfedError("the statement was stopped")

    def _fill(self) -> None:
        batch = self._next()
        if batch is None:
            self._done = True
            self._release()
            return
        if self._room is not None:
            self._room -= batch.num_rows
            if self._room < 0:
                raise TooLarge(
                    "the aggregate has more groups than the limit",
                    place="group_by",
                    remedy="Group by fewer properties, or ask fewer rows",
                )
        self._ready.extend(split(conform(batch, self.schema, self.absent)))

    def _next(self) -> pa.RecordBatch | None:
        """Why the engine stopped is known here; what it raises or returns when it is stopped says nothing."""
        batch, error = None, None
        started = time.monotonic()
        try:
            batch = self._rows.next(self._left)
        except Exception as raised:
            error = raised
        self._left -= time.monotonic() - started
        self._refuse_if_stopped()
        if self._left < 0:
            raise TimedOut("the statement took longer than the node allows", remedy="Ask for less")
        if error is not None:
            raise self._translate(error)
        return batch

    def _release(self) -> None:
        self._ready.clear()
        self._rows.close()


def conform(batch: pa.RecordBatch, schema: pa.Schema, absent: tuple[str, ...]) -> pa.RecordBatch:
    """The engine's columns under the schema's names, types and metadata, and nulls for the absent."""
    columns = iter(batch.columns)
    arrays: list[Any] = []
    for field in schema:
        if field.name in absent:
            arrays.append(pa.nulls(batch.num_rows, field.type))
        else:
            column = next(columns)
            arrays.append(column if column.type == field.type else column.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def split(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """Halves, and halves of these, until each is small enough or one row; none is copied."""
    if batch.nbytes <= MAX_BATCH or batch.num_rows == 1:
        return [batch]
    half = batch.num_rows // 2
    return split(batch.slice(0, half)) + split(batch.slice(half))
