"""hash.json."""

from __future__ import annotations

import hashlib
from typing import Any

from vectorgen.forms import Case, Document, accept, document, reject


def documents() -> dict[str, Document]:
    return {
        "hash.json": document(
            "Hashes and signatures",
            "H(domain, parts): text as UTF-8, hex as bytes, integers as 8 bytes big-endian, each after its length.",
            _cases(),
        )
    }


def _cases() -> list[Case]:
    def case(name: str, domain: str, *parts: Any) -> Case:
        return accept(name, domain=domain, parts=[_part(part) for part in parts], hash=hashed(domain, *parts).hex())

    split, other = case("text in two parts", "d", "ab", "c"), case("the same text, parted elsewhere", "d", "a", "bc")
    assert split["hash"] != other["hash"]
    return [
        case("a domain alone", "cimfed/total/v1"),
        case("an empty part is a part", "cimfed/total/v1", b""),
        split,
        other,
        case("text is UTF-8", "d", "Алматы"),
        case("bytes", "d", bytes(range(256))),
        case("an integer is 8 bytes and has their length before it", "d", 1),
        case("the largest integer", "d", 2**64 - 1),
        case("the start of a chain", "cimfed/chain/v1", bytes(32), "kz.almaty", b"schema", "view"),
        case("a link of a chain", "cimfed/link/v1", bytes(32), 1, bytes([1]) * 32),
        reject(
            "without lengths",
            "another_hash",
            domain="d",
            parts=[{"text": "ab"}],
            hash=hashlib.sha256(b"dab").hexdigest(),
        ),
        reject(
            "an integer as text",
            "another_hash",
            domain="d",
            parts=[{"integer": 1}],
            hash=hashed("d", "1").hex(),
        ),
    ]


def _part(part: Any) -> dict[str, Any]:
    match part:
        case str():
            return {"text": part}
        case int():
            return {"integer": part}
        case _:
            return {"hex": part.hex()}


def hashed(domain: str, *parts: Any) -> bytes:
    state = hashlib.sha256()
    for part in (domain, *parts):
        data = part.encode() if isinstance(part, str) else part.to_bytes(8, "big") if isinstance(part, int) else part
        state.update(len(data).to_bytes(8, "big") + data)
    return state.digest()
