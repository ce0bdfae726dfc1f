"""What a relation is: its columns, its geometry, what identifies its rows; or why it cannot be used.

Tables, partitioned tables, views and materialised views are taken; a foreign table is not, nor a view of one: another
server's rows are no part of the state that a transaction sees here. A materialised view of one holds rows of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cimfed.errors import BadFile
from cimfed_node.inplace.code import BELOW, refuse_strangers
from cimfed_node.inplace.fragments import Sql, lit, name, q
from cimfed_node.inplace.session import Session


class Kind(StrEnum):
    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMERIC = "numeric"
    FLOAT = "float"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    JSON = "json"
    BINARY = "binary"  # left out


_KINDS = {
    "bool": Kind.BOOLEAN,
    "int2": Kind.INTEGER,
    "int4": Kind.INTEGER,
    "int8": Kind.INTEGER,
    "numeric": Kind.NUMERIC,
    "float4": Kind.FLOAT,
    "float8": Kind.FLOAT,
    "date": Kind.DATE,
    "timestamp": Kind.TIMESTAMP,
    "timestamptz": Kind.TIMESTAMPTZ,
    "json": Kind.JSON,
    "jsonb": Kind.JSON,
    "hstore": Kind.JSON,
    "bytea": Kind.BINARY,
    "raster": Kind.BINARY,
    "geometry": Kind.BINARY,
    "geography": Kind.BINARY,
}
_PART = r'("(?:[^"]|"")+"|[^".]+)'
_NAME = re.compile(rf"{_PART}(?:\.{_PART})?")
_LEVEL = re.compile(r"(?:^|[^a-z0-9])lod_?([1-3])(?![0-9])", re.IGNORECASE)
_SURFACES = ("POLYHEDRALSURFACE", "TIN", "TRIANGLE")


@dataclass(frozen=True)
class Column:
    """``type``: as PostgreSQL writes it; ``document``: whether the type is JSON already."""

    name: str
    kind: Kind
    type: str
    document: bool = False


@dataclass(frozen=True)
class GeometryColumn:
    """``srid`` 0: not said by the column's type. ``type``: in capitals, GEOMETRY where rows may differ."""

    name: str
    type: str = "GEOMETRY"
    srid: int = 0
    geography: bool = False

    @property
    def level(self) -> int | None:
        """The level of detail that its name says, or 2 for a type that only bodies have; none in the plane."""
        if self.type != "GEOMETRY" and not self.type.rstrip("M").endswith("Z"):
            return None
        found = _LEVEL.search(self.name)
        if found:
            return int(found[1])
        return 2 if self.type.startswith(_SURFACES) else None


@dataclass(frozen=True)
class Relation:
    """``source``: what stands after FROM. ``unique``: columns that each identify a row, the primary key's first."""

    name: str
    source: Sql
    columns: tuple[Column, ...]
    geometries: tuple[GeometryColumn, ...]
    unique: tuple[str, ...] = ()

    def column(self, wanted: str) -> Column | None:
        return next((column for column in self.columns if column.name == wanted), None)


def _candidates(text: str, schemas: tuple[str, ...]) -> list[tuple[str, str]]:
    """Schema and name as SQL would read them, then as they are written."""
    found = _NAME.fullmatch(text.strip())
    if found is None:
        raise BadFile(f"{text[:80]!r} names no relation", place="--table", remedy="Name it as schema.table")

    def read(part: str, fold: bool) -> str:
        if part.startswith('"'):
            return part[1:-1].replace('""', '"')
        return part.lower() if fold else part

    pairs = []
    for fold in (True, False):
        first = read(found[1], fold)
        if found[2] is not None:
            pairs.append((first, read(found[2], fold)))
        else:
            pairs += [(schema, first) for schema in schemas]
    return list(dict.fromkeys(pairs))


def find_relation(session: Session, text: str) -> Relation:
    """Raises BadFile where it is not there, may not be read, or is foreign."""
    place = text[:80]
    for schema, table in _candidates(text, session.schemas):
        found = session.rows(
            q(
                "SELECT c.oid::bigint, c.relkind::text, has_schema_privilege(n.oid, 'USAGE')"
                " AND has_table_privilege(c.oid, 'SELECT')"
                " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                " WHERE n.nspname = {} AND c.relname = {} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')",
                lit(schema),
                lit(table),
            ),
            place,
        )
        if found:
            oid, _, readable = found[0]
            if not readable:
                raise BadFile(
                    "the role has no right to read it", place=place, remedy=f"GRANT SELECT ON {place} TO the role"
                )
            check_rows(session, oid, place)
            return _read(session, oid, f"{schema}.{table}", name(schema, table))
    near = session.rows(
        q(
            "SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE lower(c.relname) = lower({}) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1 LIMIT 5",
            lit(_candidates(text, ("",))[-1][1]),
        ),
        place,
    )
    known = f"There is {', '.join(row[0] for row in near)}" if near else "Name it as schema.table"
    raise BadFile("there is no such table or view", place=place, remedy=known)


def check_rows(session: Session, oid: int, place: str) -> None:
    """Raises BadFile where rows are foreign, or reading them runs code of strangers. Nothing is read yet."""
    _no_foreign(session, oid, place)
    refuse_strangers(session, oid, place)


def _no_foreign(session: Session, oid: int, place: str) -> None:
    """Looks through views but materialised ones, and down to the partitions of a table."""
    found = session.one(
        q(
            "WITH RECURSIVE "
            + BELOW
            + " SELECT count(*) FROM below AS b JOIN pg_class AS c ON c.oid = b.oid WHERE c.relkind = 'f'",
            lit(oid),
        ),
        place,
    )
    if found[0]:
        raise BadFile(
            "it is a foreign table, or made of one: its rows are another server's",
            place=place,
            remedy="Name the database that holds them, or copy them into a materialised view",
        )


def _read(session: Session, oid: int, shown: str, source: Sql) -> Relation:
    rows = session.rows(
        q(
            "WITH RECURSIVE base(attnum, oid, typmod) AS ("
            " SELECT attnum, atttypid, atttypmod FROM pg_attribute WHERE attrelid = {0} AND attnum > 0"
            " AND NOT attisdropped"
            " UNION ALL SELECT b.attnum, t.typbasetype, t.typtypmod FROM base AS b JOIN pg_type AS t ON t.oid = b.oid"
            " WHERE t.typtype = 'd')"
            " SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typname, t.typtype::text, t.typcategory::text,"
            " CASE WHEN t.typname IN ('geometry', 'geography') THEN b.typmod END"
            " FROM base AS b JOIN pg_type AS t ON t.oid = b.oid AND t.typtype <> 'd'"
            " JOIN pg_attribute AS a ON a.attrelid = {0} AND a.attnum = b.attnum ORDER BY a.attnum",
            lit(oid),
        ),
        shown,
    )
    columns, geometries = [], []
    for column, written, base, form, category, typmod in rows:
        kind = _kind(base, form, category)
        if base in ("geometry", "geography"):
            geometries.append(_geometry(session, column, base, typmod, shown))
        columns.append(Column(column, kind, written, document=base in ("json", "jsonb")))
    return Relation(shown, source, tuple(columns), tuple(geometries), _unique(session, oid, shown))


def _kind(base: str, form: str, category: str) -> Kind:
    known = _KINDS.get(base)
    if known is not None:
        return known
    return Kind.JSON if form == "c" or category == "A" else Kind.TEXT


def _geometry(session: Session, column: str, base: str, typmod: int, place: str) -> GeometryColumn:
    kind, srid = session.one(q("SELECT upper(postgis_typmod_type({0})), postgis_typmod_srid({0})", lit(typmod)), place)
    geography = base == "geography"
    return GeometryColumn(column, kind or "GEOMETRY", srid or (4326 if geography else 0), geography)


def _unique(session: Session, oid: int, place: str) -> tuple[str, ...]:
    rows: list[tuple[Any, ...]] = session.rows(
        q(
            "SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid"
            " AND a.attnum = i.indkey[0] WHERE i.indrelid = {} AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1"
            " AND i.indpred IS NULL AND i.indexprs IS NULL AND a.attnotnull ORDER BY NOT i.indisprimary, a.attnum",
            lit(oid),
        ),
        place,
    )
    return tuple(dict.fromkeys(row[0] for row in rows))
