"""Where rows go: a table on a terminal, CSV in a pipe, or a file of the format that its name says.

A file gets its name only when the answer was verified to its end; until then it has a hidden one beside it, which is
removed when anything goes wrong. A link to a file stays one, and a file that is replaced keeps its mode; what is no
file is not written to. What goes to standard output cannot be taken back: there the exit code tells.

Answers up to ``SMALL`` bytes are verified before the first byte is written, and have the columns that some city gave;
longer ones are written as they come and have all columns of the query.

A file says where it comes from and on which terms (``cimfed.client.provenance``): in itself where its format has a
place for that, else in FILE.metadata.json beside it, which is put there first.
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from cimfed import paths
from cimfed.cli import output_cityjson, output_geo, output_text
from cimfed.client.geo import LEVELS, PREFIX
from cimfed.errors import BadConfig
from cimfed.trust.files import replace_file

SMALL = 64 * 1024 * 1024
CHUNK = 65_536  # rows that are made into text at a time
Rows = pa.Table | pa.RecordBatchReader
About = Callable[[], Mapping[str, Any]]
STDOUT = "-"


class Format(StrEnum):
    TABLE = "table"
    CSV = "csv"
    GEOJSON = "geojson"
    GEOJSONSEQ = "geojsonseq"
    CITYJSON = "cityjson"
    CITYJSONSEQ = "cityjsonseq"
    GPKG = "gpkg"
    PARQUET = "parquet"
    ARROW = "arrow"
    ARROWS = "arrows"


_BY_SUFFIX = {
    ".csv": Format.CSV,
    ".city.jsonl": Format.CITYJSONSEQ,
    ".city.jsonl.gz": Format.CITYJSONSEQ,
    ".city.json": Format.CITYJSON,
    ".geojson": Format.GEOJSON,
    ".geojsonl": Format.GEOJSONSEQ,
    ".json": Format.GEOJSON,
    ".gpkg": Format.GPKG,
    ".parquet": Format.PARQUET,
    ".geoparquet": Format.PARQUET,
    ".arrow": Format.ARROW,
    ".feather": Format.ARROW,
    ".arrows": Format.ARROWS,
}
_STREAMS = (Format.TABLE, Format.CSV, Format.GEOJSON, Format.GEOJSONSEQ, Format.CITYJSONSEQ, Format.ARROWS)
_CITYJSON = (Format.CITYJSON, Format.CITYJSONSEQ)
_BESIDE = (Format.CSV, Format.GEOJSONSEQ, Format.ARROW, Format.ARROWS)
BESIDE = ".metadata.json"


@dataclass(frozen=True)
class Target:
    """``path`` is None for standard output. ``lod``: of the one geometry that GeoJSON and GeoPackage hold; of CityJSON
    the only one."""

    path: Path | None
    format: Format
    lod: int | None = None
    geometry: bool = True

    @classmethod
    def of(cls, output: str | None, format: Format | None, lod: int | None, geometry: bool) -> Target:
        if output is None or output == STDOUT:
            chosen = format or (Format.TABLE if output is None and sys.stdout.isatty() else Format.CSV)
            if chosen is Format.ARROW:
                chosen = Format.ARROWS
            if chosen not in _STREAMS:
                raise BadConfig(f"{chosen} cannot be written to standard output", remedy="Name a file: -o FILE")
            return cls(None, chosen, lod, geometry)
        path = Path(output)
        chosen_for_file = format or _format_of(path.name)
        if chosen_for_file is None or chosen_for_file is Format.TABLE:
            raise BadConfig(
                f"no format is known for {path.name!r}", remedy=f"Use one of {', '.join(_BY_SUFFIX)}, or --format"
            )
        real = paths.replaceable(path)
        if chosen_for_file in _BESIDE:
            paths.replaceable(beside(real))
        return cls(real, chosen_for_file, lod, geometry)


def _format_of(name: str) -> Format | None:
    """By the longest ending that is known."""
    known = [ending for ending in _BY_SUFFIX if name.lower().endswith(ending)]
    return _BY_SUFFIX[max(known, key=len)] if known else None


def check(target: Target, collection: str | None) -> None:
    """BadConfig where the format cannot hold what is asked. ``collection``: of a read; None: rows are no objects."""
    if target.format not in _CITYJSON:
        return
    if collection is None:
        raise BadConfig(
            "CityJSON holds objects, and these rows are none", place="--output", remedy="Write .csv or .parquet"
        )
    output_cityjson.check_collection(collection)


def write(rows: Rows, target: Target, layer: str, about: About | None = None) -> int:
    """Reads an answer's rows to their verified end into the target (not for TABLE), and gives how many there were.

    ``layer``: the collection, which a GeoPackage's layer is called after. ``about``: what the answer says of itself,
    asked for when its rows have ended.
    """
    counted = _Counted()
    source = counted.of(rows.to_reader(max_chunksize=CHUNK) if isinstance(rows, pa.Table) else rows)
    if not target.geometry:
        source = _without_geometry(source)
    geometry = _geometry(source.schema, target.lod)
    if target.path is None:
        _stream(source, sys.stdout.buffer, target, layer, geometry, about)
        sys.stdout.buffer.flush()
        return counted.rows
    with _put_in_place(target.path) as temporary:
        match target.format:
            case Format.GPKG:
                output_geo.write_gpkg(source, temporary, layer, geometry, about)
            case Format.PARQUET:
                output_geo.write_parquet(source, temporary, geometry, about)
            case _:
                packed = target.format is Format.CITYJSONSEQ and temporary.suffix.lower() == ".gz"
                with _opened(temporary, packed) as file:
                    _stream(source, file, target, layer, geometry, about)
        _drain(source)
        if about is not None and target.format in _BESIDE:
            replace_file(beside(target.path), (json.dumps(about(), ensure_ascii=False, indent=1) + "\n").encode())
    return counted.rows


def beside(path: Path) -> Path:
    """The file that says what a file of rows has no place for."""
    return path.with_name(path.name + BESIDE)


@contextmanager
def _opened(path: Path, packed: bool) -> Iterator[BinaryIO]:
    if not packed:
        with open(path, "wb") as file:
            yield file
        return
    with gzip.open(path, "wb", compresslevel=6) as file:
        yield cast(BinaryIO, file)


class _Counted:
    rows = 0

    def of(self, source: pa.RecordBatchReader) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(source.schema, self._count(source))

    def _count(self, source: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in source:
            self.rows += batch.num_rows
            yield batch


def _stream(
    source: pa.RecordBatchReader, file: Any, target: Target, layer: str, geometry: str | None, about: About | None
) -> None:
    match target.format:
        case Format.CSV:
            output_text.write_csv(source, file)
        case Format.GEOJSON:
            output_text.write_geojson(source, file, geometry, about)
        case Format.GEOJSONSEQ:
            output_text.write_geojsonseq(source, file, geometry)
        case Format.CITYJSON | Format.CITYJSONSEQ:
            have = [level for level in LEVELS if f"{PREFIX}{level}" in source.schema.names]
            levels = have if target.lod is None else [target.lod]
            whole = target.format is Format.CITYJSON
            write = output_cityjson.write_cityjson if whole else output_cityjson.write_cityjsonseq
            write(source, file, layer, levels, about)
        case _:
            new: Callable[..., pa.ipc.RecordBatchStreamWriter | pa.ipc.RecordBatchFileWriter]
            new = pa.ipc.new_file if target.format is Format.ARROW else pa.ipc.new_stream
            with new(file, source.schema) as writer:
                for batch in source:
                    writer.write_batch(batch)


def _drain(source: pa.RecordBatchReader) -> None:
    """A writer that stopped reading early must not make an answer look verified."""
    for _ in source:
        raise BadConfig("the file was not written to its end")


def _geometry(schema: pa.Schema, lod: int | None) -> str | None:
    """The geometry column to write: the named level, or the footprint, or the finest."""
    have = [level for level in LEVELS if f"{PREFIX}{level}" in schema.names]
    if lod is None:
        return f"{PREFIX}{0 if 0 in have else have[0]}" if have else None
    if lod not in have:
        raise BadConfig(f"the answer has no geometry of level {lod}", remedy=f"It has {have}" if have else None)
    return f"{PREFIX}{lod}"


def _without_geometry(source: pa.RecordBatchReader) -> pa.RecordBatchReader:
    names = [name for name in source.schema.names if name != "bbox" and not name.startswith(PREFIX)]
    schema = pa.schema([source.schema.field(name) for name in names])
    return pa.RecordBatchReader.from_batches(schema, (batch.select(names) for batch in source))


@contextmanager
def _put_in_place(path: Path) -> Iterator[Path]:
    """A name to write to; it becomes ``path`` when the block ends well and goes away when it does not."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        temporary = Path(folder) / path.name
        yield temporary
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        os.replace(temporary, path)
