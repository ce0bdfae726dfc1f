"""Small IFC files for import tests, entity by entity, in any schema and unit. Sizes are given in metres.

A ``House`` has a site, a building, storeys and rooms that are boxes; what stands around them is added by its methods.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ifcopenshell
import ifcopenshell.guid

UNITS = {"m": 1.0, "mm": 0.001, "ft": 0.3048}


@dataclass
class House:
    schema: str = "IFC4"
    unit: str = "m"
    file: Any = field(init=False)

    def __post_init__(self) -> None:
        self.file = ifcopenshell.file(schema=self.schema)
        make = self.file.create_entity
        origin = self._axes(0, 0, 0)
        self.context = make("IfcGeometricRepresentationContext", None, "Model", 3, 1e-5, origin, None)
        self.project = self.rooted(
            "IfcProject", "Project", RepresentationContexts=[self.context], UnitsInContext=self._units()
        )
        self.site = self.rooted("IfcSite", "Site", CompositionType="ELEMENT", ObjectPlacement=self._placement(None))
        self.building = self.rooted(
            "IfcBuilding", "House", CompositionType="ELEMENT", ObjectPlacement=self._placement(self.site)
        )
        self._aggregate(self.project, self.site)
        self._aggregate(self.site, self.building)

    def rooted(self, kind: str, name: str | None, **more: Any) -> Any:
        history = {"OwnerHistory": self._history()} if self.schema == "IFC2X3" else {}
        return self.file.create_entity(kind, GlobalId=ifcopenshell.guid.new(), Name=name, **history, **more)

    def _history(self) -> Any:
        held = self.file.by_type("IfcOwnerHistory")
        if held:
            return held[0]
        make = self.file.create_entity
        person, organisation = make("IfcPerson", FamilyName="N"), make("IfcOrganization", Name="N")
        user = make("IfcPersonAndOrganization", person, organisation)
        program = make("IfcApplication", organisation, "1", "tests", "tests")
        return make("IfcOwnerHistory", user, program, None, "ADDED", None, None, None, 0)

    def _units(self) -> Any:
        make = self.file.create_entity
        prefix = "MILLI" if self.unit == "mm" else None
        units = [
            make("IfcSIUnit", None, "LENGTHUNIT", prefix, "METRE"),
            make("IfcSIUnit", None, "AREAUNIT", prefix if self.unit == "mm" else None, "SQUARE_METRE"),
            make("IfcSIUnit", None, "VOLUMEUNIT", prefix if self.unit == "mm" else None, "CUBIC_METRE"),
        ]
        if self.unit == "ft":
            for at, (kind, name, dimension) in enumerate(
                (("LENGTHUNIT", "FOOT", 1), ("AREAUNIT", "SQUARE FOOT", 2), ("VOLUMEUNIT", "CUBIC FOOT", 3))
            ):
                exponents = make("IfcDimensionalExponents", dimension, 0, 0, 0, 0, 0, 0)
                measure = make("IfcReal", 0.3048**dimension)
                units[at] = make(
                    "IfcConversionBasedUnit", exponents, kind, name, make("IfcMeasureWithUnit", measure, units[at])
                )
        return make("IfcUnitAssignment", units)

    def own(self, metres: float) -> float:
        """In the project's unit."""
        return metres / UNITS[self.unit]

    def _axes(self, x: float, y: float, z: float) -> Any:
        point = self.file.create_entity("IfcCartesianPoint", [self.own(v) for v in (x, y, z)])
        return self.file.create_entity("IfcAxis2Placement3D", point)

    def _placement(self, within: Any, x: float = 0, y: float = 0, z: float = 0) -> Any:
        parent = None if within is None else within.ObjectPlacement
        return self.file.create_entity("IfcLocalPlacement", parent, self._axes(x, y, z))

    def _aggregate(self, whole: Any, part: Any) -> None:
        self.rooted("IfcRelAggregates", None, RelatingObject=whole, RelatedObjects=[part])

    def storey(self, name: str, level: float) -> Any:
        made = self.rooted(
            "IfcBuildingStorey",
            name,
            CompositionType="ELEMENT",
            Elevation=self.own(level),
            ObjectPlacement=self._placement(self.building, z=level),
        )
        self._aggregate(self.building, made)
        return made

    def box(self, size: tuple[float, float, float]) -> Any:
        """A body: a block with its corner at zero."""
        make = self.file.create_entity
        x, y, z = map(self.own, size)
        centre = make("IfcAxis2Placement2D", make("IfcCartesianPoint", [x / 2, y / 2]))
        profile = make("IfcRectangleProfileDef", "AREA", None, centre, x, y)
        up = make("IfcDirection", [0.0, 0.0, 1.0])
        solid = make("IfcExtrudedAreaSolid", profile, self._axes(0, 0, 0), up, z)
        shape = make("IfcShapeRepresentation", self.context, "Body", "SweptSolid", [solid])
        return make("IfcProductDefinitionShape", None, None, [shape])

    def room(
        self, storey: Any, name: str, at: tuple[float, float], size: tuple[float, float, float], **more: Any
    ) -> Any:
        more.setdefault("Representation", self.box(size))
        if self.schema == "IFC2X3":
            more.setdefault("InteriorOrExteriorSpace", "INTERNAL")
        made = self.rooted(
            "IfcSpace", name, CompositionType="ELEMENT", ObjectPlacement=self._placement(storey, *at), **more
        )
        self._aggregate(storey, made)
        return made

    def slab(self, storey: Any, at: tuple[float, float], size: tuple[float, float, float], kind: str = "FLOOR") -> Any:
        made = self.rooted(
            "IfcSlab",
            "slab",
            PredefinedType=kind,
            ObjectPlacement=self._placement(storey, *at),
            Representation=self.box(size),
        )
        self.rooted("IfcRelContainedInSpatialStructure", None, RelatedElements=[made], RelatingStructure=storey)
        return made

    def properties(self, of: Any, name: str, **values: tuple[str, Any]) -> None:
        """Each value with its type, such as ("IfcLabel", "x")."""
        make = self.file.create_entity
        held = [
            make("IfcPropertySingleValue", word, None, make(kind, value), None)
            for word, (kind, value) in values.items()
        ]
        made = self.rooted("IfcPropertySet", name, HasProperties=held)
        self.rooted("IfcRelDefinesByProperties", None, RelatedObjects=[of], RelatingPropertyDefinition=made)

    def quantities(self, of: Any, name: str, **values: tuple[str, float]) -> None:
        """Each with its sort and size in metres, such as ("Area", 12.5)."""
        power = {"Length": 1, "Area": 2, "Volume": 3}
        held = [
            self.file.create_entity(
                f"IfcQuantity{sort}", Name=word, **{f"{sort}Value": value / UNITS[self.unit] ** power[sort]}
            )
            for word, (sort, value) in values.items()
        ]
        made = self.rooted("IfcElementQuantity", name, Quantities=held)
        self.rooted("IfcRelDefinesByProperties", None, RelatedObjects=[of], RelatingPropertyDefinition=made)

    def conversion(
        self,
        east: float,
        north: float,
        height: float,
        crs: str = "EPSG:4549",
        axis: tuple[float, float] | None = None,
        scale: float | None = None,
        vertical: str | None = None,
    ) -> None:
        """To a projected system in metres."""
        make = self.file.create_entity
        if self.schema == "IFC2X3":
            x, y = axis or (1.0, 0.0)
            scaled = {} if scale is None else {"Scale": ("IfcReal", scale)}
            self.properties(
                self.project,
                "ePSet_MapConversion",
                Eastings=("IfcLengthMeasure", east),
                Northings=("IfcLengthMeasure", north),
                OrthogonalHeight=("IfcLengthMeasure", height),
                XAxisAbscissa=("IfcReal", x),
                XAxisOrdinate=("IfcReal", y),
                **scaled,
            )
            self.properties(
                self.project, "ePSet_ProjectedCRS", Name=("IfcLabel", crs), MapUnit=("IfcIdentifier", "METRE")
            )
            return
        metre = make("IfcSIUnit", None, "LENGTHUNIT", None, "METRE")
        target = make("IfcProjectedCRS", Name=crs, VerticalDatum=vertical, MapUnit=metre)
        x, y = axis or (None, None)
        make("IfcMapConversion", self.context, target, east, north, height, x, y, scale)

    def true_north(self, x: float, y: float) -> None:
        self.context.TrueNorth = self.file.create_entity("IfcDirection", [x, y])

    def write(self, path: Path) -> Path:
        self.file.write(str(path))
        return path

    def bytes(self) -> bytes:
        return self.file.to_string().encode()
