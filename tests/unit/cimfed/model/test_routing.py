from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import BadDirectory
from cimfed.model.instants import instant_of, instant_text, parse_instant
from cimfed.model.names import city_name
from cimfed.model.routing import RoutingEntry, as_extent, parse_routing, routing_payload

ENTRY = RoutingEntry(
    city=city_name("kz.almaty"),
    version=3,
    policy_hash=bytes(range(32)),
    collections={"building": (76.7, 43.0, 77.1, 43.4), "facility": None},
    valid=(1_767_225_600_000_000, 1_798_761_600_000_000),
)
PAYLOAD = routing_payload(ENTRY)


def test_the_payload_is_this_to_the_byte() -> None:
    assert PAYLOAD == (
        b'{"city":"kz.almaty","collections":{"building":{"extent":[76.7,43,77.1,43.4]},"facility":{}},'
        b'"format":"cimfed/routing/v1",'
        b'"policy_hash":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",'
        b'"valid":["2026-01-01T00:00:00Z","2027-01-01T00:00:00Z"],"version":3}'
    )


def test_an_entry_is_read_back() -> None:
    assert parse_routing(PAYLOAD) == ENTRY


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"kz.almaty", b"inst.almaty"),
        (b'"kz.almaty"', b"7"),
        (b"routing/v1", b"routing/v2"),
        (b'"version":3', b'"version":0'),
        (b'"version":3', b'"version":true'),
        (b'"version":3', b'"version":3.0'),
        (b'"version":3', b'"version":3,"x":1'),
        (b'"version":3', b'"version":3,"version":3'),
        (b"000102", b"0001"),
        (b"0a0b", b"0A0B"),
        (b'{"extent":[76.7,43,77.1,43.4]}', b'{"extent":null}'),
        (b'{"extent":[76.7,43,77.1,43.4]}', b"[]"),
        (b"[76.7,43,77.1,43.4]", b"[77.1,43,76.7,43.4]"),
        (b"[76.7,43,77.1,43.4]", b"[76.7,43,77.1]"),
        (b"76.7", b"NaN"),
        (b"76.7", b"1e999"),
        (b"76.7", b"true"),
        (b'"building"', b'"Building"'),
        (b"2026", b"1969"),
        (b"2026", b"2028"),
        (b"00:00:00Z", b"00:00Z"),
        (b",", b", "),
    ],
)
def test_anything_else_is_refused(old: bytes, new: bytes) -> None:
    assert old in PAYLOAD
    with pytest.raises(BadDirectory):
        parse_routing(PAYLOAD.replace(old, new, 1))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[" * 100_000, b"[]", b" " * (256 * 1024 + 1)], ids=range(5))
def test_other_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(BadDirectory):
        parse_routing(payload)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_entry_or_bad_directory(payload: bytes) -> None:
    with pytest.raises(BadDirectory):
        parse_routing(payload)


def test_an_extent_has_one_zero() -> None:
    assert str(as_extent([-0.0, -0.0, 1, 1])) == "(0.0, 0.0, 1.0, 1.0)"


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_has_one_text(value: datetime) -> None:
    text = instant_text(instant_of(value))
    assert datetime.fromisoformat(text) == value
    assert parse_instant(text) == instant_of(value)


@pytest.mark.parametrize(
    "text", ["", "2026-01-01", "2026-01-01T00:00", "2026-01-01T00:00+00:00", "2026-01-01T24:00Z", "２026-01-01T00:00Z"]
)
def test_other_texts_are_no_instants(text: str) -> None:
    assert parse_instant(text) is None
