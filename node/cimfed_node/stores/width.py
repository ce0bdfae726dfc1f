"""How many bytes a row takes in Arrow: known for fixed types, measured by the builder of a view for the others."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

OFFSET = 4  # of one value of varying length
_VALIDITY = 1 / 8
_GUESS = 32.0  # for a column of varying length that nobody measured


def fixed_width(type: pa.DataType) -> float | None:
    """Bytes of one value, validity included; None where the length varies."""
    if pa.types.is_null(type):
        return 0.0
    if pa.types.is_struct(type):
        parts = [fixed_width(type.field(index).type) for index in range(type.num_fields)]
        return None if None in parts else sum(part for part in parts if part is not None) + _VALIDITY
    try:
        return type.bit_width / 8 + _VALIDITY
    except ValueError:
        return None


def row_width(schema: pa.Schema, measured: Mapping[str, float]) -> float:
    """Bytes of one row, at least 1. ``measured``: by column, of those whose length varies."""
    total = 0.0
    for field in schema:
        fixed = fixed_width(field.type)
        total += measured.get(field.name, _GUESS) if fixed is None else fixed
    return max(total, 1.0)
