"""How cases are written down, and protobuf fields put together by hand where they must be wrong."""

from __future__ import annotations

import base64
from difflib import SequenceMatcher
from typing import Any

Case = dict[str, Any]
Document = dict[str, Any]


def document(section: str, about: str, cases: list[Case], **more: Any) -> Document:
    """``section`` is the heading of docs/wire.md that the cases belong to."""
    return {"section": section, "about": about, **more, "cases": cases}


def accept(name: str, **facts: Any) -> Case:
    return {"name": name, "verdict": "accept", **facts}


def reject(name: str, reason: str, **facts: Any) -> Case:
    return {"name": name, "verdict": "reject", "reason": reason, **facts}


def encoded(data: bytes) -> str:
    """Whole messages are in base64, what people may want to read in hexadecimal."""
    return base64.b64encode(data).decode()


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def number(field: int, value: int) -> bytes:
    """A varint field."""
    return varint(field << 3) + varint(value)


def block(field: int, content: bytes | str) -> bytes:
    """A length-delimited field."""
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def changed(data: bytes, at: int) -> bytes:
    """One bit of one byte is another; ``at`` may count from the end."""
    out = bytearray(data)
    out[at] ^= 1
    return bytes(out)


def edit(base: bytes, at: int, removed: int, put: bytes = b"") -> list[int | str]:
    """How a case differs from the bytes of another: so many bytes there are replaced."""
    assert 0 <= at <= at + removed <= len(base)
    return [at, removed, put.hex()]


def edits(base: bytes, wanted: bytes, kept: bytes) -> list[list[int | str]]:
    """What makes the one of the other, behind what is ``kept`` and before it: the last first, so that offsets are the
    base's.
    """
    (front, back), (new_front, new_back) = base.split(kept), wanted.split(kept)
    return [*_edits_of(base, len(front + kept), back, new_back), *_edits_of(base, 0, front, new_front)]


def _edits_of(base: bytes, start: int, old: bytes, new: bytes) -> list[list[int | str]]:
    """Matches of a few bytes are chance, and not worth an edit."""
    found, at, new_at = [], 0, 0
    for match in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks():
        if match.size >= 8 or not match.size:
            if at < match.a or new_at < match.b:
                found.append(edit(base, start + at, match.a - at, new[new_at : match.b]))
            at, new_at = match.a + match.size, match.b + match.size
    return found[::-1]
