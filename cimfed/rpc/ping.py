"""A health check that tells the other side's time as well: how far two clocks are apart, without a protocol for it.

A server adds its time to what it answers with (trailing metadata), under the TLS of the call: it is that server's word
and nobody else's. The caller takes it to be of the middle of the call, so it may be wrong by half of what that took.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from cimfed.rpc.authorisation import HEALTH_CHECK
from cimfed.wire.errors import from_rpc_error

TIME = "cimfed-time"  # microseconds since 1970-01-01T00:00Z
SECONDS = 5.0


class TimedHealth(health.aio.HealthServicer):  # type: ignore[misc]
    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__()
        self._now = now

    async def Check(self, request: Any, context: Any) -> Any:  # grpc's name for it
        context.set_trailing_metadata(((TIME, str(self._now())),))
        return await super().Check(request, context)


@dataclass(frozen=True)
class Pong:
    """``latency``: seconds of one call over a connection that stands. ``offset``: the other clock less the own one, in
    microseconds, within ``doubt``; None where it was not told."""

    serving: bool
    latency: float
    offset: int | None
    doubt: int


def ping(channel: Any, name: str, now: Callable[[], int], seconds: float = SECONDS) -> Pong:
    """Twice, the first time to connect. CimfedError as of any call."""
    check = channel.unary_unary(
        HEALTH_CHECK,
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    request = health_pb2.HealthCheckRequest()
    try:
        check(request, timeout=seconds)
        begun, sent = time.perf_counter(), now()
        reply, call = check.with_call(request, timeout=seconds)
        took = time.perf_counter() - begun
    except grpc.RpcError as error:
        raise from_rpc_error(error, name) from None
    told = dict(call.trailing_metadata() or ()).get(TIME, "")
    half = int(took * 500_000)
    offset = int(told) - sent - half if told.isascii() and told.isdigit() and len(told) <= 18 else None
    return Pong(reply.status == health_pb2.HealthCheckResponse.SERVING, took, offset, half)
