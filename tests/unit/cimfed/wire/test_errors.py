"""Errors across gRPC: what a peer says is cut, and starts no line in anybody's log."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

from cimfed.errors import NotGranted
from cimfed.wire.errors import from_rpc_error, to_grpc


class Failed:
    """A call that ended with a status of the peer's own making."""

    def __init__(self, message: str, **metadata: str) -> None:
        packed = AnyMessage()
        packed.Pack(error_details_pb2.ErrorInfo(reason="not_granted", domain="cimfed", metadata=metadata))
        self.status = status_pb2.Status(code=code_pb2.PERMISSION_DENIED, message=message, details=[packed])

    def code(self) -> Any:
        return grpc.StatusCode.PERMISSION_DENIED

    def details(self) -> str:
        return self.status.message

    def trailing_metadata(self) -> Any:
        return (("grpc-status-details-bin", self.status.SerializeToString()),)


def test_an_error_comes_back_as_it_left() -> None:
    code, message, _ = to_grpc(NotGranted("нет", place="where: имя", remedy="Ask"))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    found = from_rpc_error(Failed(message, place="where: имя", remedy="Ask"))
    assert (type(found), found.message, found.place, found.remedy) == (NotGranted, "нет", "where: имя", "Ask")


def test_a_peers_words_are_cut_and_one_line() -> None:
    found = from_rpc_error(Failed("no\n2026-01-01 INFO all is well\x1b[2J" + "x" * 9000, place="a\nb", remedy="\x07"))
    assert found.message.startswith("no 2026-01-01 INFO all is well [2J")
    assert len(found.message) <= 256
    assert (found.place, found.remedy) == ("a b", " ")


def test_nothing_said_is_nothing() -> None:
    found = from_rpc_error(Failed("no"))
    assert (found.place, found.remedy) == (None, None)
