"""One statement over one view, batch by batch.

Rules:
1. Nothing runs before the first ``read_next``; from then on rows stream, and at most a few batches are in memory.
2. Only the engine's own end of rows is the end. After an interrupt, which the engine may miss or take for an end,
   every ``read_next`` raises: a short answer must never look like a whole one.
3. The time limit counts the engine's time, not that of a slow consumer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa

from cimfed.errors import CimfedError, TimedOut, TooLarge
from cimfed_node.sql.statement import Statement
from cimfed_node.stores.base import MAX_BATCH
from cimfed_node.stores.duckdb.failures import is_interrupt, translated
from cimfed_node.stores.duckdb.watch import Call, Watch


class DuckDBReader:
    """``batch_rows``: what the engine fills a batch with. ``max_rows``: more than these are TooLarge."""

    def __init__(
        self,
        cursor: Callable[[], duckdb.DuckDBPyConnection],
        watch: Watch,
        statement: Statement,
        source: str,
        schema: pa.Schema,
        *,
        batch_rows: int,
        seconds: float,
        absent: tuple[str, ...] = (),
        max_rows: int | None = None,
    ) -> None:
        self.schema = schema
        self.absent = absent
        self._new_cursor = cursor
        self._watch = watch
        self._statement = statement
        self._source = source
        self._batch_rows = batch_rows
        self._left = seconds
        self._room = max_rows
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._stream: Any = None
        self._ready: deque[pa.RecordBatch] = deque()
        self._failure: CimfedError | None = None
        self._done = False
        self._reading = threading.Lock()  # held through a call into the engine
        self._state = threading.Lock()  # never held through one
        self._call: Call | None = None
        self._interrupted = False

    def read_next(self) -> pa.RecordBatch | None:
        with self._reading:
            try:
                self._refuse_if_stopped()
                if not self._ready and not self._done:
                    self._fill()
                    self._refuse_if_stopped()  # it came while the engine was busy, and was lost
            except CimfedError as error:
                self._failure = error
                self._release()
                raise
            return self._ready.popleft() if self._ready else None

    def interrupt(self) -> None:
        with self._state:
            self._interrupted = True
            call = self._call
        if call is not None:
            self._watch.stop(call)

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
        batch = self._from_engine()
        if self._left < 0:
            raise _too_long()
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
        self._ready.extend(_split(self._conform(batch)))

    def _from_engine(self) -> pa.RecordBatch | None:
        """The next batch that has rows; None at the end."""
        started = time.monotonic()
        if self._cursor is None:
            self._cursor = self._new_cursor()
        try:
            with self._watch.during(self._cursor.interrupt, self._left) as call:
                with self._state:
                    self._call = call
                    stopped = self._interrupted
                if stopped:
                    return None  # read_next refuses
                try:
                    return self._next(self._cursor)
                finally:
                    with self._state:
                        self._call = None
        except Exception as error:  # whatever the engine raises; its words must not leave
            if not is_interrupt(error):
                raise translated(error, self._source) from None
            if self._interrupted:
                raise CimfedError("the statement was stopped") from None
            raise _too_long() from None
        finally:
            self._left -= time.monotonic() - started

    def _next(self, cursor: duckdb.DuckDBPyConnection) -> pa.RecordBatch | None:
        if self._stream is None:
            cursor.execute(self._statement.text, self._statement.parameters)
            self._stream = cursor.to_arrow_reader(self._batch_rows)
        while True:
            try:
                batch: pa.RecordBatch = self._stream.read_next_batch()
            except StopIteration:
                return None
            if batch.num_rows:
                return batch

    def _conform(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The engine's columns under the schema's names, types and metadata, and nulls for the absent."""
        columns = iter(batch.columns)
        arrays: list[Any] = []
        for field in self.schema:
            if field.name in self.absent:
                arrays.append(pa.nulls(batch.num_rows, field.type))
            else:
                column = next(columns)
                arrays.append(column if column.type == field.type else column.cast(field.type))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _release(self) -> None:
        self._ready.clear()
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None


def _too_long() -> TimedOut:
    return TimedOut("the statement took longer than the node allows", remedy="Ask for less")


def _split(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """Halves, and halves of these, until each is small enough or one row; none is copied."""
    if batch.nbytes <= MAX_BATCH or batch.num_rows == 1:
        return [batch]
    half = batch.num_rows // 2
    return _split(batch.slice(0, half)) + _split(batch.slice(half))
