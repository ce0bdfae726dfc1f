"""Surfaces of a chunk of objects, gathered as flat lists and turned into arrays once.

``FaceList.add`` runs once per geometry of CityJSON and does nothing that it could leave to C: nested lists are
flattened by ``itertools.chain``, types are checked by ``set(map(type, ...))``. ``FaceList.arrays`` gives what every
later step works on. Which vertices an index means is told by ``base``: the place of the object's first vertex in the
chunk.

Leaves out: points and lines (``readers.cityjson`` keeps those apart), textures, semantics but for ground surfaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from cimfed_node.ingest.arrays import Bools, Floats, Ints, starts
from cimfed_node.ingest.limits import LIMITS

DEPTH = {"MultiSurface": 0, "CompositeSurface": 0, "Solid": 1, "MultiSolid": 2, "CompositeSolid": 2}
"""How many levels of lists stand above the surfaces (CityJSON 2.0, 3.2)."""


class BadGeometry(ValueError):
    """Why a geometry cannot be used; becomes the reason of a bad object."""


def joined(lists: Any) -> list[Any]:
    """The items of lists of lists, one level less deep. Other containers than lists are let pass: what they hold in
    JSON is text, which the check of the innermost items finds."""
    try:
        return list(chain.from_iterable(lists))
    except TypeError:
        raise BadGeometry("boundaries are nested wrongly") from None


def _ground(semantics: Any, depth: int, count: int) -> list[bool] | None:
    """Which surfaces are GroundSurfaces; None where none is, or where the semantics do not fit the boundaries."""
    if type(semantics) is not dict:
        return None
    surfaces, values = semantics.get("surfaces"), semantics.get("values")
    if type(surfaces) is not list or type(values) is not list:
        return None
    wanted = {i for i, s in enumerate(surfaces) if type(s) is dict and s.get("type") == "GroundSurface"}
    if not wanted:
        return None
    for _ in range(depth):
        if not set(map(type, values)) <= {list}:  # null stands for a shell without semantics: not worth more code
            return None
        values = list(chain.from_iterable(values))
    if len(values) != count:
        return None
    flags = [value in wanted for value in values if type(value) is int or value is None]
    return flags if len(flags) == count and any(flags) else None


@dataclass(frozen=True)
class Faces:
    """Surfaces of one level of detail, row after row.

    ``index``: vertex of each ring point; ``ring_points``, ``face_rings``, ``row_faces``: lengths of runs;
    ``ground``: surfaces that semantics call ground; ``solid``: rows made of solids only.
    """

    index: Ints
    ring_points: Ints
    face_rings: Ints
    row_faces: Ints
    ground: Bools
    solid: Bools

    @property
    def ring_face(self) -> Ints:
        return np.repeat(np.arange(len(self.face_rings)), self.face_rings)

    @property
    def face_row(self) -> Ints:
        return np.repeat(np.arange(len(self.row_faces)), self.row_faces)


class FaceList:
    """Surfaces of one level of detail while a chunk is read. Rows must come in rising order."""

    def __init__(self) -> None:
        self.index: list[int] = []
        self.rings: list[int] = []
        self.faces: list[int] = []
        self.ground: list[bool] = []
        self.runs: list[tuple[int, int, int, int, bool]] = []  # row, faces, points, base, solid

    def add(self, row: int, geometry: dict[str, Any], base: int, vertices: int) -> int:
        """Take a geometry whose object has so many ``vertices``; gives the number of its ring points."""
        kind = geometry["type"]
        depth = DEPTH[kind]
        surfaces: Any = geometry.get("boundaries")
        for _ in range(depth):
            surfaces = joined(surfaces)
        rings = joined(surfaces)
        index = joined(rings)
        if not index:
            raise BadGeometry("a geometry without vertices")
        if set(map(type, index)) != {int}:
            raise BadGeometry("boundaries hold something else than vertex numbers")
        if len(index) > LIMITS.vertices:
            raise BadGeometry(f"more than {LIMITS.vertices:,} vertices")
        ring_points, face_rings = list(map(len, rings)), list(map(len, surfaces))
        if min(ring_points) < 3:
            raise BadGeometry("a ring of fewer than 3 vertices")
        if min(face_rings) < 1:
            raise BadGeometry("a surface without a ring")
        if min(index) < 0 or max(index) >= vertices:
            raise BadGeometry("a vertex number that the object has no vertex for")
        flags = _ground(geometry.get("semantics"), depth, len(surfaces))
        self.index += index
        self.rings += ring_points
        self.faces += face_rings
        self.ground += flags if flags is not None else [False] * len(face_rings)
        self.runs.append((row, len(face_rings), len(index), base, depth > 0))
        return len(index)

    def arrays(self, rows: int) -> Faces | None:
        """Everything gathered, for a chunk of so many rows; None where nothing was."""
        if not self.runs:
            return None
        runs = np.array(self.runs, dtype=np.int64)
        row, faces, points, base = runs[:, 0], runs[:, 1], runs[:, 2], runs[:, 3]
        solid = np.ones(rows, np.bool_)
        solid[row[runs[:, 4] == 0]] = False
        return Faces(
            index=np.array(self.index, np.int64) + np.repeat(base, points),
            ring_points=np.array(self.rings, np.int64),
            face_rings=np.array(self.faces, np.int64),
            row_faces=np.bincount(row, weights=faces, minlength=rows).astype(np.int64),
            ground=np.array(self.ground, np.bool_),
            solid=solid,
        )


@dataclass(frozen=True)
class Measures:
    """What is measured on the surfaces of one level of detail; rows without surfaces hold NaN.

    ``area``: vector area of each face (Newell), whose z is the signed area of its projection. ``flat``: unsigned
    projected area with holes taken off, whichever way they run. ``zmin``, ``zmax``: of each row.
    ``closed``: rows whose vector areas add up to nothing, as those of a closed boundary must.
    ``volume``: enclosed volume by the divergence theorem, NaN where the row is not closed or not made of solids.
    """

    area: Floats
    flat: Floats
    zmin: Floats
    zmax: Floats
    closed: Bools
    volume: Floats


def per_row(values: Floats, runs: Ints, how: np.ufunc) -> Floats:
    """Reduce runs of values; NaN for empty runs."""
    result = np.full(len(runs), np.nan)
    filled = runs > 0
    result[filled] = how.reduceat(values, starts(runs)[:-1][filled])
    return result


def measure(faces: Faces, points: Floats) -> Measures:
    """``points``: (n, 3) coordinates of the ring points in the source's CRS, metres in all three directions."""
    ring_start = starts(faces.ring_points)[:-1]
    face_start = starts(faces.face_rings)[:-1]
    face_points = np.add.reduceat(faces.ring_points, face_start)
    point_start = starts(face_points)
    row_points = (point_start[starts(faces.row_faces)[1:]] - point_start[starts(faces.row_faces)[:-1]]).astype(np.int64)
    # Cross products of coordinates of a million metres would lose what they are to measure: hence each row's origin.
    origin_at = starts(row_points)[:-1]
    filled = row_points > 0
    origin = np.zeros((len(row_points), 3))
    origin[filled] = points[origin_at[filled]]
    local = points - np.repeat(origin, row_points, axis=0)
    following = np.arange(1, len(points) + 1)
    following[ring_start + faces.ring_points - 1] = ring_start
    (x, y, z), (u, v, w) = local.T, local[following].T
    edges = (y * w - z * v, z * u - x * w, x * v - y * u)
    ring_area = np.column_stack([np.add.reduceat(edge, ring_start) for edge in edges]) / 2
    area = np.column_stack([np.add.reduceat(ring_area[:, axis], face_start) for axis in range(3)])
    unsigned = np.abs(ring_area[:, 2])
    outer = unsigned[face_start]
    flat = 2 * outer - np.add.reduceat(unsigned, face_start)

    size = np.linalg.norm(area, axis=1)
    total = per_row(size, faces.row_faces, np.add)
    rest = np.column_stack([per_row(area[:, axis], faces.row_faces, np.add) for axis in range(3)])
    with np.errstate(invalid="ignore"):
        closed = np.linalg.norm(rest, axis=1) <= 1e-6 * total
    # The tetrahedra of origin and fan of a plane ring add up to origin . area / 3, for any point of the ring.
    cone = np.einsum("ij,ij->i", local[ring_start], ring_area) / 3
    face_volume = np.add.reduceat(cone, face_start)
    volume = per_row(face_volume, faces.row_faces, np.add)
    volume[~(closed & faces.solid)] = np.nan
    return Measures(
        area=area,
        flat=flat,
        zmin=per_row(points[:, 2], row_points, np.minimum),
        zmax=per_row(points[:, 2], row_points, np.maximum),
        closed=closed,
        volume=volume,
    )
