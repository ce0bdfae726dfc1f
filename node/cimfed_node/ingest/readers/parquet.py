"""GeoParquet 1.0 and 1.1: geometry as WKB, or in the native (GeoArrow) encodings of 1.1.

Read column by column of one row group after another, in batches. The CRS is that of the ``geo`` metadata: absent means
OGC:CRS84, null that it is unknown. A Parquet file without ``geo`` metadata has no places, and is read where the
collection's rows need none. Columns of lists and structs are attributes, as JSON; ``covering`` boxes are not.

Leaves out: geometry columns besides the primary one (a note names them), spherical edges, encrypted files, and the
geometry types that Parquet got in 2025 without ``geo`` metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from cimfed.errors import BadFile
from cimfed_node.ingest.arrays import Column, Geometries
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import CRS84, SourceCrs, parse_crs
from cimfed_node.ingest.limits import LIMITS, MIB
from cimfed_node.ingest.readers.arrow import Layout, RowAdder, batch_columns, check_names, pieces, raw_values
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.readers.columns import readable, too_deep
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.wkbshapes import WkbShapes

MAGIC = (b"PAR1", b"PARE")
_ROWS = 2_000
_NATIVE: Mapping[str, tuple[shapely.GeometryType, int]] = {
    "point": (shapely.GeometryType.POINT, 0),
    "linestring": (shapely.GeometryType.LINESTRING, 1),
    "polygon": (shapely.GeometryType.POLYGON, 2),
    "multipoint": (shapely.GeometryType.MULTIPOINT, 1),
    "multilinestring": (shapely.GeometryType.MULTILINESTRING, 2),
    "multipolygon": (shapely.GeometryType.MULTIPOLYGON, 3),
}
"""Encoding -> its geometry type, and how many lists stand above the coordinates."""


class ParquetReader:
    def __init__(self, path: Path, context: Context) -> None:
        self.file = path.name
        self._context = context
        if context.request.layer is not None or context.request.encoding is not None:
            raise BadFile("Parquet has no layers and says its encoding itself", place=self.file)
        try:
            self._parquet = pq.ParquetFile(
                path,
                pre_buffer=False,
                buffer_size=MIB,
                thrift_string_size_limit=LIMITS.parquet_footer,
                thrift_container_size_limit=LIMITS.parquet_parts,
            )
            schema = self._parquet.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from None
        metadata = schema.metadata or {}
        self._geo = self._geo_of(metadata.get(b"geo"))
        self.format = "Parquet" if self._geo is None else "GeoParquet"
        self.total: int | None = self._parquet.metadata.num_rows
        self._names = list(schema.names)
        check_names(self._names, context, self.file)
        if any(too_deep(field.type) for field in schema):
            raise BadFile("columns nested too deeply", place=self.file)
        self._layout = Layout(self._attributes(schema))
        self.header: Mapping[str, Any] = {"columns": self._names, "geo": self._geo}
        self.chunk = self.new_chunk()

    def _damaged(self, error: Exception) -> BadFile:
        why = " ".join(str(error).split())
        if "encrypt" in why.casefold() or "decrypt" in why.casefold():
            return BadFile("an encrypted Parquet file", place=self.file, remedy="Write it again without encryption")
        how = "it ends in its middle" if "bytes not found in footer" in why else "it is damaged"
        return BadFile(f"not readable as Parquet: {how}", place=self.file, remedy="Copy it again, or write it again")

    def _geo_of(self, raw: bytes | None) -> dict[str, Any] | None:
        """The ``geo`` metadata, checked as far as it is used."""
        if raw is None:
            if self._context.readings:
                return None
            raise BadFile(
                "Parquet without 'geo' metadata: nothing says which column holds places",
                place=self.file,
                remedy="Write it as GeoParquet, for instance with geopandas' to_parquet",
            )
        try:
            geo = orjson.loads(raw)
            primary = geo["primary_column"]
            column = geo["columns"][primary]
            version, encoding = geo["version"], column["encoding"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise BadFile("the 'geo' metadata is none of GeoParquet", place=self.file) from None
        if type(version) is not str or not version.startswith("1."):
            raise BadFile(f"GeoParquet {str(version)[:16]!r}, which is not read", place=self.file, remedy="Write 1.1")
        if type(primary) is not str or primary not in self._parquet.schema_arrow.names:
            raise BadFile(f"there is no column {str(primary)[:64]!r}, which 'geo' names", place=self.file)
        if encoding != "WKB" and encoding not in _NATIVE:
            raise BadFile(f"geometry encoded as {str(encoding)[:32]!r}", place=self.file, remedy="Write it as WKB")
        if column.get("edges", "planar") != "planar":
            raise BadFile("edges are spherical, which is not read", place=self.file, remedy="Write planar edges")
        return {"version": version, "primary_column": primary, "columns": {primary: column}, "all": [*geo["columns"]]}

    @property
    def _column(self) -> dict[str, Any]:
        assert self._geo is not None
        column: dict[str, Any] = self._geo["columns"][self._geo["primary_column"]]
        return column

    def _attributes(self, schema: pa.Schema) -> dict[int, str]:
        left: set[str] = set()
        if self._geo is not None:
            others = [name for name in self._geo["all"] if name != self._geo["primary_column"]]
            if others:
                self._context.notes.append(f"{self.file}: geometry left out: {', '.join(map(str, others))[:200]}")
            covering = self._column.get("covering")
            boxes = covering.get("bbox") if type(covering) is dict else None
            corners = boxes.values() if type(boxes) is dict else ()
            left = {*self._geo["all"], *(path[0] for path in corners if type(path) is list and path)}
        fields = {at: field for at, field in enumerate(schema) if field.name not in left}
        bytes_ = [field.name for field in fields.values() if not readable(field.type)]
        if bytes_:
            self._context.notes.append(f"{self.file}: columns of bytes were left out: {', '.join(bytes_)[:200]}")
        return {at: field.name for at, field in fields.items() if readable(field.type)}

    @property
    def crs(self) -> SourceCrs | None:
        if self._geo is None or "crs" not in self._column:
            return parse_crs(CRS84, self.file)
        crs = self._column["crs"]
        if crs is None:
            return None
        if type(crs) not in (dict, str):
            raise BadFile("the 'crs' of 'geo' is no PROJJSON", place=self.file, remedy="Name it with --crs")
        return parse_crs(crs, self.file)

    def close(self) -> None:
        self._parquet.close()

    def new_chunk(self) -> Chunk:
        return Chunk(self.file, WkbShapes())

    def read(self) -> Iterator[BadObject | None]:
        """See ``Reader.read``."""
        numbers = list(self._layout.attributes)
        adder = RowAdder(self.file, self._layout, self._context)
        for batch in self._batches():
            geometries: Geometries | None = None
            if self._geo is None:
                wkb = np.full(batch.num_rows, None, object)
            else:
                cells: Column = batch.column(self._names.index(self._geo["primary_column"]))
                if self._column["encoding"] == "WKB":
                    wkb = self._wkb(cells)
                else:
                    geometries = self._native(cells)
                    wkb = np.asarray(shapely.to_wkb(geometries, byte_order=1, flavor="iso"), object)
            for piece in pieces(wkb):
                found = None if geometries is None else geometries[piece]
                yield from adder.add(self.chunk, batch_columns(batch, numbers, piece), wkb[piece], found)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        batches = self._parquet.iter_batches(batch_size=_ROWS, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
                if batch is None:
                    return
                batch.validate(full=True)
            except (pa.ArrowException, OSError, MemoryError) as error:
                raise self._damaged(error) from None
            yield batch

    def _wkb(self, cells: Column) -> Geometries:
        if isinstance(cells, pa.ExtensionArray):
            cells = cells.storage
        if readable(cells.type):
            raise BadFile(f"WKB in a column of {str(cells.type)[:40]}", place=self.file)
        return raw_values(cells)

    def _native(self, cells: Column) -> Geometries:
        """Geometries of a native encoding: lists in one another, and structs of coordinates."""
        if isinstance(cells, pa.ExtensionArray):
            cells = cells.storage
        kind, depth = _NATIVE[self._column["encoding"]]
        absent = np.asarray(cells.is_null())
        offsets: list[np.ndarray[Any, Any]] = []
        level = cells
        try:
            for _ in range(depth):
                steps = np.asarray(level.offsets, np.int64)
                offsets.append(steps - steps[0])
                level = level.values.slice(int(steps[0]), int(steps[-1] - steps[0]))
            names = {level.type.field(at).name for at in range(level.type.num_fields)}
            axes = [np.asarray(level.field(axis), np.float64) for axis in ("x", "y", "z") if axis in names]
            points = np.column_stack(axes)
            found = shapely.from_ragged_array(kind, points, tuple(reversed(offsets)) or None)
        except (AttributeError, KeyError, ValueError, TypeError, pa.ArrowException, shapely.errors.ShapelyError):
            raise BadFile(f"a column that is not encoded as {kind.name.lower()}", place=self.file) from None
        found = np.asarray(found, object)
        found[absent] = None
        return found
