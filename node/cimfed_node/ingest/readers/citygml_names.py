"""Names of CityGML 1.0, 2.0 and 3.0, and what CityJSON calls the same.

A module's namespace tells the version; what an element is, is told by its local name. Elements of other namespaces are
those of an Application Domain Extension (ADE).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from cimfed_node.ingest.readers.xml import Element

CITY, GML, OTHER = "CityGML", "GML", ""
"""Kinds of namespaces."""
GML_ID = ("{http://www.opengis.net/gml}id", "{http://www.opengis.net/gml/3.2}id")
HREF = "{http://www.w3.org/1999/xlink}href"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"

_CITY = re.compile(r"http://www\.opengis\.net/citygml/(?:[a-z]+/)?([123]\.0)")
_GML = ("http://www.opengis.net/gml", "http://www.opengis.net/gml/3.2")
_CORE = re.compile(r"\{http://www\.opengis\.net/citygml/([0-9.]{1,8})\}CityModel")
_LOD = re.compile(r"lod([0-4])([A-Z]\w*)")

TYPES: dict[str, str] = {
    **dict.fromkeys(("Room", "BuildingRoom"), "BuildingRoom"),
    "Storey": "BuildingStorey",
    **{
        name: name for name in ("Building", "BuildingPart", "BuildingInstallation", "BuildingFurniture", "BuildingUnit")
    },
    "IntBuildingInstallation": "BuildingInstallation",
    "BuildingConstructiveElement": "BuildingConstructiveElement",
    **{name: name for name in ("Bridge", "BridgePart", "BridgeInstallation", "BridgeRoom", "BridgeFurniture")},
    "IntBridgeInstallation": "BridgeInstallation",
    **dict.fromkeys(("BridgeConstructionElement", "BridgeConstructiveElement"), "BridgeConstructiveElement"),
    **{name: name for name in ("Tunnel", "TunnelPart", "TunnelInstallation", "TunnelFurniture")},
    "IntTunnelInstallation": "TunnelInstallation",
    "TunnelConstructiveElement": "TunnelConstructiveElement",
    "HollowSpace": "TunnelHollowSpace",
    "OtherConstruction": "OtherConstruction",
    **{name: name for name in ("Road", "Railway", "Track", "Waterway", "TransportationComplex")},
    "Square": "TransportSquare",
    **{name: name for name in ("LandUse", "WaterBody", "PlantCover", "SolitaryVegetationObject", "CityFurniture")},
    **{name: name for name in ("ReliefFeature", "TINRelief", "RasterRelief", "MassPointRelief", "BreaklineRelief")},
    "CityObjectGroup": "CityObjectGroup",
    "GenericCityObject": "GenericCityObject",
    **dict.fromkeys(("GenericOccupiedSpace", "GenericUnoccupiedSpace", "GenericLogicalSpace"), "GenericCityObject"),
}
"""City objects, as CityJSON calls them where it has them."""

GROUND = "GroundSurface"
INSIDE = frozenset(("InteriorWallSurface", "CeilingSurface", "FloorSurface"))
SURFACES = INSIDE | {
    *(GROUND, "WallSurface", "RoofSurface", "ClosureSurface", "OuterCeilingSurface", "OuterFloorSurface"),
    *("Door", "Window", "DoorSurface", "WindowSurface", "HoleSurface", "GenericThematicSurface"),
    *("WaterSurface", "WaterGroundSurface", "WaterClosureSurface"),
    *("TrafficArea", "AuxiliaryTrafficArea", "Marking", "Hole"),
    *("TrafficSpace", "AuxiliaryTrafficSpace", "ClearanceSpace", "Section", "Intersection"),
}
"""What bounds an object, or holds what bounds it: its geometry is the object's."""


@lru_cache(maxsize=4096)
def split(tag: str) -> tuple[str, str]:
    """Kind of namespace and local name of an element."""
    space, _, local = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
    if _CITY.fullmatch(space):
        return CITY, local
    return (GML if space in _GML else OTHER), local


@lru_cache(maxsize=4096)
def level_of_name(tag: str) -> tuple[int, str] | None:
    """``lod2MultiSurface`` as (2, "MultiSurface"); None for a property that is no geometry of a level."""
    kind, local = split(tag)
    found = _LOD.fullmatch(local) if kind == CITY else None
    return (int(found[1]), found[2]) if found else None


def version_of(root: str) -> str | None:
    """The version of CityGML that a root element's name tells; None where it is no CityModel of OGC's."""
    found = _CORE.fullmatch(root)
    return found[1] if found else None


def kids(element: Element) -> Iterator[Element]:
    """Child elements, without comments."""
    for child in element:
        if type(child.tag) is str:
            yield child


def first_kid(element: Element) -> Element:
    return next(kids(element), None)


def id_of(element: Element) -> str | None:
    for name in GML_ID:
        found: Any = element.get(name)
        if found:
            return str(found)
    return None


def text_of(element: Element) -> str:
    """The text of an element without children, or before its first child; comments in it do not matter."""
    whole: str = element.text or ""
    for child in element:
        if type(child.tag) is not str:
            whole += child.tail or ""
    return whole.strip()
