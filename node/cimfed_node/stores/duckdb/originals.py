"""Rows with their untouched objects, which lie in a file of their own in the rows' order (``views.originals``).

The rows come from wherever they come from, each with its number in the view; what stands at these numbers in the other
file goes beside them. One row group of it is in memory. Numbers only ever grow: rows come in the view's order.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cimfed.errors import CimfedError
from cimfed.model.schema import ORIGINAL_FIELDS, ORIGINALS
from cimfed_node.stores.reader import Rows

NUMBER = "t.file_row_number"
"""What a statement of the engine says of a row's number in its file."""


class WithOriginals:
    """``columns``: how many of the rows' columns go on. ``numbered``: their last one is the number; else they are all
    rows of the view."""

    def __init__(self, rows: Rows, path: Path, columns: int, *, numbered: bool) -> None:
        self._rows, self._path, self._columns, self._numbered = rows, path, columns, numbered
        self._file: pq.ParquetFile | None = None
        self._begins: Any = None  # the first row of each row group, and the number of all
        self._at, self._group = -1, pa.table({})  # the row group in memory
        self._due = 0  # the least number that the next row may have
        self._pieces: Iterator[pa.RecordBatch] = iter(())

    def next(self, seconds: float) -> pa.RecordBatch | None:
        piece = next(self._pieces, None)
        if piece is not None:
            return piece
        batch = self._rows.next(seconds)
        if batch is None:
            return None
        self._pieces = self._joined(batch)
        return next(self._pieces)

    def interrupt(self) -> None:
        self._rows.interrupt()

    def close(self) -> None:
        self._pieces = iter(())
        self._rows.close()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _joined(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """The batch in as many pieces as row groups of the other file have to do with it."""
        if self._file is None:
            self._file = pq.ParquetFile(self._path)
            footer = self._file.metadata
            sizes = [footer.row_group(at).num_rows for at in range(footer.num_row_groups)]
            self._begins = np.cumsum([0, *sizes])
        numbers = (
            np.asarray(batch.column(batch.num_columns - 1))
            if self._numbered
            else np.arange(self._due, self._due + batch.num_rows)
        )
        if numbers[0] < self._due or (np.diff(numbers) <= 0).any() or numbers[-1] >= self._begins[-1]:
            raise CimfedError("the rows do not come in the order of the view")
        self._due = int(numbers[-1]) + 1
        groups = np.searchsorted(self._begins, numbers, side="right") - 1
        cuts = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), batch.num_rows]
        for begin, end in pairwise(cuts):
            at = int(groups[begin])
            if at != self._at:
                self._at, self._group = at, self._file.read_row_group(at, use_threads=False).combine_chunks()
            taken = self._group.take(pa.array(numbers[begin:end] - self._begins[at])).combine_chunks()
            own = [column.slice(begin, end - begin) for column in batch.columns[: self._columns]]
            beside: list[Any] = [column.chunk(0) for column in taken.columns]
            names = [*batch.schema.names[: self._columns], *(at.name for at in ORIGINAL_FIELDS)]
            yield pa.RecordBatch.from_arrays([*own, *beside], names=names)


def with_originals(schema: pa.Schema, path: Path) -> pa.Schema:
    """The schema of an answer, with the columns and the headers of the untouched objects."""
    said = (pq.read_schema(path).metadata or {})[ORIGINALS]
    found = schema
    for at in ORIGINAL_FIELDS:
        found = found.append(at)
    return found.with_metadata({**(schema.metadata or {}), ORIGINALS: said})
