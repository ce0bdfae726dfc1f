"""Below any message: no server talks in plaintext, by old TLS or to a certificate of nobody, or unpacks a bomb."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from pathlib import Path

import grpc
import pytest

from cimfed.model.limits import LIMITS
from cimfed.model.names import Kind
from cimfed.rpc.authorisation import FETCH, READ
from cimfed.trust.tls import IssuingKey, Leaf, Use
from tests.attack.asks import PARTNER, Town, verdict
from tests.federation.world import FEDERATION

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVERS = pytest.mark.parametrize("server", [Kind.CITY, Kind.GATEWAY, Kind.DIRECTORY])
OLD_TLS = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
OLD = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
NEW = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def context(version: ssl.TLSVersion, leaf: Leaf | None, folder: Path) -> ssl.SSLContext:
    """A client of one version of TLS, with the weakest ciphers too; it takes any server."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.minimum_version = made.maximum_version = version
    made.set_alpn_protocols(["h2"])
    if leaf is not None:
        (folder / "leaf.pem").write_bytes(leaf.chain_pem + leaf.key_pem)
        made.load_cert_chain(folder / "leaf.pem")
    return made


async def greet(port: int, tls: ssl.SSLContext | None) -> bytes:
    """What a server says first: the settings frame of HTTP/2; nothing where it refuses."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    except (ConnectionError, ssl.SSLError):
        return b""
    try:
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        async with asyncio.timeout(20):
            return await reader.read(9)
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        writer.close()


def is_http2(said: bytes) -> bool:
    return len(said) == 9 and said[3] == 4


@SERVERS
@pytest.mark.parametrize("version", NEW)
async def test_todays_tls_is_spoken(town: Town, server: Kind, version: ssl.TLSVersion, tmp_path: Path) -> None:
    """So that the refusals below are of what is old, and of nothing else."""
    leaf = town.callers["a partner"].leaf
    assert is_http2(await greet(town.ports[server], context(version, leaf, tmp_path)))


@SERVERS
@OLD_TLS
@pytest.mark.parametrize("version", OLD)
async def test_old_tls_is_refused_by_the_server(
    town: Town, server: Kind, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    leaf = town.callers["a partner"].leaf
    assert not await greet(town.ports[server], context(version, leaf, tmp_path))


@OLD_TLS
@pytest.mark.parametrize("version", OLD)
async def test_a_server_that_spoke_old_tls_would_be_heard_here(
    town: Town, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    """So that the refusals above are the servers', not this client's."""
    leaf = town.callers["a partner"].leaf
    assert leaf is not None
    (tmp_path / "server.pem").write_bytes(leaf.chain_pem + leaf.key_pem)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = version
    old.load_cert_chain(tmp_path / "server.pem")

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=old) as server:
        assert is_http2(await greet(server.sockets[0].getsockname()[1], context(version, None, tmp_path)))


@SERVERS
async def test_plaintext_is_not_answered(town: Town, server: Kind) -> None:
    assert not is_http2(await greet(town.ports[server], None))


@pytest.mark.parametrize("server", [Kind.CITY, Kind.GATEWAY])
@pytest.mark.parametrize("version", NEW)
@pytest.mark.parametrize("shown", ["nothing", "a certificate of nobody"])
async def test_who_shows_no_listed_certificate_is_told_nothing(
    town: Town, server: Kind, version: ssl.TLSVersion, shown: str, tmp_path: Path
) -> None:
    leaf = None
    if shown != "nothing":
        leaf = IssuingKey.make(FEDERATION, PARTNER, town.now()).issue(FEDERATION, PARTNER, Use.CLIENT, town.now())
    assert not await greet(town.ports[server], context(version, leaf, tmp_path))


@SERVERS
async def test_a_request_that_unpacks_to_more_than_the_limit_is_refused(town: Town, server: Kind) -> None:
    """Zeros, which gzip makes small enough to be taken. gRPC stops to unpack at the limit."""
    bomb = bytes(LIMITS.message + 1)
    assert len(gzip.compress(bomb)) < LIMITS.request
    method = FETCH if server is Kind.DIRECTORY else READ
    async with town.calling("a partner", server) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="Decompressed message larger than max") as caught:
            await channel.unary_stream(method)(bomb, timeout=20, compression=grpc.Compression.Gzip).read()
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await verdict(town, town.callers["a partner"], channel, "fetch") == "ok"
