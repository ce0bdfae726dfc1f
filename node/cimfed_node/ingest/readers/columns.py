"""Columns of Arrow to attributes as JSON has them: text, numbers, true and false, lists and objects.

What JSON has no word for becomes text in the way that a GeoJSON of the same data writes it: dates and times by ISO
8601 (a time without a zone stays without), decimals digit by digit, durations in seconds. A float of 32 bits becomes
the shortest number that is read as the same one: 12.3, not 12.300000190734863. Null and NaN are no value.
Bytes are left out, with a note.
"""

from __future__ import annotations

import base64
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cimfed_node.ingest.arrays import Column

_DEEP = 32  # levels of lists and structs in one another

Kind = Any  # a type of Arrow: the stubs know too little of nested ones


def readable(kind: Kind) -> bool:
    """Whether columns of a type hold anything that an attribute can."""
    return not _is_bytes(kind)


def _is_bytes(kind: Kind) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or _view(kind, "binary")
    )


def _view(kind: Kind, name: str) -> bool:
    return str(kind) == f"{name}_view"


def too_deep(kind: Kind) -> bool:
    """Whether a type's nesting is none of data."""
    waiting = [(kind, 0)]
    while waiting:
        one, depth = waiting.pop()
        if depth > _DEEP:
            return True
        if pa.types.is_nested(one):
            waiting += [(one.field(number).type, depth + 1) for number in range(one.num_fields)]
    return False


def values_of(cells: Column, *, json: bool = False) -> list[Any]:
    """One value a row, None where there is none. ``json``: texts are JSON documents, as OGR's lists and objects are."""
    kind = cells.type
    if isinstance(kind, pa.BaseExtensionType):
        cells, kind = cells.storage, kind.storage_type
    types: Any = pa.types
    if types.is_dictionary(kind):
        return values_of(cells.cast(kind.value_type), json=json)
    if types.is_nested(kind):
        return [_jsonable(value) for value in cells.to_pylist()]
    if types.is_float16(kind):
        cells, kind = cells.cast(pa.float32()), pa.float32()
    if types.is_float32(kind):
        cells, kind = cells.cast(pa.string()).cast(pa.float64()), pa.float64()
    if types.is_floating(kind):
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, kind), cells)
    values: list[Any] = cells.to_pylist()
    if json:
        return [_parsed(text) for text in values]
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind):
        return values
    return [_jsonable(value) for value in values]


def _parsed(text: Any) -> Any:
    if type(text) is not str:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _jsonable(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return None if math.isnan(value) else value
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return format(value, "f")
        case bytes():
            return base64.b64encode(value).decode()
        case UUID():
            return str(value)
        case dict():
            return {str(key): _jsonable(item) for key, item in value.items()}
        case list():
            if value and all(type(item) is tuple and len(item) == 2 for item in value):  # a map
                return {str(key): _jsonable(item) for key, item in value}
            return [_jsonable(item) for item in value]
        case tuple():
            return [_jsonable(item) for item in value]
        case _:
            return str(value)
