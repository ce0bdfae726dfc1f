"""DuckDB's dialect. Strings compare bytewise there by themselves; decimals and their modulus are exact."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import shapely

from cimfed.model.vocabulary import Property, Type
from cimfed.query.aggregate import State
from cimfed.query.expression import Box
from cimfed_node.sql.areas import is_box
from cimfed_node.sql.statement import Parameters

_TYPES = {
    Type.TEXT: "VARCHAR",
    Type.CODE: "VARCHAR",
    Type.JSON: "VARCHAR",
    Type.INTEGER: "BIGINT",
    Type.TIME: "TIMESTAMPTZ",
    Type.NAMES: "MAP(VARCHAR, VARCHAR)",
    Type.GEOMETRY: "BLOB",
    Type.BOX: "STRUCT(xmin DOUBLE, ymin DOUBLE, xmax DOUBLE, ymax DOUBLE)",
}


class DuckDB:
    """Stateless; ``DUCKDB`` is the one instance."""

    def name(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def table(self, source: str | Sequence[str], parameters: Parameters) -> str:
        """Several files of the same columns are one table."""
        return f"read_parquet({parameters.bind(source if isinstance(source, str) else [*source])}) AS t"

    def output(self, prop: Property) -> str:
        return self.comparable(prop)

    def kept(self, prop: Property) -> str:
        return self.comparable(prop)

    def withheld(self, prop: Property) -> str:
        return f"{self.null(prop)} AS {self.name(prop.name)}"

    def comparable(self, prop: Property) -> str:
        return f"t.{self.name(prop.name)}"

    def typed(self, placeholder: str, prop: Property) -> str:
        return f"{placeholder}::{_type(prop)}"

    def widened(self, item: str, scale: int) -> str:
        return f"{item}::DECIMAL(38, {scale})"

    def null(self, prop: Property) -> str:
        return f"NULL::{_type(prop)}"

    def touches(self, box: Box, parameters: Parameters) -> str:
        def bound(value: float) -> str:
            return f"{parameters.bind(value)}::DOUBLE"

        rows = f"t.bbox.ymax >= {bound(box.ymin)} AND t.bbox.ymin <= {bound(box.ymax)}"
        east = f"t.bbox.xmax >= {bound(box.xmin)}"
        west = f"t.bbox.xmin <= {bound(box.xmax)}"
        if box.xmin <= box.xmax:
            return f"({rows} AND {east} AND {west})"
        return f"({rows} AND ({east} OR {west}))"

    def state(self, state: State, of: Property | None) -> str:
        if of is None:
            return "count(*)"
        item = self.comparable(of)
        if state is State.SUM:
            # sum() of BIGINT is a HUGEINT, of DECIMAL(18, s) a DECIMAL(38, s): neither rounds nor overflows
            return f"sum({item})::DECIMAL(38, {of.scale})"
        return f"count({item})" if state is State.N else f"{state}({item})"

    def band(self, prop: Property, width: Decimal, parameters: Parameters) -> str:
        item = self.comparable(prop)
        if prop.type is Type.INTEGER:
            step, wide = f"{parameters.bind(int(width))}::BIGINT", f"{item}::HUGEINT"
        else:
            step, wide = f"{parameters.bind(width)}::DECIMAL(18, {prop.scale})", f"{item}::DECIMAL(38, {prop.scale})"
        return f"TRY_CAST({wide} - (({item} % {step} + {step}) % {step}) AS {_type(prop)})"

    def within(self, area: bytes, parameters: Parameters) -> str:
        geometry: Any = shapely.from_wkb(area)
        xmin, ymin, xmax, ymax = (f"{parameters.bind(float(side))}::DOUBLE" for side in geometry.bounds)
        inside = f"t.bbox.xmin >= {xmin} AND t.bbox.ymin >= {ymin} AND t.bbox.xmax <= {xmax} AND t.bbox.ymax <= {ymax}"
        if is_box(geometry):
            return f"(t.geometry_lod0 IS NOT NULL AND {inside})"  # the box of an object tells it all
        covers = f"ST_Covers(ST_GeomFromWKB({parameters.bind(area)}::BLOB), ST_GeomFromWKB(t.geometry_lod0))"
        return f"({inside} AND {covers})"

    def order(self, placed: bool, key: bytes, parameters: Parameters) -> str | None:
        """Snapshots lie in the order of places."""
        return None if placed else f"sha256({parameters.bind(key)}::BLOB || encode(t.id))"


DUCKDB = DuckDB()


def _type(prop: Property) -> str:
    return f"DECIMAL(18, {prop.scale})" if prop.type is Type.DECIMAL else _TYPES[prop.type]
