"""Where the rows of a CSV are: coordinates with a decimal comma, a column of WKT or WKB, or nowhere."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from cimfed.model.names import CityName
from cimfed_node.ingest import ImportRequest, preview
from tests.ingest.making import imported, refused

COMMA = 'format: cimfed/mapping/v1\nid: [id]\nx: {from: [долгота], decimal: ","}\ny: {from: [широта], decimal: ","}\n'
SHAPES = [
    "POINT (69.25 41.3)",
    "POLYGON ((69 41, 69.1 41, 69.1 41.1, 69 41))",
    "MULTIPOLYGON (((69 41, 69.1 41, 69.1 41.1, 69 41)), ((70 41, 70.1 41, 70.1 41.1, 70 41)))",
    "LINESTRING (69 41, 70 42)",
    "GEOMETRYCOLLECTION (POLYGON ((69 41, 69.1 41, 69.1 41.1, 69 41)))",
]


def table(rows: list[list[str]], delimiter: str = ",") -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


def test_coordinates_with_a_decimal_comma_are_read_where_the_mapping_says_so(tmp_path: Path) -> None:
    text = "id;долгота;широта\na;69,25;41,3\nb;-70,5;1 234e-2\nc;;\n"
    rows, _ = imported(tmp_path / "a", text, crs="OGC:CRS84", mapping=COMMA)
    assert rows["a"]["geometry_lod0"] == shapely.Point(69.25, 41.3)
    assert rows["b"]["geometry_lod0"] == shapely.Point(-70.5, 12.34)
    assert rows["c"]["geometry_lod0"] is None
    dots = COMMA.replace(', decimal: ","', "")
    error = refused(tmp_path / "b", text, crs="OGC:CRS84", mapping=dots)
    assert "coordinates that are not two numbers" in error.message


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('x: {from: [a], decimal: ";"}', "'.' or ','"),
        ("x: {from: [a], factor: 2}", "unknown key 'factor'"),
        ('x: {decimal: ","}', "an attribute's name"),
        ("geometry: {from: [a]}", "an attribute's name"),
    ],
)
def test_a_mapping_of_places_that_is_none_is_refused(line: str, told: str, tmp_path: Path) -> None:
    error = refused(tmp_path, "id,x,y\n", mapping=f"format: cimfed/mapping/v1\n{line}\n")
    assert error.reason == "bad_mapping"
    assert told in error.message


def test_a_mapping_with_a_decimal_comma_is_written_as_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id;долгота;широта\na;69,25;41,3\n")
    (tmp_path / "m.yaml").write_text(COMMA)
    request = ImportRequest(
        (tmp_path / "t.csv",), CityName("xx.city"), "facility", mapping=tmp_path / "m.yaml", crs="OGC:CRS84"
    )
    document = preview(request).mapping
    assert document["x"] == {"from": ["долгота"], "decimal": ","}
    assert document["y"] == {"from": ["широта"], "decimal": ","}


GEOMETRY = "format: cimfed/mapping/v1\nid: [id]\ngeometry: [missing, WKT]\n"


@pytest.mark.parametrize("form", ["WKT", "EWKT", "WKB", "EWKB", "small letters"])
def test_a_column_of_geometry_gives_the_places(form: str, tmp_path: Path) -> None:
    def written(text: str) -> str:
        geometry = shapely.from_wkt(text)
        match form:
            case "WKT":
                return text
            case "EWKT":
                return f"SRID=4326;{text}"
            case "WKB":
                return str(shapely.to_wkb(geometry, hex=True, flavor="iso"))
            case "EWKB":
                return str(shapely.to_wkb(shapely.set_srid(geometry, 4326), hex=True, include_srid=True, byte_order=0))
            case _:
                return text.lower()

    lines = [["id", "wkt", "x"], *([str(n), written(text), "7"] for n, text in enumerate(SHAPES)), ["e", "", ""]]
    rows, _ = imported(tmp_path, table(lines, ";"), crs="OGC:CRS84", mapping=GEOMETRY)
    for number, text in enumerate(SHAPES):
        found, expected = rows[str(number)]["geometry_lod0"], shapely.from_wkt(text)
        if expected.geom_type == "GeometryCollection":
            expected = expected.geoms[0]
        assert shapely.equals_exact(found.normalize(), expected.normalize(), 0.0)
        assert rows[str(number)]["ext"] == {"x": "7"}
    assert rows["e"]["geometry_lod0"] is None


@pytest.mark.parametrize(
    "text",
    [
        "POINT (1)",
        "POINT 1 2",
        "Tashkent",
        "0101",
        "01" * 30,
        "GEOMETRYCOLLECTION (" * 5000 + "POINT (1 2)" + ")" * 5000,
        "POINT (nan 2)",
        "POINT (200 2)",
        "CIRCULARSTRING (0 0, 1 1, 2 0)",
        "SRID=4326",
        "0101000000",
    ],
)
def test_a_cell_that_is_no_geometry_makes_a_bad_object_with_its_line(text: str, tmp_path: Path) -> None:
    lines = [["id", "WKT"], ["a", "POINT (1 2)"], ["b", text]]
    error = refused(tmp_path, table(lines), crs="OGC:CRS84", mapping=GEOMETRY)
    assert "1 bad objects" in error.message
    assert "data:3: b: " in error.message


def test_readings_need_neither_places_nor_a_system(tmp_path: Path) -> None:
    text = "id,sensor,property,unit,result,timestamp\no1,s1,air_temperature,Cel,-12.5,2026-01-05T06:30:00+05:00\n"
    rows, _ = imported(tmp_path / "a", text, collection="observation")
    assert rows["o1"]["value"] == Decimal("-12.5")
    assert rows["o1"]["geometry_lod0"] is None
    error = refused(tmp_path / "b", text.replace("unit,", "lon,"), collection="observation")
    assert "no column of y coordinates" in error.message
    assert "no column of x" in refused(tmp_path / "c", text, collection="sensor").message


def test_quoted_lines_ragged_rows_and_a_mark_are_told_by_their_line(tmp_path: Path) -> None:
    text = '\ufeffid,x,y,note\na,1,2,"two\nlines, ""quoted"""\nb,1,2\n'
    error = refused(tmp_path / "a", text, crs="OGC:CRS84")
    assert "data:4: b: 3 cells under 4 columns" in error.message
    rows, _ = imported(tmp_path / "b", text.replace("b,1,2\n", ""), crs="OGC:CRS84")
    assert rows["a"]["ext"] == {"note": 'two\nlines, "quoted"'}


def test_readings_without_ids_get_the_same_ones_from_parquet_as_from_csv(tmp_path: Path) -> None:
    readings = [("s1", "pm10", "2026-03-01T05:00:00Z", "12.5"), ("s2", "pm10", "2026-03-01T05:00:00Z", "7")]
    names = ("sensor", "property", "time", "result")
    text = "\n".join([",".join(names), *map(",".join, readings)])
    path = tmp_path / "readings.parquet"
    pq.write_table(pa.table(dict(zip(names, zip(*readings, strict=True), strict=True))), path)
    of_csv, _ = imported(tmp_path / "csv", text, collection="observation")
    of_parquet, _ = imported(tmp_path / "parquet", path.read_bytes(), collection="observation")
    assert set(of_csv) == {f"{sensor}/pm10/2026-03-01T05:00:00Z" for sensor in ("s1", "s2")}
    assert of_parquet == of_csv
    pq.write_table(pa.table({"sensor": ["s1", None], "time": [readings[0][2]] * 2, "result": ["1", "2"]}), path)
    error = refused(tmp_path / "bad", path.read_bytes(), collection="observation")
    assert "a reading without an id, and without a sensor" in error.message
