"""Reads a backup that anybody may have made, and believes none of it.

1. Packed or plain, the archive is read once, from its beginning, in pieces: nothing in it decides how much memory is
   taken but the manifest, which is bounded.
2. The first member is the manifest. The others follow in its order, with its names and sizes, each a plain file;
   links, folders, devices, extended headers, and members that it does not name are refused, and so is anything after
   the end.
3. Every member's SHA-256 is compared. ``unpack`` writes below a folder that its caller throws away on any error.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from cimfed.archive.manifest import LARGEST, NAME, Manifest, Member, parse
from cimfed.archive.write import BLOCK, PIECE
from cimfed.errors import BadBackup, BadConfig, NoRoom

ZSTD = bytes.fromhex("28b52ffd")
PADDING = 20 * BLOCK  # what other programs may put after the end


class Archive:
    """An archive whose manifest was read; its members come once."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        name, size = self._header()
        if name != NAME or size > LARGEST:
            raise BadBackup("this is no backup of cimfed: it does not begin with a manifest")
        self.manifest: Manifest = parse(self._exactly(size))
        self._exactly(-size % BLOCK)

    def check(self) -> None:
        """Reads all of it and writes nothing. BadBackup where anything is not as the manifest says."""
        self._members(lambda _: None)

    def unpack(self, into: Path, allowed: Callable[[str], bool]) -> None:
        """Every member as a file below ``into``. BadBackup for one that is not ``allowed`` by its name."""
        for member in self.manifest.members:
            if not allowed(member.name):
                raise BadBackup("the backup holds what is no part of such a home", place=member.name)
        found = os.statvfs(into)
        if self.manifest.size > found.f_bavail * found.f_frsize:
            raise NoRoom("there is no room for what the backup holds", place=str(into), remedy="Name another place")

        def opened(member: Member) -> BinaryIO:
            path = into / member.name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")

        self._members(opened)

    def _members(self, opened: Callable[[Member], BinaryIO | None]) -> None:
        for member in self.manifest.members:
            if self._header() != (member.name, member.size):
                raise BadBackup("a member is not the one that the manifest names here", place=member.name)
            out, digest, left = opened(member), hashlib.sha256(), member.size
            try:
                while left:
                    piece = self._exactly(min(left, PIECE))
                    left -= len(piece)
                    digest.update(piece)
                    if out is not None:
                        out.write(piece)
            finally:
                if out is not None:
                    out.close()
            if digest.hexdigest() != member.sha256:
                raise BadBackup("a member was altered", place=member.name, remedy="Use another backup")
            self._exactly(-member.size % BLOCK)
        rest = self._exactly(2 * BLOCK) + self._read(PADDING + 1)
        if len(rest) > PADDING or rest.strip(b"\0"):
            raise BadBackup("there is more in the backup than its manifest names")

    def _header(self) -> tuple[str, int]:
        """Of a plain file."""
        try:
            about = tarfile.TarInfo.frombuf(self._exactly(BLOCK), "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            raise BadBackup("the archive is damaged") from None
        if about.type != tarfile.REGTYPE:
            raise BadBackup("the archive holds more than plain files")
        return about.name, about.size

    def _exactly(self, size: int) -> bytes:
        found = self._read(size)
        if len(found) != size:
            raise BadBackup("the backup is cut short", remedy="Use another one")
        return found

    def _read(self, size: int) -> bytes:
        pieces = b""
        while len(pieces) < size:
            try:
                more = self._stream.read(size - len(pieces))
            except (OSError, pa.ArrowInvalid):
                raise BadBackup("the backup is cut short or damaged", remedy="Use another one") from None
            if not more:
                break
            pieces += more
        return pieces


@contextmanager
def opened(path: Path, program: str, schema: int) -> Iterator[Archive]:
    """BadBackup for what is no backup of this program, or of a newer release's database."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise BadConfig("there is no such file", place=str(path)) from None
    with file:
        try:
            packed = file.read(len(ZSTD)) == ZSTD
            file.seek(0)
            archive = Archive(pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") if packed else file)
            manifest = archive.manifest
            if manifest.program != program:
                raise BadBackup(f"this is a backup of {manifest.program[:32]}, not of {program}")
            if manifest.schema != schema:
                newer = manifest.schema > schema
                raise BadBackup(
                    f"its database has schema {manifest.schema}, this release needs {schema}",
                    remedy=f"Upgrade {program}" if newer else f"Restore it with {program} {manifest.release[:32]}",
                )
            yield archive
        except BadBackup as error:
            if error.place and error.place.startswith(str(path)):
                raise
            place = f"{path}: {error.place}" if error.place else str(path)
            raise BadBackup(error.message, place=place, remedy=error.remedy) from None
