"""Two ways of writing a file: put in place whole and for good, or made once and never over another."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cimfed.errors import Conflict


def replace_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replaces a file in one step: readers see the old or the new, and after a crash one of the two is there."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def create_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Makes a file that must not be there yet, else Conflict. Its mode never is wider than ``mode``."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise Conflict(f"{path} already exists", remedy="Remove it yourself if it is no longer needed") from None
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
