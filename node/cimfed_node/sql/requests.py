"""Reads and aggregates -> statements over one view."""

from __future__ import annotations

from cimfed.query.aggregate import StateColumn, state_columns
from cimfed.query.expression import Expression
from cimfed.query.query import Aggregate, Function
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.dialect import Dialect
from cimfed_node.sql.filters import condition
from cimfed_node.sql.statement import Parameters, Statement


def read(
    selected: tuple[str, ...],
    where: Expression | None,
    source: str,
    columns: Columns,
    dialect: Dialect,
    also: str = "",
) -> Statement:
    """The rows for which ``where`` is TRUE, in the view's order; ``selected`` may be empty: rows to be counted.

    ``also``: one more item of the engine's own.
    """
    parameters = Parameters()
    properties = columns.collection.properties
    items = ", ".join(dialect.output(properties[name]) for name in selected) or "TRUE AS present"
    items += f", {also}" if also else ""
    return parameters.statement(f"SELECT {items}{_rows(where, source, columns, dialect, parameters)}")


def aggregate(request: Aggregate, source: str, limit: int, columns: Columns, dialect: Dialect) -> Statement:
    """The partial states of the groups (``cimfed.query.aggregate``), one row each, of at most ``limit`` groups."""
    parameters = Parameters()
    keys = [columns.comparable(name, "group_by") for name in request.group_by]
    for measure in request.measures:
        if measure.function in (Function.SUM, Function.MEAN):
            columns.numeric(measure.of, "measures")
        elif measure.function is not Function.COUNT:
            columns.comparable(measure.of, "measures")
    items = [dialect.output(key) for key in keys]
    items += [_state(state, columns, dialect) for state in state_columns(request)]
    text = f"SELECT {', '.join(items)}{_rows(request.where, source, columns, dialect, parameters)}"
    if keys:
        text += f" GROUP BY {', '.join(map(dialect.comparable, keys))} LIMIT {parameters.bind(limit)}"
    return parameters.statement(text)


def _state(column: StateColumn, columns: Columns, dialect: Dialect) -> str:
    of = columns.collection.properties[column.of] if column.of else None
    return f"{dialect.state(column.state, of)} AS {dialect.name(column.name)}"


def _rows(where: Expression | None, source: str, columns: Columns, dialect: Dialect, parameters: Parameters) -> str:
    text = f" FROM {dialect.table(source, parameters)}"
    return text if where is None else f"{text} WHERE {condition(where, columns, dialect, parameters)}"
