"""ISO WKB of MultiPolygon Z for whole arrays of rows, without one Python step per row.

Little endian. A MultiPolygon Z is 9 bytes of head, then its polygons: 9 bytes of head, then their rings: 4 bytes of
count, then 24 bytes a point. All places are found by cumulative sums, and every kind of piece is put in by one
assignment. Rings come open and leave closed (OGC 06-103r4, 8.2).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cimfed_node.ingest.arrays import Column, Floats, Ints, column, starts

POLYGON_Z = 1003
MULTIPOLYGON_Z = 1006
_HEAD, _COUNT, _POINT = 9, 4, 24


def _place(out: npt.NDArray[np.uint8], at: Ints, pieces: npt.NDArray[np.uint8]) -> None:
    """Write equally long pieces (n, size) at any byte positions."""
    if not len(at):
        return
    size = pieces.shape[1]
    window: npt.NDArray[np.void] = np.ndarray(shape=(len(out) - size + 1,), dtype=f"V{size}", buffer=out, strides=(1,))
    window[at] = np.ascontiguousarray(pieces).view(f"V{size}")[:, 0]


def _heads(kind: int, counts: Ints) -> npt.NDArray[np.uint8]:
    heads = np.zeros(len(counts), dtype=np.dtype([("order", "u1"), ("kind", "<u4"), ("count", "<u4")]))
    heads["order"], heads["kind"], heads["count"] = 1, kind, counts
    return heads.view(np.uint8).reshape(-1, _HEAD)


def multipolygons_z(points: Floats, ring_points: Ints, face_rings: Ints, row_faces: Ints) -> Column:
    """MultiPolygon Z of each row, null where it has no face.

    ``points``: (n, 3) vertices of all rings, one after another, open. ``ring_points``: vertices of each ring.
    ``face_rings``: rings of each face. ``row_faces``: faces of each row.
    """
    rings, faces, rows = len(ring_points), len(face_rings), len(row_faces)
    ring_size = _COUNT + _POINT * (ring_points + 1)
    face_start, row_start = starts(face_rings), starts(row_faces)
    ring_face = np.repeat(np.arange(faces), face_rings)
    face_row = np.repeat(np.arange(rows), row_faces)
    filled = row_faces > 0
    heads_before = starts(filled.astype(np.int64))[1:]  # row heads up to and with each row's own

    before = starts(ring_size)
    ring_at = before[:-1] + _HEAD * (ring_face + 1) + _HEAD * heads_before[face_row[ring_face]]
    face_at = before[face_start[:-1]] + _HEAD * np.arange(faces) + _HEAD * heads_before[face_row]
    row_at = before[face_start[row_start]] + _HEAD * row_start + _HEAD * starts(filled.astype(np.int64))
    out = np.zeros(int(row_at[-1]), np.uint8)

    _place(out, row_at[:-1][filled], _heads(MULTIPOLYGON_Z, row_faces[filled]))
    _place(out, face_at, _heads(POLYGON_Z, face_rings))
    _place(out, ring_at, (ring_points + 1).astype("<u4").view(np.uint8).reshape(rings, _COUNT))
    ring_start = starts(ring_points)
    within = np.arange(len(points)) - np.repeat(ring_start[:-1], ring_points)
    raw = np.ascontiguousarray(points, dtype="<f8").view(np.uint8).reshape(-1, _POINT)
    _place(out, np.repeat(ring_at + _COUNT, ring_points) + _POINT * within, raw)
    _place(out, ring_at + _COUNT + _POINT * ring_points, raw[ring_start[:-1]])

    if len(out) >= 2**31:
        raise OverflowError("a chunk of geometry is larger than 2 GiB")
    return column(pa.binary(), rows, filled, row_at.astype("<i4"), out)
