"""A server that is started again: the statement under way fails, the next ones find their views as they were."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest

from cimfed.errors import CimfedError
from cimfed.query.expression import Comparator, Comparison, Literal, Property
from cimfed.query.query import Read
from tests.contract.benches import PostGISBench
from tests.contract.store_contract import everything, wide
from tests.postgres import running


def test_a_restart_costs_the_statements_under_way_and_nothing_else(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="cimfed-postgres-") as folder:
        Path(folder).chmod(0o755)
        with running(Path(folder) / "cluster") as cluster:
            bench = PostGISBench(tmp_path, cluster)
            view = bench.view(wide(20_000), geometry=False)
            few = Read("building", Comparison(Comparator.LT, Property("height"), Literal(Decimal(1))))
            before = everything(bench.store.read(view, few))
            under_way, idle = (bench.store.read(view, Read("building")) for _ in range(2))
            assert everything(idle).num_rows == 20_000
            assert under_way.read_next() is not None
            cluster.restart()
            with pytest.raises(CimfedError) as gone:
                everything(under_way)
            assert (gone.value.reason, gone.value.message) == ("internal", "the node's database cannot be reached")
            assert everything(bench.store.read(view, few)).equals(before)
            assert bench.views.open(view.id) == view
            bench.close()
