"""CSV with a header, and places in two columns of coordinates or in one of geometry.

Separated by comma, semicolon, tab or bar, whichever the header has most of; UTF-8, or what ``--encoding`` says, decoded
strictly. Which columns hold places is said by the mapping: ``geometry`` (WKT, or WKB in hexadecimal) before ``x`` and
``y``, compared without regard to case. A CSV never says its CRS: it must be named. An empty cell is no value; a row
with an empty geometry, or with both coordinates empty, has no place. Where the collection's rows need none, neither do
the columns have to be there.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from cimfed.errors import BadFile
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import CRS84, SourceCrs, parse_crs
from cimfed_node.ingest.encodings import asked_codec, hint
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.shapes import PlainShapes
from cimfed_node.ingest.values import OutOfRange, number
from cimfed_node.ingest.wkbshapes import TextShapes

DELIMITERS = ",;\t|"
csv.field_size_limit(LIMITS.line)  # of this process: its own limit is less than the outline of a park has


def delimiter_of(header: str) -> str | None:
    """The separator of a header line; None where it has none, so that this is no table."""
    best = max(DELIMITERS, key=header.count)
    return best if best in header else None


def encoding_of(context: Context) -> str:
    codec = asked_codec(context.request.encoding) if context.request.encoding is not None else "utf-8"
    return "utf-8-sig" if codec == "utf-8" else codec


class TableReader:
    def __init__(self, file: str, stream: io.BufferedReader, delimiter: str, context: Context) -> None:
        self.file = file
        self.format = "CSV"
        self._context = context
        self._encoding = encoding_of(context)
        text = io.TextIOWrapper(stream, self._encoding, newline="")
        self._rows = csv.reader(self._lines(text), delimiter=delimiter, strict=True)
        header = self._next()
        while header == []:
            header = self._next()
        self._columns = [name.strip() for name in header or ()]
        self.header: Mapping[str, Any] = {"columns": self._columns}
        if len(self._columns) > LIMITS.columns:
            raise BadFile(f"more than {LIMITS.columns:,} columns", place=file)
        double = {name for name, times in Counter(self._columns).items() if times > 1}
        if double:
            raise BadFile(f"the column {min(double)!r} stands twice", place=file)
        mapping = context.mapping
        self._geometry = self._find(mapping.geometry)
        self._x, self._y = ("", "") if self._geometry else (self._find(mapping.x), self._find(mapping.y))
        if not self._geometry and not (self._x and self._y):
            self._check_placeless("y" if self._x else "x", either=bool(self._x or self._y))
        context.attributes.skip |= {self._x, self._y, self._geometry} - {""}
        for column, _ in context.request.where:
            if column not in self._columns:
                raise BadFile(f"there is no column {column!r}", place=file)
        self._place = 0
        self.total: int | None = None
        self.chunk = self.new_chunk()

    @property
    def crs(self) -> SourceCrs | None:
        """None is said; where there are no coordinates, none is needed."""
        return None if self._geometry or self._x else parse_crs(CRS84, self.file)

    def _find(self, candidates: tuple[str, ...]) -> str:
        """The first of the columns that is there; empty where none is."""
        by_name = {column.casefold(): column for column in self._columns}
        return next((by_name[one.casefold()] for one in candidates if one.casefold() in by_name), "")

    def _check_placeless(self, axis: str, *, either: bool) -> None:
        if self._context.readings and not either:
            return
        raise BadFile(
            f"no column of {axis} coordinates among {', '.join(self._columns)[:200]}",
            place=self.file,
            remedy=f"Name it in a mapping: '{axis}: [COLUMN]', or 'geometry: [COLUMN]' for WKT",
        )

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        while line := text.readline(LIMITS.line + 1):
            if len(line) > LIMITS.line:
                raise BadFile(
                    f"a line of more than {LIMITS.line // 1024**2} MiB", place=f"{self.file}:{self._rows.line_num + 1}"
                )
            if "\x00" in line:
                raise BadFile(
                    "a NUL character, which no text has",
                    place=f"{self.file}:{self._rows.line_num + 1}",
                    remedy="Is it UTF-16? Then say --encoding UTF-16",
                )
            yield line

    def _next(self) -> list[str] | None:
        try:
            return next(self._rows, None)
        except csv.Error:
            raise BadFile("not readable as CSV", place=f"{self.file}:{self._rows.line_num}") from None
        except UnicodeError as error:  # a UTF-16 without its mark raises no more than that
            raw = error.object if isinstance(error, UnicodeDecodeError) else b"\xff\xfe"
            told = self._encoding.upper().removesuffix("-SIG")
            line = self._rows.line_num + 1 + self._lines_before(error)
            raise BadFile(f"not {told}", place=f"{self.file}:{line}", remedy=hint(raw)) from None

    def _lines_before(self, error: UnicodeError) -> int:
        """Ends of lines in the piece that could not be decoded, before what is at fault in it."""
        if not isinstance(error, UnicodeDecodeError):
            return 0
        text = error.object[: error.start].decode(self._encoding, "replace")
        return max(text.count("\n"), text.count("\r"))

    def new_chunk(self) -> Chunk:
        return Chunk(self.file, TextShapes() if self._geometry else PlainShapes())

    def read(self) -> Iterator[BadObject | None]:
        """See ``Reader.read``."""
        while (cells := self._next()) is not None:
            if cells:
                self._place += 1
                yield self._add(self.chunk, cells, self._rows.line_num)

    def _add(self, chunk: Chunk, cells: list[str], line: int) -> BadObject | None:
        context = self._context
        if len(cells) != len(self._columns):
            context.objects += 1
            why = f"{len(cells)} cells under {len(self._columns)} columns"
            return BadObject(self.file, cells[0][:64], why, line)
        attributes = {name: cell for name, cell in zip(self._columns, cells, strict=True) if cell}
        if not context.wanted(attributes):
            return None
        context.objects += 1
        id = context.id_of(None, attributes, self._place)
        if context.lacks_id(id):
            return context.no_id(self.file, self._columns, line, first=context.objects == 1)
        try:
            row = chunk.row(id, attributes, line, context.attributes)
        except OutOfRange as error:
            return BadObject(self.file, id or "", str(error), line)
        chunk.originals.append((orjson.dumps(attributes), [row]))
        self._put(chunk, row, attributes)
        return None

    def _put(self, chunk: Chunk, row: int, attributes: Mapping[str, str]) -> None:
        """The row's place into the chunk."""
        if isinstance(chunk.shapes, TextShapes):
            text = attributes.get(self._geometry, "").strip()
            if text:
                chunk.shapes.add_text(row, text)
            return
        commas = self._context.mapping.commas
        x = number(attributes.get(self._x), comma="x" in commas)
        y = number(attributes.get(self._y), comma="y" in commas)
        if x is None and y is None:
            return
        try:
            assert isinstance(chunk.shapes, PlainShapes)
            chunk.shapes.add_point(row, float(x), float(y))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            chunk.fail(row, "coordinates that are not two numbers")
