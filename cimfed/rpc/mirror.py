"""DirectoryService: hands on the files of the directory that this server follows, and how a follower asks for them.

Nobody has to believe a mirror: what it serves is verified where it is put in force (``cimfed.trust.directory.follow``).
So a follower that knows no issuer of the directory service yet, or no longer, may ask it all the same, over TLS with
whatever certificate it shows (``UnknownService``): that hides what is asked from the network, and proves nothing.

Followers ask from a thread of their own, outside of any event loop.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from cimfed.errors import BadConfig, BadDirectory, CimfedError, NodeUnreachable
from cimfed.model.names import Federation
from cimfed.rpc import clock
from cimfed.rpc.authorisation import FETCH
from cimfed.rpc.channel import credentials_for, dialling
from cimfed.rpc.options import CHANNEL
from cimfed.trust.directory import layout
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Folder, Mirror
from cimfed.trust.tls import Issuer, Leaf, LeafSource, dns_name, server_name
from cimfed.v1 import directory_service_pb2
from cimfed.wire.envelopes import parse
from cimfed.wire.errors import from_rpc_error

SECONDS = 5  # for one file
WEB_SECONDS = 20  # for one file, however slowly it comes
CITIES = 2  # that are asked where service and gateways are away


def mirror(files: Mapping[str, bytes]) -> Mapping[str, Callable[[bytes, Any], Awaitable[bytes]]]:
    """The unary handler of Fetch, by its full method name. ``files`` are a follower's, or the service's own."""

    async def fetch(request: bytes, _context: Any) -> bytes:
        message = directory_service_pb2.FetchRequest()
        parse(message, request, "the request")
        content = await asyncio.to_thread(files.get, message.path) if layout.is_file(message.path) else None
        return directory_service_pb2.FetchReply(found=content is not None, content=content or b"").SerializeToString()

    return {FETCH: fetch}


class PartyMirror:
    """A city, a gateway or the directory service. ``leaf``: None where the service is asked, as nobody."""

    def __init__(
        self, federation: Federation, name: str, address: str, issuers: Sequence[Issuer], leaf: Leaf | None
    ) -> None:
        self.name = name
        self._channel = grpc.secure_channel(
            f"dns:///{address}",
            credentials_for(issuers, leaf),
            options=(*CHANNEL, *dialling(dns_name(federation, name), address)),
        )

    def get(self, path: str) -> bytes | None:
        return _fetched(self._channel, self.name, path)

    def close(self) -> None:
        self._channel.close()


class UnknownService:
    """The directory service at an address, whoever it shows itself to be."""

    def __init__(self, address: str) -> None:
        self.name = self._address = address
        self._channel: Any = None

    def get(self, path: str) -> bytes | None:
        if self._channel is None:
            self._channel = open_unverified(self._address)
        try:
            return _fetched(self._channel, self.name, path)
        except CimfedError:
            self.close()  # its leaf may have been renewed
            raise

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class WebMirror:
    """Plain files on a web server, as `cimfed directory export` writes them.

    A server that sends a byte now and then would hold up its reader for days: the timeouts of a socket are for each
    read. So a thread of its own reads, and is waited for ``seconds`` at most.
    """

    def __init__(self, url: str, seconds: float = WEB_SECONDS) -> None:
        self.name, self._seconds = url, seconds
        self._fetcher = Urllib3Fetcher(socket_timeout=SECONDS)
        self._reader: threading.Thread | None = None

    def get(self, path: str) -> bytes | None:
        if self._reader is not None and self._reader.is_alive():
            raise NodeUnreachable(f"{self.name} has not ended its last answer yet")
        found: Future[bytes | None] = Future()
        self._reader = threading.Thread(target=self._read, args=(path, found), name="web mirror", daemon=True)
        self._reader.start()
        try:
            return found.result(self._seconds)
        except TimeoutError:
            raise NodeUnreachable(f"{self.name} is too slow") from None

    def _read(self, path: str, found: Future[bytes | None]) -> None:
        try:
            found.set_result(self._download(path))
        except BaseException as error:
            found.set_exception(error)

    def _download(self, path: str) -> bytes | None:
        try:
            return self._fetcher.download_bytes(f"{self.name.rstrip('/')}/{path}", layout.TARGET_LIMIT)
        except DownloadHTTPError as error:
            if error.status_code in (403, 404):
                return None
            raise NodeUnreachable(f"{self.name} answers with {error.status_code}") from None
        except DownloadError:
            raise NodeUnreachable(f"{self.name} cannot be reached, or sends too much") from None

    def close(self) -> None:
        """There is nothing to close."""


def open_unverified(address: str) -> Any:
    """A channel to a server that is taken for what it shows. For what verifies by itself, and for nothing else."""
    host, _, port = address.rpartition(":")
    try:
        leaf = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=SECONDS)
    except (OSError, ValueError):
        raise NodeUnreachable(f"{address} cannot be reached", remedy="Is the directory service running?") from None
    pem = leaf.encode("ascii")
    return grpc.secure_channel(
        f"dns:///{address}",
        credentials_for((Issuer(pem),), None),
        options=(*CHANNEL, *dialling(server_name(pem), address)),
    )


class Mirrors:
    """Where a follower asks, in this order: ``first`` (a gateway, for whoever asks through it); the directory service;
    extra ones (URLs, folders); gateways; a few cities; the directory service whoever it shows itself to be.

    ``leaves`` are the follower's own, for client use; None for one that is not listed. ``now`` in microseconds.
    """

    def __init__(
        self,
        of: Federation,
        service: str,
        own: str = "",
        leaves: LeafSource | None = None,
        extra: Sequence[str] = (),
        first: str = "",
        now: Callable[[], int] = clock.now,
    ) -> None:
        self._of, self._own, self._leaves, self._first, self._now = of, own, leaves, first, now
        self._extra: list[Mirror] = [extra_mirror(text) for text in extra]
        self._unknown = [UnknownService(service)] if service else []
        self._known: dict[str, tuple[object, PartyMirror]] = {}

    def __call__(self, directory: Directory | None) -> Sequence[Mirror]:
        if directory is None:
            return [*self._extra, *self._unknown]
        names = [self._first, directory.service.name, *directory.gateways, *list(directory.members)[:CITIES]]
        served = [self._party(directory, name) for name in dict.fromkeys(names) if name and name != self._own]
        parties = [party for party in served if party is not None]
        at = next((i for i, party in enumerate(parties) if party.name == directory.service.name), len(parties))
        return [*parties[: at + 1], *self._extra, *parties[at + 1 :], *self._unknown]

    def close(self) -> None:
        for _, party in self._known.values():
            party.close()
        for unknown in self._unknown:
            unknown.close()

    def _party(self, directory: Directory, name: str) -> PartyMirror | None:
        """None where it cannot be asked: it is not listed, or asks for a leaf that this follower has not."""
        try:
            party = directory.party(name)
            address = directory.address(name)
        except CimfedError:
            return None
        leaf = None
        if name != directory.service.name:
            if self._leaves is None:
                return None
            leaf = self._leaves.current(self._now())
        made_of = address, party.issuers, leaf
        known = self._known.get(name)
        if known is not None:
            if known[0] == made_of:
                return known[1]
            known[1].close()
        made = PartyMirror(self._of, name, address, party.issuers, leaf)
        self._known[name] = made_of, made
        return made


def extra_mirror(text: str) -> Mirror:
    """Of a URL or a folder, as settings name them. BadConfig for what is neither."""
    if text.startswith(("https://", "http://")):
        return WebMirror(text)
    if Path(text).is_absolute():
        return Folder(Path(text))
    raise BadConfig(f"{text[:100]!r} is no mirror", remedy="Give a URL (https://...) or an absolute path")


def _fetched(channel: Any, name: str, path: str) -> bytes | None:
    reply = directory_service_pb2.FetchReply()
    request = directory_service_pb2.FetchRequest(path=path).SerializeToString()
    try:
        reply.ParseFromString(channel.unary_unary(FETCH)(request, timeout=SECONDS))
    except grpc.RpcError as error:
        raise from_rpc_error(error, name) from None
    except DecodeError:
        raise BadDirectory(f"the answer of {name} cannot be parsed") from None
    return reply.content if reply.found else None
