"""One reading of a city's database: a REPEATABLE READ transaction that cannot write, with settings that give one text
for one value.

What is harmonised, counted and hashed in it is one state of the relation. A later build of views has to run under the
same ``SETTINGS``, with PostGIS's schema in the search path right after ``pg_catalog``: ``Session.pin`` does that.
Errors of the server become BadFile with the SQLSTATE; its texts may hold values of the city and are not passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from cimfed.errors import BadConfig, BadFile
from cimfed_node.inplace.code import refuse_overloads

Connection = psycopg.Connection[Any]

SETTINGS = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "UTC",
    "extra_float_digits": "1",  # the shortest text that is the number
    "bytea_output": "hex",
    "row_security": "off",  # a policy that would hide rows is an error instead
    "client_min_messages": "error",  # PostGIS says a line for every invalid geometry
    "jit": "off",  # compiling the statement takes longer than running it
}
_CONNECT_SECONDS = 10
_POSTGIS = (3, 2)
_GEOS = (3, 10)  # the first with a choice of how to make valid
_GONE = ("42P01", "42703")  # a table, a column that there is not
_POLICY = "42501"  # insufficient_privilege: also what a row-security policy gives under row_security = off


@dataclass(frozen=True)
class Session:
    """``schemas``: where unqualified names were looked for before the search path was pinned."""

    connection: Connection
    postgis: str
    schemas: tuple[str, ...]

    def rows(self, query: sql.Composed, place: str) -> list[tuple[Any, ...]]:
        with guarded(place):
            found: list[tuple[Any, ...]] = self.connection.execute(query).fetchall()
            return found

    def one(self, query: sql.Composed, place: str) -> tuple[Any, ...]:
        return self.rows(query, place)[0]

    def stream(self, query: sql.Composed, place: str) -> Iterator[tuple[Any, ...]]:
        """Rows one by one, held by the server."""
        with guarded(place), self.connection.cursor("cimfed_inplace") as cursor:
            cursor.itersize = 10_000
            cursor.execute(query)
            yield from cursor

    def lock(self, oid: int, place: str) -> None:
        """A table or view, and all that it is made of, stays what it is until the transaction ends."""
        with guarded(place):
            found = self.connection.execute(
                "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                " WHERE c.oid = %s AND c.relkind <> 'm'",
                [oid],
            ).fetchone()
            if found is not None:
                self.connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(sql.Identifier(*found)))

    def names(self, query: sql.Composed, place: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Rows with the names of their columns."""
        with guarded(place):
            cursor = self.connection.execute(query)
            return [column.name for column in cursor.description or ()], cursor.fetchall()


@contextmanager
def connecting(url: str) -> Iterator[Connection]:
    """A connection of the operator's. BadConfig where there can be none; what the driver says may hold the password."""
    try:
        connection = psycopg.connect(url, application_name="cimfed-node", connect_timeout=_CONNECT_SECONDS)
    except psycopg.Error as error:
        why = "this is no connection string" if isinstance(error, psycopg.ProgrammingError) else "it does not let us in"
        raise BadConfig(f"the database cannot be reached: {why}", remedy="Try the same URL with psql") from None
    with connection:
        yield connection


@contextmanager
def guarded(place: str) -> Iterator[None]:
    """The server's errors as ours."""
    try:
        yield
    except psycopg.Error as error:
        code = error.sqlstate or "connection lost"
        if code == _POLICY:
            raise BadFile(
                "the role may not read all of it: a right is missing, or a row-security policy is in force",
                place=place,
                remedy="Grant the role SELECT on it and on what it is made of; where a policy is in force, BYPASSRLS, "
                "or give it a view of the rows that are meant",
            ) from None
        if code in _GONE:
            raise BadFile(
                "the table, or a column of it, is not there any more", place=place, remedy="Import it in place again"
            ) from None
        raise BadFile(
            f"PostgreSQL could not run the statement (SQLSTATE {code})",
            place=place,
            remedy="Its log says which value or object was the cause; leave that out with a view of your own",
        ) from None


@contextmanager
def reading(connection: Connection) -> Iterator[Session]:
    """One state of the database, read only; nothing is left behind. The connection must be idle."""
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        raise ValueError("the connection is in use")
    with guarded("the database"), connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = connection.execute("SELECT current_schemas(false)").fetchone()
        postgis = _postgis(connection)
        pin(connection, postgis)
        _check(connection)
        refuse_overloads(connection)
        yield Session(connection, postgis, tuple(found[0] if found else ()))


def pin(connection: Connection, postgis: str) -> None:
    """Set what the statements of this room rely on, for the transaction that is open."""
    for name, value in SETTINGS.items():
        connection.execute(sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    path: Sequence[sql.Composable] = [sql.Identifier(name) for name in ("pg_catalog", postgis, "pg_temp")]
    connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.SQL(", ").join(path)))


def _postgis(connection: Connection) -> str:
    found = connection.execute(
        "SELECT n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace"
        " WHERE e.extname = 'postgis'"
    ).fetchone()
    if found is None:
        raise BadFile("the database has no PostGIS", place="the database", remedy="CREATE EXTENSION postgis")
    return str(found[0])


def _check(connection: Connection) -> None:
    found = connection.execute(
        "SELECT current_setting('server_encoding'), postgis_lib_version(), postgis_geos_version()"
    ).fetchone()
    assert found is not None
    encoding, postgis, geos = found
    if encoding != "UTF8":
        raise BadFile(f"the database is in {encoding}", place="the database", remedy="Import from files instead")
    if _version(postgis) < _POSTGIS or _version(geos) < _GEOS:
        raise BadFile(
            f"PostGIS {postgis} with GEOS {geos} is too old",
            place="the database",
            remedy="PostGIS 3.2 with GEOS 3.10 or later is needed; or import from files",
        )


def _version(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
