"""WKB with arcs (CircularString and what is made of it) as plain geometry: arcs become lines of short steps.

An arc is three points: its ends and one between, which it runs through; a circle is one whose ends are one point, the
one between standing opposite. Steps are of four degrees at most, and the given points are kept.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import shapely
from shapely.errors import ShapelyError

from cimfed_node.ingest.arrays import Floats
from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.wkbhead import NESTED, head_of

CURVES = frozenset(range(8, 15))
_STEP = math.radians(4)
_LINE, _POLYGON, _CIRCULAR, _COMPOUND, _CURVE_POLYGON = 2, 3, 8, 9, 10


def arc(a: Floats, b: Floats, c: Floats) -> Floats:
    """Points of the arc from a through b to c, without a itself."""
    if (a == c).all():
        centre = (a + b) / 2
    else:
        (ux, uy), (vx, vy) = b - a, c - a
        double = 2 * (ux * vy - uy * vx)
        if abs(double) <= 1e-12 * max(abs(ux), abs(uy), abs(vx), abs(vy), 1e-300) ** 2:
            return np.array([b, c])  # on one line
        u, v = ux * ux + uy * uy, vx * vx + vy * vy
        centre = a + np.array([vy * u - uy * v, ux * v - vx * u]) / double
    radius = math.hypot(*(a - centre))
    start, middle, end = (math.atan2(*(point - centre)[::-1]) for point in (a, b, c))
    turn = 2 * math.pi
    whole = (end - start) % turn or turn
    half = (middle - start) % turn
    if half > whole:  # b is met first the other way round
        half, whole = half - turn, whole - turn
    found: list[Floats] = []
    for begin, span, last in ((start, half, b), (start + half, whole - half, c)):
        steps = max(1, math.ceil(abs(span) / _STEP))
        angles = begin + span * np.arange(1, steps) / steps
        found += [centre + radius * np.column_stack((np.cos(angles), np.sin(angles))), last[None, :]]
    return np.vstack(found)


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def geometry(self, depth: int = 0) -> Any:
        """The geometry at the place where the last one ended."""
        kind = head_of(self._raw, self._at)[1]
        if kind in (_LINE, _CIRCULAR, _COMPOUND):
            return shapely.LineString(self._line(depth))
        order, kind, width, size = head_of(self._raw, self._at)
        self._at += size
        if kind == 1:
            return shapely.Point(self._points(order, width, 1)[0])
        count = self._count(order)
        if kind == _POLYGON:
            rings = [self._points(order, width, self._count(order)) for _ in range(count)]
            return shapely.Polygon(rings[0], rings[1:]) if rings else shapely.Polygon()
        if depth >= NESTED:
            raise BadGeometry("GeometryCollections nested too deeply")
        if kind == _CURVE_POLYGON:
            curved = [self._line(depth + 1) for _ in range(count)]
            return shapely.Polygon(curved[0], curved[1:]) if curved else shapely.Polygon()
        parts = [self.geometry(depth + 1) for _ in range(count)]
        return shapely.GeometryCollection(parts)

    def _line(self, depth: int) -> Floats:
        """The points of a line, of arcs, or of both after one another."""
        order, kind, width, size = head_of(self._raw, self._at)
        self._at += size
        count = self._count(order)
        if kind == _COMPOUND and depth < NESTED:
            return np.vstack([self._line(depth + 1) for _ in range(count)] or [np.empty((0, 2))])
        points = self._points(order, width, count)
        if kind == _LINE:
            return points
        if kind != _CIRCULAR or (count and count % 2 == 0):
            raise BadGeometry("arcs that are not three points each")
        arcs = [arc(*points[at : at + 3]) for at in range(0, count - 2, 2)]
        return np.vstack([points[:1], *arcs])

    def _count(self, order: str) -> int:
        (count,) = struct.unpack_from(f"{order}I", self._raw, self._at)
        self._at += 4
        return int(count)

    def _points(self, order: str, width: int, count: int) -> Floats:
        if count * width * 8 > len(self._raw) - self._at:
            raise BadGeometry("WKB that is cut off")
        found = np.frombuffer(self._raw, f"{order}f8", count * width, self._at).reshape(count, width)
        self._at += count * width * 8
        return found[:, :2].astype(np.float64)


def linear(raw: bytes) -> Any:
    """A geometry with arcs as one without; several parts as a collection. Raises BadGeometry."""
    try:
        return _Reader(raw).geometry()
    except (struct.error, IndexError):
        raise BadGeometry("WKB that is cut off") from None
    except (ShapelyError, ValueError):
        raise BadGeometry("arcs that make no geometry") from None
