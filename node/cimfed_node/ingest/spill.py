"""Chunks on disk, and their merge into one sorted GeoParquet file in bounded memory.

Every chunk is sorted by its Hilbert keys and written as an uncompressed Arrow file, which is mapped, not read, later
on. Of all rows only the keys stay in memory. Whatever range of the curve is wanted next is one slice of each chunk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj

from cimfed.model.routing import Extent
from cimfed_node.ingest.arrays import Bools, Ints, Keys, taken
from cimfed_node.ingest.crs import CRS84
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.room import Room

GEOPARQUET = "1.1.0"


class Spill:
    """Sorted chunks in a folder of their own. ``skip`` takes rows out; they are written by no merge."""

    def __init__(self, folder: Path, schema: pa.Schema, room: Room | None = None) -> None:
        self._folder = folder
        self._room = room or Room()
        self.schema = schema
        self._keys: list[Keys] = []
        self._reading: list[Ints] = []
        self._kept: list[Bools] = []
        self._bytes = 0
        self.rows = 0

    def add(self, table: pa.Table, keys: Keys, reading: Ints) -> None:
        """A chunk in the order of its keys; ``reading``: the rows' numbers in the order that they were read in."""
        if not table.num_rows:
            return
        path = self._path(len(self._keys))
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, self.schema) as writer:
            writer.write_table(table.combine_chunks())
        self._room.took(path.stat().st_size)
        self._keys.append(keys)
        self._reading.append(reading)
        self._kept.append(np.ones(len(keys), np.bool_))
        self._bytes += table.nbytes
        self.rows += table.num_rows

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06}.arrow"

    def chunk(self, number: int) -> pa.Table:
        """A chunk, mapped into memory."""
        with pa.memory_map(str(self._path(number))) as source:
            return pa.ipc.open_file(source).read_all()

    @property
    def chunks(self) -> int:
        return len(self._keys)

    def reading(self, number: int) -> Ints:
        return self._reading[number]

    @property
    def room(self) -> Room:
        return self._room

    def skip(self, number: int, row: int) -> None:
        self.rows -= int(self._kept[number][row])
        self._kept[number][row] = False

    def merged(self) -> Iterator[pa.Table]:
        """All rows in the order of their keys, ties in the order of adding, in tables of bounded size."""
        if not self.rows:
            return
        keys = np.concatenate([k[kept] for k, kept in zip(self._keys, self._kept, strict=True)])
        chunk = np.repeat(np.arange(self.chunks), [int(kept.sum()) for kept in self._kept])
        place = np.concatenate([np.flatnonzero(kept) for kept in self._kept])
        order = np.argsort(keys, kind="stable")
        del keys
        tables = [self.chunk(number) for number in range(self.chunks)]
        step = max(1, LIMITS.merge_bytes * self.rows // max(1, self._bytes))
        for start in range(0, len(order), step):
            wanted = order[start : start + step]
            slices, position = [], np.empty(len(wanted), np.int64)
            before = 0
            for number in np.unique(chunk[wanted]):
                here = np.flatnonzero(chunk[wanted] == number)
                places = place[wanted[here]]
                low, high = int(places.min()), int(places.max()) + 1
                slices.append(tables[number].slice(low, high - low))
                position[here] = before + places - low
                before += high - low
            yield taken(pa.concat_tables(slices), position).combine_chunks()


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables cut into row groups."""
    for table in tables:
        rows = max(1, min(LIMITS.group_rows, LIMITS.group_bytes * table.num_rows // max(1, table.nbytes)))
        for start in range(0, table.num_rows, rows):
            yield table.slice(start, rows)


def geo_metadata(extent: Extent | None, kinds: Mapping[str, set[str]], columns: list[str]) -> bytes:
    """The ``geo`` entry of GeoParquet 1.1, with the covering box column and the CRS as PROJJSON."""
    crs = pyproj.CRS.from_user_input(CRS84).to_json_dict()
    geometries = [name for name in columns if name.startswith("geometry_")]
    entries: dict[str, dict[str, object]] = {
        name: {"encoding": "WKB", "geometry_types": sorted(kinds.get(name, ())), "crs": crs, "edges": "planar"}
        for name in geometries
    }
    primary = entries["geometry_lod0"]
    primary["orientation"] = "counterclockwise"
    primary["covering"] = {"bbox": {corner: ["bbox", corner] for corner in ("xmin", "ymin", "xmax", "ymax")}}
    if extent is not None:
        primary["bbox"] = list(extent)
    return json.dumps({"version": GEOPARQUET, "primary_column": "geometry_lod0", "columns": entries}).encode()


def write_parquet(
    spill: Spill, path: Path, schema: pa.Schema, geo: bytes, progress: Callable[[str, int, int], None] | None = None
) -> None:
    """All rows as one GeoParquet file: zstd, Hilbert order, statistics on all but geometry and text maps."""
    coded: Any = [f.name for f in schema if f.type == pa.string() and f.name not in ("id", "ext")]
    counted = [f.name for f in schema if f.type != pa.binary() and not pa.types.is_nested(f.type)]
    boxes = [f"bbox.{corner}" for corner in ("xmin", "ymin", "xmax", "ymax")]
    schema = schema.with_metadata({b"geo": geo})
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=coded,
        write_statistics=counted + boxes,
        write_batch_size=1024,
    ) as writer:
        written = size = 0
        for table in _groups(spill.merged()):
            writer.write_table(table.cast(schema), row_group_size=table.num_rows)
            written += table.num_rows
            before, size = size, path.stat().st_size
            spill.room.took(size - before)
            if progress is not None:
                progress("writing", written, spill.rows)
