"""The catalogue's rows: one for each property that a city grants or lists, and through which grant."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

_FIELDS: list[pa.Field[Any]] = [
    pa.field("city", pa.string(), nullable=False),
    pa.field("collection", pa.string(), nullable=False),
    pa.field("grant", pa.string()),  # null: listed only
    pa.field("purposes", pa.string()),  # of the grant, joined by spaces
    pa.field("property", pa.string(), nullable=False),
    pa.field("type", pa.string(), nullable=False),
    pa.field("unit", pa.string()),  # UCUM
    pa.field("mask", pa.string()),  # exact, band(5), null
    pa.field("codes", pa.string()),  # of a code, joined by spaces
    pa.field("listed", pa.bool_(), nullable=False),
    pa.field("granted", pa.bool_(), nullable=False),
    pa.field("max_lod", pa.int64()),  # null: no geometry
    pa.field("meaning", pa.string(), nullable=False),
    pa.field("obligations", pa.string()),  # of the grant, joined by spaces
    pa.field("valid_to", pa.timestamp("us", tz="UTC")),  # of the grant
    # Of what the grant gives today; null while the city has no data for it.
    pa.field("rows", pa.int64()),
    pa.field("licence", pa.string()),
    pa.field("attribution", pa.string()),
    pa.field("vertical", pa.string()),  # datum that heights are in
    pa.field("operation", pa.string()),  # that made the coordinates OGC:CRS84
    pa.field("accuracy_m", pa.float64()),  # of the operation, as stated; null: by nobody
]

CATALOG: pa.Schema = pa.schema(_FIELDS)
"""Sorted by collection, then by the policy's order of grants, then by the vocabulary's order of properties."""
