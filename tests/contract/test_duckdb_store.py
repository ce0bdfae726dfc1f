"""The embedded store keeps the contract, over views that the builder made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.benches import DuckDBBench
from tests.contract.store_contract import StoreContract


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBBench]:
    found = DuckDBBench(tmp_path_factory.mktemp("home"))
    yield found
    found.close()


class TestDuckDBStore(StoreContract):
    pass
