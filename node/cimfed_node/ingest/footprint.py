"""Footprints (LoD0) of objects that are given as surfaces.

The rule, in this order: a given LoD0; the surfaces that semantics call ground; the projection of the finest surfaces.
Where a boundary is closed, every vertical line that meets the body enters it through a surface that faces down, so the
projection is that of these surfaces alone (or of those that face up: the fewer are taken). A single one is the
footprint as it stands; that is every prism and most LoD2 buildings, and needs no overlay. The rest is united on a
millimetre grid.
"""

from __future__ import annotations

import numpy as np
import shapely

from cimfed_node.ingest.arrays import Bools, Floats, Geometries, Ints, starts
from cimfed_node.ingest.faces import Faces, Measures, per_row

GIVEN, GROUND, PROJECTION = "given", "ground_surface", "projection"
_VERTICAL = 1e-5  # a surface whose projection is a smaller part of it stands upright: coordinates are rounded


def _covers(faces: Faces, points: Floats, chosen: Bools) -> Bools:
    """Rows where the chosen surfaces reach as far as all surfaces do, in x and in y."""
    face_points = np.add.reduceat(faces.ring_points, starts(faces.face_rings)[:-1])
    row_points = np.bincount(faces.face_row, weights=face_points, minlength=len(faces.row_faces)).astype(np.int64)
    kept = np.repeat(chosen, face_points)
    fits = np.ones(len(row_points), np.bool_)
    for axis in (0, 1):
        for how, worst in ((np.minimum, np.inf), (np.maximum, -np.inf)):
            every = per_row(points[:, axis], row_points, how)
            some = per_row(np.where(kept, points[:, axis], worst), row_points, how)
            with np.errstate(invalid="ignore"):
                fits &= np.abs(every - some) <= 2e-3
    return fits


def choose(faces: Faces, measures: Measures, points: Floats) -> tuple[Bools, Bools]:
    """The surfaces that make each row's footprint, and the rows where these are ground surfaces.

    ``points``: ring points in metres.
    """
    face_row, rows = faces.face_row, len(faces.row_faces)
    by_ground = np.zeros(rows, np.bool_)
    by_ground[face_row[faces.ground]] = True
    size = np.linalg.norm(measures.area, axis=1)
    up = measures.area[:, 2] > _VERTICAL * size
    down = measures.area[:, 2] < -_VERTICAL * size
    ups = np.bincount(face_row[up], minlength=rows)
    downs = np.bincount(face_row[down], minlength=rows)
    side = np.where((downs <= ups)[face_row], down, up)
    closed = measures.closed & (np.minimum(ups, downs) > 0)
    if closed.any():
        closed &= _covers(faces, points, side)
    projected = np.where(closed[face_row], side, up | down)
    return np.where(by_ground[face_row], faces.ground, projected), by_ground


def polygons(faces: Faces, points: Floats, chosen: Bools) -> tuple[Geometries, Ints]:
    """The chosen surfaces as polygons in the plane, with their rows. Rings that are no rings are left out."""
    ring_face = faces.ring_face
    ring_start = starts(faces.ring_points)
    flat = points[:, :2]
    first, last = flat[ring_start[:-1]], flat[ring_start[1:] - 1]
    open_points = faces.ring_points - (first == last).all(axis=1)
    is_shell = np.zeros(len(ring_face), np.bool_)
    is_shell[starts(faces.face_rings)[:-1]] = True
    whole = chosen.copy()
    whole[ring_face[is_shell & (open_points < 3)]] = False
    kept = whole[ring_face] & (open_points >= 3)
    if not kept.any():
        return np.empty(0, object), np.empty(0, np.int64)
    of_points = np.repeat(kept, faces.ring_points)
    numbers = np.repeat(np.arange(kept.sum()), faces.ring_points[kept])
    rings = shapely.linearrings(flat[of_points], indices=numbers)
    _, owner = np.unique(ring_face[kept], return_inverse=True)
    return shapely.polygons(rings, indices=owner), faces.face_row[whole]


def united(shapes: Geometries, rows: Ints, count: int, grid: float) -> Geometries:
    """One geometry per row: a single polygon as it stands, several united; None where there is none."""
    result = np.full(count, None, object)
    number = np.bincount(rows, minlength=count)
    alone = number[rows] == 1
    result[rows[alone]] = shapes[alone]
    at = starts(number)
    for row in np.flatnonzero(number > 1):
        own = shapes[at[row] : at[row + 1]]
        invalid = ~shapely.is_valid(own)
        if invalid.any():
            own = np.where(invalid, shapely.make_valid(own, method="structure", keep_collapsed=False), own)
        result[row] = areal(shapely.union_all(own, grid_size=grid))
    return result


def areal(geometry: shapely.Geometry | None) -> shapely.Geometry | None:
    """The polygons in a geometry; None where there are none."""
    if geometry is None or shapely.is_empty(geometry):
        return None
    kind = shapely.get_type_id(geometry)
    if kind in (3, 6):
        return geometry
    if kind == 7:
        parts = [areal(part) for part in shapely.get_parts(geometry)]
        found = [part for part in parts if part is not None]
        return shapely.union_all(found) if found else None
    return None
