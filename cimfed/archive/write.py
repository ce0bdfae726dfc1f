"""Writes a backup: the manifest, then every member in its order, each compared with the manifest as it goes by.

A member that is not what its hash says ends the writing with BadFile: a damaged file makes no good backup.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import pyarrow as pa

from cimfed.archive.manifest import NAME, Manifest, Member
from cimfed.errors import BadConfig, BadFile
from cimfed.trust.hashing import sha256

PIECE = 2**20
BLOCK = tarfile.BLOCKSIZE
_USTAR_LARGEST = 8**11 - 1


@dataclass(frozen=True)
class Part:
    """A file of a home, or bytes in its stead, and the name that it has in the backup."""

    name: str
    source: Path | bytes
    member: Member

    @classmethod
    def of_bytes(cls, name: str, content: bytes) -> Part:
        return cls(name, content, Member(name, len(content), sha256(content).hex()))

    @classmethod
    def of_file(cls, name: str, path: Path, known: str | None = None) -> Part:
        """``known``: its SHA-256 where that was recorded; else it is read for that now. BadConfig for no plain file."""
        if path.is_symlink() or not path.is_file():
            raise BadConfig("this is no file", place=str(path))
        if known is None:
            with path.open("rb") as file:
                known = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(name, path, Member(name, path.stat().st_size, known))


def write(out: BinaryIO, manifest: Manifest, parts: Sequence[Part]) -> None:
    """The whole archive; ``manifest`` names these parts in this order. ``out`` stays open."""
    assert [part.member for part in parts] == list(manifest.members)
    with pa.CompressedOutputStream(pa.PythonFile(_Kept(out), "w"), "zstd") as packed:
        content = manifest.to_bytes()
        for part in (Part.of_bytes(NAME, content), *parts):
            packed.write(header(part.member, manifest.taken))
            digest = hashlib.sha256()
            written = 0
            for piece in _pieces(part.source):
                digest.update(piece)
                written += len(piece)
                packed.write(piece)
            if (written, digest.hexdigest()) != (part.member.size, part.member.sha256):
                raise BadFile(
                    "this file is not what was recorded of it, and makes no backup",
                    place=str(part.source) if isinstance(part.source, Path) else part.name,
                    remedy="cimfed-node snapshots show says more of a snapshot's files",
                )
            packed.write(bytes(-written % BLOCK))
        packed.write(bytes(2 * BLOCK))


def _pieces(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def header(member: Member, taken: int) -> bytes:
    """The one block before a member's bytes. BadConfig where its name does not fit into that."""
    about = tarfile.TarInfo(member.name)
    about.size, about.mode, about.mtime = member.size, 0o600, taken // 1_000_000
    # ustar has names of up to 255 bytes, GNU's has files of more than 8 GiB
    form: Literal[0, 1] = tarfile.USTAR_FORMAT if member.size <= _USTAR_LARGEST else tarfile.GNU_FORMAT
    block = about.tobuf(form, "ascii", "strict")
    if len(block) != BLOCK:
        raise BadConfig("this name is too long for a file of this size", place=member.name)
    return block


class _Kept(io.RawIOBase):
    """A file that the compressor does not close."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        return self._file.write(piece)
