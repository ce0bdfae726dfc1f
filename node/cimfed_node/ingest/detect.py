"""What a file is, by its content; its name is never looked at.

Read are CityJSON 1.0 to 2.0, CityJSONSeq, CityGML 1.0 to 3.0, GeoJSON, GeoJSON lines, SensorThings 1.1, CSV and IFC,
each also in gzip. Everything else is refused with the name of what was found and a way to convert it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from typing import Any

import orjson

from cimfed.errors import BadFile
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.base import Context, Reader
from cimfed_node.ingest.readers.citygml import CityGMLReader
from cimfed_node.ingest.readers.citygml_names import version_of
from cimfed_node.ingest.readers.cityjson import CityReader
from cimfed_node.ingest.readers.geojson import GeoJSONReader
from cimfed_node.ingest.readers.ifc import IfcReader, refuse_other_schemas
from cimfed_node.ingest.readers.lines import first_line, more_lines, rest_of, written
from cimfed_node.ingest.readers.sensorthings import MARKS, SensorThingsReader, entities
from cimfed_node.ingest.readers.table import TableReader, delimiter_of
from cimfed_node.ingest.readers.xml import Children, is_xml, read_prolog

_OGR = "Convert it with 'ogr2ogr -f GeoJSONSeq OUT.geojsonl IN'"
_UNPACK = "Unpack it first; gzip is the only compression that is read"

SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x00\x00\x27\x0a", "a Shapefile", _OGR),
    (b"SQLite format 3\x00", "SQLite or a GeoPackage", _OGR),
    (b"PAR1", "Parquet", "Convert it with 'ogr2ogr -f GeoJSONSeq OUT.geojsonl IN' where GDAL has the Parquet driver"),
    (b"fgb\x03", "FlatGeobuf", _OGR),
    (b"PK\x03\x04", "a zip archive (KMZ, zipped Shapefile, xlsx)", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "zstd", _UNPACK),
    (b"BZh", "bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "xz", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "7z", _UNPACK),
    (b"glTF", "glTF", "It has no coordinates on the ground; import the CityJSON or CityGML that it was made from"),
    (b"b3dm", "3D Tiles", "Import the CityJSON or CityGML that they were made from"),
    (b"LASF", "a LAS point cloud", "Point clouds are not city objects; reconstruct buildings first"),
    (b"II*\x00", "TIFF", "Rasters are not read"),
    (b"MM\x00*", "TIFF", "Rasters are not read"),
    (b"AC10", "DWG", "Convert it to DXF and then with ogr2ogr"),
    (b"%PDF", "PDF", "Ask for the data itself"),
    (b"\xff\xfe", "UTF-16 text", "Convert it with 'iconv -f UTF-16 -t UTF-8'"),
    (b"\xfe\xff", "UTF-16 text", "Convert it with 'iconv -f UTF-16 -t UTF-8'"),
)

_CITYGML = "Give a CityModel of OGC's CityGML 1.0 to 3.0, as 3DCityDB or citygml-tools write it"
_XML: tuple[tuple[bytes, str, str], ...] = (
    (b"opengis.net/citygml", "XML with CityGML in it but no CityModel around it", _CITYGML),
    (b"citygml.org/citygml", "CityGML of before its standard", _CITYGML),
    (b"CityModel", "a CityModel that is not OGC's", _CITYGML),
    (b"opengis.net/kml", "KML", _OGR),
    (b"<osm", "OpenStreetMap XML", "Convert it with osmium export or ogr2ogr"),
    (b"opengis.net/gml", "GML", _OGR),
)


def reader_of(stream: io.BufferedReader, name: str, context: Context) -> Reader:
    """The reader of an opened file. Raises BadFile where it is none of what is read."""
    head = stream.peek(LIMITS.head)[: LIMITS.head]
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x1e \t\r\n")
    if not text:
        raise BadFile("the file is empty", place=name)
    if is_xml(head):
        return _xml(stream, head, name, context)
    for signature, found, remedy in SIGNATURES:
        if head.startswith(signature):
            raise BadFile(f"this is {found}, which is not read", place=name, remedy=remedy)
    if text.startswith(b"ISO-10303-21"):
        refuse_other_schemas(text, name)
        return IfcReader(name, stream, context)
    if b"\x00" in head:
        raise BadFile("this is binary, and nothing that is known here", place=name, remedy=_OGR)
    if text.startswith(b"{"):
        return _json(stream, name, context)
    if text.startswith(b"[") and any(mark in text for mark in MARKS):
        return _json(stream, name, context)
    if text.startswith(b"["):
        raise BadFile("this is a JSON list", place=name, remedy="Give a FeatureCollection or a CityJSON object")
    delimiter = delimiter_of(text.split(b"\n", 1)[0].decode("utf-8", "replace"))
    if delimiter is None:
        raise BadFile(
            "this is nothing that is read: CityJSON, CityJSONSeq, CityGML, GeoJSON, CSV", place=name, remedy=_OGR
        )
    return TableReader(name, stream, delimiter, context)


def _xml(stream: io.BufferedReader, head: bytes, name: str, context: Context) -> Reader:
    prolog = read_prolog(head, name)
    if version_of(prolog.tag) is not None:
        return CityGMLReader(name, Children(stream, name), context)
    text = head.decode(prolog.encoding, "replace").encode()
    for mark, found, remedy in _XML:
        if mark in text:
            raise BadFile(f"this is {found}, which is not read", place=name, remedy=remedy)
    raise BadFile("this is XML, which is not read", place=name, remedy=_OGR)


def _json(stream: io.BufferedReader, name: str, context: Context) -> Reader:
    begun = first_line(stream, name)
    try:
        document = orjson.loads(begun.strip(b"\x1e \t\r\n"))
    except orjson.JSONDecodeError:
        try:
            document = orjson.loads(rest_of(stream, begun, name))
        except orjson.JSONDecodeError as error:
            raise BadFile("not JSON", place=f"{name}:{error.lineno}:{error.colno}") from None
        return _document(document, None, begun, name, context)
    further = more_lines(stream, name)
    second = next(further, None)
    return _document(document, None if second is None else chain([second], further), begun, name, context)


def _document(
    document: Any, lines: Iterator[tuple[int, bytes]] | None, begun: bytes, name: str, context: Context
) -> Reader:
    kind = document.get("type") if type(document) is dict else None
    if kind is None and entities(document) is not None:
        return SensorThingsReader(name, document, lines or (), context)
    if kind == "CityJSON":
        if lines is None and _header_alone(document):
            lines = iter(())
        return CityReader(name, document, lines, context)
    if kind == "Feature":
        first = (1, begun.strip(b"\x1e \t\r\n")) if lines is not None else (1, written(document, name))
        return GeoJSONReader(name, document, chain([first], lines or ()), context)
    if kind == "FeatureCollection" and lines is None:
        return GeoJSONReader(name, document, None, context)
    if kind == "FeatureCollection":
        raise BadFile("several JSON documents in one file", place=name, remedy="Give one Feature per line")
    if kind == "CityJSONFeature":
        raise BadFile(
            "CityJSONSeq without its first line, which holds the transform",
            place=name,
            remedy="Put the CityJSON object with 'version' and 'transform' before the features",
        )
    if kind == "Topology":
        raise BadFile("this is TopoJSON, which is not read", place=name, remedy="Convert it with topo2geo or ogr2ogr")
    raise BadFile(f"JSON of type {str(kind)[:32]!r}, which is not read", place=name, remedy=_OGR)


def _header_alone(document: dict[str, Any]) -> bool:
    """A CityJSON object without any content can only be the start of an empty sequence."""
    return not document.get("CityObjects") and not document.get("vertices")
