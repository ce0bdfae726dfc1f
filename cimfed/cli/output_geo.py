"""Rows as GeoPackage and GeoParquet.

GeoPackage holds one geometry and no exact decimals: it gets the chosen level of detail, decimals as REAL, names as JSON
text. GeoParquet 1.1 (geoparquet.org) holds all columns as they are; its CRS is the default, OGC:CRS84.

What an answer says of itself is known after its last row. A GeoPackage has it in its metadata tables (OGC 12-128r15,
annex F.8), Parquet under the key ``cimfed`` in its footer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from cimfed.cli.output_text import names_json
from cimfed.client.geo import PREFIX, geometries
from cimfed.errors import BadConfig

FOOTPRINT = f"{PREFIX}0"
BOX_COLUMN = "bbox"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
_EXTENSIONS = """CREATE TABLE IF NOT EXISTS gpkg_extensions (
    table_name TEXT,
    column_name TEXT,
    extension_name TEXT NOT NULL,
    definition TEXT NOT NULL,
    scope TEXT NOT NULL,
    CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name))"""  # GDAL makes it for an index of places
_METADATA = """CREATE TABLE gpkg_metadata (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    md_scope TEXT NOT NULL DEFAULT 'dataset',
    md_standard_uri TEXT NOT NULL,
    mime_type TEXT NOT NULL DEFAULT 'text/xml',
    metadata TEXT NOT NULL DEFAULT '')"""
_REFERENCE = """CREATE TABLE gpkg_metadata_reference (
    reference_scope TEXT NOT NULL,
    table_name TEXT,
    column_name TEXT,
    row_id_value INTEGER,
    timestamp DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    md_file_id INTEGER NOT NULL REFERENCES gpkg_metadata (id),
    md_parent_id INTEGER REFERENCES gpkg_metadata (id))"""


def write_gpkg(
    source: pa.RecordBatchReader,
    path: Path,
    layer: str,
    geometry: str | None,
    about: Callable[[], Mapping[str, Any]] | None,
) -> None:
    try:
        import pyogrio
    except ImportError:
        raise BadConfig("GeoPackage files need pyogrio", remedy="pip install 'cimfed[geo]'") from None
    kept = [
        item
        for item in source.schema
        if item.name == geometry or not (item.name.startswith(PREFIX) or pa.types.is_struct(item.type))
    ]
    schema = pa.schema([pa.field(item.name, _gpkg_type(item.type)) for item in kept])
    failed: list[BaseException] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in source:
                yield pa.RecordBatch.from_arrays(
                    [_gpkg_column(batch.column(item.name)) for item in kept], schema=schema
                )
        except BaseException as error:
            failed.append(error)
            raise

    try:
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(schema, batches()),
            str(path),
            layer=layer,
            driver="GPKG",
            geometry_name=geometry,
            geometry_type="Unknown" if geometry else None,
            crs="EPSG:4326" if geometry else None,  # in a GeoPackage x is the longitude all the same
            VERSION="1.2",  # what GDAL of older systems opens without a warning
        )
    except Exception as error:
        raise failed[0] if failed else error from None  # GDAL's own error only says that its source failed
    if about is not None:
        _describe(path, layer, about())


def _describe(path: Path, layer: str, about: Mapping[str, Any]) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for table in (_EXTENSIONS, _METADATA, _REFERENCE):
            database.execute(table)
        for table in ("gpkg_metadata", "gpkg_metadata_reference"):
            database.execute(
                "INSERT INTO gpkg_extensions VALUES (?, NULL, 'gpkg_metadata', ?, 'read-write')",
                (table, "http://www.geopackage.org/spec120/#extension_metadata"),
            )
        database.execute(
            "INSERT INTO gpkg_metadata VALUES (1, 'dataset', ?, 'application/json', ?)",
            (about["format"], json.dumps(about, ensure_ascii=False)),
        )
        database.executemany(
            "INSERT INTO gpkg_metadata_reference (reference_scope, table_name, md_file_id) VALUES (?, ?, 1)",
            [("geopackage", None), ("table", layer)],
        )


def _gpkg_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(kind):
        return pa.float64()
    return pa.string() if pa.types.is_map(kind) else kind


def _gpkg_column(column: pa.Array[Any]) -> pa.Array[Any]:
    if pa.types.is_map(column.type):
        return names_json(column)
    if pa.types.is_binary(column.type):
        geometries(column)  # what is none makes no file
    if pa.types.is_string(column.type):
        return pc.replace_substring(column, "\0", "\ufffd")  # where GDAL would end the text
    return pc.cast(column, pa.float64()) if pa.types.is_decimal(column.type) else column


def write_parquet(
    source: pa.RecordBatchReader, path: Path, geometry: str | None, about: Callable[[], Mapping[str, Any]] | None
) -> None:
    schema = source.schema
    covered = BOX_COLUMN in schema.names and FOOTPRINT in schema.names
    if geometry is not None:
        geo = json.dumps(_geo(schema, geometry, covered)).encode()
        schema = schema.with_metadata({**(schema.metadata or {}), b"geo": geo})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in source:
            for column in batch.columns:
                if pa.types.is_binary(column.type):
                    geometries(column)  # what is none makes no file
            whole = _with_boxes(batch) if covered else batch
            writer.write_batch(whole.replace_schema_metadata(schema.metadata))
        if about is not None:
            writer.add_key_value_metadata({"cimfed": json.dumps(about(), ensure_ascii=False)})


def _geo(schema: pa.Schema, primary: str, covered: bool) -> dict[str, Any]:
    columns: dict[str, dict[str, Any]] = {
        name: {"encoding": "WKB", "geometry_types": []} for name in schema.names if name.startswith(PREFIX)
    }
    if covered:
        columns[FOOTPRINT]["covering"] = {BOX_COLUMN: {corner: [BOX_COLUMN, corner] for corner in CORNERS}}
    return {"version": "1.1.0", "primary_column": primary, "columns": columns}


def _with_boxes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Readers skip rows by the covering box, so a row with a geometry must have one."""
    at = batch.schema.get_field_index(BOX_COLUMN)
    if batch.column(at).null_count == 0:
        return batch
    shapes = geometries(batch.column(FOOTPRINT))
    bounds = shapely.bounds(shapes)
    boxes = pa.StructArray.from_arrays(
        [pa.array(bounds[:, corner]) for corner in range(4)],
        fields=list(batch.schema.field(at).type),
        mask=pa.array(shapely.is_missing(shapes)),
    )
    return batch.set_column(at, batch.schema.field(at), boxes)
