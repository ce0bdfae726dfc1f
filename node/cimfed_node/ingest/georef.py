"""From the source's coordinates to OGC:CRS84 by one operation, the same for every point of a snapshot.

PROJ by itself picks an operation point by point (EPSG:28412 jumps by 2.7 m inside Tashkent), so one is chosen here, by
this rule, from those that PROJ has and can run without fetching anything:

1. its area of use contains the data, before one that does not;
2. its area is described as of the city's own country, before another's whose bounding box happens to cover the city;
3. better accuracy before worse, stated before unknown;
4. PROJ's own order.

A ballpark operation is never taken. Where there is nothing else, a *declared* null transform may stand: a datum that is
read as WGS 84, with an accuracy that we state and that the inventory shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyproj
import shapely
from pyproj.network import set_network_enabled  # type: ignore[attr-defined]
from pyproj.transformer import AreaOfInterest, Transformer, TransformerGroup

from cimfed.errors import BadFile
from cimfed_node.ingest import gcj02
from cimfed_node.ingest.arrays import Bools, Floats, Geometries
from cimfed_node.ingest.crs import CRS84, WORLD, Area, SourceCrs

MARGIN = 0.5
"""Degrees by which data may stand outside of a CRS's area of use: neighbouring Gauss-Krüger zones overlap by up to half
a degree in practice, while swapped axes, other zones and zeros are much farther off."""

_NEAR = 0.01  # degrees between datums, when an extent is compared with an area


@dataclass(frozen=True)
class NullTransform:
    """A datum that may be read as WGS 84. ``accuracy_m`` and ``why`` are our word, not PROJ's."""

    name: str
    accuracy_m: float
    why: str


DECLARED: Mapping[str, NullTransform] = {
    "China 2000": NullTransform(
        "Null transform: CGCS2000 read as WGS 84 (declared)",
        2.0,
        "CGCS2000 is ITRF97 at epoch 2000.0 on an ellipsoid that differs by 0.1 mm; the rest is plate motion since "
        "(about 3.5 cm a year) and the 2 m of the WGS 84 ensemble",
    ),
}
"""By datum: EPSG:4490 and all that is projected from it (4491 to 4554)."""

COUNTRIES: Mapping[str, str] = {
    "by": "Belarus",
    "cn": "China",
    "in": "India",
    "ir": "Iran",
    "kg": "Kyrgyzstan",
    "kz": "Kazakhstan",
    "pk": "Pakistan",
    "ru": "Russian Federation",
    "tj": "Tajikistan",
    "uz": "Uzbekistan",
}
"""First label of a city's name -> the country's name in EPSG's areas."""


@dataclass(frozen=True)
class Operation:
    """``definition``: PROJ pipeline. ``accuracy_m``: None where nobody states it. ``declared``: see NullTransform."""

    name: str
    accuracy_m: float | None
    definition: str
    declared: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Georeference:
    """A source CRS with its operation pinned."""

    source: SourceCrs
    operation: Operation
    _transformer: Transformer | None = field(repr=False, compare=False)

    def forward(self, points: Floats) -> Floats:
        """(n, 2) source coordinates to longitude and latitude; infinity where the operation has no answer."""
        if not len(points):
            return np.empty((0, 2))
        x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
        if self.source.horizontal is None:
            x, y = gcj02.to_wgs84(x, y)
        elif self._transformer is not None:
            x, y = self._transformer.transform(x, y)
        return np.column_stack((x, y))

    def backward(self, points: Floats) -> Floats:
        """The inverse of ``forward``."""
        if not len(points):
            return np.empty((0, 2))
        x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
        if self.source.horizontal is None:
            x, y = gcj02.from_wgs84(x, y)
        elif self._transformer is not None:
            x, y = self._transformer.transform(x, y, direction="INVERSE")
        return np.column_stack((x, y))

    def misplaced(self, lonlat: Floats) -> Bools:
        """Points that are not finite, or outside of the CRS's area of use by more than the margin."""
        return ~(np.isfinite(lonlat).all(axis=1) & within(lonlat, self.source.area or WORLD))

    def metres(self, points: Floats) -> Floats:
        """x and y of (n, 2 or 3) source coordinates in metres, good enough to measure one building with."""
        if self.source.projected:
            if self.source.unit == 1.0:
                return points
            factors: Floats = np.array([self.source.unit, self.source.unit, 1.0])
            metric: Floats = points * factors[: points.shape[1]]
            return metric
        scaled = points.copy()
        scaled[:, 0] *= 111_320.0 * np.cos(np.radians(np.clip(points[:, 1], -89.0, 89.0)))
        scaled[:, 1] *= 110_574.0
        return scaled

    @property
    def grid(self) -> float:
        """A millimetre in source units, for overlays that must not leave slivers."""
        return 1e-3 / self.source.unit if self.source.projected else 1e-8

    def areas(self, geometries: Geometries) -> Floats:
        """Areas in square metres of geometries in source coordinates: planar in a projected CRS, else on the ellipsoid
        by an equal-area projection."""
        if self.source.projected:
            return np.asarray(shapely.area(geometries)) * self.source.unit**2
        equal = _equal_area()
        flat = shapely.transform(geometries, lambda xy: np.column_stack(equal.transform(xy[:, 0], xy[:, 1])))
        return np.asarray(shapely.area(flat))


@cache
def _equal_area() -> Transformer:
    return Transformer.from_crs(CRS84, "EPSG:6933", always_xy=True)


def within(lonlat: Floats, area: Area, margin: float = MARGIN) -> Bools:
    """Points inside of an area widened by a margin; never beyond the world."""
    west, south, east, north = area
    lon, lat = lonlat[:, 0], lonlat[:, 1]
    inside: Bools = (np.abs(lon) <= 180.0) & (np.abs(lat) <= 90.0)
    inside &= (lat >= south - margin) & (lat <= north + margin)
    if west <= east:
        return inside & (lon >= west - margin) & (lon <= east + margin)
    return inside & ((lon >= west - margin) | (lon <= east + margin))


def _contains(area: Area | None, extent: Area) -> bool:
    if area is None:
        return False
    corners = np.array([[extent[0], extent[1]], [extent[2], extent[3]]])
    return bool(within(corners, area, _NEAR).all())


def _own_extent(source: SourceCrs, points: Floats) -> Area:
    """Where the data is, in degrees of its own datum; the whole area of use where no point makes sense."""
    assert source.horizontal is not None
    own = Transformer.from_crs(source.horizontal, source.horizontal.geodetic_crs, always_xy=True)
    lonlat = np.column_stack(own.transform(points[:, 0], points[:, 1])) if len(points) else np.empty((0, 2))
    sensible = lonlat[np.isfinite(lonlat).all(axis=1)]
    sensible = sensible[within(sensible, source.area or WORLD)]
    if not len(sensible):
        return source.area or WORLD
    (west, south), (east, north) = sensible.min(axis=0), sensible.max(axis=0)
    return float(west), float(south), float(east), float(north)


def _steps(transformer: Transformer) -> list[tuple[str, str]]:
    """Names and codes of the operation's parts."""
    found = [(transformer.description, "")]
    for step in transformer.operations or ():
        identifier = step.to_json_dict().get("id") or {}
        found.append((step.name, f"EPSG:{identifier.get('code', '')}"))
    return found


def _named(transformers: list[Transformer], wanted: str, source: SourceCrs) -> Transformer:
    text = wanted.strip().casefold()
    hits = [t for t in transformers if any(text in (n.casefold(), c.casefold()) for n, c in _steps(t))]
    if len(hits) == 1 or (hits and hits[0].description.casefold() == text):
        return hits[0]
    known = "; ".join(f"{_title(t)!r} ({t.accuracy:g} m)" for t in transformers)
    many = "names several operations" if hits else "is no operation that can be run here"
    raise BadFile(f"{wanted!r} {many} from {source.name}", place="--operation", remedy=f"There are: {known or 'none'}")


def _title(transformer: Transformer) -> str:
    """The operation's name without the steps that only swap axes."""
    steps = [part.strip() for part in transformer.description.split(" + ")]
    return " + ".join(step for step in steps if not step.startswith("axis order change")) or "Identity"


def _declared(source: SourceCrs) -> NullTransform | None:
    assert source.horizontal is not None
    datum = source.horizontal.datum
    return DECLARED.get(datum.name) if datum is not None else None


def georeference(
    source: SourceCrs, points: Floats, *, country: str = "", wanted: str | None = None, kept: str = ""
) -> Georeference:
    """Pin the operation for data at these (n, 2) source coordinates.

    ``country``: first label of the city's name. ``wanted``: an operation's name or EPSG code; it prevails. ``kept``:
    the definition of one that was pinned before, taken again where it is still there.
    Raises BadFile where there is no operation but a ballpark one.
    """
    set_network_enabled(active=False)
    if source.horizontal is None:
        name = "GCJ-02 to WGS 84 (inverse of the public formula, by iteration)"
        return Georeference(source, Operation(name, gcj02.ACCURACY_M, "", declared="no official definition"), None)
    if source.name in (CRS84, "EPSG:4326", "EPSG:4979"):
        if wanted:
            _named([], wanted, source)
        return Georeference(source, Operation("Identity", 0.0, ""), None)
    extent = _own_extent(source, points)
    group = TransformerGroup(
        source.horizontal,
        pyproj.CRS.from_user_input(CRS84),
        always_xy=True,
        allow_ballpark=False,
        area_of_interest=AreaOfInterest(*extent),
    )
    found = list(group.transformers)
    null = _declared(source)
    if null is not None and (not found or wanted == null.name):
        geodetic = source.horizontal.geodetic_crs
        own = Transformer.from_crs(source.horizontal, geodetic, always_xy=True)
        operation = Operation(null.name, null.accuracy_m, own.definition, declared=null.why)
        return Georeference(source, operation, own)
    if wanted is None and not found:
        missing = sorted({grid.short_name for op in group.unavailable_operations for grid in op.grids})
        hint = f"Operations need grids that are not installed: {', '.join(missing)}. " if missing else ""
        raise BadFile(
            f"PROJ has no operation from {source.name} to WGS 84 but a ballpark one",
            place=source.name,
            remedy=f"{hint}Give the CRS as WKT with a BOUNDCRS, or convert the file first",
        )
    again = next((operation for operation in found if kept and operation.definition == kept), None)
    best = _named(found, wanted, source) if wanted else again or min(found, key=_order(extent, country))
    notes: tuple[str, ...] = ()
    if not group.best_available and wanted is None:
        names = ", ".join(sorted({op.name for op in group.unavailable_operations})[:3])
        notes = (f"a better operation needs a grid that is not installed: {names}",)
    accuracy = best.accuracy if best.accuracy is not None and best.accuracy >= 0 else None
    return Georeference(source, Operation(_title(best), accuracy, best.definition, notes=notes), best)


def _order(extent: Area, country: str) -> Any:
    def rank(transformer: Transformer) -> tuple[bool, bool, float]:
        used = transformer.area_of_use
        area = (used.west, used.south, used.east, used.north) if used else None
        own = bool(used) and COUNTRIES.get(country, "") in used.name
        accuracy = transformer.accuracy
        return not _contains(area, extent), not own, accuracy if accuracy is not None and accuracy >= 0 else np.inf

    return rank  # min() keeps the first of equals: PROJ's order


def facts(reference: Georeference) -> dict[str, Any]:
    """What the inventory records."""
    operation = reference.operation
    return {
        "crs": reference.source.name,
        "vertical": reference.source.vertical,
        "operation": {
            "name": operation.name,
            "accuracy_m": operation.accuracy_m,
            "definition": operation.definition,
            "declared": operation.declared,
            "proj": pyproj.proj_version_str,
        },
    }
