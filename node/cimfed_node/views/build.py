"""Builds views: one statement over a snapshot, written as a file that is whole or not there.

Leaves out: which shapes there are (``cimfed.policy``), which views are current (the control tables).
Rules:
1. What the shape does not give is not in the file: not in rows, statistics or dictionaries, since the engine writes
   these from the rows that it is given.
2. The bytes are flushed before the name is given; an id that is there already is used as it stands.
3. An order of rows that is drawn by key is the view's own: by a common one, rows of two grants that share no column
   could be laid side by side, and rows of one be followed from snapshot to snapshot.
4. Order and row groups, which callers see as the cuts between batches, come from the view's own rows (``layout``),
   never from what the snapshot holds beside them.
5. Names that leave the node are keyed by the city's secret: a hash of hidden things could be found by guessing them.
6. lz4, which reads twice as fast as zstd and as fast as no compression (measured), at four fifths of the size of that.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from cimfed.errors import BadFile, CimfedError
from cimfed.model.limits import MIB
from cimfed.model.originals import ORIGINAL
from cimfed.model.schema import field
from cimfed.model.vocabulary import VOCABULARY
from cimfed.policy.meet import shape_hash
from cimfed.policy.shape import Shape, gives_originals
from cimfed.trust.hashing import digest
from cimfed_node.ingest.snapshot import Snapshot
from cimfed_node.room import no_room
from cimfed_node.sql import shapes
from cimfed_node.sql.duckdb import DUCKDB
from cimfed_node.sql.statement import Statement
from cimfed_node.stores.base import View
from cimfed_node.stores.duckdb import engine
from cimfed_node.stores.width import OFFSET, fixed_width
from cimfed_node.views import files, layout
from cimfed_node.views.geoparquet import geo_metadata
from cimfed_node.views.originals import write_originals

ORDER_DOMAIN = "cimfed view order v1"


class FileBuilder:
    """Reads snapshots below ``snapshots``, writes views into ``views``; ``key`` is the city's secret, 32 bytes.

    ``memory`` (bytes) and ``threads`` are the engine's; what does not fit goes to ``scratch`` while it runs.
    """

    def __init__(
        self,
        snapshots: Path,
        views: Path,
        scratch: Path,
        key: bytes,
        *,
        memory: int = 1024 * MIB,
        threads: int = 2,
    ) -> None:
        views.mkdir(mode=files.FOLDER_MODE, parents=True, exist_ok=True)
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._views = views.resolve()
        self._scratch = scratch
        self._key = key
        self._engine = engine.building([snapshots, views], scratch, memory=memory, threads=threads)
        self._self_test()

    def build(self, snapshot: Snapshot, shape: Shape) -> View:
        """The view of a shape of a snapshot; an empty one is a view too.

        Raises BadFile when the snapshot cannot be read, CimfedError when the engine fails; nothing is left behind.
        """
        if shape.collection != snapshot.collection:
            raise CimfedError("the shape is of another collection than the snapshot")
        hashed = shape_hash(shape)
        id = files.view_id(self._key, snapshot.id, hashed)
        path = files.rows_path(self._views, id)
        standing = files.standing(path)
        if standing is not None:
            return standing
        try:
            footers = [pq.read_metadata(path) for path in snapshot.paths]
        except (OSError, pa.ArrowInvalid):
            raise BadFile("the snapshot cannot be read", place=snapshot.id) from None
        names = frozenset(footers[0].schema.to_arrow_schema().names)
        schema = _schema(shape, names)
        order = digest(ORDER_DOMAIN, [self._key, id])
        sources = [str(path.resolve()) for path in snapshot.paths]
        statement = shapes.view(shape, names, sources, order, DUCKDB)
        temporary = f".{id}-{secrets.token_hex(8)}"
        ends = ("draft", "parquet", "json", "original.parquet")
        draft_file, rows_file, facts_file, originals_file = (self._views / f"{temporary}.{end}" for end in ends)
        try:
            rows = self._write(statement, schema.names, layout.group_rows(schema), draft_file)
            widths = self._widths(schema, rows, draft_file)
            layout.arrange(draft_file, rows_file, schema, widths, order, self._scratch)
            facts: dict[str, Any] = {
                "id": id,
                "city": snapshot.city,
                "collection": snapshot.collection,
                "snapshot": files.shown_snapshot(self._key, snapshot.id),
                "shape_hash": hashed.hex(),
                "compiler": files.COMPILER,
                "columns": {name: str(mask) for name, mask in shapes.columns_of(shape, names).items()},
                "rows": rows,
                "widths": widths,
                "size": rows_file.stat().st_size,
                "sha256": files.sha256_of(rows_file),
            }
            if gives_originals(shape):
                made = write_originals(snapshot, rows_file, originals_file, self._scratch, self._one)
                facts["originals"] = asdict(made)
                if not made.why:
                    widths[ORIGINAL] = made.width
                    facts["originals"] |= {
                        "size": originals_file.stat().st_size,
                        "sha256": files.sha256_of(originals_file),
                    }
                    files.settle(originals_file, files.originals_path(path))
            files.write_facts(facts_file, facts)
            files.settle(facts_file, path.with_suffix(".json"))
            files.settle(rows_file, path)
            files.flush(self._views)
        finally:
            for left in (draft_file, rows_file, facts_file, originals_file):
                left.unlink(missing_ok=True)
        return files.open_view(path)

    def close(self) -> None:
        self._engine.close()

    def _write(self, statement: Statement, names: Sequence[str], group_rows: int, path: Path) -> int:
        """Writes the statement's rows and gives their number."""
        parameters = list(statement.parameters)
        options = f"FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE {group_rows}, USE_TMP_FILE false"
        geo = geo_metadata(names)
        if geo is not None:
            options += f", KV_METADATA {{geo: '{geo.replace(chr(39), chr(39) * 2)}'}}"
        parameters.append(str(path))
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return int(self._one(f"COPY ({statement.text}) TO ${len(parameters)} ({options})", parameters)[0])

    def _widths(self, schema: pa.Schema, rows: int, path: Path) -> dict[str, float]:
        """Arrow bytes of a row, of the columns whose values vary in length."""
        varying = [at for at in schema if fixed_width(at.type) is None]
        if not varying or not rows:
            return {at.name: float(OFFSET) for at in varying}
        items = ", ".join(f"sum({_bytes(at)})::DOUBLE" for at in varying)
        totals = self._one(f"SELECT {items} FROM read_parquet($1) AS t", [str(path)])
        return {
            at.name: round((total or 0.0) / rows + OFFSET + 1 / 8, 3) for at, total in zip(varying, totals, strict=True)
        }

    def _one(self, text: str, parameters: list[Any]) -> tuple[Any, ...]:
        cursor = self._engine.cursor()
        try:
            return cursor.execute(text, parameters).fetchone() or ()
        except duckdb.OutOfMemoryException as error:
            raise CimfedError("the view needs more memory than the node's settings allow") from error
        except duckdb.Error as error:
            if "No space left" in str(error) or "File too large" in str(error):
                raise no_room(str(self._views)) from error
            raise CimfedError(f"the view cannot be built ({type(error).__name__})") from error
        finally:
            cursor.close()

    def _self_test(self) -> None:
        """x stays x on a new cursor, and areas are closed."""
        self._engine.check()
        found = self._one(
            "SELECT ST_X(ST_Transform(ST_Point(76.9, 43.2), 'OGC:CRS84', 'EPSG:3857')), "
            "ST_Covers(ST_GeomFromText('POLYGON((0 0,0 1,1 1,1 0,0 0))'), ST_GeomFromText('POINT(1 1)'))",
            [],
        )
        # Spherical Mercator: x = 6378137 * radians(76.9)
        if not (abs(found[0] - 8_560_468.84) < 0.01 and found[1] is True):
            raise CimfedError("the engine's axis order or areas are not what views need")


class FileShelf:
    """Views as files. ``key`` gives the city's secret once it is needed; see ``FileBuilder`` for the others."""

    def __init__(
        self, snapshots: Path, views: Path, scratch: Path, key: Callable[[], bytes], *, memory: int, threads: int
    ) -> None:
        self._snapshots, self._views, self._scratch, self._key = snapshots, views, scratch, key
        self._memory, self._threads = memory, threads

    def builder(self) -> FileBuilder:
        return FileBuilder(
            self._snapshots, self._views, self._scratch, self._key(), memory=self._memory, threads=self._threads
        )

    def sweep(self, known: Set[str]) -> None:
        """See ``Shelf``."""
        for path in self._views.iterdir():
            if path.name.partition(".")[0] not in known:
                path.unlink(missing_ok=True)


def _schema(shape: Shape, snapshot: frozenset[str]) -> pa.Schema:
    properties = VOCABULARY.collections[shape.collection].properties
    return pa.schema([field(properties[name], str(mask)) for name, mask in shapes.columns_of(shape, snapshot).items()])


def _bytes(at: Any) -> str:
    column = f"t.{DUCKDB.name(at.name)}"
    if pa.types.is_binary(at.type):
        return f"octet_length({column})"
    if pa.types.is_map(at.type):
        return f"strlen({column}::VARCHAR) + 8 * cardinality({column})"
    return f"strlen({column})"
