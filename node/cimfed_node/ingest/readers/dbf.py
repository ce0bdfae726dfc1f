"""dBASE tables of Shapefiles and MapInfo: the header, the encoding, and texts as bytes become text.

Which encoding: ``--encoding``, else the ``.cpg`` file, else the language driver in the header; else, and where that is
"whatever Windows was set to" (0x57), UTF-8, strictly. Text that is not in its encoding is refused with the flag that
mends it, and so is text that is plainly UTF-8 in a file that says something else. A text that the field's width cut in
the middle of a character loses that part of a character.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cimfed.errors import BadFile
from cimfed_node.ingest.arrays import Column
from cimfed_node.ingest.encodings import DBF_DRIVERS, asked_codec, codec_of, hint

_SURE = 4  # characters beyond ASCII that read as UTF-8 by chance no longer


@dataclass(frozen=True)
class Header:
    """``live``: rows that are not marked as deleted. ``widths``: of each field in bytes. ``driver``: the language
    driver."""

    rows: int
    live: int
    widths: tuple[int, ...]
    driver: int


def read_header(path: Path, name: str) -> Header:
    """Raises BadFile where it is none, or where the file is shorter than it says."""
    with path.open("rb") as file:
        head = file.read(32)
        if len(head) < 32:
            raise BadFile("damaged: a table without a header", place=name)
        rows, size, width = (
            int.from_bytes(head[4:8], "little"),
            int.from_bytes(head[8:10], "little"),
            int.from_bytes(head[10:12], "little"),
        )
        raw = file.read(max(0, size - 32))
    actual = path.stat().st_size
    if len(raw) < size - 32 or actual < size + rows * width:
        raise BadFile(
            f"cut off: {rows:,} rows of {width:,} bytes are {size + rows * width:,}, not {actual:,}", place=name
        )
    fields = [raw[at : at + 32] for at in range(0, len(raw) - 31, 32)]
    live = rows
    if rows and width:
        marks = np.memmap(path, np.uint8, "r")[size : size + rows * width : width]
        live -= int((marks == ord("*")).sum())
    return Header(rows, live, tuple(one[16] for one in fields if one[0] not in (0x0D, 0)), head[29])


class Texts:
    """The encoding of one table and its texts. ``said``: who says so, for messages; empty where nobody does."""

    def __init__(self, codec: str, said: str, asked: bool) -> None:
        self.codec, self.said, self._asked = codec, said, asked
        self._cut = 0

    @classmethod
    def of(cls, asked: str | None, cpg: Path | None, header: Header | None, name: str) -> Texts:
        if asked is not None:
            codec = asked_codec(asked)
            if bytes(range(32, 127)).decode(codec, "replace") != bytes(range(32, 127)).decode("ascii"):
                raise BadFile(f"no such file is in {codec.upper()}", place=name, remedy="Leave out --encoding")
            return cls(codec, "--encoding", asked=True)
        if cpg is not None:
            text = cpg.read_bytes()[:80].decode("latin-1").strip("\ufeff\xef\xbb\xbf \t\r\n\x00")
            named = codec_of(text)
            if named is None:
                raise BadFile(
                    f"{text[:40]!r} in the .cpg file is no encoding", place=name, remedy="Name it: --encoding"
                )
            return cls(named, f"the .cpg file says {text[:40]}", asked=False)
        if header is not None and header.driver in DBF_DRIVERS:
            codec = DBF_DRIVERS[header.driver]
            return cls(codec, f"the .dbf file says {codec}", asked=False)
        return cls("utf-8", "", asked=False)

    def name(self, text: str, file: str) -> str:
        """A column's name."""
        return self._strict(text.encode("latin-1"), file, "the name of a column", cut=True)

    def _strict(self, raw: bytes, file: str, what: str, *, cut: bool) -> str:
        try:
            return raw.decode(self.codec)
        except UnicodeDecodeError as error:
            if cut and error.end >= len(raw) and len(raw) - error.start < 4 and error.start > 0:
                self._cut += 1
                return raw[: error.start].decode(self.codec)
            raise self._wrong(raw, file, what) from None

    def _wrong(self, raw: bytes, file: str, what: str) -> BadFile:
        told = f"though {self.said}" if self.said and not self._asked else ""
        if self._asked:
            told = "as --encoding says"
        elif not self.said:
            told = "and nothing says what it is"
        return BadFile(f"{what} is not {self.codec.upper()}, {told}", place=file, remedy=hint(raw))

    def decoded(self, batch: pa.RecordBatch, names: Mapping[int, str], file: str, before: int) -> pa.RecordBatch:
        """A batch whose texts stand for bytes, with its texts. ``before``: rows of earlier batches."""
        columns = [batch.column(number) for number in range(batch.num_columns)]
        foreign: list[bytes] = []
        for number, name in names.items():
            cells = columns[number]
            if cells.type != pa.string() or pc.all(pc.string_is_ascii(cells), min_count=0).as_py():
                continue
            coded: Any = cells.dictionary_encode()
            raws: list[bytes] = [text.encode("latin-1") for text in coded.dictionary.to_pylist()]
            foreign += [raw for raw in raws if not raw.isascii()]
            texts: Any = pa.array([self._text(raw, name, cells, file, before) for raw in raws], pa.string())
            columns[number] = texts.take(coded.indices)
        self._check(foreign, file)
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def _text(self, raw: bytes, name: str, cells: Column, file: str, before: int) -> str:
        try:
            return raw.decode(self.codec)
        except UnicodeDecodeError:
            row = before + cells.to_pylist().index(raw.decode("latin-1")) + 1
            return self._strict(raw, file, f"the text of {name} in row {row:,}", cut=len(raw) >= 8)

    def _check(self, foreign: list[bytes], file: str) -> None:
        """Refuse what is plainly UTF-8 and said to be something else."""
        if self._asked or self.codec == "utf-8" or not foreign:
            return
        try:
            together = b"".join(foreign).decode("utf-8")
        except UnicodeDecodeError:
            return
        if sum(char > "\x7f" for char in together) >= _SURE:
            raise BadFile(
                f"the texts are UTF-8, though {self.said}",
                place=file,
                remedy=f"Say so: --encoding UTF-8 (or --encoding {self.codec}, to believe the file)",
            )

    def notes(self, file: str) -> Iterator[str]:
        if self._cut:
            yield f"{file}: {self._cut:,} texts end in the middle of a character, which was taken off"
