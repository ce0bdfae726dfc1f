"""CityJSON and GeoJSON objects of wrong types, with wrong numbers of vertices, and with wrong or missing ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ingest.making import (
    BLOCK,
    city_feature,
    city_object,
    cityjson,
    feature,
    features,
    header,
    imported,
    lines,
    refused,
    solid,
)

GOOD = city_object("Building", solid())
NUMBER = "a vertex number that the object has no vertex for"
FILE_NUMBER = "a vertex number that the file has no vertex for"
ELSE = "boundaries hold something else than vertex numbers"
NESTED = "boundaries are nested wrongly"
LOD = "is none of 0 to 3.3"


def surface(boundaries: Any, **more: Any) -> dict[str, Any]:
    return {"type": "MultiSurface", "lod": "1", "boundaries": boundaries, **more}


def without(geometry: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in geometry.items() if name != key}


WRONG: dict[str, tuple[Any, str]] = {
    "no list": ({"type": "Building", "geometry": {}}, "'geometry' is not a list"),
    "a geometry that is text": (city_object("Building", "solid"), "a geometry without a type"),
    "a type that is a number": (city_object("Building", surface([[[0, 1, 2]]]) | {"type": 1}), "without a type"),
    "an unknown type": (city_object("Building", surface([[[0, 1, 2]]]) | {"type": "Cube"}), "'Cube' is no geometry"),
    "no lod": (city_object("Building", without(surface([[[0, 1, 2]]]), "lod")), LOD),
    "lod 4": (city_object("Building", surface([[[0, 1, 2]]], lod="4")), LOD),
    "lod 2.9": (city_object("Building", surface([[[0, 1, 2]]], lod="2.9")), LOD),
    "lod of a list": (city_object("Building", surface([[[0, 1, 2]]], lod=[1])), LOD),
    "no boundaries": (city_object("Building", without(surface([]), "boundaries")), NESTED),
    "boundaries null": (city_object("Building", surface(None)), NESTED),
    "boundaries a number": (city_object("Building", surface(7)), NESTED),
    "boundaries text": (city_object("Building", surface("abc")), ELSE),
    "boundaries an object": (city_object("Building", surface({"a": {"b": {"c": 1}}})), ELSE),
    "too shallow": (city_object("Building", surface([[0, 1, 2]])), NESTED),
    "too deep": (city_object("Building", surface([[[[0, 1, 2]]]])), ELSE),
    "a solid as a surface": (city_object("Building", solid() | {"type": "MultiSurface"}), ELSE),
    "a surface as a solid": (city_object("Building", surface([[[0, 1, 2]]]) | {"type": "Solid"}), NESTED),
    "nothing": (city_object("Building", surface([])), "a geometry without vertices"),
    "an empty ring": (city_object("Building", surface([[[]]])), "a geometry without vertices"),
    "an empty surface": (city_object("Building", surface([[], [[0, 1, 2]]])), "a surface without a ring"),
    "two vertices": (city_object("Building", surface([[[0, 1]]])), "a ring of fewer than 3 vertices"),
    "a hole of two": (city_object("Building", surface([[[0, 1, 2], [3, 4]]])), "a ring of fewer than 3 vertices"),
    "halves": (city_object("Building", surface([[[0, 1.5, 2]]])), ELSE),
    "text for a number": (city_object("Building", surface([[[0, "1", 2]]])), ELSE),
    "true for a number": (city_object("Building", surface([[[0, True, 2]]])), ELSE),
    "null for a number": (city_object("Building", surface([[[0, None, 2]]])), ELSE),
    "beyond 64 bits": (city_object("Building", surface([[[0, 1, 2**70]]])), ELSE),
    "a point too far": (city_object("Building", {"type": "MultiPoint", "lod": "0", "boundaries": [0, "1"]}), NUMBER),
    "no point": (city_object("Building", {"type": "MultiPoint", "lod": "0", "boundaries": []}), NUMBER),
    "a line of one": (
        city_object("Building", {"type": "MultiLineString", "lod": "0", "boundaries": [[0]]}),
        "fewer than 2",
    ),
    "attributes of a list": (city_object("Building", attributes=[1]), "'attributes' is not a JSON object"),
    "no type of object": ({"geometry": []}, "an object without a type"),
    "a missing child": (city_object("Building", children=["gone"]), "the child 'gone' is missing"),
    "children of text": (city_object("Building", children="gone"), "'children' is not a list of ids"),
    "children of numbers": (city_object("Building", children=[1]), "'children' is not a list of ids"),
    "an instance without templates": (
        city_object("Building", {"type": "GeometryInstance", "template": 0, "boundaries": [0]}),
        "",
    ),
}
INDICES = {"huge": [0, 1, 10**9], "one too many": [0, 1, 8], "negative": [0, 1, -1], "2^62": [0, 1, 2**62]}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("sequence", [False, True], ids=["document", "sequence"])
def test_an_object_of_a_wrong_form_is_bad_and_the_others_are_read(name: str, sequence: bool, tmp_path: Path) -> None:
    bad, reason = WRONG[name]
    data: Any = cityjson({"good": GOOD, "bad": bad}, BLOCK)
    if sequence:
        data = lines(header(), city_feature("good", {"good": GOOD}, BLOCK), city_feature("bad", {"bad": bad}, BLOCK))
    error = refused(tmp_path, data)
    assert "1 bad objects" in error.message
    assert "bad: " in error.message.splitlines()[1]
    assert reason in error.message
    rows, _ = imported(tmp_path / "rest", data, quarantine=tmp_path / "bad.jsonl")
    assert set(rows) == {"good"}


@pytest.mark.parametrize("name", INDICES)
@pytest.mark.parametrize("kind", ["MultiSurface", "MultiPoint", "MultiLineString"])
def test_a_number_of_no_vertex_makes_a_bad_object(name: str, kind: str, tmp_path: Path) -> None:
    index: Any = INDICES[name]
    boundaries = {"MultiSurface": [[index]], "MultiPoint": index, "MultiLineString": [index]}[kind]
    bad = city_object("Building", {"type": kind, "lod": "0", "boundaries": boundaries})
    error = refused(tmp_path, cityjson({"good": GOOD, "bad": bad}, BLOCK))
    assert f"bad: {FILE_NUMBER}" in error.message
    data = lines(header(), city_feature("good", {"good": GOOD}, BLOCK), city_feature("bad", {"bad": bad}, BLOCK))
    assert f"data:3: bad: {NUMBER}" in refused(tmp_path / "sequence", data).message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"template": -1}, "does not fit"),
        ({"template": 1}, "does not fit"),
        ({"template": "0"}, "does not fit"),
        ({"template": True}, "does not fit"),
        ({"boundaries": []}, "does not fit"),
        ({"boundaries": [0, 1]}, "does not fit"),
        ({"boundaries": [-1]}, "does not fit"),
        ({"boundaries": [8]}, "does not fit"),
        ({"boundaries": None}, "does not fit"),
        ({"transformationMatrix": [1, 2, 3]}, "does not fit"),
        ({"transformationMatrix": None}, "does not fit"),
        ({"transformationMatrix": ["a"] * 16}, "does not fit"),
    ],
    ids=repr,
)
def test_an_instance_that_does_not_fit_its_template_makes_a_bad_object(
    change: dict[str, Any], told: str, tmp_path: Path
) -> None:
    unit = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    instance = {"type": "GeometryInstance", "template": 0, "boundaries": [0], "transformationMatrix": unit}
    templates: Any = {"templates": [surface([[[0, 1, 2]]])], "vertices-templates": [[0, 0, 0], [9, 0, 0], [0, 9, 0]]}

    def data(one: dict[str, Any]) -> str:
        feature = city_feature("a", {"a": city_object("Building", one)}, BLOCK)
        return lines(header(**{"geometry-templates": templates}), feature)

    imported(tmp_path / "fits", data(instance))
    assert told in refused(tmp_path, data(instance | change)).message


@pytest.mark.parametrize("index", [3, -1, -4, 2**40])
def test_a_template_of_no_vertex_makes_a_bad_object(index: int, tmp_path: Path) -> None:
    unit = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    instance = {"type": "GeometryInstance", "template": 0, "boundaries": [0], "transformationMatrix": unit}
    templates: Any = {
        "templates": [surface([[[0, 1, index]]])],
        "vertices-templates": [[0, 0, 0], [9, 0, 0], [0, 9, 0]],
    }
    data = cityjson({"a": city_object("Building", instance)}, BLOCK, **{"geometry-templates": templates})
    assert "does not fit its template" in refused(tmp_path, data).message


@pytest.mark.parametrize(
    "vertex", [[1, 2], [1, 2, 3, 4], ["1", "2", "3"], [1, 2, None], [1, 2, True], "abc", 7, None, {}]
)
def test_a_vertex_that_is_none_makes_its_object_bad(vertex: Any, tmp_path: Path) -> None:
    bad = city_object("Building", solid("1", 8))
    error = refused(tmp_path, cityjson({"good": GOOD, "bad": bad}, [*BLOCK, *BLOCK[:7], vertex]))
    assert "1 bad objects" in error.message
    assert "data: bad: " in error.message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"transform": None}, "'transform'"),
        ({"transform": {"scale": [1, 1], "translate": [0, 0, 0]}}, "'transform'"),
        ({"transform": {"scale": ["1", 1, 1], "translate": [0, 0, 0]}}, "'transform'"),
        ({"CityObjects": []}, "'CityObjects' is not an object"),
        ({"vertices": {}}, "'vertices' is not a list"),
        ({"geometry-templates": {}}, "'geometry-templates'"),
        ({"geometry-templates": {"templates": {}, "vertices-templates": []}}, "'geometry-templates'"),
        ({"geometry-templates": {"templates": [], "vertices-templates": [[1, 2]]}}, "'geometry-templates'"),
        ({"geometry-templates": {"templates": [], "vertices-templates": [["a", 2, 3]]}}, "'geometry-templates'"),
    ],
)
def test_a_document_of_a_wrong_form_is_refused(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert told in refused(tmp_path, cityjson({"a": GOOD}, BLOCK) | change).message


def test_a_scale_of_nothing_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, cityjson({"a": GOOD}, BLOCK, scale=0))
    assert "'transform' has a scale of 0" in error.message


def test_a_sequence_whose_header_has_objects_is_refused(tmp_path: Path) -> None:
    text = lines(cityjson({"a": GOOD}, BLOCK), city_feature("b", {"b": GOOD}, BLOCK))
    assert "must not hold objects of its own" in refused(tmp_path, text).message


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("7", "not a CityJSONFeature"),
        ({"type": "CityJSONFeature"}, "no id"),
        ({"type": "CityJSONFeature", "id": 7}, "no id"),
        ({"type": "CityJSONFeature", "id": "b"}, "b: 'CityObjects' or 'vertices' is missing"),
        (city_feature("b", {"c": GOOD}, BLOCK), "b: the feature's id names none of its objects"),
    ],
)
def test_a_line_of_a_sequence_that_is_no_feature_is_bad(line: Any, told: str, tmp_path: Path) -> None:
    text = lines(header(), city_feature("a", {"a": GOOD}, BLOCK)) + (
        line + "\n" if isinstance(line, str) else lines(line)
    )
    error = refused(tmp_path, text)
    assert "data:3: " in error.message
    assert told in error.message


# Ids


@pytest.mark.parametrize(
    ("id", "expected"),
    [("a", "a"), (7, "7"), (0, "0"), (7.0, "7"), (1.5, "1.5"), (True, "true"), ("e\u0301", "é"), (2**63, str(2**63))],
)
def test_an_id_becomes_text(id: Any, expected: str, tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, features(feature(id)))
    assert set(rows) == {expected}


@pytest.mark.parametrize("id", ["", " ", None, ..., [1, 2], {"a": 1}, "x" * 1025], ids=lambda id: repr(id)[:12])
def test_a_later_object_without_an_id_is_bad_and_the_first_one_stops_the_import(id: Any, tmp_path: Path) -> None:
    error = refused(tmp_path, features(feature("a"), feature(id, nr=1)))
    assert "(no id): no id" in error.message
    error = refused(tmp_path / "first", features(feature(id, nr=1), feature("a")))
    assert "no ids" in error.message
    assert "nr" in (error.remedy or "")


def test_ids_come_from_the_column_that_is_named_or_the_mappings_or_the_place(tmp_path: Path) -> None:
    data = features(feature("own", nr="n1", osm_id=5), feature("own2", nr="n2", osm_id=6))
    assert set(imported(tmp_path / "a", data)[0]) == {"own", "own2"}
    assert set(imported(tmp_path / "b", data, id_column="nr")[0]) == {"n1", "n2"}
    assert set(imported(tmp_path / "c", data, id_column="#")[0]) == {"#1", "#2"}
    bare = features(feature(..., osm_id=5), feature(..., osm_id=6))
    rows, _ = imported(tmp_path / "d", bare)
    assert {id: row["ext"] for id, row in rows.items()} == {"5": {}, "6": {}}
    assert "no column 'gone'" in refused(tmp_path / "e", data, id_column="gone").message


@pytest.mark.parametrize("properties", [7, "text", [1]])
def test_properties_that_are_no_object_make_a_bad_one(properties: Any, tmp_path: Path) -> None:
    error = refused(tmp_path, features(feature("a"), feature("b") | {"properties": properties}))
    assert "data: number 2: 'properties' is not a JSON object" in error.message


def test_of_a_key_that_stands_twice_in_json_the_last_counts(tmp_path: Path) -> None:
    """As RFC 8259 lets parsers do, and as Python's own does."""
    text = lines(feature("a", height="@")).replace('"height": "@"', '"height": 1, "height": 2')
    assert imported(tmp_path, text)[0]["a"]["height"] == 2
