"""DirectoryService: hands on the signed directory that this server follows. Nobody has to believe it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cimfed.rpc import clock
from cimfed.rpc.authorisation import FETCH
from cimfed.trust.directory import DirectorySource
from cimfed.v1 import directory_service_pb2
from cimfed.wire.envelopes import parse


def mirror(
    directory: DirectorySource, now: Callable[[], int] = clock.now
) -> Mapping[str, Callable[[bytes, Any], Awaitable[bytes]]]:
    """The unary handler of Fetch, by its full method name."""

    async def fetch(request: bytes, _context: Any) -> bytes:
        message = directory_service_pb2.FetchRequest()
        parse(message, request, "the request")
        current = directory.current(now())
        newer = current.version > message.known_version
        return directory_service_pb2.FetchReply(
            version=current.version, content=current.content if newer else b""
        ).SerializeToString()

    return {FETCH: fetch}
