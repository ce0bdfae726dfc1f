"""frame.json."""

from __future__ import annotations

from typing import Any

from vectorgen.forms import Case, Document, accept, block, document, number, reject, varint
from vectorgen.parties import ALMATY, GATEWAY

CITY = block(2, ALMATY)
PAYLOAD = bytes(range(200))
LIMIT = 4 * 1024 * 1024
ABOUT = (
    "One message of an answer. Of a frame that is taken: its fields, and the part that is set (start, head, manifest,"
    " coverage, or empty). Bytes may be given as a list of [hex, times] that are to be joined."
)


def documents() -> dict[str, Document]:
    return {"frame.json": document("A city's stream", ABOUT, [*_accepted(), *_rejected()])}


def _accepted() -> list[Case]:
    def case(name: str, data: bytes, part: str = "", payload: bytes = b"", **facts: Any) -> Case:
        fields = {"index": 0, "city": ALMATY, "rows": 0, "part": part, "payload": payload.hex()} | facts
        return accept(name, bytes=data.hex(), fields=fields)

    start = block(3, block(1, b"schema") + block(2, "view"))
    signature = block(1, bytes(32)) + block(2, bytes(64))
    envelope = block(1, "type") + block(2, b"payload") + block(3, signature)
    signed = {"payload_type": "type", "payload": b"payload".hex()}
    batch = number(1, 300) + CITY + number(8, 70_000) + block(15, PAYLOAD)
    return [
        case("a start", CITY + start, "start", start={"schema": b"schema".hex(), "view": "view"}),
        case("a batch", batch, payload=PAYLOAD, index=300, rows=70_000),
        case("a head", CITY + block(4, envelope), "head", head=signed),
        case("a manifest", CITY + block(5, envelope), "manifest", manifest=signed),
        case("a coverage", block(2, GATEWAY) + block(6, envelope), "coverage", city=GATEWAY, coverage=signed),
        case("an empty payload at the end", CITY + block(15, b"")),
        case("nothing but a city", CITY),
        case("no bytes at all", b"", city=""),
        case(
            "first fields in another order",
            number(8, 3) + CITY + number(1, 1) + block(15, b"x"),
            index=1,
            rows=3,
            payload=b"x",
        ),
        case(
            "a field that this release does not know is passed over",
            CITY + number(9, 5) + block(15, b"x"),
            payload=b"x",
        ),
        case("the last of two parts counts", CITY + start + block(5, envelope), "manifest", manifest=signed),
        accept(
            "as large as may be",
            bytes=[
                [(CITY + varint(15 << 3 | 2) + varint(LIMIT - len(CITY) - 5)).hex(), 1],
                ["00", LIMIT - len(CITY) - 5],
            ],
            fields={"index": 0, "city": ALMATY, "rows": 0, "part": "", "payload_bytes": LIMIT - len(CITY) - 5},
        ),
    ]


def _rejected() -> list[Case]:
    def bad(name: str, data: bytes) -> Case:
        return reject(name, "chain_broken", bytes=data.hex())

    batch = number(1, 1) + CITY + number(8, 2) + block(15, PAYLOAD)
    return [
        bad("a field follows the payload", number(1, 1) + CITY + block(15, PAYLOAD) + number(8, 2)),
        bad("an unknown field follows the payload", batch + number(9, 1)),
        bad("a byte follows the payload", batch + b"\0"),
        bad("two payloads", batch + block(15, b"")),
        bad("the payload is cut short", batch[:-1]),
        bad("cut short within the city", CITY[:-1]),
        bad("cut short within a number", number(1, 300)[:-1]),
        bad("cut short before the payload's length", batch[: -len(PAYLOAD) - 2]),
        bad("a number without end", b"\x08" + b"\x80" * 10 + b"\x01"),
        bad("a field of fixed width (form 1)", CITY + bytes((9 << 3 | 1,)) + bytes(8)),
        bad("a group (form 3)", CITY + bytes((9 << 3 | 3, 9 << 3 | 4))),
        bad("field 0", CITY + b"\0\0"),
        bad("a city that is not UTF-8", block(2, b"\xff\xfe")),
        reject(
            "one byte too large",
            "chain_broken",
            bytes=[
                [(CITY + varint(15 << 3 | 2) + varint(LIMIT - len(CITY) - 4)).hex(), 1],
                ["00", LIMIT - len(CITY) - 4],
            ],
        ),
    ]
