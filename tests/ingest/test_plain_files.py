"""GeoJSON, GeoJSON lines and tables that the test builds itself give the rows that the values in them say."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import shapely
from pyproj import Geod

from tests.ingest.making import SQUARE, feature, features, imported, lines, refused, ring, same

GEOD = Geod(ellps="WGS84")
HOLED = {"type": "Polygon", "coordinates": [ring(69.2, 41.3, 0.01), ring(69.202, 41.302, 0.002)[::-1]]}
TWO = {"type": "MultiPolygon", "coordinates": [[ring(69.2, 41.3)], [ring(69.3, 41.3)]]}
GEOMETRIES: dict[str, Any] = {
    "polygon": SQUARE,
    "hole": HOLED,
    "clockwise": {"type": "Polygon", "coordinates": [ring(69.2, 41.3)[::-1]]},
    "multipolygon": TWO,
    "point": {"type": "Point", "coordinates": [69.2, 41.3]},
    "heights": {"type": "Point", "coordinates": [69.2, 41.3, 455.5]},
    "multipoint": {"type": "MultiPoint", "coordinates": [[69.2, 41.3], [69.3, 41.4]]},
    "line": {"type": "LineString", "coordinates": [[69.2, 41.3], [69.3, 41.4]]},
    "multiline": {"type": "MultiLineString", "coordinates": [[[69.2, 41.3], [69.3, 41.4]], [[1, 2], [3, 4]]]},
    "west": {"type": "Point", "coordinates": [-179.99, -89.9]},
}

Write = Callable[[list[Any]], str]
WRITERS: dict[str, Write] = {
    "one line": lambda made: json.dumps(features(*made)),
    "pretty": lambda made: json.dumps(features(*made), indent=2),
    "CRLF": lambda made: json.dumps(features(*made), indent=1).replace("\n", "\r\n"),
    "BOM": lambda made: "\ufeff" + json.dumps(features(*made)),
    "lines": lambda made: lines(*made),
    "lines with CRLF and gaps": lambda made: lines(*made).replace("\n", "\r\n\r\n"),
    "lines with BOM": lambda made: "\ufeff" + lines(*made),
    "record separators": lambda made: "".join(f"\x1e{json.dumps(one)}\n" for one in made),
    "no last newline": lambda made: lines(*made).rstrip("\n"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_geojson_is_read_however_it_is_laid_out(writer: str, packed: bool, tmp_path: Path) -> None:
    made = [feature(name, geometry, height=12.345) for name, geometry in GEOMETRIES.items()]
    raw = WRITERS[writer](made).encode()
    rows, report = imported(tmp_path, gzip.compress(raw) if packed else raw)
    assert set(rows) == set(GEOMETRIES)
    for name, geometry in GEOMETRIES.items():
        row, expected = rows[name], shapely.force_2d(shapely.geometry.shape(geometry))
        assert same(row["geometry_lod0"], shapely.orient_polygons(expected), 0.0)
        assert tuple(row["bbox"].values()) == expected.bounds
        assert row["height"] == Decimal("12.34"), "12.345 is a tie: to even"
        assert row["zmin"] is None
    assert report.operation.crs == "OGC:CRS84"
    assert report.operation.accuracy_m == 0


@pytest.mark.parametrize("name", ["polygon", "hole", "clockwise", "multipolygon"])
def test_areas_in_degrees_are_those_of_the_ellipsoid(name: str, tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, features(feature("a", GEOMETRIES[name])))
    whole = shapely.orient_polygons(shapely.geometry.shape(GEOMETRIES[name]))
    area = sum(GEOD.geometry_area_perimeter(part)[0] for part in shapely.get_parts(whole))
    assert float(rows["a"]["footprint_area"]) == pytest.approx(area, rel=1e-5)
    assert rows["a"]["footprint_area_method"] == "derived"
    assert rows["a"]["footprint_method"] == "given"


def test_one_feature_alone_is_a_file_of_one_row(tmp_path: Path) -> None:
    for number, text in enumerate((json.dumps(feature()), json.dumps(feature(), indent=1), lines(feature()))):
        rows, _ = imported(tmp_path / str(number), text)
        assert set(rows) == {"a"}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([SQUARE, {"type": "Polygon", "coordinates": [ring(69.3, 41.3)]}], shapely.geometry.shape(TWO)),
        ([SQUARE], shapely.geometry.shape(SQUARE)),
        ([], None),
        (
            [GEOMETRIES["point"], {"type": "Point", "coordinates": [1, 2]}],
            shapely.MultiPoint([(69.2, 41.3), (1, 2)]),
        ),
    ],
    ids=["two areas", "one area", "nothing", "two points"],
)
def test_a_collection_of_one_kind_becomes_that_kind(members: list[Any], expected: Any, tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, features(feature("a", {"type": "GeometryCollection", "geometries": members})))
    found = rows["a"]["geometry_lod0"]
    assert found is None if expected is None else same(found, expected)


@pytest.mark.parametrize(
    "geometry", [None, {"type": "Polygon", "coordinates": []}, {"type": "Point", "coordinates": []}], ids=repr
)
def test_a_feature_without_a_place_is_a_row_without_one(geometry: Any, tmp_path: Path) -> None:
    rows, report = imported(tmp_path, features(feature("a", geometry, height=3), feature("b")))
    assert rows["a"]["geometry_lod0"] is None
    assert rows["a"]["bbox"] is None
    assert rows["a"]["height"] == 3
    assert report.nulls["geometry_lod0"] == 1


# Tables

TABLE = [
    ("id", "lon", "lat", "название", "height", "note"),
    ("a", "69.25", "41.3", "Дом", "12.5", "plain"),
    ("b", "-70.5", "-33.25", 'with "quotes"', "", "a, b; c\td|e"),
    ("c", "1e1", "+.5", "two\nlines", "7", ""),
    ("d", "", "", "nowhere", "3", ""),
]


def table(delimiter: str, end: str = "\n", mark: str = "") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(TABLE)
    return mark + out.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(("end", "mark"), [("\n", ""), ("\r\n", "\ufeff"), ("\n", "\n\n")], ids=["LF", "CRLF", "gap"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_tables_are_read_by_any_separator(delimiter: str, end: str, mark: str, packed: bool, tmp_path: Path) -> None:
    raw = table(delimiter, end, mark).encode()
    rows, report = imported(tmp_path, gzip.compress(raw) if packed else raw, crs="OGC:CRS84")
    assert set(rows) == {"a", "b", "c", "d"}
    assert rows["a"]["geometry_lod0"] == shapely.Point(69.25, 41.3)
    assert rows["b"]["geometry_lod0"] == shapely.Point(-70.5, -33.25)
    assert rows["c"]["geometry_lod0"] == shapely.Point(10, 0.5)
    assert rows["d"]["geometry_lod0"] is None
    assert [rows[id]["height"] for id in "abcd"] == [Decimal("12.50"), None, Decimal(7), Decimal(3)]
    assert [rows[id]["name"]["und"] for id in "abcd"] == [line[3] for line in TABLE[1:]]
    assert [rows[id]["ext"] for id in "abcd"] == [{"note": "plain"}, {"note": "a, b; c\td|e"}, {}, {}]
    assert report.unclaimed == {"note": 2}


def test_columns_of_coordinates_are_told_by_the_mapping_whatever_their_case(tmp_path: Path) -> None:
    mapping = "format: cimfed/mapping/v1\nid: [n]\nx: [EAST, rechts]\ny: [hoch]\n"
    rows, _ = imported(tmp_path, "n,Rechts,HOCH\na,69,41\n", crs="OGC:CRS84", mapping=mapping)
    assert rows["a"]["geometry_lod0"] == shapely.Point(69, 41)
    assert rows["a"]["ext"] == {}


@pytest.mark.parametrize(
    ("text", "told", "place"),
    [
        ("id,a,b\n1,2,3\n", "no column of x coordinates among id, a, b", "data"),
        ("id,x,b\n1,2,3\n", "no column of y coordinates", "data"),
        ("id,x,y,x\n1,2,3,4\n", "the column 'x' stands twice", "data"),
        ('id,x,y\na,1,2\nb,"1,2\n', "not readable as CSV", "data:"),
        ('id,x,y\na,1,2\nb,"1"2,2\n', "not readable as CSV", "data:3"),
        (b"id,x,y\na,1,2\n\xc4\xe3,3,4\n", "not UTF-8", "data:"),
        ("id,x,y\n", "nothing for the collection building", "data"),
        ("id,x,y\n,1,2\n", "the objects have no ids", "data"),
        ("nr,x,y\n1,1,2\n", "the objects have no ids", "data"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_its_place(
    text: str | bytes, told: str, place: str, tmp_path: Path
) -> None:
    error = refused(tmp_path, text, crs="OGC:CRS84")
    assert told in error.message
    assert (error.place or "").startswith(place)


def test_a_table_in_another_encoding_is_told_how_to_convert_it(tmp_path: Path) -> None:
    error = refused(tmp_path, "id,x,y,name\na,69,41,地址不明的办公楼\n".encode("gb18030"), crs="OGC:CRS84")
    assert "--encoding GB18030" in (error.remedy or "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("b,1", "2 cells under 3 columns"),
        ("b,1,2,3", "4 cells under 3 columns"),
        ("b,1,", "coordinates that are not two numbers"),
        ("b,,2", "coordinates that are not two numbers"),
        ("b,east,2", "coordinates that are not two numbers"),
        ("b,nan,2", "coordinates that are not two numbers"),
        ("b,inf,2", "coordinates that are not two numbers"),
        ("b,1e999,2", "coordinates outside of the area"),
        ("b,181,2", "coordinates outside of the area"),
        ("b,2,121.5", "coordinates outside of the area"),
        ('b,"12,5",2', "coordinates that are not two numbers"),
        (",1,2", "no id"),
        ("b" * 1025 + ",1,2", "no id"),
    ],
)
def test_a_bad_line_of_a_table_is_told_with_its_number(line: str, reason: str, tmp_path: Path) -> None:
    error = refused(tmp_path, f"id,x,y\na,1,2\n{line}\nc,3,4\n", crs="OGC:CRS84")
    assert "1 bad objects" in error.message
    assert "data:3: " in error.message
    assert reason in error.message


def test_rows_are_taken_by_the_values_that_where_names(tmp_path: Path) -> None:
    text = "id,x,y,kind\na,1,2,7\nb,1,2,8\nc,1,2,\n"
    rows, report = imported(tmp_path, text, crs="OGC:CRS84", where=(("kind", "7"),))
    assert set(rows) == {"a"}
    assert report.skipped == {"": 2}
    assert "no column 'sort'" in refused(tmp_path / "no", text, crs="OGC:CRS84", where=(("sort", "7"),)).message
    made = features(feature("a", kind=7), feature("b", kind=8.0), feature("c", kind=[7]), feature("d"))
    rows, _ = imported(tmp_path / "json", made, where=(("kind", "7"),))
    assert set(rows) == {"a", "c"}, "a list of one item stands for the item"


@pytest.mark.parametrize(
    ("data", "where", "remedy"),
    [
        (b"id,lon,lat\n", (), "no objects in it"),
        (b"id,lon,lat,kind\na,70,40,x\n", (("kind", "y"),), "--where"),
    ],
)
def test_nothing_to_import_says_why(
    data: bytes, where: tuple[tuple[str, str], ...], remedy: str, tmp_path: Path
) -> None:
    error = refused(tmp_path, data, collection="facility", crs="OGC:CRS84", where=where)
    assert remedy in (error.remedy or "")


def test_a_table_of_sensors_gives_their_places_and_what_they_observe(tmp_path: Path) -> None:
    data = "id,lon,lat,type,observed_property,unit,feature_collection,feature_id,height\n"
    data += "s1,69.24,41.31,thermometer,air_temperature,Cel,building,b7,3.5\ns2,69.25,41.32,counter,sunspots,1,,,\n"
    rows, report = imported(tmp_path, data, collection="sensor", crs="OGC:CRS84")
    first = rows["s1"]
    assert (first["kind"], first["property"], first["unit"]) == ("thermometer", "air_temperature", "Cel")
    assert (first["feature_collection"], first["feature"], first["height"]) == ("building", "b7", Decimal("3.50"))
    assert first["geometry_lod0"].equals(shapely.Point(69.24, 41.31))
    assert rows["s2"]["property"] is None
    assert report.unmapped == {("property", "observed_property"): {"sunspots": 1}}


def test_readings_are_rows_without_a_place(tmp_path: Path) -> None:
    told = {"sensor": "s1", "property": "air_temperature", "unit": "Cel", "quality": "checked"}
    read = feature("o1", None, **told, result=-12.3456785, timestamp="2026-01-05T06:30:00+05:00")
    rows, _ = imported(tmp_path, features(read), collection="observation")
    row = rows["o1"]
    assert {name: row[name] for name in told} == told
    assert row["value"] == Decimal("-12.345678")  # half to even
    assert row["time"] == datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
    assert row["geometry_lod0"] is None
