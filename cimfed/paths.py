"""Where a command may write, looked at before anything is asked or made."""

from __future__ import annotations

import os
from pathlib import Path

from cimfed.errors import BadConfig, Conflict


def in_folder(path: Path) -> None:
    """BadConfig where there is no folder for this file, or none in which files can be made."""
    if not path.parent.is_dir():
        raise BadConfig(f"there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise BadConfig(f"no file can be made in {path.parent}", remedy="Name one in a folder that is yours")


def new_file(path: Path) -> None:
    """Conflict where something is there already, BadConfig where its folder is not."""
    in_folder(path)
    if path.exists() or path.is_symlink():
        raise Conflict(f"{path} already exists", remedy="Remove it yourself if it is no longer needed")


def new_folder(path: Path) -> Path:
    """A folder that is to be made; an empty one is as good as none. Conflict where there is something, BadConfig where
    there is nothing to make it in."""
    path = path.absolute()
    in_folder(path)
    empty = path.is_dir() and not path.is_symlink() and not any(path.iterdir())
    if not empty and (path.exists() or path.is_symlink()):
        raise Conflict(f"{path} is there already", remedy="Name a folder that is not there yet")
    return path


def replaceable(path: Path) -> Path:
    """The file itself where ``path`` is a link to it. BadConfig for a folder, a device, a pipe."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # the second of links in a circle
        raise BadConfig("this leads nowhere", place=str(path)) from None
    in_folder(real)
    if real.exists() and not real.is_file():
        raise BadConfig("this is there and is no file", place=str(path), remedy="Name a file, or - for standard output")
    return real
