"""Calls to the directory service: one unary call, synchronous, as nobody in particular.

What is sent is signed, or bears a code; what matters of the answers verifies by itself or is only shown. The service is
asked under the issuers that the directory lists for it, or, where none is known or it has others by now, under whatever
certificate it shows (``cimfed.rpc.mirror``).
"""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from cimfed.model.admission import AskStatus, Join, Status
from cimfed.rpc.authorisation import ADMINISTER, JOIN, JOIN_STATUS, PUBLISH, REQUEST_ACCESS
from cimfed.rpc.channel import credentials_for, dialling
from cimfed.rpc.mirror import open_unverified
from cimfed.rpc.options import CHANNEL
from cimfed.trust.directory.listing import Directory
from cimfed.trust.envelope import Envelope
from cimfed.trust.tls import dns_name
from cimfed.wire import admissions as wire
from cimfed.wire.admissions import Administered
from cimfed.wire.errors import from_rpc_error

SECONDS = 30.0


class ServiceClient:
    """``directory`` is what is known of it, None before anything is; then ``address`` is where it is dialled."""

    def __init__(self, address: str, directory: Directory | None = None) -> None:
        self.name = directory.service.name if directory else address
        if directory is None:
            self._channel = open_unverified(address)
        else:
            service = directory.service
            self._channel = grpc.secure_channel(
                f"dns:///{service.address}",
                credentials_for(service.issuers, None),
                options=(*CHANNEL, *dialling(dns_name(directory.federation, service.name), service.address)),
            )

    def call(self, method: str, request: bytes) -> bytes:
        """CimfedError as the service gave it, NodeUnreachable where it is away."""
        try:
            return bytes(self._channel.unary_unary(method)(request, timeout=SECONDS))
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.name) from None

    def publish(self, files: Mapping[str, bytes]) -> int:
        """The version of the directory that has them."""
        return wire.decode_published(self.call(PUBLISH, wire.encode_publish(files)))

    def join(self, request: Join) -> Status:
        return wire.decode_status(self.call(JOIN, wire.encode_join(request)))

    def join_status(self, request: AskStatus) -> Status:
        return wire.decode_status(self.call(JOIN_STATUS, wire.encode_ask_status(request)))

    def administer(self, request: Envelope) -> Administered:
        return wire.decode_administered(self.call(ADMINISTER, wire.encode_administer(request)))

    def request_access(self, request: Envelope) -> None:
        self.call(REQUEST_ACCESS, wire.encode_request_access(request))

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> ServiceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
