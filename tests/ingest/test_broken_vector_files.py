"""Files of tables and vectors that are cut off, incomplete, hostile or of something else: one clear error each."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from cimfed_node.ingest.limits import LIMITS
from tests.ingest.making import feature, imported, refused, ring
from tests.ingest.writing import ENDINGS, geo_metadata, table_of, write, write_parquet

MADE = [
    feature(..., {"type": "Polygon", "coordinates": [ring(69 + n / 100, 41.3, 0.005)]}, nr=n, name=f"дом {n}")
    for n in range(300)
]


def sources(path: Path) -> list[Path]:
    """A file and what stands beside it."""
    return sorted(path.parent.glob(f"{path.stem}.*"))


@pytest.mark.parametrize("driver", [driver for driver in ENDINGS if driver != "OpenFileGDB"])
def test_a_file_that_is_cut_off_anywhere_is_refused(driver: str, tmp_path: Path) -> None:
    """At places all over the file that was named and those that belong to it; fewer where GDAL is asked each time."""
    whole = write(tmp_path / "whole" / f"x.{ENDINGS[driver]}", MADE, driver)
    belong = [one for one in sources(whole) if one.suffix not in (".prj", ".cpg", ".xsd")]
    for number in range(0, 20, 3 if driver == "FlatGeobuf" else 1):
        folder = tmp_path / str(number)
        shutil.copytree(whole.parent, folder)
        victim = folder / belong[number % len(belong)].name
        raw = victim.read_bytes()
        victim.write_bytes(raw[: int(len(raw) * (number + 0.5) / 20)])
        if victim.suffix == ".tab" and number == 19:
            continue  # a text that lacks no more than its last line's end is whole
        error = refused(folder / "import", folder / whole.name, crs="EPSG:4326", id_column="nr")
        assert error.reason == "bad_file", number
        assert error.place, number


def test_a_geodatabase_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "x.gdb", MADE, "OpenFileGDB")
    for number, one in enumerate(sorted(whole.glob("*.gdbtabl*"))[::-3]):
        copy = tmp_path / f"{number}.gdb"
        shutil.copytree(whole, copy)
        raw = one.read_bytes()
        (copy / one.name).write_bytes(raw[: len(raw) // 2])
        request = {"crs": "EPSG:4326", "id_column": "nr"}
        try:
            rows, _ = imported(tmp_path / f"in{number}", copy, **request)
        except Exception:
            shutil.rmtree(tmp_path / f"in{number}")
            assert refused(tmp_path / f"in{number}", copy, **request).reason == "bad_file"
        else:
            assert len(rows) == len(MADE), "what was cut off is of no use to the layer"


@pytest.mark.parametrize(
    ("driver", "ending"),
    [("ESRI Shapefile", "dbf"), ("ESRI Shapefile", "shx"), *(("MapInfo File", e) for e in ("dat", "map", "id"))],
)
def test_a_missing_companion_is_named(driver: str, ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"x.{ENDINGS[driver]}", MADE, driver)
    path.with_suffix(f".{ending}").unlink()
    assert refused(tmp_path / "import", path, crs="EPSG:4326").message == f"x.{ending} is missing"


def test_companions_are_found_in_any_case_and_by_no_other_name(tmp_path: Path) -> None:
    write(tmp_path / "x.shp", MADE, "ESRI Shapefile")
    for one in tmp_path.glob("x.*"):
        one.rename(tmp_path / f"Дома.v2.{one.suffix[1:].upper()}")
    rows, report = imported(tmp_path / "import", tmp_path / "Дома.v2.SHP", id_column="nr")
    assert len(rows) == len(MADE)
    assert report.operation.crs == "EPSG:4326"


@pytest.mark.parametrize("driver", ["ESRI Shapefile", "GPKG", "FlatGeobuf", "GML"])
def test_a_file_without_a_system_is_refused_until_one_is_named(driver: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"x.{ENDINGS[driver]}", MADE, driver, crs=None)
    error = refused(tmp_path / "import", path, id_column="nr")
    assert "without a coordinate reference system" in error.message
    assert "--crs" in (error.remedy or "")
    rows, _ = imported(tmp_path / "named", path, id_column="nr", crs="EPSG:4326")
    assert len(rows) == len(MADE)


MAGICS = {
    "shp": struct.pack(">7i", 9994, 0, 0, 0, 0, 0, 50) + struct.pack("<2i", 1000, 5) + b"\xff" * 64,
    "gpkg": b"SQLite format 3\x00" + b"\xff" * 500,
    "fgb": b"fgb\x03fgb\x01" + b"\xff" * 500,
    "parquet": b"PAR1" + b"\xff" * 500 + b"PAR1",
    "tab": b'!table\n!version 300\nDefinition Table\n  Type NATIVE Charset "Neutral"\n',
    "mif": b'Version 300\nCharset "Neutral"\nColumns 1\n  a Char(5)\nData\n\nRegion 1\n  9\n',
    "gml": b'<a xmlns="http://www.opengis.net/gml"/>',
    "kml": b'<kml xmlns="http://www.opengis.net/kml/2.2"><Document/></kml>',
    "zip": b"PK\x03\x04" + b"\xff" * 100,
}


@pytest.mark.parametrize("ending", MAGICS)
def test_a_file_that_only_begins_like_its_format_is_refused(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(MAGICS[ending])
    for other in ("dbf", "shx", "dat", "map", "id", "mid"):
        path.with_suffix(f".{other}").write_bytes(b"\x03" + bytes(40))
    assert refused(tmp_path / "import", path, crs="EPSG:4326").reason == "bad_file"


def test_a_map_that_is_cut_off_between_its_blocks_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tab", MADE, "MapInfo File")
    whole = path.with_suffix(".map").read_bytes()
    assert len(imported(tmp_path / "whole", path, id_column="nr")[0]) == len(MADE)
    path.with_suffix(".map").write_bytes(whole[: len(whole) // 1024 * 512])
    assert "of 300 features could be read" in refused(tmp_path / "import", path, id_column="nr").message


def test_a_folder_that_is_no_geodatabase_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert "no File Geodatabase" in refused(tmp_path / "import", tmp_path / "x").message


# Archives

Entries = dict[str, bytes]


def zipped(path: Path, entries: Entries, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def shapefile(tmp_path: Path) -> Entries:
    path = write(tmp_path / "made" / "x.shp", MADE, "ESRI Shapefile")
    return {one.name: one.read_bytes() for one in sources(path)}


def test_a_zip_of_two_things_names_them(shapefile: Entries, tmp_path: Path) -> None:
    twice = shapefile | {name.replace("x.", "b/y."): data for name, data in shapefile.items()}
    error = refused(tmp_path / "import", zipped(tmp_path / "x.zip", twice))
    assert error.message == "a zip of 2 files that could be meant: b/y.shp, x.shp"


OUTSIDE = "escaped-from-a-zip"


def test_names_in_a_zip_are_never_paths(shapefile: Entries, tmp_path: Path) -> None:
    evil = {f"../../../{OUTSIDE}/{name}": data for name, data in shapefile.items()}
    rows, _ = imported(tmp_path / "import", zipped(tmp_path / "x.zip", evil), id_column="nr")
    assert len(rows) == len(MADE)
    gdb = write(tmp_path / "g.gdb", MADE, "OpenFileGDB")
    inside = {f"/g.gdb/{one.name}": one.read_bytes() for one in gdb.iterdir() if one.is_file()}
    for name in (f"/g.gdb/../{OUTSIDE}", f"/g.gdb/a0000000f/../../{OUTSIDE}", f"/g.gdb/{OUTSIDE}.sh"):
        inside[name] = b"evil"
    rows, _ = imported(tmp_path / "second", zipped(tmp_path / "g.zip", inside), id_column="nr")
    assert len(rows) == len(MADE)
    assert not [*tmp_path.parent.rglob(f"*{OUTSIDE}*")]


def test_a_zip_bomb_is_refused_at_the_limit(
    shapefile: Entries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "x.zip", shapefile | {"x.dbf": shapefile["x.dbf"] + bytes(20_000_000)})
    assert path.stat().st_size < 100_000
    monkeypatch.setitem(LIMITS.__dict__, "archive", 10_000_000)
    assert "after decompression" in refused(tmp_path / "import", path).message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: {k: v for k, v in one.items() if k != "x.dbf"}, "its .dbf is missing"),
        (lambda one: one | {"x.shp": b"hello"}, "something else"),
        (lambda _: {"readme.txt": b"hello"}, "nothing that is read"),
        (lambda _: {}, "nothing that is read"),
        (lambda _: {"xl/workbook.xml": b"<x/>"}, "spreadsheet"),
        (lambda _: {"content.xml": b"<x/>"}, "spreadsheet"),
        (lambda _: {"x.shp.zip": b"PK\x03\x04"}, "nothing that is read"),
    ],
)
def test_a_zip_that_does_not_hold_what_is_read_is_refused(
    change: Callable[[Entries], Entries], told: str, shapefile: Entries, tmp_path: Path
) -> None:
    assert told in refused(tmp_path / "import", zipped(tmp_path / "x.zip", change(shapefile))).message


def test_a_damaged_zip_is_refused(shapefile: Entries, tmp_path: Path) -> None:
    raw = zipped(tmp_path / "x.zip", shapefile).read_bytes()
    for at in range(60, len(raw), len(raw) // 20):
        (tmp_path / "y.zip").write_bytes(raw[:at] + b"\xff\x00\xff" + raw[at + 3 :])
        try:
            imported(tmp_path / str(at), tmp_path / "y.zip", id_column="nr")
        except Exception:  # a byte that nothing reads may be any
            shutil.rmtree(tmp_path / str(at), ignore_errors=True)
            assert refused(tmp_path / str(at), tmp_path / "y.zip", id_column="nr").reason in ("bad_file", "bad_config")


# What leads elsewhere


def test_nothing_in_a_file_leads_to_another(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.gpkg", MADE, "GPKG")
    layer = f"<OGRVRTLayer name='x'><SrcDataSource>{secret}</SrcDataSource></OGRVRTLayer>"
    vrt = f"<OGRVRTDataSource>{layer}</OGRVRTDataSource>"
    for name, text in (
        ("vrt", vrt),
        ("kml", f'<kml xmlns="http://www.opengis.net/kml/2.2"><!-- {vrt} --><Document/></kml>'),
        ("gml", f'<a xmlns="http://www.opengis.net/gml"><!-- {vrt} --></a>'),
        ("dtd", f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><a xmlns="http://www.opengis.net/gml">&x;</a>'),
        ("tab", f'!table\n!version 300\nopen table "{secret}"\ncreate view x as select *\n'),
    ):
        (tmp_path / name).write_text(text)
        assert refused(tmp_path / f"in-{name}", tmp_path / name, crs="EPSG:4326").reason == "bad_file"


def test_a_view_that_calls_on_the_network_or_files_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gpkg", MADE, "GPKG")
    database = sqlite3.connect(path)
    with database:
        database.execute("CREATE VIEW v AS SELECT nr, geom, ogr_geocode('Tashkent', 'display_name') AS name FROM x")
        database.execute("UPDATE gpkg_contents SET table_name = 'v', identifier = 'v'")
        database.execute("UPDATE gpkg_geometry_columns SET table_name = 'v'")
    database.close()
    assert refused(tmp_path / "import", path, id_column="nr", layer="v").reason == "bad_file"


def test_a_geopackage_that_another_program_writes_to_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gpkg", MADE, "GPKG", SPATIAL_INDEX="NO")
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    with database:
        database.execute("UPDATE x SET name = 'changed'")
    assert "another program has it open" in refused(tmp_path / "import", path, id_column="nr").message
    database.close()
    rows, _ = imported(tmp_path / "closed", path, id_column="nr")
    assert {row["name"]["und"] for row in rows.values()} == {"changed"}


# Geometries


@pytest.mark.parametrize("driver", ["ESRI Shapefile", "GPKG"])
@pytest.mark.parametrize("placeless", [0, 2])
def test_a_geometry_that_is_damaged_is_not_taken_for_none(driver: str, placeless: int, tmp_path: Path) -> None:
    """GDAL reads it as none. It has its own line where no row is without one; else it is known that there are some."""
    made = [feature(..., None, nr=n) if n < placeless else MADE[n] for n in range(10)]
    path = write(tmp_path / f"x.{ENDINGS[driver]}", made, driver)
    rows, _ = imported(tmp_path / "whole", path, id_column="nr")
    assert sum(row["geometry_lod0"] is None for row in rows.values()) == placeless
    if driver == "GPKG":
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f'DROP TRIGGER "{trigger}"')
            database.execute("UPDATE x SET geom = x'ffff' WHERE nr = 7")
    else:
        raw = bytearray(path.read_bytes())
        at = 2 * int.from_bytes(path.with_suffix(".shx").read_bytes()[100 + 8 * 7 :][:4], "big") + 8
        raw[at : at + 4] = b"\xff" * 4
        path.write_bytes(raw)
    error = refused(tmp_path / "damaged", path, id_column="nr")
    if placeless:
        assert error.message == "1 geometries that cannot be read"
        return
    assert "7: a geometry that cannot be read" in error.message
    rows, _ = imported(tmp_path / "others", path, id_column="nr", quarantine=tmp_path / "bad.jsonl")
    assert set(rows) == {str(n) for n in range(10)} - {"7"}


def gpkg_of(path: Path, wkb: list[bytes | None]) -> Path:
    table = pa.table({"nr": list(range(len(wkb))), "geom": pa.array(wkb, pa.binary())})
    return write_parquet(path, table)


def nested(depth: int, kind: int = 7) -> bytes:
    return struct.pack("<BII", 1, kind, 1) * depth + shapely.Point(1, 2).wkb


@pytest.mark.parametrize("kind", [4, 5, 6, 7])
def test_geometries_in_one_another_without_end_are_bad(kind: int, tmp_path: Path) -> None:
    path = gpkg_of(tmp_path / "x.parquet", [nested(300_000, kind), shapely.Point(3, 4).wkb])
    error = refused(tmp_path / "import", path, id_column="nr")
    assert "1 bad objects" in error.message
    assert "0: " in error.message


BAD_WKB: dict[str, bytes] = {
    "empty": b"",
    "one byte": b"\x01",
    "unknown type": struct.pack("<BII", 1, 99, 0),
    "cut off": shapely.Point(1, 2).wkb[:-3],
    "huge count": struct.pack("<BII", 1, 2, 0xFFFFFFFF),
    "huge rings": struct.pack("<BII", 1, 3, 0x7FFFFFFF),
    "huge parts": struct.pack("<BII", 1, 6, 0x7FFFFFFF),
    "an open ring": struct.pack("<BIII8d", 1, 3, 1, 4, 0, 0, 1, 0, 1, 1, 0, 1),
    "kinds": shapely.from_wkt("GEOMETRYCOLLECTION (POINT (1 2), LINESTRING (0 0, 1 1))").wkb,
    "half an arc": struct.pack("<BII4d", 1, 8, 2, 0, 0, 1, 1),
    "an arc cut off": struct.pack("<BII4d", 1, 8, 3, 0, 0, 1, 1),
    "curves without end": struct.pack("<BII", 1, 11, 1) * 5000,
    "infinite": shapely.Point(float("inf"), 2).wkb,
    "half a point": shapely.Point(float("nan"), 2).wkb,
    "a line with NaN": shapely.LineString([(1, 2), (float("nan"), 4)]).wkb,
}


@pytest.mark.parametrize("name", BAD_WKB)
def test_a_geometry_that_is_none_makes_a_bad_object(name: str, tmp_path: Path) -> None:
    path = gpkg_of(tmp_path / "x.parquet", [shapely.Point(3, 4).wkb, BAD_WKB[name]])
    error = refused(tmp_path / "import", path, id_column="nr")
    assert "1 bad objects" in error.message
    assert "1: " in error.message


def test_bodies_give_their_footprint_and_empty_ones_none(tmp_path: Path) -> None:
    """A block of 2 by 3 as a polyhedral surface and as a TIN: walls have no area in the plane."""
    x, y, z = 2.0, 3.0, 9.0
    low, high = [(0, 0, 0), (0, y, 0), (x, y, 0), (x, 0, 0)], [(0, 0, z), (x, 0, z), (x, y, z), (0, y, z)]
    walls = [[a, b, (*b[:2], z), (*a[:2], z)] for a, b in zip(low, [*low[1:], low[0]], strict=True)]
    faces = [low, high, *walls]

    def surface(kind: int, part: int, rings: list[Any]) -> bytes:
        out = struct.pack("<BII", 1, kind, len(rings))
        for one in rings:
            closed = [*one, one[0]]
            out += struct.pack("<BIII", 1, part, 1, len(closed)) + b"".join(struct.pack("<3d", *p) for p in closed)
        return out

    triangles = [half for a, b, c, d in faces for half in ([a, b, c], [a, c, d])]
    bodies = [
        surface(1015, 1003, faces),
        surface(1016, 1017, triangles),
        struct.pack("<BII", 1, 1007, 1) + surface(1016, 1017, triangles),
        surface(1015, 1003, walls),
        shapely.Point().wkb,
        None,
    ]
    rows, _ = imported(tmp_path / "import", gpkg_of(tmp_path / "x.parquet", bodies), id_column="nr")
    for number in ("0", "1", "2"):
        assert shapely.equals(rows[number]["geometry_lod0"], shapely.box(0, 0, x, y))
        assert rows[number]["footprint_method"] == "projection"
    assert [rows[number]["geometry_lod0"] for number in ("3", "4", "5")] == [None] * 3


# GeoParquet


@pytest.mark.parametrize(
    ("geo", "told"),
    [
        ("[]", "none of GeoParquet"),
        ({}, "none of GeoParquet"),
        (geo_metadata() | {"version": "2.0"}, "GeoParquet '2.0'"),
        (geo_metadata() | {"primary_column": "g"}, "none of GeoParquet"),
        (geo_metadata("WKT"), "encoded as 'WKT'"),
        (geo_metadata("polygon"), "not encoded as polygon"),
        (geo_metadata(edges="spherical"), "spherical"),
        (geo_metadata(crs=7), "no PROJJSON"),
        (geo_metadata(crs={"type": "x"}), "names no coordinate reference system"),
        (geo_metadata(crs=None), "without a coordinate reference system"),
    ],
)
def test_metadata_that_cannot_be_used_is_told(geo: Any, told: str, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", table_of(MADE), geo)
    assert told in refused(tmp_path / "import", path, id_column="nr").message


def test_parquet_without_places_is_refused_where_rows_have_places(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": ["a"], "result": [1.5]}), path)
    error = refused(tmp_path / "import", path)
    assert "without 'geo' metadata" in error.message
    rows, _ = imported(tmp_path / "readings", path, collection="observation")
    assert rows["a"]["geometry_lod0"] is None
    assert rows["a"]["value"] == 1.5


def test_a_view_that_never_comes_to_a_row_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.gpkg", MADE[:3], "GPKG")
    with contextlib.closing(sqlite3.connect(path)) as made, made:
        (name,) = made.execute("SELECT table_name FROM gpkg_geometry_columns").fetchone()
        made.execute(
            f"CREATE VIEW endless AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT (x + 1) % 7 FROM c) "
            f"SELECT t.key AS key, t.nr, t.geom FROM c, {name} AS t WHERE c.x > 9"
        )
        for table, columns in (("gpkg_contents", "table_name"), ("gpkg_geometry_columns", "table_name")):
            held = [row[1] for row in made.execute(f"PRAGMA table_info({table})")]
            taken = ", ".join("'endless'" if one in (columns, "identifier") else one for one in held)
            made.execute(f"INSERT INTO {table} SELECT {taken} FROM {table} WHERE table_name = ?", [name])
    monkeypatch.setitem(LIMITS.__dict__, "ogr_seconds", 2)
    error = refused(tmp_path / "import", path, layer="endless", id_column="nr")
    assert error.message == "reading it takes more than 2 seconds of processor time"
    assert error.place == "x.gpkg"
