"""Server interceptors, one concern each, in the order in which a call passes them:

1. ``Errors``: whatever a handler raises becomes a status by ``cimfed.wire.errors``; what cimfed did not raise on
   purpose becomes INTERNAL without its text, and is logged; of what several tasks raised, the gravest counts;
2. ``Identity``: the peer, or ``unknown_peer``; where nobody is asked for a certificate, nobody;
3. ``Authorisation``: the table, or ``not_allowed``, for methods that nobody serves too;
4. ``AdmissionControl``: a slot, or ``overloaded``; for callers that are nobody ``ThrottleControl``.

They wrap the call, not its messages: nothing here runs once per message. Sets of running calls are kept by ``Errors``,
for the server to wait for when it drains.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from inspect import isasyncgenfunction
from typing import Any

import grpc

from cimfed.errors import CimfedError, NotAllowed
from cimfed.model.names import Kind
from cimfed.rpc.admission import Admission
from cimfed.rpc.authorisation import QUERIES, authorise
from cimfed.rpc.identity import Identifier, as_peer, current_caller, current_peer
from cimfed.rpc.throttle import Throttle
from cimfed.wire.errors import to_grpc

log = logging.getLogger(__name__)

PARTING = 10.0  # seconds for the status to leave: it waits behind what a caller does not take

Proceed = Callable[[], Awaitable[Any]]


class Layer(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """An interceptor whose ``around`` runs in the place of the handler and calls ``proceed`` to go on."""

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        return None if handler is None else wrapped(handler, partial(self.around, details.method))

    async def around(self, method: str, context: Any, proceed: Proceed) -> Any:
        raise NotImplementedError


class Errors(Layer):
    def __init__(self) -> None:
        self.running: set[asyncio.Task[Any]] = set()

    async def around(self, method: str, context: Any, proceed: Proceed) -> Any:
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            return await proceed()
        except Exception as raised:
            await self._fail(method, context, _gravest(raised))
        finally:
            self.running.discard(task)

    async def _fail(self, method: str, context: Any, raised: Exception) -> None:
        match raised:
            case CimfedError():
                if raised.status == "INTERNAL":
                    log.error("%s: %s", method, raised)
                await _end(context, raised)
            case grpc.aio.InternalError():
                await _end(context, CimfedError("a message could not be sent"))
            case grpc.aio.BaseError():
                raise raised  # aborted, or the server has stopped
            case _:
                log.error("%s failed", method, exc_info=raised)
                await _end(context, CimfedError("the server failed; its log says why"))


def _gravest(raised: Exception) -> Exception:
    """What counts of a group's errors: one that nobody raised on purpose, else cimfed's own, else the connection's."""
    if not isinstance(raised, ExceptionGroup):
        return raised

    def harmless(error: Exception) -> int:
        return 2 if isinstance(error, grpc.aio.BaseError) else isinstance(error, CimfedError)

    return min((_gravest(error) for error in raised.exceptions), key=harmless)


async def _end(context: Any, error: CimfedError) -> None:
    """Ends the call with the error. Where the caller has left, or does not take it, the call is just over.

    gRPC keeps a status that was not taken in time and still delivers it.
    """
    try:
        async with asyncio.timeout(PARTING):
            await context.abort(*to_grpc(error))
    except (TimeoutError, grpc.aio.InternalError):
        raise asyncio.CancelledError from None


class Identity(Layer):
    def __init__(self, identifier: Identifier | None) -> None:
        self._identifier = identifier

    async def around(self, method: str, context: Any, proceed: Proceed) -> Any:
        with as_peer(self._identifier.identify(context.auth_context()) if self._identifier else None):
            return await proceed()


class Authorisation(Layer):
    def __init__(self, server: Kind) -> None:
        self._server = server

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details) or grpc.stream_stream_rpc_method_handler(_nobody)
        return wrapped(handler, partial(self.around, details.method))

    async def around(self, method: str, context: Any, proceed: Proceed) -> Any:
        authorise(self._server, method, current_caller())
        return await proceed()


class AdmissionControl(Layer):
    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def around(self, method: str, context: Any, proceed: Proceed) -> Any:
        if method not in QUERIES:
            return await proceed()
        with ExitStack() as slots:
            slots.enter_context(self._admission.server_slot())
            peer = current_peer()
            if peer.kind is Kind.PARTNER:
                slots.enter_context(self._admission.partner_slot(peer.name))
            return await proceed()


class ThrottleControl(Layer):
    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle

    async def around(self, method: str, context: Any, proceed: Proceed) -> Any:
        with self._throttle.slot(method, context.peer()):
            return await proceed()


async def _nobody(requests: Any, context: Any) -> None:
    raise NotAllowed("nobody serves this method")


def wrapped(handler: Any, around: Callable[[Any, Proceed], Awaitable[Any]]) -> Any:
    """The handler with ``around`` in its place. Generators of responses become coroutines that write."""
    kinds = {
        (False, False): (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
        (False, True): (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
        (True, False): (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
        (True, True): (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
    }
    behaviour, make = kinds[bool(handler.request_streaming), bool(handler.response_streaming)]
    if isasyncgenfunction(behaviour):
        behaviour = partial(_write_all, behaviour)

    async def call(request: Any, context: Any) -> Any:
        return await around(context, partial(behaviour, request, context))

    return make(call, handler.request_deserializer, handler.response_serializer)


async def _write_all(behaviour: Callable[[Any, Any], Any], request: Any, context: Any) -> None:
    async for message in behaviour(request, context):
        await context.write(message)
