"""A snapshot of what another one holds, without some of it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cimfed_node.ingest.carry import Carried, Keeping, Leaving, carry_originals, carry_rows
from cimfed_node.ingest.snapshot import IMPORTING, ORIGINAL, Snapshot, seal_snapshot
from cimfed_node.ingest.spill import Spill, geo_metadata, write_parquet
from cimfed_node.room import Room


def reduced(
    base: Snapshot, leaving: Leaving, keeping: Keeping, into: Path, room: Room | None = None
) -> tuple[Snapshot, Carried]:
    """The snapshot, below ``into``, of one segment; all that the inventory says but of rows and files is the base's."""
    folder = Path(tempfile.mkdtemp(prefix=IMPORTING, dir=into))
    try:
        scratch = folder / "scratch"
        scratch.mkdir()
        schema = pq.read_schema(base.path).remove_metadata()
        spill, carried = Spill(scratch, schema, room), Carried()
        carry_rows(base, spill, leaving, carried)
        geo = geo_metadata(carried.reach.extent, carried.kinds, schema.names)
        write_parquet(spill, folder / base.path.name, schema, geo)
        if base.originals:
            with pa.OSFile(str(folder / ORIGINAL), "wb") as file, pa.CompressedOutputStream(file, "zstd") as sink:
                carry_originals(base, sink, keeping)
        shutil.rmtree(scratch)
        facts = {key: value for key, value in base.inventory.items() if key not in ("format", "files")}
        return seal_snapshot(folder, into, facts | {"rows": carried.rows, **carried.reach.facts()}), carried
    finally:
        shutil.rmtree(folder, ignore_errors=True)
