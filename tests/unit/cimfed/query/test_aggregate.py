"""Partial states: merging is exact, indifferent to how rows were parted, and equal to plain Python's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimfed.errors import BadAnswer, TooLarge
from cimfed.model.vocabulary import VOCABULARY
from cimfed.query.aggregate import (
    State,
    StateColumn,
    finish,
    merge,
    state_columns,
    state_schema,
)
from cimfed.query.query import Aggregate, Function, Measure

COUNT, SUM, MEAN, MIN, MAX = Function
Row = dict[str, Any]

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "city": st.sampled_from(["kz.almaty", "uz.tashkent"]),
            "function": st.sampled_from([None, "office", "école", "школа", "學校", "𐐷"]),
            "year_built": st.none() | st.integers(1999, 2001) | st.integers(-(2**63), 2**63 - 1),
            "height": st.none() | st.decimals(-(10**16) + 1, 10**16 - 1, places=2),
            "floor_area": st.none() | st.decimals(0, 10_000, places=1),
            "valid_from": st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
            "district": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
        }
    ),
    max_size=12,
)
MEASURES = [
    Measure(COUNT),
    *(Measure(each, of) for each in (SUM, MEAN, MIN, MAX) for of in ("height", "floor_area", "year_built")),
    *(Measure(each, of) for each in (MIN, MAX) for of in ("valid_from", "district", "function")),
]
KEYS = ["city", "function", "year_built", "height", "valid_from", "district"]
REQUESTS = st.builds(
    lambda measures, keys: Aggregate("building", tuple(measures), tuple(keys)),
    st.lists(st.sampled_from(MEASURES), min_size=1, max_size=5, unique=True),
    st.lists(st.sampled_from(KEYS), max_size=3, unique=True),
)


def value(column: StateColumn, rows: Sequence[Row]) -> Any:
    """A state by plain Python."""
    if column.state is State.COUNT:
        return len(rows)
    values = [row[column.of] for row in rows if row[column.of] is not None]
    match column.state:
        case State.N:
            return len(values)
        case State.SUM:
            with localcontext(prec=60):
                return sum(map(Decimal, values)) if values else None
        case State.MIN:
            return min(values, default=None)
        case State.MAX:
            return max(values, default=None)


def grouped(request: Aggregate, rows: Sequence[Row]) -> dict[tuple[Any, ...], list[Row]]:
    groups: dict[tuple[Any, ...], list[Row]] = {} if request.group_by else {(): []}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in request.group_by), []).append(row)
    return groups


def state_of(request: Aggregate, rows: Sequence[Row]) -> pa.Table:
    """What a city would send for these rows."""
    found = [
        dict(zip(request.group_by, key, strict=True))
        | {each.name: value(each, part) for each in state_columns(request)}
        for key, part in grouped(request, rows).items()
    ]
    return pa.Table.from_pylist(found, schema=state_schema(request))


def serialized(table: pa.Table) -> list[bytes]:
    return [batch.serialize().to_pybytes() for batch in table.to_batches()]


@settings(max_examples=150, deadline=None)
@given(REQUESTS, ROWS, st.data())
def test_any_partition_in_any_order_merges_to_the_same_bytes(request_: Aggregate, rows: list[Row], data: Any) -> None:
    whole = merge(request_, [state_of(request_, rows)])
    parts: list[list[Row]] = [[] for _ in range(data.draw(st.integers(1, 4)))]
    for row in data.draw(st.permutations(rows)):
        data.draw(st.sampled_from(parts)).append(row)
    states = [state_of(request_, part) for part in parts]
    flat = merge(request_, states)
    nested = merge(request_, [merge(request_, states[:2]), merge(request_, states[2:])])
    assert flat.equals(whole)
    assert nested.equals(whole)
    assert serialized(flat) == serialized(nested) == serialized(whole)
    assert whole.schema.equals(state_schema(request_), check_metadata=True)


@settings(max_examples=150, deadline=None)
@given(REQUESTS, ROWS)
def test_the_result_is_that_of_plain_arithmetic(request_: Aggregate, rows: list[Row]) -> None:
    result = finish(request_, merge(request_, [state_of(request_, [row]) for row in rows]))
    groups = grouped(request_, rows)
    assert result.column_names == [*request_.group_by, *(measure.name for measure in request_.measures)]
    assert result.num_rows == len(groups)
    for found in result.to_pylist():
        group = groups[tuple(found[key] for key in request_.group_by)]
        for measure in request_.measures:
            values = [row[measure.of] for row in group if measure.of and row[measure.of] is not None]
            assert found[measure.name] == expected(measure.function, group, values)


def expected(function: Function, group: Sequence[Row], values: list[Any]) -> Any:
    if function is COUNT:
        return len(group)
    if not values:
        return None
    if function in (MIN, MAX):
        return min(values) if function is MIN else max(values)
    total = sum(map(Fraction, values))
    return float(total / len(values)) if function is MEAN else total


@settings(deadline=None)
@given(REQUESTS, ROWS)
def test_groups_are_sorted_nulls_first_and_text_bytewise(request_: Aggregate, rows: list[Row]) -> None:
    found = merge(request_, [state_of(request_, [row]) for row in rows]).select(list(request_.group_by)).to_pylist()
    keys = [
        tuple((value is not None, value.encode() if isinstance(value, str) else value) for value in row.values())
        for row in found
    ]
    assert keys == sorted(keys, key=lambda key: [(valid, value) if valid else (valid,) for valid, value in key])


def test_state_columns_stand_once_in_the_order_of_the_measures() -> None:
    request = Aggregate(
        "building",
        (Measure(MEAN, "height"), Measure(COUNT), Measure(SUM, "height"), Measure(MAX, "year_built")),
        ("function",),
    )
    assert state_schema(request) == pa.schema(
        {
            "function": pa.string(),
            "sum_height": pa.decimal128(38, 2),
            "n_height": pa.int64(),
            "count": pa.int64(),
            "max_year_built": pa.int64(),
        }
    )


def test_units_of_results_are_those_of_their_properties() -> None:
    request = Aggregate("building", (Measure(COUNT), Measure(MEAN, "height")), ("function",))
    result = finish(request, merge(request, []))
    assert result.schema.field("mean_height").metadata == {b"cimfed:unit": b"m"}
    assert result.schema.field("count").metadata is None
    assert result.num_rows == 0


def test_without_keys_no_parts_are_one_row_of_nothing() -> None:
    request = Aggregate(
        "building", (Measure(COUNT), Measure(SUM, "height"), Measure(MEAN, "height"), Measure(MIN, "id"))
    )
    assert finish(request, merge(request, [])).to_pylist() == [
        {"count": 0, "sum_height": None, "mean_height": None, "min_id": None}
    ]


def test_means_of_large_sums_are_rounded_once() -> None:
    request = Aggregate("building", (Measure(MEAN, "height"),))
    total, number = Decimal("123456789012345678901234567890123456.78"), 3
    state = pa.table([[total], [number]], schema=state_schema(request))
    [found] = finish(request, merge(request, [state])).to_pylist()
    assert found["mean_height"] == float(Fraction(total) / number)


def part(request: Aggregate, **columns: list[Any]) -> pa.Table:
    return pa.table([columns[name] for name in state_schema(request).names], schema=state_schema(request))


SUMS = Aggregate("building", (Measure(COUNT), Measure(SUM, "height")), ("function",))
ONE = {"function": ["office"], "count": [1], "sum_height": [Decimal(1)], "n_height": [1]}


def test_sums_past_38_digits_are_refused_and_not_wrapped_around() -> None:
    half = part(SUMS, **ONE | {"sum_height": [Decimal("9" * 36 + ".99")]})
    assert merge(SUMS, [half]).num_rows == 1
    with pytest.raises(TooLarge):
        merge(SUMS, [half, half])


def test_counts_past_64_bits_are_refused_and_not_wrapped_around() -> None:
    half = part(SUMS, **ONE | {"count": [2**63 - 1]})
    with pytest.raises(TooLarge):
        merge(SUMS, [half, half])


@pytest.mark.parametrize(
    "columns",
    [
        {"count": [-1]},
        {"count": [None]},
        {"n_height": [None]},
        {"n_height": [0]},
        {"sum_height": [None]},
        {"n_height": [-1]},
    ],
)
def test_parts_that_are_no_states_are_refused(columns: Any) -> None:
    with pytest.raises(BadAnswer):
        merge(SUMS, [part(SUMS, **ONE | columns)])


def test_parts_of_other_columns_are_refused() -> None:
    good = part(SUMS, **ONE)
    for bad in (
        good.drop_columns("count"),
        good.select(["count", "function", "sum_height", "n_height"]),
        good.append_column("more", pa.array([1])),
        good.set_column(1, "count", pa.array([1], pa.int32())),
        good.set_column(2, "sum_height", pa.array([Decimal(1)], pa.decimal128(38, 1))),
    ):
        with pytest.raises(BadAnswer):
            merge(SUMS, [good, bad])


def test_metadata_and_nullability_of_parts_do_not_matter() -> None:
    good = part(SUMS, **ONE)
    fields = [field.with_metadata({"x": "y"}) for field in good.schema]
    other = good.cast(pa.schema([*fields[:1], fields[1].with_nullable(False), *fields[2:]], metadata={"a": "b"}))
    assert merge(SUMS, [good, other]).to_pylist() == [
        {"function": "office", "count": 2, "sum_height": Decimal(2), "n_height": 2}
    ]


def test_groups_are_limited() -> None:
    parts = [part(SUMS, **ONE | {"function": [str(number)]}) for number in range(4)]
    assert merge(SUMS, parts, limit=4).num_rows == 4
    with pytest.raises(TooLarge, match="4 groups; the limit is 3"):
        merge(SUMS, parts, limit=3)


def test_no_property_of_the_vocabulary_has_a_name_that_a_state_or_result_takes() -> None:
    for collection in VOCABULARY.collections.values():
        for name in collection.properties:
            assert name != "count"
            assert not name.startswith(("n_", "sum_", "mean_", "min_", "max_"))
