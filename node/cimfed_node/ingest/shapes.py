"""Geometry of a chunk of objects, gathered row by row and worked out at once.

``CityShapes`` takes CityJSON geometries, ``PlainShapes`` GeoJSON geometries and points. Both come to ``Shapes``: LoD0
as shapely geometries in source coordinates, finer levels as WKB in OGC:CRS84, and what was measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cimfed_node.ingest.antimeridian import jumps
from cimfed_node.ingest.arrays import Bools, Column, Floats, Geometries, missing
from cimfed_node.ingest.faces import DEPTH, BadGeometry, FaceList, Faces, joined, measure
from cimfed_node.ingest.footprint import (
    GIVEN,
    GROUND,
    PROJECTION,
    areal,
    choose,
    polygons,
    united,
)
from cimfed_node.ingest.georef import Georeference
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.wkb import multipolygons_z

ACROSS = "a geometry in degrees across the antimeridian; it can be read in a projected CRS"
POINTS, LINES = "MultiPoint", "MultiLineString"
LEVELS = (1, 2, 3)


@dataclass
class Shapes:
    """``lod0``: None where a row has none. ``method``: how its footprint was had, None where it is no area.
    ``lods``: level -> WKB of each row. ``zmin``, ``zmax``, ``volume``: NaN where unknown. ``bad``: row -> reason."""

    lod0: Geometries
    method: Geometries
    lods: dict[int, Column] = field(default_factory=dict)
    zmin: Floats = field(default_factory=lambda: np.empty(0))
    zmax: Floats = field(default_factory=lambda: np.empty(0))
    volume: Floats = field(default_factory=lambda: np.empty(0))
    bad: dict[int, str] = field(default_factory=dict)


class ShapeList(Protocol):
    """Geometries while a chunk is read. ``size`` is what a chunk's memory goes with."""

    dropped: Counter[str]
    size: int

    def points(self) -> Floats:
        """(n, 2) source coordinates, to choose an operation by."""
        ...

    def finish(self, rows: int, reference: Georeference) -> Shapes: ...


def level_of(geometry: dict[str, Any]) -> tuple[int, float]:
    """Class and refinement of a geometry's level of detail: "2.2" is (2, 2.2)."""
    lod = geometry.get("lod")
    text = lod if type(lod) is str else str(lod) if type(lod) in (int, float) else ""
    if len(text) in (1, 3) and text[0] in "0123" and (len(text) == 1 or (text[1] == "." and text[2] in "0123")):
        return int(text[0]), float(text)
    raise BadGeometry(f"lod {str(lod)[:16]!r} is none of 0 to 3.3")


def finest(geometries: Any) -> dict[int, list[dict[str, Any]]]:
    """Per class of level of detail, the geometries of its most refined level: 2.2 over 2.0."""
    if type(geometries) is not list:
        raise BadGeometry("'geometry' is not a list")
    best: dict[int, tuple[float, list[dict[str, Any]]]] = {}
    for geometry in geometries:
        if type(geometry) is not dict or type(geometry.get("type")) is not str:
            raise BadGeometry("a geometry without a type")
        level, refinement = level_of(geometry)
        held = best.get(level)
        if held is None or refinement > held[0]:
            best[level] = (refinement, [geometry])
        elif refinement == held[0]:
            held[1].append(geometry)
    return {level: found for level, (_, found) in best.items()}


class CityShapes:
    """CityJSON geometries. Vertices are kept as the file has them and scaled once, at the end."""

    def __init__(self, scale: tuple[float, ...], translate: tuple[float, ...]) -> None:
        self._scale, self._translate = np.array(scale), np.array(translate)
        self._vertices: list[float] = []
        self._levels = {level: FaceList() for level in (0, *LEVELS)}
        self._loose: list[tuple[int, str, list[int], list[int]]] = []  # row, kind, points, points of each line
        self.dropped: Counter[str] = Counter()
        self.size = 0

    def vertices(self, vertices: Any) -> int:
        """Take an object's vertices; the place of the first one is the base of its boundaries."""
        base = len(self._vertices) // 3
        flat = joined(vertices)
        if not set(map(len, vertices)) <= {3}:
            raise BadGeometry("a vertex that has not three coordinates")
        if not set(map(type, flat)) <= {int, float}:
            raise BadGeometry("a vertex that is not of numbers")
        self._vertices += flat
        self.size += len(vertices)
        return base

    def world(self, points: Floats) -> list[list[float]]:
        """Source coordinates as vertices of this chunk (for templates, whose vertices are not scaled)."""
        vertices: list[list[float]] = ((points - self._translate) / self._scale).tolist()
        return vertices

    def add(self, row: int, level: int, geometry: dict[str, Any], base: int, vertices: int) -> None:
        kind = geometry["type"]
        if kind in DEPTH:
            self.size += self._levels[level].add(row, geometry, base, vertices)
        elif kind in (POINTS, LINES):
            self._add_loose(row, level, geometry, base, vertices)
        else:
            raise BadGeometry(f"{kind[:32]!r} is no geometry type of CityJSON")

    def _add_loose(self, row: int, level: int, geometry: dict[str, Any], base: int, vertices: int) -> None:
        if level > 0:
            self.dropped[f"{geometry['type']} of LoD {level}"] += 1
        boundaries: Any = geometry.get("boundaries")
        lines = boundaries if geometry["type"] == LINES else [boundaries]
        index = joined(lines)
        if not index or set(map(type, index)) != {int} or min(index) < 0 or max(index) >= vertices:
            raise BadGeometry("a vertex number that the object has no vertex for")
        if len(index) > LIMITS.vertices:
            raise BadGeometry(f"more than {LIMITS.vertices:,} vertices")
        if geometry["type"] == LINES and min(map(len, lines)) < 2:
            raise BadGeometry("a line of fewer than 2 vertices")
        self._loose.append((row, geometry["type"], [base + i for i in index], list(map(len, lines))))

    def _coordinates(self) -> Floats:
        raw = np.array(self._vertices, np.float64).reshape(-1, 3)
        with np.errstate(over="ignore", invalid="ignore"):  # infinity is found later, as a place outside of the area
            scaled: Floats = raw * self._scale + self._translate
        return scaled

    def points(self) -> Floats:
        return self._coordinates()[:, :2]

    def finish(self, rows: int, reference: Georeference) -> Shapes:
        source = self._coordinates()
        lonlat = reference.forward(source[:, :2])
        wrong = reference.misplaced(source, lonlat) | ~np.isfinite(source).all(axis=1)
        source[wrong], lonlat[wrong] = 0.0, 0.0
        placed = np.column_stack((lonlat, source[:, 2]))
        shapes = Shapes(np.full(rows, None, object), np.full(rows, None, object))
        shapes.zmin, shapes.zmax, shapes.volume = (np.full(rows, np.nan) for _ in range(3))
        waiting = np.ones(rows, np.bool_)  # rows that no footprint was found for yet
        for level in (0, *reversed(LEVELS)):
            faces = self._levels[level].arrays(rows)
            if faces is None:
                continue
            self._mark(shapes, faces, wrong)
            crossing = self._crossing(faces, lonlat[faces.index, 0])
            if crossing and not reference.source.projected:
                shapes.bad |= dict.fromkeys(crossing, ACROSS)
            if level:
                shapes.lods[level] = multipolygons_z(
                    placed[faces.index], faces.ring_points, faces.face_rings, faces.row_faces
                )
                if crossing:
                    self.dropped[f"LoD {level} across the antimeridian"] += len(crossing)
                    kept = pa.array(~np.isin(np.arange(rows), crossing))
                    shapes.lods[level] = pc.if_else(kept, shapes.lods[level], None)
            self._footprints(shapes, faces, source[faces.index], waiting, level, reference)
        self._finish_loose(shapes, source, wrong)
        return shapes

    def _mark(self, shapes: Shapes, faces: Faces, wrong: Bools) -> None:
        if wrong.any():
            rows = np.repeat(faces.face_row[faces.ring_face], faces.ring_points)
            for row in np.unique(rows[wrong[faces.index]]).tolist():
                shapes.bad[row] = "coordinates outside of the area that the CRS is used in"

    def _crossing(self, faces: Faces, longitudes: Floats) -> list[int]:
        """Rows with a ring across the antimeridian."""
        if not ((longitudes > 90).any() and (longitudes < -90).any()):
            return []
        ring = np.repeat(np.arange(len(faces.ring_points)), faces.ring_points)
        face = faces.ring_face[ring[jumps(longitudes, ring)]]
        found: list[int] = np.unique(faces.face_row[face]).tolist()
        return found

    def _footprints(
        self,
        shapes: Shapes,
        faces: Faces,
        points: Floats,
        waiting: Bools,
        level: int,
        reference: Georeference,
    ) -> None:
        rows = len(waiting)
        wanted = waiting & (faces.row_faces > 0)
        if level == 0:
            chosen, ground = np.ones(len(faces.face_rings), np.bool_), np.zeros(rows, np.bool_)
        else:
            metric = reference.metres(points)
            measures = measure(faces, metric)
            fresh = np.isnan(shapes.zmin) & (faces.row_faces > 0)
            shapes.zmin[fresh], shapes.zmax[fresh] = measures.zmin[fresh], measures.zmax[fresh]
            if reference.source.projected:
                shapes.volume[fresh] = measures.volume[fresh]
            chosen, ground = choose(faces, measures, metric)
        chosen &= wanted[faces.face_row]
        found, owner = polygons(faces, points, chosen)
        footprints = united(found, owner, rows, reference.grid)
        had = wanted & ~missing(footprints)
        shapes.lod0[had] = footprints[had]
        shapes.method[had] = GIVEN if level == 0 else np.where(ground[had], GROUND, PROJECTION)
        waiting[had] = False

    def _finish_loose(self, shapes: Shapes, source: Floats, wrong: Bools) -> None:
        gathered: dict[int, list[Any]] = {}
        for row, kind, index, lengths in self._loose:
            if wrong[index].any():
                shapes.bad[row] = "coordinates outside of the area that the CRS is used in"
            elif shapes.lod0[row] is None:
                flat = source[index, :2]
                if kind == POINTS:
                    gathered.setdefault(row, []).extend(shapely.get_parts(shapely.multipoints(flat)))
                else:
                    parts = np.repeat(np.arange(len(lengths)), lengths)
                    lines: Any = shapely.linestrings(flat, indices=parts)
                    gathered.setdefault(row, []).extend(lines)
        for row, found in gathered.items():
            try:
                shapes.lod0[row] = collected(found)
            except BadGeometry as error:
                shapes.bad[row] = str(error)


def collected(parts: Iterable[Any]) -> Any:
    """Parts of one kind as one geometry of that kind."""
    found = list(parts)
    if len(found) == 1:
        return found[0]
    kinds = {shapely.get_dimensions(part) for part in found}
    if kinds == {0}:
        return shapely.multipoints(found)
    if kinds == {1}:
        return shapely.multilinestrings(found)
    raise BadGeometry("points and lines in one object")


class PlainShapes:
    """GeoJSON geometries and points of tables: LoD0 alone."""

    def __init__(self) -> None:
        self._json: list[tuple[int, bytes]] = []
        self._points: list[tuple[int, float, float]] = []
        self._parsed: tuple[Geometries, dict[int, str]] | None = None
        self.dropped: Counter[str] = Counter()
        self.size = 0

    def add_geometry(self, row: int, geometry: dict[str, Any]) -> None:
        try:
            text = orjson.dumps(geometry)
        except orjson.JSONEncodeError:
            raise BadGeometry("nested too deeply") from None
        if len(text) > 32 * LIMITS.vertices:
            raise BadGeometry(f"more than {LIMITS.vertices:,} vertices")
        self._json.append((row, text))
        self.size += len(text) // 32

    def add_point(self, row: int, x: float, y: float) -> None:
        self._points.append((row, x, y))
        self.size += 1

    def _parse(self) -> tuple[Geometries, dict[int, str]]:
        """Rows of GeoJSON as geometries; what GEOS cannot read is bad."""
        if self._parsed is None:
            bad: dict[int, str] = {}
            texts = np.array([text.decode() for _, text in self._json], object)
            found = shapely.force_2d(shapely.from_geojson(texts, on_invalid="ignore"))
            for place in np.flatnonzero(missing(found)).tolist():
                bad[self._json[place][0]] = _why_not(orjson.loads(self._json[place][1]))
            for place in np.flatnonzero(shapely.get_type_id(found) == 7).tolist():
                try:
                    found[place] = homogeneous(found[place])
                except BadGeometry as error:
                    bad[self._json[place][0]] = str(error)
            self._parsed = found, bad
        return self._parsed

    def points(self) -> Floats:
        found, _ = self._parse()
        loose = np.array([(x, y) for _, x, y in self._points], np.float64).reshape(-1, 2)
        return np.vstack((shapely.get_coordinates(found), loose))

    def finish(self, rows: int, reference: Georeference) -> Shapes:
        found, bad = self._parse()
        shapes = Shapes(np.full(rows, None, object), np.full(rows, None, object), bad=dict(bad))
        shapes.zmin, shapes.zmax, shapes.volume = (np.full(rows, np.nan) for _ in range(3))
        shapes.lod0[[row for row, _ in self._json]] = found
        if self._points:
            places, x, y = zip(*self._points, strict=True)
            shapes.lod0[list(places)] = shapely.points(np.array(x), np.array(y))
        empty = ~missing(shapes.lod0) & shapely.is_empty(shapes.lod0)
        shapes.lod0[empty] = None
        shapes.method[shapely.get_dimensions(shapes.lod0) == 2] = GIVEN
        return shapes


def homogeneous(collection: shapely.Geometry) -> Any:
    """A GeometryCollection whose members are of one kind, as the Multi- geometry of that kind."""
    try:
        members = list(_members(collection))
    except RecursionError:
        raise BadGeometry("GeometryCollections nested too deeply") from None
    kinds = {int(shapely.get_dimensions(member)) for member in members}
    if not members:
        return shapely.Polygon()
    if len(kinds) > 1:
        raise BadGeometry("a GeometryCollection of points, lines or areas together")
    if kinds == {2}:
        return areal(shapely.union_all(members)) if len(members) > 1 else members[0]
    return collected(chain.from_iterable(shapely.get_parts(member) for member in members))


def _members(geometry: shapely.Geometry) -> Iterable[shapely.Geometry]:
    for part in shapely.get_parts(geometry):
        if shapely.get_type_id(part) == 7:
            yield from _members(part)
        elif not shapely.is_empty(part):
            yield part


def _why_not(geometry: Any) -> str:
    """What is wrong with a geometry that GEOS refuses, as far as it is one of the usual things."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in (
        "Point",
        "MultiPoint",
        "LineString",
        "MultiLineString",
        "Polygon",
        "MultiPolygon",
        "GeometryCollection",
    ):
        return f"{str(kind)[:32]!r} is no geometry type of GeoJSON"
    depth = {"Polygon": 1, "MultiPolygon": 2}.get(kind, 0)
    for ring in _rings(geometry.get("coordinates"), depth) if depth else ():
        if len(ring) < 4:
            return "a ring of fewer than 4 positions"
        if ring[0] != ring[-1]:
            return "a ring that is not closed"
    return "coordinates that are not positions of numbers"


def _rings(node: Any, depth: int) -> list[list[Any]]:
    if not isinstance(node, list):
        return []
    if depth == 0:
        return [node]
    return [ring for item in node for ring in _rings(item, depth - 1)]
