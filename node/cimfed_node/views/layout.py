"""The order and the row groups of a view, decided by what the view itself shows and by nothing else.

A draft has the rows in the order of the snapshot. Where it shows geometry, that is the order of places; but rows that
have no place, or share it with another row of the view, would stand as the source had them: in one order in the views
of two grants, which could then be laid side by side, and perhaps in that of a hidden value. They come last, in an order
drawn by the view's key. Where the draft's row groups came out too large, they are cut anew.

All of it on whole columns; what is set aside lies in the scratch folder, so that memory is bounded by a row group.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cimfed.model.limits import MIB
from cimfed_node.ingest.hilbert import LAST, hilbert_keys
from cimfed_node.stores.width import row_width

VECTOR = 2048  # rows that the engine works on at a time
MAX_ROW_GROUP = 61_440
ROW_GROUP_BYTES = 8 * MIB
TOO_LARGE = 16 * MIB
_TYPICAL = {"geometry_lod0": 160, "geometry_lod1": 700, "geometry_lod2": 2400, "geometry_lod3": 6000, "ext": 120}

Bools = npt.NDArray[np.bool_]


def group_rows(schema: pa.Schema, widths: Mapping[str, float] | None = None) -> int:
    """Rows of a row group of about 8 MiB in whole vectors: by measured widths, else by those that are typical.

    The engine closes a row group after the vector that fills it, so one is taken off.
    """
    rows = min(MAX_ROW_GROUP, int(ROW_GROUP_BYTES / row_width(schema, _TYPICAL if widths is None else widths)))
    return max(rows // VECTOR - 1, 1) * VECTOR


def arrange(draft: Path, path: Path, schema: pa.Schema, widths: Mapping[str, float], key: bytes, scratch: Path) -> None:
    """Moves the draft to ``path``, rewritten where its order or its row groups must not stay as they are."""
    crowded = _crowded(draft, schema)
    rows = group_rows(schema)
    large = rows > VECTOR and rows * row_width(schema, widths) > TOO_LARGE
    if crowded is None and not large:
        os.replace(draft, path)
        return
    with pq.ParquetFile(draft) as source, tempfile.TemporaryDirectory(dir=scratch) as folder:
        groups = _Groups(path, source.schema_arrow, source.metadata.num_rows, group_rows(schema, widths))
        aside = Path(folder) / "aside.arrow"
        _write_plain(source, crowded, aside, groups)
        if crowded is not None:
            _write_drawn(aside, groups, key)
        groups.close()


class _Groups:
    """A file of row groups of even size, at most ``most`` rows, whatever the tables that it is given."""

    def __init__(self, path: Path, schema: pa.Schema, rows: int, most: int) -> None:
        options: dict[str, Any] = {"compression": "lz4", "write_batch_size": VECTOR}
        self._writer = pq.ParquetWriter(path, schema, **options)
        self.size = -(-rows // -(-rows // most))
        self._waiting = schema.empty_table()

    def add(self, table: pa.Table) -> None:
        self._waiting = pa.concat_tables([self._waiting, table])
        while self._waiting.num_rows >= self.size:
            self._put(self.size)

    def close(self) -> None:
        if self._waiting.num_rows:
            self._put(self._waiting.num_rows)
        self._writer.close()

    def _put(self, rows: int) -> None:
        self._writer.write_table(self._waiting.slice(0, rows).combine_chunks(), row_group_size=rows)
        self._waiting = self._waiting.slice(rows)


def _crowded(draft: Path, schema: pa.Schema) -> Bools | None:
    """Rows without a place of their own; None where there are none, or where the view shows no places."""
    if "bbox" not in schema.names:
        return None
    box: Any = pq.read_table(draft, columns=["bbox"])["bbox"].combine_chunks()
    bounds = np.column_stack(
        [np.asarray(corner.to_numpy(zero_copy_only=False), np.float64) for corner in box.flatten()]
    )
    keys = hilbert_keys(bounds)
    _, place, number = np.unique(keys, return_inverse=True, return_counts=True)
    crowded: Bools = (number[place] > 1) | (keys == LAST)
    return crowded if crowded.any() else None


def _write_plain(source: pq.ParquetFile, crowded: Bools | None, aside: Path, groups: _Groups) -> None:
    """Rows with a place of their own, in their order; the others are set aside."""
    begun = 0
    with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, source.schema_arrow) as put_aside:
        for batch in source.iter_batches(groups.size, use_threads=False):
            table = pa.Table.from_batches([batch])
            if crowded is not None:
                here = crowded[begun : begun + batch.num_rows]
                begun += batch.num_rows
                put_aside.write_table(table.filter(_mask(here)))
                table = table.filter(_mask(~here))
            groups.add(table)


def _write_drawn(aside: Path, groups: _Groups, key: bytes) -> None:
    """What was set aside, in an order that says nothing without the key."""
    with pa.memory_map(str(aside)) as file:
        table = pa.ipc.open_file(file).read_all()
        drawn = np.frombuffer(hashlib.shake_256(key).digest(8 * table.num_rows), np.uint64)
        order: Any = np.argsort(drawn, kind="stable")
        for begun in range(0, table.num_rows, groups.size):
            groups.add(table.take(order[begun : begun + groups.size]))


def _mask(chosen: Bools) -> Any:
    return pa.array(chosen)
