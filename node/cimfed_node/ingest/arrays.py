"""Kinds of arrays that ingest works on, and the few places where Arrow and numpy meet.

The stubs of pyarrow know neither numpy's buffers nor nested types: columns are ``Any`` here, and nowhere is that worse.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Keys: TypeAlias = npt.NDArray[np.uint64]
Geometries: TypeAlias = npt.NDArray[np.object_]
"""shapely geometries, None where there is none."""

Column: TypeAlias = Any
"""An Arrow array."""

_arrow: Any = pa


def starts(lengths: Ints) -> Ints:
    """Where each run begins, with the end of the last one behind: n + 1 values."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))


def missing(geometries: Geometries) -> Bools:
    return np.asarray(shapely.is_missing(geometries), np.bool_)


def column(kind: pa.DataType, rows: int, valid: Bools, *buffers: npt.NDArray[Any]) -> Column:
    """An Arrow array over numpy's memory."""
    validity = None if valid.all() else _arrow.py_buffer(np.packbits(valid, bitorder="little"))
    return _arrow.Array.from_buffers(kind, rows, [validity, *map(_arrow.py_buffer, buffers)])


def nulls(rows: int, kind: pa.DataType) -> Column:
    return _arrow.nulls(rows, kind)


def taken(table: pa.Table, order: Ints) -> pa.Table:
    """Rows of a table by number."""
    rows: pa.Table = table.take(_arrow.array(order))
    return rows


def among(values: Column, some: Column) -> Bools:
    """Which values are some of these; of an array or a table's column."""
    return np.asarray(pc.is_in(values, value_set=some), np.bool_)
