"""Files that are cut off, of wrong types, too large, too deep, or shaped as nothing can be."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from cimfed_node.ingest import importer
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers import lines as streams
from tests.ingest.making import (
    BLOCK,
    as_bytes,
    city_feature,
    city_object,
    cityjson,
    feature,
    features,
    header,
    imported,
    lines,
    refused,
    ring,
    same,
    solid,
)

GOOD = city_object("Building", solid())
DOCUMENTS: dict[str, bytes] = {
    "GeoJSON": as_bytes(features(feature("a"), feature("b"))),
    "CityJSON": as_bytes(cityjson({"a": GOOD}, BLOCK)),
    "GeoJSON lines": lines(feature("a"), feature("b")).encode(),
    "CityJSONSeq": lines(
        header(), city_feature("a", {"a": GOOD}, BLOCK), city_feature("b", {"b": GOOD}, BLOCK)
    ).encode(),
    "CSV": b'id,x,y\na,1,2\nb,1,"2"\n',
}


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_file_that_is_cut_off_is_refused(name: str, part: float, tmp_path: Path) -> None:
    raw = DOCUMENTS[name]
    cut = raw[: int(len(raw) * part)]
    if name == "CSV":
        cut = raw[:-2]  # in the open quotes: what is cut elsewhere may be a whole table
    error = refused(tmp_path, cut, crs="OGC:CRS84" if name == "CSV" else None)
    assert error.reason == "bad_file"


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("left", [12, 40, -4])
def test_a_gzip_that_is_cut_off_is_refused(name: str, left: int, tmp_path: Path) -> None:
    packed = gzip.compress(DOCUMENTS[name])
    assert "damaged gzip" in refused(tmp_path, packed[: min(left, len(packed) - 1)], crs="OGC:CRS84").message


def test_a_gzip_with_a_wrong_byte_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(DOCUMENTS["CSV"]))
    packed[-6] ^= 1
    assert "damaged gzip" in refused(tmp_path, bytes(packed), crs="OGC:CRS84").message


@pytest.mark.parametrize("name", ["GeoJSON", "CityJSON"])
def test_invalid_utf8_in_a_document_is_refused(name: str, tmp_path: Path) -> None:
    data = b"\n\n".join(DOCUMENTS[name].replace(b'"a"', b'"\xff"').partition(b" "))
    error = refused(tmp_path, data)
    assert error.message == f"byte {data.index(0xFF) + 1} is not UTF-8, which JSON is in"
    assert error.place == "data:5"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ('{"type": "CityJSON"', "not JSON: it ends in its middle"),
        ('{"a":' * 2000, "not JSON: nested too deeply"),
        ('{"type": "FeatureCollection", "features": 1e999}', "not JSON: a number beyond all"),
        ('{"type": "Д", x}', "not JSON"),
    ],
)
def test_a_document_that_is_not_json_says_why(data: str, told: str, tmp_path: Path) -> None:
    error = refused(tmp_path, data)
    assert error.message == told
    assert (error.place or "").startswith("data:1:")


def test_invalid_utf8_in_a_line_is_a_bad_object(tmp_path: Path) -> None:
    error = refused(tmp_path, DOCUMENTS["GeoJSON lines"].replace(b'"b"', b'"\xff"'))
    assert "data:2: number 2: not a Feature" in error.message
    error = refused(tmp_path / "city", DOCUMENTS["CityJSONSeq"].replace(b'"b"', b'"\xff"'))
    assert "data:3: (no id): not JSON" in error.message


# Limits, lowered


def lower(patch: pytest.MonkeyPatch, **limits: int) -> None:
    for name, limit in limits.items():
        patch.setitem(LIMITS.__dict__, name, limit)


@pytest.mark.parametrize("name", ["GeoJSON lines", "CityJSONSeq", "CSV"])
def test_a_line_over_the_limit_is_refused_with_its_number(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(monkeypatch, line=1000)
    raw = DOCUMENTS[name] + b"x" * 1001
    count = DOCUMENTS[name].count(b"\n") + 1
    error = refused(tmp_path, raw, crs="OGC:CRS84" if name == "CSV" else None)
    assert "a line of more than" in error.message
    assert error.place == f"data:{count}"


@pytest.mark.parametrize("indent", [None, 1])
def test_a_document_over_the_limit_is_refused_with_a_format_that_streams(
    indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps(features(*(feature(f"f{number}") for number in range(20))), indent=indent)
    lower(monkeypatch, document=len(text) - 1)
    error = refused(tmp_path, text)
    assert "a document of more than" in error.message
    assert "GeoJSONSeq" in (error.remedy or "")
    lower(monkeypatch, document=len(text))
    imported(tmp_path / "fits", text)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_gzip_bomb_is_refused_at_the_limit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = DOCUMENTS[name] + b" \n" * 200_000
    packed = gzip.compress(raw)
    assert len(packed) < 3000
    monkeypatch.setattr(importer, "open_bytes", lambda path: streams.open_bytes(path, 100_000))
    error = refused(tmp_path, packed, crs="OGC:CRS84" if name == "CSV" else None)
    assert "more than 100,000 bytes after decompression" in error.message


def test_too_many_vertices_make_a_bad_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower(monkeypatch, vertices=20)
    assert "a: more than 20 vertices" in refused(tmp_path, cityjson({"a": GOOD}, BLOCK)).message
    many = {"type": "LineString", "coordinates": [[69.123456789, 41.0 + n / 1000] for n in range(100)]}
    assert "a: more than 20 vertices" in refused(tmp_path / "plain", features(feature("a", many))).message


def test_too_large_a_family_is_a_bad_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower(monkeypatch, family=3)
    parts = {f"p{n}": city_object("BuildingPart", solid(), parents=["a"]) for n in range(3)}
    objects = {"a": city_object(children=list(parts)), **parts}
    error = refused(tmp_path, cityjson(objects, BLOCK))
    assert "a: more than 3 objects in one family" in error.message
    error = refused(tmp_path / "seq", lines(header(), city_feature("a", objects, BLOCK)))
    assert "data:2: a: more than 3 objects in one feature" in error.message


def test_too_many_attributes_and_too_long_texts_make_bad_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower(monkeypatch, columns=5, text=10)
    made = features(feature("a", **{f"k{n}": n for n in range(5)}), feature("b", k9=1))
    assert "b: more than 5 different attributes" in refused(tmp_path, made).message
    assert "a text of more than 10" in refused(tmp_path / "t", features(feature("a", district="x" * 11))).message


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_small_chunks_change_nothing(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = features(*(feature(f"f{n}", {"type": "Point", "coordinates": [n, -n]}, height=n) for n in range(7)))
    lower(monkeypatch, chunk_objects=chunk, group_rows=2, merge_bytes=1)
    rows, report = imported(tmp_path, data)
    assert {id: (row["geometry_lod0"].x, row["height"]) for id, row in rows.items()} == {
        f"f{n}": (n, n) for n in range(7)
    }
    assert report.rows == 7


# Depth

DEPTHS = [200, 300, 500, 990, 1015]


def nested(depth: int, data: Any) -> str:
    """The text of some JSON in which "@" stands for so many lists in one another."""
    text = data if isinstance(data, str) else json.dumps(data)
    assert '"@"' in text
    return text.replace('"@"', "[" * depth + "]" * depth)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "data",
    [
        features(feature("a", x="@"), feature("b")),
        lines(feature("a", x="@"), feature("b")),
        cityjson({"a": city_object("Building", solid(), attributes={"x": "@"}), "b": GOOD}, BLOCK),
        lines(
            header(),
            city_feature("a", {"a": city_object("Building", attributes={"x": "@"})}, []),
            city_feature("b", {"b": GOOD}, BLOCK),
        ),
    ],
    ids=["GeoJSON", "GeoJSON lines", "CityJSON", "CityJSONSeq"],
)
def test_deep_attributes_are_kept_or_make_a_bad_object(depth: int, data: Any, tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, nested(depth, data), quarantine=tmp_path / "bad")
    bad = (tmp_path / "bad").read_text()
    assert "b" in rows
    assert ("a" in rows) != ("nested too deeply" in bad)
    assert ("a" in rows) == (depth == 200)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "data",
    [
        features(feature("a", {"type": "Polygon", "coordinates": "@"}), feature("b")),
        lines(feature("b"), feature("a", {"type": "MultiPolygon", "coordinates": "@"})),
        cityjson({"a": city_object("Building", solid() | {"boundaries": "@"}), "b": GOOD}, BLOCK),
        lines(
            header(),
            city_feature("b", {"b": GOOD}, BLOCK),
            city_feature("a", {"a": city_object("Building", solid() | {"boundaries": "@"})}, []),
        ),
    ],
    ids=["GeoJSON", "GeoJSON lines", "CityJSON", "CityJSONSeq"],
)
def test_deep_geometries_make_a_bad_object(depth: int, data: Any, tmp_path: Path) -> None:
    rows, report = imported(tmp_path, nested(depth, data), quarantine=tmp_path / "bad")
    assert set(rows) == {"b"}
    assert report.bad == 1


def test_deep_members_of_a_whole_file_are_refused(tmp_path: Path) -> None:
    assert "nested too deeply" in refused(tmp_path, nested(500, features(feature(), more="@"))).message
    assert "nested too deeply" in refused(tmp_path / "one", nested(500, json.dumps(feature(x="@"), indent=1))).message
    assert "not JSON" in refused(tmp_path / "more", nested(100_000, features(feature(), more="@"))).message
    collections = '{"type":"GeometryCollection","geometries":[' * 200 + "]}" * 200
    text = lines(feature("b"), feature("a", "@")).replace('"@"', collections)
    rows, _ = imported(tmp_path / "collections", text, quarantine=tmp_path / "bad")
    assert "b" in rows


# Shapes

BOW_TIE = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]


@pytest.mark.parametrize(
    ("coordinates", "expected"),
    [
        ([BOW_TIE], "MULTIPOLYGON (((0 0, 1 1, 0 2, 0 0)), ((1 1, 2 0, 2 2, 1 1)))"),
        ([[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [0, 0]]], "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0))"),
        ([ring(0, 0, 4), ring(6, 6, 1)], "MULTIPOLYGON (((0 0, 4 0, 4 4, 0 4, 0 0)), ((6 6, 7 6, 7 7, 6 7, 6 6)))"),
        (
            [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]], [[1, 1], [1, 1], [1, 1], [1, 1]]],
            "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0))",
        ),
    ],
    ids=["bow tie", "doubled point", "hole outside", "hole of one point"],
)
def test_an_invalid_polygon_is_made_valid(coordinates: Any, expected: str, tmp_path: Path) -> None:
    """By the rule of JTS's GeometryFixer, for which a hole outside of its shell is an area."""
    rows, report = imported(tmp_path, features(feature("a", {"type": "Polygon", "coordinates": coordinates})))
    found = rows["a"]["geometry_lod0"]
    assert found.is_valid
    assert report.repaired == int(not shapely.geometry.Polygon(coordinates[0], coordinates[1:]).is_valid)
    wanted = shapely.from_wkt(expected)
    assert shapely.equals(found, wanted)


BAD_SHAPES: dict[str, tuple[Any, str]] = {
    "unclosed": ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}, "not closed"),
    "three positions": ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]}, "nothing is left"),
    "a flat ring": ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}, "nothing is left"),
    "one number": ({"type": "Point", "coordinates": [1]}, "not positions of numbers"),
    "text": ({"type": "Point", "coordinates": ["1", "2"]}, "not positions of numbers"),
    "null": ({"type": "Point", "coordinates": [None, 2]}, "not positions of numbers"),
    "no coordinates": ({"type": "Point"}, "not positions of numbers"),
    "an object": ({"type": "Polygon", "coordinates": {"a": 1}}, "not positions of numbers"),
    "wrong depth": ({"type": "Polygon", "coordinates": [[0, 0], [1, 1]]}, ""),
    "a line of one": ({"type": "LineString", "coordinates": [[0, 0]]}, "not positions of numbers"),
    "a circle": ({"type": "Circle", "coordinates": [0, 0]}, "'Circle' is no geometry type"),
    "no type": ({"coordinates": [0, 0]}, "'None' is no geometry type"),
    "a list": ([1, 2], "neither null nor a JSON object"),
    "false": (False, "neither null nor a JSON object"),
    "kinds": (
        {
            "type": "GeometryCollection",
            "geometries": [
                {"type": "Point", "coordinates": [1, 1]},
                {"type": "LineString", "coordinates": [[1, 1], [2, 2]]},
            ],
        },
        "points, lines or areas together",
    ),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_a_geometry_that_is_none_makes_a_bad_object(name: str, tmp_path: Path) -> None:
    geometry, reason = BAD_SHAPES[name]
    error = refused(tmp_path, features(feature("good"), feature("bad", geometry)))
    assert "1 bad objects" in error.message
    assert "data: bad: " in error.message
    assert reason in error.message


def test_a_flat_body_and_a_body_of_one_point_have_no_footprint(tmp_path: Path) -> None:
    wall = {"type": "MultiSurface", "lod": "1", "boundaries": [[[0, 1, 5, 4]]]}
    rows, _ = imported(tmp_path, cityjson({"wall": city_object("Building", wall), "good": GOOD}, BLOCK))
    assert rows["wall"]["geometry_lod0"] is None
    assert (rows["wall"]["zmin"], rows["wall"]["height"]) == (2, 12)
    assert rows["wall"]["volume"] is None


def test_a_closed_ring_in_cityjson_is_taken_as_the_open_one_it_stands_for(tmp_path: Path) -> None:
    floor = {"type": "MultiSurface", "lod": "0", "boundaries": [[[0, 1, 2, 3, 0]]]}
    rows, _ = imported(tmp_path, cityjson({"a": city_object("Building", floor), "b": GOOD}, BLOCK))
    assert same(rows["a"]["geometry_lod0"], rows["b"]["geometry_lod0"])
