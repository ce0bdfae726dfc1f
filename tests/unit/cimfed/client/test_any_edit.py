"""Whatever is done to a stream's frames: the rows are those that the cities signed, or there is an error of ours."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimfed.client import ask
from cimfed.client.intake import Intake
from cimfed.errors import DataLoss
from cimfed.wire import frames
from cimfed.wire.envelopes import encode_ask
from tests.unit.cimfed.client.world import GATEWAY, NOW, World

WORLD = World()


@pytest.fixture(scope="module")
def honest() -> tuple[Any, Any, list[bytes]]:
    """A signed query and the answer to it, message by message."""
    request = ask.read_request("building", None, None, ["id", "height", "function"], "")
    question = ask.question(request, "research", None, None, "any", None)
    query = ask.make_query(question, WORLD.directory.federation, GATEWAY, NOW, bytes(16))
    envelope = ask.sign(query, WORLD.access)
    return query, envelope, WORLD.answer(encode_ask(envelope)).encode()


def read(query: Any, envelope: Any, messages: list[bytes]) -> pa.Table:
    intake = Intake(query, envelope, GATEWAY, WORLD.directory)
    intake.renew(WORLD.directory)  # there is no newer one to ask for
    intake.put(frames.decode(message) for message in messages)
    pieces = [*intake.take(NOW)]
    pieces += intake.finish()
    return intake.to_table(pieces).sort_by("id")


def test_the_honest_stream_is_read(honest: Any) -> None:
    assert read(*honest).num_rows == 62


@given(data=st.data())
def test_a_frame_dropped_doubled_or_moved(honest: Any, data: st.DataObject) -> None:
    query, envelope, messages = honest
    edited = list(messages)
    position = st.integers(0, len(messages) - 1)
    for edit in data.draw(st.lists(st.sampled_from(["drop", "double", "swap", "cut"]), min_size=1, max_size=3)):
        at, to = data.draw(position) % max(len(edited), 1), data.draw(position) % max(len(edited), 1)
        match edit:
            case "drop" if edited:
                del edited[at]
            case "double" if edited:
                edited.insert(to, edited[at])
            case "swap" if edited:
                edited[at], edited[to] = edited[to], edited[at]
            case _:
                del edited[at:]
    try:
        found = read(query, envelope, edited)
    except DataLoss:
        return
    assert found.equals(read(*honest))


@given(data=st.data())
def test_a_bit_flipped(honest: Any, data: st.DataObject) -> None:
    query, envelope, messages = honest
    at = data.draw(st.integers(0, len(messages) - 1))
    message = bytearray(messages[at])
    message[data.draw(st.integers(0, len(message) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    edited = [*messages[:at], bytes(message), *messages[at + 1 :]]
    try:
        found = read(query, envelope, edited)
    except DataLoss:
        return
    assert found.equals(read(*honest))  # a hint of a key, or a frame's field that nobody uses


@given(junk=st.binary(max_size=64), at=st.integers(0, 12))
def test_a_message_of_junk(honest: Any, junk: bytes, at: int) -> None:
    query, envelope, messages = honest
    edited = [*messages[:at], junk, *messages[at:]]
    try:
        found = read(query, envelope, edited)
    except DataLoss:
        return
    assert found.equals(read(*honest))
