"""GML geometries as CityJSON's boundaries: lists of vertex numbers.

Read are the surfaces, solids, lines and points of GML 3.1 and 3.2, and GML 2's ``coordinates``; a reference
(``xlink:href="#id"``) stands for what it leads to. Everything that a reference may multiply is counted: a few elements
that name each other can stand for more surfaces than there are atoms. Arcs and splines are no surfaces of a city model;
whoever has one gets a bad object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.citygml_names import HREF, first_kid, id_of, kids, split, text_of
from cimfed_node.ingest.readers.xml import Element

Point = tuple[float, float, float]
Face = list[list[int]]
"""Rings of vertex numbers, the outer one first."""
Geometry = tuple[str, Any]
"""A type of CityJSON and its boundaries."""

_DEPTH = 64  # levels of geometries in one another, references followed
_SURFACE = frozenset(
    ("Polygon", "MultiSurface", "CompositeSurface", "Surface", "OrientableSurface", "TriangulatedSurface", "Tin")
) | {"PolyhedralSurface", "Shell", "MultiPolygon", "PolygonPatch", "Triangle", "Rectangle", "TexturedSurface"}
_LINE = frozenset(
    ("LineString", "Curve", "MultiCurve", "CompositeCurve", "OrientableCurve", "MultiLineString", "LineStringSegment")
)
_MEMBERS = frozenset(
    ("surfaceMember", "surfaceMembers", "patches", "polygonPatches", "trianglePatches", "baseSurface", "polygonMember")
)
_CURVES = frozenset(("curveMember", "curveMembers", "baseCurve", "segments", "lineStringMember"))
_SEVERAL = frozenset(("GeometricComplex", "MultiGeometry", "CompositeGeometry"))


class Unresolved(BadGeometry):
    """A reference that leads to nothing in the object."""

    def __init__(self, id: str) -> None:
        super().__init__(f"the reference #{id[:64]} leads to nothing in the object or near it")
        self.id = id


class GeometryReader:
    """Geometries of one top-level object. ``swapped``: the first coordinate is northing or latitude. ``dimension``: of
    positions that do not say. ``same``: whether an srsName means the file's CRS. ``vertices``: found so far."""

    def __init__(
        self, resolve: Callable[[str], Element], swapped: bool, dimension: int, same: Callable[[str], bool]
    ) -> None:
        self._resolve, self._swapped, self._dimension, self._same = resolve, swapped, dimension, same
        self._numbers: dict[Point, int] = {}
        self._polygons: dict[str, list[Face]] = {}
        self._steps = self._points = 0
        self._flat = False  # positions of two dimensions were met

    @property
    def vertices(self) -> list[Point]:
        return list(self._numbers)

    def held(self, prop: Element) -> Iterator[Element]:
        """The elements in a property, or the one that it refers to."""
        href = prop.get(HREF)
        if href is None:
            yield from kids(prop)
        elif not href.startswith("#"):
            raise BadGeometry(f"a reference to another file: {href[:64]!r}")
        else:
            known = first_kid(prop)
            yield self._resolve(href[1:]) if known is None else known

    def of_property(self, prop: Element, level: int) -> list[Geometry]:
        """What a property such as ``lod2Solid`` holds. Only a LoD0 can be without heights."""
        self._flat = False
        found = [geometry for element in self.held(prop) for geometry in self.read(element, self._dimension, 0)]
        if self._flat and level:
            raise BadGeometry(f"positions without heights in a LoD{level}")
        return found

    def read(self, element: Element, dimension: int, depth: int) -> Iterator[Geometry]:
        dimension = self._enter(element, dimension, depth)
        name = split(element.tag)[1]
        if name == "Solid":
            yield "Solid", self._solid(element, dimension, depth)
        elif name in ("MultiSolid", "CompositeSolid"):
            yield "MultiSolid", list(self._solids(element, dimension, depth))
        elif name in _SURFACE:
            yield "MultiSurface", self.faces(element, dimension, depth)
        elif name in _LINE:
            yield "MultiLineString", list(self._lines(element, dimension, depth))
        elif name in ("Point", "MultiPoint"):
            yield "MultiPoint", list(self._places(element, dimension, depth))
        elif name in _SEVERAL:
            for prop in kids(element):
                for inner in self.held(prop):
                    yield from self.read(inner, dimension, depth + 1)
        else:
            raise BadGeometry(f"{name[:40]!r} is no geometry that is read")

    def _enter(self, element: Element, dimension: int, depth: int) -> int:
        """Count an element; gives the dimension of what is in it."""
        self._steps += 1
        if depth > _DEPTH or self._steps > LIMITS.vertices:
            raise BadGeometry("geometries that refer to each other without end")
        named = element.get("srsName")
        if named is not None and not self._same(named):
            raise BadGeometry(f"{named[:80]!r} is not the coordinate reference system of the file")
        own = element.get("srsDimension")
        return dimension if own is None else _dimension(own)

    def _solid(self, element: Element, dimension: int, depth: int) -> list[list[Face]]:
        shells: list[list[Face]] = []
        for wanted in ("exterior", "interior"):
            for prop in kids(element):
                if split(prop.tag)[1] == wanted:
                    shells += [self.faces(shell, dimension, depth + 1) for shell in self.held(prop)]
        return shells

    def _solids(self, element: Element, dimension: int, depth: int) -> Iterator[list[list[Face]]]:
        for prop in kids(element):
            for inner in self.held(prop) if split(prop.tag)[1] in ("solidMember", "solidMembers") else ():
                inner_dimension = self._enter(inner, dimension, depth + 1)
                if split(inner.tag)[1] == "Solid":
                    yield self._solid(inner, inner_dimension, depth + 1)
                else:
                    yield from self._solids(inner, inner_dimension, depth + 1)

    def faces(self, element: Element, dimension: int, depth: int) -> list[Face]:
        """All surfaces in an element."""
        dimension = self._enter(element, dimension, depth)
        name = split(element.tag)[1]
        if name in ("Polygon", "PolygonPatch", "Triangle", "Rectangle"):
            return self._polygon(element, dimension)
        if name not in _SURFACE:
            raise BadGeometry(f"{name[:40]!r} is no surface that is read")
        found: list[Face] = []
        for prop in kids(element):
            if split(prop.tag)[1] in _MEMBERS:
                href = prop.get(HREF)
                known = self._polygons.get(href[1:]) if href is not None else None
                if known is not None:
                    self._count(known)
                    found += known
                    continue
                for inner in self.held(prop):
                    found += self.faces(inner, dimension, depth + 1)
        if name in ("OrientableSurface", "TexturedSurface") and element.get("orientation") == "-":
            return [[ring[::-1] for ring in face] for face in found]
        return found

    def _count(self, faces: list[Face]) -> None:
        self._steps += len(faces)
        self._points += sum(len(ring) for face in faces for ring in face)
        if self._points > LIMITS.vertices:
            raise BadGeometry(f"more than {LIMITS.vertices:,} vertices")

    def _polygon(self, element: Element, dimension: int) -> list[Face]:
        outer: Face = []
        inner: Face = []
        for prop in kids(element):
            name = split(prop.tag)[1]
            if name in ("exterior", "outerBoundaryIs"):
                outer += [self._ring(ring, dimension) for ring in self.held(prop)]
            elif name in ("interior", "innerBoundaryIs"):
                inner += [self._ring(ring, dimension) for ring in self.held(prop)]
        if len(outer) != 1:
            raise BadGeometry("a polygon without an outer ring" if not outer else "a polygon of two outer rings")
        faces = [outer + inner]
        self._count(faces)
        id = id_of(element)
        if id is not None:
            self._polygons[id] = faces
        return faces

    def _ring(self, element: Element, dimension: int) -> list[int]:
        name = split(element.tag)[1]
        if name == "LinearRing":
            points = list(self._positions(element, dimension))
        elif name == "Ring":
            points = []
            for prop in kids(element):
                for curve in self.held(prop):
                    for line in self._curve(curve, dimension, 1):
                        points += line[1:] if points and points[-1] == line[0] else line
        else:
            raise BadGeometry(f"{name[:40]!r} is no ring that is read")
        if len(points) < 4:
            raise BadGeometry("a ring of fewer than 4 positions")
        if points[0] != points[-1]:
            raise BadGeometry("a ring that is not closed")
        return self._numbered(points[:-1])

    def _lines(self, element: Element, dimension: int, depth: int) -> Iterator[list[int]]:
        for line in self._curve(element, dimension, depth):
            yield self._numbered(line)

    def _curve(self, element: Element, dimension: int, depth: int) -> Iterator[list[Point]]:
        dimension = self._enter(element, dimension, depth)
        name = split(element.tag)[1]
        if name in ("LineString", "LineStringSegment"):
            points = list(self._positions(element, dimension))
            if len(points) < 2:
                raise BadGeometry("a line of fewer than 2 positions")
            yield points
        elif name in _LINE:
            turned = name == "OrientableCurve" and element.get("orientation") == "-"
            for prop in kids(element):
                for inner in self.held(prop) if split(prop.tag)[1] in _CURVES else ():
                    for line in self._curve(inner, dimension, depth + 1):
                        yield line[::-1] if turned else line
        else:
            raise BadGeometry(f"{name[:40]!r} is no line that is read")

    def _places(self, element: Element, dimension: int, depth: int) -> Iterator[int]:
        dimension = self._enter(element, dimension, depth)
        if split(element.tag)[1] == "Point":
            points = list(self._positions(element, dimension))
            if len(points) != 1:
                raise BadGeometry("a point that is not of one position")
            yield from self._numbered(points)
        else:
            for prop in kids(element):
                for inner in self.held(prop) if split(prop.tag)[1] in ("pointMember", "pointMembers") else ():
                    yield from self._places(inner, dimension, depth + 1)

    def _numbered(self, points: list[Point]) -> list[int]:
        numbers = self._numbers
        return [numbers.setdefault(point, len(numbers)) for point in points]

    def _positions(self, element: Element, dimension: int) -> Iterator[Point]:
        """The positions in a ring, line or point."""
        own = element.get("srsDimension")
        dimension = dimension if own is None else _dimension(own)
        for child in kids(element):
            name = split(child.tag)[1]
            named = child.get("srsName")
            if named is not None and not self._same(named):
                raise BadGeometry(f"{named[:80]!r} is not the coordinate reference system of the file")
            if name == "posList":
                own = child.get("srsDimension") or child.get("dimension")
                yield from self._points_of(_numbers(text_of(child)), dimension if own is None else _dimension(own))
            elif name == "pos":
                numbers = _numbers(text_of(child))
                yield from self._points_of(numbers, len(numbers))
            elif name == "coordinates":
                for group in _groups(child):
                    yield from self._points_of(group, len(group))
            elif name == "coord":
                numbers = [number for axis in kids(child) for number in _numbers(text_of(axis))]
                yield from self._points_of(numbers, len(numbers))
            elif name in ("pointProperty", "pointRep"):
                for point in self.held(child):
                    self._enter(point, dimension, 0)
                    yield from self._positions(point, dimension)

    def _points_of(self, numbers: list[float], dimension: int) -> Iterator[Point]:
        if dimension not in (2, 3) or not numbers or len(numbers) % dimension:
            raise BadGeometry(f"{len(numbers):,} numbers that are no positions of {dimension}")
        if len(numbers) > 3 * LIMITS.vertices:
            raise BadGeometry(f"more than {LIMITS.vertices:,} vertices")
        self._flat |= dimension == 2
        heights = numbers[2::3] if dimension == 3 else [0.0] * (len(numbers) // 2)
        first, second = numbers[0::dimension], numbers[1::dimension]
        yield from (
            zip(second, first, heights, strict=True) if self._swapped else zip(first, second, heights, strict=True)
        )


def _dimension(text: str) -> int:
    if text.strip() not in ("2", "3"):
        raise BadGeometry(f"srsDimension {text[:16]!r} is neither 2 nor 3")
    return int(text)


def _numbers(text: str) -> list[float]:
    if "_" in text:  # Python reads 1_000
        raise BadGeometry("coordinates that are not numbers")
    try:
        return list(map(float, text.split()))
    except ValueError:
        raise BadGeometry("coordinates that are not numbers") from None


def _groups(element: Element) -> Iterator[list[float]]:
    """GML 2: ``x,y,z x,y,z``, with other separators where it says so."""
    between, within, decimal = (
        element.get(name) or usual for name, usual in (("ts", " "), ("cs", ","), ("decimal", "."))
    )
    text = text_of(element)
    for group in text.split() if between.isspace() else text.split(between):
        if group.strip():
            yield _numbers(group.replace(within, " ").replace(decimal, "."))
