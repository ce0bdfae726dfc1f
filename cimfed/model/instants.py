"""Instants as text: ISO 8601 in UTC, as signed JSON documents and steward's files write them.

An instant is an int of microseconds since 1970-01-01T00:00Z everywhere else. Only ``Z`` is taken for UTC, the
years are 1970 to 9999, and ``instant_text`` gives one text for one instant, so that signed bytes are canonical.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_TEXT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
LAST_INSTANT = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def parse_instant(text: str) -> int | None:
    """The instant that a text such as 2026-10-01T00:00Z says; None where it says none."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction = int((found[7] or "").ljust(6, "0"))
    try:
        value = datetime(year, month, day, hour, minute, second, fraction, tzinfo=UTC)
    except ValueError:
        return None
    instant = (value - _EPOCH) // _MICROSECOND
    return instant if instant >= 0 else None


def instant_text(instant: int) -> str:
    """The one text of an instant between 0 and ``LAST_INSTANT``; the fraction only where there is one."""
    value = _EPOCH + timedelta(microseconds=instant)
    return value.strftime("%Y-%m-%dT%H:%M:%S") + (f".{value.microsecond:06}" if value.microsecond else "") + "Z"
