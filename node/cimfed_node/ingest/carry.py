"""What a new snapshot takes over from the one before it: its rows and its untouched objects, but for those left out.

Rows go through the spill like those of files, a row group at a time, and come out in one Hilbert order with them.
Untouched objects go over line by line. Of all that is taken over only ids stay in memory, of one batch at a time.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from cimfed.errors import BadFile
from cimfed_node.ingest.arrays import Bools, Floats, Ints, starts, taken
from cimfed_node.ingest.hilbert import hilbert_keys
from cimfed_node.ingest.limits import LIMITS, MIB
from cimfed_node.ingest.reach import Reach
from cimfed_node.ingest.shapes import LEVELS
from cimfed_node.ingest.snapshot import Snapshot
from cimfed_node.ingest.spill import Spill
from cimfed_node.ingest.table import KINDS

Leaving = Callable[[pa.Table], Bools]
"""Which rows of a table are left out."""
_OBJECT = b',"object":'  # stands in no JSON text: a quote in one has a backslash before it
_IDS = b'{"ids":'


@dataclass
class Carried:
    """What was taken over. ``left``: rows left out. ``heights``: any of them says how high it is."""

    rows: int = 0
    left: int = 0
    heights: bool = False
    reach: Reach = field(default_factory=Reach)
    kinds: dict[str, set[str]] = field(default_factory=dict)


def carry_rows(base: Snapshot, spill: Spill, leaving: Leaving, carried: Carried) -> None:
    """The rows of ``base`` into the spill, but for those that are left out. BadFile where their columns are others."""
    for path in base.paths:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(spill.schema):
                raise BadFile(
                    "the current snapshot has other columns than this release's vocabulary",
                    place=base.id,
                    remedy="Import the whole source again, without --update",
                )
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                left = leaving(table)
                carried.left += int(left.sum())
                table = taken(table, np.flatnonzero(~left)).cast(spill.schema)
                _add(table, spill, carried)


def _add(table: pa.Table, spill: Spill, carried: Carried) -> None:
    if not table.num_rows:
        return
    box: Any = table.column("bbox").combine_chunks()
    bounds: Floats = np.column_stack([np.asarray(c.to_numpy(zero_copy_only=False), np.float64) for c in box.flatten()])
    keys = hilbert_keys(bounds)
    order: Ints = np.argsort(keys, kind="stable")
    spill.add(taken(table, order), keys[order], order)
    carried.rows += table.num_rows
    carried.reach.widen(table)
    carried.heights |= table.column("zmin").null_count < table.num_rows
    places: Any = table.column("geometry_lod0").drop_null().to_numpy()
    kinds = np.unique(shapely.get_type_id(shapely.from_wkb(places)))
    carried.kinds.setdefault("geometry_lod0", set()).update(KINDS[kind] for kind in kinds.tolist())
    for level in LEVELS:
        name = f"geometry_lod{level}"
        if table.column(name).null_count < table.num_rows:
            carried.kinds.setdefault(name, set()).add("MultiPolygon Z")


class Original(NamedTuple):
    """A line of an original: an untouched object and the ids of the rows that came of it."""

    ids: list[str]
    line: bytes

    @property
    def raw(self) -> bytes:
        """The object's JSON."""
        return self.line.partition(_OBJECT)[2].rstrip()[:-1]


Keeping = Callable[[list[Original]], list[list[str]]]
"""For each object the ids that it is kept for; none: it is left out."""


def carry_originals(base: Snapshot, sink: BinaryIO | Any, keeping: Keeping) -> None:
    """The untouched objects of ``base``, but for those that are kept for no row."""
    for path in base.originals:
        _carry_file(path, sink, keeping)


def original_items(snapshot: Snapshot) -> Iterator[Original]:
    """The untouched objects of a snapshot."""
    for path in snapshot.originals:
        with _opened(path) as stream:
            for lines in _batches(stream, path):
                yield from (item for line in lines if (item := _read(line)) is not None)


def original_lines(snapshot: Snapshot) -> Iterator[tuple[bytes, Original]]:
    """The same, one at a time, each with the line of its file's header."""
    for path in snapshot.originals:
        header = b""
        with _opened(path) as stream:
            for line in _lines(stream, path):
                item = _read(line)
                if item is None:
                    header = line
                else:
                    yield header, item


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with (
        pa.input_stream(str(path), compression="zstd") as packed,
        io.BufferedReader(packed, MIB) as stream,  # type: ignore[type-var]
    ):
        yield stream


def _carry_file(path: Path, sink: Any, keeping: Keeping) -> None:
    header = b""  # of the file that the objects after it came from; written once one of them is
    with _opened(path) as stream:
        for lines in _batches(stream, path):
            read = [_read(line) for line in lines]
            kept = iter(keeping([item for item in read if item is not None]))
            out: list[bytes] = []
            for line, item in zip(lines, read, strict=True):
                if item is None:
                    header = line
                elif ids := next(kept):
                    if header:
                        out.append(header)
                        header = b""
                    out.append(line if len(ids) == len(item.ids) else original_line(ids, item.raw))
            sink.write(b"".join(out))


def _lines(stream: Any, path: Path) -> Iterator[bytes]:
    while line := stream.readline(2 * LIMITS.document):
        if not line.endswith(b"\n"):
            raise BadFile("a line of the original is cut short", place=f"{path.parent.name}/{path.name}")
        yield line


def _batches(stream: Any, path: Path) -> Iterator[list[bytes]]:
    every = _lines(stream, path)
    while True:
        batch, size = [], 0
        for line in islice(every, LIMITS.chunk_objects):
            batch.append(line)
            size += len(line)
            if size > LIMITS.merge_bytes:
                break
        if not batch:
            return
        yield batch


def _read(line: bytes) -> Original | None:
    """None for a header."""
    if not line.startswith(_IDS):
        return None
    return Original(orjson.loads(line[len(_IDS) : line.index(_OBJECT)]), line)


def original_line(ids: list[str], raw: bytes) -> bytes:
    """One untouched object with the ids of the rows that came of it."""
    return b'{"ids":%b,"object":%b}\n' % (orjson.dumps(ids), raw)


def flat_ids(originals: list[Original]) -> tuple[list[str], Ints]:
    """All ids of all of them, and where each one's begin."""
    return [id for item in originals for id in item.ids], starts(np.array([len(item.ids) for item in originals]))
