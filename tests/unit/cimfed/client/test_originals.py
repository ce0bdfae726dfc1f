"""Headers and numbers of untouched objects, as a hostile city might send them."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from cimfed.client.columns import Shaper, read_schema
from cimfed.client.originals import headers_of
from cimfed.errors import BadAnswer
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName
from cimfed.model.schema import ORIGINAL_FIELDS, ORIGINALS
from cimfed.query.query import Read

CITY = CityName("kz.almaty")
TARGET = read_schema(Read("building", properties=("id",), original=True))
SOURCE = pa.schema([pa.field("id", pa.string()), *ORIGINAL_FIELDS])


def headers(content: Any) -> Any:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return headers_of(CITY, SOURCE.with_metadata({ORIGINALS: text}))


def test_headers_are_those_that_came() -> None:
    said = [{"file": "a", "header": {"type": "CityJSON"}}, {"file": "b", "header": {}}]
    assert headers(said) == tuple(said)
    assert headers_of(CITY, SOURCE) == ()


@pytest.mark.parametrize(
    "content",
    [
        b"no JSON",
        b"\xff",
        b"[" * 100_000,
        b'[{"file":"a","header":{"x":NaN}}]',
        {},
        None,
        [None],
        [{"file": "a"}],
        [{"file": 1, "header": {}}],
        [{"file": "a", "header": []}],
        [{"file": "a", "header": {"x": "x" * LIMITS.headers}}],
    ],
    ids=range(11),
)
def test_what_are_no_headers_is_a_bad_answer(content: Any) -> None:
    with pytest.raises(BadAnswer, match=CITY):
        headers(content)


def shaped(texts: list[str | None], numbers: list[int | None], source: pa.Schema = SOURCE) -> pa.RecordBatch:
    columns: dict[str, Any] = {"id": ["x"] * len(texts), "original": texts, "original_header": numbers}
    batch = pa.RecordBatch.from_pydict({name: columns[name] for name in source.names}, schema=source)
    return Shaper(CITY, source, TARGET, 2).shape(batch.serialize().to_pybytes(), batch.num_rows)


def test_objects_stand_after_the_properties_and_the_city_is_the_signers() -> None:
    assert TARGET.names == ["city", "id", "original", "original_header"]
    assert shaped(["{}", None, "[]"], [1, None, 0]).to_pydict() == {
        "city": [CITY] * 3,
        "id": ["x"] * 3,
        "original": ["{}", None, "[]"],
        "original_header": [1, None, 0],
    }
    assert shaped([None], [None]).num_rows == 1


@pytest.mark.parametrize(("texts", "numbers"), [(["{}"], [2]), (["{}"], [-1]), (["{}"], [None]), ([None], [0])])
def test_an_object_names_a_header_that_is_there(texts: list[str | None], numbers: list[int | None]) -> None:
    with pytest.raises(BadAnswer, match="names a header that is not there"):
        shaped(texts, numbers)


@pytest.mark.parametrize("lacking", ["original", "original_header"])
def test_one_column_without_the_other_is_a_bad_answer(lacking: str) -> None:
    source = pa.schema([at for at in SOURCE if at.name != lacking])
    with pytest.raises(BadAnswer, match="without their headers"):
        shaped(["{}"], [0], source)


def test_columns_of_other_types_are_a_bad_answer() -> None:
    source = pa.schema([pa.field("id", pa.string()), pa.field("original", pa.binary()), ORIGINAL_FIELDS[1]])
    with pytest.raises(BadAnswer, match="original is binary"):
        Shaper(CITY, source, TARGET, 1)
