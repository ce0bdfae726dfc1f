"""Lengths of time as people write them on command lines: ``90m``, ``72h``, ``7d``."""

from __future__ import annotations

import re

from cimfed.errors import BadConfig

SECOND = 1_000_000  # microseconds
_UNITS = {"m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND}
_DURATION = re.compile(r"([1-9][0-9]{0,4})([mhd])")


def parse_duration(text: str, place: str) -> int:
    """In microseconds. BadConfig, with ``place``, for what is none."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise BadConfig(
            f"{text[:40]!r} is no length of time", place=place, remedy="Give minutes, hours or days: 90m, 72h, 7d"
        )
    return int(found[1]) * _UNITS[found[2]]
