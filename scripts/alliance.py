"""A whole alliance on this computer: directory, gateway and cities as separate processes on loopback.

For the demo, the benchmarks and the tests of the README. Everything is done by the commands that a real alliance
uses; this module only types them, picks free ports, and ends every process that it started.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

BIN = Path(sys.executable).parent
GATEWAY = "gw.alliance"


@dataclass(frozen=True)
class City:
    """``imports``: arguments of `cimfed-node import`, one tuple for each collection. ``policy``: its YAML."""

    name: str
    imports: tuple[tuple[str, ...], ...]
    policy: str


class CommandFailed(Exception):
    """A command of the set-up ended with another code than expected; the message is what it printed."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Alliance:
    """``show`` gets each command line before it runs."""

    folder: Path
    show: Callable[[str], None] = lambda line: None
    federation: str = "sco"
    servers: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def registrar(self) -> Path:
        return self.folder / "registrar"

    @property
    def directory(self) -> Path:
        return self.registrar / "directory.json"

    @property
    def profiles(self) -> Path:
        return self.folder / "partners"

    def home(self, name: str) -> Path:
        return self.folder / name

    def environment(self, partner: str = "inst.tsinghua") -> dict[str, str]:
        """What a partner's commands need beside PATH."""
        return {"CIMFED_HOME": str(self.profiles / partner)}

    def run(self, *argv: str, expect: tuple[int, ...] = (0,), partner: str = "", quiet: bool = False) -> str:
        """Runs a command to its end; gives what it printed, raises CommandFailed on another exit code."""
        if not quiet:
            self.show(shlex.join(argv))
        done = subprocess.run(
            [str(BIN / argv[0]), *argv[1:]],
            capture_output=True,
            text=True,
            check=False,
            env=_environment(self.environment(partner) if partner else {}),
            cwd=self.folder,
        )
        if done.returncode not in expect:
            raise CommandFailed(
                f"{shlex.join(argv)} ended with {done.returncode}, not {expect}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout + done.stderr

    def found(self) -> None:
        """Makes the directory and the gateway's identity, and lists the gateway."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run(
            "cimfed", "directory", "init", self.federation, "--home", str(self.registrar), "--no-passphrase"
        )  # fmt: skip
        self.run(
            "cimfed-gateway", "init", GATEWAY,
            "--home", str(self.home(GATEWAY)), "--federation", self.federation,
            "--address", f"127.0.0.1:{free_port()}",
            "--registrar-key", str(self.registrar / "registrar.pub"), "--directory", str(self.directory),
        )  # fmt: skip
        self._list(self.home(GATEWAY) / "card.json")

    def _list(self, card: Path, *more: str) -> None:
        self.run("cimfed", "member", "add", str(card), "--home", str(self.registrar), *more)

    def join(self, city: City) -> None:
        """A city's way in: keys, admission, data, policy."""
        home = self.home(city.name)
        steward = self.folder / "stewards" / city.name
        steward.mkdir(parents=True, exist_ok=True)
        key = steward / "steward.key"
        self.run("cimfed", "policy", "new-key", str(key), "--no-passphrase")
        self.run(
            "cimfed-node", "init", city.name,
            "--home", str(home), "--federation", self.federation, "--address", f"127.0.0.1:{free_port()}",
            "--registrar-key", str(self.registrar / "registrar.pub"),
            "--steward-key", str(key.with_suffix(".pub")), "--directory", str(self.directory),
        )  # fmt: skip
        self._list(home / "card.json")
        for arguments in city.imports:
            self.run("cimfed-node", "import", *arguments, "--home", str(home))
        self.give(city)

    def give(self, city: City) -> None:
        """The steward signs a policy, the operator activates it, the registrar publishes its routing entry."""
        steward = self.folder / "stewards" / city.name
        source = steward / "policy.yaml"
        source.write_text(city.policy, "utf-8")
        signed = steward / "policy.policy.json"
        self.run(
            "cimfed", "policy", "sign", str(source), "--key", str(steward / "steward.key"), "--out", str(signed)
        )  # fmt: skip
        self.run("cimfed-node", "activate", str(signed), "--home", str(self.home(city.name)))
        routing = signed.with_name("policy.routing.json")
        self.run("cimfed", "policy", "publish", str(routing), "--home", str(self.registrar))

    def admit(self, partner: str, country: str, role: str) -> None:
        self.run(
            "cimfed", "profile", "new", "sco", partner,
            "--federation", self.federation, "--registrar-key", str(self.registrar / "registrar.pub"),
            "--directory", str(self.directory), "--gateway", GATEWAY, "--no-passphrase",
            partner=partner,
        )  # fmt: skip
        card = self.profiles / partner / "sco" / "card.json"
        self.run(
            "cimfed", "partner", "add", str(card), "--country", country, "--role", role, "--home", str(self.registrar)
        )  # fmt: skip

    def start(self, name: str) -> None:
        """Starts a city's node or the gateway and waits until it serves."""
        home = self.home(name)
        ready = home / "ready"
        ready.unlink(missing_ok=True)
        program = "cimfed-gateway" if name == GATEWAY else "cimfed-node"
        self.show(f"{program} serve --home {home} &")
        with open(home / "serve.log", "ab") as log:
            process = subprocess.Popen(
                [str(BIN / program), "serve", "--home", str(home), "--ready-file", str(ready)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment({}),
            )  # fmt: skip
        self.servers[name] = process
        deadline = time.monotonic() + 60
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandFailed(f"{name} did not start:\n{(home / 'serve.log').read_text('utf-8')[-4000:]}")
            time.sleep(0.02)

    def stop(self, name: str) -> None:
        process = self.servers.pop(name)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        for process in self.servers.values():
            process.terminate()
        for name in list(self.servers):
            self.stop(name)


def _environment(more: dict[str, str]) -> dict[str, str]:
    return {"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(Path.home()), **more}


@contextlib.contextmanager
def running(alliance: Alliance, names: list[str]) -> Iterator[Alliance]:
    """Starts the named servers; ends all of them, whatever happens."""
    try:
        for name in names:
            alliance.start(name)
        yield alliance
    finally:
        alliance.close()
