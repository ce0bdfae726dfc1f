"""Vector formats by GDAL's OGR: GeoPackage, Shapefile, FlatGeobuf, SpatiaLite, File Geodatabase, GML, KML, MapInfo.

What a file is was found by its content; GDAL is told that one format and knows no other (``ogr_child``). It never sees
the operator's folder: the file and what belongs to it are linked into a scratch folder under fixed names, so that no
name means anything and nothing else can be found beside. Texts of formats without a fixed encoding come as raw bytes
(read as ISO-8859-1, in which every byte is a character) and are decoded here, strictly.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cimfed.errors import BadFile
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import SourceCrs, parse_crs
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.arrow import Layout, RowAdder, batch_columns, check_names, pieces, raw_values
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.readers.columns import readable
from cimfed_node.ingest.readers.dbf import Texts
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.wkbshapes import WkbShapes

_ENVIRONMENT = {
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "/none",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_NUM_THREADS": "1",
    "GML_DOWNLOAD_SCHEMA": "NO",
    "GML_FIELDTYPES": "ALWAYS_STRING",  # not a guess: 007 is no number
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
    "OGR_ARROW_MEM_LIMIT": str(LIMITS.ogr_batch),
    "OGR_SQLITE_PRAGMA": "trusted_schema=OFF,cell_size_check=ON",
    "PROJ_NETWORK": "OFF",
    "SHAPE_RESTORE_SHX": "NO",
    "CPL_LOG": os.devnull,
}
_ANEW = "Copy it again; where QGIS opens it, save it anew there"
_CHILD = Path(__file__).with_name("ogr_child.py")  # run by itself: the package would take a second to import
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Source:
    """A file ready to be read. ``path``: in the scratch folder. ``texts``: how bytes become text; None: they are UTF-8
    by the format's rules. ``rows``: features that the file says it has; None where it does not."""

    format: str
    driver: str
    path: Path
    options: Mapping[str, str] = field(default_factory=dict)
    texts: Texts | None = None
    rows: int | None = None
    nulls: int | None = None  # of these, without a geometry by the file's own word
    key: bool = False  # the number of a feature is kept by the format, and has a name
    layered: bool = True
    without: frozenset[str] = frozenset()  # fields that the format makes up for every feature


@cache
def _others(driver: str) -> str:
    import pyogrio

    return ",".join(name for name in pyogrio.list_drivers() if name != driver)


class OgrReader:
    """A context: the process that reads ends with it."""

    def __init__(self, file: str, source: Source, context: Context) -> None:
        self.file = file
        self.format = source.format
        self.notes = context.notes
        self._source, self._context = source, context
        if context.request.layer is not None and not source.layered:
            raise BadFile(f"{source.format} has no layers", place=file, remedy="Leave out --layer")
        task = {
            "path": str(source.path),
            "name": file,
            "driver": source.driver,
            "layer": context.request.layer,
            "options": dict(source.options),
            "memory": LIMITS.ogr_memory,
            "seconds": LIMITS.ogr_seconds,
            "placeless": context.readings,
        }
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), json.dumps(task)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kept | _ENVIRONMENT | {"GDAL_SKIP": _others(source.driver)},
        )
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        stdout: Any = self._process.stdout
        line = stdout.readline(LIMITS.line)
        if not line.endswith(b"\n"):
            raise self._failure()
        told = json.loads(line)
        try:
            self._stream = pa.ipc.open_stream(stdout)
        except (pa.ArrowInvalid, OSError):
            raise self._failure() from None
        self._told = told
        names = told["fields"]
        if self._source.texts is not None:
            names = [self._source.texts.name(name, self.file) for name in names]
        check_names(names, self._context, self.file)
        types = self._stream.schema.types
        # Columns: the feature's number, the fields in their order, the geometry.
        fields = {at + 1: name for at, name in enumerate(names)}
        fields = {at: name for at, name in fields.items() if name not in self._source.without}
        left_out = [name for at, name in fields.items() if not readable(types[at])]
        if left_out:
            self.notes.append(f"{self.file}: columns of bytes were left out: {', '.join(left_out)[:200]}")
        self._layout = Layout(
            {at: name for at, name in fields.items() if readable(types[at])},
            json=frozenset(at + 1 for at in told["json"]),
            key=(0, told["fid"]) if self._source.key and told["fid"] else None,
        )
        self.header: Mapping[str, Any] = {
            "layer": told["layer"],
            "crs": told["projjson"] or told["crs"],
            "columns": names,
        }
        self.total: int | None = told["total"] if told["total"] >= 0 else None
        self.chunk = self.new_chunk()

    @property
    def crs(self) -> SourceCrs | None:
        if self._told["geometry"] is None:
            return parse_crs("OGC:CRS84", self.file)  # nothing is placed by it
        projjson, text = self._told["projjson"], self._told["crs"]
        name = projjson.get("name", "") if projjson else text or ""
        if not name or name.casefold().startswith(("undefined", "unknown")):
            return None
        return parse_crs(projjson or text, self.file)

    def new_chunk(self) -> Chunk:
        return Chunk(self.file, WkbShapes())

    def read(self) -> Iterator[BadObject | None]:
        """See ``Reader.read``."""
        adder = RowAdder(self.file, self._layout, self._context)
        geometry, rows, missed = self._told["geometry"], 0, 0
        nulls = self._told["nulls"] if self._source.nulls is None else self._source.nulls
        for batch in self._batches():
            rows += batch.num_rows
            if self._source.texts is not None:
                batch = self._source.texts.decoded(batch, self._layout.attributes, self.file, rows - batch.num_rows)
            cells: Any = batch.column(geometry) if geometry is not None else pa.nulls(batch.num_rows)
            wkb = raw_values(cells)
            if geometry is not None and nulls is not None:
                nothing = np.asarray(cells.is_null())
                missed += int(nothing.sum())
                wkb[nothing] = None if nulls else b""  # what there is and is not to be read makes a bad object
            for piece in pieces(wkb):
                columns = batch_columns(batch, [0, *self._layout.attributes], piece)
                yield from adder.add(self.chunk, columns, wkb[piece], None)
        self._end(rows)
        if nulls and missed > nulls:  # which of them are damaged nobody can tell
            raise BadFile(f"{missed - nulls:,} geometries that cannot be read", place=self.file, remedy=_ANEW)
        if self._source.texts is not None:
            self.notes += self._source.texts.notes(self.file)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = self._stream.read_next_batch()
                batch.validate(full=True)
            except StopIteration:
                return
            except (pa.ArrowInvalid, OSError) as error:
                if "UTF8" in str(error):
                    raise BadFile("text that is not UTF-8, which this format prescribes", place=self.file) from None
                raise self._failure() from None
            yield batch

    def _end(self, rows: int) -> None:
        """All was read, or this is refused: OGR often stops in silence where a file is cut off."""
        if self._process.wait() != 0:
            raise self._failure()
        expected = self.total if self._source.rows is None else self._source.rows
        if expected is not None and expected != rows:
            raise BadFile(
                f"{rows:,} of {expected:,} features could be read: the file is damaged or cut off", place=self.file
            )

    def _failure(self) -> BadFile:
        """What the process said, or that it said nothing. GDAL's own words are looked at and not shown."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()
        said = self._process.stderr.read()
        if self._process.wait() == -signal.SIGXCPU:
            return BadFile(
                f"reading it takes more than {LIMITS.ogr_seconds:,} seconds of processor time", place=self.file
            )
        try:
            told = json.loads(said)
        except ValueError:
            told = {"kind": "crash", "message": ""}
        why = " ".join(told["message"].split())[:300]
        match told["kind"]:
            case "layer":
                return BadFile(why, place=self.file, remedy="Name one of them with --layer")
            case "empty":
                return BadFile(why, place=self.file, remedy="There are no objects in it")
            case "memory":
                return BadFile("reading it takes more memory than a city's file should", place=self.file)
            case "driver":
                return BadFile(why, place=self.file, remedy="Reinstall pyogrio from its wheel")
            case "crash":
                return BadFile(f"damaged, and {self.format}'s reader crashed on it", place=self.file)
        if "SQL function" in why:
            return BadFile(
                "a view or trigger in it calls functions that lead elsewhere, which is not run",
                place=self.file,
                remedy="Copy what is meant into a file of its own, with ogr2ogr or QGIS",
            )
        return BadFile(
            f"not readable as {self.format}: it is damaged, cut off, or something else",
            place=self.file,
            remedy=_ANEW,
        )

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
