"""Instants as text: ISO 8601 in UTC, as signed JSON documents and stewards' files write them.

An instant is an int of microseconds since 1970-01-01T00:00Z everywhere else. Only ``Z`` is taken for UTC, the
years are 1 to 9999, and ``instant_text`` gives one text for one instant, so that signed bytes are canonical.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_TEXT = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,6}))?)?Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant_of(value: datetime) -> int:
    """The instant of an aware datetime, exactly."""
    return (value - _EPOCH) // _MICROSECOND


def datetime_of(instant: int) -> datetime:
    return _EPOCH + timedelta(microseconds=instant)


def parse_instant(text: str) -> int | None:
    """The instant that a text such as 2026-10-01T00:00Z says; None where it says none."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    fraction = int((found[7] or "").ljust(6, "0"))
    try:
        return instant_of(datetime(year, month, day, hour, minute, second, fraction, tzinfo=UTC))
    except ValueError:
        return None


def instant_text(instant: int) -> str:
    """The one text of an instant; with a fraction only where there is one."""
    return datetime_of(instant).replace(tzinfo=None).isoformat() + "Z"
