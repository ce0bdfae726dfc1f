"""Who acts, and why: the Unix user, behind sudo the one who called it; a reason in a line of plain text."""

from __future__ import annotations

import os
import pwd

from cimfed.errors import BadConfig
from cimfed.model.texts import plain

LONGEST = 500  # characters of a reason


def operator() -> str:
    """A name, or the number of a user that has none."""
    number = os.getuid()
    behind = os.environ.get("SUDO_UID", "")
    if number == 0 and behind.isdigit():
        number = int(behind)
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def acceptable_reason(text: str) -> str:
    """BadConfig where there is none, or too much of it."""
    reason = plain(text).strip()
    if not 0 < len(reason) <= LONGEST:
        raise BadConfig(f"a reason has between 1 and {LONGEST} characters", place="--reason")
    return reason
