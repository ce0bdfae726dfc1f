"""The first bytes of a WKB geometry: byte order, type, dimensions."""

from __future__ import annotations

import struct

NESTED = 16
"""Collections in one another: what is deeper is none of a city, and GEOS goes down one call for each."""


def head_of(raw: bytes, at: int) -> tuple[str, int, int, int]:
    """Byte order, type, dimensions and length of the head of the geometry at a place. Both ISO's and PostGIS's ways of
    marking Z and M are known, and PostGIS's SRID."""
    order = "<" if raw[at] == 1 else ">"
    (code,) = struct.unpack_from(f"{order}I", raw, at + 1)
    low = code & 0x0FFFFFFF
    iso = low // 1000
    width = 2 + (iso in (1, 3) or bool(code & 0x80000000)) + (iso in (2, 3) or bool(code & 0x40000000))
    return order, low % 1000, width, 9 if code & 0x20000000 else 5
