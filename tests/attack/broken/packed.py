"""What stands around data: gzip, zip, other formats, files that are none, and several at once."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.attack.broken.kind import Kind, as_bytes, error
from tests.ingest.making import BLOCK, city_object, cityjson, feature, features, solid

GOOD = as_bytes(features(feature("good")))
PACKED = gzip.compress(GOOD)
OTHER = as_bytes(cityjson({"a": city_object("Building", solid())}, BLOCK))


def zipped(entries: Mapping[str, bytes], **how: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **how) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def encrypted() -> bytes:
    """The flag alone: what it says is enough to be refused."""
    raw = bytearray(zipped({"a.gpkg": b"SQLite format 3\0"}))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def named(name: str, data: bytes = GOOD) -> object:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def missing(folder: Path) -> Path:
    return folder / "gone"


def directory(folder: Path) -> Path:
    (folder / "x").mkdir()
    return folder / "x"


def loop(folder: Path) -> Path:
    (folder / "x").symlink_to("x")
    return folder / "x"


def two(folder: Path) -> list[Path]:
    (folder / "x").write_bytes(GOOD)
    (folder / "y").write_bytes(OTHER)
    return [folder / "x", folder / "y"]


def good_and_foreign(folder: Path) -> list[Path]:
    (folder / "x").write_bytes(GOOD)
    (folder / "y").write_bytes(b"%PDF-1.7\n")
    return [folder / "x", folder / "y"]


def good_twice(folder: Path) -> list[Path]:
    (folder / "x").write_bytes(GOOD)
    return [folder / "x", folder / "x"]


GZIP: dict[str, Kind] = {
    "cut off": error(PACKED[:-20], "damaged gzip"),
    "a header alone": error(PACKED[:10], "damaged gzip"),
    "a wrong sum": error(PACKED[:-8] + bytes(8), "damaged gzip"),
    "a wrong byte": error(PACKED[:40] + b"\xff\xff\xff" + PACKED[43:], "damaged gzip"),
    "something after its end": error(PACKED + b"\x1f\x8b\x00", "damaged gzip"),
    "nothing in it": error(gzip.compress(b""), "the file is empty"),
    "gzip in gzip": error(gzip.compress(PACKED), "binary"),
    "a GeoPackage in it": error(gzip.compress(b"SQLite format 3\0" + bytes(100)), "a GeoPackage or SQLite in gzip"),
    "a Shapefile in it": error(gzip.compress(struct.pack(">7i", 9994, *[0] * 6) + bytes(80)), "a Shapefile in gzip"),
    "a zip in it": error(gzip.compress(zipped({"a": b"b"})), "a zip archive in gzip"),
    "a bomb of one line": error(
        gzip.compress(b"id,x,y\n" + bytes([65]) * (65 * 2**20), 1),
        "a line of more than 64 MiB",
        "x:2",
        "--crs",
        "OGC:CRS84",
    ),
}
ZIP: dict[str, Kind] = {
    "nothing in it": error(zipped({}), "a zip of nothing that is read"),
    "cut off": error(zipped({"a.gpkg": b"x" * 1000})[:-60], "a damaged zip"),
    "words in it": error(zipped({"readme.txt": b"hello"}), "a zip of nothing that is read"),
    "a spreadsheet": error(zipped({"xl/workbook.xml": b"<x/>"}), "a spreadsheet"),
    "two things": error(zipped({"a.gpkg": b"", "b/c.kml": b""}), "a zip of 2 files"),
    "what is not what it is called": error(zipped({"a.gpkg": b"hello"}), "something else"),
    "a password": error(encrypted(), "encrypted zip"),
    "a path that leads out": error(zipped({"../../../../tmp/evil.gpkg": b"hello"}), "something else"),
    "a path from the root": error(zipped({"/etc/passwd.gpkg": b"hello"}), "something else"),
    "a hundred thousand entries": error(
        zipped(dict.fromkeys(map(str, range(100_001)), b"")), "more than 100,000 files"
    ),
    "a zip in a zip": error(zipped({"a.zip": zipped({"a.gpkg": b""})}), "a zip of nothing that is read"),
    "a wrong sum": error(
        zipped({"a.kml": b"<kml xmlns='http://www.opengis.net/kml/2.2'/>"}).replace(b"<kml", b"<KML"), "a damaged zip"
    ),
}
OTHERS: dict[str, Kind] = {
    "nothing": error(b"", "the file is empty"),
    "spaces": error(b" \n\t\n", "the file is empty"),
    "zeros": error(bytes(1000), "binary"),
    "a PDF": error(b"%PDF-1.7\n", "this is PDF"),
    "a drawing": error(b"AC1032" + bytes(50), "this is DWG"),
    "a picture": error(b"II*\x00" + bytes(50), "this is TIFF"),
    "points of a laser": error(b"LASF" + bytes(50), "LAS point cloud"),
    "a scene": error(b"glTF" + bytes(50), "this is glTF"),
    "a packed archive": error(b"7z\xbc\xaf\x27\x1c" + bytes(50), "this is 7z"),
    "OpenStreetMap": error(b'<osm version="0.6"/>', "OpenStreetMap XML"),
    "some XML": error(b"<a/>", "XML, which is not read"),
    "a file that is not there": error(missing, "cannot be read: No such file", "gone"),
    "a folder": error(directory, "a folder"),
    "a link to itself": error(loop, "cannot be read", "x"),
    "a name of commands": error(named("$(touch evil); \x1b[31m.json", b"hello"), "nothing that is read", "$(touch"),
    "two systems": error(two, "after OGC:CRS84: a snapshot has one coordinate operation", "y"),
    "a foreign one after a good one": error(good_and_foreign, "this is PDF", "y"),
    "one file twice": error(good_twice, "stand for several objects", "id"),
}

KINDS = {
    **{f"gzip: {name}": kind for name, kind in GZIP.items()},
    **{f"zip: {name}": kind for name, kind in ZIP.items()},
    **{f"other: {name}": kind for name, kind in OTHERS.items()},
}
