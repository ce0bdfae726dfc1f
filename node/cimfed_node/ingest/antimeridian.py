"""Objects on the meridian of 180 degrees, which longitudes jump across.

A ring or a line with an edge longer than half the way around the earth is taken to go the short way: no city object is
that long. It is cut on the meridian into parts on either side (RFC 7946, section 3.1.9); vertices are laid beyond 180
degrees for as long as that takes. Parts of one object that lie on both sides without crossing are left as they are.

Leaves out: objects around a pole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from cimfed.model.routing import Extent
from cimfed_node.ingest.arrays import Bools, Floats, Geometries, Ints
from cimfed_node.ingest.footprint import areal

HALF = 180.0
_EAST, _WEST = shapely.box(-HALF, -90, HALF, 90), shapely.box(HALF, -90, 3 * HALF, 90)


@dataclass
class Sides:
    """How far boxes reach on the side east of the meridian of 180 degrees and on that west of it.

    ``far``: the westernmost place of the eastern hemisphere; ``near``: the easternmost of the western.
    """

    far: float = np.inf
    near: float = -np.inf

    def add(self, west: Floats, east: Floats) -> None:
        """Boxes of objects that were cut go around the world and say nothing here."""
        narrow = east - west < HALF
        west, east = west[narrow], east[narrow]
        self.far = min(self.far, float(np.maximum(west[east >= 0], 0.0).min(initial=np.inf)))
        self.near = max(self.near, float(np.minimum(east[west < 0], 0.0).max(initial=-np.inf)))

    def narrowed(self, extent: Extent) -> Extent:
        """Two corners of the boxes, those across the meridian where that is the shorter way; else the extent."""
        if np.isfinite(self.far) and np.isfinite(self.near) and self.far - self.near > HALF:
            return self.near, extent[1], self.far, extent[3]
        return extent


def jumps(longitudes: Floats, run: Ints) -> Bools:
    """Vertices that an edge with a jump ends at; ``run``: the number of the ring or line of each, rising."""
    found = np.zeros(len(longitudes), np.bool_)
    found[1:] = (np.abs(np.diff(longitudes)) > HALF) & (run[1:] == run[:-1])
    return found


def crossing(geometries: Geometries) -> Bools:
    """Geometries in degrees that have an edge with a jump."""
    bounds = shapely.bounds(geometries)
    with np.errstate(invalid="ignore"):
        found: Bools = bounds[:, 2] - bounds[:, 0] > HALF
    for place in np.flatnonzero(found).tolist():
        found[place] = any(_jumps(line) for part in shapely.get_parts(geometries[place]) for line in _lines(part))
    return found


def _lines(part: Any) -> list[Any]:
    kind = shapely.get_dimensions(part)
    return list(shapely.get_rings(part)) if kind == 2 else [part] if kind == 1 else []


def _jumps(line: Any) -> bool:
    return bool((np.abs(np.diff(shapely.get_coordinates(line)[:, 0])) > HALF).any())


def unrolled(geometries: Geometries) -> Geometries:
    """Those that cross with all of their longitudes from 0 to 360, so that nothing jumps."""
    rows = crossing(geometries)
    if rows.any():
        geometries = geometries.copy()
        geometries[rows] = shapely.transform(
            geometries[rows],
            lambda xy: np.column_stack((np.where(xy[:, 0] < 0, xy[:, 0] + 2 * HALF, xy[:, 0]), xy[:, 1])),
        )
    return geometries


def cut(geometries: Geometries) -> tuple[Geometries, int]:
    """What goes beyond 180 degrees cut there, its far part moved to the other side; and how many were."""
    with np.errstate(invalid="ignore"):
        rows = np.flatnonzero(shapely.bounds(geometries)[:, 2] > HALF)
    if not len(rows):
        return geometries, 0
    geometries = geometries.copy()
    for row in rows.tolist():
        far = shapely.transform(shapely.intersection(geometries[row], _WEST), lambda xy: xy - (2 * HALF, 0.0))
        near = shapely.intersection(geometries[row], _EAST)
        geometries[row] = _whole([near, far], int(shapely.get_dimensions(geometries[row])))
    return geometries, len(rows)


def _whole(sides: list[Any], dimension: int) -> Any:
    """The parts of both sides that have the dimension of the whole."""
    if dimension == 2:
        parts = [part for side in sides for part in shapely.get_parts(areal(side)).tolist()]
        return parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
    parts = [part for side in sides for part in shapely.get_parts(side).tolist()]
    parts = [part for part in parts if shapely.get_dimensions(part) == dimension and not shapely.is_empty(part)]
    return parts[0] if len(parts) == 1 else shapely.multilinestrings(parts)
