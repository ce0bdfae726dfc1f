"""A shape over a snapshot -> the one statement that gives its view.

Row-wise: what a row of the view holds depends on its own row of the snapshot alone. Columns come in the
vocabulary's order; a column that the snapshot lacks is left out, and in a predicate it is null, so that its rows
drop. Rows come in the order of places where the view shows their geometry; else in an order that says nothing without
the view's key.
"""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Sequence

import rfc8785

from cimfed.errors import BadPolicy
from cimfed.model.vocabulary import NUMERIC, VOCABULARY, Property
from cimfed.policy.rows import tree
from cimfed.policy.shape import Mask, MaskKind, Shape, view_columns
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.dialect import Dialect
from cimfed_node.sql.filters import condition
from cimfed_node.sql.statement import Parameters, Statement


def columns_of(shape: Shape, snapshot: Names[str]) -> dict[str, Mask]:
    """The columns of the view, in the vocabulary's order."""
    return {name: mask for name, mask in view_columns(shape).items() if name in snapshot}


def view(shape: Shape, snapshot: Names[str], source: str | Sequence[str], key: bytes, dialect: Dialect) -> Statement:
    """``snapshot``: the columns that are there; ``source``: the snapshot's table or its files; ``key``: the view's, of
    its order.
    """
    collection = VOCABULARY.collections[shape.collection]
    columns = columns_of(shape, snapshot)
    parameters = Parameters()
    items = [_item(collection.properties[name], mask, dialect, parameters) for name, mask in columns.items()]
    text = f"SELECT {', '.join(items)} FROM {dialect.table(source, parameters)}"
    conditions = _rows(shape, Columns(collection, snapshot, lenient=True), dialect, parameters)
    conditions += _areas(shape, snapshot, dialect, parameters)
    if conditions:
        text += f" WHERE {' AND '.join(conditions)}"
    order = dialect.order("geometry_lod0" in columns, key, parameters)
    if order is not None:
        text += f" ORDER BY {order}"
    return parameters.statement(text)


def _item(prop: Property, mask: Mask, dialect: Dialect, parameters: Parameters) -> str:
    match mask.kind:
        case MaskKind.EXACT:
            return dialect.kept(prop)
        case MaskKind.NULL:
            return dialect.withheld(prop)
        case MaskKind.BAND:
            width = mask.width
            if prop.type not in NUMERIC or width is None or width <= 0 or width != round(width, prop.scale):
                raise BadPolicy(f"the mask {mask} does not fit {prop.name}", place=prop.name)
            return f"{dialect.band(prop, width, parameters)} AS {dialect.name(prop.name)}"


def _rows(shape: Shape, columns: Columns, dialect: Dialect, parameters: Parameters) -> list[str]:
    ordered = sorted(shape.rows, key=lambda node: rfc8785.dumps(tree(node)))
    return [condition(node, columns, dialect, parameters) for node in ordered]


def _areas(shape: Shape, snapshot: Names[str], dialect: Dialect, parameters: Parameters) -> list[str]:
    if shape.areas and not {"geometry_lod0", "bbox"} <= set(snapshot):
        return ["FALSE"]
    return [dialect.within(area, parameters) for area in sorted(shape.areas)]
