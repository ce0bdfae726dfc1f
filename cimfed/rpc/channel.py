"""Channels to cities and gateways, and calls over them.

A channel trusts the issuer that the directory lists for the party that it dials, and nobody else, and dials its DNS
name whatever its address is. ``ChannelPool`` keeps one for each party and swaps it when the own leaf passes its
half-life or the directory's entry changes; calls on the old one run to their end.

Calls carry bytes. Errors are ``CimfedError``. Every call is cancelled when its reader is done with it, however that
ended: a stream must be read inside ``contextlib.aclosing``. ``within`` is seconds for the whole call, None for no end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import grpc

from cimfed.errors import NodeUnreachable
from cimfed.model.names import Federation, kind_of
from cimfed.rpc import clock
from cimfed.rpc.options import CHANNEL, Options
from cimfed.trust.directory.listing import DirectorySource
from cimfed.trust.tls import Issuer, IssuingKey, Leaf, LeafSource, dns_name
from cimfed.wire.errors import from_rpc_error


def open_channel(
    federation: Federation,
    name: str,
    address: str,
    issuers: Sequence[Issuer],
    leaf: Leaf | None,
    options: Options = CHANNEL,
) -> Any:
    """A ``grpc.aio.Channel`` to one party. Nothing is dialled before the first call. No leaf: as nobody."""
    return grpc.aio.secure_channel(
        f"dns:///{address}",
        credentials_for(issuers, leaf),
        options=(*options, *dialling(dns_name(federation, name), address)),
    )


def credentials_for(issuers: Sequence[Issuer], leaf: Leaf | None) -> Any:
    """Trusts these issuers and nobody else; with none, nobody: all of a party's may be revoked, or not count yet."""
    return grpc.ssl_channel_credentials(
        root_certificates=b"".join(issuer.pem for issuer in issuers or (_nobody(),)),
        private_key=leaf.key_pem if leaf else None,
        certificate_chain=leaf.chain_pem if leaf else None,
    )


@cache
def _nobody() -> Issuer:
    """One whose key is thrown away. Given no roots, gRPC would take those of this host."""
    return IssuingKey.make(Federation("nowhere"), "gw.nobody", clock.now()).issuer


def dialling(dns: str, address: str) -> Options:
    """Options for the DNS name that the other side must show, whatever its address is."""
    host = address.rsplit(":", 1)[0]
    direct: Options = (("grpc.enable_http_proxy", 0),) if host in ("localhost", "127.0.0.1", "[::1]") else ()
    return (("grpc.ssl_target_name_override", dns), *direct)


async def stream(
    channel: Any, method: str, request: bytes, within: float | None, peer: str = ""
) -> AsyncGenerator[bytes, None]:
    """The messages of an answer. ``peer`` is who it is, for error texts."""
    call = channel.unary_stream(method)(request, timeout=within)
    try:
        while (message := await call.read()) is not grpc.aio.EOF:
            yield message
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, peer) from None
    except asyncio.CancelledError:
        if _cancelled():
            raise
        raise NodeUnreachable(f"the connection to {peer or 'the peer'} was closed here") from None
    finally:
        call.cancel()


async def unary(channel: Any, method: str, request: bytes, within: float | None, peer: str = "") -> bytes:
    """The one message of an answer."""
    call = channel.unary_unary(method)(request, timeout=within)
    try:
        return bytes(await call)
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error, peer) from None
    except asyncio.CancelledError:
        if _cancelled():
            raise
        raise NodeUnreachable(f"the connection to {peer or 'the peer'} was closed here") from None
    finally:
        call.cancel()


def _cancelled() -> bool:
    """Whether the reader itself is being cancelled. Closing a channel raises CancelledError in its readers too."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@dataclass(eq=False)
class _Entry:
    channel: Any
    made_of: tuple[str, tuple[Issuer, ...], Leaf]
    leases: int = 0
    retired: bool = False


class ChannelPool:
    """Channels by name of the party, in one event loop. ``leaves`` are those of the own party, for client use."""

    def __init__(
        self,
        directory: DirectorySource,
        leaves: LeafSource,
        now: Callable[[], int] = clock.now,
        options: Options = CHANNEL,
    ) -> None:
        self._directory, self._leaves, self._now, self._options = directory, leaves, now, options
        self._entries: dict[str, _Entry] = {}
        self._closed = False

    @asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[Any]:
        """The channel to a party, kept open while the block runs. UnknownPeer, DirectoryExpired."""
        entry = await self._entry(name)
        entry.leases += 1
        try:
            yield entry.channel
        finally:
            entry.leases -= 1
            if entry.retired and not entry.leases:
                await entry.channel.close()

    async def stream(self, name: str, method: str, request: bytes, within: float | None) -> AsyncGenerator[bytes, None]:
        """``stream`` over the party's channel."""
        async with self.lease(name) as channel, aclosing(stream(channel, method, request, within, name)) as messages:
            async for message in messages:
                yield message

    async def unary(self, name: str, method: str, request: bytes, within: float | None) -> bytes:
        """``unary`` over the party's channel."""
        async with self.lease(name) as channel:
            return await unary(channel, method, request, within, name)

    async def close(self) -> None:
        """Ends every channel. Readers that still read get NodeUnreachable; end them first."""
        self._closed = True
        entries, self._entries = list(self._entries.values()), {}
        for entry in entries:
            entry.retired = True
            await entry.channel.close()

    async def _entry(self, name: str) -> _Entry:
        if self._closed:
            raise NodeUnreachable("the channels are closed")
        now = self._now()
        directory = self._directory.current(now)
        address, issuers = directory.address(name), directory.issuers_of(kind_of(name), name)
        leaf = self._leaves.current(now)
        made_of = address, issuers, leaf
        entry = self._entries.get(name)
        if entry is not None and entry.made_of == made_of:
            return entry
        channel = open_channel(directory.federation, name, address, issuers, leaf, self._options)
        made = self._entries[name] = _Entry(channel, made_of)
        if entry is not None:
            entry.retired = True
            if not entry.leases:
                made.leases += 1  # held over the wait
                try:
                    await entry.channel.close()
                finally:
                    made.leases -= 1
        return made
