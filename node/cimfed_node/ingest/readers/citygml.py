"""CityGML 1.0, 2.0 and 3.0, one member of the CityModel at a time.

Every top-level object becomes what a CityJSONFeature would hold (``citygml_objects``), so that the same mappings and
the same code make rows of both. Its original is the member's XML in canonical form. References between objects are
followed as far as ``LIMITS.reach`` goes: an object that refers to one further on waits for it. What else the CityModel
holds, such as appearances, is kept in the original for itself.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from cimfed.errors import BadFile
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import SourceCrs
from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.readers.citygml_crs import Named, check_order, named
from cimfed_node.ingest.readers.citygml_geometry import GeometryReader, Unresolved
from cimfed_node.ingest.readers.citygml_names import GML_ID, HREF, id_of, kids, split, version_of
from cimfed_node.ingest.readers.citygml_objects import FamilyReader
from cimfed_node.ingest.readers.family import PARTS, Feature, Nameless, add_family, shapes_of
from cimfed_node.ingest.readers.xml import Children, Element, parsed, written
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.shapes import CityShapes

_MEMBERS = frozenset(("cityObjectMember", "featureMember", "featureMembers"))
_READ = ("1.0", "2.0", "3.0")
_FORMS = 64  # different srsNames in one file: more are no names of coordinate reference systems


class _Around:
    """Members around the one that is read, for references that lead out of it. Which ids are where is found out when
    the first one does: few files have any."""

    def __init__(self) -> None:
        self._held: deque[bytes] = deque()
        self.size = 0
        self._where: dict[str, bytes] | None = None
        self._parsed: dict[int, dict[str, Element]] = {}

    def hold(self, raw: bytes) -> None:
        self._held.append(raw)
        self.size += len(raw)
        where = self._where
        if where is not None:
            where |= dict.fromkeys(_names(raw), raw)
        while self.size > LIMITS.reach and len(self._held) > 1:
            gone = self._held.popleft()
            self.size -= len(gone)
            self._parsed.pop(id(gone), None)
            for name in _names(gone) if where is not None else ():
                if where is not None and where.get(name) is gone:
                    del where[name]

    def find(self, name: str) -> Element:
        if self._where is None:
            self._where = {name: raw for raw in self._held for name in _names(raw)}
        raw = self._where.get(name)
        if raw is None:
            return None
        if id(raw) not in self._parsed:
            self._parsed[id(raw)] = _ids(parsed(raw))
        return self._parsed[id(raw)].get(name)


_ID = re.compile(rb'[\s:]id="([^"]+)"')


def _names(raw: bytes) -> set[str]:
    """All that may be an id in canonical XML."""
    return {name.decode() for name in _ID.findall(raw)}


def _ids(element: Element) -> dict[str, Element]:
    found: dict[str, Element] = {}
    for inner in element.xpath("descendant-or-self::*[@a:id or @b:id]", namespaces=_SPACES):
        found.setdefault(id_of(inner) or "", inner)
    return found


_SPACES = {letter: name[1:].split("}")[0] for letter, name in zip("ab", GML_ID, strict=True)}


class CityGMLReader:
    def __init__(self, file: str, children: Children, context: Context) -> None:
        self.file = file
        self._context = context
        version = version_of(children.prolog.tag)
        if version not in _READ:
            raise BadFile(
                f"CityGML {str(version)[:16]} is not read", place=file, remedy="This release reads CityGML 1.0 to 3.0"
            )
        self.format = f"CityGML {version}"
        self.total: int | None = None
        self._children = iter(children)
        self._around = _Around()
        self._waiting: list[tuple[bytes, str, int]] = []  # original, what it waits for, line
        self._wanted = frozenset({*context.mapping.types, *PARTS.values()})
        self._first: Element = None
        before: list[str] = []
        told: tuple[str, int] | None = None
        size = 0
        for child in self._children:
            if split(child.tag)[1] in _MEMBERS:
                self._first = child
                break
            told = told or _named_in(child)
            before.append(written(child).decode())
            size += len(before[-1])
            if size > LIMITS.line:
                raise BadFile("a CityModel whose first object is beyond all bounds", place=file)
        root = children.root
        if told is None and self._first is not None:
            told = _named_in(self._first)
        self._name = told[0] if told else None
        self._dimension = told[1] if told else 3
        self.header: Mapping[str, Any] = {
            "format": self.format,
            "namespaces": {prefix or "": space for prefix, space in root.nsmap.items()},
            "attributes": dict(root.attrib),
            "before": before,
        }
        self._source: Named | None = None
        self._same: dict[str, bool] = {}
        self._checked = False
        self.chunk = self.new_chunk()

    @property
    def crs(self) -> SourceCrs | None:
        return named(self._name, self.file).crs if self._name else None

    @property
    def kept(self) -> int:
        """Bytes of XML that are held for references between objects."""
        return self._around.size + sum(len(raw) for raw, _, _ in self._waiting)

    def new_chunk(self) -> Chunk:
        return Chunk(self.file, CityShapes((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))

    def read(self) -> Iterator[BadObject | None]:
        """See ``Reader.read``."""
        name = self._context.request.crs or self._name
        self._source = named(name, "--crs" if self._context.request.crs else self.file) if name else None
        if self._first is not None:
            yield from self._child(self._first)
            for child in self._children:
                yield from self._child(child)
        for waiting in self._waiting:
            yield self._given_up(*waiting)

    def _child(self, child: Element) -> Iterator[BadObject | None]:
        line = child.sourceline or 0
        if split(child.tag)[1] not in _MEMBERS:
            self.chunk.originals.append((_as_json(written(child)), []))
            return
        inside = list(kids(child))
        if not inside and child.get(HREF) is not None:
            self._context.skipped["references to other files"] += 1
        for element in inside:
            raw = written(child if len(inside) == 1 else element)
            self._around.hold(raw)
            yield from self._object(element, raw, line)
            found = _ids(element) if self._waiting else {}
            for waiting in [one for one in self._waiting if one[1] in found]:
                if waiting in self._waiting:  # another one may have taken its room
                    self._waiting.remove(waiting)
                    yield from self._again(waiting[0], waiting[2])

    def _again(self, raw: bytes, line: int) -> Iterator[BadObject | None]:
        element = parsed(raw)
        inside = next(kids(element)) if split(element.tag)[1] in _MEMBERS else element
        yield from self._object(inside, raw, line)

    def _object(self, element: Element, raw: bytes, line: int) -> Iterator[BadObject | None]:
        dropped: Counter[str] = Counter()
        geometry = GeometryReader(_Resolver(element, self._around), self._swapped, self._dimension, self._is_same)
        family = FamilyReader(geometry, self._wanted, dropped)
        try:
            root = family.add(element)
        except Unresolved as error:
            yield from self._wait(raw, error.id, line)
            return
        except BadGeometry as error:
            self._context.objects += 1
            yield BadObject(self.file, id_of(element) or "", str(error), line)
            return
        except RecursionError:  # parts that refer to parts: elements themselves end at 256 levels
            self._context.objects += 1
            yield BadObject(self.file, id_of(element) or "", "nested too deeply", line)
            return
        shapes_of(self.chunk).dropped.update(dropped)
        vertices = geometry.vertices
        if not self._checked and vertices and self._source is not None:
            self._checked = True
            check_order(np.array(vertices)[:, :2], self._source, self.file)
        feature = Feature(root, family.objects, vertices, _as_json(raw), line)
        yield from add_family(self.chunk, feature, self._context)
        yield None

    def _wait(self, raw: bytes, id: str, line: int) -> Iterator[BadObject]:
        self._waiting.append((raw, id, line))
        while sum(len(one[0]) for one in self._waiting) > LIMITS.reach:
            yield self._given_up(*self._waiting.pop(0))

    def _given_up(self, raw: bytes, id: str, line: int) -> BadObject:
        self._context.objects += 1
        return BadObject(self.file, _first_id(raw), str(Unresolved(id)), line)

    @property
    def _swapped(self) -> bool:
        return self._source is not None and self._source.swapped

    def _is_same(self, name: str) -> bool:
        """Whether an srsName within the file means the file's CRS with its axes; what ``--crs`` says is not doubted."""
        if self._context.request.crs or name == self._name or self._source is None:
            return True
        known = self._same.get(name)
        if known is None:
            try:
                other = named(name, self.file)
                known = other.swapped == self._swapped and other.crs.horizontal == self._source.crs.horizontal
            except BadFile:
                known = False
            if len(self._same) < _FORMS:
                self._same[name] = known
        return known


class _Resolver:
    """References of one object: within it, then around it."""

    def __init__(self, element: Element, around: _Around) -> None:
        self._element, self._around = element, around
        self._own: dict[str, Element] | None = None
        self._left = LIMITS.references

    def __call__(self, id: str) -> Element:
        if self._own is None:
            self._own = _ids(self._element)
        found = self._own.get(id)
        if found is None:
            self._left -= 1
            if self._left < 0:
                raise BadGeometry(f"more than {LIMITS.references:,} references to other objects")
            found = self._around.find(id)
        if found is None:
            raise Unresolved(id)
        return found


def _as_json(raw: bytes) -> bytes:
    """XML as a JSON string. orjson's own bytes keep room for eight times the text, until they are copied."""
    return b"%b" % orjson.dumps(raw.decode())


def _named_in(element: Element) -> tuple[str, int] | None:
    """The first srsName in an element, with the dimension that stands beside it."""
    for inner in element.xpath("descendant-or-self::*[@srsName]"):
        dimension = inner.get("srsDimension", "3")
        return str(inner.get("srsName")), 2 if dimension == "2" else 3
    return None


def _first_id(raw: bytes) -> str:
    element = parsed(raw)
    inside = next(kids(element)) if split(element.tag)[1] in _MEMBERS else element
    found = id_of(inside)
    return "" if found is None or type(found) is Nameless else found
