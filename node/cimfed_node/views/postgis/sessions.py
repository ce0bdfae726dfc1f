"""Sessions of the operator: who makes schemas, snapshots and views. What the server says stays in the node's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg import sql

from cimfed.errors import BadConfig, CimfedError
from cimfed_node.stores.postgis.links import session

_log = logging.getLogger(__name__)

Connection: TypeAlias = psycopg.Connection[Any]

_SESSION = {
    "TimeZone": "UTC",
    "jit": "off",
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
def transaction(url: str) -> Iterator[Connection]:
    """A connection and one transaction on it: all of it is done at the end, or nothing.

    Names without a schema are PostgreSQL's own, then PostGIS's. The server's errors become a CimfedError.
    """
    try:
        with psycopg.connect(conninfo(url)) as connection:
            connection.execute(f"SET LOCAL search_path = {path(connection)}".encode())
            yield connection
    except psycopg.Error as error:
        _log.error("the database failed: %s: %s", type(error).__name__, str(error)[:1000])
        raise CimfedError(f"the database failed ({type(error).__name__})", remedy="See the node's log") from None


def path(connection: Connection) -> str:
    """Where names are looked for."""
    place = connection.execute(_PLACE).fetchone()
    if place is None:
        raise BadConfig("the database has no PostGIS", remedy="CREATE EXTENSION postgis, as its administrator")
    return f"pg_catalog, {place[0]}"


def run(connection: Connection, text: str) -> psycopg.Cursor[Any]:
    """A statement that ``compose`` made."""
    return connection.execute(text.encode())


def identifier(*names: str) -> sql.Identifier:
    return sql.Identifier(*names)
