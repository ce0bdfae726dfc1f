"""The views of a home in the city's database: of snapshots that are relations there already, and of loaded ones.

A relation in place is looked at once: its fingerprint is compared in one state of the database, and every view is built
from that same state, whatever is written to the relation meanwhile. The rows of a snapshot of files are loaded while
its views are built, and go after that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Set
from contextlib import ExitStack

import psycopg

from cimfed.errors import BadFile, CimfedError, ViewGone
from cimfed.model.limits import MIB
from cimfed.policy.meet import shape_hash
from cimfed.policy.shape import Shape
from cimfed_node.ingest.snapshot import Snapshot
from cimfed_node.inplace.recorded import recorded
from cimfed_node.inplace.session import reading
from cimfed_node.stores.base import View
from cimfed_node.views.files import view_id
from cimfed_node.views.postgis.build import PostGISBuilder, Source
from cimfed_node.views.postgis.load import load, unload
from cimfed_node.views.postgis.relations import PostGISViews
from cimfed_node.views.postgis.sessions import conninfo, failing

_log = logging.getLogger(__name__)


class PostGISShelf:
    """``url``: the operator's. ``key`` gives the city's secret once it is needed. See ``PostGISBuilder``."""

    def __init__(
        self, url: str, schema: str, serving: str, key: Callable[[], bytes], *, memory: int = 256 * MIB
    ) -> None:
        self._url, self._schema, self._serving, self._key, self._memory = url, schema, serving, key, memory

    def builder(self) -> SnapshotBuilder:
        return SnapshotBuilder(self._url, self._schema, self._serving, self._key(), memory=self._memory)

    def sweep(self, known: Set[str]) -> None:
        """See ``Shelf``. What cannot be removed now, since it is read or the server is away, is left to the next."""
        try:
            PostGISViews(self._url, self._schema).sweep(known)
            unload(self._url, self._schema)
        except CimfedError as error:
            _log.warning("views that nobody needs stay in the database for now (%s)", error.reason)


class SnapshotBuilder:
    """See ``PostGISBuilder``."""

    def __init__(self, url: str, schema: str, serving: str, key: bytes, *, memory: int) -> None:
        self._url, self._schema, self._key = url, schema, key
        self._views = PostGISViews(url, schema)
        self._builder = PostGISBuilder(url, schema, serving, key, memory=memory)
        self._sources: dict[str, Source] = {}
        self._open = ExitStack()

    def build(self, snapshot: Snapshot, shape: Shape) -> View:
        """See ``Builder``. Conflict where a relation in place is not what the snapshot was made of."""
        try:
            return self._views.open(view_id(self._key, snapshot.id, shape_hash(shape)))
        except (ViewGone, BadFile):
            pass
        if snapshot.id not in self._sources:
            in_place = "in_place" in snapshot.inventory
            self._sources[snapshot.id] = (
                self._in_place(snapshot) if in_place else load(self._url, self._schema, snapshot)
            )
        return self._builder.build(self._sources[snapshot.id], shape)

    def close(self) -> None:
        self._open.close()

    def _in_place(self, snapshot: Snapshot) -> Source:
        """The state of the database that is compared stays open until the builder is closed."""
        relation = recorded(snapshot)
        with failing():
            connection = self._open.enter_context(psycopg.connect(conninfo(self._url)))
            session = self._open.enter_context(reading(connection))
        relation.check(session)
        with failing():
            (state,) = connection.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
        return Source(snapshot.id, snapshot.city, snapshot.collection, f"({relation.select})", state)
