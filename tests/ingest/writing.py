"""Files of many formats from plain features, by GDAL's writers and pyarrow; no part of the software is used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio.raw
import shapely

Feature = dict[str, Any]
ENDINGS = {
    "GPKG": "gpkg",
    "ESRI Shapefile": "shp",
    "FlatGeobuf": "fgb",
    "SQLite": "sqlite",
    "OpenFileGDB": "gdb",
    "GML": "gml",
    "LIBKML": "kml",
    "MapInfo File": "tab",
    "GeoParquet": "parquet",
}


def column_of(values: Sequence[Any]) -> Any:
    """Values of one attribute as a column that GDAL has a type for; lists as JSON."""
    kinds = {type(value) for value in values if value is not None}
    if list in kinds or dict in kinds:
        return pa.array([None if value is None else json.dumps(value) for value in values], pa.string())
    if kinds == {int, float}:
        return pa.array([None if value is None else float(value) for value in values])
    return pa.array(values, pa.string() if not kinds else None)


def table_of(features: Sequence[Feature], wkb: Sequence[bytes | None] | None = None, name: str = "geom") -> pa.Table:
    """Attributes as columns, and a last one of WKB."""
    names = list(dict.fromkeys(key for one in features for key in one["properties"]))
    columns = [column_of([one["properties"].get(key) for one in features]) for key in names]
    if wkb is None:
        wkb = [None if one["geometry"] is None else shapely.geometry.shape(one["geometry"]).wkb for one in features]
    return pa.table([*columns, pa.array(wkb, pa.binary())], names=[*names, name])


def kind_of(features: Sequence[Feature]) -> str:
    kinds = {one["geometry"]["type"] for one in features if one["geometry"] is not None}
    if len(kinds) == 1:
        return str(*kinds)
    return "Unknown"


def write(path: Path, features: Sequence[Feature], driver: str, crs: str | None = "EPSG:4326", **options: Any) -> Path:
    """``features`` as a file of a format; ``options`` are GDAL's."""
    path.parent.mkdir(exist_ok=True)
    table = table_of(features)
    if driver == "GeoParquet":
        return write_parquet(path, table, crs=... if crs == "EPSG:4326" else crs)
    defaults: dict[str, Any] = {
        "FlatGeobuf": {"SPATIAL_INDEX": "NO"},  # which would change the order
        "GPKG": {"FID": "key"},  # a name that the data have not
        "SQLite": {"SPATIALITE": "NO", "FID": "key"},
        "GML": {"FORMAT": "GML3.2"},
        "ESRI Shapefile": {"ENCODING": "UTF-8"},
    }
    pyogrio.raw.write_arrow(
        table,
        path,
        driver=driver,
        geometry_name="geom",
        geometry_type=kind_of(features),
        crs=crs,
        **(defaults.get(driver, {}) | options),
    )
    return path


def geo_metadata(encoding: str = "WKB", **column: Any) -> dict[str, Any]:
    return {
        "version": "1.1.0",
        "primary_column": "geom",
        "columns": {"geom": {"encoding": encoding, "geometry_types": [], **column}},
    }


def write_parquet(path: Path, table: pa.Table, geo: Any = None, crs: Any = ..., **options: Any) -> Path:
    """GeoParquet as its specification has it; ``crs``: absent where it is ``...``."""
    geo = geo_metadata(**({} if crs is ... else {"crs": crs})) if geo is None else geo
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path, **options)
    return path


def points(*places: tuple[float, float]) -> Any:
    return shapely.to_wkb(shapely.points(np.array(places)))
