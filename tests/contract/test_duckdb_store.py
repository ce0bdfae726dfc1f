"""The embedded store keeps the contract, over views that the builder made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from cimfed.model.limits import LIMITS, Limits
from cimfed.policy.shape import EXACT, Shape, follows_geometry
from cimfed_node.stores.base import Store, View
from cimfed_node.stores.duckdb import DuckDBStore
from cimfed_node.views import FileBuilder
from tests.contract.store_contract import StoreContract
from tests.unit.node import rows as made


class DuckDBBench:
    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "snapshots").mkdir()
        self._builder = FileBuilder(home / "snapshots", home / "views", home / "scratch", b"k" * 32, threads=1)
        self.store: Store = self.limited(LIMITS)

    def view(self, rows: pa.Table, *, geometry: bool = True) -> View:
        named = [name for name in rows.schema.names if not follows_geometry(made.BUILDING.properties[name])]
        shape = Shape(
            "building", frozenset(), frozenset(), dict.fromkeys(named, EXACT), 3 if geometry else None, (0, 1)
        )
        return self._builder.build(made.write_snapshot(self._home / "snapshots", rows), shape)

    def remove(self, view: View) -> None:
        Path(view.source).unlink()

    def limited(self, limits: Limits) -> Store:
        return DuckDBStore(self._home / "views", threads=2, limits=limits)

    def close(self) -> None:
        self._builder.close()
        self.store.close()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBBench]:
    found = DuckDBBench(tmp_path_factory.mktemp("home"))
    yield found
    found.close()


class TestDuckDBStore(StoreContract):
    pass
