"""The index of a Shapefile, read for one thing: how many of its records say themselves that they have no shape.

OGR gives no geometry for these and for records that it cannot read; only the number tells damage from nothing. Whole
arrays; the file is mapped, not read. Source: ESRI Shapefile Technical Description, July 1998.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cimfed_node.ingest.arrays import Ints

POINTS = (1, 11, 21)  # shapes of one position, which have no count of parts or points
_COUNT = 36  # bytes from the start of a shape to its number of parts, or of points where it has no parts


def without_shape(shp: Path, shx: Path, rows: int) -> int:
    """Records of the null shape, and of shapes of no parts. Those that the index puts outside of the file count not."""
    if not rows:
        return 0
    index = np.fromfile(shx, ">i4", 2 * rows, offset=100)
    starts = index[::2].astype(np.int64) * 2 + 8
    raw = np.memmap(shp, np.uint8, "r")
    kinds = _words(raw, starts)
    counts = _words(raw, starts + _COUNT)
    empty = (counts == 0) & ~np.isin(kinds, POINTS) & (starts + _COUNT + 4 <= len(raw))
    return int(((kinds == 0) | empty).sum())


def _words(raw: np.ndarray[tuple[int], np.dtype[np.uint8]], at: Ints) -> Ints:
    """The little-endian integers at these bytes; -1 where that is outside."""
    inside = (at >= 0) & (at + 4 <= len(raw))
    found = np.full(len(at), -1, np.int64)
    found[inside] = raw[at[inside, None] + np.arange(4)].copy().view("<i4")[:, 0]
    return found
