"""Requests over tables of one schema: one statement each, as rows through COPY.

Leaves out: how views come there (``views.postgis``). Beware, all seen with PostgreSQL 15 and the driver 1.13:
1. The driver streams through COPY alone, and COPY takes no parameters: ``compose``.
2. The driver gives NUMERIC as text, row by row: ``sql.postgis``.
3. ``statement_timeout`` counts the time that a slow consumer takes, too. It is a backstop, longer than any answer.
4. Rows come in the table's order only without parallel workers, without scans in an index's order (bitmaps of it are
   as good) and without scans that begin where another one is.
"""

from __future__ import annotations

import re

import pyarrow as pa

from cimfed.errors import BadConfig, BadQuery, CimfedError
from cimfed.model.limits import KIB, LIMITS, MIB, Limits
from cimfed.model.vocabulary import VOCABULARY, Collection
from cimfed.query.aggregate import state_schema
from cimfed.query.query import Aggregate, Read
from cimfed_node.sql import requests
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.postgis import POSTGIS
from cimfed_node.sql.projection import project
from cimfed_node.sql.statement import Statement
from cimfed_node.stores.base import Reader, View
from cimfed_node.stores.postgis.checks import check
from cimfed_node.stores.postgis.compose import composed, quoted
from cimfed_node.stores.postgis.failures import translated
from cimfed_node.stores.postgis.links import Pool, session
from cimfed_node.stores.postgis.statements import StatementRows
from cimfed_node.stores.reader import BatchReader
from cimfed_node.stores.watch import Watch

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
SESSION = {
    "TimeZone": "UTC",
    "client_connection_check_interval": "5s",
    "default_transaction_read_only": "on",
    "enable_indexonlyscan": "off",
    "enable_indexscan": "off",
    "jit": "off",
    "lock_timeout": "5s",
    "max_parallel_workers_per_gather": "0",
    "standard_conforming_strings": "on",
    "synchronize_seqscans": "off",
}


class PostGISStore:
    """``url``: of the role that serves; ``schema``: the one that holds the views.

    ``connections``: as many statements run at once, and the next one waits; a reader that is slow keeps its own.
    ``memory``: bytes of one statement's sort or table of groups, what is more goes to the server's disk.
    """

    def __init__(
        self, url: str, schema: str, *, connections: int = 16, memory: int = 64 * MIB, limits: Limits = LIMITS
    ) -> None:
        self._schema = schema_name(schema)
        longest = max(limits.answer_time, limits.statement_time) + 60
        settings = {"work_mem": f"{max(memory // KIB, 64)}kB", "statement_timeout": f"{int(longest * 1000)}ms"}
        self._pool = Pool(session(url, {**SESSION, **settings}), connections)
        self._watch = Watch()
        self._limits = limits

    def read(self, view: View, request: Read) -> Reader:
        collection = _collection(view, request.collection)
        projection = project(request, view.schema, collection)
        columns = Columns(collection, frozenset(view.schema.names))
        statement = requests.read(projection.selected, request.where, self._table(view), columns, POSTGIS)
        return self._reader(statement, projection.schema, absent=projection.absent)

    def aggregate(self, view: View, request: Aggregate) -> Reader:
        collection = _collection(view, request.collection)
        columns = Columns(collection, frozenset(view.schema.names))
        groups = self._limits.groups
        statement = requests.aggregate(request, self._table(view), groups + 1, columns, POSTGIS)
        return self._reader(statement, state_schema(request), max_rows=groups)

    def self_test(self) -> None:
        """Raises BadConfig where the role can do more than read the views."""
        try:
            link = self._pool.take(self._limits.statement_time)
            assert link is not None
            try:
                check(link, self._schema)
            finally:
                self._pool.give(link)
        except CimfedError:
            raise
        except Exception as error:
            raise translated(error) from None

    def close(self) -> None:
        self._pool.close()
        self._watch.close()

    def _table(self, view: View) -> str:
        if not _NAME.fullmatch(view.source):
            raise CimfedError("the view is not in the views' schema")
        return quoted(self._schema, view.source)

    def _reader(
        self, statement: Statement, schema: pa.Schema, *, absent: tuple[str, ...] = (), max_rows: int | None = None
    ) -> Reader:
        given = pa.schema([at for at in schema if at.name not in absent])
        rows = StatementRows(self._pool, self._watch, composed(statement), given, self._limits.batch_bytes)
        return BatchReader(
            rows, schema, translated, seconds=self._limits.statement_time, absent=absent, max_rows=max_rows
        )


def schema_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name.startswith("pg_"):
        raise BadConfig("a schema's name has small letters, digits and underscores", place=name[:64])
    return name


def _collection(view: View, name: str) -> Collection:
    if view.collection != name:
        raise BadQuery("the view is of another collection", place="collection")
    return VOCABULARY.collections[name]
