"""WKB of another party: what the vocabulary's geometries are, and no deeper.

GEOS reads a collection within a collection by calling itself, so 400 KiB of nothing but headers end the process (seen
with 3.14). A geometry of ours is a point, a line, a polygon or a multi of one of these (ISO 19125, ISO WKB); a short
one cannot nest far enough to hurt, and is not looked at.
"""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa
import pyarrow.compute

from cimfed.errors import BadAnswer

pc: Any = pyarrow.compute  # its stubs do not know that scalars may stand beside arrays
SHORT = 16 * 1024  # bytes: 1,800 levels at most
_POINT, _LINE, _POLYGON = 1, 2, 3
_MULTI = (4, 5, 6)
_DIMENSIONS = (2, 3, 3, 4)  # plain, Z, M, ZM


def check_shapes(party: str, name: str, column: pa.Array[Any]) -> None:
    """BadAnswer where a long value of a WKB column is none, or nests deeper than a multi-geometry of simple ones."""
    long = pc.greater(pc.binary_length(column), SHORT)
    if not pc.any(long).as_py():
        return
    for value in column.filter(long):
        try:
            _check(memoryview(value.as_buffer()))
        except (struct.error, IndexError):
            raise BadAnswer(f"{party}: a geometry of {name} is not WKB of a simple or a multi-geometry") from None


def _check(wkb: memoryview) -> None:
    kind, dimensions, order, at = _header(wkb, 0)
    if kind not in _MULTI:
        _part(wkb, kind, dimensions, order, at)
        return
    (count,) = struct.unpack_from(f"{order}I", wkb, at)
    at += 4
    for _ in range(count):
        kind, dimensions, order, start = _header(wkb, at)
        at = _part(wkb, kind, dimensions, order, start)


def _header(wkb: memoryview, at: int) -> tuple[int, int, str, int]:
    """Kind, dimensions, byte order, and where the rest begins."""
    order = "><"[wkb[at]]
    (code,) = struct.unpack_from(f"{order}I", wkb, at + 1)
    return code % 1000, _DIMENSIONS[code // 1000], order, at + 5


def _part(wkb: memoryview, kind: int, dimensions: int, order: str, at: int) -> int:
    """Where a point, line or polygon ends."""
    if kind == _POINT:
        return at + 8 * dimensions
    if kind not in (_LINE, _POLYGON):
        raise IndexError
    rings = 1
    if kind == _POLYGON:
        (rings,) = struct.unpack_from(f"{order}I", wkb, at)
        at += 4
    for _ in range(rings):
        (points,) = struct.unpack_from(f"{order}I", wkb, at)
        at += 4 + 8 * dimensions * points
    return at
