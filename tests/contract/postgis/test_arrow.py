"""Columns go to PostgreSQL's forms and come back as they were: nulls, ends of types, slices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import CimfedError
from cimfed.model.schema import BOX
from cimfed_node.stores.postgis.arrow import answered, stored

SCHEMA = pa.schema(
    [
        ("height", pa.decimal128(18, 2)),
        ("name", pa.map_(pa.string(), pa.string())),
        ("bbox", BOX),
        ("id", pa.string()),
    ]
)
NAMES = ["height", "name_languages", "name_texts", "bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax", "id"]
_heights = st.integers(-(10**18 - 1), 10**18 - 1).map(lambda value: Decimal(value).scaleb(-2))
_names = st.lists(st.tuples(st.text(max_size=3), st.none() | st.text(max_size=3)), max_size=3)
_sides = st.floats(-180, 180)
_boxes = st.fixed_dictionaries({side: _sides for side in BOX.names})
_rows = st.fixed_dictionaries(
    {
        "height": st.none() | _heights,
        "name": st.none() | _names,
        "bbox": st.none() | _boxes,
        "id": st.none() | st.text(),
    }
)


@given(rows=st.lists(_rows, max_size=20), cut=st.tuples(st.integers(0, 20), st.integers(0, 20)))
def test_there_and_back(rows: list[dict[str, Any]], cut: tuple[int, int]) -> None:
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA).slice(*cut)
    away = stored(batch, NAMES)
    assert [str(at.type) for at in away.schema][:3] == ["int64", "list<item: string>", "list<item: string>"]
    assert away.column(0).to_pylist() == [None if x is None else int(x.scaleb(2)) for x in batch["height"].to_pylist()]
    back = answered(away, SCHEMA)
    back.validate(full=True)
    assert back.equals(batch)


def test_a_sum_comes_as_text_and_more_columns_than_asked_are_left_out() -> None:
    batch = pa.RecordBatch.from_pydict({"sum": ["-12345678901234567890.05", None], "more": [1, 2]})
    schema = pa.schema([("sum", pa.decimal128(38, 2))])
    assert answered(batch, schema).to_pylist() == [{"sum": Decimal("-12345678901234567890.05")}, {"sum": None}]
    assert answered(batch, pa.schema([])).num_rows == 2


def test_names_of_two_lengths_are_no_names() -> None:
    batch = pa.RecordBatch.from_pydict({"name_languages": [["kk", "ru"]], "name_texts": [["x"]]})
    with pytest.raises(CimfedError):
        answered(batch, pa.schema([SCHEMA.field("name")]))
