"""Entries of a log: canonical bytes that say the same to everyone, and what is not known is kept as it is."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import LogInconsistent, LogUnavailable
from cimfed.trust.tlog import entries
from cimfed.trust.tlog.entries import (
    Act,
    Admission,
    Decision,
    Entry,
    Other,
    Outcome,
    Passed,
    Position,
    Publication,
    Restored,
    Returned,
)

REFUSED = Decision(7, Position(5), b"r" * 32, b"k" * 32, "inst.x", "gw.alliance", "read", reason="not_granted")
SAMPLES: list[Entry] = [
    REFUSED,
    Decision(
        1, Position(2**63 - 1), b"r", b"k", "inst.x", "inst.x", "read", "учёт", "building", 3, "massing", "view-1"
    ),
    Outcome(2, Position(9), "answered", "", 5, 1, b"c" * 32),
    Passed(3, Position(9), b"r", b"k", "inst.x", "kz.almaty uz.tashkent"),
    Returned(4, Position(9), "kz.almaty=answered"),
    Act(5, "erase", "aigerim", "building", "snapshot-1", 2, "asked for", b"t" * 16),
    Publication(6, "registrar", 12, b"h" * 32),
    Admission(7, "approved", "inst.x", b"k" * 32, b"c" * 32),
    Restored(8, "sco/kz.almaty", 512, b"r" * 32),
]


def test_an_entry_is_canonical_json_without_what_is_empty() -> None:
    assert entries.encode(REFUSED) == (
        b'{"key_id":"' + b"6b" * 32 + b'","kind":"read","organisation":"inst.x","position":"0000000000000005",'
        b'"presenter":"gw.alliance","reason":"not_granted","request_hash":"' + b"72" * 32 + b'","time":7,'
        b'"type":"decision"}'
    )


def test_every_type_is_read_as_it_was_written() -> None:
    assert {type(entry) for entry in SAMPLES} == set(Entry.__subclasses__())
    for entry in SAMPLES:
        assert entries.decode(entries.encode(entry)) == entry


def test_types_have_names_of_their_own() -> None:
    kinds = [cls.type for cls in Entry.__subclasses__()]
    assert len(set(kinds)) == len(kinds)
    assert all(kind == cls.__name__.lower() for cls, kind in zip(Entry.__subclasses__(), kinds, strict=True))
    assert not any(field.name == "type" for cls in Entry.__subclasses__() for field in fields(cls))


@pytest.mark.parametrize(
    "document",
    [
        {"type": "weather", "time": 1},
        {"type": "returned", "time": 1, "decision": "0000000000000009", "outcome": "x", "more": 1},
        {"type": "returned", "time": 1, "outcome": "x"},
        {"type": "returned", "time": True, "decision": "0000000000000009", "outcome": "x"},
        {"type": "returned", "time": 1, "decision": 9, "outcome": "x"},
        {"type": "returned", "time": 1, "decision": "9", "outcome": "x"},
        {"type": "returned", "time": 1, "decision": "0000000000000000", "outcome": "x"},
        {"type": "returned", "time": 1, "decision": "f000000000000000", "outcome": "x"},
        {"type": "outcome", "time": 1, "decision": "0000000000000009", "outcome": "x", "rows": 0},
        {"type": "outcome", "time": 1, "decision": "0000000000000009", "outcome": "x", "chain": "AA"},
        {"type": "outcome", "time": 1, "decision": "0000000000000009", "outcome": "x", "chain": "a a"},
    ],
)
def test_what_is_not_known_is_kept(document: dict[str, object]) -> None:
    kind = document["type"]
    found = entries.decode(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    assert found == Other(str(kind), {name: value for name, value in document.items() if name != "type"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"type":1}',
        b'{"type": "act"}',
        b'{"type":"act","type":"act"}',
        b'{"time":1,"type":"act"}\n',
        b'{"type":"act","time":1}',
        b'{"time":1.0,"type":"act"}',
        b'{"time":99999999999999999999,"type":"act"}',
        b'{"time":1e999,"type":"act"}',
        b'{"time":NaN,"type":"act"}',
        b'{"reason":"\\ud800","type":"act"}',
        b'\xff{"type":"act"}',
        b"[" * 100_000,
        b'{"reason":"' + b"x" * 20_000 + b'","type":"act"}',
    ],
)
def test_what_is_no_entry_is_refused(content: bytes) -> None:
    with pytest.raises(LogInconsistent):
        entries.decode(content)


@given(st.binary(max_size=200))
def test_whatever_bytes_come_it_is_an_entry_or_refused(content: bytes) -> None:
    with pytest.raises(LogInconsistent):
        entries.decode(content + b"\n")
    try:
        entries.decode(content)
    except LogInconsistent:
        return
    assert b'"type":' in content


@given(st.integers(-(2**53) + 1, 2**53 - 1), st.text(max_size=50), st.characters(max_codepoint=0x7F))
def test_an_entrys_bytes_are_those_of_rfc_8785(time: int, text: str, char: str) -> None:
    entry = Act(time, char, text, reason=text + char)
    document = {"type": "act", "time": time, "act": char, "operator": text, "reason": text + char}
    named = {name: value for name, value in document.items() if value != ""} | {"token": entry.token.hex()}
    if not text:
        named["operator"] = ""  # it has no default, so it is never left out
    assert entries.encode(entry) == rfc8785.dumps(named)
    assert entries.decode(entries.encode(entry)) == entry


@pytest.mark.parametrize("reason", ["\ud800", "x" * 20_000])
def test_what_cannot_be_written_down_is_said(reason: str) -> None:
    with pytest.raises(LogUnavailable):
        entries.encode(Act(1, "erase", "aigerim", reason=reason))


def test_a_number_too_large_for_json_is_said() -> None:
    with pytest.raises(LogUnavailable):
        entries.encode(Act(2**60, "erase", "aigerim"))


def test_a_position_says_nothing_of_how_many_lines_there_are() -> None:
    positions = [entries.draw_position() for _ in range(64)]
    assert len(set(positions)) == 64
    assert positions not in (sorted(positions), sorted(positions, reverse=True))
    assert 0 < min(positions) < 2**60 < max(positions) < 2**63
