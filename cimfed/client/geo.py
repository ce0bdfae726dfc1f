"""Tables as GeoDataFrames. geopandas is optional: without it there is an error that says what to install."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cimfed.errors import BadAnswer, BadConfig, BadQuery

if TYPE_CHECKING:
    import geopandas

CRS = "OGC:CRS84"
PREFIX = "geometry_lod"
LEVELS = (3, 2, 1, 0)


def geometry_column(table: pa.Table, lod: int | None) -> pa.ChunkedArray[Any]:
    """WKB of the finest level that each row has, or of level ``lod``."""
    names = [f"{PREFIX}{level}" for level in (LEVELS if lod is None else (lod,))]
    found = [table[name] for name in names if name in table.column_names]
    if not found:
        have = [name for name in table.column_names if name.startswith(PREFIX)]
        raise BadQuery(
            "the answer has no geometry" + (f" of level {lod}, only {', '.join(have)}" if have else ""),
            place="geometry",
            remedy="Ask for geometry_lod0, or for all properties; see the catalogue for what is granted",
        )
    return pc.coalesce(*found) if len(found) > 1 else found[0]


def geometries(column: pa.Array[Any] | pa.ChunkedArray[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """Shapes of a WKB column. BadAnswer for bytes or coordinates that are none, rings that do not close, and so on."""
    try:
        found: np.ndarray[Any, np.dtype[np.object_]] = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    except (shapely.errors.ShapelyError, NotImplementedError):  # the second of curves
        raise BadAnswer("a geometry of the answer is not WKB") from None
    if not np.isfinite(shapely.get_coordinates(found)).all():
        raise BadAnswer("a geometry of the answer has a coordinate that is no number")
    return found


def to_geopandas(table: pa.Table, lod: int | None = None) -> geopandas.GeoDataFrame:
    """All columns but the geometries and the box, and one column ``geometry``; decimals become float64."""
    try:
        import geopandas
        import pandas  # type: ignore[import-untyped]
    except ImportError:
        raise BadConfig("to_geopandas needs geopandas", remedy="pip install 'cimfed[geo]'") from None
    geometry = geometries(geometry_column(table, lod))
    plain = table.drop_columns([name for name in table.column_names if name == "bbox" or name.startswith(PREFIX)])
    for at, item in enumerate(plain.schema):
        if pa.types.is_decimal(item.type):
            plain = plain.set_column(at, item.name, plain[item.name].cast(pa.float64()))
    frame = plain.to_pandas(
        types_mapper=lambda kind: pandas.Int64Dtype() if kind == pa.int64() else None, maps_as_pydicts="lossy"
    )
    return geopandas.GeoDataFrame(frame, geometry=geometry, crs=CRS)
