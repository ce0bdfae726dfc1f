"""Where a building stands: from its own metres to eastings and northings.

The first of these that there is:

1. a named place (``--place``): longitude and latitude of the project's origin, and by how much its y axis is turned
   clockwise from the north (else the project's true north);
2. IfcMapConversion or IfcRigidOperation to an IfcProjectedCRS, or the property sets ePSet_MapConversion and
   ePSet_ProjectedCRS that stand for them in IFC 2X3;
3. where a CRS was named (``--crs``), the coordinates as they stand;
4. RefLatitude and RefLongitude of the site, for the site's own origin: often those of a town.

For 1 and 4 the plane is that of the UTM zone, so that buildings of one town come in one system.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import ifcopenshell.util.element
import ifcopenshell.util.placement
import ifcopenshell.util.unit
import numpy as np
from pyproj import Transformer

from cimfed_node.ingest.arrays import Floats
from cimfed_node.ingest.crs import parse_crs

NEAR = (0.9, 1.1)
"""Grids of projections differ from the ground by a few parts in a thousand: another scale is a mistake of units."""
_UNITS = {
    "METRE": 1.0,
    "METER": 1.0,
    "M": 1.0,
    "MILLIMETRE": 0.001,
    "MM": 0.001,
    "FOOT": 0.3048,
    "US SURVEY FOOT": 1200 / 3937,
}


class Unplaced(Exception):
    """Why a file cannot be placed, and what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class Placement:
    """``crs``: as ``parse_crs`` takes it; None: nothing is known. ``turn``: counter-clockwise, in radians. ``scale``
    goes with x and y. ``origin``: of the target, in metres, its third part added to heights; ``pivot``: what is laid
    there. ``plane``: from a plane around the pivot to eastings and northings; None where they are had directly."""

    crs: str | None
    vertical: str = ""
    turn: float = 0.0
    scale: float = 1.0
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pivot: tuple[float, float, float] = (0.0, 0.0, 0.0)
    unit: float = 1.0
    plane: Transformer | None = None
    notes: tuple[str, ...] = ()

    def place(self, points: Floats) -> Floats:
        """(n, 3) metres of the project to coordinates of the CRS, heights in metres."""
        moved = points - np.array(self.pivot)
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        x = self.scale * (cos * moved[:, 0] - sin * moved[:, 1])
        y = self.scale * (sin * moved[:, 0] + cos * moved[:, 1])
        if self.plane is not None:
            x, y = self.plane.transform(x, y)
        east, north, up = self.origin
        return np.column_stack(((x + east) / self.unit, (y + north) / self.unit, moved[:, 2] + up))


def placement(model: Any, place: tuple[float, ...] | None, crs_named: bool) -> Placement:
    """Raises Unplaced where what the file says makes no sense."""
    (project,) = model.by_type("IfcProject")[:1] or (None,)
    if place is not None:
        turn = -math.radians(place[2]) if len(place) > 2 else _true_north(project)
        return _around(place[0], place[1], turn, (0.0, 0.0, 0.0), 0.0, "the project's own zero", ())
    said = _conversion(model) or _property_sets(model, project)
    if said is not None:
        return said
    site = next(iter(model.by_type("IfcSite")), None)
    if not crs_named and site is not None and site.RefLatitude and site.RefLongitude:
        return _by_site(model, site, _true_north(project))
    return Placement(None)


def _around(
    lon: float,
    lat: float,
    turn: float,
    pivot: tuple[float, float, float],
    height: float,
    vertical: str,
    notes: tuple[str, ...],
) -> Placement:
    zone = min(int((lon + 180) // 6) + 1, 60)
    south = lat < 0
    plane = Transformer.from_pipeline(
        f"+proj=pipeline +step +inv +proj=tmerc +lat_0={lat!r} +lon_0={lon!r} +ellps=WGS84 "
        f"+step +proj=utm +zone={zone} {'+south ' if south else ''}+ellps=WGS84"
    )
    name = f"UTM zone {zone}{'S' if south else 'N'}, as placed"
    crs = (
        f'PROJCS["{name}",GEOGCS["as placed",DATUM["as placed",SPHEROID["WGS 84",6378137,298.257223563],'
        'TOWGS84[0,0,0,0,0,0,0]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],'
        f'PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],'
        f'PARAMETER["central_meridian",{zone * 6 - 183}],PARAMETER["scale_factor",0.9996],'
        f'PARAMETER["false_easting",500000],PARAMETER["false_northing",{10_000_000 if south else 0}],UNIT["metre",1]]'
    )
    return Placement(crs, vertical, turn, 1.0, (0.0, 0.0, height), pivot, 1.0, plane, notes)


def _true_north(project: Any) -> float:
    """By how much the project has to be turned so that its true north is up."""
    for context in (project.RepresentationContexts or ()) if project is not None else ():
        north = getattr(context, "TrueNorth", None)
        if north is not None:
            x, y = north.DirectionRatios[:2]
            return math.atan2(x, y)
    return 0.0


def _by_site(model: Any, site: Any, turn: float) -> Placement:
    lat, lon = (_degrees(angle) for angle in (site.RefLatitude, site.RefLongitude))
    if not (-80 <= lat <= 84 and -180 <= lon <= 180):
        raise Unplaced(f"the site's latitude {lat:g} and longitude {lon:g} are no place", HINT)
    metre = ifcopenshell.util.unit.calculate_unit_scale(model)
    own = ifcopenshell.util.placement.get_local_placement(site.ObjectPlacement)[:3, 3] * metre
    height = site.RefElevation
    note = (
        f"placed by the site's latitude {lat:.6f} and longitude {lon:.6f}, which are often those of a town: "
        "compare them with a map, or name the place with --place"
    )
    vertical = "the site's elevation" if height is not None else "the project's own zero"
    above = float(own[2]) if height is None else height * metre
    return _around(lon, lat, turn, (float(own[0]), float(own[1]), float(own[2])), above, vertical, (note,))


def _degrees(angle: Any) -> float:
    parts = [*angle, 0, 0, 0][:4]
    return float(parts[0] + parts[1] / 60 + parts[2] / 3600 + parts[3] / 3_600_000_000)


def _conversion(model: Any) -> Placement | None:
    if model.schema == "IFC2X3":
        return None
    for kind in ("IfcMapConversion", "IfcRigidOperation"):
        for found in model.by_type(kind) if _knows(model, kind) else ():
            target = found.TargetCRS
            if target is None or not target.is_a("IfcProjectedCRS"):
                raise Unplaced(f"a {kind} to something else than a projected system", HINT)
            said = {"Name": target.Name, "VerticalDatum": target.VerticalDatum}
            if target.MapUnit is not None:
                said["MapUnit"] = ifcopenshell.util.unit.get_unit_scale(target.MapUnit)
            if kind == "IfcRigidOperation":
                first, second = (value.wrappedValue for value in (found.FirstCoordinate, found.SecondCoordinate))
                return _converted(
                    model, said | {"Eastings": first, "Northings": second, "OrthogonalHeight": found.Height}
                )
            factors = [getattr(found, f"Factor{axis}", None) or 1.0 for axis in "XYZ"]
            if max(factors) - min(factors) > 1e-6:
                raise Unplaced("a map conversion with another factor for each axis", HINT)
            return _converted(model, said | found.get_info())
    return None


def _knows(model: Any, kind: str) -> bool:
    try:
        model.by_type(kind)
    except RuntimeError:
        return False
    return True


def _property_sets(model: Any, project: Any) -> Placement | None:
    for holder in (project, *model.by_type("IfcSite")):
        sets = {} if holder is None else ifcopenshell.util.element.get_psets(holder, psets_only=True)
        by_name = {name.casefold(): values for name, values in sets.items()}
        conversion = by_name.get("epset_mapconversion")
        if conversion is not None:
            crs = by_name.get("epset_projectedcrs", {})
            said = {key: crs.get(key) for key in ("Name", "VerticalDatum") if crs.get(key)}
            unit = _UNITS.get(str(crs.get("MapUnit", "")).upper())
            said.setdefault("Name", conversion.get("TargetCRS"))
            return _converted(model, {**said, **({"MapUnit": unit} if unit else {}), **conversion})
    return None


def _converted(model: Any, said: dict[str, Any]) -> Placement:
    """``MapUnit`` in metres; without it eastings are in the project's unit."""
    metre = ifcopenshell.util.unit.calculate_unit_scale(model)
    unit = said.get("MapUnit") or metre
    given = said.get("Scale")
    scale = (given or 1.0) * unit / metre
    notes: tuple[str, ...] = ()
    if not NEAR[0] <= scale <= NEAR[1]:
        if given not in (None, 1.0):
            raise Unplaced(f"by its map conversion the building would be {scale:g} times as large as it is", HINT)
        notes = ("the map conversion gives no scale between its unit and the project's: both were taken as metres",)
        scale = 1.0
    x, y = said.get("XAxisAbscissa"), said.get("XAxisOrdinate")
    turn = 0.0 if x is None or y is None else math.atan2(y, x)
    origin = [float(said.get(key) or 0.0) * unit for key in ("Eastings", "Northings", "OrthogonalHeight")]
    name = str(said.get("Name") or "")
    return Placement(
        name,
        str(said.get("VerticalDatum") or ""),
        turn,
        scale,
        (origin[0], origin[1], origin[2]),
        unit=_unit_of(name),
        notes=notes,
    )


def _unit_of(name: str) -> float:
    """Of the axes of a CRS; a metre where its name says nothing, which is refused later on."""
    try:
        source = parse_crs(name, "IfcProjectedCRS")
    except Exception:  # whatever is wrong with it, the reader says so
        return 1.0
    return source.unit if source.projected else 1.0


HINT = "Name the place of the project's origin with --place LON,LAT or LON,LAT,ROTATION"
