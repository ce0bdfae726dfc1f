"""Stores for the contract, and how they come to views: real builders over snapshots that are written here."""

from __future__ import annotations

import secrets
from pathlib import Path

import pyarrow as pa
from psycopg import sql

from cimfed.model.limits import LIMITS, Limits
from cimfed.policy.shape import EXACT, Shape, follows_geometry
from cimfed_node.stores.base import Store, View
from cimfed_node.stores.duckdb import DuckDBStore
from cimfed_node.stores.postgis import PostGISStore
from cimfed_node.views import FileBuilder
from cimfed_node.views.postgis import PostGISBuilder, PostGISViews, Source, load, set_up
from tests.postgres import Cluster, Database
from tests.unit.node import rows as made

KEY = b"k" * 32
SCHEMA = "cimfed"


def whole(rows: pa.Table, *, geometry: bool) -> Shape:
    """All columns of the rows, exact."""
    named = [name for name in rows.schema.names if not follows_geometry(made.BUILDING.properties[name])]
    return Shape("building", frozenset(), frozenset(), dict.fromkeys(named, EXACT), 3 if geometry else None, (0, 1))


class DuckDBBench:
    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "snapshots").mkdir()
        self._builder = FileBuilder(home / "snapshots", home / "views", home / "scratch", KEY, threads=1)
        self.store: Store = self.limited(LIMITS)

    def view(self, rows: pa.Table, *, geometry: bool = True) -> View:
        return self.shaped(rows, whole(rows, geometry=geometry))

    def shaped(self, rows: pa.Table, shape: Shape) -> View:
        return self._builder.build(made.write_snapshot(self._home / "snapshots", rows), shape)

    def remove(self, view: View) -> None:
        Path(view.source).unlink()

    def limited(self, limits: Limits) -> Store:
        return DuckDBStore(self._home / "views", threads=2, limits=limits)

    def close(self) -> None:
        self._builder.close()
        self.store.close()


class PostGISBench:
    """In a database of its own, as an operator sets it up."""

    def __init__(self, home: Path, cluster: Cluster) -> None:
        self._home = home
        self.database = cluster.database()
        self.role, self.serving = serving_role(self.database)
        set_up(self.database.url, SCHEMA, self.role)
        self.views = PostGISViews(self.database.url, SCHEMA)
        self.builder = PostGISBuilder(self.database.url, SCHEMA, self.role, KEY)
        self.store: Store = self.limited(LIMITS)

    def view(self, rows: pa.Table, *, geometry: bool = True) -> View:
        return self.shaped(rows, whole(rows, geometry=geometry))

    def load(self, rows: pa.Table) -> Source:
        return load(self.database.url, SCHEMA, made.write_snapshot(self._home / "snapshots", rows))

    def shaped(self, rows: pa.Table, shape: Shape) -> View:
        return self.builder.build(self.load(rows), shape)

    def remove(self, view: View) -> None:
        self.views.drop(view.id)

    def limited(self, limits: Limits) -> Store:
        return PostGISStore(self.serving, SCHEMA, limits=limits)

    def close(self) -> None:
        self.store.close()


def serving_role(database: Database) -> tuple[str, str]:
    """A role that can do nothing yet, and its URL."""
    name, password = f"serving_{secrets.token_hex(4)}", secrets.token_hex(8)
    with database.connect(autocommit=True) as connection:
        role, secret = sql.Identifier(name), sql.Literal(password)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, secret))
    return name, database.url_of(name, password)
