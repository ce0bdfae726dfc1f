"""The time as cimfed counts it."""

from __future__ import annotations

import time


def now() -> int:
    """Microseconds since 1970-01-01T00:00Z."""
    return time.time_ns() // 1000
