"""City objects with their families to rows: what CityJSON and CityGML have in common.

Rows are the objects of the mapping's types. A Building, Bridge or Tunnel has its own geometry and that of its parts;
other children (installations, rooms) give it none. An object of an Extension or ADE (``+…``) has that of its parts too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.faces import BadGeometry
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.shapes import CityShapes, finest
from cimfed_node.ingest.values import OutOfRange

PARTS: Mapping[str, str] = {"Building": "BuildingPart", "Bridge": "BridgePart", "Tunnel": "TunnelPart"}
_ANY_PART = frozenset(PARTS.values())
_WITHIN = ("BuildingPart", "BuildingStorey", "BuildingRoom")
"""Rows of these bear the id of their Building."""
FAULT = "\0fault"
"""Where a reader leaves why an object's geometry cannot be used."""


class Nameless(str):
    """Stands for the id of an object that has none."""


@dataclass(slots=True)
class Feature:
    """An object with its descendants. ``vertices``: as the file has them, to be scaled. ``raw``: its original as JSON.
    ``line``: where it stands, 0 where lines mean nothing."""

    id: str
    objects: dict[str, Any]
    vertices: list[Any]
    raw: bytes
    line: int


def add_family(
    chunk: Chunk, feature: Feature, context: Context, prepare: Callable[[Chunk, Feature], None] | None = None
) -> Iterator[BadObject]:
    """Put the rows of a feature into the chunk; gives the objects that cannot become any. ``prepare`` is called before
    the feature's geometry is looked at."""
    types = context.mapping.types
    rows: list[int] = []
    base = -1
    for id, node in feature.objects.items():
        kind = node.get("type") if type(node) is dict else None
        if type(kind) is not str:
            yield BadObject(chunk.file, id, "an object without a type", feature.line)
            continue
        if kind not in types:
            if id == feature.id:
                context.skipped[kind] += 1
            continue
        attributes = node.get("attributes") or {}
        if type(attributes) is not dict:
            yield BadObject(chunk.file, id, "'attributes' is not a JSON object", feature.line)
            continue
        if not context.wanted(attributes):
            continue
        context.objects += 1
        own = context.id_of(None if type(id) is Nameless else id, attributes, context.objects)
        if own is None:
            yield context.no_id(chunk.file, attributes, feature.line, first=context.objects == 1)
            continue
        try:
            row = chunk.row(own, attributes, feature.line, context.attributes)
        except OutOfRange as error:
            yield BadObject(chunk.file, own, str(error), feature.line)
            continue
        rows.append(row)
        if kind in _WITHIN:
            building = _building(feature, id, context)
            if building is not None:
                chunk.values[row].setdefault("building", building)
        shapes = shapes_of(chunk)
        try:
            if base < 0:
                if prepare is not None:
                    prepare(chunk, feature)
                base = shapes.vertices(feature.vertices)
            for member in _with_parts(feature, id):
                if FAULT in member:
                    raise BadGeometry(str(member[FAULT]))
                for level, geometries in finest(member.get("geometry", [])).items():
                    for geometry in geometries:
                        shapes.add(row, level, geometry, base, len(feature.vertices))
        except BadGeometry as error:
            chunk.fail(row, error)
        except (TypeError, KeyError, RecursionError):
            chunk.fail(row, "a geometry of the wrong form")
    if rows:
        chunk.originals.append((feature.raw, rows))


def shapes_of(chunk: Chunk) -> CityShapes:
    assert isinstance(chunk.shapes, CityShapes)
    return chunk.shapes


def children_of(node: Mapping[str, Any]) -> list[str]:
    children = node.get("children")
    if children is None:
        return []
    if type(children) is not list or not all(isinstance(child, str) for child in children):
        raise BadGeometry("'children' is not a list of ids")
    return list(children)


def _with_parts(feature: Feature, id: str) -> Iterator[dict[str, Any]]:
    """A Building, Bridge or Tunnel and its parts, whichever level they stand on; any other object alone."""
    node = feature.objects[id]
    yield node
    kind = node["type"]
    parts = _ANY_PART if kind.startswith("+") else {PARTS[kind]} if kind in PARTS else None
    if parts is None:
        return
    seen = {id}
    waiting = children_of(node)
    while waiting:
        child = waiting.pop(0)
        if child in seen:
            continue
        seen.add(child)
        part = feature.objects.get(child)
        if type(part) is not dict:
            raise BadGeometry(f"the child {child[:64]!r} is missing")
        if part.get("type") in parts:
            yield part
            waiting += children_of(part)


def _building(feature: Feature, id: str, context: Context) -> str | None:
    """Id of the Building that an object is within."""
    seen: set[str] = set()
    while id not in seen:
        seen.add(id)
        node = feature.objects.get(id)
        if type(node) is not dict:
            return None
        if node.get("type") == "Building":
            attributes = node.get("attributes")
            own = None if type(id) is Nameless else id
            return context.id_of(own, attributes if type(attributes) is dict else {}, 0)
        parents = node.get("parents")
        if type(parents) is not list or not parents or not isinstance(parents[0], str):
            return None
        id = parents[0]
    return None
