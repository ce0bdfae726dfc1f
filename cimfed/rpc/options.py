"""gRPC settings of both ends, in one place, with why.

Keepalive: a channel pings every 30 s, also without calls; a server that does not allow for that answers with GOAWAY
``too_many_pings``. Reconnects wait 0.5 to 15 s after a try that failed. Retries are off: they would end at the first
header, and a query is asked once. Compression is off: rows are compressed in their Arrow buffers when the query asks
for it. Frame size, write buffer, look-ahead and TCP read size are gRPC's own: other values were measured and changed
nothing.
"""

from __future__ import annotations

from cimfed.model.limits import LIMITS

Options = tuple[tuple[str, int | str], ...]

_BOTH: Options = (
    ("grpc.max_send_message_length", LIMITS.message),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)

SERVER: Options = (
    *_BOTH,
    ("grpc.max_receive_message_length", LIMITS.request),  # they are in memory before anything is checked
    ("grpc.so_reuseport", 0),  # else two servers share a port in silence
    ("grpc.http2.min_ping_interval_without_data_ms", 20_000),
    ("grpc.max_concurrent_streams", 256),
    ("grpc.max_connection_age_ms", 3_600_000),  # leaves and roots are checked at least so often by TLS, too
    ("grpc.server_handshake_timeout_ms", 10_000),
)

DIRECTORY_SERVER: Options = (
    *(
        option
        for option in SERVER
        if option[0] not in ("grpc.max_receive_message_length", "grpc.max_concurrent_streams")
    ),
    ("grpc.max_receive_message_length", LIMITS.message),  # a publication
    ("grpc.max_concurrent_streams", 8),
    ("grpc.max_allowed_incoming_connections", 256),
    ("grpc.max_connection_idle_ms", 60_000),  # followers come every 2 s
)
"""Whoever calls is nobody: each connection may hold less, and there are not more of them than this."""

CHANNEL: Options = (
    *_BOTH,
    ("grpc.max_receive_message_length", LIMITS.message),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # what a connection may take, TLS included: links may be slow
    ("grpc.max_reconnect_backoff_ms", 15_000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a closed channel closes its connection
)
