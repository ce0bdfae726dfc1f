"""What the objects of an IFC file are: buildings, storeys and spaces, what they are parts of, and their attributes.

Attributes have the vocabulary's names where they say the same thing, in metres; property sets follow as ``SET.NAME``,
for mappings and ``ext``. What is not told is not computed here, but for the numbers of storeys.

Leaves out: types' property sets, materials, zones, and elements other than slabs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import ifcopenshell.util.element
import ifcopenshell.util.placement
import ifcopenshell.util.unit

BUILDING, STOREY, ROOM = "Building", "BuildingStorey", "BuildingRoom"
_QUANTITIES: dict[str, dict[str, tuple[str, ...]]] = {
    ROOM: {
        "floor_area": ("NetFloorArea", "GrossFloorArea", "NSA", "Area"),
        "clear_height": ("FinishCeilingHeight", "ClearHeight", "Height"),
        "volume": ("NetVolume", "GrossVolume", "Volume"),
    },
    STOREY: {"floor_area": ("GrossFloorArea", "NetFloorArea"), "clear_height": ("NetHeight", "NetHeigtht")},
    BUILDING: {
        "floor_area": ("GrossFloorArea",),
        "height": ("Height", "TotalHeight"),
        "volume": ("GrossVolume",),
        "footprint_area": ("FootprintArea", "FootPrintArea"),
    },
}
"""Names in base quantities, the better first; one is misspelt in the standard itself."""
_DEEP = 64  # levels of parts of parts


@dataclass
class Thing:
    """An object that may become a row. ``bodies``: products whose bodies it covers the ground with."""

    entity: Any
    kind: str
    id: str
    attributes: dict[str, Any]
    bodies: list[Any] = field(default_factory=list)


class Model:
    def __init__(self, file: Any) -> None:
        self.file = file
        unit = ifcopenshell.util.unit.calculate_unit_scale
        self._units = {kind: unit(file, f"{kind}UNIT") for kind in ("LENGTH", "AREA", "VOLUME")}
        self._within = self._products_within()
        self.things = [*self._rooms(), *self._storeys(), *self._buildings()]

    def _rooms(self) -> Iterator[Thing]:
        for space in self.file.by_type("IfcSpace"):
            sort = _sort(space)
            outside = sort in ("GFA", "EXTERNAL")
            attributes = self._attributes(space, ROOM)
            for kind, word in (("IfcBuildingStorey", "storey"), ("IfcBuilding", "building")):
                above = self._above(space, kind)
                if above is not None:
                    attributes[word] = above.GlobalId
            yield Thing(space, f"IfcSpace {sort}" if outside else ROOM, space.GlobalId or "", attributes, [space])

    def _storeys(self) -> Iterator[Thing]:
        numbers = self._numbers()
        for storey in self.file.by_type("IfcBuildingStorey"):
            attributes = self._attributes(storey, STOREY)
            building = self._above(storey, "IfcBuilding")
            if building is not None:
                attributes["building"] = building.GlobalId
            if storey.id() in numbers:
                attributes["number"] = numbers[storey.id()]
            yield Thing(storey, STOREY, storey.GlobalId or "", attributes, self._within.get(storey.id(), []))

    def _buildings(self) -> Iterator[Thing]:
        for building in self.file.by_type("IfcBuilding"):
            attributes = self._attributes(building, BUILDING)
            yield Thing(building, BUILDING, building.GlobalId or "", attributes, self._within.get(building.id(), []))

    def _products_within(self) -> dict[int, list[Any]]:
        """Spaces and floor slabs by the storey and by the building that they are in."""
        found: dict[int, list[Any]] = {}
        spaces = [s for s in self.file.by_type("IfcSpace") if _sort(s) != "EXTERNAL"]
        slabs = [s for s in self.file.by_type("IfcSlab") if _sort(s) not in ("ROOF", "LANDING", "PAVING")]
        for product in (*spaces, *slabs):
            for kind in ("IfcBuildingStorey", "IfcBuilding"):
                above = self._above(product, kind)
                if above is not None:
                    found.setdefault(above.id(), []).append(product)
        return found

    def _above(self, entity: Any, kind: str) -> Any:
        """The nearest whole of a kind that something is a part of or stands in."""
        for _ in range(_DEEP):
            entity = _whole(entity)
            if entity is None or entity.is_a(kind):
                return entity
        return None

    def _numbers(self) -> dict[int, int]:
        """Storeys counted from the ground: the lowest that begins no deeper than a metre below the building's zero."""
        numbers: dict[int, int] = {}
        by_building: dict[int, list[Any]] = {}
        for storey in self.file.by_type("IfcBuildingStorey"):
            building = self._above(storey, "IfcBuilding")
            if building is not None:
                by_building.setdefault(building.id(), []).append(storey)
        for storeys in by_building.values():
            if any(storey.Elevation is None for storey in storeys):
                continue
            levels = sorted((storey.Elevation * self._units["LENGTH"], storey.id()) for storey in storeys)
            below = sum(level < -1.0 for level, _ in levels)
            numbers |= {id: place - below for place, (_, id) in enumerate(levels)}
        return numbers

    def _attributes(self, entity: Any, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if entity.LongName or entity.Name:
            found["name"] = entity.LongName or entity.Name
        if entity.LongName:
            found |= {"LongName": entity.LongName, "Name": entity.Name or ""}
        for name in ("ObjectType", "Description", "PredefinedType", "InteriorOrExteriorSpace"):
            if getattr(entity, name, None) not in (None, "", "NOTDEFINED", "USERDEFINED"):
                found[name] = getattr(entity, name)
        found |= self._quantities(entity, _QUANTITIES[kind])
        for set_name, values in ifcopenshell.util.element.get_psets(
            entity, psets_only=True, should_inherit=False
        ).items():
            for name, value in values.items():
                if name != "id" and value not in (None, ""):
                    found[f"{set_name}.{name}"] = _plain(value)
                    if name in ("OccupancyType", "YearOfConstruction"):
                        found.setdefault(name, found[f"{set_name}.{name}"])
        for name, value in self._classification(entity):
            found.setdefault(name, value)
        return found

    def _classification(self, entity: Any) -> Iterator[tuple[str, str]]:
        for relation in getattr(entity, "HasAssociations", ()):
            if relation.is_a("IfcRelAssociatesClassification"):
                reference = relation.RelatingClassification
                code = getattr(reference, "Identification", None) or getattr(reference, "ItemReference", None)
                for name, value in (
                    ("classification", code),
                    ("classification_name", getattr(reference, "Name", None)),
                ):
                    if value:
                        yield name, value

    def _quantities(self, entity: Any, wanted: dict[str, tuple[str, ...]]) -> dict[str, float]:
        told: dict[str, float] = {}
        for relation in getattr(entity, "IsDefinedBy", ()):
            held = getattr(relation, "RelatingPropertyDefinition", None)
            if held is not None and held.is_a("IfcElementQuantity"):
                for quantity in held.Quantities or ():
                    for kind in self._units:
                        if quantity.is_a(f"IfcQuantity{kind.capitalize()}"):
                            value = getattr(quantity, f"{kind.capitalize()}Value")
                            told.setdefault(quantity.Name, value * self._unit(quantity, kind))
        found = {}
        for name, candidates in wanted.items():
            given = [told[candidate] for candidate in candidates if 0.0 < told.get(candidate, 0.0) < math.inf]
            if given:
                found[name] = round(given[0], 6)
        return found

    def _unit(self, quantity: Any, kind: str) -> float:
        own = quantity.Unit
        return float(self._units[kind] if own is None else ifcopenshell.util.unit.get_unit_scale(own))

    def level(self, thing: Thing) -> float | None:
        """Where a storey stands in the project, in metres."""
        try:
            return float(
                ifcopenshell.util.placement.get_local_placement(thing.entity.ObjectPlacement)[2, 3]
                * self._units["LENGTH"]
            )
        except (RecursionError, AttributeError):
            return None


def _plain(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool) else str(value)


def _sort(product: Any) -> Any:
    """INTERNAL, GFA, ROOF and the like; IFC 2X3 says of spaces only whether they are within."""
    return getattr(product, "PredefinedType", None) or getattr(product, "InteriorOrExteriorSpace", None)


def _whole(entity: Any) -> Any:
    for relations, word in (("Decomposes", "RelatingObject"), ("ContainedInStructure", "RelatingStructure")):
        for relation in getattr(entity, relations, ()):
            return getattr(relation, word, None)
    return None
