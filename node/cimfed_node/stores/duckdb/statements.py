"""The rows of one statement, on a cursor of its own.

DuckDB streams: it works only while it is asked for rows, and holds about a row group. An interrupt surfaces as
InterruptException, or through the Arrow stream as OSError.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa

from cimfed_node.sql.statement import Statement
from cimfed_node.stores.watch import Call, Watch


class StatementRows:
    """``batch_rows``: what the engine fills a batch with."""

    def __init__(
        self, cursor: Callable[[], duckdb.DuckDBPyConnection], watch: Watch, statement: Statement, batch_rows: int
    ) -> None:
        self._new_cursor = cursor
        self._watch = watch
        self._statement = statement
        self._batch_rows = batch_rows
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self._stream: Any = None
        self._state = threading.Lock()  # never held through a call into the engine
        self._call: Call | None = None
        self._stopped = False

    def next(self, seconds: float) -> pa.RecordBatch | None:
        if self._cursor is None:
            self._cursor = self._new_cursor()
        with self._watch.during(self._cursor.interrupt, seconds) as call:
            with self._state:
                if self._stopped:
                    return None
                self._call = call
            try:
                return self._from_stream(self._cursor)
            finally:
                with self._state:
                    self._call = None

    def interrupt(self) -> None:
        with self._state:
            self._stopped = True
            if self._call is not None:
                self._watch.stop(self._call)

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None

    def _from_stream(self, cursor: duckdb.DuckDBPyConnection) -> pa.RecordBatch | None:
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
