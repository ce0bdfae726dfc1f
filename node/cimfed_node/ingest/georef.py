"""From the source's coordinates to OGC:CRS84 by one operation, the same for every point of a snapshot.

PROJ by itself picks an operation point by point (EPSG:28412 jumps by 2.7 m inside Tashkent), so one is chosen here, by
this rule, from those that PROJ has and can run without fetching anything:

1. its area of use contains the data, before one that does not;
2. its area is described as of the city's own country, before another's whose bounding box happens to cover the city;
3. its area is on land, before one that is described as offshore: cities are on land;
4. better accuracy before worse, stated before unknown;
5. PROJ's own order.

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

UNKNOWN = 999.0  # "accuracy" of operations of which EPSG knows none
SHOWN = 5  # operations that a refusal names
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

COMES_BACK = 1.0
"""Metres that a point may be off when it was moved there and back: inverses are exact to far less."""

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

    def misplaced(self, points: Floats, lonlat: Floats) -> Bools:
        """Points that ``forward`` made no sense of: not finite, or outside of the CRS's area of use by more than the
        margin. Some are so far out that a projection went around the earth and ended inside: these do not come back."""
        wrong: Bools = ~(np.isfinite(lonlat).all(axis=1) & within(lonlat, self.source.area or WORLD))
        if self.source.projected:
            good = np.flatnonzero(~wrong)
            away = np.abs(self.backward(lonlat[good]) - points[good, :2]) * self.source.unit
            wrong[good[~(away <= COMES_BACK).all(axis=1)]] = True
        return wrong

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
        beyond = shapely.bounds(geometries)[:, 2] > 180.0
        if beyond.any():  # an area is the same on every meridian
            geometries = geometries.copy()
            geometries[beyond] = shapely.transform(geometries[beyond], lambda xy: xy - (180.0, 0.0))
        flat = shapely.transform(geometries, lambda xy: np.column_stack(equal.transform(xy[:, 0], xy[:, 1])))
        return np.asarray(shapely.area(flat))


@cache
def _equal_area() -> Transformer:
    return Transformer.from_crs(CRS84, "EPSG:6933", always_xy=True)


def within(lonlat: Floats, area: Area, margin: float = MARGIN) -> Bools:
    """Points inside of an area widened by a margin, also across the antimeridian; never beyond the world."""
    west, south, east, north = area
    lon, lat = lonlat[:, 0], lonlat[:, 1]
    with np.errstate(invalid="ignore"):
        inside: Bools = (np.abs(lon) <= 180.0) & (np.abs(lat) <= 90.0)
        inside &= (lat >= south - margin) & (lat <= north + margin)
        return inside & (_eastward(west - margin, lon) <= _width(west, east) + 2 * margin)


def _eastward(start: float, lon: Floats) -> Floats:
    """Degrees to go east from a meridian."""
    return np.asarray(np.mod(lon - start, 360.0))


def _width(west: float, east: float) -> float:
    """Degrees between the sides of an area, which may cross the antimeridian."""
    return east - west if west <= east else east - west + 360.0


def _contains(area: Area | None, extent: Area) -> bool:
    if area is None:
        return False
    (west, south, east, north), (left, low, right, high) = area, extent
    begun = float(_eastward(west - _NEAR, np.array([left]))[0])
    across = begun + _width(left, right) <= _width(west, east) + 2 * _NEAR or _width(west, east) >= 360.0
    return across and low >= south - _NEAR and high <= north + _NEAR


def around(lonlat: Floats) -> Area:
    """The narrowest extent of points: across the antimeridian (west > east) where that is less than half of the way."""
    lon, lat = lonlat[:, 0], lonlat[:, 1]
    west, east = float(lon.min()), float(lon.max())
    if east - west > 180.0:
        turned = np.where(lon < 0, lon + 360.0, lon)
        if turned.max() - turned.min() < 180.0:
            west, east = float(turned.min()), float(turned.max()) - 360.0
    return west, float(lat.min()), east, float(lat.max())


def _own_extent(source: SourceCrs, points: Floats) -> Area:
    """Where the data is, in degrees of its own datum; the whole area of use where no point makes sense."""
    assert source.horizontal is not None
    own = Transformer.from_crs(source.horizontal, source.horizontal.geodetic_crs, always_xy=True)
    lonlat = np.column_stack(own.transform(points[:, 0], points[:, 1])) if len(points) else np.empty((0, 2))
    sensible = lonlat[np.isfinite(lonlat).all(axis=1)]
    sensible = sensible[within(sensible, source.area or WORLD)]
    if not len(sensible):
        return source.area or WORLD
    return around(sensible)


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
    known = "; ".join(map(_told, transformers))
    many = "names several operations" if hits else "is no operation that can be run here"
    raise BadFile(f"{wanted!r} {many} from {source.name}", place="--operation", remedy=f"There are: {known or 'none'}")


def _told(transformer: Transformer) -> str:
    accuracy = _accuracy(transformer)
    return f"{_title(transformer)!r} ({'accuracy unknown' if accuracy is None else f'{accuracy:g} m'})"


def _accuracy(transformer: Transformer) -> float | None:
    """In metres; None where nobody states it, which EPSG writes as 999."""
    accuracy = transformer.accuracy
    return None if accuracy is None or not 0 <= accuracy < UNKNOWN else float(accuracy)


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
    group = _operations(source.horizontal, None if wanted else extent)
    found = list(group.transformers)
    null = _declared(source)
    if null is not None and (not found or wanted == null.name):
        geodetic = source.horizontal.geodetic_crs
        own = Transformer.from_crs(source.horizontal, geodetic, always_xy=True)
        operation = Operation(null.name, null.accuracy_m, own.definition, declared=null.why)
        return Georeference(source, operation, own)
    if wanted is None and not found:
        raise _no_operation(source, group)
    again = next((operation for operation in found if kept and operation.definition == kept), None)
    best = _named(found, wanted, source) if wanted else again or min(found, key=_order(extent, country))
    notes: tuple[str, ...] = ()
    if not group.best_available and wanted is None:
        names = ", ".join(sorted({op.name for op in group.unavailable_operations})[:3])
        notes = (f"a better operation needs a grid that is not installed: {names}",)
    return Georeference(source, Operation(_title(best), _accuracy(best), best.definition, notes=notes), best)


def _operations(horizontal: pyproj.CRS, extent: Area | None) -> TransformerGroup:
    """Operations to WGS 84 that touch an extent; everywhere where that is None."""
    return TransformerGroup(
        horizontal,
        pyproj.CRS.from_user_input(CRS84),
        always_xy=True,
        allow_ballpark=False,
        area_of_interest=None if extent is None else AreaOfInterest(*extent),
    )


def _no_operation(source: SourceCrs, here: TransformerGroup) -> BadFile:
    assert source.horizontal is not None
    grids = sorted({grid.short_name for op in here.unavailable_operations for grid in op.grids})
    elsewhere = [_told(one) for one in _operations(source.horizontal, None).transformers]
    hint = f"Operations need grids that are not installed: {', '.join(grids)}. " if grids else ""
    if elsewhere:
        hint += f"For other areas there are {'; '.join(elsewhere[:SHOWN])}: take one with --operation. "
    return BadFile(
        f"PROJ has no operation from {source.name} to WGS 84 here but a ballpark one",
        place=source.name,
        remedy=f"{hint}Give the CRS as WKT with a BOUNDCRS, or convert the file first",
    )


def _order(extent: Area, country: str) -> Any:
    def rank(transformer: Transformer) -> tuple[bool, bool, bool, float]:
        used = transformer.area_of_use
        area = (used.west, used.south, used.east, used.north) if used else None
        own = bool(used) and COUNTRIES.get(country, "") in used.name
        offshore = bool(used) and "offshore" in used.name and "onshore" not in used.name
        accuracy = _accuracy(transformer)
        return not _contains(area, extent), not own, offshore, np.inf if accuracy is None else accuracy

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
