"""Hilbert keys: rows near one another on the ground get keys near one another.

The square is 360 by 360 degrees around (0, 0) and the same for every snapshot, so a key says where a place is whatever
else is in the file. 31 bits an axis are cells of 2 cm. The curve is that of Hilbert 1891 in the bit-wise form of
Skilling 2004 (AIP Conf. Proc. 707), for two dimensions, on whole arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cimfed_node.ingest.arrays import Bools, Floats, Keys

BITS = 31
LAST = np.uint64(2**63)  # greater than every key: rows without a place come last


def cells(x: Floats, y: Floats) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Degrees to the cells of the square."""
    side = 2.0**BITS
    column = np.clip((x + 180.0) / 360.0 * side, 0, side - 1)
    row = np.clip((y + 180.0) / 360.0 * side, 0, side - 1)
    return column.astype(np.uint32), row.astype(np.uint32)


def curve(column: npt.NDArray[np.uint32], row: npt.NDArray[np.uint32]) -> Keys:
    """Cells to their place on the curve."""
    a, b = column.copy(), row.copy()
    bit = np.uint32(1 << (BITS - 1))
    one = np.uint32(1)
    while bit > one:
        low = bit - one
        a ^= np.where(a & bit, low, np.uint32(0))
        swap = np.where(b & bit, np.uint32(0), (a ^ b) & low)
        a ^= np.where(b & bit, low, swap)
        b ^= swap
        bit >>= one
    b ^= a
    flip = np.zeros_like(a)
    bit = np.uint32(1 << (BITS - 1))
    while bit > one:
        flip ^= np.where(b & bit, bit - one, np.uint32(0))
        bit >>= one
    return (_spread(a ^ flip) << np.uint64(1)) | _spread(b ^ flip)


def _spread(value: npt.NDArray[np.uint32]) -> Keys:
    """Put a zero before every bit."""
    spread = value.astype(np.uint64)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << np.uint64(shift))) & np.uint64(mask)
    return spread


def hilbert_keys(bounds: Floats) -> Keys:
    """Keys of the centres of (n, 4) bounding boxes in degrees; ``LAST`` where a box is NaN."""
    nowhere: Bools = np.asarray(np.isnan(bounds).any(axis=1))
    centre = np.where(nowhere[:, None], 0.0, (bounds[:, :2] + bounds[:, 2:]) / 2)
    keys = curve(*cells(centre[:, 0], centre[:, 1]))
    keys[nowhere] = LAST
    return keys
