"""A directory service in this process, behind real TLS, and the office of its administrators: for tests of commands.

    with serving(tmp_path) as service:
        token = service.ok("cimfed", "member", "invite", "uz.tashkent", "--yes").out
        service.run("cimfed-node", "join", token.strip(), "--home", "node", ...)

Everything is made by the commands that a real alliance types. They run in this process too, in ``folder``; the service
has a thread and an event loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import cimfed.cli.main
import cimfed_gateway.cli
import cimfed_node.cli
from cimfed import console
from cimfed.cli.office import read_office
from cimfed.client.profile import Profile
from cimfed.model.names import Federation, Kind
from cimfed.rpc import clock
from cimfed.rpc.mirror import Mirrors, mirror
from cimfed.rpc.options import DIRECTORY_SERVER
from cimfed.rpc.server import Server
from cimfed.rpc.throttle import Allowance, Throttle
from cimfed.tlog import log
from cimfed.tlog.schema import EntryId
from cimfed.trust.directory.follow import Follower
from cimfed.trust.directory.listing import Directory
from cimfed.trust.identity_files import load_issuing_key, load_signing_key
from cimfed.trust.tlog.entries import Entry, decode
from cimfed.trust.tls import LeafSource, Use
from cimfed_gateway.directory.config import Home
from cimfed_gateway.directory.repository import Repository
from cimfed_gateway.directory.service import ALLOWANCES, Service
from cimfed_gateway.directory.tables import Records

COLUMNS = 200  # of the terminal, whatever it was when the programs were loaded
SCO, NAME = Federation("sco"), "dir.alliance"
PLENTY = Allowance(rate=1000, burst=1000, slots_each=16, slots=64)
OPTIONS = (*(option for option in DIRECTORY_SERVER if option[0] != "grpc.so_reuseport"), ("grpc.so_reuseport", 1))
"""The port is kept by the test from before the service until after it."""
PROGRAMS = {
    "cimfed": cimfed.cli.main.app,
    "cimfed-node": cimfed_node.cli.app,
    "cimfed-gateway": cimfed_gateway.cli.app,
}


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """What ``--json`` gave: one object on one line."""
        (line,) = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found


class Terminal(io.StringIO):
    """Somebody who types this, line by line."""

    def isatty(self) -> bool:
        return True


def run(folder: Path, *words: object, typed: str | None = None, **environment: str) -> Said:
    """A command: its exit code, what it printed. ``typed``: by whoever is at the terminal; None where nobody is."""
    out, err = io.StringIO(), io.StringIO()
    program, *arguments = map(str, words)
    before = Path.cwd()
    os.chdir(folder)
    code = 0
    try:
        with (
            mock.patch.dict(os.environ, {"CIMFED_HOME": str(folder / "profiles"), **environment}),
            mock.patch.object(console.out, "_width", COLUMNS),
            mock.patch("sys.stdin", io.StringIO() if typed is None else Terminal(typed)),
            mock.patch("sys.argv", [program, *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            console.run(PROGRAMS[program])
    except SystemExit as ending:
        code = int(ending.code or 0)
    finally:
        os.chdir(before)
    return Said(code, out.getvalue(), err.getvalue())


@dataclass
class Running:
    """``folder``: where commands run. ``address``: where the service is dialled."""

    folder: Path
    address: str
    repository: Repository | None = None
    records: Records | None = None

    def renew(self) -> None:
        """What the service does by itself every few seconds: a new timestamp where it is time for one."""
        assert self.repository is not None
        self.repository.renew()

    def log(self) -> list[Entry]:
        """The entries of the service's log."""
        assert self.records is not None
        with self.records.reading() as connection:
            contents = log.contents(connection, EntryId(1, 0), log.head(connection).size)
            found = [decode(content) for _, content in contents]
        return [entry for entry in found if isinstance(entry, Entry)]

    @property
    def office(self) -> Path:
        return self.folder / "office"

    def run(self, *words: object, typed: str | None = None) -> Said:
        return run(self.folder, *words, typed=typed, CIMFED_OFFICE=str(self.office), COLUMNS=str(COLUMNS))

    def ok(self, *words: object) -> Said:
        said = self.run(*words)
        assert said.code == 0, said
        return said

    def refused(self, *words: object) -> str:
        """The reason that a command ends for."""
        said = self.run(*words)
        assert said.code != 0, said
        return said.err.rsplit("error ", 1)[-1].split(":")[0]

    def refresh(self, profile: Profile) -> None:
        """The profile fetches the directory, as it does before it asks something."""
        follower = Follower(profile.directory, SCO, Mirrors(SCO, profile.service), clock.now)
        follower.refresh()
        follower.close()

    @property
    def directory(self) -> Directory:
        return read_office(self.office).current()

    def token(self, group: str, name: str, *more: str) -> str:
        return self.ok("cimfed", group, "invite", name, "--yes", *more).out.strip()

    def join_gateway(self, name: str = "gw.alliance") -> None:
        """Invited, joined and listed."""
        self.ok("cimfed-gateway", "join", self.token("member", name), "--home", name, "--address", "localhost:9")
        self.approve(name)

    def join_city(self, name: str = "kz.almaty") -> None:
        key = self.steward(name)
        self.ok("cimfed-node", "join", self.token("member", name), "--home", name, "--address", "localhost:9",
                "--steward-key", key)  # fmt: skip
        self.approve(name)

    def join_partner(self, name: str = "inst.iitd", profile: str = "") -> None:
        token = self.token("partner", name)
        self.ok("cimfed", "join", token, "--profile", profile or name, "--no-passphrase")
        self.approve(name, "--country", "IN", "--role", "researcher")

    def steward(self, city: str) -> Path:
        """The public key of a city's steward."""
        place = self.folder / f"{city}.steward.key"
        if not place.exists():
            self.ok("cimfed", "policy", "new-key", place, "--no-passphrase")
        return place.with_suffix(".pub")

    def approve(self, name: str, *more: str) -> Said:
        return self.ok("cimfed", "requests", "approve", name, "--yes", *more)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Running]:
    """A federation that was founded just now, and its service."""
    with socket.socket() as kept:  # the port is this test's until the service has it
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", 0))
        running = Running(folder, f"127.0.0.1:{kept.getsockname()[1]}")
        home = found(running)
        with in_thread(home, running, serve):
            yield running


def found(running: Running) -> Home:
    running.ok("cimfed-gateway", "directory", "init", NAME, "--home", "service", "--federation", SCO,
               "--address", running.address)  # fmt: skip
    running.ok("cimfed", "directory", "init", SCO, "--service", "service/card.json", "--online",
               "service/keys/online.pub", "--alone", "office", "--out", "draft.json", "--no-passphrase")  # fmt: skip
    running.ok("cimfed-gateway", "directory", "begin", "draft.json", "--home", "service")
    return Home.load(running.folder / "service")


Serve = Callable[[Home, Running, threading.Event, asyncio.Event], Coroutine[Any, Any, None]]
"""Serves at the address of the second, says so by the third, until the fourth."""


@contextlib.contextmanager
def in_thread(home: Home, running: Running, serve: Serve) -> Iterator[None]:
    """A server with a thread and an event loop of its own."""
    loop, ready = asyncio.new_event_loop(), threading.Event()
    ending = asyncio.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            loop.run_until_complete(serve(home, running, ready, ending))
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=work, name="directory service")
    thread.start()
    ready.wait()
    try:
        if not failed:
            yield
    finally:
        if not failed:
            loop.call_soon_threadsafe(ending.set)
        thread.join()
    assert not failed, failed


async def serve(home: Home, running: Running, ready: threading.Event, ending: asyncio.Event) -> None:
    records = Records.open(home.records)
    online = load_signing_key(home.online_key)
    repository = Repository(home.repository, SCO, home.name, online, records, lambda: clock.now())
    service = Service(records, repository, lambda: clock.now())  # as a test has moved it
    running.repository, running.records = repository, records
    server = Server(
        Kind.DIRECTORY,
        running.address,
        None,
        LeafSource(load_issuing_key(home.path), SCO, home.name, Use.SERVER),
        {},
        {**service.handlers(), **mirror(repository.files)},
        options=OPTIONS,
        throttle=Throttle(dict.fromkeys(ALLOWANCES, PLENTY)),
    )
    await server.start()
    await server.serve()
    ready.set()
    try:
        await ending.wait()
    finally:
        await server.drain(1.0)
        records.close()
