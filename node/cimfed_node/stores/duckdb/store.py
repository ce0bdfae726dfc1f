"""Requests over one file: statements for the serving engine, or the file itself where there is nothing to ask."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from cimfed.errors import BadQuery, CimfedError
from cimfed.model.limits import LIMITS, MIB, Limits
from cimfed.model.vocabulary import VOCABULARY, Collection
from cimfed.query.aggregate import state_schema
from cimfed.query.query import Aggregate, Read
from cimfed_node.sql import requests
from cimfed_node.sql.columns import Columns
from cimfed_node.sql.duckdb import DUCKDB
from cimfed_node.sql.projection import project
from cimfed_node.sql.statement import Statement
from cimfed_node.stores.base import Reader, View
from cimfed_node.stores.duckdb import engine
from cimfed_node.stores.duckdb.failures import translated
from cimfed_node.stores.duckdb.originals import NUMBER, WithOriginals, with_originals
from cimfed_node.stores.duckdb.statements import StatementRows
from cimfed_node.stores.duckdb.whole import WholeRows
from cimfed_node.stores.reader import BatchReader, Rows
from cimfed_node.stores.watch import Watch
from cimfed_node.stores.width import row_width

_VECTOR = 2048  # rows that DuckDB works on at a time
_MOST_ROWS = 64 * _VECTOR
# Text by bytes, exact decimals and their sign under modulus, instants in UTC: what statements rely on.
_KNOWN = """
SELECT 'Z' < 'a' AND 'z' < 'é' AND '｡' < '𐀀'
   AND -7.31::DECIMAL(18, 2) % 0.05::DECIMAL(18, 2) = -0.01::DECIMAL(18, 2)
   AND sum(9999999999999999.99::DECIMAL(18, 2))::VARCHAR = '19999999999999999.98'
   AND max(epoch_us($1::TIMESTAMPTZ)) = 1
FROM range(2)
"""


class DuckDBStore:
    """``views``: the one folder that is read. ``memory`` (bytes) and ``threads`` are of all statements together."""

    def __init__(self, views: Path, *, memory: int = 512 * MIB, threads: int = 2, limits: Limits = LIMITS) -> None:
        self._folder = views.resolve()
        self._engine = engine.serving(views, memory=memory, threads=threads)
        self._watch = Watch()
        self._limits = limits

    def read(self, view: View, request: Read) -> Reader:
        collection = _collection(view, request.collection)
        projection = project(request, view.schema, collection, originals=view.originals is not None)
        originals = self._inside(view.originals) if request.original and view.originals is not None else None
        schema = projection.schema if originals is None else self._with_originals(projection.schema, view, originals)
        batch_rows = self._batch_rows(view, schema)
        whole = request.where is None and bool(projection.selected)
        rows: Rows
        if whole:
            rows = WholeRows(self._inside(Path(view.source)), projection.selected, batch_rows)
        else:
            columns = Columns(collection, frozenset(view.schema.names))
            number = "" if originals is None else NUMBER
            statement = requests.read(projection.selected, request.where, view.source, columns, DUCKDB, number)
            rows = self._rows(statement, batch_rows)
        if originals is not None:
            rows = WithOriginals(rows, originals, len(projection.selected), numbered=not whole)
        return self._reader(rows, view, schema, absent=projection.absent)

    def aggregate(self, view: View, request: Aggregate) -> Reader:
        collection = _collection(view, request.collection)
        columns = Columns(collection, frozenset(view.schema.names))
        groups = self._limits.groups
        statement = requests.aggregate(request, view.source, groups + 1, columns, DUCKDB)
        schema = state_schema(request)
        rows = self._rows(statement, self._batch_rows(view, schema))
        return self._reader(rows, view, schema, max_rows=groups)

    def self_test(self) -> None:
        self._engine.check()
        cursor = self._engine.cursor()
        try:
            known = cursor.execute(_KNOWN, ["1970-01-01T00:00:00.000001Z"]).fetchone()
        finally:
            cursor.close()
        if known != (True,):
            raise CimfedError("the engine does not compute what statements rely on")

    def close(self) -> None:
        self._watch.close()
        self._engine.close()

    def _with_originals(self, schema: pa.Schema, view: View, originals: Path) -> pa.Schema:
        try:
            return with_originals(schema, originals)
        except (OSError, pa.ArrowException) as error:
            raise translated(error, view.source) from None

    def _inside(self, file: Path) -> Path:
        """What the engine is confined to by its settings holds for files read without it."""
        path = file.resolve()
        if path.parent != self._folder:
            raise CimfedError("the view is not in the views folder")
        return path

    def _reader(
        self,
        rows: Rows,
        view: View,
        schema: pa.Schema,
        *,
        absent: tuple[str, ...] = (),
        max_rows: int | None = None,
    ) -> Reader:
        return BatchReader(
            rows,
            schema,
            lambda error: translated(error, view.source),
            seconds=self._limits.statement_time,
            absent=absent,
            max_rows=max_rows,
        )

    def _rows(self, statement: Statement, batch_rows: int) -> Rows:
        return StatementRows(self._engine.cursor, self._watch, statement, batch_rows)

    def _batch_rows(self, view: View, schema: pa.Schema) -> int:
        """Whole vectors where there is room for one."""
        rows = min(int(self._limits.batch_bytes / row_width(schema, view.widths)), _MOST_ROWS)
        return rows // _VECTOR * _VECTOR if rows >= _VECTOR else max(rows, 1)


def _collection(view: View, name: str) -> Collection:
    if view.collection != name:
        raise BadQuery("the view is of another collection", place="collection")
    return VOCABULARY.collections[name]
