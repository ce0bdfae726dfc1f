"""Arrow as the driver gives it <-> Arrow as the vocabulary has it: whole columns, no row in Python.

What leaves PostgreSQL is in ``sql.postgis``: decimals as integers of their smallest unit, sums as text, a box as four
columns, names as two arrays. The same forms go in when a snapshot is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from cimfed.errors import CimfedError
from cimfed.model.schema import BOX


def answered(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The driver's columns under the schema; what there is beyond them is left out."""
    columns: Iterator[Any] = iter(batch.columns)
    arrays = [_column(at.type, columns) for at in schema]
    if not arrays:
        return batch
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def stored(batch: pa.RecordBatch, names: list[str]) -> pa.RecordBatch:
    """The vocabulary's columns as those of a table, under their ``names``."""
    arrays: list[Any] = []
    columns: list[Any] = batch.columns
    for column in columns:
        if pa.types.is_decimal(column.type):
            arrays.append(_smallest(column))
        elif pa.types.is_map(column.type):
            arrays.extend(_lists(column))
        elif pa.types.is_struct(column.type):
            arrays.extend(column.flatten())
        else:
            arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _column(type: pa.DataType, columns: Iterator[Any]) -> Any:
    column = next(columns)
    if pa.types.is_decimal(type) and pa.types.is_integer(column.type):
        return _decimals(column, type)
    if pa.types.is_map(type):
        return _map(column, next(columns))
    if pa.types.is_struct(type):
        sides = [column, *(next(columns) for _ in range(len(BOX) - 1))]
        return pa.StructArray.from_arrays(sides, fields=list(BOX), mask=column.is_null())
    return column if column.type == type else column.cast(type)


def _decimals(column: Any, type: pa.DataType) -> Any:
    """128 bits each, little-endian, in two's complement."""
    values = column.fill_null(0).to_numpy()
    words: Any = np.empty((len(values), 2), np.int64)
    words[:, 0] = values
    words[:, 1] = values >> 63
    return pa.Array.from_buffers(type, len(column), [_validity(column), pa.py_buffer(words)])


def _smallest(column: Any) -> Any:
    """The lower 64 bits, which hold every DECIMAL(18, s)."""
    words = np.frombuffer(column.buffers()[1], np.int64).reshape(-1, 2)
    values: Any = np.ascontiguousarray(words[column.offset : column.offset + len(column), 0])
    return pa.Array.from_buffers(pa.int64(), len(column), [_validity(column), pa.py_buffer(values)])


def _validity(column: Any) -> Any:
    """The bits of the nulls, from the first row on; None where there are none."""
    if not column.null_count:
        return None
    bits: Any = np.packbits(column.is_valid().to_numpy(zero_copy_only=False), bitorder="little")
    return pa.py_buffer(bits)


def _map(languages: Any, texts: Any) -> Any:
    if not languages.offsets.equals(texts.offsets):
        raise CimfedError("the names of a view are not whole")
    offsets = languages.offsets.cast(pa.int32())
    return pa.MapArray.from_arrays(offsets, languages.values, texts.values, mask=languages.is_null())


def _lists(column: Any) -> list[Any]:
    mask = column.is_null() if column.null_count else None
    if column.offset:  # offsets of a slice do not go with a mask
        column = pa.concat_arrays([column])
    return [pa.ListArray.from_arrays(column.offsets, part, mask=mask) for part in (column.keys, column.items)]
