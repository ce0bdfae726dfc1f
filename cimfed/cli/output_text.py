"""Rows as text: CSV, GeoJSON and its lines, made of whole columns.

CSV: decimals as they are, names as a JSON object, geometries as WKT, no box. GeoJSON (RFC 7946): one geometry, its
polygons counterclockwise, decimals as exact JSON numbers, names as an object; what the vocabulary calls JSON stays
text, since nobody checked it. Text is written by Arrow and GEOS; no Python runs for a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import shapely

from cimfed.client.geo import PREFIX, geometries

pc: Any = pyarrow.compute  # its stubs do not know that scalars may stand beside arrays
_PLAIN = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
_CONTROL = [chr(code) for code in range(0x20)]
_SHORT = {"\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def write_csv(source: pa.RecordBatchReader, file: BinaryIO) -> None:
    schema = pa.schema([(item.name, _csv_type(item)) for item in source.schema if not pa.types.is_struct(item.type)])
    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    with pyarrow.csv.CSVWriter(file, schema, write_options=options) as writer:
        for batch in source:
            columns = [_csv_column(batch.column(item.name), item.name) for item in schema]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _csv_type(item: pa.Field[Any]) -> pa.DataType:
    kind: pa.DataType = item.type
    return kind if any(known(kind) for known in _PLAIN) else pa.string()


def _csv_column(column: pa.Array[Any], name: str) -> pa.Array[Any]:
    kind = column.type
    if name.startswith(PREFIX):
        return pa.array(shapely.to_wkt(geometries(column), rounding_precision=-1), pa.string())
    if pa.types.is_map(kind):
        return names_json(column)
    if pa.types.is_timestamp(kind):
        return instants(column)
    return column


def write_geojson(
    source: pa.RecordBatchReader, file: BinaryIO, geometry: str | None, about: Callable[[], Mapping[str, Any]] | None
) -> None:
    """``geometry``: the column to take it from; None: features without geometry. ``about``: the member ``cimfed``,
    known when the rows have ended."""
    file.write(b'{"type":"FeatureCollection","features":[')
    first = True
    for batch in source:
        for part in _features(batch, geometry, ",\n"):
            file.write(b"\n" if first else b",\n")
            file.write(part)
            first = False
    file.write(b"\n]")
    if about is not None:
        file.write(b',"cimfed":' + json.dumps(about(), ensure_ascii=False).encode())
    file.write(b"}\n")


def write_geojsonseq(source: pa.RecordBatchReader, file: BinaryIO, geometry: str | None) -> None:
    """One feature on each line."""
    for batch in source:
        for part in _features(batch, geometry, "\n"):
            file.write(part)
            file.write(b"\n")


def _features(batch: pa.RecordBatch, geometry: str | None, between: str) -> Iterator[bytes]:
    if batch.num_rows == 0:
        return
    shape: Any = '"geometry":null'
    if geometry is not None:
        found = geometries(batch.column(geometry))
        found[shapely.is_empty(found)] = None
        found = shapely.orient_polygons(found)
        text = pa.array(shapely.to_geojson(found), pa.string())
        shape = _join('"geometry":', pc.fill_null(text, "null"))
    properties = [
        _join(("" if at == 0 else ",") + f'"{item.name}":', json_text(batch.column(item.name)))
        for at, item in enumerate(
            item for item in batch.schema if not item.name.startswith(PREFIX) and not pa.types.is_struct(item.type)
        )
    ]
    lines = _join('{"type":"Feature",', shape, ',"properties":{', *properties, "}}")
    for chunk in _chunks(lines):
        whole = pa.ListArray.from_arrays(pa.array([0, len(chunk)], pa.int32()), chunk)
        yield pc.binary_join(whole, between)[0].as_buffer()


def _chunks(lines: pa.Array[Any]) -> Iterator[pa.Array[Any]]:
    """Arrow's text columns hold 2 GiB at most; a join of some thousand rows stays far below."""
    for start in range(0, len(lines), 4096):
        yield pa.concat_arrays([lines.slice(start, 4096)])


def json_text(column: pa.Array[Any]) -> pa.Array[Any]:
    """Each value as JSON text; null is ``null``."""
    kind = column.type
    if pa.types.is_map(kind):
        text = names_json(column)
    elif pa.types.is_timestamp(kind):
        text = _join('"', instants(column), '"')
    elif pa.types.is_floating(kind):
        text = pc.if_else(pc.is_finite(column), pc.cast(column, pa.string()), pa.scalar(None, pa.string()))
    elif pa.types.is_string(kind):
        text = quoted(column)
    else:
        text = pc.cast(column, pa.string())
    found: pa.Array[Any] = pc.fill_null(text, "null")
    return found


def quoted(column: pa.Array[Any]) -> pa.Array[Any]:
    """Text as JSON strings."""
    text = pc.replace_substring(pc.replace_substring(column, "\\", "\\\\"), '"', '\\"')
    if pc.any(pc.match_substring_regex(text, r"[\x00-\x1f]")).as_py():
        for character in _CONTROL:
            text = pc.replace_substring(text, character, _SHORT.get(character, f"\\u{ord(character):04x}"))
    return _join('"', text, '"')


def names_json(column: pa.Array[Any]) -> pa.Array[Any]:
    """A map of text to text as a JSON object."""
    assert isinstance(column, pa.MapArray)
    pairs = _join(quoted(column.keys), ":", pc.fill_null(quoted(column.items), "null"))
    whole = _join("{", pc.binary_join(pa.ListArray.from_arrays(column.offsets, pairs), ","), "}")
    found: pa.Array[Any] = pc.if_else(pc.is_valid(column), whole, pa.scalar(None, pa.string()))
    return found


def instants(column: pa.Array[Any]) -> pa.Array[Any]:
    """ISO 8601 in UTC. Without its zone, for which Arrow would look up a database."""
    found: pa.Array[Any] = pc.strftime(column.cast(pa.timestamp("us")), format="%Y-%m-%dT%H:%M:%SZ")
    return found


def _join(*parts: Any) -> pa.Array[Any]:
    joined: pa.Array[Any] = pc.binary_join_element_wise(*parts, "")
    return joined
