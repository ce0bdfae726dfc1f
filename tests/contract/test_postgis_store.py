"""The server store keeps the contract, over views that its builder made of loaded snapshots."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.benches import PostGISBench
from tests.contract.store_contract import StoreContract
from tests.postgres import Cluster


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, postgres: Cluster) -> Iterator[PostGISBench]:
    found = PostGISBench(tmp_path_factory.mktemp("home"), postgres)
    yield found
    found.close()


class TestPostGISStore(StoreContract):
    pass
