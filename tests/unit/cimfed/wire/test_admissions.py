"""Messages of admission and publication read back as they were written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cimfed.errors import BadAnswer, BadQuery, TooLarge
from cimfed.model.admission import AskStatus, InvitationEntry, Join, JoinEntry, RequestState, Status
from cimfed.trust.envelope import Envelope, Signature
from cimfed.v1 import admission_service_pb2, publication_service_pb2
from cimfed.wire import admissions as wire

SIGNED = Envelope("a type", b"a payload", (Signature(b"id", b"signature"),))
RESULT = wire.Administered(
    tuple(JoinEntry(b"i", b"a card", state, 5, state is RequestState.WAITING) for state in RequestState),
    (InvitationEntry(b"i", "kz.almaty", 7, True),),
    (wire.AccessEntry(SIGNED, 9),),
)
FORMS: list[tuple[Callable[[Any], bytes], Callable[[bytes], Any], Any]] = [
    (wire.encode_join, wire.decode_join, Join(b"id", b"card", b"code")),
    (wire.encode_ask_status, wire.decode_ask_status, AskStatus(b"id", "kz.almaty", b"code")),
    *((wire.encode_status, wire.decode_status, Status(state, "why")) for state in RequestState),
    (wire.encode_administer, wire.decode_administer, SIGNED),
    (wire.encode_administered, wire.decode_administered, RESULT),
    (wire.encode_request_access, wire.decode_request_access, SIGNED),
    (wire.encode_publish, wire.decode_publish, {"1.root.json": b"root", "targets/a": b""}),
    (wire.encode_published, wire.decode_published, 7),
]
REQUESTS = [wire.decode_join, wire.decode_ask_status, wire.decode_administer, wire.decode_request_access]


@pytest.mark.parametrize(("encode", "decode", "value"), FORMS)
def test_it_reads_back(encode: Callable[[Any], bytes], decode: Callable[[bytes], Any], value: Any) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize("decode", [*REQUESTS, wire.decode_publish])
def test_a_request_that_is_none_is_refused(decode: Callable[[bytes], Any]) -> None:
    with pytest.raises(BadQuery):
        decode(b"\xff")


@pytest.mark.parametrize("decode", REQUESTS)
def test_a_request_that_is_too_large_is_refused_before_it_is_parsed(decode: Callable[[bytes], Any]) -> None:
    with pytest.raises(TooLarge):
        decode(b"\xff" * (wire.REQUEST + 1))


def test_a_publication_has_each_file_once() -> None:
    twice = publication_service_pb2.PublishRequest(files=[publication_service_pb2.PublishedFile(path="a")] * 2)
    with pytest.raises(BadQuery):
        wire.decode_publish(twice.SerializeToString())


@pytest.mark.parametrize("decode", [wire.decode_status, wire.decode_administered, wire.decode_published])
def test_a_reply_that_is_none_is_a_bad_answer(decode: Callable[[bytes], Any]) -> None:
    with pytest.raises(BadAnswer):
        decode(b"\xff")


@pytest.mark.parametrize("state", [0, 99])
def test_a_state_that_is_none_is_a_bad_answer(state: int) -> None:
    reply = admission_service_pb2.JoinReply()
    reply.MergeFromString(b"\x08" + bytes([state]))
    with pytest.raises(BadAnswer):
        wire.decode_status(reply.SerializeToString())
