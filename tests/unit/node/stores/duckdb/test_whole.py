"""Reading a whole view without the engine gives what the engine gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from cimfed.errors import CimfedError
from cimfed.policy.shape import EXACT, Shape
from cimfed.query.expression import IsNull, Not, Property
from cimfed.query.query import Read
from cimfed_node.stores.base import View
from cimfed_node.stores.duckdb import DuckDBStore
from cimfed_node.views import FileBuilder
from tests.contract.store_contract import everything
from tests.unit.node import rows as made

ALWAYS = Not(IsNull(Property("city")))
COLUMNS = (*made.COLUMNS, "name", "zmin", "valid_to")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def view(home: Path) -> View:
    rows = [
        made.building(
            at,
            None if at % 9 == 0 else shapely.Point(76 + at / 1e6, 43).buffer(0.001, quad_segs=at % 12 + 1),
            height=None if at % 5 == 0 else Decimal(at).scaleb(-2),
            function=None if at % 4 == 0 else f"функция {at % 11}",
            name=None if at % 3 == 0 else [("kk", f"Үй {at}"), ("und", "")],
            year_built=at,
        )
        for at in range(40_000)
    ]
    names = [name for name in COLUMNS if name not in ("city", "bbox", "geometry_lod0")]
    of = Shape("building", frozenset(), frozenset(), dict.fromkeys(names, EXACT), 1, (0, 1))
    builder = FileBuilder(home / "snapshots", home / "views", home / "scratch", b"k" * 32)
    found = builder.build(made.write_snapshot(home / "snapshots", made.table(rows, COLUMNS)), of)
    builder.close()
    assert pq.read_metadata(found.source).num_row_groups > 1
    return found


@pytest.fixture(scope="module")
def store(home: Path, view: View) -> Iterator[DuckDBStore]:
    found = DuckDBStore(home / "views")
    yield found
    found.close()


@pytest.mark.parametrize("properties", [None, ("id",), ("height", "name"), ("bbox", "no_such", "id", "energy_kwh")])
def test_rows_order_and_schema_are_the_engines(
    store: DuckDBStore, view: View, properties: tuple[str, ...] | None
) -> None:
    whole, asked = (everything(store.read(view, Read("building", where, properties))) for where in (None, ALWAYS))
    assert whole.schema.equals(asked.schema, check_metadata=True)
    assert whole.equals(asked)
    assert whole.num_rows == 40_000


def test_a_large_row_group_is_decoded_batch_by_batch_to_the_same_rows(
    store: DuckDBStore, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(store.read(view, Read("building")))
    monkeypatch.setattr("cimfed_node.stores.duckdb.whole._AT_ONCE", 0)
    assert everything(store.read(view, Read("building"))).equals(before)


def test_batches_are_cut_evenly_and_near_their_size(store: DuckDBStore, view: View) -> None:
    reader = store.read(view, Read("building"))
    batches: list[pa.RecordBatch] = []
    while (batch := reader.read_next()) is not None:
        batches.append(batch)
    reader.close()
    assert len(batches) > 5
    assert max(batch.nbytes for batch in batches) <= 2 * 2**20
    rows = [batch.num_rows for batch in batches]
    assert min(rows) >= max(rows) // 3


def test_a_file_outside_the_folder_is_not_read(store: DuckDBStore, view: View, home: Path) -> None:
    (outside,) = (home / "snapshots").glob("*/building.parquet")
    link = home / "views" / "link.parquet"
    link.symlink_to(outside)
    for path in (outside, link, home / "views" / ".." / outside.relative_to(home)):
        for where in (None, ALWAYS):
            with pytest.raises(CimfedError) as refused:
                everything(store.read(replace(view, source=str(path)), Read("building", where)))
            assert refused.value.reason == "internal"
            assert "snapshots" not in str(refused.value)


def test_an_interrupt_between_two_batches_of_a_row_group_is_heard(store: DuckDBStore, view: View) -> None:
    reader = store.read(view, Read("building"))
    assert isinstance(reader.read_next(), pa.RecordBatch)
    reader.interrupt()
    with pytest.raises(CimfedError):
        reader.read_next()
    reader.close()
