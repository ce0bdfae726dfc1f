"""Puts a snapshot's rows into a table of PostgreSQL, whole or not at all.

The rows go by COPY into a temporary table, as the driver writes them, and from there by one statement into the table
with the types of ``sql.postgis``. Nobody but the operator can read it. Text that holds U+0000 cannot be in PostgreSQL;
such a snapshot is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from psycopg import sql

from cimfed.errors import BadFile, CimfedError
from cimfed.model.vocabulary import VOCABULARY, Property, Type
from cimfed_node.ingest.snapshot import Snapshot
from cimfed_node.sql.postgis import parts
from cimfed_node.stores.postgis.arrow import stored
from cimfed_node.stores.postgis.compose import literal, quoted
from cimfed_node.views.postgis.build import TURN, Source
from cimfed_node.views.postgis.relations import columns_sql
from cimfed_node.views.postgis.roles import snapshots_schema
from cimfed_node.views.postgis.sessions import conninfo, lock_key, path, transaction

_log = logging.getLogger(__name__)
_STAGE = "cimfed_stage"
_AT_ONCE = 8192  # rows


def load(url: str, schema: str, snapshot: Snapshot) -> Source:
    """``url``: the operator's; ``schema``: the views', beside which snapshots lie. One that is there stays as it is.

    Raises BadFile where the snapshot cannot be read, or holds what PostgreSQL cannot.
    """
    table = table_of(schema, snapshot.id)
    with transaction(url) as connection:
        place = path(connection)
    with ExitStack() as opened:
        try:
            segments = [opened.enter_context(pq.ParquetFile(segment)) for segment in snapshot.paths]
        except (OSError, pa.ArrowInvalid):
            raise BadFile("the snapshot cannot be read", place=snapshot.id) from None
        _Load(snapshot, segments).run(url, place, table)
    return Source(snapshot.id, snapshot.city, snapshot.collection, table)


def table_of(schema: str, id: str) -> str:
    return quoted(snapshots_schema(schema), f"s_{id[:60]}")


def unload(url: str, schema: str) -> None:
    """Drops the tables of all loaded snapshots; views that were made of them stay."""
    beside = snapshots_schema(schema)
    with transaction(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [beside]).fetchall()
        for (name,) in found:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(beside, name)))


class _Load:
    def __init__(self, snapshot: Snapshot, segments: Sequence[pq.ParquetFile]) -> None:
        self._snapshot = snapshot
        self._segments = segments
        self._collection = VOCABULARY.collections[snapshot.collection]
        self._schema = pa.schema([at for at in segments[0].schema_arrow if at.name in self._collection.properties])
        self._properties = [self._collection.properties[name] for name in self._schema.names]
        self._names = [part for prop in self._properties for part, _ in parts(prop)]
        self._failure: CimfedError | None = None

    def run(self, url: str, place: str, table: str) -> None:
        items = ", ".join(item for prop in self._properties for item in _items(prop))
        try:
            with adbc_driver_postgresql.dbapi.connect(conninfo(url)) as connection, connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL search_path = {place}")
                cursor.execute(f"SET LOCAL lock_timeout = '{TURN}'")
                cursor.execute(f"SELECT CAST(pg_advisory_xact_lock({lock_key(self._snapshot.id)}) AS text)")
                cursor.execute(f"SELECT CAST(to_regclass({literal(table)}) AS text)")
                if cursor.fetchone() != (None,):
                    return
                cursor.execute(f"CREATE TABLE {table} ({columns_sql(self._schema, self._collection)})")
                cursor.adbc_ingest(_STAGE, self._reader(), mode="create", temporary=True)
                cursor.execute(f"INSERT INTO {table} SELECT {items} FROM pg_temp.{_STAGE} AS t")
                cursor.execute(f"DROP TABLE pg_temp.{_STAGE}")
                cursor.execute(f"ANALYZE {table}")
                connection.commit()
        except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
            if self._failure is not None:
                raise self._failure from None
            _log.error("the database failed: %s: %s", type(error).__name__, str(error)[:1000])
            raise CimfedError(
                f"the snapshot cannot be loaded ({type(error).__name__})",
                place=self._snapshot.id,
                remedy="See the node's log",
            ) from None

    def _reader(self) -> pa.RecordBatchReader:
        empty = stored(pa.RecordBatch.from_pylist([], schema=self._schema), self._names)
        return pa.RecordBatchReader.from_batches(empty.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for batch in self._stored():
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                if _nul(column):
                    self._failure = BadFile(
                        "text holds U+0000, which PostgreSQL cannot hold",
                        place=f"{self._snapshot.id}: {name}",
                        remedy="Import the source without it",
                    )
                    raise self._failure
            yield stored(batch, self._names)

    def _stored(self) -> Iterator[pa.RecordBatch]:
        for segment in self._segments:
            yield from segment.iter_batches(_AT_ONCE, columns=self._schema.names, use_threads=False)


def _nul(column: Any) -> bool:
    if pa.types.is_map(column.type):
        return _nul(column.keys) or _nul(column.items)
    return pa.types.is_string(column.type) and pc.any(pc.match_substring(column, "\0")).as_py() is True


def _items(prop: Property) -> list[str]:
    """The property's columns, from the forms that ``arrow.stored`` gave them."""
    columns = [f"t.{quoted(part)}" for part, _ in parts(prop)]
    if prop.type is Type.DECIMAL:
        return [f"CAST({columns[0]} AS numeric) * 1e-{prop.scale}"]
    if prop.type is Type.GEOMETRY:
        return [f"ST_GeomFromWKB({columns[0]}, 4326)"]
    return columns
