"""The bodies of products, by the geometry kernel, in metres of the project; and what they cover on the ground."""

from __future__ import annotations

from typing import Any

import ifcopenshell.geom
import numpy as np
import shapely

from cimfed_node.ingest.arrays import Floats, Ints
from cimfed_node.ingest.footprint import areal
from cimfed_node.ingest.limits import LIMITS

GRID = 1e-3


class NoBody(ValueError):
    """Why a product has none."""


def settings() -> Any:
    kernel: Any = ifcopenshell.geom
    found = kernel.settings()
    for name in ("use-world-coords", "weld-vertices", "disable-opening-subtractions"):
        found.set(name, True)
    return found


def body(product: Any, how: Any) -> tuple[Floats, Ints]:
    """(n, 3) vertices and (m, 3) triangles."""
    try:
        shape: Any = ifcopenshell.geom.create_shape(how, product)
        geometry = shape.geometry
    except RuntimeError:
        raise NoBody("a body that the geometry kernel cannot make") from None
    points = np.array(geometry.verts, np.float64).reshape(-1, 3)
    triangles = np.array(geometry.faces, np.int64).reshape(-1, 3)
    if not len(triangles):
        raise NoBody("a body without surfaces")
    if 3 * len(triangles) > LIMITS.vertices:
        raise NoBody(f"more than {LIMITS.vertices:,} vertices")
    if not np.isfinite(points).all():
        raise NoBody("coordinates that are no numbers")
    return points, triangles


def covered(points: Floats, triangles: Ints) -> Any:
    """What the triangles cover seen from above; None where that is nothing."""
    corners = points[triangles][:, :, :2]
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    flat = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) > 2 * GRID**2
    if not flat.any():
        return None
    rings = np.concatenate((corners[flat], corners[flat][:, :1]), axis=1)
    return areal(shapely.union_all(shapely.polygons(rings), grid_size=GRID))


def united(parts: list[Any]) -> Any:
    found = [part for part in parts if part is not None]
    return areal(shapely.union_all(found, grid_size=GRID)) if found else None
