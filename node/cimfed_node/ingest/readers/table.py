"""CSV with a header and two columns of coordinates.

Separated by comma, semicolon, tab or bar, whichever the header has most of; UTF-8. Which columns hold the coordinates
is said by the mapping (``x``, ``y``), compared without regard to case. A CSV never says its CRS: it must be named. An
empty cell is no value; a row with both coordinates empty has no geometry. Readings need no coordinates: where a table
of them has neither column, no row has a place and no CRS is asked for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from cimfed.errors import BadFile
from cimfed_node.ingest.chunk import Chunk
from cimfed_node.ingest.crs import CRS84, SourceCrs, parse_crs
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.readers.base import Context
from cimfed_node.ingest.report import BadObject
from cimfed_node.ingest.shapes import PlainShapes
from cimfed_node.ingest.values import OutOfRange, number

DELIMITERS = ",;\t|"


def delimiter_of(header: str) -> str | None:
    """The separator of a header line; None where it has none, so that this is no table."""
    best = max(DELIMITERS, key=header.count)
    return best if best in header else None


class TableReader:
    def __init__(self, file: str, stream: io.BufferedReader, delimiter: str, context: Context) -> None:
        self.file = file
        self.format = "CSV"
        self.crs: SourceCrs | None = None
        self._context = context
        text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
        self._rows = csv.reader(self._lines(text), delimiter=delimiter, strict=True)
        header = self._next()
        while header == []:
            header = self._next()
        self._columns = [name.strip() for name in header or ()]
        self.header: Mapping[str, Any] = {"columns": self._columns}
        double = {name for name in self._columns if self._columns.count(name) > 1}
        if double:
            raise BadFile(f"the column {min(double)!r} stands twice", place=file)
        self._x, self._y = self._coordinates(context)
        if self._x:
            context.attributes.skip |= {self._x, self._y}
        else:
            self.crs = parse_crs(CRS84, file)
        for column, _ in context.request.where:
            if column not in self._columns:
                raise BadFile(f"there is no column {column!r}", place=file)
        self._place = 0
        self.total: int | None = None
        self.chunk = self.new_chunk()

    def _coordinates(self, context: Context) -> tuple[str, str]:
        """Both columns; empty where there are none, and none are needed."""
        lower = {column.casefold() for column in self._columns}
        named = {candidate.casefold() for candidate in (*context.mapping.x, *context.mapping.y)}
        if context.readings and not lower & named:
            return "", ""
        return self._find(context.mapping.x, "x"), self._find(context.mapping.y, "y")

    def _find(self, candidates: tuple[str, ...], axis: str) -> str:
        by_name = {column.casefold(): column for column in self._columns}
        for candidate in candidates:
            if candidate.casefold() in by_name:
                return by_name[candidate.casefold()]
        raise BadFile(
            f"no column of {axis} coordinates among {', '.join(self._columns)[:200]}",
            place=self.file,
            remedy=f"Name it in a mapping: '{axis}: [COLUMN]'",
        )

    def _lines(self, text: io.TextIOWrapper) -> Iterator[str]:
        while line := text.readline(LIMITS.line + 1):
            if len(line) > LIMITS.line:
                raise BadFile(
                    f"a line of more than {LIMITS.line // 1024**2} MiB", place=f"{self.file}:{self._rows.line_num + 1}"
                )
            yield line

    def _next(self) -> list[str] | None:
        try:
            return next(self._rows, None)
        except csv.Error:
            raise BadFile("not readable as CSV", place=f"{self.file}:{self._rows.line_num}") from None
        except UnicodeDecodeError:
            raise BadFile(
                "not UTF-8",
                place=f"{self.file}:{self._rows.line_num + 1}",
                remedy="Convert it first, for instance 'iconv -f GB18030 -t UTF-8' or 'iconv -f CP1251 -t UTF-8'",
            ) from None

    def new_chunk(self) -> Chunk:
        return Chunk(self.file, PlainShapes())

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
        if id is None and (context.id_column or not context.readings):
            return context.no_id(self.file, self._columns, line, first=context.objects == 1)
        x, y = number(attributes.get(self._x)), number(attributes.get(self._y))
        try:
            row = chunk.row(id, attributes, line, context.attributes)
        except OutOfRange as error:
            return BadObject(self.file, id or "", str(error), line)
        chunk.originals.append((orjson.dumps(attributes), [row]))
        if x is None and y is None:
            return None
        try:
            assert isinstance(chunk.shapes, PlainShapes)
            chunk.shapes.add_point(row, float(x), float(y))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            chunk.fail(row, "coordinates that are not two numbers")
        return None
