"""CityJSON 1.0, 1.1 and 2.0, as one document or as CityJSONSeq (one feature per line).

A document is taken apart into the features that CityJSONSeq would hold: a top-level object with its descendants and the
vertices that they use. From there on both are the same; ``family`` makes rows of them.

Of 1.0 all is read in which 1.1 differs: vertices without a transform, levels of detail as numbers, groups that name
their members, GenericCityObject. Extensions are read as any object is: their types bear a ``+``, their attributes
become ``ext`` or what the mapping says. Geometry templates are put in place. Leaves out: textures, materials, semantics
but of ground surfaces (they are in the original, as is everything that an Extension adds).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from cimfed.errors import BadFile
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import SourceCrs, parse_crs
from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.readers.family import Feature, add_family, children_of, shapes_of
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.shapes import CityShapes

_READ = re.compile(r"(1\.[01]|2\.0)(\.[0-9]+)?")
_INSTANCE = "GeometryInstance"


def check_version(document: Mapping[str, Any], name: str) -> str:
    version = document.get("version")
    if type(version) is str and _READ.fullmatch(version):
        return version
    older = str(version).startswith("0.")
    raise BadFile(
        f"CityJSON {str(version)[:16]} is not read",
        place=name,
        remedy="Upgrade it with cjio: 'cjio OLD.city.json upgrade save NEW.city.json'"
        if older
        else "This release reads CityJSON 1.0, 1.1 and 2.0",
    )


def _triple(value: Any) -> bool:
    return type(value) is list and len(value) == 3 and set(map(type, value)) <= {int, float}


class CityReader:
    """``header``: the document without its objects and vertices, or the first line of CityJSONSeq.

    ``lines``: the numbered lines after the header; None for a document, whose content is in ``document``.
    """

    def __init__(
        self,
        file: str,
        document: dict[str, Any],
        lines: Iterable[tuple[int, bytes]] | None,
        context: Context,
    ) -> None:
        self.file = file
        self._context = context
        self._lines = lines
        version = check_version(document, file)
        self.format = f"CityJSONSeq {version}" if lines is not None else f"CityJSON {version}"
        transform = document.get("transform")
        if transform is None and version.startswith("1.0"):
            transform = {"scale": [1.0] * 3, "translate": [0.0] * 3}
        if (
            type(transform) is not dict
            or not _triple(transform.get("scale"))
            or not _triple(transform.get("translate"))
        ):
            raise BadFile("'transform' does not give scale and translate as three numbers each", place=file)
        if 0 in transform["scale"]:
            raise BadFile("'transform' has a scale of 0: all vertices would be in one place", place=file)
        self._scale, self._translate = tuple(transform["scale"]), tuple(transform["translate"])
        metadata = document.get("metadata")
        self._named = metadata.get("referenceSystem") if type(metadata) is dict else None
        self._objects, self._vertices = document.get("CityObjects", {}), document.get("vertices", [])
        if type(self._objects) is not dict or type(self._vertices) is not list:
            raise BadFile("'CityObjects' is not an object or 'vertices' is not a list", place=file)
        if lines is not None and self._objects:
            raise BadFile("the first line of CityJSONSeq must not hold objects of its own", place=file)
        self._reached: set[str] = set()
        self.total = len(self._objects) if lines is None else None
        self.header: Mapping[str, Any] = {
            key: document[key] for key in document if key not in ("CityObjects", "vertices")
        }
        self._templates, self._template_points = self._read_templates(document.get("geometry-templates"))
        self.chunk = self.new_chunk()

    def _read_templates(self, node: Any) -> tuple[list[Any], np.ndarray[Any, Any]]:
        if node is None:
            return [], np.empty((0, 3))
        try:
            points = np.array(node["vertices-templates"], np.float64).reshape(-1, 3)
            if type(node["templates"]) is not list:
                raise TypeError
        except (KeyError, TypeError, ValueError):
            raise BadFile("'geometry-templates' is not as CityJSON has it", place=self.file) from None
        return node["templates"], points

    @property
    def crs(self) -> SourceCrs | None:
        return parse_crs(self._named, self.file) if self._named else None

    def new_chunk(self) -> Chunk:
        return Chunk(self.file, CityShapes(self._scale, self._translate))

    def features(self) -> Iterator[Feature | BadObject]:
        if self._lines is None:
            yield from self._from_document()
        else:
            for number, line in self._lines:
                yield self._from_line(number, line)

    def _from_line(self, number: int, line: bytes) -> Feature | BadObject:
        try:
            node = orjson.loads(line)
        except orjson.JSONDecodeError:
            return BadObject(self.file, "", "not JSON", number)
        if type(node) is not dict or node.get("type") != "CityJSONFeature":
            return BadObject(self.file, "", "not a CityJSONFeature", number)
        id, objects, vertices = node.get("id"), node.get("CityObjects"), node.get("vertices")
        if type(id) is not str:
            return BadObject(self.file, "", "no id", number)
        if type(objects) is not dict or type(vertices) is not list:
            return BadObject(self.file, id, "'CityObjects' or 'vertices' is missing or of the wrong type", number)
        if id not in objects:
            return BadObject(self.file, id, "the feature's id names none of its objects", number)
        if len(objects) > LIMITS.family:
            return BadObject(self.file, id, f"more than {LIMITS.family:,} objects in one feature", number)
        return Feature(id, objects, vertices, line, number)

    def _from_document(self) -> Iterator[Feature | BadObject]:
        """Top-level objects with their families, in the document's order."""
        groups = {k for k, o in self._objects.items() if type(o) is dict and o.get("type") == "CityObjectGroup"}
        for id, node in self._objects.items():
            if type(node) is not dict:
                yield BadObject(self.file, id, "the object is not a JSON object")
                continue
            parents = node.get("parents")
            if type(parents) is list and any(p in self._objects and p not in groups for p in map(str, parents)):
                continue
            try:
                yield self._family(id)
            except BadGeometry as error:
                yield BadObject(self.file, id, str(error))
            except (orjson.JSONEncodeError, RecursionError):
                yield BadObject(self.file, id, "nested too deeply")
        for id, node in self._objects.items():
            if id not in self._reached and type(node) is dict and node.get("type") in self._context.mapping.types:
                yield BadObject(self.file, id, "no top-level object leads to it by 'children'")

    def _family(self, root: str) -> Feature:
        members: dict[str, Any] = {}
        waiting = [root]
        while waiting:
            id = waiting.pop()
            if id in members:
                continue
            node = self._objects.get(id)
            if type(node) is not dict:
                raise BadGeometry(f"the child {id[:64]!r} is missing")
            members[id] = node
            self._reached.add(id)
            if len(members) > LIMITS.family:
                raise BadGeometry(f"more than {LIMITS.family:,} objects in one family")
            if node.get("type") != "CityObjectGroup":
                waiting += children_of(node)
        numbers: dict[int, int] = {}
        objects = {id: self._renumbered(node, numbers) for id, node in members.items()}
        used = list(numbers)
        if used and (min(used) < 0 or max(used) >= len(self._vertices)):
            raise BadGeometry("a vertex number that the file has no vertex for")
        vertices = [self._vertices[i] for i in used]
        feature = {"type": "CityJSONFeature", "id": root, "CityObjects": objects, "vertices": vertices}
        return Feature(root, objects, vertices, orjson.dumps(feature), 0)

    @staticmethod
    def _renumbered(node: dict[str, Any], numbers: dict[int, int]) -> dict[str, Any]:
        geometries = node.get("geometry")
        if type(geometries) is not list:
            return node
        return node | {
            "geometry": [
                g | {"boundaries": _renumber(g["boundaries"], numbers)} if type(g) is dict and "boundaries" in g else g
                for g in geometries
            ]
        }

    def read(self) -> Iterator[BadObject | None]:
        """See ``Reader.read``."""
        for feature in self.features():
            if isinstance(feature, BadObject):
                self._context.objects += 1
                yield feature
            else:
                yield from add_family(self.chunk, feature, self._context, self._instantiate)
                yield None

    def _instantiate(self, chunk: Chunk, feature: Feature) -> None:
        """Replace instances of templates by what they stand for (CityJSON 2.0, 3.4)."""
        if not self._templates:
            return
        for id, node in feature.objects.items():
            geometries = node.get("geometry") if type(node) is dict else None
            if type(geometries) is list and any(type(g) is dict and g.get("type") == _INSTANCE for g in geometries):
                feature.objects[id] = node | {
                    "geometry": [
                        self._instance(chunk, feature, g) if type(g) is dict and g.get("type") == _INSTANCE else g
                        for g in geometries
                    ]
                }

    def _instance(self, chunk: Chunk, feature: Feature, geometry: dict[str, Any]) -> dict[str, Any]:
        try:
            number = geometry["template"]
            if type(number) is not int or number < 0:
                raise ValueError
            template = self._templates[number]
            matrix = np.array(geometry["transformationMatrix"], np.float64).reshape(4, 4)
            (anchor,) = geometry["boundaries"]
            place = np.array(feature.vertices[anchor], np.float64) * self._scale + self._translate
            numbers: dict[int, int] = {}
            start = len(feature.vertices)
            boundaries = _renumber(template["boundaries"], numbers, start)
            if anchor < 0 or min(numbers, default=0) < 0:
                raise ValueError
            points = self._template_points[list(numbers)]
            moved = np.column_stack((points, np.ones(len(points)))) @ matrix.T
            feature.vertices = feature.vertices + shapes_of(chunk).world(moved[:, :3] + place)
        except (KeyError, IndexError, TypeError, ValueError):
            raise BadGeometry("a GeometryInstance that does not fit its template") from None
        return dict(template) | {"boundaries": boundaries}


def _renumber(node: Any, numbers: dict[int, int], start: int = 0) -> Any:
    """Boundaries with every vertex number replaced by its place among those met so far, counted from ``start``."""
    if type(node) is not list:
        return node
    if node and set(map(type, node)) == {int}:
        return [start + numbers.setdefault(index, len(numbers)) for index in node]
    return [_renumber(item, numbers, start) for item in node]
