"""Hashes over several values, with a domain string first so that no hash can stand for another.

Each input is preceded by its length as 8 bytes big-endian; integers are 8 bytes big-endian.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

Hashable = bytes | str | int | memoryview


def sha256(data: bytes | memoryview) -> bytes:
    return hashlib.sha256(data).digest()


def digest(domain: str, parts: Sequence[Hashable]) -> bytes:
    """SHA-256 over the domain and the parts, each length-prefixed."""
    state = hashlib.sha256()
    for part in (domain, *parts):
        match part:
            case str():
                part = part.encode()
            case int():
                part = part.to_bytes(8, "big")
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()
