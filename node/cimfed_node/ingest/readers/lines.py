"""Bytes of files from elsewhere: gzip undone, sizes bounded, lines one by one."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from cimfed.errors import BadFile
from cimfed_node.ingest.limits import LIMITS, MIB

GZIP = b"\x1f\x8b"
_FAULTS = {
    "end of data": ": it ends in its middle",
    "depth limit": ": nested too deeply",
    "infinity": ": a number beyond all",
}
"""Of orjson's words for what is wrong, those that say more than where it is."""


class Bounded(io.RawIOBase):
    """A stream that gives at most so many bytes of a file, gzip undone, and says why where it cannot go on."""

    def __init__(self, file: BinaryIO, limit: int, name: str) -> None:
        self._file, self._left, self._limit, self._name = file, limit, limit, name
        packed = file.read(2) == GZIP
        file.seek(0)
        self._source: Any = gzip.GzipFile(fileobj=file) if packed else file

    @property
    def position(self) -> int:
        """Bytes of the file that were read, as it lies on the disk."""
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._source.read(len(buffer))
        except (gzip.BadGzipFile, zlib.error, EOFError):
            raise BadFile("damaged gzip", place=self._name) from None
        self._left -= len(data)
        if self._left < 0:
            raise BadFile(f"more than {self._limit:,} bytes after decompression", place=self._name)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()
        self._file.close()
        super().close()


def open_bytes(path: Path, limit: int = LIMITS.stream) -> Bounded:
    """A file's bytes, decompressed where they are gzip."""
    try:
        return Bounded(path.open("rb"), limit, path.name)
    except OSError as error:
        raise BadFile(f"cannot be read: {error.strerror}", place=path.name) from None


def refuse_pipe(path: Path) -> None:
    """To open a pipe waits for somebody who writes, and it gives its bytes once: an import reads them twice."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise BadFile("a pipe or device, and no file", place=path.name, remedy="Write what it gives to a file first")


def first_line(stream: io.BufferedReader, name: str) -> bytes:
    """The first line that is not empty; a whole document may stand on it."""
    line = stream.readline(LIMITS.document + 1)
    while line and not line.strip():
        line = stream.readline(LIMITS.document + 1)
    if len(line) > LIMITS.document:
        raise too_large(name)
    return line.removeprefix(b"\xef\xbb\xbf")


def too_large(name: str) -> BadFile:
    return BadFile(
        f"a document of more than {LIMITS.document // 1024**2:,} MiB",
        place=name,
        remedy="Convert it to a format that is read object by object: CityJSONSeq (cjseq cat) or GeoJSON lines "
        "(ogr2ogr -f GeoJSONSeq)",
    )


def rest_of(stream: io.BufferedReader, begun: bytes, name: str) -> bytes:
    """The whole document of which some bytes were read."""
    data = begun + stream.read(LIMITS.document + 1)
    if len(data) > LIMITS.document:
        raise too_large(name)
    return data


def not_json(error: orjson.JSONDecodeError, raw: bytes, name: str) -> BadFile:
    """Why a document is not JSON, and where."""
    if "UTF-8" in error.msg:  # orjson does not say where
        at = _first_wrong(raw)
        line = raw.count(b"\n", 0, at) + 1
        return BadFile(
            f"byte {at + 1:,} is not UTF-8, which JSON is in",
            place=f"{name}:{line}",
            remedy="Convert it, for instance with 'iconv -f WINDOWS-1251 -t UTF-8'",
        )
    why = next((why for words, why in _FAULTS.items() if words in error.msg), "")
    return BadFile(f"not JSON{why}", place=f"{name}:{error.lineno}:{error.colno}")


def _first_wrong(raw: bytes) -> int:
    """Where a text stops to be UTF-8; piece by piece, for decoded it may take four times the room."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(raw), MIB):
        piece = raw[start : start + MIB]
        try:
            decoder.decode(piece, final=start + MIB >= len(raw))
        except UnicodeDecodeError as wrong:
            return start + len(piece) - len(wrong.object) + wrong.start
    return len(raw)


def written(node: Any, name: str) -> bytes:
    """What was parsed as JSON again: orjson reads 1,024 levels of nesting, but writes 254."""
    try:
        return orjson.dumps(node)
    except orjson.JSONEncodeError:
        raise BadFile("nested too deeply", place=name) from None


def more_lines(stream: io.BufferedReader, name: str, number: int = 1) -> Iterator[tuple[int, bytes]]:
    """Numbered lines that are not empty, after line ``number``; record separators (RFC 8142) taken off."""
    while line := stream.readline(LIMITS.line + 1):
        number += 1
        if len(line) > LIMITS.line:
            raise BadFile(f"a line of more than {LIMITS.line // 1024**2} MiB", place=f"{name}:{number}")
        line = line.strip(b"\x1e \t\r\n")
        if line:
            yield number, line
