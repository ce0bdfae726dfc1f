"""Rows as GeoPackage and GeoParquet.

GeoPackage holds one geometry and no exact decimals: it gets the chosen level of detail, decimals as REAL, names as JSON
text. GeoParquet 1.1 (geoparquet.org) holds all columns as they are; its CRS is the default, OGC:CRS84.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cimfed.cli.output_text import names_json
from cimfed.client.geo import PREFIX
from cimfed.errors import BadConfig


def write_gpkg(source: pa.RecordBatchReader, path: Path, layer: str, geometry: str | None) -> None:
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
    batches = (
        pa.RecordBatch.from_arrays([_gpkg_column(batch.column(item.name)) for item in kept], schema=schema)
        for batch in source
    )
    pyogrio.write_arrow(
        pa.RecordBatchReader.from_batches(schema, batches),
        str(path),
        layer=layer,
        driver="GPKG",
        geometry_name=geometry,
        geometry_type="Unknown" if geometry else None,
        crs="EPSG:4326" if geometry else None,  # in a GeoPackage x is the longitude all the same
    )


def _gpkg_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_decimal(kind):
        return pa.float64()
    return pa.string() if pa.types.is_map(kind) else kind


def _gpkg_column(column: pa.Array[Any]) -> pa.Array[Any]:
    if pa.types.is_map(column.type):
        return names_json(column)
    return pc.cast(column, pa.float64()) if pa.types.is_decimal(column.type) else column


def write_parquet(source: pa.RecordBatchReader, path: Path, geometry: str | None) -> None:
    schema = source.schema
    if geometry is not None:
        schema = schema.with_metadata({**(schema.metadata or {}), b"geo": json.dumps(_geo(schema, geometry)).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in source:
            writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def _geo(schema: pa.Schema, primary: str) -> dict[str, Any]:
    columns: dict[str, dict[str, Any]] = {
        name: {"encoding": "WKB", "geometry_types": []} for name in schema.names if name.startswith(PREFIX)
    }
    if "bbox" in schema.names and f"{PREFIX}0" in columns:
        corners = {corner: ["bbox", corner] for corner in ("xmin", "ymin", "xmax", "ymax")}
        columns[f"{PREFIX}0"]["covering"] = {"bbox": corners}
    return {"version": "1.1.0", "primary_column": primary, "columns": columns}
