"""A CityGML object with its descendants, as the objects that a CityJSONFeature would hold.

Of each level of detail one form of the geometry is taken: solids, else surfaces together with the boundary surfaces
that are not among them, else the boundary surfaces alone. What the form leaves out (surfaces beside a solid, terrain
intersections, point clouds, the mesh of an ImplicitGeometry) is counted. Points and lines are taken besides. LoD4 is
the finest LoD3. A LoD0 is the footprint, else the edge of the roof. Surfaces are ground where a GroundSurface has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.citygml_attributes import Attributes
from cimfed_node.ingest.readers.citygml_geometry import Face, Geometry, GeometryReader, Unresolved
from cimfed_node.ingest.readers.citygml_names import (
    GROUND,
    HREF,
    INSIDE,
    OTHER,
    SURFACES,
    TYPES,
    first_kid,
    id_of,
    kids,
    level_of_name,
    split,
    text_of,
)
from cimfed_node.ingest.readers.family import FAULT, Nameless
from cimfed_node.ingest.readers.xml import Element

_IMPLICIT, _TERRAIN = "ImplicitRepresentation", ("TerrainIntersection", "TerrainIntersectionCurve")
_ROOMS = frozenset(("BuildingRoom", "BuildingStorey", "BuildingUnit", "TunnelHollowSpace", "BridgeRoom"))
_REFERRING = frozenset(
    ("consistsOfBuildingPart", "consistsOfBridgePart", "consistsOfTunnelPart", "boundedBy")
) | frozenset(("buildingPart", "bridgePart", "tunnelPart", "boundary"))
"""Properties whose references are followed; others (relations, groups) name objects that stand for themselves."""


def type_of(element: Element) -> str:
    """The type of a city object in CityJSON's words; of an ADE's with a ``+``."""
    kind, name = split(element.tag)
    return f"+{name}" if kind == OTHER else TYPES.get(name, name)


@dataclass
class _Forms:
    """Geometry properties of an object by level. ``own``: name (after ``lod2``) and property. ``bounds``: those of
    boundary surfaces, and whether they are ground."""

    own: dict[int, list[tuple[str, Element]]] = field(default_factory=dict)
    bounds: dict[int, list[tuple[bool, Element]]] = field(default_factory=dict)


class FamilyReader:
    """Objects of one member. ``wanted``: types whose geometry is needed. ``dropped``: counts geometries left out."""

    def __init__(self, geometry: GeometryReader, wanted: frozenset[str], dropped: Counter[str]) -> None:
        self._geometry, self._wanted, self._dropped = geometry, wanted, dropped
        self.objects: dict[str, dict[str, Any]] = {}

    def add(self, element: Element, parent: str | None = None) -> str:
        """Take an object and what is within; gives its id."""
        id: str = id_of(element) or Nameless(f"(number {len(self.objects) + 1})")
        if id in self.objects:
            raise BadGeometry(f"the id {id[:64]!r} stands twice in one object")
        if len(self.objects) >= LIMITS.family:
            raise BadGeometry(f"more than {LIMITS.family:,} objects in one feature")
        kind = type_of(element)
        node: dict[str, Any] = {"type": kind}
        if parent is not None:
            node["parents"] = [parent]
        self.objects[id] = node
        forms, attributes = _Forms(), Attributes(self._dropped)
        children: list[str] = []
        for prop in kids(element):
            self._take(prop, id, kind, forms, attributes, children)
        if children:
            node["children"] = children
        node["attributes"] = attributes.finished()
        if kind in self._wanted:
            try:
                found = list(self._geometries(element, forms))
                node["geometry"] = found or list(self._anchor(forms))
            except Unresolved:
                raise
            except BadGeometry as error:
                node[FAULT] = str(error)
        return id

    def _take(
        self, prop: Element, id: str, kind: str, forms: _Forms, attributes: Attributes, children: list[str]
    ) -> None:
        level = level_of_name(prop.tag)
        if level is not None:
            forms.own.setdefault(level[0], []).append((level[1], prop))
            return
        name = split(prop.tag)[1]
        if name in ("tin", "pointCloud") and split(prop.tag)[0] != OTHER:
            if name == "tin":
                forms.own.setdefault(-1, []).append((name, prop))
            else:
                self._dropped["point clouds"] += 1
            return
        first = first_kid(prop)
        if first is None and prop.get(HREF) is not None and name in _REFERRING:
            for inner in self._geometry.held(prop):
                self._within(inner, id, kind, forms, children)
            return
        space, local = split(first.tag) if first is not None else (OTHER, "")
        if space == OTHER or (local not in SURFACES and local not in TYPES):
            attributes.add(prop)
            return
        for inner in kids(prop):
            self._within(inner, id, kind, forms, children)

    def _within(self, inner: Element, id: str, kind: str, forms: _Forms, children: list[str]) -> None:
        """Take a boundary surface or a child."""
        local = split(inner.tag)[1]
        if local in SURFACES:
            if local not in INSIDE or kind in _ROOMS:
                self._bound(inner, forms)
        elif local in TYPES:
            children.append(self.add(inner, id))

    def _bound(self, surface: Element, forms: _Forms) -> None:
        """The geometry of a boundary surface, its openings with it."""
        ground = split(surface.tag)[1] == GROUND
        for prop in kids(surface):
            level = level_of_name(prop.tag)
            if level is not None and level[1] in ("MultiSurface", "Surface"):
                forms.bounds.setdefault(level[0], []).append((ground, prop))
            elif level is None:
                for inner in kids(prop):
                    if split(inner.tag)[1] in SURFACES:
                        self._bound(inner, forms)

    def _geometries(self, element: Element, forms: _Forms) -> Iterator[dict[str, Any]]:
        if -1 in forms.own:  # dem:tin, whose level is said by dem:lod
            lod = next((text_of(prop) for prop in kids(element) if split(prop.tag)[1] == "lod"), "1")
            if lod not in ("0", "1", "2", "3", "4"):
                raise BadGeometry(f"lod {lod[:16]!r} is none of 0 to 4")
            forms.own.setdefault(int(lod), []).extend(forms.own.pop(-1))
        for level in sorted({*forms.own, *forms.bounds}):
            for found, boundaries, ground in self._of_level(
                level, forms.own.get(level, []), forms.bounds.get(level, [])
            ):
                geometry = {"type": found, "lod": "3.3" if level == 4 else str(level), "boundaries": boundaries}
                if ground:
                    values = _marks(boundaries, found, ground)
                    geometry["semantics"] = {"surfaces": [{"type": GROUND}], "values": values}
                yield geometry

    def _of_level(
        self, level: int, own: list[tuple[str, Element]], bounds: list[tuple[bool, Element]]
    ) -> Iterator[tuple[str, Any, set[frozenset[int]]]]:
        """Type, boundaries and the ground surfaces of the geometries to take of one level."""
        bounding: list[Face] = []
        ground: set[frozenset[int]] = set()
        for is_ground, prop in bounds:
            for kind, boundaries in self._geometry.of_property(prop, level):
                if kind == "MultiSurface":
                    bounding += boundaries
                    if is_ground:
                        ground |= {_key(face) for face in boundaries}
        names = {name for name, _ in own}
        solids: list[Geometry] = []
        surfaces: list[Face] = []
        for name, prop in own:
            if name in _TERRAIN:
                self._dropped[f"terrain intersections of LoD {level}"] += 1
            elif name == _IMPLICIT:
                self._dropped[f"meshes of ImplicitGeometry of LoD {level}"] += 1
            elif name == "RoofEdge" and "FootPrint" in names:
                self._dropped["roof edges beside a footprint"] += 1
            else:
                for kind, boundaries in self._geometry.of_property(prop, level):
                    if kind in ("Solid", "MultiSolid"):
                        solids.append((kind, boundaries))
                    elif kind == "MultiSurface":
                        surfaces += boundaries
                    else:
                        yield from self._loose(kind, boundaries)
        if solids:
            inside = {_key(face) for kind, boundaries in solids for face in _faces(boundaries, kind)}
            beside = sum(_key(face) not in inside for face in surfaces)
            if beside:
                self._dropped[f"surfaces beside a solid of LoD {level}"] += beside
            for kind, boundaries in solids:
                yield kind, boundaries, ground
            return
        if level == 0 and not surfaces and ground:
            bounding = [face for face in bounding if _key(face) in ground]
        known = {_key(face) for face in surfaces} if surfaces and bounding else set()
        if level or not surfaces:
            surfaces += [face for face in bounding if _key(face) not in known]
        if surfaces:
            yield "MultiSurface", surfaces, ground

    @staticmethod
    def _loose(kind: str, boundaries: Any) -> Iterator[tuple[str, Any, set[frozenset[int]]]]:
        if boundaries:
            yield kind, boundaries, set()

    def _anchor(self, forms: _Forms) -> Iterator[dict[str, Any]]:
        """Where the first ImplicitGeometry stands."""
        for _, properties in sorted(forms.own.items()):
            for prop in (prop for name, prop in properties if name == _IMPLICIT):
                for inner in (inner for implicit in kids(prop) for inner in kids(implicit)):
                    if split(inner.tag)[1] == "referencePoint":
                        for kind, boundaries in self._geometry.of_property(inner, 0):
                            yield {"type": kind, "lod": "0", "boundaries": boundaries}
                        return


def _key(face: Face) -> frozenset[int]:
    """A surface whichever way its ring runs and wherever it begins."""
    return frozenset(face[0])


def _faces(boundaries: Any, kind: str) -> list[Face]:
    """Surfaces of a Solid or MultiSolid."""
    solids = boundaries if kind == "MultiSolid" else [boundaries]
    return [face for solid in solids for shell in solid for face in shell]


def _marks(boundaries: Any, kind: str, ground: set[frozenset[int]]) -> Any:
    """The semantic values of boundaries: 0 for ground."""
    if kind == "MultiSurface":
        return [0 if _key(face) in ground else None for face in boundaries]
    inner = "MultiSurface" if kind == "Solid" else "Solid"
    return [_marks(one, inner, ground) for one in boundaries]
