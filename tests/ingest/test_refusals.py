"""What is not read is refused by name, with what to convert it with, and leaves nothing behind."""

from __future__ import annotations

import gzip
import io
import os
import sqlite3
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cimfed.errors import BadFile
from cimfed.model.names import CityName
from cimfed_node.ingest import ImportRequest, import_files
from tests.ingest.making import (
    BLOCK,
    Data,
    as_bytes,
    city_object,
    cityjson,
    feature,
    features,
    header,
    lines,
    refused,
    solid,
)


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "<x/>")
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"a": [1]}), out)
    return out.getvalue()


def geopackage() -> bytes:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE gpkg_contents (table_name TEXT)")
    return database.serialize()


def old(version: object) -> dict[str, object]:
    return cityjson({"a": city_object("Building", solid())}, BLOCK) | {"version": version}


def xml(root: str, space: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{space}">\n</{root}>\n'.encode()


CITYGML = (
    b'<?xml version="1.0"?>\n<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" '
    b'xmlns:core="http://www.opengis.net/citygml/2.0"/>'
)
SHAPEFILE = b"\x00\x00\x27\x0a" + bytes(20) + b"\x00\x00\x00\x32" + b"\xe8\x03\x00\x00" + bytes(68)
FORMATS: dict[str, tuple[Data, str, str]] = {
    "STEP": (b"ISO-10303-21;\nHEADER;\nFILE_SCHEMA(('AUTOMOTIVE_DESIGN'));\n", "AUTOMOTIVE_DESIGN", "IFC4"),
    "CityGML 2 in an answer of a WFS": (CITYGML, "no CityModel around it", "citygml-tools"),
    "CityGML 4": (xml("CityModel", "http://www.opengis.net/citygml/4.0"), "CityGML 4.0", "1.0 to 3.0"),
    "CityGML 0.4": (xml("CityModel", "http://www.citygml.org/citygml/1/0/0"), "before its standard", "1.0 to 3.0"),
    "another CityModel": (xml("CityModel", "http://example.org/"), "not OGC's", "CityModel of OGC's"),
    "OSM": (b'<osm version="0.6"></osm>', "OpenStreetMap", "osmium"),
    "other XML": (b"<html></html>", "XML", "ogr2ogr"),
    "the least XML": (b"<a/>", "XML, which is not read", "ogr2ogr"),
    "HTML": (b"<!DOCTYPE HTML>\n<html><body>404</body></html>", "HTML", "Look at it"),
    "UTF-16": ("id,x,y\n".encode("utf-16"), "UTF-16", "iconv"),
    "PDF": (b"%PDF-1.7\n", "PDF", "data itself"),
    "GeoTIFF": (b"II*\x00\x08\x00\x00\x00", "TIFF", "not read"),
    "LAS": (b"LASF" + bytes(100), "LAS", "reconstruct"),
    "glTF": (b"glTF\x02\x00\x00\x00", "glTF", "CityJSON"),
    "bzip2": (b"BZh91AY&SY", "bzip2", "Unpack"),
    "zstd": (b"\x28\xb5\x2f\xfd\x00", "zstd", "Unpack"),
    "unknown binary": (b"\x01\x02\x00\x03", "binary", "ogr2ogr"),
    "TopoJSON": ({"type": "Topology", "objects": {}, "arcs": []}, "TopoJSON", "topo2geo"),
    "a bare geometry": ({"type": "Point", "coordinates": [1, 2]}, "'Point'", "ogr2ogr"),
    "other JSON": ({"hello": 1}, "JSON of type", "ogr2ogr"),
    "a list": ("[1, 2]", "JSON list", "FeatureCollection"),
    "text": ("hello\n", "nothing that is read", "ogr2ogr"),
    "a number": ("42", "nothing that is read", "ogr2ogr"),
    "CityJSON 0.9": (old("0.9"), "CityJSON 0.9", "cjio"),
    "CityJSON 0.8.1": (old("0.8.1"), "CityJSON 0.8.1", "cjio"),
    "CityJSON 1.0 as a number": (old(1.0), "CityJSON 1.0", "1.0, 1.1 and 2.0"),
    "CityJSON 3.0": (old("3.0"), "CityJSON 3.0", "1.1 and 2.0"),
    "CityJSON without version": (old(None), "CityJSON None", "1.1 and 2.0"),
    "CityJSONSeq 0.9": (lines(header("0.9"), {"type": "CityJSONFeature"}), "CityJSON 0.9", "cjio"),
    "CityJSONSeq without a header": (lines({"type": "CityJSONFeature"}, {}), "first line", "transform"),
    "several collections": (lines(features(feature()), features(feature())), "several", "one Feature per line"),
}


PACKED: dict[str, bytes] = {
    "Shapefile": SHAPEFILE,
    "GeoPackage": geopackage(),
    "FlatGeobuf": b"fgb\x03fgb\x01" + bytes(40),
    "Parquet": parquet(),
    "zip": zipped("a.shp", "a.dbf"),
    "GML": xml("FeatureCollection", "http://www.opengis.net/gml/3.2"),
    "KML": xml("kml", "http://www.opengis.net/kml/2.2"),
}


def test_a_place_is_for_ifc_alone(tmp_path: Path) -> None:
    assert "Leave out --place" in (refused(tmp_path, features(feature()), place="69.2,41.3").remedy or "")


@pytest.mark.parametrize("name", PACKED)
def test_what_is_read_from_its_path_is_not_read_in_gzip(name: str, tmp_path: Path) -> None:
    error = refused(tmp_path, gzip.compress(PACKED[name]), crs="OGC:CRS84")
    assert name in error.message
    assert "in gzip" in error.message
    assert "Unpack" in (error.remedy or "")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_foreign_format_is_named_with_the_way_to_convert_it(name: str, packed: bool, tmp_path: Path) -> None:
    data, told, remedy = FORMATS[name]
    raw = as_bytes(data)
    error = refused(tmp_path, gzip.compress(raw) if packed else raw, crs="OGC:CRS84")
    assert error.reason == "bad_file"
    assert told in error.message
    assert error.remedy is not None
    assert remedy in error.remedy
    assert (error.place or "").startswith("data")


@pytest.mark.parametrize(
    "data", [b"", b"\n\n  \t\r\n", b"\xef\xbb\xbf", gzip.compress(b"")], ids=["nothing", "blanks", "BOM", "gzip"]
)
def test_an_empty_file_is_called_empty(data: bytes, tmp_path: Path) -> None:
    assert "empty" in refused(tmp_path, data).message


def test_the_name_of_a_file_says_nothing_of_its_format(tmp_path: Path) -> None:
    """Helpers write every file as ``data``; here all is told by content, so a zip is one whatever it is called."""
    assert "zip" in refused(tmp_path, zipped("buildings.geojson")).message


def test_one_foreign_file_among_good_ones_undoes_the_import(tmp_path: Path) -> None:
    error = refused(tmp_path, features(feature()), zipped("a"))
    assert error.place == "data1"


def test_a_collection_that_does_not_exist_is_refused_with_those_that_do(tmp_path: Path) -> None:
    error = refused(tmp_path, features(feature()), collection="castle")
    assert error.reason == "bad_config"
    assert "building_part" in (error.remedy or "")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    request = ImportRequest((tmp_path / "gone",), CityName("xx.city"), "building")
    with pytest.raises(BadFile, match="cannot be read"):
        import_files(request, tmp_path / "snapshots")
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_objects_of_other_types_alone_are_refused_with_their_count(tmp_path: Path) -> None:
    data = cityjson({"b": city_object("Bridge", solid()), "t": city_object("Tunnel", solid())}, BLOCK)
    error = refused(tmp_path, data)
    assert "1 Bridge" in error.message
    assert "1 Tunnel" in error.message
    assert "Building" in (error.remedy or "")


def test_files_of_two_systems_are_refused(tmp_path: Path) -> None:
    one = cityjson({"a": city_object("Building", solid())}, BLOCK)
    other = cityjson({"b": city_object("Building", solid())}, BLOCK, crs=None)
    other["metadata"] = {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/28992"}
    error = refused(tmp_path, one, other)
    assert "EPSG:28992 after EPSG:7415" in error.message


@pytest.mark.parametrize("name", ["buildings.geojson", "buildings.dbf"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    """Nobody writes to it: opened, it would be read for ever."""
    os.mkfifo(tmp_path / name)
    (tmp_path / "buildings.shp").write_bytes(b"\x00\x00\x27\x0a" + bytes(96))
    (tmp_path / "buildings.shx").write_bytes(b"\x00\x00\x27\x0a" + bytes(96))
    meant = tmp_path / name.replace("dbf", "shp")
    with pytest.raises(BadFile) as caught:
        import_files(ImportRequest((meant,), CityName("xx.city"), "building"), tmp_path / "snapshots")
    assert "a pipe or device" in caught.value.message or "buildings.dbf is missing" in caught.value.message


def test_a_table_of_a_million_columns_is_refused_by_their_number(tmp_path: Path) -> None:
    names = ",".join(f"c{number}" for number in range(1_000_000))
    assert "more than 10,000 columns" in refused(tmp_path, f"{names}\n1,2,3\n".encode(), crs="EPSG:4326").message
