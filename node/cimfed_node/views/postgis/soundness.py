"""What a view's rows must be like, whatever relation they came from: what no snapshot holds, no view may.

PostgreSQL has values that the vocabulary has not: NaN, times without end, arrays of any form, geometry in any system or
with arcs. Some would end a read in its middle. All rows are looked at once; what is wrong is named by its property.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cimfed.errors import BadFile
from cimfed.model.names import CityName
from cimfed.model.vocabulary import Collection, Property, Type
from cimfed_node.sql.postgis import parts
from cimfed_node.stores.postgis.compose import literal, quoted
from cimfed_node.stores.width import OFFSET, fixed_width
from cimfed_node.views.postgis.sessions import Connection, run


@dataclass(frozen=True)
class Fault:
    """``truth``: SQL that is true of a row that is wrong."""

    place: str
    truth: str
    words: str


def widths(
    connection: Connection, table: str, schema: pa.Schema, collection: Collection, city: CityName
) -> Mapping[str, float]:
    """Arrow bytes of a row, of the columns whose values vary in length. Raises BadFile where a row is not sound."""
    properties = [collection.properties[name] for name in schema.names]
    faults = [fault for prop in properties for fault in _faults(prop, city)]
    varying = [prop for prop, at in zip(properties, schema, strict=True) if fixed_width(at.type) is None]
    items = [f"bool_or({fault.truth})" for fault in faults]
    items += [f"CAST(sum({_bytes(prop)}) AS double precision)" for prop in varying]
    rows, *found = _one(connection, f"SELECT count(*), {', '.join(items)} FROM {table} AS t")
    for fault, wrong in zip(faults, found[: len(faults)], strict=True):
        if wrong:
            raise BadFile(fault.words, place=fault.place, remedy="Mend or leave out such rows in the relation")
    return {
        prop.name: round((total or 0.0) / rows + OFFSET + 1 / 8, 3) if rows else float(OFFSET)
        for prop, total in zip(varying, found[len(faults) :], strict=True)
    }


def _faults(prop: Property, city: CityName) -> list[Fault]:
    columns = [f"t.{quoted(name)}" for name, _ in parts(prop)]
    first = columns[0]

    def fault(truth: str, words: str) -> Fault:
        return Fault(prop.name, truth, words)

    match prop.type:
        case Type.DECIMAL:
            return [fault(f"{first} = 'NaN'", "a number is NaN")]
        case Type.TIME:
            inside = f"{first} >= TIMESTAMPTZ '0001-01-01Z' AND {first} < TIMESTAMPTZ '10000-01-01Z'"
            return [fault(f"NOT ({inside})", "a time is not in the years 1 to 9999")]
        case Type.BOX:
            west, south, east, north = columns
            finite = f"{west} > '-Infinity' AND {south} > '-Infinity' AND {east} < 'Infinity' AND {north} < 'Infinity'"
            return [
                fault(f"num_nulls({', '.join(columns)}) NOT IN (0, 4)", "a box has some of its sides only"),
                fault(f"NOT ({finite} AND {west} <= {east} AND {south} <= {north})", "a box is no box"),
            ]
        case Type.NAMES:
            languages, texts = columns
            whole = f"cardinality({languages}) = cardinality({texts}) AND coalesce(array_ndims({languages}), 1) = 1"
            return [
                fault(f"num_nulls({languages}, {texts}) = 1", "names have no languages or no texts"),
                fault(
                    f"NOT ({whole} AND coalesce(array_ndims({texts}), 1) = 1 "
                    f"AND array_position({languages}, NULL) IS NULL)",
                    "names are not one language to a text",
                ),
            ]
        case Type.GEOMETRY:
            return [
                fault(f"ST_SRID({first}) <> 4326", "geometry is not in SRID 4326"),
                fault(f"ST_HasArc({first})", "geometry has arcs"),
            ]
    if prop.name == "city":
        return [fault(f"{first} IS DISTINCT FROM {literal(str(city))}", "a row is of another city")]
    return []


def _bytes(prop: Property) -> str:
    columns = [f"t.{quoted(name)}" for name, _ in parts(prop)]
    if prop.type is Type.GEOMETRY:
        return f"ST_MemSize({columns[0]})"
    if prop.type is Type.NAMES:
        languages, texts = columns
        return f"octet_length(array_to_string({languages} || {texts}, '')) + {2 * OFFSET} * cardinality({languages})"
    return f"octet_length({columns[0]})"


def _one(connection: Connection, text: str) -> tuple[Any, ...]:
    return run(connection, text).fetchone() or ()
