"""What a machine may lack: a test that needs it is skipped, but never in CI, which must have everything."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def lacking(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"this machine lacks {what}")
    pytest.skip(f"this machine lacks {what}")


def real(name: str = "") -> Path:
    """A file or folder of the real data beside the project."""
    path = DATA / name
    if not path.exists():
        lacking(f"the real data: {path}")
    return path


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        lacking(f"the program {name}")
    return found


def root() -> None:
    """Only root can become another user."""
    if os.geteuid():
        lacking("root's rights")
