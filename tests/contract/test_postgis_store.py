"""The server store keeps the contract, over views that its builder made of loaded snapshots."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from psycopg import sql

from cimfed.model.limits import LIMITS, Limits
from cimfed.policy.shape import EXACT, Shape, follows_geometry
from cimfed_node.stores.base import Store, View
from cimfed_node.stores.postgis import PostGISStore
from cimfed_node.views.postgis import PostGISBuilder, PostGISViews, load, set_up
from tests.contract.store_contract import StoreContract
from tests.postgres import Cluster
from tests.unit.node import rows as made

SCHEMA = "cimfed"


class PostGISBench:
    def __init__(self, home: Path, cluster: Cluster) -> None:
        database = cluster.database()
        self.url = database.url
        self._home = home
        serving, password = f"{database.name}_serving", secrets.token_hex(8)
        with database.connect(autocommit=True) as connection:
            role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(role.format(sql.Identifier(serving), sql.Literal(password)))
        set_up(database.url, SCHEMA, serving)
        self.serving = database.url_of(serving, password)
        self._builder = PostGISBuilder(database.url, SCHEMA, serving, b"k" * 32)
        self.store: Store = self.limited(LIMITS)

    def view(self, rows: pa.Table, *, geometry: bool = True) -> View:
        named = [name for name in rows.schema.names if not follows_geometry(made.BUILDING.properties[name])]
        shape = Shape(
            "building", frozenset(), frozenset(), dict.fromkeys(named, EXACT), 3 if geometry else None, (0, 1)
        )
        return self.shaped(rows, shape)

    def shaped(self, rows: pa.Table, shape: Shape) -> View:
        snapshot = made.write_snapshot(self._home / "snapshots", rows)
        return self._builder.build(load(self.url, SCHEMA, snapshot), shape)

    def remove(self, view: View) -> None:
        PostGISViews(self.url, SCHEMA).drop(view.id)

    def limited(self, limits: Limits) -> Store:
        return PostGISStore(self.serving, SCHEMA, limits=limits)

    def close(self) -> None:
        self.store.close()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, postgres: Cluster) -> Iterator[PostGISBench]:
    found = PostGISBench(tmp_path_factory.mktemp("home"), postgres)
    yield found
    found.close()


class TestPostGISStore(StoreContract):
    pass
