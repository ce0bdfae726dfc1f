"""Sessions of the operator: who makes schemas, snapshots and views. What the server says stays in the node's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import IsolationLevel, sql

from cimfed.errors import BadConfig, CimfedError
from cimfed_node.inplace.session import SETTINGS
from cimfed_node.stores.postgis.links import session

_log = logging.getLogger(__name__)

Connection: TypeAlias = psycopg.Connection[Any]

_SESSION = {
    **SETTINGS,  # under which statements in place are what they were when they were recorded
    "lock_timeout": "5s",
    "standard_conforming_strings": "on",
    "synchronize_seqscans": "off",
}
_PLACE = """
SELECT quote_ident(s.nspname)
FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS s ON s.oid = e.extnamespace
WHERE e.extname = 'postgis'
"""


def conninfo(url: str) -> str:
    return session(url, _SESSION)


@contextmanager
def transaction(url: str, state: str = "") -> Iterator[Connection]:
    """A connection and one transaction on it: all of it is done at the end, or nothing.

    ``state``: of the database, that another transaction exported; this one sees the same. Names without a schema are
    PostgreSQL's own, then PostGIS's. The server's errors become a CimfedError.
    """
    with failing(), psycopg.connect(conninfo(url)) as connection:
        if state:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(state)))
        connection.execute(f"SET LOCAL search_path = {path(connection)}".encode())
        yield connection


@contextmanager
def failing() -> Iterator[None]:
    """The server's errors as ours."""
    try:
        yield
    except psycopg.Error as error:
        _log.error("the database failed: %s: %s", type(error).__name__, str(error)[:1000])
        raise CimfedError(f"the database failed ({type(error).__name__})", remedy="See the node's log") from None


def path(connection: Connection) -> str:
    """Where names are looked for."""
    place = connection.execute(_PLACE).fetchone()
    if place is None:
        raise BadConfig("the database has no PostGIS", remedy="CREATE EXTENSION postgis, as its administrator")
    return f"pg_catalog, {place[0]}, pg_temp"


def run(connection: Connection, text: str) -> psycopg.Cursor[Any]:
    """A statement that ``compose`` made."""
    return connection.execute(text.encode())


def lock_key(id: str) -> int:
    """What those who make the same table lock, so that one makes it and the others find it."""
    return int.from_bytes(bytes.fromhex(id)[:8], signed=True)
