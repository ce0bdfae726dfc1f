"""Which columns a read gives: those of the view that were asked for, and nulls for the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cimfed.errors import BadQuery
from cimfed.model.originals import ORIGINAL
from cimfed.model.schema import field
from cimfed.model.vocabulary import Collection
from cimfed.query.query import Read
from cimfed_node.sql.columns import Columns


@dataclass(frozen=True)
class Projection:
    """``selected``: columns read from the view. ``schema``: of the answer, ``absent`` columns included as nulls."""

    selected: tuple[str, ...]
    schema: pa.Schema
    absent: tuple[str, ...]


def project(request: Read, view: pa.Schema, collection: Collection, *, originals: bool = False) -> Projection:
    """Columns stand in the vocabulary's order, names outside it after them in the order of asking.

    ``originals``: the view has untouched objects; asked for them, one that has none refuses as it would a property.
    A name that the view lacks becomes nulls of the vocabulary's type, or of Arrow's null type where there is none:
    whether it is hidden or was never there makes no difference.
    """
    if request.original and not originals:
        raise Columns(collection, view.names).unknown(ORIGINAL, "properties")
    if request.properties is None:
        return Projection(tuple(view.names), view, ())
    if not request.properties:
        raise BadQuery("name the properties, or none at all for all of them", place="properties")
    wanted = set(request.properties)
    names = [name for name in collection.properties if name in wanted]
    names += [name for name in dict.fromkeys(request.properties) if name not in collection.properties]
    fields: list[Any] = []  # of pa.Field
    for name in names:
        if name in view.names:
            fields.append(view.field(name))
        elif name in collection.properties:
            fields.append(field(collection.properties[name]))
        else:
            fields.append(pa.field(name, pa.null()))
    return Projection(
        selected=tuple(name for name in names if name in view.names),
        schema=pa.schema(fields),
        absent=tuple(name for name in names if name not in view.names),
    )
