"""DirectoryService: hands on the signed directory that this server follows, and how a caller asks for it.

Nobody has to believe it: the bytes are checked by the registrar's key and the versions seen when they are put in force
(``FileDirectory.update``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from google.protobuf.message import DecodeError

from cimfed.errors import BadDirectory, TooLarge
from cimfed.model.limits import LIMITS
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
        content = current.content if current.version > message.known_version else b""
        if len(content) > LIMITS.frame:
            raise TooLarge(
                "the directory is too large for one message", remedy="Get the file itself from the administrator"
            )
        return directory_service_pb2.FetchReply(version=current.version, content=content).SerializeToString()

    return {FETCH: fetch}


async def fetch(call: Callable[[str, bytes], Awaitable[bytes]], known_version: int) -> bytes | None:
    """The mirror's directory file where it has a version above ``known_version``, else None. Not yet verified.

    ``call(method, request)`` makes a unary call, such as ``ChannelPool.unary`` with a name and a time bound to it.
    """
    reply = directory_service_pb2.FetchReply()
    try:
        reply.ParseFromString(
            await call(FETCH, directory_service_pb2.FetchRequest(known_version=known_version).SerializeToString())
        )
    except DecodeError:
        raise BadDirectory("the mirror's answer cannot be parsed") from None
    return reply.content or None
