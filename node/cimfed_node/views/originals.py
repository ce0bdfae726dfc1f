"""The untouched objects of a view, in a second file beside its rows: row by row in their order.

Row n of the file is of row n of the view: the object as JSON text and the number of what its file says of all its
objects; null where none is given. The headers themselves stand in the file's schema, as answers have them. Rules:

1. An object is given where every id that stands with it is a row of the view, and at the first of these rows. An id
   that stands in several objects (they were merged, or renamed since) gives none of them: whose it is cannot be told.
   What is of no row, such as appearances of a whole file, is not given.
2. Given are headers of given objects alone, numbered anew: a file of which nothing is given is not named.
3. An object of more than ``MOST`` bytes would not fit into a frame with its row, and is left out. Headers of more than
   the limit together leave out all.
4. Objects are read once and laid in the scratch folder; the join by id is the engine's, and goes to the disk where it
   must. In memory are one group of rows, and a digest of each header.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from cimfed.errors import BadFile
from cimfed.model.limits import LIMITS, MIB
from cimfed.model.schema import ORIGINAL_FIELDS, ORIGINALS
from cimfed_node.ingest.carry import original_lines
from cimfed_node.ingest.snapshot import Snapshot
from cimfed_node.stores.base import MAX_BATCH, Engine, View
from cimfed_node.stores.width import OFFSET
from cimfed_node.views.files import facts_of

MOST = MAX_BATCH  # bytes of one object
GROUP_BYTES = 8 * MIB
GROUP_ROWS = 61_440
_NAMED = pa.schema([("id", pa.string()), *((name, pa.int64()) for name in ("object", "begins", "size", "header"))])  # type: ignore[arg-type]
_TOO_LARGE = -1  # the size of an object that was not laid aside
_PLACE = """
COPY (
    WITH named AS (SELECT * FROM read_parquet($2)),
    shown AS (SELECT t.id, t.file_row_number AS place FROM read_parquet($1) AS t),
    doubled AS (SELECT id FROM named GROUP BY id HAVING count(*) > 1),
    hidden AS (
        SELECT named.object FROM named ANTI JOIN shown USING (id)
        UNION SELECT named.object FROM named SEMI JOIN doubled USING (id)
    ),
    given AS (
        SELECT min(shown.place) AS place, named.object, begins, size, header
        FROM named ANTI JOIN hidden USING (object) JOIN shown USING (id) GROUP BY named.object, begins, size, header
    )
    SELECT shown.place, begins, size, header FROM shown LEFT JOIN given USING (place) ORDER BY shown.place
) TO $3 (FORMAT parquet, COMPRESSION lz4_raw)
"""
_COUNT = """
SELECT count(*) FILTER (WHERE size >= 0), count(*) FILTER (WHERE size < 0),
       coalesce(sum(size) FILTER (WHERE size >= 0), 0), list(DISTINCT header ORDER BY header) FILTER (WHERE size >= 0)
FROM read_parquet($1)
"""
Run = Callable[[str, list[Any]], tuple[Any, ...]]
"""Runs a statement in the building engine and gives its first row."""


@dataclass(frozen=True)
class Originals:
    """What was made. ``rows`` have their original; those of ``large`` objects have none. ``why``: there is no file."""

    rows: int = 0
    large: int = 0
    width: float = 0.0
    why: str = ""

    def told(self) -> str:
        """For the operator."""
        if self.why:
            return f"no untouched objects: {self.why}"
        large = f"; {self.large:,} are of more than {MOST / MIB:g} MiB" if self.large else ""
        return f"{self.rows:,} untouched objects{large}"


NONE_KEPT = Originals(why="the snapshot keeps none")
IN_A_DATABASE = Originals(why="a view in a database has none")


def told(view: View) -> str:
    """What came of the untouched objects of a view whose grant gives them, for the operator."""
    if view.engine is not Engine.DUCKDB:
        return IN_A_DATABASE.told()
    said = facts_of(Path(view.source))["originals"]
    return Originals(said["rows"], said["large"], why=said["why"]).told()


def write_originals(snapshot: Snapshot, rows: Path, path: Path, scratch: Path, run: Run) -> Originals:
    """Writes the file beside a view's ``rows``, whose ids are the snapshot's own; not where there is nothing to give.

    Raises BadFile where the snapshot's originals cannot be read.
    """
    if not snapshot.originals:
        return NONE_KEPT
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name).resolve()
        named, placed = folder / "named.parquet", folder / "placed.parquet"
        with (folder / "objects").open("w+b", buffering=MIB) as objects:
            try:
                headers = _lay_aside(snapshot, objects, named)
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # the disk's own
                raise BadFile("the snapshot's originals cannot be read", place=snapshot.id) from None
            run(_PLACE, [str(rows), str(named), str(placed)])
            given, large, size, used = run(_COUNT, [str(placed)])
            used = used or []
            if sum(headers[number][1] + 1 for number in used) + 1 > LIMITS.headers:
                most = LIMITS.headers // MIB
                return Originals(large=large, why=f"what their files say of all objects has more than {most} MiB")
            texts = [os.pread(objects.fileno(), *reversed(headers[number])) for number in used]
            _write(placed, objects, {number: at for at, number in enumerate(used)}, texts, path)
    total = pq.read_metadata(path).num_rows
    return Originals(given, large, round(float(size) / max(total, 1) + OFFSET + 1 / 8, 3))


@dataclass
class _Headers:
    """Where each header that differs from those before it lies, by number: its begin and its size."""

    file: BinaryIO
    places: list[tuple[int, int]] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)

    def number(self, line: bytes) -> int:
        digest = hashlib.sha256(line).digest()
        if digest not in self.numbers:
            self.numbers[digest] = len(self.places)
            text = line.rstrip()
            begins = self.file.tell()
            self.file.write(text)
            self.places.append((begins, len(text)))
        return self.numbers[digest]


def _lay_aside(snapshot: Snapshot, objects: BinaryIO, named: Path) -> list[tuple[int, int]]:
    """All objects one after the other, and beside them the ids with the place of each; gives those of the headers."""
    headers = _Headers(objects)
    rows: list[tuple[str, int, int, int, int]] = []
    last, header = b"", -1
    with pq.ParquetWriter(named, _NAMED, compression="lz4") as writer:

        def put() -> None:
            arrays = [pa.array(column, at.type) for column, at in zip(zip(*rows, strict=True), _NAMED, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=_NAMED))
            rows.clear()

        for number, (line, item) in enumerate(original_lines(snapshot)):
            if not item.ids:
                continue
            if line is not last:
                last, header = line, headers.number(line)
            raw, begins = item.raw, objects.tell()
            size = len(raw) if len(raw) <= MOST else _TOO_LARGE
            if size != _TOO_LARGE:
                objects.write(raw)
            rows.extend((id, number, begins, size, header) for id in item.ids)
            if len(rows) >= GROUP_ROWS:
                put()
        if rows:
            put()
    objects.flush()
    return headers.places


def _write(placed: Path, objects: BinaryIO, numbers: Mapping[int, int], headers: Sequence[bytes], path: Path) -> None:
    schema = pa.schema(ORIGINAL_FIELDS, metadata={ORIGINALS: b"[" + b",".join(headers) + b"]"})
    options: dict[str, Any] = {"compression": "zstd", "use_dictionary": False, "write_statistics": False}
    with pq.ParquetWriter(path, schema, **options) as writer:
        for group in _groups(placed):
            texts = [None if at is None else os.pread(objects.fileno(), at.size, at.begins) for at in group]
            which = [None if at is None else numbers[at.header] for at in group]
            arrays: list[Any] = [pa.array(texts, pa.binary()).cast(pa.string()), pa.array(which, pa.int64())]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema), row_group_size=len(group))


class Place(NamedTuple):
    begins: int
    size: int
    header: int


def _groups(placed: Path) -> Iterator[list[Place | None]]:
    """Rows of about ``GROUP_BYTES``; None is a row without its original."""
    group: list[Place | None] = []
    size = 0
    with pq.ParquetFile(placed) as file:
        for batch in file.iter_batches(GROUP_ROWS, columns=["begins", "size", "header"], use_threads=False):
            for begins, length, header in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                at = None if length in (None, _TOO_LARGE) else Place(begins, length, header)
                more = 0 if at is None else at.size
                if group and (len(group) >= GROUP_ROWS or size + more > GROUP_BYTES):
                    yield group
                    group, size = [], 0
                group.append(at)
                size += more
    if group:
        yield group
