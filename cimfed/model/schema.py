"""Arrow types of the vocabulary: what every file, frame and table holds for a property.

Solids and surfaces are MultiPolygon Z of their boundary surfaces, as ISO WKB. Geometry fields bear
``geoarrow.wkb`` extension metadata (geoarrow.org, extension types); ``cimfed:unit`` and ``cimfed:mask`` say in
what unit and how coarsened a column is. ``cimfed:masks`` of a schema says the same of properties that a query names
without having them as columns: what a filter, a group or a measure of coarsened values gives is coarsened too.
``cimfed:licence``, ``cimfed:attribution`` and ``cimfed:vertical`` of a schema are what the city's importer said of the
data: terms of use, whom to name, and the datum that heights are in.

Beside the vocabulary's columns an answer may have ``ORIGINAL_FIELDS``: the untouched object of each row as JSON text,
null where it is not given, and the number of what its file says of all its objects in ``cimfed:originals`` of the
schema, a JSON list of ``{"file": ..., "header": ...}``.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from cimfed.model.originals import ORIGINAL, ORIGINAL_HEADER
from cimfed.model.vocabulary import Property, Type

GEOARROW = {
    b"ARROW:extension:name": b"geoarrow.wkb",
    b"ARROW:extension:metadata": json.dumps(
        {"crs": "OGC:CRS84", "crs_type": "authority_code"}, separators=(",", ":")
    ).encode(),
}
BOX = pa.struct([(corner, pa.float64()) for corner in ("xmin", "ymin", "xmax", "ymax")])
UNIT = b"cimfed:unit"
MASK = b"cimfed:mask"
MASKS = b"cimfed:masks"
LICENCE = b"cimfed:licence"
ATTRIBUTION = b"cimfed:attribution"
VERTICAL = b"cimfed:vertical"
ORIGINALS = b"cimfed:originals"
ORIGINAL_FIELDS: tuple[pa.Field[Any], ...] = (pa.field(ORIGINAL, pa.string()), pa.field(ORIGINAL_HEADER, pa.int64()))


def arrow_type(prop: Property) -> pa.DataType:
    match prop.type:
        case Type.TEXT | Type.CODE | Type.JSON:
            return pa.string()
        case Type.INTEGER:
            return pa.int64()
        case Type.DECIMAL:
            return pa.decimal128(18, prop.scale)
        case Type.TIME:
            return pa.timestamp("us", tz="UTC")
        case Type.NAMES:
            return pa.map_(pa.string(), pa.string())
        case Type.GEOMETRY:
            return pa.binary()
        case Type.BOX:
            return BOX


def field(prop: Property, mask: str = "exact") -> pa.Field[pa.DataType]:
    """The Arrow field of a property under a mask (``str(Mask)``)."""
    metadata = dict(GEOARROW) if prop.type is Type.GEOMETRY else {}
    if prop.unit:
        metadata[UNIT] = prop.unit.encode()
    if mask != "exact":
        metadata[MASK] = mask.encode()
    return pa.field(prop.name, arrow_type(prop), metadata=metadata or None)
