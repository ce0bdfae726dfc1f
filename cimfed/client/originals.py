"""Untouched objects in an answer: what their files said of all their objects, and which object goes with which.

The texts are another party's, and are given as they came: here it is only checked that the headers are what they must
be, and that no object names one that is not there. Whoever parses a text meets what that city wrote.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute

from cimfed.errors import BadAnswer
from cimfed.model.limits import LIMITS
from cimfed.model.originals import ORIGINAL, ORIGINAL_HEADER
from cimfed.model.schema import ORIGINALS

pc: Any = pyarrow.compute  # its stubs do not know that a scalar has parts
Header = Mapping[str, Any]
"""``file``: the name of a city's file; ``header``: a JSON object, what it said of all its objects."""


def headers_of(city: str, schema: pa.Schema) -> tuple[Header, ...]:
    """BadAnswer for what are none."""
    text = (schema.metadata or {}).get(ORIGINALS, b"[]")
    if len(text) > LIMITS.headers:
        raise BadAnswer(f"{city}: the headers of its untouched objects have more than {LIMITS.headers} bytes")
    found = parsed(text)
    good = isinstance(found, list) and all(
        isinstance(item, dict) and isinstance(item.get("file"), str) and isinstance(item.get("header"), dict)
        for item in found
    )
    if not good:
        raise BadAnswer(f"{city}: the headers of its untouched objects are none")
    return tuple(found)


def check_numbers(city: str, batch: pa.RecordBatch, headers: int) -> None:
    """BadAnswer where an object has no header, or one that is not there."""
    if ORIGINAL not in batch.schema.names or ORIGINAL_HEADER not in batch.schema.names:
        raise BadAnswer(f"{city}: its untouched objects come without their headers")
    texts, numbers = batch[ORIGINAL], batch[ORIGINAL_HEADER]
    ends = pc.min_max(numbers)
    some = ends["min"].as_py() is not None
    if not pc.all(pc.equal(pc.is_valid(texts), pc.is_valid(numbers)), min_count=0).as_py() or (
        some and not 0 <= ends["min"].as_py() <= ends["max"].as_py() < headers
    ):
        raise BadAnswer(f"{city}: an untouched object names a header that is not there")


def parsed(text: str | bytes) -> Any:
    """A JSON value; None for what is none, is nested too deeply, or holds a number that JSON has not."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(_: str) -> None:
    raise ValueError
