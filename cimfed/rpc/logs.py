"""Asking LogService of a city, a gateway or the directory service: synchronous, one call at a time.

What comes back is decoded, not verified: checkpoints and proofs verify by the directory's keys, whoever sends them.
"""

from __future__ import annotations

import grpc

from cimfed.rpc.authorisation import CHECKPOINT, CONSISTENCY, ENTRIES, PROVE
from cimfed.rpc.channel import credentials_for, dialling
from cimfed.rpc.options import CHANNEL
from cimfed.trust.directory.listing import Directory
from cimfed.trust.envelope import Envelope
from cimfed.trust.tls import Leaf, dns_name
from cimfed.wire import logs as wire
from cimfed.wire.errors import from_rpc_error

SECONDS = 20.0


class LogClient:
    """Of one party that the directory lists. ``leaf``: of whoever asks; the directory service takes none."""

    def __init__(self, directory: Directory, name: str, leaf: Leaf | None) -> None:
        """UnknownPeer for whom the directory does not list."""
        self.name = name
        address, party = directory.address(name), directory.party(name)
        self._channel = grpc.secure_channel(
            f"dns:///{address}",
            credentials_for(party.issuers, None if name == directory.service.name else leaf),
            options=(*CHANNEL, *dialling(dns_name(directory.federation, name), address)),
        )

    def checkpoints(self, origin: str = "") -> wire.Checkpoints:
        return wire.decode_checkpoints(self._call(CHECKPOINT, wire.encode_ask_checkpoint(origin)))

    def consistency(self, origin: str, old_size: int, new_size: int) -> tuple[bytes, ...]:
        asked = wire.AskConsistency(origin, old_size, new_size)
        return wire.decode_consistency(self._call(CONSISTENCY, wire.encode_ask_consistency(asked)))

    def prove(self, request: bytes) -> bytes:
        return self._call(PROVE, request)

    def entries(self, request: Envelope) -> wire.Page:
        return wire.decode_page(self._call(ENTRIES, wire.encode_ask_entries(request)))

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> LogClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, request: bytes) -> bytes:
        """CimfedError as the server gave it, NodeUnreachable where it is away."""
        try:
            return bytes(self._channel.unary_unary(method)(request, timeout=SECONDS))
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.name) from None
