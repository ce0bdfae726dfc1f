"""What a file is, by its content; its name is never looked at.

Read are CityJSON 1.0 to 2.0, CityJSONSeq, CityGML 1.0 to 3.0, GeoJSON, GeoJSON lines, SensorThings 1.1, CSV and IFC,
each also in gzip. Everything else is refused with the name of what was found and a way to convert it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
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
from cimfed_node.ingest.readers.lines import first_line, more_lines, not_json, refuse_pipe, rest_of, written
from cimfed_node.ingest.readers.ogr import OgrReader
from cimfed_node.ingest.readers.parquet import MAGIC, ParquetReader
from cimfed_node.ingest.readers.sensorthings import MARKS, SensorThingsReader, entities
from cimfed_node.ingest.readers.staging import FLATGEOBUF, SHAPEFILE, SQLITE, stage
from cimfed_node.ingest.readers.table import TableReader, delimiter_of, encoding_of
from cimfed_node.ingest.readers.xml import Children, is_xml, read_prolog

_OGR = "Convert it with 'ogr2ogr -f GeoJSONSeq OUT.geojsonl IN'"
_UTF16 = "A table is read with --encoding UTF-16; convert anything else with 'iconv -f UTF-16 -t UTF-8'"
_UNPACK = "Unpack it first; a stream in gzip and one thing in a zip are what is read packed"

SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (SHAPEFILE, "a Shapefile in gzip", _UNPACK),
    (SQLITE, "a GeoPackage or SQLite in gzip", _UNPACK),
    (b"PAR1", "Parquet in gzip", _UNPACK),
    (FLATGEOBUF, "FlatGeobuf in gzip", _UNPACK),
    (b"PK\x03\x04", "a zip archive in gzip", _UNPACK),
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
    (b"\xff\xfe", "UTF-16 text", _UTF16),
    (b"\xfe\xff", "UTF-16 text", _UTF16),
)

_CITYGML = "Give a CityModel of OGC's CityGML 1.0 to 3.0, as 3DCityDB or citygml-tools write it"
_XML: tuple[tuple[bytes, str, str], ...] = (
    (b"opengis.net/citygml", "XML with CityGML in it but no CityModel around it", _CITYGML),
    (b"citygml.org/citygml", "CityGML of before its standard", _CITYGML),
    (b"CityModel", "a CityModel that is not OGC's", _CITYGML),
    (b"opengis.net/kml", "KML in gzip", _UNPACK),
    (b"<osm", "OpenStreetMap XML", "Convert it with osmium export or ogr2ogr"),
    (b"opengis.net/gml", "GML in gzip", _UNPACK),
)


@contextmanager
def whole_reader(path: Path, scratch: Path, context: Context) -> Iterator[Reader | None]:
    """The reader of a file whose format is read by a library from its path; None where it is read as a stream."""
    folder = scratch / f"source-{sum(1 for one in scratch.iterdir() if one.is_dir())}"
    if path.is_dir():
        head = b""
    else:
        refuse_pipe(path)
        try:
            with path.open("rb") as file:
                head = file.read(LIMITS.head)
        except OSError as error:
            raise BadFile(f"cannot be read: {error.strerror}", place=path.name) from None
    if head.startswith(MAGIC):
        with closing(ParquetReader(path, context)) as parquet:
            yield parquet
        return
    source = stage(path, head, folder, context)
    if source is None:
        yield None
        return
    with closing(OgrReader(path.name, source, context)) as reader:
        yield reader


def reader_of(stream: io.BufferedReader, name: str, context: Context) -> Reader:
    """The reader of an opened file. Raises BadFile where it is none of what is read."""
    head = stream.peek(LIMITS.head)[: LIMITS.head]
    if context.request.layer is not None:
        raise BadFile("this has no layers", place=name, remedy="Leave out --layer")
    if context.request.encoding is not None:
        return _encoded(stream, head, name, context)
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


def _encoded(stream: io.BufferedReader, head: bytes, name: str, context: Context) -> Reader:
    """The reader of a text file whose encoding was named: of these only tables are in any but UTF-8."""
    if head.lstrip(b"\xef\xbb\xbf\x1e \t\r\n")[:1] in (b"{", b"[", b"<"):
        raise BadFile("JSON and XML say their encoding themselves", place=name, remedy="Leave out --encoding")
    text = head.decode(encoding_of(context), "replace").lstrip()
    delimiter = delimiter_of(text.split("\n", 1)[0])
    if delimiter is None:
        raise BadFile(
            "this is no table with a header", place=name, remedy=f"Is --encoding {context.request.encoding} right?"
        )
    return TableReader(name, stream, delimiter, context)


def _json(stream: io.BufferedReader, name: str, context: Context) -> Reader:
    begun = first_line(stream, name)
    try:
        document = orjson.loads(begun.strip(b"\x1e \t\r\n"))
    except orjson.JSONDecodeError:
        try:
            document = orjson.loads(whole := rest_of(stream, begun, name))
        except orjson.JSONDecodeError as error:
            raise not_json(error, whole, name) from None
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
