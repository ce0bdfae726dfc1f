"""GeoJSON (RFC 7946): a FeatureCollection, or one Feature per line with or without record separators (RFC 8142).

Coordinates are in OGC:CRS84 unless a ``crs`` member of the 2008 edition says otherwise. An id is the Feature's own,
else the attribute that the mapping or ``--id`` names. Heights of positions are left in the original: LoD0 is plane.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from cimfed.errors import BadFile
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import CRS84, SourceCrs, parse_crs
from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.shapes import PlainShapes
from cimfed_node.ingest.values import OutOfRange


def _crs(document: Mapping[str, Any], file: str) -> SourceCrs | None:
    """The CRS of a document: RFC 7946's, or that of the ``crs`` member, where null says that there is none."""
    if "crs" not in document:
        return parse_crs(CRS84, file)
    member = document["crs"]
    if member is None:
        return None
    properties = member.get("properties") if type(member) is dict else None
    name = properties.get("name") if type(properties) is dict and member.get("type") == "name" else None
    if type(name) is not str:
        raise BadFile("the 'crs' member does not name a CRS", place=file, remedy="Name it with --crs")
    return parse_crs(name, file)


class GeoJSONReader:
    """``lines``: numbered lines, the first Feature's included; None for a FeatureCollection."""

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
        self.format = "GeoJSON lines" if lines is not None else "GeoJSON"
        self._document = {key: document[key] for key in ("crs",) if key in document}
        self.header: Mapping[str, Any] = {k: v for k, v in document.items() if k != "features"} if lines is None else {}
        self._features = document.get("features") if lines is None else []
        if type(self._features) is not list:
            raise BadFile("'features' is not a list", place=file)
        self.total = len(self._features) if lines is None else None
        self.chunk = self.new_chunk()

    @property
    def crs(self) -> SourceCrs | None:
        return _crs(self._document, self.file)

    def new_chunk(self) -> Chunk:
        return Chunk(self.file, PlainShapes())

    def _nodes(self) -> Iterator[tuple[int, Any, bytes | None]]:
        """Line, object, and its bytes where it has any of its own."""
        if self._lines is None:
            for node in self._features or ():
                yield 0, node, None
        else:
            for number, line in self._lines:
                try:
                    node = orjson.loads(line)
                except orjson.JSONDecodeError:
                    node = None
                yield number, node, line

    def read(self) -> Iterator[BadObject | None]:
        """See ``Reader.read``."""
        for place, (line, node, raw) in enumerate(self._nodes(), 1):
            yield self._add(self.chunk, place, line, node, raw)

    def _add(self, chunk: Chunk, place: int, line: int, node: Any, raw: bytes | None) -> BadObject | None:
        context = self._context
        if type(node) is not dict or node.get("type") != "Feature":
            context.objects += 1
            return BadObject(self.file, f"number {place}", "not a Feature", line)
        attributes = node.get("properties") or {}
        if type(attributes) is not dict:
            context.objects += 1
            return BadObject(self.file, f"number {place}", "'properties' is not a JSON object", line)
        if not context.wanted(attributes):
            return None
        context.objects += 1
        id = context.id_of(node.get("id"), attributes, place)
        if id is None:
            return context.no_id(self.file, attributes, line, first=context.objects == 1)
        geometry = node.get("geometry")
        if geometry is not None and type(geometry) is not dict:
            return BadObject(self.file, id, "'geometry' is neither null nor a JSON object", line)
        try:
            raw = orjson.dumps(node) if raw is None else raw
            row = chunk.row(id, attributes, line, context.attributes)
        except orjson.JSONEncodeError:
            return BadObject(self.file, id, "nested too deeply", line)
        except OutOfRange as error:
            return BadObject(self.file, id, str(error), line)
        chunk.originals.append((raw, [row]))
        if geometry is not None:
            assert isinstance(chunk.shapes, PlainShapes)
            try:
                chunk.shapes.add_geometry(row, geometry)
            except BadGeometry as error:
                chunk.fail(row, error)
        return None
