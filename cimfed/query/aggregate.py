"""The algebra of aggregates: the state that each city sends, how states merge, how the merged state finishes.

A state table has the group keys in the order asked, then the state columns of each measure, each once
(``docs/wire.md``, "States"). Nodes compute states in their engine; gateways and clients merge them here, whole
tables at a time. All sums are exact decimals, so any partition of the rows and any order of merging gives the same
table, to the byte: groups are sorted by key, nulls first and text bytewise.

``merge`` takes nothing on trust: a part of another form, negative counts, or sums that pass 38 digits are refused,
since Arrow's own sums wrap around in silence (seen with 26.0 for int64 and decimal128).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from cimfed.errors import BadAnswer, TooLarge
from cimfed.model.limits import LIMITS
from cimfed.model.schema import UNIT, arrow_type, field
from cimfed.model.vocabulary import VOCABULARY, Property, Vocabulary
from cimfed.query.check import collection_of
from cimfed.query.query import Aggregate, Function

Column: TypeAlias = Any
"""``pa.ChunkedArray``: the stubs type its kernels too narrowly."""

_EXACT = 2**53  # integers up to here are exact as float64


class State(StrEnum):
    """What a state column holds of the rows of its group."""

    COUNT = "count"  # rows
    SUM = "sum"  # of the values that are not null; null where there are none
    N = "n"  # values that are not null
    MIN = "min"
    MAX = "max"


_STATES = {
    Function.COUNT: (State.COUNT,),
    Function.SUM: (State.SUM, State.N),
    Function.MEAN: (State.SUM, State.N),
    Function.MIN: (State.MIN,),
    Function.MAX: (State.MAX,),
}


@dataclass(frozen=True)
class StateColumn:
    """``of`` is the property that it is computed of; empty for COUNT."""

    name: str
    state: State
    of: str
    type: Any  # pa.DataType


def state_columns(request: Aggregate, vocabulary: Vocabulary = VOCABULARY) -> tuple[StateColumn, ...]:
    """The state columns after the group keys. The request is one that ``check`` passes."""
    collection = collection_of(request, vocabulary)
    found: dict[str, StateColumn] = {}
    for measure in request.measures:
        of = collection.property(measure.of) if measure.of else None
        for state in _STATES[measure.function]:
            column = StateColumn(_name(state, measure.of), state, measure.of, _type(state, of))
            found.setdefault(column.name, column)
    return tuple(found.values())


def state_schema(request: Aggregate, vocabulary: Vocabulary = VOCABULARY) -> pa.Schema:
    """What every part and the merged state look like: names and types, no metadata."""
    collection = collection_of(request, vocabulary)
    keys = [(name, arrow_type(collection.property(name))) for name in request.group_by]
    return pa.schema(keys + [(column.name, column.type) for column in state_columns(request, vocabulary)])


def merge(
    request: Aggregate,
    parts: Iterable[pa.Table],
    vocabulary: Vocabulary = VOCABULARY,
    limit: int = LIMITS.groups,
) -> pa.Table:
    """One state of all parts, in one chunk, sorted by key. Without group keys: one row, also of no parts.

    BadAnswer for a part that is no state of this aggregate, TooLarge past the limit of groups or 38 digits.
    """
    schema, columns = state_schema(request, vocabulary), state_columns(request, vocabulary)
    whole = pa.concat_tables([schema.empty_table(), *(_part(part, schema, columns) for part in parts)])
    keys = list(request.group_by)
    grouped = _widened(whole, columns).group_by(keys).aggregate([_adding(column) for column in columns])
    if grouped.num_rows > limit:
        raise TooLarge(
            f"the answer has {grouped.num_rows} groups; the limit is {limit}",
            place="group_by",
            remedy="Group by fewer properties, or ask fewer rows",
        )
    merged = grouped.rename_columns([_plain(name, keys) for name in grouped.column_names]).select(schema.names)
    state = pa.table([_narrowed(merged[name], schema.field(name).type) for name in schema.names], schema=schema)
    return _sorted(state, keys).combine_chunks()


def finish(request: Aggregate, state: pa.Table, vocabulary: Vocabulary = VOCABULARY) -> pa.Table:
    """The result of a merged state: the group keys, then one column for each measure, in the order asked.

    count int64; sum decimal128(38, scale); mean float64, the nearest to the exact quotient; min and max of the
    property's type. Sum, mean, min and max are null in a group without values.
    """
    collection = collection_of(request, vocabulary)
    fields = [field(collection.property(name)) for name in request.group_by]
    columns = [state[name] for name in request.group_by]
    for measure in request.measures:
        if measure.function is Function.MEAN:
            column = _mean(state[_name(State.SUM, measure.of)], state[_name(State.N, measure.of)])
        else:
            column = state[_name(_STATES[measure.function][0], measure.of)]
        unit = collection.property(measure.of).unit if measure.of else ""
        fields.append(pa.field(measure.name, column.type, metadata={UNIT: unit.encode()} if unit else None))
        columns.append(column)
    return pa.table(columns, schema=pa.schema(fields))


def _name(state: State, of: str) -> str:
    return f"{state}_{of}" if of else str(state)


def _type(state: State, of: Property | None) -> pa.DataType:
    if of is None or state in (State.COUNT, State.N):
        return pa.int64()
    return pa.decimal128(38, of.scale) if state is State.SUM else arrow_type(of)


def _part(part: pa.Table, schema: pa.Schema, columns: Iterable[StateColumn]) -> pa.Table:
    if part.schema.names != schema.names or part.schema.types != schema.types:
        raise BadAnswer("a partial state has other columns than its aggregate", place="state")
    try:
        part.validate(full=True)
    except pa.ArrowInvalid:
        raise BadAnswer("a partial state is not well formed", place="state") from None
    for column in columns:
        values: Column = part[column.name]
        if column.state in (State.COUNT, State.N) and (values.null_count or (pc.min(values).as_py() or 0) < 0):
            raise BadAnswer("a partial state has a count that is none", place=column.name)
        if column.state is State.SUM:
            counts: Column = part[_name(State.N, column.of)]
            if pc.any(pc.not_equal(pc.is_null(values), pc.equal(counts, pa.scalar(0)))).as_py():
                raise BadAnswer("a partial state has a sum without values, or values without", place=column.name)
    return pa.table(part.columns, schema=schema)


def _widened(table: pa.Table, columns: Iterable[StateColumn]) -> pa.Table:
    """Sums and counts as 76 digits, where no sum over a table can pass the end."""
    for column in columns:
        if column.state in (State.SUM, State.N, State.COUNT):
            scale = column.type.scale if column.state is State.SUM else 0
            at = table.schema.get_field_index(column.name)
            exact = table[column.name].cast(pa.decimal128(38, scale)).cast(pa.decimal256(76, scale))
            table = table.set_column(at, column.name, exact)
    return table


def _adding(column: StateColumn) -> Any:
    function = str(column.state) if column.state in (State.MIN, State.MAX) else "sum"
    return column.name, function, pc.ScalarAggregateOptions(skip_nulls=True, min_count=1)


def _plain(name: str, keys: list[str]) -> str:
    """The state column's name in that of its aggregation, such as ``sum_height_sum``."""
    return name if name in keys else name.rsplit("_", 1)[0]


def _narrowed(column: Column, type: pa.DataType) -> Column:
    try:
        if type == pa.int64():
            return pc.fill_null(column, 0).cast(type) if pa.types.is_decimal(column.type) else column
        return column.cast(type)
    except pa.ArrowInvalid:
        raise TooLarge("a sum or count of the answer has too many digits", place="measures") from None


def _sorted(table: pa.Table, keys: list[str]) -> pa.Table:
    """By key; a validity column before each puts nulls first on every release of Arrow."""
    if not keys:
        return table
    order: list[Column] = []
    for key in keys:
        order += [pc.is_valid(table[key]), table[key]]
    names = [str(at) for at in range(len(order))]
    return table.take(pc.sort_indices(pa.table(order, names=names), sort_keys=[(name, "ascending") for name in names]))


def _mean(sums: Column, counts: Column) -> Column:
    """Sum by count, correctly rounded: one division where both are exact as floats, else in integers."""
    factor = 10**sums.type.scale
    totals = sums.combine_chunks().view(pa.decimal128(38, 0))
    divisors = pc.multiply(counts.combine_chunks().cast(pa.float64(), safe=False), pa.scalar(float(factor)))
    bound = pa.scalar(_EXACT).cast(pa.decimal128(38, 0))
    exact = pc.and_(pc.less_equal(pc.abs(totals), bound), pc.less_equal(divisors, pa.scalar(float(_EXACT))))
    if pc.all(exact, min_count=0).as_py():  # nulls, of groups without values, do not count
        return pc.divide(totals.cast(pa.float64()), divisors)
    means = [
        None if total is None else int(total) / (number * factor)
        for total, number in zip(totals.to_pylist(), counts.to_pylist(), strict=True)
    ]
    return pa.array(means, pa.float64())
