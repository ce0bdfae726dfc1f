"""What the driver raises -> what a reader raises. The engine's words stay in the node's own log."""

from __future__ import annotations

import logging

from cimfed.errors import CimfedError, TimedOut, TooLarge, ViewGone

_log = logging.getLogger(__name__)

_GONE = frozenset({"42P01"})  # undefined_table
_STOPPED = frozenset({"57014", "25P04"})  # query_canceled, transaction_timeout
_FULL = frozenset({"53000", "53100", "53200", "53400", "54000", "54001"})  # disk, memory, temp_file_limit, complexity
_LOST = ("08", "57P")  # connection_exception, operator_intervention other than a cancel


def translated(error: Exception) -> CimfedError:
    if isinstance(error, CimfedError):
        return error
    state = sqlstate(error)
    if state in _GONE:
        return ViewGone("the view is no longer there", remedy="Ask again")
    if state in _STOPPED:
        return TimedOut("the statement took longer than the node allows", remedy="Ask for less")
    _log.error("the engine failed: %s: %s", type(error).__name__, str(error)[:1000])
    if state in _FULL:
        return TooLarge(
            "the request needs more memory than the node gives one statement",
            remedy="Ask for fewer groups, rows or columns",
        )
    if lost(error):
        return CimfedError("the node's database cannot be reached", remedy="Ask again later")
    return CimfedError("the node's engine failed")


def lost(error: Exception) -> bool:
    """Whether the connection is no more, and those beside it perhaps neither."""
    state = sqlstate(error)
    return state is None or state.startswith(_LOST)


def sqlstate(error: Exception) -> str | None:
    return getattr(error, "sqlstate", None)
