"""GeoPackage, Shapefile, FlatGeobuf, GeoParquet, KML and GML. A process of GDAL is started for each file that is not
refused before: there are few kinds of those, each telling."""

from __future__ import annotations

import sqlite3
import struct
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from tests.attack.broken.kind import Kind, aside, error
from tests.ingest.making import SQUARE, feature
from tests.ingest.writing import ENDINGS, geo_metadata, table_of, write, write_parquet

ROWS = [feature(..., SQUARE, nr="good"), feature(..., SQUARE, nr="bad")]
ID = ("--id", "nr")
Files = dict[str, bytes]
Maker = Callable[[Path], Path]


@cache
def _whole(driver: str, crs: str | None) -> Files:
    with TemporaryDirectory() as folder:
        path = write(Path(folder) / f"x.{ENDINGS[driver]}", ROWS, driver, crs=crs)
        return {one.name: one.read_bytes() for one in path.parent.glob("x.*")}


def changed(driver: str, change: Callable[[Files], Files | None], crs: str | None = "EPSG:4326") -> Maker:
    """The two rows as files of a format, some of them changed; the first is named."""

    def make(folder: Path) -> Path:
        files = dict(_whole(driver, crs))
        files = change(files) or files
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return folder / f"x.{ENDINGS[driver]}"

    return make


def cut(ending: str, left: float) -> Callable[[Files], Files]:
    return lambda files: files | {f"x.{ending}": files[f"x.{ending}"][: int(len(files[f"x.{ending}"]) * left)]}


def without(ending: str) -> Callable[[Files], Files]:
    return lambda files: {name: data for name, data in files.items() if name != f"x.{ending}"}


def put(ending: str, at: int, data: bytes) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        raw = files[f"x.{ending}"]
        return files | {f"x.{ending}": raw[:at] + data + raw[at + len(data) :]}

    return change


def sql(*statements: str) -> Maker:
    """The GeoPackage after these."""

    def make(folder: Path) -> Path:
        path = changed("GPKG", lambda files: files)(folder)
        database = sqlite3.connect(path)
        with database:
            for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f'DROP TRIGGER "{trigger}"')
            for statement in statements:
                database.execute(statement)
        database.close()
        return path

    return make


def zipped(change: Callable[[Files], Files]) -> Maker:
    """The Shapefile in a zip."""

    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in change(dict(_whole("ESRI Shapefile", "EPSG:4326"))).items():
                archive.writestr(name, data)
        return folder / "x.zip"

    return make


def parquet(geo: Any = None, wkb: bytes | None = None, **how: Any) -> Maker:
    """GeoParquet with this metadata, or with this geometry in its second row."""
    table = table_of(ROWS) if wkb is None else table_of(ROWS, [shapely.Point(69.2, 41.3).wkb, wkb])
    return lambda folder: write_parquet(folder / "x.parquet", table, geo, **how)


def geometry(wkb: bytes, says: str) -> Kind:
    return aside(parquet(wkb=wkb), says, "bad", "x.parquet", *ID)


def first(change: Callable[[Files], Files]) -> Kind:
    """A Shapefile whose first record is damaged."""
    made = changed("ESRI Shapefile", change)
    return aside(made, "a geometry that cannot be read", "good", "x.shp", *ID, good=("bad",))


GEOPACKAGE: dict[str, Kind] = {
    "cut off": error(changed("GPKG", cut("gpkg", 0.7)), "cut off: ", "x.gpkg", *ID),
    "a header alone": error(changed("GPKG", cut("gpkg", 0.001)), "cut off: ", "x.gpkg", *ID),
    "pages of noise": error(
        changed("GPKG", put("gpkg", 4096, b"\xff" * 40_000)), "not readable as GeoPackage", "x.gpkg", *ID
    ),
    "no system": error(changed("GPKG", lambda files: files, None), "without a coordinate reference", "x.gpkg", *ID),
    "no layers": error(sql("DELETE FROM gpkg_contents", "DROP TABLE x"), "not readable as GeoPackage", "x.gpkg", *ID),
    "another layer": error(changed("GPKG", lambda files: files), "'y' is not in the file", "x.gpkg", "--layer", "y"),
    "no ids": error(changed("GPKG", lambda files: files), "no column 'id'", "x.gpkg", "--id", "id"),
    "a geometry of noise": aside(
        sql("UPDATE x SET geom = x'ffff' WHERE nr = 'bad'"), "a geometry that cannot be read", "bad", "x.gpkg", *ID
    ),
    "a geometry of noise among rows without any": error(
        sql(
            "INSERT INTO x (nr) VALUES ('none')",
            "UPDATE gpkg_ogr_contents SET feature_count = 3",
            "UPDATE x SET geom = x'ffff' WHERE nr = 'bad'",
        ),
        "1 geometries that cannot be read",
        "x.gpkg",
        *ID,
    ),
    "another program writes": error(
        lambda folder: ((folder / "x.gpkg-wal").write_bytes(b"x"), changed("GPKG", lambda files: files)(folder))[1],
        "another program has it open",
        "x.gpkg",
        *ID,
    ),
    "a view that asks the network": error(
        sql(
            "CREATE VIEW v AS SELECT key, nr, geom, ogr_geocode('Tashkent') AS name FROM x",
            "UPDATE gpkg_contents SET table_name = 'v', identifier = 'v'",
            "UPDATE gpkg_geometry_columns SET table_name = 'v'",
        ),
        "calls functions that lead elsewhere",
        "x.gpkg",
        *ID,
    ),
}
SHAPEFILE: dict[str, Kind] = {
    "no dbf": error(changed("ESRI Shapefile", without("dbf")), "x.dbf is missing", "x.shp", *ID),
    "no shx": error(changed("ESRI Shapefile", without("shx")), "x.shx is missing", "x.shp", *ID),
    "no prj": error(changed("ESRI Shapefile", without("prj")), "without a coordinate reference", "x.shp", *ID),
    "a prj of nonsense": error(
        changed("ESRI Shapefile", put("prj", 0, b"?" * 400)), "without a coordinate reference", "x.shp", *ID
    ),
    "shp cut off": error(changed("ESRI Shapefile", cut("shp", 0.6)), "cut off or damaged", "x.shp", *ID),
    "dbf cut off": error(changed("ESRI Shapefile", cut("dbf", 0.6)), "cut off: ", "x.dbf", *ID),
    "dbf of more rows": error(
        changed("ESRI Shapefile", put("dbf", 4, struct.pack("<I", 2**31))), "cut off: ", "x.dbf", *ID
    ),
    "a record of noise": first(put("shp", 108, b"\xff" * 60)),
    "huge parts": first(put("shp", 144, b"\xff\xff\xff\x7f" * 2)),
    "a cpg that is none": error(changed("ESRI Shapefile", put("cpg", 0, b"KLINGON")), "is no encoding", "x.shp", *ID),
    "in a zip, no dbf": error(zipped(without("dbf")), "its .dbf is missing", "x.zip: .shp", *ID),
    "in a zip, cut off": error(zipped(cut("shp", 0.6)), "cut off or damaged", "x.zip: .shp", *ID),
}
OTHERS: dict[str, Kind] = {
    "FlatGeobuf: cut off": error(changed("FlatGeobuf", cut("fgb", 0.7)), "no layer", "x.fgb", *ID),
    "FlatGeobuf: a header of noise": error(
        changed("FlatGeobuf", put("fgb", 8, b"\xff" * 40)), "no layer", "x.fgb", *ID
    ),
    "FlatGeobuf: no system": error(
        changed("FlatGeobuf", lambda files: files, None), "without a coordinate reference", "x.fgb", *ID
    ),
    "KML: cut off": error(changed("LIBKML", cut("kml", 0.7)), "not XML", "x.kml:", *ID),
    "KML: nothing in it": error(b'<kml xmlns="http://www.opengis.net/kml/2.2"><Document/></kml>', "no layer"),
    "KML: an entity": error(
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        b'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>&x;</Document></kml>',
        "XML with a DTD",
        "x:1",
    ),
    "GML: cut off": error(changed("GML", cut("gml", 0.7)), "not XML", "x.gml:", *ID),
    "GML: a billion laughs": error(
        '<!DOCTYPE a [<!ENTITY l0 "lol">'
        + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
        + ']><a xmlns="http://www.opengis.net/gml">&l9;</a>',
        "XML with a DTD",
        "x:1",
    ),
    "GML: nothing in it": error(b'<a xmlns="http://www.opengis.net/gml"/>', "no layer", "x"),
}
PARQUET: dict[str, Kind] = {
    "cut off": error(lambda folder: _cut(parquet()(folder), 0.7), "it ends in its middle", "x.parquet", *ID),
    "marks alone": error(b"PAR1" + bytes(8) + b"PAR1", "not readable as Parquet", "x", *ID),
    "a footer of noise": error(b"PAR1" + b"\xff" * 500 + struct.pack("<I", 500) + b"PAR1", "not readable", "x", *ID),
    "a footer beyond the file": error(b"PAR1" + struct.pack("<I", 2**31 - 1) + b"PAR1", "not readable", "x", *ID),
    "pages of noise": error(lambda folder: _noise(parquet()(folder)), "not readable", "x.parquet", *ID),
    "no places": error(lambda folder: _plain(folder / "x.parquet"), "Parquet without 'geo' metadata", "x.parquet", *ID),
    "metadata of text": error(parquet("geo"), "none of GeoParquet", "x.parquet", *ID),
    "a version of the future": error(
        parquet(geo_metadata() | {"version": "2.0"}), "GeoParquet '2.0'", "x.parquet", *ID
    ),
    "a column that is not there": error(
        parquet(geo_metadata() | {"primary_column": "g", "columns": {"g": {"encoding": "WKB"}}}),
        "no column 'g'",
        "x.parquet",
        *ID,
    ),
    "WKT for WKB": error(parquet(geo_metadata("WKT")), "encoded as 'WKT'", "x.parquet", *ID),
    "spherical edges": error(parquet(geo_metadata(edges="spherical")), "spherical", "x.parquet", *ID),
    "a system of null": error(parquet(geo_metadata(crs=None)), "without a coordinate reference", "x.parquet", *ID),
    "a system of a number": error(parquet(geo_metadata(crs=7)), "no PROJJSON", "x.parquet", *ID),
    "empty WKB": geometry(b"", "a geometry that cannot be read"),
    "WKB of a type that is none": geometry(struct.pack("<BII", 1, 99, 0), "WKB of an unknown type"),
    "WKB cut off": geometry(shapely.Point(1, 2).wkb[:-3], "WKB"),
    "WKB of four billion points": geometry(struct.pack("<BII", 1, 2, 0xFFFFFFFF), "WKB"),
    "WKB nested without end": geometry(
        struct.pack("<BII", 1, 7, 1) * 300_000 + shapely.Point(1, 2).wkb, "nested too deeply"
    ),
    "WKB of an open ring": geometry(struct.pack("<BIII8d", 1, 3, 1, 4, 0, 0, 1, 0, 1, 1, 0, 1), "not closed"),
    "WKB of infinity": geometry(shapely.Point(float("inf"), 2).wkb, "outside"),
    "WKB of half a point": geometry(shapely.Point(float("nan"), 2).wkb, "outside"),
    "half an arc": geometry(struct.pack("<BII4d", 1, 8, 2, 0, 0, 1, 1), "arcs"),
}


def _cut(path: Path, left: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * left)])
    return path


def _noise(path: Path) -> Path:
    raw = path.read_bytes()
    path.write_bytes(raw[:4] + b"\xff" * 60 + raw[64:])
    return path


def _plain(path: Path) -> Path:
    pq.write_table(pa.table({"nr": ["a"]}), path)
    return path


KINDS = {
    **{f"GeoPackage: {name}": kind for name, kind in GEOPACKAGE.items()},
    **{f"Shapefile: {name}": kind for name, kind in SHAPEFILE.items()},
    **OTHERS,
    **{f"GeoParquet: {name}": kind for name, kind in PARQUET.items()},
}
