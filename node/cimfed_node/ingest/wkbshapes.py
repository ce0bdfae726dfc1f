"""Geometry of a chunk that comes as whole arrays: WKB of tables, or geometries made of coordinate arrays.

LoD0 alone, as with GeoJSON: heights and measures of positions stay in the original. A body (PolyhedralSurface, TIN,
multipatch) names no level of detail, so what it gives is its footprint, by projection.

WKB is not trusted: GEOS goes down one call for each collection in another, so nesting is looked at first.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from typing import Any

import numpy as np
import shapely
from shapely.errors import ShapelyError

from cimfed_node.ingest.arrays import Bools, Floats, Geometries, Ints, missing
from cimfed_node.ingest.curves import CURVES, linear
from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.footprint import GIVEN, PROJECTION, united
from cimfed_node.ingest.georef import Georeference
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.shapes import Shapes, homogeneous
from cimfed_node.ingest.wkbhead import NESTED, head_of

_TOO_MANY = f"more than {LIMITS.vertices:,} vertices"
_SHALLOW = 16_384  # bytes: what is shorter cannot be nested so deeply that it hurts
_LARGE = 40 * LIMITS.vertices  # bytes: a position has 16 to 32, and every ring and part has a head
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}){5,}")
_CURVED = re.compile(r"curve|circular|surface|tin\b|triangle", re.IGNORECASE)
_SRID = re.compile(r"^\s*SRID\s*=\s*[0-9]+\s*;", re.IGNORECASE)
_POLYGON, _COLLECTION, _SURFACE, _TIN, _TRIANGLE = 3, 7, 15, 16, 17
_PLAIN = frozenset(struct.pack("<BI", 1, 1000 * way + kind) for way in (0, 1) for kind in range(1, 7))


class WkbShapes:
    """Rows come in arrays: their numbers in the chunk with their geometries."""

    def __init__(self) -> None:
        self._rows: list[Ints] = []
        self._found: list[Geometries] = []
        self._bad: dict[int, str] = {}
        self._bodies: set[int] = set()
        self.dropped: Counter[str] = Counter()
        self.size = 0

    def add_wkb(self, rows: Ints, values: Geometries) -> None:
        """``values``: bytes, None where a row has no geometry."""
        found = np.full(len(values), None, object)
        plain = np.ones(len(values), np.bool_)
        for place, raw in enumerate(values.tolist()):
            if raw is None:
                continue
            if raw[:5] in _PLAIN and len(raw) <= _SHALLOW:
                continue
            kind = _kind(raw)
            if kind < 4 and len(raw) <= _LARGE:
                continue
            plain[place] = False
            try:
                found[place] = self._special(int(rows[place]), kind, raw)
            except BadGeometry as error:
                self._bad[int(rows[place])] = str(error)
        found[plain] = shapely.from_wkb(values[plain], on_invalid="ignore")
        for place in np.flatnonzero(plain & missing(found)).tolist():
            if values[place] is not None:
                self._bad[int(rows[place])] = _why_not(values[place])
        self.add(rows, found)

    def _special(self, row: int, kind: int, raw: bytes) -> Any:
        """A geometry of several parts, or a large one."""
        if len(raw) > _LARGE:
            raise BadGeometry(_TOO_MANY)
        if kind in CURVES:
            return linear(raw)
        if kind in (_SURFACE, _TIN, _TRIANGLE) or (kind == _COLLECTION and _has_bodies(raw)):
            self._bodies.add(row)
            raw = as_polygons(raw)
        elif len(raw) > _SHALLOW:
            _check_depth(raw)
        try:
            return shapely.from_wkb(raw)
        except NotImplementedError:
            raise BadGeometry("a curve, which is not read here") from None
        except (ShapelyError, ValueError, TypeError):
            raise BadGeometry(_why_not(raw)) from None

    def add(self, rows: Ints, geometries: Geometries) -> None:
        """``geometries``: shapely's, None where a row has none."""
        found: Any = shapely.force_2d(geometries)
        counts = shapely.get_num_coordinates(found)
        for place in np.flatnonzero(counts > LIMITS.vertices).tolist():
            self._bad[int(rows[place])] = _TOO_MANY
            found[place] = None
        for place in np.flatnonzero(shapely.get_type_id(found) >= _COLLECTION).tolist():
            if (row := int(rows[place])) in self._bodies:
                continue
            try:
                found[place] = homogeneous(found[place])
            except BadGeometry as error:
                self._bad[row] = str(error)
                found[place] = None
        for place in np.flatnonzero(np.isin(rows, list(self._bodies))).tolist() if self._bodies else ():
            found[place] = None if found[place] is None else _projected(found[place])
        self._rows.append(rows)
        self._found.append(found)
        self.size += int(counts.sum())

    def points(self) -> Floats:
        return shapely.get_coordinates(np.concatenate(self._found)) if self._found else np.empty((0, 2))

    def finish(self, rows: int, reference: Georeference) -> Shapes:
        shapes = Shapes(np.full(rows, None, object), np.full(rows, None, object), bad=dict(self._bad))
        shapes.zmin, shapes.zmax, shapes.volume = (np.full(rows, np.nan) for _ in range(3))
        for places, found in zip(self._rows, self._found, strict=True):
            shapes.lod0[places] = found
        empty: Bools = ~missing(shapes.lod0) & np.asarray(shapely.is_empty(shapes.lod0))
        shapes.lod0[empty] = None
        shapes.method[shapely.get_dimensions(shapes.lod0) == 2] = GIVEN
        bodies = [row for row in self._bodies if shapes.lod0[row] is not None]
        shapes.method[bodies] = PROJECTION
        return shapes


def _projected(body: Any) -> Any:
    """The footprint of surfaces: walls have none."""
    faces = np.array([part for part in _leaves(body) if shapely.area(part) > 0], object)
    return united(faces, np.zeros(len(faces), np.int64), 1, 0.0)[0] if len(faces) else None


class TextShapes(WkbShapes):
    """Rows come one by one, as WKT or as WKB in hexadecimal, with or without PostGIS's SRID: the CRS is named apart."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: list[tuple[int, str]] = []

    def add_text(self, row: int, text: str) -> None:
        self._texts.append((row, text))
        self.size += len(text) // 32

    def _parse(self) -> None:
        texts, self._texts = self._texts, []
        hexed = [(row, bytes.fromhex(text)) for row, text in texts if _HEX.fullmatch(text)]
        plain = [(row, _SRID.sub("", text)) for row, text in texts if not _HEX.fullmatch(text)]
        for row, text in plain:
            if _CURVED.search(text):
                self._bad[row] = "a curve or a body, which is not read as text"
            elif len(text) > _LARGE or text.casefold().count("collection") > NESTED:
                self._bad[row] = _TOO_MANY if len(text) > _LARGE else "GeometryCollections nested too deeply"
        plain = [(row, text) for row, text in plain if row not in self._bad]
        if hexed:
            self.add_wkb(np.array([row for row, _ in hexed]), _objects([raw for _, raw in hexed]))
        if plain:
            rows = np.array([row for row, _ in plain])
            found = shapely.from_wkt(_objects([text for _, text in plain]), on_invalid="ignore")
            for place in np.flatnonzero(missing(found)).tolist():
                self._bad[plain[place][0]] = "neither WKT nor WKB in hexadecimal"
            self.add(rows, found)

    def points(self) -> Floats:
        self._parse()
        return super().points()

    def finish(self, rows: int, reference: Georeference) -> Shapes:
        self._parse()
        return super().finish(rows, reference)


def _objects(items: list[Any]) -> Geometries:
    found = np.empty(len(items), object)
    found[:] = items
    return found


def _leaves(geometry: Any) -> list[Any]:
    waiting, found = [geometry], []
    while waiting:
        one = waiting.pop()
        if shapely.get_type_id(one) < 4:
            found.append(one)
        else:
            waiting.extend(shapely.get_parts(one))
    return found[::-1]


def _kind(raw: bytes) -> int:
    """Type of a WKB, without its dimensions; -1 where it is none."""
    return head_of(raw, 0)[1] if len(raw) >= 5 else -1


def _walk(raw: bytes) -> list[tuple[int, int, int]]:
    """(place, type, depth) of every geometry in a WKB. Raises BadGeometry where it ends too early or is too deep."""
    found: list[tuple[int, int, int]] = []
    at, open_parts = 0, [1]  # geometries still to come at each depth
    try:
        while open_parts:
            if not open_parts[-1]:
                open_parts.pop()
                continue
            open_parts[-1] -= 1
            order, kind, width, head = head_of(raw, at)
            found.append((at, kind, len(open_parts)))
            at += head
            if kind == 1:
                at += 8 * width
                continue
            (count,) = struct.unpack_from(f"{order}I", raw, at)
            at += 4
            if kind == 2:
                at += 8 * width * count
            elif kind in (_POLYGON, _TRIANGLE):
                for _ in range(count):
                    (points,) = struct.unpack_from(f"{order}I", raw, at)
                    at += 4 + 8 * width * points
            elif len(open_parts) >= NESTED:
                raise BadGeometry("GeometryCollections nested too deeply")
            else:
                open_parts.append(count)
    except (struct.error, IndexError):
        raise BadGeometry("WKB that is cut off") from None
    return found


def _check_depth(raw: bytes) -> None:
    _walk(raw)


def _has_bodies(raw: bytes) -> bool:
    return any(kind in (_SURFACE, _TIN, _TRIANGLE) for _, kind, _ in _walk(raw))


def as_polygons(raw: bytes) -> bytes:
    """A WKB in which surfaces and triangles are called what they are laid out like: multipolygons and polygons."""
    renamed = bytearray(raw)
    for at, kind, _ in _walk(raw):
        order, _, _, _ = head_of(raw, at)
        (code,) = struct.unpack_from(f"{order}I", raw, at + 1)
        other = {_SURFACE: 6, _TIN: 6, _TRIANGLE: _POLYGON}.get(kind, kind)
        struct.pack_into(f"{order}I", renamed, at + 1, code - kind + other)
    return bytes(renamed)


_FAULTS = {
    "EOF": "WKB that is cut off",
    "smaller than": "WKB that is cut off",
    "Unknown WKB type": "WKB of an unknown type",
    "closed": "a ring that is not closed",
    "LinearRing": "a ring of fewer than 4 positions",
    "LineString": "a line of fewer than 2 positions",
}
"""What is wrong, by words of GEOS, which are not shown."""


def _why_not(raw: bytes) -> str:
    if not raw:
        return "a geometry that cannot be read"
    try:
        shapely.from_wkb(raw)
    except (ShapelyError, ValueError, TypeError) as error:
        for words, why in _FAULTS.items():
            if words in str(error):
                return why
    return "WKB that is no geometry"
