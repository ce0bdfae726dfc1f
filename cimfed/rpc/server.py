"""The server of a node, a gateway or the directory service: TLS, the layers, health and reflection around the handlers
it is given.

Handlers get and give bytes. A streaming handler is ``async def handler(request: bytes, context) -> None`` and sends by
``await context.write(data)``, which is also its back-pressure. When the caller leaves, what the handler awaits raises
``CancelledError``, or the write ``grpc.aio.InternalError``: clean up in ``finally``. Full method names are matched
exactly.

TLS: clients must show a leaf of a listed issuer. The server's own leaf and the issuers that it takes are looked up at
every handshake, so a renewed leaf and a new directory need no restart and cut no stream. With an expired directory
handshakes go on by the last issuers and every call is refused (``directory_expired``), until there is a new one.

A directory service (``directory`` None) is called by newcomers too, so it asks for no certificate: its callers are
nobody, and a throttle stands in the place of their slots.

Health says NOT_SERVING until ``serve`` and from ``drain`` on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from cimfed.errors import BadConfig, CimfedError
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.rpc.admission import Admission
from cimfed.rpc.identity import Identifier
from cimfed.rpc.layers import AdmissionControl, Authorisation, Errors, Identity, ThrottleControl
from cimfed.rpc.options import SERVER, Options
from cimfed.rpc.ping import TimedHealth
from cimfed.rpc.throttle import Throttle
from cimfed.trust.directory.listing import Directory, DirectorySource
from cimfed.trust.tls import Leaf, LeafSource

# Reflection describes what is loaded.
from cimfed.v1 import catalog_service_pb2, directory_service_pb2, log_service_pb2, query_service_pb2  # noqa: F401

log = logging.getLogger(__name__)

StreamHandler = Callable[[bytes, Any], Awaitable[None]]
UnaryHandler = Callable[[bytes, Any], Awaitable[bytes]]


class Server:
    """Made inside the event loop that it runs in; ``port`` is the bound one, also where 0 was asked for."""

    def __init__(
        self,
        kind: Kind,
        bind: str,
        directory: DirectorySource | None,
        leaves: LeafSource,
        streams: Mapping[str, StreamHandler],
        unary: Mapping[str, UnaryHandler] | None = None,
        admission: Admission | None = None,
        now: Callable[[], int] = clock.now,
        options: Options = SERVER,
        throttle: Throttle | None = None,
    ) -> None:
        if (directory is None) != (kind is Kind.DIRECTORY) or (directory is None) != (throttle is not None):
            raise BadConfig(f"a {kind} is served to callers of the other sort")
        self._errors = Errors()
        self._health = TimedHealth(now)
        self._server = grpc.aio.server(
            interceptors=(
                self._errors,
                Identity(Identifier(directory, now) if directory else None),
                Authorisation(kind),
                ThrottleControl(throttle) if throttle else AdmissionControl(admission or Admission()),
            ),
            options=options,
        )
        self._server.add_generic_rpc_handlers((_Handlers(streams, unary or {}),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        services = sorted({method.split("/")[1] for method in (*streams, *(unary or {}))})
        reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        self._services = ("", *services)
        try:
            self.port: int = self._server.add_secure_port(bind, _Certificates(directory, leaves, now).credentials())
        except RuntimeError:
            raise BadConfig(f"cannot listen at {bind}", remedy="Is the port in use?") from None

    async def start(self) -> None:
        """Accepts calls, but says NOT_SERVING to those who ask."""
        for service in self._services:
            await self._health.set(service, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()

    async def serve(self) -> None:
        """Ready: says SERVING."""
        for service in self._services:
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def drain(self, grace: float, pause: float = 0.0) -> None:
        """Says NOT_SERVING, waits ``pause`` seconds for callers to see it, gives running calls ``grace`` seconds, ends.

        Returns when every handler has run to its end, its ``finally`` blocks too.
        """
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(pause)
        await self._server.stop(grace)
        if self._errors.running:
            await asyncio.wait(set(self._errors.running), timeout=grace + 5)

    async def wait(self) -> None:
        """Until the server has ended."""
        await self._server.wait_for_termination()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, streams: Mapping[str, StreamHandler], unary: Mapping[str, UnaryHandler]) -> None:
        self._handlers = {
            **{name: grpc.unary_stream_rpc_method_handler(handler) for name, handler in streams.items()},
            **{name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in unary.items()},
        }

    def service(self, details: Any) -> Any:
        return self._handlers.get(details.method)


class _Certificates:
    """What the TLS stack asks for at each handshake, from a thread of its own."""

    def __init__(self, directory: DirectorySource | None, leaves: LeafSource, now: Callable[[], int]) -> None:
        self._directory, self._leaves, self._now = directory, leaves, now
        self._of: tuple[Directory | None, bytes] = None, b""

    def credentials(self) -> Any:
        """DirectoryExpired or BadDirectory where there is no directory to start with."""
        if self._directory is not None:
            self._directory.current(self._now())
        return grpc.dynamic_ssl_server_credentials(
            self._fetch(), self._fetch, require_client_authentication=self._directory is not None
        )

    def _fetch(self) -> Any:
        now = self._now()
        leaf = self._leaves.current(now)
        if self._directory is None:
            return self._configuration(None, leaf, None)
        try:
            directory = self._directory.current(now)
        except CimfedError as error:
            log.error("new connections use the last directory: %s", error)
            return None
        roots = b"".join(issuer.pem for issuer in (*directory.issuers, self._leaves.issuer))
        return self._configuration(directory, leaf, roots)

    def _configuration(self, directory: Directory | None, leaf: Leaf, roots: bytes | None) -> Any:
        """None where nothing has changed."""
        of = directory, leaf.chain_pem
        if of[0] is self._of[0] and of[1] == self._of[1]:
            return None
        self._of = of
        return grpc.ssl_server_certificate_configuration([(leaf.key_pem, leaf.chain_pem)], root_certificates=roots)
