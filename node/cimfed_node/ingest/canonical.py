"""Canonical JSON (RFC 8785) of attributes, fast: what ``ext`` holds.

orjson writes what RFC 8785 asks for but for keys outside the basic plane (sorted by UTF-16 there) and for some floats;
those go to the reference library. Text and keys become NFC. Integers beyond 2^53, which JSON in general does not carry,
become text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import rfc8785

from cimfed_node.ingest.values import OutOfRange, nfc

_SAFE = 2**53


class _Slow(Exception):
    """Something that orjson would write in another way."""


def _clean(value: Any, strict: bool) -> Any:
    kind = type(value)
    if kind is str:
        return nfc(value)
    if kind is int:
        return value if -_SAFE < value < _SAFE else str(value)
    if kind is float:
        if value.is_integer() and abs(value) < _SAFE:
            return int(value)
        if strict and not 1e-3 < abs(value) < 1e15:
            raise _Slow
        return value if value - value == 0 else None  # infinity: JSON has none
    if kind is dict:
        if strict and not all(map(str.isascii, value)):
            raise _Slow
        return {nfc(key): _clean(item, strict) for key, item in value.items()}
    if kind is list:
        return [_clean(item, strict) for item in value]
    return value


def canonical(attributes: Mapping[str, Any]) -> str:
    """RFC 8785 text of a JSON object. Raises OutOfRange where it is nested too deeply to be written."""
    try:
        return _written(attributes)
    except (orjson.JSONEncodeError, RecursionError):
        raise OutOfRange("attributes nested too deeply") from None


def _written(attributes: Mapping[str, Any]) -> str:
    try:
        plain = {nfc(key): _clean(value, True) for key, value in attributes.items()}
        if max(map(max, plain), default="") > "\uffff":
            raise _Slow
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode()
    except (_Slow, ValueError):
        return rfc8785.dumps(_clean(dict(attributes), False)).decode()
