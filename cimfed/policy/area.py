"""Areas: GeoJSON (RFC 7946) to the WKB that a grant carries, and back.

Rules:
1. One Polygon or MultiPolygon, or a Feature or FeatureCollection of exactly one, in OGC:CRS84.
2. Rings are closed and have at least four positions; a third coordinate is left out; at most 10,000 vertices.
3. The polygon is valid (OGC Simple Features): what lies inside must be beyond dispute.
4. No edge is longer than half the way around the earth but along a parallel from one end of the map to the other: an
   area across the antimeridian is a MultiPolygon cut there (RFC 7946, section 3.1.9), else it would be its complement.
5. WKB is ISO, two-dimensional, little endian. ``normalised`` makes equal areas equal bytes when a policy is composed;
   bytes that were signed are taken as they are, so that another release of GEOS cannot change a hash.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import numpy as np
import shapely

from cimfed.model.routing import Extent
from cimfed.policy.cursor import Cursor

MAX_VERTICES = 10_000
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
_CRS84 = ("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "OGC:CRS84")


def read_area(at: Cursor) -> bytes:
    """The WKB of a GeoJSON value, its vertices in the order that stands there."""
    geometry = _geometry_of(at)
    kind = geometry.child("type").text("the type of the geometry") if "type" in geometry.value else ""
    if kind not in ("Polygon", "MultiPolygon") or "coordinates" not in geometry.value:
        raise geometry.error("an area is a GeoJSON Polygon or MultiPolygon", "Give its type and coordinates")
    coordinates = geometry.child("coordinates")
    parts = [coordinates] if kind == "Polygon" else _list(coordinates, "polygons")
    left = MAX_VERTICES
    polygons = []
    for part in parts:
        rings = []
        for ring in _list(part, "rings"):
            rings.append(_ring(ring))
            left -= len(rings[-1])
            if left < 0:
                raise at.error(f"more than {MAX_VERTICES} vertices", "Simplify the area")
        polygons.append(shapely.Polygon(rings[0], rings[1:]))
    area: shapely.Geometry = polygons[0] if kind == "Polygon" else shapely.MultiPolygon(polygons)
    if not shapely.is_valid(area):
        where = re.search(r"\[(-?[0-9.e+-]+) (-?[0-9.e+-]+)\]", shapely.is_valid_reason(area))
        near = f" near {where[1]} {where[2]}" if where else ""
        raise at.error(f"the area crosses or touches itself{near}", "Repair the polygon")
    return _wkb(area)


def normalised(wkb: bytes) -> bytes:
    """One form for one area: canonical order of vertices and parts, no multipolygon of one part."""
    area = shapely.from_wkb(wkb)
    if isinstance(area, shapely.MultiPolygon) and len(area.geoms) == 1:
        area = area.geoms[0]
    return _wkb(shapely.normalize(area))


def to_geojson(wkb: bytes) -> dict[str, Any]:
    """The geometry object that ``read_area`` gives the same bytes for."""
    area = shapely.from_wkb(wkb)
    if isinstance(area, shapely.MultiPolygon):
        return {"type": "MultiPolygon", "coordinates": [_rings(part) for part in area.geoms]}
    assert isinstance(area, shapely.Polygon)
    return {"type": "Polygon", "coordinates": _rings(area)}


@lru_cache(maxsize=256)
def extent_area(extent: Extent) -> bytes:
    """A declared extent as an area, its vertices in one fixed order."""
    xmin, ymin, xmax, ymax = extent
    return _wkb(shapely.Polygon([(xmin, ymin), (xmin, ymax), (xmax, ymax), (xmax, ymin), (xmin, ymin)]))


def _geometry_of(at: Cursor) -> Cursor:
    """The geometry object in a FeatureCollection, Feature or by itself."""
    _check_crs(at)
    if at.value.get("type") == "FeatureCollection":
        features = _list(at.child("features"), "features") if "features" in at.value else []
        if len(features) != 1:
            raise at.error("an area file holds exactly one feature", "Dissolve the features into one")
        at = features[0]
        _check_crs(at)
    if at.value.get("type") == "Feature":
        if "geometry" not in at.value:
            raise at.error("the feature has no geometry")
        at = at.child("geometry")
        _check_crs(at)
    return at


def _check_crs(at: Cursor) -> None:
    """The member ``crs`` is of GeoJSON before RFC 7946; many programs still write it."""
    if not isinstance(at.value, dict):
        raise at.error("an area is a GeoJSON object")
    crs = at.value.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if "crs" in at.value and name not in _CRS84:
        raise at.child("crs").error(
            "areas are in longitude and latitude (OGC:CRS84)", "Reproject the file and leave crs out"
        )


def _list(at: Cursor, of: str) -> list[Cursor]:
    if not isinstance(at.value, list) or not at.value:
        raise at.error(f"a list of {of} belongs here")
    if len(at.value) > MAX_VERTICES:
        raise at.error(f"more than {MAX_VERTICES} {of}", "Simplify the area")
    return [at.child(index) for index in range(len(at.value))]


def _ring(at: Cursor) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    if not isinstance(at.value, list) or not 4 <= len(at.value) <= MAX_VERTICES:
        raise at.error(f"a ring has 4 to {MAX_VERTICES} positions")
    ring = np.empty((len(at.value), 2))
    for index, position in enumerate(at.value):
        if not isinstance(position, list) or not 2 <= len(position) <= 3:
            raise at.child(index).error("a position is [longitude, latitude]")
        x, y = number(position[0]), number(position[1])
        if not (abs(x) <= 180 and abs(y) <= 90):  # NaN fails too
            raise at.child(index).error(
                "a position is [longitude, latitude] in degrees", "Reproject the area to OGC:CRS84"
            )
        ring[index] = x, y
    if (ring[0] != ring[-1]).any():
        raise at.error("the ring is not closed", "Repeat its first position at the end")
    long = np.abs(np.diff(ring[:, 0])) > 180
    if (long & ((np.abs(ring[1:, 0]) != 180) | (np.abs(ring[:-1, 0]) != 180))).any():
        raise at.error(
            "an edge spans more than 180 degrees of longitude",
            "Cut an area across the antimeridian there, into a MultiPolygon: 'ogr2ogr -wrapdateline' does",
        )
    return ring + 0.0  # -0.0 becomes 0.0: JSON has one zero


def number(value: object) -> float:
    """The number that a JSON or YAML scalar says; NaN where it says none."""
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else math.nan


def _rings(polygon: shapely.Polygon) -> list[list[list[float]]]:
    rings = [polygon.exterior, *polygon.interiors]
    return [shapely.get_coordinates(ring).tolist() for ring in rings]


def _wkb(area: shapely.Geometry) -> bytes:
    wkb = shapely.to_wkb(area, output_dimension=2, byte_order=1, include_srid=False, flavor="iso")
    assert isinstance(wkb, bytes)
    return wkb
