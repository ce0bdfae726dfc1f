"""Files and folders that come whole or not at all.

What is being written has a name of its own beside the final one, ``.<name>.partial``, and is locked by who writes it.
Flushed to the disk, it is renamed; left early, it is removed. Killed, it stays under that name until the next one of
the same name comes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cimfed.errors import BadConfig, Conflict, NoRoom

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def arriving_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which none but its owner may read. Conflict where there is one of that name."""
    _free(path)
    partial = _partial(path)
    handle = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "r+b", buffering=2**20) as file:
        _lock(file.fileno(), partial, path)
        try:
            file.truncate()
            with room_told(path):
                yield file
                file.flush()
                os.fsync(file.fileno())
            _free(path)
            os.rename(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    flush(path.parent)


@contextmanager
def arriving_folder(path: Path) -> Iterator[Path]:
    """A folder to fill. An empty one of that name is as good as none; Conflict where there is anything else."""
    _free(path, folder=True)
    with passing_folder(path) as partial, room_told(path):
        yield partial
        flush_below(partial)
        _free(path, folder=True)
        os.rename(partial, path)
    flush(path.parent)


@contextmanager
def passing_folder(path: Path) -> Iterator[Path]:
    """A folder to work in, beside ``path``, gone at the end unless it was renamed. Conflict while another uses it."""
    partial = _partial(path)
    partial.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _lock(handle, partial, path)
        try:
            for left in partial.iterdir():  # by one that was killed
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(handle)


@contextmanager
def room_told(path: Path) -> Iterator[None]:
    """NoRoom for whatever says that the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL or "No space left" in str(error):
            raise NoRoom(
                "the disk is full; nothing was made", place=str(path), remedy="Make room, or name another place"
            ) from None
        raise


def flush_below(folder: Path) -> None:
    """Every file and folder below is on the disk when this returns."""
    for at, _, names in os.walk(folder):
        for name in names:
            flush(Path(at, name))
        flush(Path(at))


def flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _free(path: Path, *, folder: bool = False) -> None:
    if not path.parent.is_dir():
        raise BadConfig(f"there is no folder {path.parent}")
    empty = folder and path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    if not empty and (path.exists() or path.is_symlink()):
        raise Conflict(f"{path} is there already", remedy="Nothing goes over it: choose another name")


def _lock(handle: int, partial: Path, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(handle), os.lstat(partial)):  # it was finished, and so renamed, in between
            raise BlockingIOError
    except (BlockingIOError, FileNotFoundError):
        raise Conflict(f"{path} is being written by another command", remedy="Wait for it to end") from None
