"""Files and text, read again by readers that are not ours."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from cimfed.cli import output, output_table
from cimfed.cli.output import Format, Target
from cimfed.cli.output_text import json_text, names_json, quoted
from cimfed.client.answer import Answer
from cimfed.client.geo import to_geopandas
from cimfed.errors import BadAnswer, BadConfig, Truncated
from cimfed.model.answer import Outcome
from cimfed.model.vocabulary import VOCABULARY
from cimfed.wire.receipts import decode_receipt
from tests.lacking import program
from tests.oracle import cityjson
from tests.unit.cimfed.client.test_answer import went_down
from tests.unit.cimfed.client.world import ALMATY, EXTENTS, QINGDAO, TASHKENT, World, connect

ROWS = 62


@pytest.fixture(params=["small", "large"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the answer is verified before it is written, or written as it comes."""
    if request.param == "large":
        monkeypatch.setattr(output, "SMALL", 0)
    return str(request.param)


def save(path: Path, *, lod: int | None = None, geometry: bool = True, **options: Any) -> Answer:
    with connect(World()) as fed:
        answer = fed.read("building", purpose="research", **options)
        target = Target.of(str(path), None, lod, geometry)
        output.write(answer.spool(output.SMALL), target, "building", lambda: answer.provenance)
    return answer


def footprint(city: str, number: int) -> shapely.Geometry:
    xmin, ymin, *_ = EXTENTS[city]  # type: ignore[index]
    return shapely.box(xmin + number / 1000, ymin, xmin + number / 1000 + 0.0005, ymin + 0.0005)


def test_geojson_is_read_by_json(tmp_path: Path, size: str) -> None:
    save(tmp_path / "b.geojson")
    document = json.loads((tmp_path / "b.geojson").read_text("utf-8"), parse_float=Decimal)
    features = {feature["properties"]["id"]: feature for feature in document["features"]}
    assert document["type"] == "FeatureCollection"
    assert len(features) == len(document["features"]) == ROWS
    found = features["cn.qingdao/3"]
    assert found["properties"]["height"] == Decimal("3.25")
    assert found["properties"]["name"] == {"en": "House 3", "zh": "楼3"}
    assert found["properties"]["function"] == "residential"
    assert features["kz.almaty/5"]["properties"]["height"] is None
    ring = found["geometry"]["coordinates"][0]
    assert shapely.Polygon(ring).equals(footprint(QINGDAO, 3))
    assert shapely.LinearRing(ring).is_ccw
    assert all("bbox" not in feature["properties"] for feature in features.values())
    assert geopandas.read_file(tmp_path / "b.geojson").shape[0] == ROWS


def test_geojson_of_a_finer_level_has_its_geometry(tmp_path: Path) -> None:
    save(tmp_path / "b.geojson", lod=1)
    features = json.loads((tmp_path / "b.geojson").read_text("utf-8"))["features"]
    solid = [feature for feature in features if feature["geometry"]]
    assert {len(feature["geometry"]["coordinates"][0][0]) for feature in solid} == {3}
    assert {feature["properties"]["city"] for feature in solid} == {TASHKENT}


def test_geopackage_is_read_by_gdal(tmp_path: Path, size: str) -> None:
    save(tmp_path / "b.gpkg")
    info = pyogrio.read_info(tmp_path / "b.gpkg", layer="building")
    assert info["features"] == ROWS
    assert info["crs"] == "EPSG:4326"
    frame = geopandas.read_file(tmp_path / "b.gpkg").set_index("id")
    assert frame.loc["kz.almaty/7", "height"] == 7.25
    assert json.loads(frame.loc["cn.qingdao/3", "name"]) == {"en": "House 3", "zh": "楼3"}
    assert frame.geometry["uz.tashkent/4"].equals(footprint(TASHKENT, 4))


def test_geopackage_opens_in_debians_gdal(tmp_path: Path, size: str) -> None:
    save(tmp_path / "b.gpkg")
    shown = subprocess.run(
        [program("ogrinfo"), "-so", str(tmp_path / "b.gpkg"), "building"], capture_output=True, text=True, check=True
    )
    assert f"Feature Count: {ROWS}" in shown.stdout
    assert 'ID["EPSG",4326]' in shown.stdout
    assert "height: Real" in shown.stdout
    assert "arning" not in shown.stderr + shown.stdout


def test_geoparquet_is_read_by_geopandas_with_exact_columns(tmp_path: Path, size: str) -> None:
    save(tmp_path / "b.parquet")
    frame = geopandas.read_parquet(tmp_path / "b.parquet")
    assert len(frame) == ROWS
    assert frame.crs.to_authority() == ("OGC", "CRS84")
    assert frame.set_index("id").geometry["cn.qingdao/3"].equals(footprint(QINGDAO, 3))
    inside = geopandas.read_parquet(tmp_path / "b.parquet", bbox=(119, 35, 122, 38))
    assert set(inside["city"]) == {QINGDAO}
    assert len(geopandas.read_parquet(tmp_path / "b.parquet", bbox=(60, 30, 130, 50))) == ROWS  # boxes for all
    table = pq.read_table(tmp_path / "b.parquet")
    assert table.schema.field("height").type == pa.decimal128(18, 2)
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] == "geometry_lod0"


def test_csv_is_read_by_csv(tmp_path: Path, size: str) -> None:
    save(tmp_path / "b.csv")
    with open(tmp_path / "b.csv", encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert len(rows) == ROWS
    assert rows["kz.almaty/7"]["height"] == "7.25"
    assert json.loads(rows["cn.qingdao/3"]["name"]) == {"en": "House 3", "zh": "楼3"}
    assert shapely.from_wkt(rows["uz.tashkent/4"]["geometry_lod0"]).equals(footprint(TASHKENT, 4))
    assert ("volume" in rows["kz.almaty/7"]) == (size == "large")


def test_geometries_can_be_left_out(tmp_path: Path) -> None:
    save(tmp_path / "b.csv", geometry=False)
    with open(tmp_path / "b.csv", encoding="utf-8") as file:
        assert csv.DictReader(file).fieldnames == ["city", "id", "name", "function", "height"]


@pytest.mark.parametrize(
    ("name", "read"), [("b.arrow", pa.ipc.open_file), ("b.feather", pa.ipc.open_file), ("b.arrows", pa.ipc.open_stream)]
)
def test_arrow_is_read_by_arrow(tmp_path: Path, size: str, name: str, read: Any) -> None:
    save(tmp_path / name)
    with read(tmp_path / name) as reader:
        table = reader.read_all()
    assert table.num_rows == ROWS
    assert table.schema.field("name").type == pa.map_(pa.string(), pa.string())


@pytest.mark.parametrize("name", sorted(output._BY_SUFFIX))
def test_a_file_that_was_not_verified_to_its_end_does_not_get_its_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream breaks off after rows were written; the file that was there stays as it was."""
    monkeypatch.setattr(output, "SMALL", 0)
    name = f"b{name}"
    (tmp_path / name).write_bytes(b"old")
    with connect(World(), went_down(ALMATY, Outcome.BROKEN, after=3)) as fed:  # type: ignore[arg-type]
        answer = fed.read("building", purpose="research")
        target = Target.of(str(tmp_path / name), None, None, True)
        with pytest.raises(Truncated, match=ALMATY):
            output.write(answer.spool(0), target, "building", lambda: answer.provenance)
    assert (tmp_path / name).read_bytes() == b"old"
    assert os.listdir(tmp_path) == [name]


def in_sidecar(path: Path) -> Any:
    return json.loads(path.with_name(f"{path.name}.metadata.json").read_text("utf-8"))


def in_geopackage(path: Path) -> Any:
    """As GDAL of Debian finds it, once for the file and once for its layer."""
    shown = subprocess.run(
        [program("ogrinfo"), "-so", "-al", str(path)], capture_output=True, text=True, check=True
    ).stdout
    whole, layer = re.findall(r"^  GPKG_METADATA_ITEM_1=(.*)$", shown, re.MULTILINE)
    assert whole == layer
    return json.loads(whole)


TOLD: dict[str, Callable[[Path], Any]] = {
    "b.geojson": lambda path: json.loads(path.read_text("utf-8"))["cimfed"],
    "b.city.jsonl": lambda path: json.loads(path.read_text("utf-8").split("\n")[0])["metadata"]["cimfed"],
    "b.city.json": lambda path: json.loads(path.read_text("utf-8"))["metadata"]["cimfed"],
    "b.gpkg": in_geopackage,
    "b.parquet": lambda path: json.loads(pq.read_metadata(path).metadata[b"cimfed"]),
    "b.csv": in_sidecar,
    "b.geojsonl": in_sidecar,
    "b.arrow": in_sidecar,
    "b.arrows": in_sidecar,
}
"""How others find what a file says of itself."""


@pytest.mark.parametrize("name", TOLD)
def test_a_file_says_who_gave_it_on_which_terms_and_who_is_missing(tmp_path: Path, size: str, name: str) -> None:
    world = World()
    city = world.cities[QINGDAO]
    said = {b"cimfed:licence": b"CC-BY-4.0", b"cimfed:attribution": "the city, 青岛".encode()}
    city.batches = [batch.replace_schema_metadata(said) for batch in city.batches]
    with connect(world, went_down(ALMATY)) as fed:  # type: ignore[arg-type]
        answer = fed.read("building", where="height > 1", purpose="research")
        rows, target = answer.spool(output.SMALL), Target.of(str(tmp_path / name), None, None, True)
        output.write(rows, target, "building", lambda: answer.provenance)
    told = TOLD[name](tmp_path / name)
    cities = {line.pop("city"): line for line in told.pop("cities")}
    assert told.pop("request_hash") == decode_receipt(answer.receipt).query.payload_hash.hex()
    assert told == {
        "format": "cimfed/provenance/v1",
        "federation": "sco",
        "request": "read",
        "collection": "building",
        "properties": None,
        "where": "height > 1",
        "purpose": "research",
        "asked": "2026-09-21T14:13:20Z",
        "vocabulary": VOCABULARY.version,
        "crs": "OGC:CRS84",
        "gateway": "gw.alliance",
        "directory_version": world.directory.version,
        "complete": False,
    }
    assert (cities[ALMATY]["outcome"], cities[ALMATY]["word"]) == ("unreachable", "gateway")
    given = cities[QINGDAO]
    assert (given["outcome"], given["rows"], given["grant"], given["snapshot"]) == ("answered", 7, "massing", "snap")
    assert (given["licence"], given["attribution"]) == ("CC-BY-4.0", "the city, 青岛")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [name, f"{name}.metadata.json"] if TOLD[name] is in_sidecar else [name]
    )


def test_no_text_of_a_geopackage_ends_early(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "source": ["before\0after", None]})
    output.write(table, Target.of(str(tmp_path / "x.gpkg"), None, None, True), "building")
    frame = pyogrio.read_dataframe(tmp_path / "x.gpkg").set_index("id")
    assert frame.loc["a", "source"] == "before\ufffdafter"
    assert frame["source"].isna().tolist() == [False, True]


@pytest.mark.parametrize("rows", [0, 2])
def test_a_geopackage_without_geometry_says_as_much_of_itself(tmp_path: Path, rows: int) -> None:
    """An aggregate, a read of plain properties, an answer in which no city had a part."""
    table = pa.table({"id": ["a", "b"], "height": [1.5, None]}).slice(0, rows)
    target = Target.of(str(tmp_path / "x.gpkg"), None, None, True)
    output.write(table, target, "building", lambda: {"format": "told", "cities": []})
    assert in_geopackage(tmp_path / "x.gpkg") == {"format": "told", "cities": []}
    shown = subprocess.run(
        [program("ogrinfo"), "-so", str(tmp_path / "x.gpkg"), "building"], capture_output=True, text=True, check=True
    )
    assert f"Feature Count: {rows}" in shown.stdout
    assert "arning" not in shown.stderr + shown.stdout


def test_geopackages_metadata_tables_are_those_of_the_standard(tmp_path: Path) -> None:
    save(tmp_path / "b.gpkg")
    with closing(sqlite3.connect(tmp_path / "b.gpkg")) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        assert database.execute("SELECT md_scope, mime_type FROM gpkg_metadata").fetchall() == [
            ("dataset", "application/json")
        ]
        assert database.execute(
            "SELECT table_name FROM gpkg_extensions WHERE extension_name = 'gpkg_metadata' ORDER BY 1"
        ).fetchall() == [("gpkg_metadata",), ("gpkg_metadata_reference",)]


def test_geojson_lines_are_read_by_json_and_gdal(tmp_path: Path, size: str) -> None:
    save(tmp_path / "b.geojsonl")
    lines = (tmp_path / "b.geojsonl").read_text("utf-8").splitlines()
    assert len(lines) == ROWS
    assert {json.loads(line)["type"] for line in lines} == {"Feature"}
    shown = subprocess.run(
        [program("ogrinfo"), "-so", "-al", str(tmp_path / "b.geojsonl")], capture_output=True, text=True, check=True
    )
    assert f"Feature Count: {ROWS}" in shown.stdout


def test_cityjson_keeps_the_specifications_rules(tmp_path: Path, size: str) -> None:
    save(tmp_path / "b.city.jsonl")
    head, features = cityjson.read_sequence(tmp_path / "b.city.jsonl")
    assert head["metadata"]["title"] == "building of cn.qingdao, kz.almaty, uz.tashkent"
    assert len({feature["id"] for feature in features}) == ROWS
    save(tmp_path / "b.city.json")
    document = cityjson.read_document(tmp_path / "b.city.json")
    assert set(document["CityObjects"]) == {feature["id"] for feature in features}


def test_names_of_files_choose_the_format(tmp_path: Path) -> None:
    assert Target.of(str(tmp_path / "x.GPKG"), None, None, True).format is Format.GPKG
    assert Target.of(str(tmp_path / "x.json"), None, None, True).format is Format.GEOJSON
    assert Target.of(str(tmp_path / "x.City.JSON"), None, None, True).format is Format.CITYJSON
    (tmp_path / "x.csv.metadata.json").mkdir()
    with pytest.raises(BadConfig, match="no file"):
        Target.of(str(tmp_path / "x.csv"), None, None, True)
    assert Target.of(str(tmp_path / "x.txt"), Format.CSV, None, True).format is Format.CSV
    with pytest.raises(BadConfig, match="no format"):
        Target.of(str(tmp_path / "x.shp"), None, None, True)
    with pytest.raises(BadConfig, match="no folder"):
        Target.of(str(tmp_path / "no" / "x.csv"), None, None, True)
    with pytest.raises(BadConfig, match="standard output"):
        Target.of("-", Format.GPKG, None, True)


NASTY = [
    "plain",
    'quo"te',
    "back\\slash",
    "line\nbreak\ttab",
    "\x00\x1f\x7f",
    "",
    "楼 — ё",
    "\u2028",
    "</script>",
    "\\u0041",
    '\\\\"',
]


def test_any_text_is_json() -> None:
    column = pa.array([*NASTY, None])
    assert [json.loads(text) for text in json_text(column).to_pylist()] == [*NASTY, None]
    names = pa.array(
        [[(key, value) for key, value in zip(NASTY, reversed(NASTY), strict=True)], [], None],
        pa.map_(pa.string(), pa.string()),
    )
    assert json.loads(names_json(names)[0].as_py()) == dict(zip(NASTY, reversed(NASTY), strict=True))
    assert names_json(names).to_pylist()[1:] == ["{}", None]
    assert names_json(names.slice(1)).to_pylist() == ["{}", None]
    assert quoted(pa.array([None], pa.string())).to_pylist() == [None]


def test_numbers_and_times_are_json() -> None:
    decimals = pa.array([Decimal("0.00"), Decimal("-12.50"), Decimal("1E-9"), None], pa.decimal128(38, 9))
    found = [json.loads(text, parse_float=Decimal, parse_int=Decimal) for text in json_text(decimals).to_pylist()]
    assert found == [Decimal(0), Decimal("-12.5"), Decimal("1E-9"), None]
    floats = pa.array([0.1 + 0.2, float("nan"), float("inf"), None])
    assert [json.loads(text) for text in json_text(floats).to_pylist()] == [0.1 + 0.2, None, None, None]
    times = pa.array([0, 1_000_001], pa.timestamp("us", tz="UTC"))
    assert json.loads(json_text(times)[1].as_py()) == "1970-01-01T00:00:01.000001Z"
    assert json_text(pa.array([True, None])).to_pylist() == ["true", "null"]


ARC = struct.pack("<BII6d", 1, 8, 3, 0, 0, 1, 1, 2, 0)  # a circular string
OPEN = struct.pack("<BIII8d", 1, 3, 1, 4, 0, 0, 1, 0, 1, 1, 0, 1)  # a polygon whose ring does not close


@pytest.mark.parametrize("name", ["x.geojson", "x.csv", "x.gpkg", "x.parquet", "x.city.jsonl", "x.city.json"])
@pytest.mark.parametrize("wkb", [b"\x01", shapely.to_wkb(shapely.Point(float("nan"), 1)), ARC, OPEN])
def test_what_is_no_geometry_is_not_written(wkb: bytes, name: str, tmp_path: Path) -> None:
    table = pa.table({"geometry_lod0": pa.array([wkb], pa.binary())})
    with pytest.raises(BadAnswer):
        output.write(table, Target.of(str(tmp_path / name), None, None, True), "x")
    with pytest.raises(BadAnswer):
        to_geopandas(table)


def test_an_empty_answer_is_an_empty_file(tmp_path: Path) -> None:
    for name in ("x.geojson", "x.csv", "x.gpkg", "x.parquet", "x.arrow"):
        save(tmp_path / name, bbox=(0, 0, 1, 1), properties=["id", "height", "geometry_lod0"])
    assert json.loads((tmp_path / "x.geojson").read_text())["features"] == []
    assert (tmp_path / "x.csv").read_text().splitlines() == ['"city","id","geometry_lod0","height"']
    assert pyogrio.read_info(tmp_path / "x.gpkg")["features"] == 0
    assert geopandas.read_parquet(tmp_path / "x.parquet").empty


def test_a_pipe_gets_csv(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(World()) as fed:
        answer = fed.read("building", properties=["id", "height"], purpose="research")
        output.write(answer.spool(output.SMALL), Target.of("-", None, None, True), "building")
    sys.stdout.flush()
    text = capfdbinary.readouterr().out.decode()
    assert len(list(csv.DictReader(io.StringIO(text)))) == ROWS


@pytest.mark.parametrize("spool", [0, 1 << 30])
def test_a_terminal_shows_rows_of_every_city(spool: int) -> None:
    with connect(World()) as fed:
        shown, total = output_table.first_rows(fed.read("building", purpose="research").spool(spool), 9)
    assert total == ROWS
    assert sorted(shown["city"].to_pylist()) == sorted([ALMATY, QINGDAO, TASHKENT] * 3)
    assert "volume" not in shown.column_names


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("height", Decimal("12.50"), "12.50"),
        ("height", None, ""),
        ("name", {"en": "House", "zh": "楼"}, "en: House, zh: 楼"),
        ("id", "a\x1b[31mred\nline", "a [31mred line"),
        ("id", "x" * 50, "x" * 39 + "…"),
        ("mean_height", 12.345678, "12.3457"),
        ("geometry_lod0", shapely.to_wkb(shapely.Point(69.25, 41.3)), "Point 69.25000 41.30000"),
        ("geometry_lod1", shapely.to_wkb(shapely.force_3d(shapely.box(0, 0, 1, 1))), "Polygon Z, 5 points"),
        ("geometry_lod0", b"junk", "not a geometry"),
        ("geometry_lod0", ARC, "not a geometry"),
    ],
)
def test_cells_are_readable_and_harmless(name: str, value: object, text: str) -> None:
    assert output_table.cell(name, value) == text
