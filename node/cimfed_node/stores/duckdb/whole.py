"""All rows of a view, without a statement.

A read without a filter asks nothing of the engine. Arrow's own Parquet reader decodes the same columns of the same
file in the same order at half the processor time (``docs/adr/0002-whole-views-without-a-statement.md``). It holds
one row group, or of a large one some pages, and stops between two batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cimfed.model.limits import MIB

_AT_ONCE = 16 * MIB  # a row group of more is decoded batch by batch, which takes longer and less memory


class WholeRows:
    """``columns``: at least one, in the order of the file. A batch has about ``batch_rows``, evenly cut."""

    def __init__(self, path: Path, columns: Sequence[str], batch_rows: int) -> None:
        self._path = path
        self._columns = list(columns)
        self._batch_rows = batch_rows
        self._file: pq.ParquetFile | None = None
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._stopped = False

    def next(self, seconds: float) -> pa.RecordBatch | None:
        if self._batches is None:
            self._file = pq.ParquetFile(self._path)
            self._batches = self._decoded(self._file)
        return None if self._stopped else next(self._batches, None)

    def interrupt(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._batches = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def _decoded(self, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            pieces = max(1, -(-rows // self._batch_rows))
            size = max(1, -(-rows // pieces))
            if file.metadata.row_group(group).total_byte_size <= _AT_ONCE:
                table = file.read_row_group(group, columns=self._columns, use_threads=False)
                batches: Iterator[pa.RecordBatch] = iter(table.to_batches(max_chunksize=size))
            else:
                batches = file.iter_batches(size, row_groups=[group], columns=self._columns, use_threads=False)
            yield from (batch for batch in batches if batch.num_rows)
