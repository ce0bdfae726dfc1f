"""The ``geo`` metadata of GeoParquet 1.1.0 (geoparquet.org/releases/v1.1.0) for the vocabulary's geometry columns."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from pyproj import CRS

from cimfed.model.schema import BOX

PRIMARY = "geometry_lod0"
_COVERING = {"bbox": {side: ["bbox", side] for side in BOX.names}}


@cache
def crs84() -> dict[str, Any]:
    """OGC:CRS84 as PROJJSON."""
    crs: dict[str, Any] = CRS.from_authority("OGC", "CRS84").to_json_dict()
    return crs


def geo_metadata(columns: Iterable[str]) -> str | None:
    """JSON for the geometry columns among ``columns``; None where there is no geometry."""
    found: dict[str, Any] = {}
    names = list(columns)
    for name in names:
        if name.startswith("geometry_"):
            found[name] = {"encoding": "WKB", "geometry_types": [], "crs": crs84()}
    if PRIMARY not in found:
        return None
    if "bbox" in names:
        found[PRIMARY]["covering"] = _COVERING
    return json.dumps({"version": "1.1.0", "primary_column": PRIMARY, "columns": found}, separators=(",", ":"))
