"""GeoJSON, as a document and as lines: a good house and one that is not."""

from __future__ import annotations

from typing import Any

from tests.attack.broken.kind import Kind, as_bytes, aside, error, mended
from tests.ingest.making import SQUARE, feature, features, lines, ring

GOOD = feature("good", SQUARE)
NULL = {"type": "Polygon", "coordinates": None}


def bad(geometry: Any, says: str) -> Kind:
    return aside(features(GOOD, feature("bad", geometry)), says, "bad")


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [*rings]}


def nested(depth: int) -> dict[str, Any]:
    geometry: dict[str, Any] = {"type": "Point", "coordinates": [69.2, 41.3]}
    for _ in range(depth):
        geometry = {"type": "GeometryCollection", "geometries": [geometry]}
    return geometry


OPEN = ring(69.2, 41.3)[:-1]
BOW = [[69.2, 41.3], [69.201, 41.301], [69.201, 41.3], [69.2, 41.301], [69.2, 41.3]]
HOLE, INSIDE = ring(69.2002, 41.3002, 0.0002), ring(69.2003, 41.3003, 0.0002)
SPIKE = [*ring(69.2, 41.3)[:4], [69.2, 41.31], [69.2, 41.3]]
MENDED = "footprints made valid: 1"
RAW = as_bytes(features(GOOD, feature("bad")))

DOCUMENTS: dict[str, Kind] = {
    "cut off": error(RAW[:-20], "not JSON", "x:1:"),
    "a comma too many": error(RAW.replace(b"}}]", b"}},]"), "not JSON", "x:1:"),
    "quotes of another kind": error(RAW.replace(b'"', b"'"), "not JSON", "x:1:"),
    "infinity as a number": error(RAW.replace(b"41.3", b"1e999", 1), "a number beyond all", "x:1:"),
    "NaN as a number": error(RAW.replace(b"41.3", b"NaN", 1), "not JSON", "x:1:"),
    "bytes that are no text": error(RAW.replace(b"good", b"g\xf0od"), "not UTF-8", "x:1"),
    "two documents": error(RAW + b"\n" + RAW, "several JSON documents"),
    "features in an object": error({"type": "FeatureCollection", "features": {}}, "'features' is not a list"),
    "no features": error(features(), "nothing for the collection building"),
    "a list": error([GOOD], "a JSON list"),
    "a topology": error({"type": "Topology", "objects": {}, "arcs": []}, "TopoJSON"),
    "a geometry alone": error(SQUARE, "'Polygon'"),
    "an unknown type": error({"type": "Building"}, "'Building'"),
    "a number": error("7", "nothing that is read"),
    "a system of null": error(features(GOOD, crs={"type": "name", "properties": None}), "does not name a CRS"),
    "a system that is none": error(
        features(GOOD, crs={"type": "name", "properties": {"name": "EPSG:999999"}}), "names no coordinate reference"
    ),
    "metres said to be degrees": error(
        features(
            feature("a", polygon([[121_000, 487_000], [121_020, 487_000], [121_020, 487_010], [121_000, 487_000]]))
        ),
        "1 bad objects",
    ),
    "no ids": error(features(feature(...)), "no ids"),
    "an id twice": error(features(GOOD, GOOD), "stand for several objects", "id"),
    "an unknown id column": error(features(GOOD), "no column 'nr'", "x", "--id", "nr"),
    "nothing that is asked for": error(features(GOOD), "nothing for the collection", "x", "--where", "a=b"),
}
OBJECTS: dict[str, Kind] = {
    "a feature of text": aside(features(GOOD, "house"), "not a Feature", "number 2"),
    "properties of a list": aside(features(GOOD, GOOD | {"properties": [1]}), "'properties' is not", "number 2"),
    "a geometry of text": bad("POINT (1 2)", "neither null nor a JSON object"),
    "a type that is none": bad({"type": "Circle", "coordinates": [69.2, 41.3]}, "'Circle'"),
    "no coordinates": bad({"type": "Polygon"}, "coordinates"),
    "coordinates of null": bad(NULL, "coordinates"),
    "coordinates of text": bad(polygon("here"), "coordinates"),
    "an open ring": bad(polygon(OPEN), "not closed"),
    "a ring of two": bad(polygon([[69.2, 41.3], [69.3, 41.3]]), "fewer than 4 positions"),
    "a position of one": bad({"type": "Point", "coordinates": [69.2]}, "not positions of numbers"),
    "a position of text": bad({"type": "Point", "coordinates": ["69.2", "41.3"]}, "not positions of numbers"),
    "a latitude of a hundred": bad({"type": "Point", "coordinates": [41.3, 169.2]}, "outside"),
    "a point and an area": bad(
        {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [69.2, 41.3]}, SQUARE]},
        "points, lines or areas together",
    ),
    "collections without end": bad(nested(200), "nested too deeply"),
    "an area of nothing": bad(polygon([[69.2, 41.3]] * 5), "nothing is left"),
    "an id of a list": aside(features(GOOD, feature([1, 2])), "no id", ""),
    "a height without end": aside(features(GOOD, feature("bad", height=1e300)), "too large", "bad"),
    "a text of a megabyte": aside(features(GOOD, feature("bad", name="x" * (2**20 + 1))), "a text of more than", "bad"),
}
INTERSECTIONS: dict[str, Kind] = {
    name: mended(features(GOOD, feature("bad", geometry)), MENDED, "good", "bad")
    for name, geometry in {
        "a ring that crosses itself": polygon(BOW),
        "a spike": polygon(SPIKE),
        "a hole over the edge": polygon(ring(69.2, 41.3), ring(69.2005, 41.3005)),
        "a hole outside": polygon(ring(69.2, 41.3), ring(69.3, 41.3)),
        "holes over one another": polygon(ring(69.2, 41.3), HOLE, INSIDE),
        "parts over one another": {"type": "MultiPolygon", "coordinates": [[ring(69.2, 41.3)], [ring(69.2005, 41.3)]]},
        "a ring that is walked twice": polygon(ring(69.2, 41.3)[:-1] * 2 + [[69.2, 41.3]]),
    }.items()
}
LINES: dict[str, Kind] = {
    "cut off": aside(lines(GOOD) + '{"type": "Feature", "id": "b', "not a Feature", "number 2", "x:2"),
    "a line of bytes": aside(lines(GOOD).encode() + b'{"a": "\xff"}\n', "not a Feature", "number 2", "x:2"),
    "a collection among them": aside(lines(GOOD, features(GOOD)), "not a Feature", "number 2", "x:2"),
    "a ring that is open": aside(lines(GOOD, feature("bad", polygon(OPEN))), "not closed", "bad", "x:2"),
    "a first line without an id": error(lines(feature(...), GOOD), "no ids"),
}

KINDS = {
    **{f"GeoJSON: {name}": kind for name, kind in DOCUMENTS.items()},
    **{f"GeoJSON: {name}": kind for name, kind in OBJECTS.items()},
    **{f"GeoJSON: {name}": kind for name, kind in INTERSECTIONS.items()},
    **{f"GeoJSON lines: {name}": kind for name, kind in LINES.items()},
}
