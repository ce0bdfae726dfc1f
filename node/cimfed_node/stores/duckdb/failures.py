"""What the engine raises -> what a reader raises. The engine's words stay in the node's own log."""

from __future__ import annotations

import logging
from pathlib import Path

import duckdb

from cimfed.errors import CimfedError, TooLarge, ViewGone

_log = logging.getLogger(__name__)


def translated(error: Exception, source: str) -> CimfedError:
    """``source``: the view's file, looked at to tell a view that went from other trouble."""
    if isinstance(error, duckdb.OutOfMemoryException) or (
        isinstance(error, OSError) and "Out of Memory Error" in str(error)
    ):
        return TooLarge(
            "the request needs more memory than the node gives one statement",
            remedy="Ask for fewer groups, rows or columns",
        )
    if not Path(source).exists():
        return ViewGone("the view is no longer there", remedy="Ask again")
    _log.error("the engine failed: %s: %s", type(error).__name__, error)
    return CimfedError("the node's engine failed")
