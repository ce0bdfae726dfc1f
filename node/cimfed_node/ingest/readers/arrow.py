"""Rows that come as batches of Arrow columns, with geometry as WKB or as shapely's: what OGR and Parquet share.

A batch is cut so that no chunk grows past its limit. Nulls are no attributes: a table has every column in every row,
and a GeoJSON of the same data leaves them out. The original keeps a row's attributes as JSON, its geometry as WKB in
hexadecimal, to the bit and with its heights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from cimfed.errors import BadFile
from cimfed_node.ingest.arrays import Column, Geometries
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.readers.columns import values_of
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.values import OutOfRange
from cimfed_node.ingest.wkbshapes import WkbShapes

_BYTES = 16 * LIMITS.chunk_points  # of WKB in one piece
_ROWS = LIMITS.chunk_objects // 4


@dataclass(frozen=True)
class Layout:
    """The columns of a table. ``attributes``: name of each column by its number. ``key``: number and name of the column
    that is no attribute but may be named as the id. ``json``: numbers of columns whose texts are JSON."""

    attributes: Mapping[int, str]
    json: frozenset[int] = frozenset()
    key: tuple[int, str] | None = None


def check_names(names: Sequence[str], context: Context, file: str) -> None:
    """A name that stands twice is not to be guessed about, and a column that ``where`` names must be there."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise BadFile(f"the column {name!r} stands twice", place=file)
        seen.add(name)
    for column, _ in context.request.where:
        if column not in seen:
            raise BadFile(f"there is no column {column!r}", place=file, remedy=f"There are: {', '.join(names)[:200]}")
    if len(names) > LIMITS.columns:
        raise BadFile(f"more than {LIMITS.columns:,} columns", place=file)


def pieces(wkb: Geometries) -> Iterator[slice]:
    """Runs of rows that a chunk can take at once."""
    sizes = np.array([0 if raw is None else len(raw) for raw in wkb.tolist()], np.int64)
    start, held = 0, 0
    for row, size in enumerate(sizes.tolist()):
        if row > start and (held + size > _BYTES or row - start >= _ROWS):
            yield slice(start, row)
            start, held = row, 0
        held += size
    if len(sizes):
        yield slice(start, len(sizes))


class RowAdder:
    """Puts pieces of batches into chunks: attributes mapped, geometry whole."""

    def __init__(self, file: str, layout: Layout, context: Context) -> None:
        self.file = file
        self._layout = layout
        self._context = context
        self._place = 0

    def add(
        self, chunk: Chunk, columns: Mapping[int, Column], wkb: Geometries, geometries: Geometries | None
    ) -> list[BadObject | None]:
        """``columns``: by number, as many rows as ``wkb``. ``geometries``: what the WKB says, where that is at hand."""
        layout = self._layout
        names = list(layout.attributes.values())
        lists = [values_of(columns[number], json=number in layout.json) for number in layout.attributes]
        keys = values_of(columns[layout.key[0]]) if layout.key else []
        results: list[BadObject | None] = [None] * len(wkb)
        ids = self._ids(dict(zip(names, lists, strict=True)), keys, results)
        kept = list(ids)
        if len(kept) < len(wkb):
            lists = [[cells[row] for row in kept] for cells in lists]
        read = self._context.attributes.read_columns(names, lists, len(kept))
        rows = zip(*lists, strict=True) if lists else iter([()] * len(kept))
        places: list[int] = []
        put: list[int] = []
        for row, values, mapped in zip(kept, rows, read, strict=True):
            attributes = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            original: dict[str, Any] = {"properties": attributes}
            if wkb[row] is not None:
                original["wkb"] = wkb[row].hex()
            try:
                raw = orjson.dumps(original)
            except orjson.JSONEncodeError:
                results[row] = BadObject(self.file, ids[row] or "", "nested too deeply")
                continue
            if isinstance(mapped, OutOfRange):
                results[row] = BadObject(self.file, ids[row] or "", str(mapped))
                continue
            try:
                place = chunk.put(ids[row], mapped, 0)
            except OutOfRange as error:
                results[row] = BadObject(self.file, "", str(error))
                continue
            chunk.originals.append((raw, [place]))
            places.append(place)
            put.append(row)
        assert isinstance(chunk.shapes, WkbShapes)
        if geometries is None:
            chunk.shapes.add_wkb(np.array(places, np.int64), wkb[put])
        else:
            chunk.shapes.add(np.array(places, np.int64), geometries[put])
        return results

    def _ids(
        self, columns: Mapping[str, list[Any]], keys: list[Any], results: list[BadObject | None]
    ) -> dict[int, str | None]:
        """Rows that are wanted, with their ids (None for readings that get one of their own); what lacks one goes to
        ``results``."""
        context, key = self._context, self._layout.key
        looked_at = [(name, columns[name]) for name in {column for column, _ in context.request.where}]
        wanted = (context.id_column,) if context.id_column else context.mapping.id
        named = [(name, columns[name]) for name in wanted if name in columns]
        if key is not None and key[1] in wanted and key[1] not in columns:
            named.append((key[1], keys))
        told = [*columns, *([key[1]] if key is not None else [])]
        ids: dict[int, str | None] = {}
        for row in range(len(results)):
            self._place += 1
            if not context.wanted({name: cells[row] for name, cells in looked_at}):
                continue
            context.objects += 1
            id = context.id_of(None, {name: cells[row] for name, cells in named}, self._place)
            if context.lacks_id(id):
                results[row] = context.no_id(self.file, told, 0, first=context.objects == 1)
            else:
                ids[row] = id
        return ids


def batch_columns(batch: pa.RecordBatch, numbers: Sequence[int], rows: slice) -> dict[int, Column]:
    return {number: batch.column(number).slice(rows.start, rows.stop - rows.start) for number in numbers}


def raw_values(cells: Column) -> Geometries:
    """Bytes of a column as objects."""
    found = np.empty(len(cells), object)
    found[:] = cells.to_pylist()
    return found
