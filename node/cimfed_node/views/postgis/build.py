"""Builds views: one statement over a relation, written as a table that is whole or not there.

Leaves out: which shapes there are (``cimfed.policy``), which views are current (the control tables), how a city's own
tables come to have the vocabulary's columns.
Rules:
1. What the shape does not give is not in the table: not in rows, statistics or indexes, which are made from the rows.
2. Table, indexes, statistics, facts and the serving role's right to read come in one transaction.
3. The rows' order is of what the view shows: of the geometry, and for rows that have none or the same one, drawn by
   the view's own key, as for views without geometry.
4. What the vocabulary's types cannot hold is refused (``soundness``), before anyone can read it.
5. The relation's columns are cast to the vocabulary's types before anything is compared: what a predicate sees is what
   the view shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cimfed.errors import BadFile, CimfedError, ViewGone
from cimfed.model.limits import KIB, MIB
from cimfed.model.names import CityName
from cimfed.model.schema import field
from cimfed.model.vocabulary import VOCABULARY, Collection
from cimfed.policy.meet import shape_hash
from cimfed.policy.shape import Shape
from cimfed.trust.hashing import digest
from cimfed_node.sql import shapes
from cimfed_node.sql.postgis import ENVELOPE, POSTGIS, parts
from cimfed_node.stores.base import View
from cimfed_node.stores.postgis.compose import composed, quoted
from cimfed_node.stores.postgis.store import schema_name
from cimfed_node.views import files
from cimfed_node.views.build import ORDER_DOMAIN
from cimfed_node.views.postgis.relations import collated, describe, drop, opened, relation_name
from cimfed_node.views.postgis.sessions import Connection, lock_key, run, transaction
from cimfed_node.views.postgis.soundness import widths

TURN = "10min"
"""How long another may build the same view or load the same snapshot before one gives up waiting."""


@dataclass(frozen=True)
class Source:
    """Rows that views are made of.

    ``id``: of this state of the rows, as a snapshot's. ``relation``: SQL of the operator's own, a quoted name or a
    SELECT in parentheses; its columns are called as ``sql.postgis.parts`` says, others are not looked at. ``state``:
    of the database in which it is read, exported by an open transaction; empty for that of the build itself.
    """

    id: str
    city: CityName
    collection: str
    relation: str
    state: str = ""


class PostGISBuilder:
    """``url``: the operator's; ``serving``: the role that may read; ``key``: the city's secret, 32 bytes.

    ``memory``: bytes of each sort; what does not fit goes to the server's disk.
    """

    def __init__(self, url: str, schema: str, serving: str, key: bytes, *, memory: int = 256 * MIB) -> None:
        self._url = url
        self._schema = schema_name(schema)
        self._serving = serving
        self._key = key
        self._memory = memory

    def build(self, source: Source, shape: Shape) -> View:
        """The view of a shape of a relation; an empty one is a view too. One that is there already is given as it is.

        Raises BadFile when the relation lacks what rows need, CimfedError when the server fails.
        """
        if shape.collection != source.collection:
            raise CimfedError("the shape is of another collection than the snapshot")
        hashed = shape_hash(shape)
        id = files.view_id(self._key, source.id, hashed)
        with transaction(self._url, source.state) as connection:
            _alone(connection, id)
            try:
                standing = opened(connection, self._schema, id)
                self._give(connection, id)
                return standing
            except ViewGone:
                pass
            except BadFile:
                drop(connection, self._schema, id)
            memory = f"{max(self._memory // KIB, 64)}kB"
            connection.execute(f"SET LOCAL work_mem = '{memory}'".encode())
            connection.execute(f"SET LOCAL maintenance_work_mem = '{memory}'".encode())
            return self._build(connection, source, shape, id)

    def _build(self, connection: Connection, source: Source, shape: Shape, id: str) -> View:
        collection = VOCABULARY.collections[shape.collection]
        names = _columns(connection, source, collection)
        masks = shapes.columns_of(shape, names)
        schema = pa.schema([field(collection.properties[name], str(mask)) for name, mask in masks.items()])
        table = quoted(self._schema, relation_name(id))
        order = digest(ORDER_DOMAIN, [self._key, id])
        statement = shapes.view(shape, names, _cast(source, names, collection), order, POSTGIS)
        items = _typed(schema.names, collection)
        # Not INSERT: that puts a row wherever a page has room left, so that rows would not lie in their order.
        rows = run(connection, f"CREATE TABLE {table} AS SELECT {items} FROM ({composed(statement)}) AS t").rowcount
        measured = widths(connection, table, schema, collection, source.city)
        if "bbox" in schema.names:
            run(connection, f"CREATE INDEX ON {table} USING gist (({ENVELOPE.replace('t.', '')}))")
        if "id" in schema.names:
            run(connection, f"CREATE INDEX ON {table} (id)")
        run(connection, f"ANALYZE {table}")
        size: Any = connection.execute("SELECT pg_total_relation_size(%s)", [table]).fetchone()
        facts = {
            "id": id,
            "city": source.city,
            "collection": source.collection,
            "snapshot": files.shown_snapshot(self._key, source.id),
            "shape_hash": shape_hash(shape).hex(),
            "compiler": files.COMPILER,
            "columns": {name: str(mask) for name, mask in masks.items()},
            "rows": rows,
            "widths": measured,
            "size": size[0],
        }
        describe(connection, table, facts)
        run(connection, f"REVOKE ALL ON {table} FROM PUBLIC")
        self._give(connection, id)
        return opened(connection, self._schema, id)

    def _give(self, connection: Connection, id: str) -> None:
        run(connection, f"GRANT SELECT ON {quoted(self._schema, relation_name(id))} TO {quoted(self._serving)}")


def _alone(connection: Connection, id: str) -> None:
    """Whoever else builds the same view waits; not for ever, since any role of the database can hold such a lock."""
    connection.execute(f"SET LOCAL lock_timeout = '{TURN}'".encode())
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key(id)])
    connection.execute("SET LOCAL lock_timeout = DEFAULT")


def _columns(connection: Connection, source: Source, collection: Collection) -> frozenset[str]:
    """The properties that the relation has."""
    found = run(connection, f"SELECT * FROM {source.relation} AS t LIMIT 0").description or []
    there = {column.name for column in found}
    names = frozenset(
        name for name, prop in collection.properties.items() if {part for part, _ in parts(prop)} <= there
    )
    if not {"city", "id"} <= names:
        raise BadFile("the relation has no city or no id", place=source.collection)
    return names


def _cast(source: Source, names: frozenset[str], collection: Collection) -> str:
    """The relation with the vocabulary's types."""
    ordered = [name for name in collection.properties if name in names]
    return f"(SELECT {_typed(ordered, collection)} FROM {source.relation} AS t)"


def _typed(names: Sequence[str], collection: Collection) -> str:
    return ", ".join(
        f"CAST(t.{quoted(part)} AS {type}){collated(type)} AS {quoted(part)}"
        for name in names
        for part, type in parts(collection.properties[name])
    )
