"""What cannot be harmonised in place is refused with its reason and a way out, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from cimfed.errors import BadFile, CimfedError
from cimfed.model.names import CityName
from cimfed_node.inplace import InPlaceRequest, harmonise_in_place
from tests.contract.inplace.making import harmonised
from tests.postgres import Database


def refused(database: Database, table: str, url: str | None = None, **options: Any) -> CimfedError:
    request = InPlaceRequest(CityName("xx.city"), options.pop("collection", "building"), table=table, **options)
    with psycopg.connect(url or database.url) as connection, pytest.raises(CimfedError) as caught:
        harmonise_in_place(connection, request)
    assert caught.value.remedy or caught.value.details
    return caught.value


def prepare(database: Database, *statements: str) -> None:
    with database.connect() as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


TABLE = "CREATE TABLE b (id int PRIMARY KEY, geom geometry(Point, 4326))"
ROW = "INSERT INTO b VALUES (1, ST_SetSRID(ST_Point(1, 2), 4326))"


@pytest.mark.parametrize(
    ("statements", "table", "options", "message"),
    [
        ([], "public.nothing", {}, "there is no such table or view"),
        ([], "a.b.c", {}, "names no relation"),
        ([], 'x"; DROP TABLE b', {}, "names no relation"),
        ([TABLE], "b", {}, "it has no rows"),
        (["CREATE TABLE b (id int)", "INSERT INTO b VALUES (1)"], "b", {}, "it has no geometry column"),
        ([TABLE, "ALTER TABLE b ADD other geometry(Point, 4326)", ROW], "b", {},
         "several geometry columns: geom, other"),
        ([TABLE, ROW], "b", {"geometry": "g"}, "there is no geometry column 'g'"),
        ([TABLE, ROW], "b", {"id_column": "nr"}, "there is no column 'nr' to take ids from"),
        (["CREATE TABLE b (nr int, geom geometry(Point, 4326))", ROW], "b", {}, "no column holds the ids"),
        ([TABLE.replace(", 4326", ""), "INSERT INTO b VALUES (1, ST_Point(1, 2))"], "b", {}, "SRID 0"),
        ([TABLE, ROW], "b", {"crs": "GCJ-02"}, "GCJ-02 cannot be taken in place"),
        ([TABLE.replace("(Point, 4326)", ""), ROW, ROW.replace("4326", "3857").replace("(1,", "(2,", 1)], "b", {},
         "several SRIDs: 3857, 4326"),
        ([TABLE.replace(" PRIMARY KEY", ""), ROW, ROW], "b", {}, "1 ids stand for several rows each: '1'"),
        ([TABLE, ROW, "ALTER TABLE b ENABLE ROW LEVEL SECURITY", "ALTER TABLE b FORCE ROW LEVEL SECURITY"], "b", {},
         "a row-security policy is in force"),
        ([TABLE, ROW, ROW.replace("(1,", "(2,", 1).replace("(1, 2)", "(1, 200)")], "b", {}, "1 bad rows"),
    ],
)  # fmt: skip
def test_refused(database: Database, statements: list[str], table: str, options: dict[str, Any], message: str) -> None:
    prepare(database, *statements)
    assert message in refused(database, table, **options).message


def test_where_no_row_is_good_nobody_is_sent_to_quarantine(database: Database, tmp_path: Path) -> None:
    prepare(database, TABLE, "INSERT INTO b VALUES (1, ST_SetSRID(ST_Point(1, 200), 4326))")
    error = refused(database, "b", quarantine=tmp_path / "bad.jsonl")
    assert error.message == "1 bad rows; nothing was imported"
    assert error.remedy == "Mend them, or see whether --crs says what they are in"


def test_a_role_without_the_right(database: Database) -> None:
    prepare(database, TABLE, ROW, "CREATE SCHEMA s", "CREATE TABLE s.b AS SELECT * FROM b")
    with database.connect() as connection:
        role = sql.Identifier(f"{database.name}_other")
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(role))
    url = database.url_of(f"{database.name}_other", "secret")
    assert "no right to read it" in refused(database, "public.b", url).message
    assert "no right to read it" in refused(database, "s.b", url).message


def test_names_are_names(database: Database) -> None:
    """Nothing in a name is ever SQL."""
    table, column = 'o"; DROP TABLE b; --', '"; DROP TABLE b; -- %s {}'
    prepare(database, TABLE, ROW, 'CREATE SCHEMA "Ц%s"')
    with database.connect() as connection:
        connection.execute(
            sql.SQL("CREATE TABLE {} (id int PRIMARY KEY, geom geometry(Point, 4326), {} text)").format(
                sql.Identifier("Ц%s", table), sql.Identifier(column)
            )
        )
        connection.execute(
            sql.SQL("INSERT INTO {} VALUES (1, ST_SetSRID(ST_Point(1, 2), 4326), 'x')").format(
                sql.Identifier("Ц%s", table)
            )
        )
    quoted = '"Ц%s"."' + table.replace('"', '""') + '"'
    ours, made = harmonised(database, quoted)
    assert ours["1"]["ext"] == {column: "x"}
    assert made.report.unclaimed == {column: 1}
    assert len(harmonised(database, "b")[0]) == 1


@pytest.mark.parametrize(
    ("create", "table"),
    [
        ('CREATE TABLE "Bldg" (id int PRIMARY KEY, geom geometry(Point, 4326))', "Bldg"),
        ('CREATE TABLE "Bldg" (id int PRIMARY KEY, geom geometry(Point, 4326))', 'public."Bldg"'),
        ("CREATE VIEW bldg AS SELECT 1 AS id, ST_SetSRID(ST_Point(1, 2), 4326) AS geom", "BLDG"),
        ("CREATE MATERIALIZED VIEW bldg AS SELECT 1 AS id, ST_SetSRID(ST_Point(1, 2), 4326) AS geom", "bldg"),
        ("CREATE TABLE bldg (id int, geom geography(Point)) PARTITION BY HASH (id)", "bldg"),
    ],
)
def test_kinds_of_relations(database: Database, create: str, table: str) -> None:
    prepare(database, create)
    if "PARTITION" in create:
        prepare(database, "CREATE TABLE one PARTITION OF bldg FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
    if "VIEW" not in create:
        name = "bldg" if "bldg" in create else '"Bldg"'
        prepare(database, f"INSERT INTO {name} VALUES (1, ST_SetSRID(ST_Point(1, 2), 4326))")
    ours, _ = harmonised(database, table)
    assert ours["1"]["geometry_lod0"].wkt == "POINT (1 2)"


def test_a_foreign_table_and_a_view_of_one(postgres: Any, database: Database) -> None:
    with postgres.administrator(database.name) as connection:
        connection.execute("CREATE EXTENSION file_fdw")
        connection.execute("CREATE SERVER files FOREIGN DATA WRAPPER file_fdw")
        connection.execute("CREATE FOREIGN TABLE far (id int, geom geometry(Point, 4326)) SERVER files"
                           " OPTIONS (filename '/dev/null')")  # fmt: skip
        connection.execute("CREATE VIEW near AS SELECT * FROM far")
        connection.execute("CREATE VIEW nearer AS SELECT * FROM near")
        connection.execute("CREATE MATERIALIZED VIEW copied AS SELECT * FROM near")
        connection.execute("CREATE VIEW of_the_copy AS SELECT * FROM copied")
        names = sql.SQL(", ").join(map(sql.Identifier, ("far", "near", "nearer", "copied", "of_the_copy")))
        connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(names, sql.Identifier(database.name)))
    for table in ("far", "near", "nearer"):
        assert "it is a foreign table, or made of one" in refused(database, table).message
    for table in ("copied", "of_the_copy"):  # the remedy that the refusal names
        assert "it has no rows" in refused(database, table).message


def test_the_transaction_is_left_as_it_was(database: Database) -> None:
    prepare(database, TABLE, ROW)
    with database.connect() as connection:
        before = connection.execute("SHOW search_path").fetchone()
        connection.rollback()
        harmonise_in_place(connection, InPlaceRequest(CityName("xx.city"), "building", table="b"))
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert connection.execute("SHOW search_path").fetchone() == before
        with pytest.raises(ValueError, match="in use"):
            harmonise_in_place(connection, InPlaceRequest(CityName("xx.city"), "building", table="b"))


def test_a_vocabulary_without_the_collection(database: Database) -> None:
    assert isinstance(refused(database, "b", collection="castle"), CimfedError)
    assert not isinstance(refused(database, "b", collection="castle"), BadFile)
