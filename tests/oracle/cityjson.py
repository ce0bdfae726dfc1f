"""CityJSON 2.0.1 (cityjson.org/specs/2.0.1), read by plain json and held against the specification's own rules.

Looked at is what its schemas demand of the objects that occur here (members, types, which geometry which type may have,
how deep boundaries are nested, how levels of detail are written) and what they cannot say: vertex numbers exist, no
vertex is there for nothing or twice, rings are not closed, parents and children name each other. Files are also read by
``cityjson-lib``, which refuses unknown types, levels and vertices.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cityjson_lib import CityModel

SURFACES = {"MultiSurface", "CompositeSurface"}
SOLIDS = {"Solid", "MultiSolid", "CompositeSolid"}
CURVES = {"MultiLineString"}
ANY = SURFACES | SOLIDS | CURVES | {"MultiPoint"}
ALLOWED = {
    "Building": {"MultiSurface", "Solid", "CompositeSolid"},
    "BuildingPart": {"MultiSurface", "Solid", "CompositeSolid"},
    "BuildingStorey": {"Solid", "CompositeSolid", *SURFACES},
    "BuildingRoom": {"Solid", "CompositeSolid", *SURFACES},
    "Bridge": SURFACES | SOLIDS,
    "Tunnel": SURFACES | SOLIDS,
    "Road": SURFACES | CURVES,
    "Railway": SURFACES | CURVES,
    "Waterway": SURFACES | CURVES,
    "TransportSquare": SURFACES | CURVES,
    "TINRelief": {"CompositeSurface"},
    "WaterBody": {"Solid", "CompositeSolid", *SURFACES, *CURVES},
    "PlantCover": {"MultiSurface", "MultiSolid"},
    "LandUse": SURFACES,
    "SolitaryVegetationObject": ANY,
    "CityFurniture": ANY,
    "GenericCityObject": ANY,
}
WITH_PARENTS = {"BuildingPart", "BuildingStorey", "BuildingRoom"}
DEPTH = {"MultiPoint": 1, "MultiLineString": 2, "MultiSurface": 3, "CompositeSurface": 3}
MEMBERS = {"type", "geographicalExtent", "attributes", "geometry", "parents", "children"}
LOD = re.compile(r"\d(\.\d)?")
CRS = re.compile(r"https?://www\.opengis\.net/def/crs/[^/]+/[^/]+/[^/]+")

Object = dict[str, Any]


def once(pairs: list[tuple[str, Any]]) -> Object:
    """A JSON object that names nothing twice."""
    found = dict(pairs)
    assert len(found) == len(pairs), [name for name, _ in pairs]
    return found


def no_constant(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


def parse(text: str | bytes) -> Any:
    return json.loads(text, object_pairs_hook=once, parse_constant=no_constant)


def sequence(text: str) -> tuple[Object, list[Object]]:
    """The first object and the features of CityJSONSeq, each of which keeps the rules."""
    assert text.endswith("\n")
    first, *features = [parse(line) for line in text[:-1].split("\n")]
    check_head(first)
    assert (first["CityObjects"], first["vertices"]) == ({}, [])
    for feature in features:
        assert set(feature) == {"type", "id", "CityObjects", "vertices"}
        assert feature["type"] == "CityJSONFeature"
        assert feature["id"] in feature["CityObjects"]
        check_objects(feature)
    return first, features


def document(text: str) -> Object:
    """A whole CityJSON document that keeps the rules."""
    found: Object = parse(text)
    check_head(found)
    check_objects(found)
    return found


def check_head(head: Object) -> None:
    assert set(head) == {"type", "version", "transform", "metadata", "CityObjects", "vertices"}
    assert (head["type"], head["version"]) == ("CityJSON", "2.0")
    assert set(head["transform"]) == {"scale", "translate"}
    for triple in head["transform"].values():
        check_numbers(triple, 3)
    metadata = head["metadata"]
    assert CRS.fullmatch(metadata["referenceSystem"])
    assert type(metadata.get("title", "")) is type(metadata.get("identifier", "")) is str
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", metadata.get("referenceDate", "2000-01-01"))
    check_extent(metadata)


def check_numbers(numbers: list[Any], count: int) -> None:
    assert len(numbers) == count
    assert {type(number) for number in numbers} <= {int, float}


def check_extent(bearer: Object) -> None:
    extent = bearer.get("geographicalExtent", [0] * 6)
    check_numbers(extent, 6)
    assert all(low <= high for low, high in zip(extent[:3], extent[3:], strict=True))


def check_objects(bearer: Object) -> None:
    """Of a feature or document: its objects and its vertices."""
    vertices, used = bearer["vertices"], set()
    assert all(len(vertex) == 3 and {type(number) for number in vertex} == {int} for vertex in vertices)
    objects = bearer["CityObjects"]
    for identifier, item in objects.items():
        assert set(item) <= MEMBERS
        assert type(item.get("attributes", {})) is dict
        check_extent(item)
        if item["type"] in WITH_PARENTS:
            assert item["parents"]
        for parent in item.get("parents", ()):
            assert identifier in objects[parent]["children"]
        for child in item.get("children", ()):
            assert objects[child]["parents"] == [identifier]
        for geometry in item.get("geometry", ()):
            assert set(geometry) == {"type", "lod", "boundaries"}
            assert geometry["type"] in ALLOWED[item["type"]], (item["type"], geometry["type"])
            assert LOD.fullmatch(geometry["lod"])
            for ring in rings(geometry["boundaries"], DEPTH[geometry["type"]]):
                assert ring
                assert {type(number) for number in ring} == {int}
                assert 0 <= min(ring) <= max(ring) < len(vertices)
                if geometry["type"] in SURFACES:
                    assert len(ring) > 2
                    assert ring[0] != ring[-1]
                used.update(ring)
    assert used == set(range(len(vertices)))
    if bearer["type"] == "CityJSONFeature":
        assert len({tuple(vertex) for vertex in vertices}) == len(vertices)


def rings(boundaries: Any, depth: int) -> Iterator[list[int]]:
    assert type(boundaries) is list
    if depth == 1:
        yield boundaries
        return
    for part in boundaries:
        yield from rings(part, depth - 1)


def places(bearer: Object, head: Object) -> list[tuple[float, float, float]]:
    """The vertices where they are."""
    scale, translate = head["transform"]["scale"], head["transform"]["translate"]
    return [
        tuple(number * step + start for number, step, start in zip(vertex, scale, translate, strict=True))  # type: ignore[misc]
        for vertex in bearer["vertices"]
    ]


def read_sequence(path: Path, *, alone: bool = False) -> tuple[Object, list[Object]]:
    """Held against the rules here and, unless ``alone``, by a library that knows them (it reads no escapes in ids)."""
    content = path.read_bytes()
    head, *features = content.splitlines()
    for feature in () if alone else features:
        CityModel.parse_feature_with_base_bytes(feature, head)
    return sequence(content.decode("utf-8"))


def read_document(path: Path, *, alone: bool = False) -> Object:
    content = path.read_bytes()
    found = document(content.decode("utf-8"))
    if not alone:
        assert CityModel.parse_document_bytes(content).summary().cityobject_count == len(found["CityObjects"])
    return found
