"""Where a view lies in PostgreSQL and how it is found again.

A view is a table ``v_<id>``, of which PostgreSQL's 63 characters take 60 of the id's 64. What it is stands in its
comment, as JSON: it comes and goes with the table, in one transaction. Both roles may read it.

A table and no MATERIALIZED VIEW: of that, PostgreSQL would keep the definition where every role of the database can
read it, with the policy's conditions and the key of the rows' order; it would tie the city's own tables to it; and
REFRESH would give other rows under the same id.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Set
from typing import Any

import psycopg
import pyarrow as pa
import rfc8785
from psycopg import sql

from cimfed.errors import BadFile, Conflict, ViewGone
from cimfed.model.names import CityName
from cimfed.model.vocabulary import VOCABULARY, Collection
from cimfed_node.sql.postgis import parts
from cimfed_node.stores.base import Engine, View
from cimfed_node.stores.postgis.compose import quoted
from cimfed_node.stores.postgis.store import schema_name
from cimfed_node.views import files
from cimfed_node.views.postgis.sessions import Connection, run, transaction

_log = logging.getLogger(__name__)

LAYOUT = "1"
"""Changes whenever views lie otherwise in their tables."""

_VIEW = re.compile(r"v_[0-9a-f]{60}")
_AGAIN = "Activate the policy again"
_FOUND = """
SELECT c.relname, obj_description(c.oid, 'pg_class'),
    (SELECT array_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
     FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class AS c JOIN pg_namespace AS s ON s.oid = c.relnamespace
WHERE s.nspname = %s AND c.relkind = 'r' AND c.relname ~ '^v_'
"""


def relation_name(id: str) -> str:
    return f"v_{id[:60]}"


def columns_sql(schema: pa.Schema, collection: Collection) -> str:
    """The columns of a table that holds these properties."""
    return ", ".join(
        f"{quoted(name)} {type}{collated(type)}"
        for at in schema.names
        for name, type in parts(collection.properties[at])
    )


def collated(type: str) -> str:
    return ' COLLATE "C"' if type in ("text", "text[]") else ""


class PostGISViews:
    """``url``: of either role; only the operator's may drop."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema_name(schema)

    def open(self, id: str) -> View:
        """Raises ViewGone where there is none, BadFile where it does not fit this release."""
        with transaction(self._url) as connection:
            return opened(connection, self._schema, id)

    def ids(self) -> set[str]:
        """Of all views that are there and fit this release."""
        with transaction(self._url) as connection:
            rows = connection.execute(_FOUND.encode(), [self._schema]).fetchall()
        return {view.id for row in rows if (view := _understood(row)) is not None}

    def drop(self, id: str) -> None:
        """Harmless where there is none. Raises Conflict while it is read, and does not wait."""
        with transaction(self._url) as connection:
            drop(connection, self._schema, id)

    def sweep(self, known: Set[str]) -> None:
        """Removes all but the known ones, also those that do not fit this release.

        Nobody begins to read one that is not known. An answer that reads one now ends within seconds, as the node that
        gives it looks that up; one that is read after that stays, and is told in the log.
        """
        kept = {relation_name(id) for id in known}
        with transaction(self._url) as connection:
            names = [row[0] for row in connection.execute(_FOUND.encode(), [self._schema])]
        for name in set(names) - kept:
            try:
                with transaction(self._url) as connection:
                    _drop(connection, quoted(self._schema, name), name, wait=True)
            except Conflict:
                _log.warning("%s is of no more use and stays for now: a session of the database holds it", name)


def opened(connection: Connection, schema: str, id: str) -> View:
    query = _FOUND.encode() + b" AND c.relname = %s"
    row = connection.execute(query, [schema, relation_name(id)]).fetchone()
    if row is None:
        raise ViewGone("the view is no longer there", place=id)
    view = _understood(row)
    if view is None or view.id != id:
        raise BadFile("the view does not fit this release", place=id, remedy=_AGAIN)
    return view


def drop(connection: Connection, schema: str, id: str) -> None:
    _drop(connection, quoted(schema, relation_name(id)), id)


def _drop(connection: Connection, table: str, id: str, *, wait: bool = False) -> None:
    """A wish to drop that waits would make every new reader wait behind it. ``wait``: as long as for any lock."""
    if connection.execute("SELECT to_regclass(%s)", [table]).fetchone() == (None,):
        return
    try:
        run(connection, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE{'' if wait else ' NOWAIT'}")
    except psycopg.errors.LockNotAvailable:
        raise Conflict("the view is being read", place=id, remedy="Try again later") from None
    run(connection, f"DROP TABLE {table}")


def describe(connection: Connection, table: str, facts: Mapping[str, Any]) -> None:
    text = rfc8785.dumps({"format": files.FORMAT, "layout": LAYOUT, **facts}).decode()
    run(connection, f"COMMENT ON TABLE {table} IS {sql.Literal(text).as_string(None)}")


def _understood(row: tuple[Any, ...]) -> View | None:
    name, comment, columns = row
    try:
        facts = json.loads(comment or "")
        collection = VOCABULARY.collections.get(facts["collection"])
        known = facts["format"] == files.FORMAT and facts["layout"] == LAYOUT and _VIEW.fullmatch(name)
        schema = None if collection is None or not known else files.schema_of(facts["columns"], collection)
        if schema is None or collection is None or columns != _columns(schema, collection):
            return None
        return View(
            id=facts["id"],
            city=CityName(facts["city"]),
            collection=facts["collection"],
            snapshot=facts["snapshot"],
            shape_hash=bytes.fromhex(facts["shape_hash"]),
            compiler=facts["compiler"],
            engine=Engine.POSTGIS,
            source=name,
            schema=schema,
            rows=facts["rows"],
            widths={at: width for at, width in facts["widths"].items()},
            size=facts["size"],
            sha256=b"",
        )
    except (ValueError, KeyError, TypeError):
        return None


def _columns(schema: pa.Schema, collection: Collection) -> list[str]:
    """As the server's catalogue has them."""
    return [
        f"{name} {type.replace(', ', ',')}" for at in schema.names for name, type in parts(collection.properties[at])
    ]
