"""The rows of one statement, on a connection of its own while they last.

The server streams: rows are decoded from the socket as they are asked for, and a batch or two are in memory. One that
is closed before its end is cancelled in the server too.
"""

from __future__ import annotations

import threading
import time
from collections import deque

import pyarrow as pa

from cimfed_node.stores.postgis.arrow import answered
from cimfed_node.stores.postgis.failures import lost
from cimfed_node.stores.postgis.links import Link, Pool, Stream
from cimfed_node.stores.watch import Call, Watch

_MOST_ROWS = 131_072


class StatementRows:
    """``schema``: of the columns that the statement gives. ``batch_bytes``: what a batch aims at."""

    def __init__(self, pool: Pool, watch: Watch, text: str, schema: pa.Schema, batch_bytes: int) -> None:
        self._pool = pool
        self._watch = watch
        self._text = text
        self._schema = schema
        self._batch_bytes = batch_bytes
        self._link: Link | None = None
        self._stream: Stream | None = None
        self._ready: deque[pa.RecordBatch] = deque()
        self._state = threading.Lock()  # never held through a call into the engine
        self._call: Call | None = None
        self._stopped = False

    def next(self, seconds: float) -> pa.RecordBatch | None:
        if self._ready:
            return self._ready.popleft()
        began = time.monotonic()
        if self._link is None:
            self._link = self._pool.take(seconds, lambda: self._stopped)
            if self._link is None:
                return None
        with self._watch.during(self._link.cancel, seconds - (time.monotonic() - began)) as call:
            with self._state:
                if self._stopped:
                    return None
                self._call = call
            try:
                return self._from_stream(self._link)
            except Exception as error:
                if lost(error):
                    self._pool.forget()
                raise
            finally:
                with self._state:
                    self._call = None

    def interrupt(self) -> None:
        with self._state:
            self._stopped = True
            if self._call is not None:
                self._watch.stop(self._call)
        self._pool.wake()

    def close(self) -> None:
        self._ready.clear()
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._link is not None:
            self._pool.give(self._link)
            self._link = None

    def _from_stream(self, link: Link) -> pa.RecordBatch | None:
        if self._stream is None:
            self._stream = link.run(self._text, self._batch_bytes)
        while (batch := self._stream.next()) is not None:
            if batch.num_rows:
                whole = answered(batch, self._schema)
                self._ready.extend(whole.slice(at, _MOST_ROWS) for at in range(0, whole.num_rows, _MOST_ROWS))
                return self._ready.popleft()
        return None
