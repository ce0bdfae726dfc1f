"""A mirror may be anybody: whatever it serves or does not serve, the next one is asked, and nothing false is kept."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from cimfed.errors import BadDirectory, CimfedError, NodeUnreachable
from cimfed.rpc.authorisation import FETCH
from cimfed.rpc.mirror import UnknownService, WebMirror, extra_mirror, mirror
from cimfed.trust.directory import layout
from cimfed.trust.directory import publication as drafts
from cimfed.trust.directory.mirrors import PATIENCE, Folder
from cimfed.trust.tls import Use
from cimfed.v1 import directory_service_pb2
from tests.attack.directory.thief import (
    CITY,
    PARTNER,
    Shelf,
    Town,
    content,
    follower,
    newest,
    put_together,
    signed_in,
    stamped,
    town,
)


@pytest.fixture(scope="module")
def sco() -> Town:
    return town()


TIMESTAMP = "metadata/timestamp.json"
MEGABYTE = 1024 * 1024
RUBBISH = {
    "nothing": b"",
    "no JSON": b"<html>",
    "no object": b"[]",
    "an empty object": b"{}",
    "no text": b"\xff\xfe\x00",
    "a null": b"null",
    "depth": b"[" * 100_000,
    "depth in an object": b'{"signed":' * 20_000,
    "a huge number": b'{"signed":{"version":' + b"9" * 5000 + b"}}",
    "NaN": b'{"signed":{"version":NaN},"signatures":[]}',
    "five megabytes": b" " * (5 * MEGABYTE),
    "no file": None,
}


def of_each_kind(sco: Town) -> list[str]:
    """A path of every kind of file that a new follower asks for."""
    files = sco.board.directory.files
    return (
        [TIMESTAMP, "metadata/2.root.json"]
        + [
            next(path for path in files if path.startswith("targets/") and path.endswith(f".{name}.json"))
            for name in ("service", "members", "0", "revoked", CITY)
        ]
        + [newest(files, role) for role in (layout.SNAPSHOT, layout.TARGETS, layout.REGISTRAR, layout.REVOKER, CITY)]
    )


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_a_mirror_that_serves_rubbish_is_passed_over_for_the_next(sco: Town, tmp_path: Path, rubbish: str) -> None:
    for number, path in enumerate(of_each_kind(sco)):
        if path == "metadata/2.root.json" and RUBBISH[rubbish] is None:
            continue  # there is none
        bad, good = Shelf(sco.files, "bad"), Shelf(sco.files, "good")
        bad.lies[path] = RUBBISH[rubbish]
        home = tmp_path / str(number)
        with pytest.raises(BadDirectory):
            follower(home, sco.board.root, sco.clock, bad).refresh()
        followed = follower(home, sco.board.root, sco.clock, bad, good)
        assert content(followed.refresh()) == content(sco.board.directory), path
        assert good.asked


@pytest.mark.parametrize("rubbish", ["no JSON", "depth", "five megabytes", "no file"])
def test_a_mirror_that_serves_rubbish_once_and_then_the_truth_does_no_lasting_harm(
    sco: Town, tmp_path: Path, rubbish: str
) -> None:
    for number, path in enumerate(of_each_kind(sco)):
        answers = [RUBBISH[rubbish]]
        shelf = Shelf(sco.files)
        shelf.lies[path] = lambda path=path, answers=answers: answers.pop() if answers else sco.files.get(path)
        followed = follower(tmp_path / str(number), sco.board.root, sco.clock, shelf)
        try:
            followed.refresh()
        except BadDirectory:
            followed.refresh()
        assert content(followed.current(sco.clock())) == content(sco.board.directory), path
        for kept in followed.files:
            assert followed.files[kept] == sco.files[kept]


def test_a_mirror_that_is_away_or_breaks_in_any_way_is_passed_over(sco: Town, tmp_path: Path) -> None:
    def away() -> bytes:
        raise NodeUnreachable("away")

    for number, path in enumerate(of_each_kind(sco)):
        bad = Shelf(sco.files, "bad")
        bad.lies[path] = away
        followed = follower(tmp_path / str(number), sco.board.root, sco.clock, bad, Shelf(sco.files))
        assert content(followed.refresh()) == content(sco.board.directory)


def test_a_city_does_not_lose_its_routing_entry_by_what_a_mirror_serves(sco: Town, tmp_path: Path) -> None:
    """Else who asks through another mirror would take an honest "ruled out" for a lie."""
    files = sco.board.directory.files
    for number, path in enumerate((newest(files, CITY), next(p for p in files if p.startswith("targets/routing/")))):
        bad = Shelf(sco.files, "bad")
        bad.lies[path] = b"{}"
        followed = follower(tmp_path / str(number), sco.board.root, sco.clock, bad, Shelf(sco.files))
        assert followed.refresh().member(CITY).entry is not None


def test_a_slow_mirror_is_left_for_the_next_after_a_minute_in_all(sco: Town, tmp_path: Path) -> None:
    """Each file comes just within its own limit."""

    class Slow(Shelf):
        def get(self, path: str) -> bytes | None:
            sco.clock.offset += 4_900_000
            return super().get(path)

    slow = Slow(sco.files, "slow")
    started = sco.clock()
    followed = follower(tmp_path, sco.board.root, sco.clock, slow, Shelf(sco.files))
    try:
        assert content(followed.refresh()) == content(sco.board.directory)
        assert sco.clock() - started < PATIENCE + 15_000_000
        assert len(slow.asked) < 16
    finally:
        sco.clock.offset = 0


def test_more_roots_than_a_follower_follows_do_not_hold_it_up(sco: Town, tmp_path: Path) -> None:
    """Roots without end: each must be signed by the board, so that a mirror has none to offer."""
    bad = Shelf(sco.files, "bad")
    for version in range(2, 5):
        root = signed_in(sco.board.root)
        root["version"] = version
        bad.lies[f"metadata/{version}.root.json"] = put_together(root, sco.board.online)
    followed = follower(tmp_path, sco.board.root, sco.clock, bad, Shelf(sco.files))
    assert content(followed.refresh()) == content(sco.board.directory)
    assert [path for path in bad.asked if path.endswith("root.json")] == ["metadata/2.root.json"]


def test_a_root_that_no_reader_takes_is_not_kept_though_the_board_signed_it(sco: Town, tmp_path: Path) -> None:
    """A draft gone wrong, never published, that somebody serves: the next root of that number must still be taken."""
    board = town().board
    now = sco.clock()
    root = signed_in(board.root)
    root["version"], root["consistent_snapshot"] = 2, False
    bad = Shelf(dict(board.files), "bad")
    bad.lies["metadata/2.root.json"] = put_together(root, *board.keys[:2])
    with pytest.raises(BadDirectory):
        follower(tmp_path, board.root, sco.clock, bad).refresh()
    board.accept(board.sign(drafts.root_draft(2, board.board, board.online.public, now), *board.keys[:2]), now)
    followed = follower(tmp_path, board.root, sco.clock, bad, Shelf(dict(board.files)))
    assert followed.refresh().versions[layout.ROOT] == 2


# Paths


@pytest.mark.parametrize(
    "path",
    [
        "../root.json",
        "metadata/../../root.json",
        "targets/../metadata/timestamp.json",
        "/etc/passwd",
        "targets//etc/passwd",
        "metadata/1.root.json\n",
        "metadata/0.root.json",
        "metadata/1.../root.json",
        f"targets/other/{'0' * 64}.members.json",
        f"targets/{'0' * 64}./../members.json",
        "",
        "metadata/timestamp.json\0",
    ],
)
def test_no_path_leads_out_of_a_repository(sco: Town, tmp_path: Path, path: str) -> None:
    (tmp_path / "root.json").write_bytes(sco.board.root)
    folder = Folder(tmp_path / "files")
    folder.put(TIMESTAMP, sco.files[TIMESTAMP])
    assert folder.get(path) is None
    assert path not in folder
    with pytest.raises(CimfedError):
        sco.board.accept({**sco.files, path: b"{}"}, sco.clock())


@pytest.mark.parametrize("hash", ["../../../out/x", "..", "/tmp/x", "", "0" * 63, "A" * 64, "0" * 64 + "/x"])
def test_a_hash_that_is_a_path_leads_nowhere(sco: Town, tmp_path: Path, hash: str) -> None:
    """Thieves of the registrar's and the online key: no file is opened, and no folder made, outside."""
    registrar = signed_in(sco.files[newest(sco.files, layout.REGISTRAR)])
    registrar["version"] += 1
    registrar["targets"]["members.json"]["hashes"] = {"sha256": hash}
    more = {f"metadata/{registrar['version']}.registrar.json": put_together(registrar, sco.board.registrar)}
    files = stamped(sco.files, more, sco.board.online, sco.clock())
    followed = follower(tmp_path / "home", sco.board.root, sco.clock, Shelf(files))
    with pytest.raises(BadDirectory):
        followed.refresh()
    assert {entry.name for entry in tmp_path.iterdir()} == {"home"}
    assert {entry.name for entry in (tmp_path / "home").iterdir()} == {"root.json", "trusted", "files", "lock"}


@pytest.mark.parametrize("name", ["timestamp", "snapshot", "root", "../../out", "members", ""])
def test_a_role_does_not_take_the_place_of_one_at_the_top(sco: Town, tmp_path: Path, name: str) -> None:
    """Thieves of the registrar's and the online key delegate to a role of that name: its file would lie where the
    framework remembers which timestamp it has seen."""
    board = sco.board
    registrar = signed_in(sco.files[newest(sco.files, layout.REGISTRAR)])
    registrar["version"] += 1
    key = board.registrar.public.id.hex()
    registrar["delegations"]["keys"][key] = {
        "keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": board.registrar.public.raw.hex()},
    }  # fmt: skip
    registrar["delegations"]["roles"].append(
        {"name": name, "keyids": [key], "threshold": 1, "terminating": True, "paths": ["partners/*"]}
    )
    del registrar["targets"]["partners/0.json"]
    false = {"_type": "targets", "spec_version": "1.0.31", "version": 1, "expires": registrar["expires"], "targets": {}}
    more = {
        f"metadata/{registrar['version']}.registrar.json": put_together(registrar, board.registrar),
        f"metadata/1.{name}.json": put_together(false, board.registrar),
    }
    shelf = Shelf(sco.files)
    followed = follower(tmp_path, board.root, sco.clock, shelf)
    followed.refresh()
    shelf.files = stamped(sco.files, more, board.online, sco.clock())
    with pytest.raises(BadDirectory):
        followed.refresh()
    for role in ("timestamp", "snapshot"):
        assert json.loads((tmp_path / "trusted" / f"{role}.json").read_bytes())["signed"]["_type"] == role


# On the wire


@contextmanager
def web(handle: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # the reader has gone
                handle(self)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/sco"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_web_server_that_sends_without_end_is_given_up(sco: Town, tmp_path: Path) -> None:
    sent = []

    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65536)
            sent.append(65536)

    with web(endless) as url:
        followed = follower(tmp_path, sco.board.root, sco.clock, WebMirror(url), Shelf(sco.files))
        assert content(followed.refresh()) == content(sco.board.directory)
    assert sum(sent) < 64 * MEGABYTE


@pytest.mark.parametrize("head", [True, False])
def test_a_web_server_that_sends_a_byte_now_and_then_is_given_up(sco: Town, tmp_path: Path, head: bool) -> None:
    """In its head or in its body. Each byte comes long before a socket would time out."""
    over = threading.Event()

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        if head:
            handler.wfile.write(b"HTTP/1.0 200 OK\r\nX: ")
        else:
            handler.send_response(200)
            handler.end_headers()
        while not over.wait(0.02):
            handler.wfile.write(b" ")

    with web(dripping) as url:
        dripped = WebMirror(url, seconds=0.3)
        followed = follower(tmp_path, sco.board.root, sco.clock, dripped, Shelf(sco.files))
        assert content(followed.refresh()) == content(sco.board.directory)
        with pytest.raises(NodeUnreachable, match="has not ended"):
            dripped.get(TIMESTAMP)
        over.set()


def test_a_web_server_with_the_files_serves(sco: Town, tmp_path: Path) -> None:
    def honest(handler: BaseHTTPRequestHandler) -> None:
        found = sco.files.get(handler.path.removeprefix("/sco/"))
        handler.send_response(200 if found is not None else 404)
        handler.end_headers()
        handler.wfile.write(found or b"")

    with web(honest) as url:
        followed = follower(tmp_path, sco.board.root, sco.clock, extra_mirror(url))
        assert content(followed.refresh()) == content(sco.board.directory)


@contextmanager
def service(sco: Town, fetch: Callable[[bytes, Any], bytes]) -> Iterator[str]:
    """A server on the wire that has the directory service's certificate, or anybody's."""
    leaf = sco.board.issuing.issue(sco.board.of, "dir.alliance", Use.SERVER, sco.clock())
    server = grpc.server(ThreadPoolExecutor(4))
    name, _, method = FETCH.removeprefix("/").partition("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(fetch)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(leaf.key_pem, leaf.chain_pem)]))
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None)


def reply(content: bytes | None) -> bytes:
    return directory_service_pb2.FetchReply(  # type: ignore[no-any-return]
        found=content is not None, content=content or b""
    ).SerializeToString()


def test_a_service_that_hangs_is_given_up_and_the_other_mirror_serves(
    sco: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cimfed.rpc.mirror.SECONDS", 0.3)
    over = threading.Event()

    def hanging(_request: bytes, _context: Any) -> bytes:
        over.wait(30)
        return b""

    with service(sco, hanging) as address:
        unknown = UnknownService(address)
        followed = follower(tmp_path, sco.board.root, sco.clock, unknown, Shelf(sco.files))
        try:
            assert content(followed.refresh()) == content(sco.board.directory)
        finally:
            over.set()
            unknown.close()


@pytest.mark.parametrize("drips", [False, True])
def test_a_server_that_never_ends_its_handshake_is_given_up(
    sco: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drips: bool
) -> None:
    """It is silent, or sends a record of TLS a byte at a time."""
    monkeypatch.setattr("cimfed.rpc.mirror.SECONDS", 0.3)
    over = threading.Event()

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = listening.accept()
            with connection:
                connection.sendall(bytes.fromhex("1603034000"))  # a handshake record of 16 KiB
                while not over.wait(0.02):
                    if drips:
                        connection.sendall(b"\2")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        followed = follower(
            tmp_path, sco.board.root, sco.clock, UnknownService(f"127.0.0.1:{listening.getsockname()[1]}"),
            Shelf(sco.files),
        )  # fmt: skip
        try:
            assert content(followed.refresh()) == content(sco.board.directory)
        finally:
            over.set()
        thread.join()


@pytest.mark.parametrize("answer", ["more than a message", "no message", "an error", "half a message"])
def test_a_service_that_answers_with_rubbish_is_passed_over(sco: Town, tmp_path: Path, answer: str) -> None:
    def bad(_request: bytes, context: Any) -> bytes:
        match answer:
            case "more than a message":
                return reply(b" " * (8 * MEGABYTE))
            case "no message":
                return b"\xff" * 100
            case "half a message":
                return reply(sco.files[TIMESTAMP])[:-10]
            case _:
                context.abort(grpc.StatusCode.INTERNAL, "\n" * 500)
                return b""

    with service(sco, bad) as address:
        unknown = UnknownService(address)
        followed = follower(tmp_path, sco.board.root, sco.clock, unknown, Shelf(sco.files))
        try:
            assert content(followed.refresh()) == content(sco.board.directory)
        finally:
            unknown.close()


def test_an_honest_service_is_followed_whoever_it_shows_itself_to_be(sco: Town, tmp_path: Path) -> None:
    def honest(request: bytes, _context: Any) -> bytes:
        return reply(sco.files.get(directory_service_pb2.FetchRequest.FromString(request).path))

    with service(sco, honest) as address:
        unknown = UnknownService(address)
        try:
            followed = follower(tmp_path, sco.board.root, sco.clock, unknown)
            assert content(followed.refresh()) == content(sco.board.directory)
        finally:
            unknown.close()


@pytest.mark.asyncio
async def test_a_mirror_of_ours_serves_nothing_but_files_of_a_repository(sco: Town, tmp_path: Path) -> None:
    (tmp_path / "root.json").write_bytes(b"secret")
    folder = Folder(tmp_path / "files")
    folder.put(TIMESTAMP, b"{}")
    handler = mirror(folder)[FETCH]
    for path, found in (("../root.json", False), (TIMESTAMP, True), ("targets/../../root.json", False)):
        request = directory_service_pb2.FetchRequest(path=path).SerializeToString()
        answer = directory_service_pb2.FetchReply.FromString(await handler(request, None))
        assert answer.found is found


def test_a_partner_that_nobody_lists_is_not_there(sco: Town, tmp_path: Path) -> None:
    followed = follower(tmp_path, sco.board.root, sco.clock, Shelf(sco.files))
    assert set(followed.refresh().partners) == {PARTNER}
