"""A relation whose owner had code run with the operator's rights is refused before any of it runs.

The code takes a lock that outlives the transaction: whether it ran is asked of the server.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from cimfed.errors import BadFile, CimfedError
from cimfed.model.names import CityName
from cimfed_node.inplace import InPlace, InPlaceRequest, harmonise_in_place, reading, seal_in_place
from cimfed_node.inplace.recorded import recorded
from tests.postgres import Database

TABLE = "CREATE TABLE t (id int PRIMARY KEY, h real, day date, geom geometry(Polygon, 4326))"
ROWS = (
    "INSERT INTO t SELECT n, n + 0.5, '2020-01-01', ST_MakeEnvelope(1, 2, 1.001, 2.001, 4326)"
    " FROM generate_series(1, 3) AS n"
)
MOOD = "CREATE TYPE mood AS ENUM ('a', 'b')"
WITH_MOOD = "CREATE TABLE b AS SELECT t.*, CAST('a' AS {}) AS m FROM t"


def spy(arguments: str, returns: str, value: str, how: str = "VOLATILE") -> str:
    """A function that says in whose name it ran, over a lock of the session that everyone can see."""
    return (
        f"CREATE FUNCTION spy({arguments}) RETURNS {returns} LANGUAGE plpgsql {how} AS $$ BEGIN"
        f" IF session_user LIKE 'city%' THEN PERFORM pg_advisory_lock(4711); END IF; RETURN {value}; END $$"
    )


@dataclass(frozen=True)
class Author:
    """Somebody with a schema of their own, whom the operator may read."""

    name: str
    url: str
    database: Database

    def does(self, statements: Sequence[str]) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(f"SET search_path = {self.name}, public".encode())
            for statement in statements:
                connection.execute(statement.encode())
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {self.name} TO PUBLIC".encode())


@pytest.fixture
def author(database: Database) -> Author:
    name = f"author_{secrets.token_hex(3)}"
    with database.connect() as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'a'".encode())
    with database.cluster.administrator(database.name) as connection:
        connection.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}".encode())
        connection.execute(f"GRANT USAGE ON SCHEMA {name} TO PUBLIC".encode())
    made = Author(name, database.url_of(name, "a"), database)
    made.does([TABLE, ROWS])
    return made


def import_of(author: Author, table: str = "b") -> tuple[InPlace | CimfedError, bool]:
    """What came of it, and whether the author's code ran in the operator's session."""
    request = InPlaceRequest(CityName("xx.city"), "building", table=f"{author.name}.{table}")
    made: InPlace | CimfedError
    with author.database.connect() as connection:
        try:
            made = harmonise_in_place(connection, request)
        except CimfedError as error:
            made = error
        found = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND pid = pg_backend_pid()"
        ).fetchone()
    return made, found != (0,)


@pytest.mark.parametrize(
    "statements",
    [
        [spy("x int", "boolean", "true"), "CREATE VIEW b AS SELECT * FROM t WHERE spy(id)"],
        [spy("x int", "boolean", "true"), "CREATE VIEW c AS SELECT *, spy(id) AS s FROM t",
         "CREATE VIEW b AS SELECT * FROM c"],
        [spy("x int", "boolean", "true", "IMMUTABLE"), "CREATE VIEW b AS SELECT * FROM t WHERE spy(1)"],
        [spy("x int, y int", "boolean", "true"),
         "CREATE OPERATOR <<<<< (LEFTARG = int, RIGHTARG = int, FUNCTION = spy)",
         "CREATE VIEW b AS SELECT * FROM t WHERE id <<<<< 1"],
        [spy("x int", "boolean", "true"), "CREATE DOMAIN whole AS int CHECK (spy(VALUE))",
         "CREATE VIEW b AS SELECT t.*, CAST(t.id AS whole) AS w FROM t"],
        [spy("s int, x int", "int", "x"), "CREATE AGGREGATE total (int) (SFUNC = spy, STYPE = int)",
         "CREATE VIEW b AS SELECT id, geom, total(id) AS n FROM t GROUP BY id"],
        [spy("", "boolean", "true"), "DO $$ BEGIN EXECUTE format('CREATE VIEW b AS SELECT t.*, query_to_xml(%L,"
         " true, true, '''') AS x FROM t', 'SELECT ' || current_schema || '.spy()'); END $$"],
        [MOOD, WITH_MOOD.format("mood"), spy("x mood", "text", "'x'"), "CREATE CAST (mood AS text) WITH FUNCTION spy"],
        [MOOD, WITH_MOOD.format("mood").replace("'a'", "'{a}'").replace("mood)", "mood[])"),
         spy("x mood", "json", "'1'"), "CREATE CAST (mood AS json) WITH FUNCTION spy(mood)"],
        ["CREATE TYPE mood AS (n int)", WITH_MOOD.format("mood").replace("'a'", "ROW(1)"),
         spy("x mood", "json", "'1'"), "CREATE CAST (mood AS json) WITH FUNCTION spy(mood)"],
        [spy("x int", "int", "x", "IMMUTABLE"), "CREATE TABLE b AS SELECT * FROM t",
         "CREATE INDEX ON b ((id + spy(1)))"],
        ["CREATE TABLE b (LIKE t) PARTITION BY LIST (id)", "CREATE TABLE b1 PARTITION OF b DEFAULT",
         spy("x int", "int", "x", "IMMUTABLE"), "ALTER TABLE b1 ADD CHECK (id > spy(-1))"],
    ],
    ids=["function", "view in a view", "constant", "operator", "domain", "aggregate", "query_to_xml", "cast to text",
         "list", "composite", "index", "partition"],
)  # fmt: skip
def test_code_of_strangers_does_not_run(author: Author, statements: list[str]) -> None:
    author.does(statements)
    with psycopg.connect(author.url) as connection:  # what was written can be read by whoever wrote it
        assert connection.execute(f"SELECT count(*) FROM {author.name}.b".encode()).fetchone() in [(3,), (0,)]
    found, ran = import_of(author)
    assert not ran
    assert isinstance(found, BadFile)
    assert "with the operator's rights" in found.message
    assert any(name in found.details[0] for name in ("spy", "total", "whole", "query_to_xml"))


@pytest.mark.parametrize(
    "view",
    [
        "SELECT * FROM t",
        "SELECT id, h * 2 AS h, to_char(day, 'YYYY') AS year, upper('x' || h) AS u, ST_Force2D(geom)::geometry(Polygon,"
        " 4326) AS geom FROM t",
        "SELECT min(id) AS id, ST_SetSRID(ST_Union(geom), 4326)::geometry(Polygon, 4326) AS geom,"
        " to_jsonb(array_agg(h ORDER BY id)) AS j, current_date AS today FROM t GROUP BY day",
        "WITH a AS (SELECT *, row_number() OVER (ORDER BY id) AS n FROM t) SELECT id, geom, n FROM a WHERE day IN"
        " (SELECT day FROM t) AND ROW(id, n) < ROW(99, 99::bigint)",
    ],
    ids=["plain", "functions", "grouped", "windows"],
)
def test_what_views_are_made_of_is_taken(author: Author, view: str) -> None:
    author.does([f"CREATE VIEW b AS {view}"])
    found, _ = import_of(author)
    if isinstance(found, CimfedError):
        assert "no column holds the ids" in found.message
        with author.database.connect() as connection:
            request = InPlaceRequest(CityName("xx.city"), "building", table=f"{author.name}.b", id_column="id")
            found = harmonise_in_place(connection, request)
    assert found.rows > 0


def test_a_materialised_view_is_the_way_out(author: Author) -> None:
    """It is filled in its owner's name, and runs nothing when it is read."""
    author.does([spy("x int", "boolean", "true"), "CREATE MATERIALIZED VIEW b AS SELECT * FROM t WHERE spy(id)",
                 "CREATE UNIQUE INDEX ON b (id)"])  # fmt: skip
    with author.database.connect() as connection:
        request = InPlaceRequest(CityName("xx.city"), "building", table=f"{author.name}.b", id_column="id")
        assert harmonise_in_place(connection, request).rows == 3
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_functions_of_the_operator_and_of_administrators_are_no_strangers(author: Author) -> None:
    database = author.database
    with database.cluster.administrator(database.name) as connection:
        connection.execute(
            "CREATE FUNCTION public.half(x real) RETURNS real LANGUAGE sql IMMUTABLE AS $$ SELECT x / 2 $$"
        )
    author.does(["CREATE VIEW b AS SELECT id, half(h) AS h, geom FROM t"])
    with database.connect() as connection:
        request = InPlaceRequest(CityName("xx.city"), "building", table=f"{author.name}.b", id_column="id")
        assert harmonise_in_place(connection, request).rows == 3


@pytest.mark.parametrize(
    "overload",
    [
        spy("x real", "double precision", "1", "IMMUTABLE").replace("spy", "public.trunc", 1),
        spy("x real, y real", "boolean", "true").replace("spy", "public.spied", 1)
        + "; CREATE OPERATOR public.= (LEFTARG = real, RIGHTARG = real, FUNCTION = public.spied)",
    ],
    ids=["function", "operator"],
)
def test_names_of_postgresql_beside_postgis_are_not_taken(author: Author, overload: str) -> None:
    """There is no trunc(real): a function like that, where names are looked for, fits better than PostgreSQL's."""
    with author.database.cluster.administrator(author.database.name) as connection:
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {author.name}".encode())
    author.does(overload.split("; CREATE OPERATOR", 1)[:1])
    if "OPERATOR" in overload:
        author.does(["CREATE OPERATOR" + overload.split("; CREATE OPERATOR", 1)[1]])
    found, ran = import_of(author, "t")
    assert not ran
    assert isinstance(found, BadFile)
    assert "stands in PostGIS's schema" in found.message


def test_a_table_that_became_a_view_with_code_is_refused_when_views_are_built(author: Author, tmp_path: Path) -> None:
    """The same rows, so that the fingerprint is the same."""
    made, _ = import_of(author, "t")
    assert isinstance(made, InPlace)
    snapshot = seal_in_place(made, CityName("xx.city"), "building", ("CC0-1.0", ""), tmp_path)
    with author.database.connect() as connection, reading(connection) as session:
        recorded(snapshot).check(session)
    author.does([
        spy("x int", "boolean", "true"), "ALTER TABLE t RENAME TO t2", "CREATE VIEW t AS SELECT * FROM t2 WHERE spy(id)"
    ])  # fmt: skip
    with author.database.connect() as connection:
        with pytest.raises(BadFile, match="with the operator's rights"), reading(connection) as session:
            recorded(snapshot).check(session)
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)


def test_a_relation_that_is_looked_at_is_not_exchanged_meanwhile(author: Author, tmp_path: Path) -> None:
    made, _ = import_of(author, "t")
    assert isinstance(made, InPlace)
    snapshot = seal_in_place(made, CityName("xx.city"), "building", ("CC0-1.0", ""), tmp_path)
    with author.database.connect() as connection, reading(connection) as session:
        recorded(snapshot).check(session)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            author.does(["SET lock_timeout = '10ms'", "ALTER TABLE t RENAME TO t2"])
