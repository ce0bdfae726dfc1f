"""Tables and views of a city's own PostGIS: statements that make them, with one good row or none, and what is asked."""

from __future__ import annotations

from dataclasses import dataclass

GOOD = "('good', 12, ST_MakeEnvelope(69.2, 41.3, 69.201, 41.301, 4326))"
TABLE = "CREATE TABLE t (id text, height double precision, geom geometry(Geometry, 4326))"
ROW = f"INSERT INTO t VALUES {GOOD}"


@dataclass(frozen=True)
class Relation:
    """``says``: words of the message, or of the one bad row's reason where ``bad`` is its id."""

    says: str
    made: tuple[str, ...]
    options: tuple[str, ...] = ()
    table: str = "public.t"
    at: str = "public.t"
    bad: str | None = None


def whole(says: str, *made: str, options: tuple[str, ...] = (), table: str = "public.t", at: str = "") -> Relation:
    return Relation(says, made, options, table, at or table)


def row(says: str, values: str, bad: str = "bad") -> Relation:
    """A row beside the good one."""
    return Relation(says, (TABLE, ROW, f"INSERT INTO t VALUES ({values})"), bad=bad)


KINDS: dict[str, Relation] = {
    "no table": whole("there is no such table or view"),
    "a name that is none": whole("names no relation", table="a.b.c.d", at="--table"),
    "a name that commands": whole("names no relation", TABLE, table='public.t"; DROP TABLE t; --', at="--table"),
    "no rows": whole("it has no rows", TABLE),
    "no geometry": whole("it has no geometry column", "CREATE TABLE t (id text)", "INSERT INTO t VALUES ('a')"),
    "two geometries": whole(
        "several geometry columns",
        "CREATE TABLE t (id text, a geometry(Polygon, 4326), b geometry(Polygon, 4326))",
        "INSERT INTO t VALUES ('a')",
    ),
    "another geometry": whole("there is no geometry column 'g'", TABLE, ROW, options=("--geometry", "g")),
    "no ids": whole("no column holds the ids", TABLE.replace("id text", "nr text"), ROW),
    "another column of ids": whole("there is no column 'nr'", TABLE, ROW, options=("--id", "nr")),
    "an id twice": whole("1 ids stand for several rows", TABLE, ROW, ROW, at="public.t: id"),
    "no system": whole("SRID 0", TABLE.replace("(Geometry, 4326)", ""), ROW.replace(", 4326", "")),
    "several systems": whole(
        "several SRIDs", TABLE.replace("(Geometry, 4326)", ""), ROW, ROW.replace("good", "b").replace("4326", "3857")
    ),
    "a system that is none": whole("names no coordinate", TABLE, ROW, options=("--crs", "EPSG:0"), at="--crs"),
    "a view that divides by zero": whole(
        "could not run the statement", TABLE, ROW, "CREATE VIEW v AS SELECT id, 1 / (height - 12) AS h, geom FROM t",
        table="public.v",
    ),
    "a view that raises": whole(
        "could not run the statement", TABLE, ROW,
        "CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE EXCEPTION ''secret-word''; END'",
        "CREATE VIEW v AS SELECT f() AS id, geom FROM t",
        table="public.v",
    ),
    "a system view": whole("it has no geometry column", table="pg_catalog.pg_tables"),
    "no id": row("no id", "NULL, 1, NULL", ""),
    "a place beyond the map": row("outside", "'bad', 1, ST_SetSRID(ST_Point(41.3, 169.2), 4326)"),
    "a place without end": row("outside", "'bad', 1, ST_SetSRID(ST_Point('Infinity', 41.3), 4326)"),
    "a height without end": row("too large", "'bad', 1e300, ST_SetSRID(ST_Point(69.2, 41.3), 4326)"),
    "an area of nothing": row(
        "nothing is left", "'bad', 1, ST_GeomFromText('POLYGON((69.2 41.3, 69.2 41.3, 69.2 41.3, 69.2 41.3))', 4326)"
    ),
    "points and areas in one": row(
        "points, lines or areas together",
        "'bad', 1, ST_Collect(ST_SetSRID(ST_Point(69.2, 41.3), 4326), ST_MakeEnvelope(69.2, 41.3, 69.3, 41.4, 4326))",
    ),
}  # fmt: skip
