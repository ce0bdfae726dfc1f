"""cimfed errors to gRPC status and back: one mapping, by reason.

A status bears ``google.rpc.ErrorInfo`` (reason, domain ``cimfed``; place and remedy as metadata) and, where there is
a time to wait, ``google.rpc.RetryInfo``. Details are cut so that the trailing metadata stays under its limit.
"""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from cimfed.errors import BY_REASON, CimfedError, NodeUnreachable, TimedOut, from_reason
from cimfed.model.limits import LIMITS
from cimfed.model.texts import plain

DOMAIN = "cimfed"
STATUS_KEY = "grpc-status-details-bin"


def _cut(text: str | None) -> str:
    limit = LIMITS.error_detail // 4
    return (text or "").encode()[:limit].decode(errors="ignore")


def to_status(error: CimfedError) -> status_pb2.Status:
    """The status that crosses the wire; never with more than the error's own message, place and remedy."""
    details = []
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    for key, value in (("place", error.place), ("remedy", error.remedy)):
        if value:
            info.metadata[key] = _cut(value)
    packed = AnyMessage()
    packed.Pack(info)
    details.append(packed)
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(error.retry_after * 1000))
        packed = AnyMessage()
        packed.Pack(retry)
        details.append(packed)
    return status_pb2.Status(code=code_pb2.Code.Value(error.status), message=_cut(error.message), details=details)


def to_grpc(error: CimfedError) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """Code, message and trailing metadata for ``context.abort``."""
    status = to_status(error)
    return (
        grpc.StatusCode[error.status],
        status.message,
        ((STATUS_KEY, status.SerializeToString()),),
    )


def from_rpc_error(error: Any, peer: str = "") -> CimfedError:
    """The error that an RPC ended with. Statuses without our detail come from the transport."""
    try:
        status = rpc_status.from_call(_Call(error))
    except ValueError:
        status = None
    for detail in status.details if status is not None else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == DOMAIN:
            return from_reason(
                info.reason,
                plain(_cut(status.message)),
                place=plain(_cut(info.metadata.get("place"))) or None,
                remedy=plain(_cut(info.metadata.get("remedy"))) or None,
                retry_after=_retry_after(status),
            )
    who = peer or "the peer"
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TimedOut(f"{who} did not answer in time")
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return NodeUnreachable(f"{who} cannot be reached")
    return CimfedError(f"{who} ended the call with {error.code().name}")


def _retry_after(status: status_pb2.Status) -> float | None:
    for detail in status.details:
        retry = error_details_pb2.RetryInfo()
        if detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            return float(retry.retry_delay.ToMilliseconds()) / 1000
    return None


class _Call:
    """What ``rpc_status.from_call`` reads, over an ``AioRpcError`` or a synchronous one."""

    def __init__(self, error: Any) -> None:
        self._error = error

    def trailing_metadata(self) -> Any:
        return self._error.trailing_metadata() or ()

    def code(self) -> Any:
        return self._error.code()

    def details(self) -> str:
        return str(self._error.details() or "")


assert all(hasattr(grpc.StatusCode, cls.status) for cls in BY_REASON.values())
