"""CityJSON and CityJSONSeq: a block that is good, and beside it one that is not."""

from __future__ import annotations

from typing import Any

from tests.attack.broken.kind import Kind, aside, error
from tests.ingest.making import (
    BLOCK,
    RD,
    as_bytes,
    block,
    city_feature,
    city_object,
    cityjson,
    header,
    lines,
    solid,
)

GOOD = city_object("Building", solid())
FAR = block(50, 0, 10, 10, 2, 8)
INFINITE = 10**300


def with_bad(bad: Any, vertices: Any = BLOCK, **more: Any) -> dict[str, Any]:
    return cityjson({"good": GOOD, "bad": bad}, vertices, **more)


def surface(*rings: list[Any], lod: Any = "1") -> dict[str, Any]:
    return city_object("Building", {"type": "MultiSurface", "lod": lod, "boundaries": [[*rings]]})


def attributes(**values: Any) -> dict[str, Any]:
    return with_bad(GOOD | {"attributes": values})


def crs(named: Any) -> dict[str, Any]:
    return cityjson({"good": GOOD}, BLOCK, crs=named)


def sequence(*after: Any, first: Any = None) -> str:
    """A header, a good feature, and lines after it."""
    return lines(first or header(), city_feature("good", {"good": GOOD}, BLOCK), *after)


def moved(offset: tuple[Any, Any, Any]) -> list[list[Any]]:
    """The good block's corners, and again with the last three moved."""
    return BLOCK + [[c + d for c, d in zip(corner, offset, strict=True)] for corner in BLOCK]


DOCUMENT = cityjson({"good": GOOD}, BLOCK)
CYCLE = {
    "good": GOOD,
    "bad": city_object("Building", children=["part"], parents=["part"]),
    "part": city_object("BuildingPart", solid(), children=["bad"], parents=["bad"]),
}
INSTANCE = {"type": "GeometryInstance", "template": 0, "boundaries": [0], "transformationMatrix": [1.0] * 15}
TEMPLATES = {"templates": [solid()], "vertices-templates": BLOCK}

DOCUMENTS: dict[str, Kind] = {
    "cut off": error(as_bytes(DOCUMENT)[:-40], "not JSON: it ends in its middle", "x:1:"),
    "text after the end": error(as_bytes(DOCUMENT) + b" }", "not JSON", "x:1:"),
    "NaN as a word": error(as_bytes(DOCUMENT).replace(b"2000", b"NaN", 1), "not JSON", "x:1:"),
    "half a letter": error(as_bytes(DOCUMENT).replace(b'"good"', b'"\\ud800"', 1), "not JSON", "x:1:"),
    "bytes that are no text": error(as_bytes(DOCUMENT).replace(b'"good"', b'"\xff"', 1), "is not UTF-8", "x:1"),
    "a depth of a million": error(b'{"type":' + b"[" * 10**6, "nested too deeply", "x:1:"),
    "version of the future": error(cityjson({"good": GOOD}, BLOCK, version="3.0"), "CityJSON 3.0 is not read"),
    "version of before": error(cityjson({"good": GOOD}, BLOCK, version="0.9"), "CityJSON 0.9 is not read"),
    "version of a list": error(DOCUMENT | {"version": ["2.0"]}, "is not read"),
    "no transform": error(DOCUMENT | {"transform": None}, "'transform' does not give scale"),
    "a scale of two": error(DOCUMENT | {"transform": {"scale": [1, 1], "translate": [0, 0, 0]}}, "three numbers each"),
    "a scale of words": error(
        DOCUMENT | {"transform": {"scale": ["1"] * 3, "translate": [0, 0, 0]}}, "three numbers each"
    ),
    "objects in a list": error(DOCUMENT | {"CityObjects": [GOOD]}, "'CityObjects' is not an object"),
    "vertices in an object": error(DOCUMENT | {"vertices": {"0": [0, 0, 0]}}, "'vertices' is not a list"),
    "templates of text": error(DOCUMENT | {"geometry-templates": "none"}, "'geometry-templates'"),
    "no objects": error(DOCUMENT | {"CityObjects": {}}, "nothing for the collection building"),
    "trees alone": error(
        cityjson({"t": city_object("SolitaryVegetationObject", solid())}, BLOCK), "nothing for the collection"
    ),
    "no system": error(crs(None), "without a coordinate reference system"),
    "a system that is none": error(crs("EPSG:999999"), "names no coordinate reference system"),
    "a system of a number": error(crs(7415), "names no coordinate reference system"),
    "a system of a path": error(crs("/etc/passwd"), "names no coordinate reference system"),
    "a system on the network": error(crs("http://127.0.0.1:1/crs"), "names no coordinate reference system"),
    "a geocentric system": error(crs(RD.replace("7415", "4978")), "geocentric"),
    "a system of heights alone": error(crs("EPSG:5709"), "neither projected nor geographic"),
    "degrees said to be metres": error(
        cityjson({"good": GOOD}, [[x / 1e4, y / 1e4, z] for x, y, z in BLOCK], scale=1e-6, translate=(4.9, 52.3, 0)),
        "1 bad objects",
    ),
    "the other order of axes": error(cityjson({"good": GOOD}, BLOCK, translate=(487_000, 121_000, 0)), "1 bad objects"),
    "a translation beyond all": error(cityjson({"good": GOOD}, BLOCK, translate=(1e300, 1e300, 0)), "1 bad objects"),
    "a scale of zero": error(cityjson({"good": GOOD}, BLOCK, scale=0), "a scale of 0"),
    "an infinite scale": error(as_bytes(DOCUMENT).replace(b"0.001", b"1e999", 1), "a number beyond all", "x:1:"),
}

OBJECTS: dict[str, Kind] = {
    "an object of text": aside(with_bad("Building"), "the object is not a JSON object"),
    "an object without a type": aside(with_bad({"geometry": []}), "an object without a type"),
    "geometry in an object": aside(with_bad({"type": "Building", "geometry": {}}), "'geometry' is not a list"),
    "a geometry of another world": aside(
        with_bad(city_object("Building", solid() | {"type": "Sphere"})), "'Sphere' is no geometry type"
    ),
    "a level that is none": aside(with_bad(surface([0, 1, 2], lod="7")), "none of 0 to 3.3"),
    "a huge index": aside(with_bad(surface([0, 1, 10**9])), "the file has no vertex for"),
    "an index beyond 64 bits": aside(with_bad(surface([0, 1, 2**70])), "something else than vertex numbers"),
    "a negative index": aside(with_bad(surface([0, 1, -1])), "the file has no vertex for"),
    "an index of text": aside(with_bad(surface([0, 1, "2"])), "something else than vertex numbers"),
    "an index of a half": aside(with_bad(surface([0, 1, 2.5])), "something else than vertex numbers"),
    "a ring of two": aside(with_bad(surface([0, 1])), "fewer than 3 vertices"),
    "nested too little": aside(with_bad(city_object("Building", solid() | {"boundaries": [[0, 1, 2]]})), "nested"),
    "a million vertices": aside(with_bad(surface([0, 1, 2, 3] * 250_001)), "more than 1,000,000 vertices"),
    "a vertex of two": aside(with_bad(surface([0, 1, 8]), [*BLOCK, [0, 0]]), "three coordinates"),
    "a vertex of text": aside(with_bad(surface([0, 1, 8]), [*BLOCK, ["0", 0, 0]]), "not of numbers"),
    "a vertex of null": aside(with_bad(surface([0, 1, 8]), [*BLOCK, [None, 0, 0]]), "not of numbers"),
    "a vertex without end": aside(with_bad(surface([0, 1, 8]), [*BLOCK, [INFINITE, 0, 0]]), "outside"),
    "a vertex on the moon": aside(with_bad(surface([0, 1, 8]), [*BLOCK, [4 * 10**11, 0, 0]]), "outside"),
    "a body above the sky": aside(
        with_bad(city_object("Building", solid(first=8)), moved((0, 0, 10**13))), "heights beyond any planet"
    ),
    "a child that is missing": aside(with_bad(city_object("Building", children=["gone"])), "'gone' is missing"),
    "children of numbers": aside(with_bad(city_object("Building", children=[1])), "'children' is not a list"),
    "its own child": aside(cityjson(CYCLE, BLOCK), "no top-level object leads to it"),
    "a matrix of fifteen": aside(
        with_bad(city_object("Building", INSTANCE), **{"geometry-templates": TEMPLATES}), "does not fit its template"
    ),
    "attributes of a list": aside(with_bad(GOOD | {"attributes": ["height"]}), "'attributes' is not a JSON object"),
    "a height without end": aside(attributes(measuredHeight=1e30), "too large"),
    "a name of a megabyte": aside(attributes(name="x" * (2**20 + 1)), "a text of more than"),
    "an id of a kilobyte": aside(cityjson({"good": GOOD, "x" * 1025: GOOD}, BLOCK), "no id", ""),
    "attributes nested too deeply": aside(
        as_bytes(attributes(a=0)).replace(b'{"a": 0}', b'{"a":' + b"[" * 300 + b"]" * 300 + b"}"), "nested too deeply"
    ),
    "a point and a line in one": aside(
        with_bad(
            city_object(
                "Building",
                {"type": "MultiPoint", "lod": "0", "boundaries": [0]},
                {"type": "MultiLineString", "lod": "0", "boundaries": [[0, 1]]},
            )
        ),
        "points and lines",
    ),
}

SEQUENCES: dict[str, Kind] = {
    "no header": error(lines(city_feature("a", {"a": GOOD}, BLOCK)), "without its first line"),
    "objects in the header": error(sequence(first=header() | {"CityObjects": {"a": GOOD}}), "must not hold objects"),
    "a header alone": error(lines(header()), "nothing for the collection"),
    "a line that is cut off": aside(sequence() + '{"type": "CityJSONFeature", "id"', "not JSON", "", "x:3"),
    "two lines in one": aside(
        sequence() + lines(city_feature("b", {"b": GOOD}, BLOCK)).strip() * 2, "not JSON", "", "x:3"
    ),
    "a line of another kind": aside(sequence({"type": "Feature"}), "not a CityJSONFeature", "", "x:3"),
    "a second header": aside(sequence(header()), "not a CityJSONFeature", "", "x:3"),
    "a line without an id": aside(
        sequence({"type": "CityJSONFeature", "CityObjects": {}, "vertices": []}), "no id", "", "x:3"
    ),
    "an id of none of its objects": aside(
        sequence(city_feature("bad", {"other": GOOD}, BLOCK)), "names none of its objects", "bad", "x:3"
    ),
    "no vertices of its own": aside(
        sequence({"type": "CityJSONFeature", "id": "bad", "CityObjects": {"bad": GOOD}}), "missing", "bad", "x:3"
    ),
    "an index of another line": aside(
        sequence(city_feature("bad", {"bad": city_object("Building", solid(first=8))}, BLOCK)),
        "the object has no vertex for",
        "bad",
        "x:3",
    ),
    "a line of nonsense bytes": aside(sequence().encode() + b"\xff\xfe\xfd\n", "not JSON", "", "x:3"),
    "a line of zeros": error(sequence().encode() + bytes(10), "this is binary"),
    "a byte order in the middle": aside(sequence().encode() + b"\xef\xbb\xbf{}\n", "not JSON", "", "x:3"),
    "the same building twice": error(
        sequence(city_feature("good", {"good": GOOD}, BLOCK)), "stand for several objects", "id"
    ),
}

KINDS = {
    **{f"CityJSON: {name}": kind for name, kind in DOCUMENTS.items()},
    **{f"CityJSON: {name}": kind for name, kind in OBJECTS.items()},
    **{f"CityJSONSeq: {name}": kind for name, kind in SEQUENCES.items()},
}
