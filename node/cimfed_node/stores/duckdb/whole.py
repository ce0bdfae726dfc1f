"""All rows of a view, without a statement.

A read without a filter asks nothing of the engine. Arrow's own Parquet reader decodes the same columns of the same
file in the same order at half the processor time (measured; ``test_whole`` compares the rows). It holds one row
group, and stops between two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


class WholeRows:
    """``columns``: at least one, in the order of the file. A batch has about ``batch_rows``, evenly cut."""

    def __init__(self, path: Path, columns: Sequence[str], batch_rows: int) -> None:
        self._path = path
        self._columns = list(columns)
        self._batch_rows = batch_rows
        self._file: pq.ParquetFile | None = None
        self._group = 0
        self._ready: deque[pa.RecordBatch] = deque()
        self._stopped = False

    def next(self, seconds: float) -> pa.RecordBatch | None:
        if self._file is None:
            self._file = pq.ParquetFile(self._path)
        while not self._ready and not self._stopped and self._group < self._file.num_row_groups:
            table = self._file.read_row_group(self._group, columns=self._columns, use_threads=False)
            self._group += 1
            pieces = max(1, -(-table.num_rows // self._batch_rows))
            batches = table.to_batches(max_chunksize=max(1, -(-table.num_rows // pieces)))
            self._ready.extend(batch for batch in batches if batch.num_rows)
        return self._ready.popleft() if self._ready else None

    def interrupt(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._ready.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
