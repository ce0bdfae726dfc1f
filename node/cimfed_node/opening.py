"""The operator's way into a home: its settings and its control database, without the engines (``operate``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cimfed_node.config import Home
from cimfed_node.tables import Control


@contextmanager
def opened(path: Path) -> Iterator[tuple[Home, Control]]:
    """The settings and the control database of a home. NotFound where there is none."""
    home = Home.load(path)
    control = Control.open(home.database)
    try:
        yield home, control
    finally:
        control.close()
