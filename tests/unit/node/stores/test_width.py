"""Rows' widths in Arrow, against what Arrow itself counts."""

from __future__ import annotations

import pyarrow as pa
import pytest

from cimfed.model.schema import BOX
from cimfed_node.stores.width import fixed_width, row_width

FIXED = [pa.int64(), pa.decimal128(18, 2), pa.timestamp("us", tz="UTC"), pa.float64(), BOX]


@pytest.mark.parametrize("type", FIXED)
def test_fixed_widths_are_what_arrow_allocates(type: pa.DataType) -> None:
    rows = 8192
    width = fixed_width(type)
    assert width is not None
    assert abs(pa.nulls(rows, type).nbytes / rows - width) <= 0.75  # validity of the parts of a struct


def test_lengths_that_vary_are_taken_as_measured() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.binary()), ("c", pa.map_(pa.string(), pa.string()))])
    assert [fixed_width(at.type) for at in schema] == [None, None, None]
    assert row_width(schema, {"a": 10.0, "b": 100.0, "c": 1000.0}) == 1110.0
    assert row_width(schema, {}) > 0
    assert row_width(pa.schema([("x", pa.null())]), {}) == 1.0
