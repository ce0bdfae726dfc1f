"""The client over gRPC and mutual TLS, from a profile on disk; the gateway is a bare server with signed streams."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import cimfed
from cimfed.client.loop import Loop
from cimfed.client.profile import Profile, write_profile
from cimfed.errors import NodeUnreachable, TimedOut
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.rpc.authorisation import AGGREGATE, CATALOG, READ
from cimfed.rpc.mirror import mirror
from cimfed.rpc.server import Server
from cimfed.trust.directory.follow import Follower, pin
from cimfed.trust.directory.listing import Directory
from cimfed.trust.directory.mirrors import Always
from cimfed.trust.tls import LeafSource, Use
from tests.board import Files
from tests.unit.cimfed.client.world import ALMATY, GATEWAY, PARTNER, SCO, World


@dataclass
class Served:
    """A gateway in a thread of its own. ``pause``: after so many frames it waits until the caller is gone."""

    world: World
    pause: int | None = None
    paused: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def current(self, now: int) -> Directory:
        return self.world.directory

    latest = current

    async def start(self) -> Server:
        world = self.world
        leaves = LeafSource(world.issuing[GATEWAY], SCO, GATEWAY, Use.SERVER)
        streams = {method: self.answer for method in (READ, AGGREGATE, CATALOG)}
        server = Server(Kind.GATEWAY, "127.0.0.1:0", self, leaves, streams, mirror(world.board.files))
        await server.start()
        await server.serve()
        world.address = f"127.0.0.1:{server.port}"
        world.publish()
        return server

    async def answer(self, request: bytes, context: Any) -> None:
        try:
            for number, data in enumerate(self.world.answer(request).encode()):
                if number == self.pause:
                    self.paused.set()
                    await asyncio.Event().wait()
                await context.write(data)
        finally:
            self.ended.set()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    world = World(clock.now())
    found = Served(world)
    loop = Loop()
    server = loop.run(found.start())
    write_home(world, tmp_path)
    yield found
    loop.run(server.drain(0))
    loop.close()


def write_home(world: World, home: Path) -> None:
    (home / "keys").mkdir()
    for name, content in (
        ("access.key", world.access.to_pem(None)),
        ("tls.key", world.issuing[PARTNER].to_pem()),
        ("tls.pem", world.issuing[PARTNER].issuer.pem),
    ):
        path = home / "keys" / name
        path.touch(mode=0o600)
        path.write_bytes(content)
    profile = Profile(home, PARTNER, SCO, "localhost:1", GATEWAY)
    write_profile(profile)
    pin(profile.directory, world.root)
    Follower(profile.directory, SCO, Always(Files(world.board.files)), clock.now).refresh()


def test_a_profile_is_all_that_is_needed(served: Served, tmp_path: Path) -> None:
    with cimfed.connect(str(tmp_path)) as fed:
        answer = fed.read("building", where="height > 1", purpose="research", require="all")
        assert answer.to_table().num_rows == 62
    report = cimfed.verify_receipt(answer.receipt, served.world.root)
    assert report.coverage.gateway == GATEWAY


def test_a_newer_directory_is_kept_on_disk(served: Served, tmp_path: Path) -> None:
    newer = served.world.publish()
    with cimfed.connect(str(tmp_path)) as fed:
        fed.read("building", purpose="research").to_table()
    kept = Follower(tmp_path / "directory", SCO, Always(), clock.now)
    assert kept.current(clock.now()).version == newer.version


async def test_the_async_client_over_grpc(served: Served, tmp_path: Path) -> None:
    async with cimfed.connect_async(str(tmp_path)) as fed:
        one, other = fed.read("building", purpose="research"), fed.read("building", purpose="research")
        tables = await asyncio.gather(one.to_table(), other.to_table())
    assert [table.num_rows for table in tables] == [62, 62]


def test_leaving_early_cancels_the_call_at_the_server(served: Served, tmp_path: Path) -> None:
    served.pause = 12
    with cimfed.connect(str(tmp_path)) as fed:
        for batch in fed.read("building", purpose="research"):
            assert batch.num_rows
            break
        assert served.ended.wait(10)


def test_a_deadline_ends_an_answer_that_hangs(served: Served, tmp_path: Path) -> None:
    served.pause = 3
    with cimfed.connect(str(tmp_path)) as fed, pytest.raises(TimedOut, match=GATEWAY):
        fed.read("building", purpose="research", timeout=2).to_table()
    assert served.paused.is_set()
    assert served.ended.wait(10)


def test_closing_while_another_thread_waits_ends_its_answer(served: Served, tmp_path: Path) -> None:
    served.pause = 3
    caught: list[Exception] = []
    fed = cimfed.connect(str(tmp_path))

    def wait() -> None:
        try:
            fed.read("building", purpose="research").to_table()
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    assert served.paused.wait(10)
    fed.close()
    thread.join(10)
    assert [type(error) for error in caught] == [NodeUnreachable]


def test_a_program_that_forgets_to_close_ends(served: Served, tmp_path: Path) -> None:
    program = (
        "import cimfed, sys\n"
        "fed = cimfed.connect(sys.argv[1])\n"
        "batches = iter(fed.read('building', purpose='research'))\n"
        "print(next(batches).num_rows)\n"
        "done = fed.read('building', purpose='research', cities=['kz.almaty']).to_table()\n"
        "print(done.num_rows)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0
    assert done.stdout.split()[1] == "40"
    assert done.stderr == ""


def test_an_interrupt_ends_the_answer_and_the_call(served: Served, tmp_path: Path) -> None:
    served.pause = 3
    program = (
        "import cimfed, sys\n"
        "fed = cimfed.connect(sys.argv[1])\n"
        "try:\n"
        "    fed.read('building', purpose='research').to_table()\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=pipe, stderr=pipe) as process:
        try:
            assert served.paused.wait(30)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out.strip(), err) == (0, b"interrupted", b"")
    assert served.ended.wait(10)


def test_an_interrupt_that_reaches_another_thread_ends_a_wait_too() -> None:
    """As one does that comes just before the wait begins: the wait itself is not broken off."""
    loop = Loop()

    async def work() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        await asyncio.Event().wait()

    with pytest.raises(KeyboardInterrupt):
        loop.run(work())
    loop.close()


def test_a_time_out_of_the_work_itself_is_its_result() -> None:
    loop = Loop()

    async def work() -> None:
        raise TimeoutError("of the work")

    with pytest.raises(TimeoutError, match="of the work"):
        loop.run(work())
    loop.close()


def test_a_gateway_that_is_away_is_unreachable(served: Served, tmp_path: Path) -> None:
    served.world.address = "127.0.0.1:1"
    served.world.publish()
    Follower(tmp_path / "directory", SCO, Always(Files(served.world.board.files)), clock.now).refresh()
    with cimfed.connect(str(tmp_path)) as fed, pytest.raises(NodeUnreachable, match=GATEWAY):
        fed.read("building", purpose="research", cities=[ALMATY]).to_table()
