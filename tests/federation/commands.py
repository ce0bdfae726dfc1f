"""An alliance of real processes whose set-up is quick: the commands that end run in this process, servers as they do.

`scripts/alliance.py` starts a process for each command; a city takes eight of them before it serves. Here the same
commands are called in-process by the same words. What serves (nodes, gateway) is always a process of its own.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from unittest import mock

import typer

import cimfed.cli.main
import cimfed_gateway.cli
import cimfed_node.cli
from alliance import BIN, GATEWAY, Alliance, CommandFailed
from cimfed.client.connect import connect
from cimfed.client.federation import Federation
from cimfed.errors import CimfedError
from cimfed.trust.tls import dns_name

PARTNER = "inst.tsinghua"
PROGRAMS: Mapping[str, typer.Typer] = {
    "cimfed": cimfed.cli.main.app,
    "cimfed-node": cimfed_node.cli.app,
    "cimfed-gateway": cimfed_gateway.cli.app,
}
PATIENCE = 60.0  # seconds after which what is waited for will not come

T = TypeVar("T")


class Commands(Alliance):
    """An ``Alliance`` with commands in-process; ``process`` runs one as a process, where its ending is looked at."""

    def run(self, *argv: str, expect: tuple[int, ...] = (0,), partner: str = "", quiet: bool = False) -> str:
        printed = io.StringIO()
        environment = self.environment(partner) if partner else {}
        with (
            mock.patch.dict(os.environ, environment),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            code = _call(PROGRAMS[argv[0]], argv[1:], printed)
        if code not in expect:
            raise CommandFailed(f"{' '.join(argv)} ended with {code}, not {expect}:\n{printed.getvalue()}")
        return printed.getvalue()

    def process(self, *argv: str, partner: str = PARTNER) -> subprocess.CompletedProcess[str]:
        """A command as its user starts it: exit code, standard output and standard error."""
        return subprocess.run(
            [str(BIN / argv[0]), *argv[1:]],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, **self.environment(partner), "COLUMNS": "200"},
            cwd=self.folder,
        )

    def start_all(self, *names: str) -> None:
        """All at once."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self.start, names))

    def kill(self, name: str) -> None:
        """Ends a server as a power cut does."""
        process = self.servers.pop(name)
        process.kill()
        process.wait()

    def connect(self, partner: str = PARTNER, **how: str) -> Federation:
        return connect(str(self.profiles / partner / "sco"), **how)

    def port(self, name: str) -> int:
        """Where a server listens."""
        return int((self.home(name) / "ready").read_text().rpartition(":")[2])


def _call(app: typer.Typer, arguments: tuple[str, ...], printed: io.StringIO) -> int:
    try:
        return int(app(list(arguments), standalone_mode=False) or 0)
    except CimfedError as error:
        printed.write(str(error))
        return error.exit_code


@contextlib.contextmanager
def frozen(alliance: Alliance, name: str) -> Iterator[None]:
    """The server keeps its port and its connections and does nothing."""
    process = alliance.servers[name]
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def eventually(ask: Callable[[], T], done: Callable[[T], bool], patience: float = PATIENCE) -> T:
    """Asks again until the answer is what was waited for; fails with the last answer when it does not come."""
    deadline = time.monotonic() + patience
    pause = threading.Event()
    while not done(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r} after {patience} s"
        pause.wait(0.05)
    return answer


def uid_of(pid: int) -> set[int]:
    """Real, effective, saved and file system user of a process (proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Uid:"):
            return {int(part) for part in line.split()[1:]}
    raise AssertionError("no Uid")


__all__ = ["GATEWAY", "PARTNER", "Commands", "dns_name", "eventually", "frozen", "uid_of"]
