"""PostgreSQL's dialect, with PostGIS.

How a property lies in a table of views or snapshots (``parts``): text in collation "C", so that it compares and is
grouped bytewise; decimals as NUMERIC(18, scale), whose arithmetic is exact and never overflows; times as TIMESTAMPTZ;
geometry as ``geometry`` in SRID 4326; a box as four columns; names as two arrays side by side, of languages and texts.
How it leaves (``output``): as types that come to Arrow in binary form. NUMERIC does not, so decimals leave as the
integer of their smallest unit, and sums, which may pass 64 bits, as text.

A comparison of text says its collation itself: a snapshot may be a table of the city's own, with any other.
Functions of PostGIS are given exactly the types that they are declared for, so that no other function of that name,
which someone may have put beside them, fits better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import shapely

from cimfed.model.schema import BOX
from cimfed.model.vocabulary import Property, Type
from cimfed.query.aggregate import State
from cimfed.query.expression import Box
from cimfed.query.literals import INT64_MIN
from cimfed_node.sql.areas import is_box
from cimfed_node.sql.statement import Parameters

_TYPES = {
    Type.TEXT: "text",
    Type.CODE: "text",
    Type.JSON: "text",
    Type.INTEGER: "bigint",
    Type.TIME: "timestamp with time zone",
    Type.GEOMETRY: "geometry",
}
_TEXTS = frozenset({Type.TEXT, Type.CODE, Type.JSON})
_FAR = "1e38"  # beyond every coordinate, within the 32 bits that PostGIS keeps of a box's side
ENVELOPE = "ST_MakeEnvelope(t.bbox_xmin, t.bbox_ymin, t.bbox_xmax, t.bbox_ymax, 4326)"
"""The box of a row, as the index of a view has it."""


@dataclass(frozen=True)
class Relation:
    """A parameter that stands for a table: ``text`` is SQL, a quoted name or a SELECT in parentheses."""

    text: str


class PostGIS:
    """Stateless; ``POSTGIS`` is the one instance."""

    def name(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def table(self, source: str | Sequence[str], parameters: Parameters) -> str:
        assert isinstance(source, str)
        return f"{parameters.bind(Relation(source))} AS t"

    def output(self, prop: Property) -> str:
        if prop.type is Type.DECIMAL:
            return _smallest(self.comparable(prop), prop.scale)
        if prop.type is Type.GEOMETRY:
            return f"ST_AsBinary({self.comparable(prop)}, CAST('NDR' AS text))"
        if prop.type in _TEXTS:
            return self.comparable(prop)
        return self.kept(prop)

    def kept(self, prop: Property) -> str:
        return ", ".join(f"t.{self.name(part)}" for part, _ in parts(prop))

    def withheld(self, prop: Property) -> str:
        return ", ".join(f"CAST(NULL AS {type}) AS {self.name(part)}" for part, type in parts(prop))

    def comparable(self, prop: Property) -> str:
        item = f"t.{self.name(parts(prop)[0][0])}"
        return f'{item} COLLATE "C"' if prop.type in _TEXTS else item

    def typed(self, placeholder: str, prop: Property) -> str:
        return f"CAST({placeholder} AS {_type(prop)})"

    def widened(self, item: str, scale: int) -> str:
        return f"CAST({item} AS numeric)"

    def null(self, prop: Property) -> str:
        return f"CAST(NULL AS {parts(prop)[0][1]})"

    def touches(self, box: Box, parameters: Parameters) -> str:
        """The index knows sides in 32 bits, rounded outwards: what it finds is looked at again, exactly."""
        ymin, ymax, xmin, xmax = (_double(side, parameters) for side in (box.ymin, box.ymax, box.xmin, box.xmax))

        def near(west: str, east: str) -> str:
            return f"{ENVELOPE} && ST_MakeEnvelope({west}, {ymin}, {east}, {ymax}, 4326)"

        rows = f"t.bbox_ymax >= {ymin} AND t.bbox_ymin <= {ymax}"
        if box.xmin <= box.xmax:
            return f"({near(xmin, xmax)} AND {rows} AND t.bbox_xmax >= {xmin} AND t.bbox_xmin <= {xmax})"
        sides = f"(t.bbox_xmax >= {xmin} OR t.bbox_xmin <= {xmax})"
        return f"(({near(xmin, _FAR)} OR {near('-' + _FAR, xmax)}) AND {rows} AND {sides})"

    def state(self, state: State, of: Property | None) -> str:
        if of is None:
            return "count(*)"
        item = self.comparable(of)
        match state:
            case State.SUM:
                return f"CAST(sum({item}) AS text)"
            case State.MIN | State.MAX if of.type is Type.DECIMAL:
                return _smallest(f"{state}({item})", of.scale)
            case State.MIN | State.MAX:
                return f"{state}({item})"
        return f"count({item})"

    def band(self, prop: Property, width: Decimal, parameters: Parameters) -> str:
        """Only downwards can a floor leave the range."""
        item = self.comparable(prop)
        if prop.type is Type.INTEGER:
            step, lowest = f"CAST({parameters.bind(int(width))} AS bigint)", f"CAST({INT64_MIN} AS bigint)"
        else:
            step, lowest = f"CAST({parameters.bind(width)} AS numeric)", f"-{10**18 - 1}e-{prop.scale}"
        above = f"mod(mod({item}, {step}) + {step}, {step})"
        return f"CASE WHEN {item} >= {lowest} + {above} THEN {item} - {above} END"

    def within(self, area: bytes, parameters: Parameters) -> str:
        geometry: Any = shapely.from_wkb(area)
        xmin, ymin, xmax, ymax = (_double(float(side), parameters) for side in geometry.bounds)
        inside = f"t.bbox_xmin >= {xmin} AND t.bbox_ymin >= {ymin} AND t.bbox_xmax <= {xmax} AND t.bbox_ymax <= {ymax}"
        if is_box(geometry):
            return f"(t.geometry_lod0 IS NOT NULL AND {inside})"  # the box of an object tells it all
        covers = f"ST_Covers(ST_GeomFromWKB(CAST({parameters.bind(area)} AS bytea), 4326), t.geometry_lod0)"
        return f"({inside} AND {covers})"

    def order(self, placed: bool, key: bytes, parameters: Parameters) -> str | None:
        """PostGIS sorts geometry by the Hilbert curve, then by its bytes."""
        drawn = f"sha256(CAST({parameters.bind(key)} AS bytea) || convert_to(t.\"id\", 'UTF8'))"
        return f"t.geometry_lod0 NULLS LAST, {drawn}" if placed else drawn


POSTGIS = PostGIS()


def parts(prop: Property) -> tuple[tuple[str, str], ...]:
    """The columns that a property lies in, and their types; all of them null, or none."""
    if prop.type is Type.BOX:
        return tuple((f"{prop.name}_{side}", "double precision") for side in BOX.names)
    if prop.type is Type.NAMES:
        return (f"{prop.name}_languages", "text[]"), (f"{prop.name}_texts", "text[]")
    return ((prop.name, _type(prop)),)


def _type(prop: Property) -> str:
    return f"numeric(18, {prop.scale})" if prop.type is Type.DECIMAL else _TYPES[prop.type]


def _smallest(item: str, scale: int) -> str:
    return f"CAST({item} * {10**scale} AS bigint)"


def _double(value: float, parameters: Parameters) -> str:
    return f"CAST({parameters.bind(value)} AS double precision)"
