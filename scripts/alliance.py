"""A whole alliance on this computer: directory, gateway and cities as separate processes on loopback.

For the demo, the benchmarks and the tests of the README. Everything is done by the commands that a real alliance
uses; this module only types them, picks free ports, and ends every process that it started.

Cities join side by side, each in a folder of its own; edits of the one directory stay one after another.
"""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

BIN = Path(sys.executable).parent
GATEWAY, SERVICE = "gw.alliance", "dir.alliance"
PROGRAMS = {"gw": ("cimfed-gateway",), "dir": ("cimfed-gateway", "directory")}

T = TypeVar("T")


@dataclass(frozen=True)
class City:
    """``imports``: arguments of `cimfed-node import`, one tuple for each collection. ``policy``: its YAML."""

    name: str
    imports: tuple[tuple[str, ...], ...]
    policy: str


_GIVEN: set[int] = set()


class CommandFailed(Exception):
    """A command of the set-up ended with another code than expected; the message is what it printed."""


def free_port() -> int:
    """A port that nobody has now, out of the range from which the kernel takes those of clients.

    Its server may start much later: so none is given twice, nor to another worker of the tests.
    """
    start = 10_000 + 2_500 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8)
    while True:
        port = random.randrange(start, start + 2_500)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _GIVEN:
                _GIVEN.add(port)
                return port


@dataclass
class Alliance:
    """``show`` gets each command line before it runs."""

    folder: Path
    show: Callable[[str], None] = lambda line: None
    federation: str = "sco"
    service: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    servers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _commands: set[subprocess.Popen[str]] = field(default_factory=set, init=False, repr=False)
    _starting: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _publishing: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _given_up: bool = field(default=False, init=False, repr=False)

    @property
    def office(self) -> Path:
        """Of board, registrar and revoker; in real life each has its own."""
        return self.folder / "office"

    @property
    def root(self) -> Path:
        return self.office / "directory" / "root.json"

    @property
    def profiles(self) -> Path:
        return self.folder / "partners"

    def home(self, name: str) -> Path:
        return self.folder / name

    def environment(self, partner: str = "inst.tsinghua") -> dict[str, str]:
        """What a partner's commands need beside PATH."""
        return {"CIMFED_HOME": str(self.profiles / partner)}

    def exports(self, partner: str) -> str:
        """Lines for a shell in which the README's tours run: the partner's keys, the registrar's, a free address."""
        variables = {
            **self.environment(partner),
            "CIMFED_OFFICE": str(self.office),
            "CIMFED_DIRECTORY": self.service,
            "NODE_ADDRESS": f"127.0.0.1:{free_port()}",
        }
        lines = [f"export PATH={shlex.quote(str(BIN))}:$PATH"]
        return "\n".join(lines + [f"export {name}={shlex.quote(value)}" for name, value in variables.items()])

    def run(self, *argv: str, expect: tuple[int, ...] = (0,), partner: str = "", quiet: bool = False) -> str:
        """Runs a command to its end; gives what it printed, raises CommandFailed on another exit code."""
        if not quiet:
            self.show(shlex.join(argv))
        with self._starting:
            if self._given_up:
                raise CommandFailed("given up")
            process = subprocess.Popen(
                [str(BIN / argv[0]), *argv[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env=_environment(self.environment(partner) if partner else {}),
                cwd=self.folder,
            )
            self._commands.add(process)
        try:
            printed, _ = process.communicate()
        finally:
            _end(process)
            self._commands.discard(process)
        if process.returncode not in expect:
            raise CommandFailed(f"{shlex.join(argv)} ended with {process.returncode}, not {expect}:\n{printed}")
        return printed

    def side_by_side(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Makes all calls, as many at a time as there are processors. When one fails, or Ctrl-C comes, none goes on."""
        with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as pool:
            try:
                futures = [pool.submit(call) for call in calls]
                for future in as_completed(futures):
                    future.result()
                return [future.result() for future in futures]
            except BaseException:
                with self._starting:
                    self._given_up = True
                    commands = list(self._commands)
                for process in commands:
                    process.terminate()
                raise

    def found(self) -> None:
        """Founds the directory, starts its service, makes the gateway's identity and lists it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        home, draft = self.home(SERVICE), self.folder / "first.draft.json"
        self.run(
            "cimfed-gateway", "directory", "init", SERVICE,
            "--home", str(home), "--federation", self.federation, "--address", self.service,
        )  # fmt: skip
        self.run(
            "cimfed", "directory", "init", self.federation, "--service", str(home / "card.json"),
            "--online", str(home / "keys" / "online.pub"), "--alone", str(self.office), "--out", str(draft),
            "--no-passphrase",
        )  # fmt: skip
        self.run("cimfed-gateway", "directory", "begin", str(draft), "--home", str(home))
        self.start(SERVICE)
        self.add_gateway(GATEWAY)

    def add_gateway(self, name: str) -> None:
        """Makes a gateway's identity and lists it."""
        self.run(
            "cimfed-gateway", "init", name,
            "--home", str(self.home(name)), "--federation", self.federation,
            "--address", f"127.0.0.1:{free_port()}",
            "--root", str(self.root), "--directory", self.service,
        )  # fmt: skip
        self._list(self.home(name) / "card.json")

    def _list(self, card: Path, *more: str) -> None:
        self._publish("member", "add", str(card), *more)

    def _publish(self, *edit: str) -> None:
        """An edit of the directory by its registrar."""
        with self._publishing:
            self.run("cimfed", *edit, "--home", str(self.office), "--yes")

    def join_all(self, cities: Sequence[City]) -> dict[str, list[str]]:
        """Gives what the imports of each city printed."""
        printed = self.side_by_side([partial(self.join, city) for city in cities])
        return {city.name: lines for city, lines in zip(cities, printed, strict=True)}

    def join(self, city: City) -> list[str]:
        """A city's way in: keys, data, policy, admission. Gives what the imports printed."""
        home = self.home(city.name)
        key = self._steward(city.name) / "steward.key"
        self.run("cimfed", "policy", "new-key", str(key), "--no-passphrase")
        self.run(
            "cimfed-node", "init", city.name,
            "--home", str(home), "--federation", self.federation, "--address", f"127.0.0.1:{free_port()}",
            "--root", str(self.root),
            "--steward-key", str(key.with_suffix(".pub")), "--directory", self.service,
        )  # fmt: skip
        self._list(home / "card.json")
        printed = [self.run("cimfed-node", "import", *arguments, "--home", str(home)) for arguments in city.imports]
        self._put_in_force(city)
        return printed

    def _put_in_force(self, city: City) -> None:
        """The steward signs the policy, the operator activates it, which publishes its routing entry."""
        steward = self._steward(city.name)
        source, signed = steward / "policy.yaml", steward / "policy.policy.json"
        source.write_text(city.policy, "utf-8")
        self.run(
            "cimfed", "policy", "sign", str(source), "--key", str(steward / "steward.key"), "--out", str(signed)
        )  # fmt: skip
        self.run("cimfed-node", "activate", str(signed), "--home", str(self.home(city.name)))

    def _steward(self, city: str) -> Path:
        folder = self.folder / "stewards" / city
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def admit(self, partner: str, country: str, role: str) -> None:
        self.run(
            "cimfed", "profile", "new", "sco", partner,
            "--federation", self.federation, "--root", str(self.root),
            "--directory", self.service, "--gateway", GATEWAY, "--no-passphrase",
            partner=partner,
        )  # fmt: skip
        card = self.profiles / partner / "sco" / "card.json"
        self._publish("partner", "add", str(card), "--country", country, "--role", role)

    def start_all(self, *names: str) -> None:
        self.side_by_side([partial(self.start, name) for name in names])

    def start(self, name: str) -> None:
        """Starts a city's node or the gateway and waits until it serves."""
        home = self.home(name)
        ready = home / "ready"
        ready.unlink(missing_ok=True)
        program = PROGRAMS.get(name.split(".")[0], ("cimfed-node",))
        self.show(f"{shlex.join(program)} serve --home {home} &")
        with self._starting, open(home / "serve.log", "ab") as log:
            if self._given_up:
                raise CommandFailed("given up")
            process = subprocess.Popen(
                [str(BIN / program[0]), *program[1:], "serve", "--home", str(home), "--ready-file", str(ready)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment({}),
            )  # fmt: skip
            self.servers[name] = process
        deadline = time.monotonic() + 60
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline or self._given_up:
                raise CommandFailed(f"{name} did not start:\n{(home / 'serve.log').read_text('utf-8')[-4000:]}")
            time.sleep(0.02)

    def stop(self, name: str) -> None:
        _end(self.servers[name])
        del self.servers[name]

    def close(self) -> None:
        for process in self.servers.values():
            process.terminate()
        for name in list(self.servers):
            self.stop(name)


def _end(process: subprocess.Popen[Any]) -> None:
    """Asks a process to end and makes sure that it did."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment(more: dict[str, str]) -> dict[str, str]:
    return {"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(Path.home()), "COLUMNS": "120", **more}


@contextlib.contextmanager
def running(alliance: Alliance, names: list[str]) -> Iterator[Alliance]:
    """Starts the named servers; ends all of them, whatever happens."""
    try:
        alliance.start_all(*names)
        yield alliance
    finally:
        alliance.close()
