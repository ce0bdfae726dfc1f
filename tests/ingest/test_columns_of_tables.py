"""Types of columns, encodings of geometry, and how much of a file is held at once."""

from __future__ import annotations

import json
import sqlite3
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio.raw
import pytest
import shapely

from cimfed.model.names import CityName
from cimfed_node.ingest import ImportRequest, import_files
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers import arrow
from cimfed_node.ingest.wkbshapes import WkbShapes
from tests.ingest.making import feature, imported, refused, same
from tests.ingest.writing import geo_metadata, write, write_parquet

HERE = shapely.Point(69.2, 41.3)
EAST = timezone(timedelta(hours=5))
VALUES: dict[str, tuple[Any, Any]] = {
    "text": (pa.array(["дом"]), "дом"),
    "large": (pa.array(["дом"], pa.large_string()), "дом"),
    "coded": (pa.array(["дом"]).dictionary_encode(), "дом"),
    "whole": (pa.array([7], pa.int64()), 7),
    "long": (pa.array([2**53 + 1], pa.int64()), str(2**53 + 1)),
    "tiny": (pa.array([7], pa.uint8()), 7),
    "double": (pa.array([0.1]), 0.1),
    "single": (pa.array([12.3], pa.float32()), 12.3),
    "truth": (pa.array([True]), True),
    "exact": (pa.array([Decimal("12.50")]), "12.50"),
    "day": (pa.array([date(1998, 5, 3)]), "1998-05-03"),
    "hour": (pa.array([time(6, 30)]), "06:30:00"),
    "plain": (pa.array([datetime(1998, 5, 3, 6, 30)]), "1998-05-03T06:30:00"),
    "zoned": (
        pa.array([datetime(1998, 5, 3, 6, 30, tzinfo=EAST)], pa.timestamp("us", "+05:00")),
        "1998-05-03T06:30:00+05:00",
    ),
    "list": (pa.array([["a", None, "b"]]), ["a", None, "b"]),
    "struct": (pa.array([{"a": 1, "b": [date(1998, 5, 3)]}]), {"a": 1, "b": ["1998-05-03"]}),
    "map": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())), {"k": 1}),
    "nothing": (pa.array([None], pa.string()), None),
    "no number": (pa.array([float("nan")]), None),
    "infinite": (pa.array([float("inf")]), None),
    "bytes": (pa.array([b"x"]), None),
}


def test_every_type_of_column_becomes_what_json_has_for_it(tmp_path: Path) -> None:
    table = pa.table({"nr": [1], **{name: cells for name, (cells, _) in VALUES.items()}, "geom": [HERE.wkb]})
    rows, report = imported(tmp_path / "import", write_parquet(tmp_path / "x.parquet", table), id_column="nr")
    expected = {name: value for name, (_, value) in VALUES.items() if value is not None}
    assert {**rows["1"]["ext"], "infinite": ...} == {**expected, "infinite": ...}
    assert any("columns of bytes were left out: bytes" in note for note in report.notes)


def test_times_of_a_geopackage_keep_their_zone(tmp_path: Path) -> None:
    table = pa.table(
        {
            "nr": [1, 2],
            "valid_from": pa.array([datetime(2020, 5, 3, 6, 30, tzinfo=EAST), None], pa.timestamp("ms", "+05:00")),
            "valid_to": pa.array([None, date(2021, 1, 2)], pa.date32()),
            "geom": [HERE.wkb] * 2,
        }
    )
    path = tmp_path / "x.gpkg"
    pyogrio.raw.write_arrow(
        table, path, driver="GPKG", geometry_name="geom", geometry_type="Point", crs="EPSG:4326", FID="key"
    )
    rows, _ = imported(tmp_path / "import", path, id_column="nr")
    assert rows["1"]["valid_from"] == datetime(2020, 5, 3, 1, 30, tzinfo=UTC)
    assert rows["2"]["valid_to"] == datetime(2021, 1, 2, tzinfo=UTC)
    assert rows["2"]["valid_from"] is None


def test_lists_that_a_geopackage_calls_json_are_lists(tmp_path: Path) -> None:
    source = tmp_path / "x.gpkg"
    made = [feature(..., {"type": "Point", "coordinates": [69.2, 41.3]}, nr=1, lines='["1", "2"]')]
    write(source, made, "GPKG")

    database = sqlite3.connect(source)
    with database:
        database.execute(
            "CREATE TABLE gpkg_data_columns (table_name TEXT, column_name TEXT, name TEXT, title TEXT, "
            "description TEXT, mime_type TEXT, constraint_name TEXT)"
        )
        database.execute(
            "INSERT INTO gpkg_data_columns VALUES ('x', 'lines', NULL, NULL, NULL, 'application/json', NULL)"
        )
        database.execute(
            "INSERT INTO gpkg_extensions VALUES ('gpkg_data_columns', NULL, 'gpkg_schema', "
            "'http://www.geopackage.org/spec/#extension_schema', 'read-write')"
        )
    database.close()
    rows, _ = imported(tmp_path / "import", source, id_column="nr")
    assert rows["1"]["ext"] == {"lines": ["1", "2"]}


@pytest.mark.parametrize("declared", ["CIRCULARSTRING", "COMPOUNDCURVE", "GEOMETRY"])
def test_curves_of_a_geopackage_become_lines_of_many_points(declared: str, tmp_path: Path) -> None:
    """A half circle of radius 1 about (70, 41): every point of it lies on the circle."""
    path = write(
        tmp_path / "x.gpkg", [feature(..., {"type": "LineString", "coordinates": [[69, 41], [71, 41]]}, nr=1)], "GPKG"
    )

    wkb = struct.pack("<BII6d", 1, 8, 3, 69, 41, 70, 42, 71, 41)
    head = b"GP\x00\x01" + struct.pack("<i", 4326)
    database = sqlite3.connect(path)
    with database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("UPDATE x SET geom = ?", (head + wkb,))
        database.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = ?", (declared,))
    database.close()
    rows, _ = imported(tmp_path / "import", path, id_column="nr", collection="transportation")
    points = shapely.get_coordinates(rows["1"]["geometry_lod0"])
    assert len(points) > 20
    assert np.allclose(np.hypot(points[:, 0] - 70, points[:, 1] - 41), 1.0)


NATIVE = {
    "point": [shapely.Point(1, 2), None, shapely.Point(3, 4)],
    "linestring": [shapely.LineString([(1, 2), (3, 4)]), None, shapely.LineString([(5, 6), (7, 8), (9, 10)])],
    "polygon": [shapely.box(1, 2, 3, 4), None, shapely.box(10, 10, 14, 14).difference(shapely.box(11, 11, 12, 12))],
    "multipoint": [shapely.MultiPoint([(1, 2), (3, 4)]), None, shapely.MultiPoint([(5, 6)])],
    "multilinestring": [shapely.MultiLineString([[(1, 2), (3, 4)], [(5, 6), (7, 8)]]), None, None],
    "multipolygon": [shapely.MultiPolygon([shapely.box(1, 2, 3, 4), shapely.box(5, 6, 7, 8)]), None, None],
}


def nested(geometry: Any) -> Any:
    """A geometry as lists of coordinates, taken apart by hand."""
    if geometry is None:
        return None
    if geometry.geom_type.startswith("Multi"):
        return [nested(part) for part in geometry.geoms]
    if geometry.geom_type == "Polygon":
        return [[{"x": x, "y": y} for x, y in one.coords] for one in (geometry.exterior, *geometry.interiors)]
    points = [{"x": x, "y": y} for x, y in geometry.coords]
    return points[0] if geometry.geom_type == "Point" else points


@pytest.mark.parametrize("encoding", NATIVE)
def test_native_encodings_give_their_geometries(encoding: str, tmp_path: Path) -> None:
    kind: Any = pa.struct([("x", pa.float64()), ("y", pa.float64())])
    for _ in range(
        {"point": 0, "linestring": 1, "polygon": 2, "multipoint": 1}.get(encoding, 2 + encoding.endswith("polygon"))
    ):
        kind = pa.list_(kind)
    cells = pa.array([nested(one) for one in NATIVE[encoding]], kind)
    table = pa.table({"nr": list(range(len(cells))), "geom": cells})
    rows, _ = imported(
        tmp_path / "import", write_parquet(tmp_path / "x.parquet", table, geo_metadata(encoding)), id_column="nr"
    )
    for number, expected in enumerate(NATIVE[encoding]):
        found = rows[str(number)]["geometry_lod0"]
        assert found is None if expected is None else same(found, expected, 0.0)


def test_boxes_that_cover_and_further_geometries_are_no_attributes(tmp_path: Path) -> None:
    box = {"xmin": 69.2, "ymin": 41.3, "xmax": 69.2, "ymax": 41.3}
    table = pa.table({"nr": [1], "geom": [HERE.wkb], "bbox": [box], "centre": [HERE.wkb], "a": [1]})
    geo = geo_metadata(covering={"bbox": {corner: ["bbox", corner] for corner in box}})
    geo["columns"]["centre"] = {"encoding": "WKB", "geometry_types": []}
    rows, report = imported(tmp_path / "import", write_parquet(tmp_path / "x.parquet", table, geo), id_column="nr")
    assert rows["1"]["ext"] == {"a": 1}
    assert any("geometry left out: centre" in note for note in report.notes)


@pytest.mark.parametrize("codec", ["snappy", "gzip", "brotli", "zstd", "lz4", "none"])
def test_every_compression_of_parquet_is_read(codec: str, tmp_path: Path) -> None:
    table = pa.table({"nr": [1], "geom": [HERE.wkb]})
    path = write_parquet(tmp_path / "x.parquet", table, compression=codec)
    assert imported(tmp_path / "import", path, id_column="nr")[0]["1"]["geometry_lod0"] == HERE


def test_columns_nested_without_end_and_too_many_parts_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = pa.int32()
    for _ in range(40):
        kind = pa.list_(kind)
    table = pa.table({"nr": [1], "deep": pa.nulls(1, kind), "geom": [HERE.wkb]})
    path = write_parquet(tmp_path / "x.parquet", table)
    assert "nested too deeply" in refused(tmp_path / "a", path, id_column="nr").message
    monkeypatch.setitem(LIMITS.__dict__, "parquet_parts", 50)
    assert "not readable as Parquet" in refused(tmp_path / "b", path, id_column="nr").message


@pytest.mark.parametrize(("driver", "ending"), [("GPKG", "gpkg"), ("FlatGeobuf", "fgb"), ("GeoParquet", "parquet")])
def test_a_file_is_read_in_batches_and_chunks_stay_small(
    driver: str, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows a file has, a chunk holds no more of them, and of their points, than its limit."""
    made = [feature(..., {"type": "Point", "coordinates": [69 + n / 1e5, 41]}, nr=n) for n in range(9_000)]
    path = write(tmp_path / f"x.{ending}", made, driver)
    seen: list[int] = []
    add = WkbShapes.add_wkb

    def counted(shapes: WkbShapes, rows: Any, values: Any) -> None:
        seen.append(len(rows))
        add(shapes, rows, values)

    monkeypatch.setattr(WkbShapes, "add_wkb", counted)
    monkeypatch.setattr(arrow, "_ROWS", 500)
    rows, _ = imported(tmp_path / "import", path, id_column="nr")
    assert set(rows) == {str(n) for n in range(9_000)}
    assert sum(seen) == 9_000
    assert max(seen) <= 500


def test_pieces_are_cut_by_the_size_of_their_geometry(monkeypatch: pytest.MonkeyPatch) -> None:
    wkb = np.array([b"x" * size for size in (10, 10, 100, 10, 10, 10)] + [None], object)
    monkeypatch.setattr(arrow, "_BYTES", 30)
    assert [(one.start, one.stop) for one in arrow.pieces(wkb)] == [(0, 2), (2, 3), (3, 7)]


def test_layer_encoding_and_companions_are_in_the_inventory(tmp_path: Path) -> None:
    made = [feature(..., {"type": "Point", "coordinates": [69.2, 41.3]}, nr=1, name="a")]
    path = write(tmp_path / "x.shp", made, "ESRI Shapefile")
    request = ImportRequest((path,), CityName("xx.city"), "building", id_column="nr", encoding="CP1251")
    snapshot, _ = import_files(request, tmp_path / "snapshots")
    inventory = json.loads((snapshot.path.parent / "inventory.json").read_bytes())
    assert inventory["encoding"] == "CP1251"
    assert inventory["layer"] is None
    assert set(inventory["sources"][0]["parts"]) == {"x.dbf", "x.shx", "x.prj", "x.cpg"}
    assert inventory["sources"][0]["format"] == "Shapefile"


def test_the_original_keeps_attributes_and_geometry_with_its_heights(tmp_path: Path) -> None:
    made = [feature(..., {"type": "Point", "coordinates": [69.2, 41.3, 455.5]}, nr=1, name="a")]
    path = write(tmp_path / "x.gpkg", made, "GPKG")
    request = ImportRequest((path,), CityName("xx.city"), "building", id_column="nr")
    snapshot, _ = import_files(request, tmp_path / "snapshots")
    with pa.CompressedInputStream(pa.OSFile(str(snapshot.originals[0])), "zstd") as stream:
        head, line = [json.loads(one) for one in stream.read().splitlines()]
    assert head["header"]["columns"] == ["nr", "name"]
    assert line["ids"] == ["1"]
    assert line["object"]["properties"] == {"nr": 1, "name": "a"}
    assert shapely.from_wkb(line["object"]["wkb"]).z == 455.5
    assert pq.read_table(snapshot.path).num_rows == 1


def wkb_of(kind: int, *parts: Any) -> bytes:
    """Points of a line or of arcs, or members."""
    body = b"".join(part if isinstance(part, bytes) else struct.pack("<2d", *part) for part in parts)
    return struct.pack("<BII", 1, kind, len(parts)) + body


ARC, BACK = wkb_of(8, (1, 0), (0, 1), (-1, 0)), wkb_of(2, (-1, 0), (1, 0))
CIRCLE = wkb_of(8, (1, 0), (-1, 0), (1, 0))
CLOCKWISE = wkb_of(8, (-1, 0), (0, 1), (1, 0))


@pytest.mark.parametrize(
    ("wkb", "area", "length"),
    [
        (ARC, 0, np.pi),
        (CLOCKWISE, 0, np.pi),
        (wkb_of(8, (1, 0), (0, 1), (-1, 0), (0, -1), (1, 0)), 0, 2 * np.pi),
        (wkb_of(8, (0, 0), (1, 1), (2, 2)), 0, 2 * 2**0.5),
        (wkb_of(9, ARC, BACK), 0, np.pi + 2),
        (wkb_of(10, CIRCLE), np.pi, 2 * np.pi),
        (wkb_of(10, wkb_of(9, ARC, BACK)), np.pi / 2, np.pi + 2),
        (wkb_of(12, wkb_of(10, CIRCLE)), np.pi, 2 * np.pi),
        (wkb_of(11, ARC, wkb_of(2, (5, 5), (6, 5))), 0, np.pi + 1),
    ],
)
def test_arcs_have_the_length_and_area_of_their_circle(wkb: bytes, area: float, length: float, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", pa.table({"nr": [1], "geom": [wkb]}))
    rows, _ = imported(tmp_path / "import", path, id_column="nr", collection="transportation")
    found = rows["1"]["geometry_lod0"]
    assert found.is_valid
    assert found.length == pytest.approx(length, rel=1e-3)
    assert found.area == pytest.approx(area, rel=2e-3)
