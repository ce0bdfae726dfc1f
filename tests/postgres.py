"""A PostgreSQL of the tests' own: a cluster in a temporary folder, on a free port of the loopback, with passwords.

One for each process of the run; it is made when the first test asks for it and ended with the process.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests.lacking import lacking

_ADMIN = "cluster_admin"
_TRIES = 5
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "logging_collector": "off",
}


@dataclass(frozen=True)
class Database:
    """``url``: of the database's owner, who may create roles and schemas but is no superuser."""

    cluster: Cluster
    name: str
    url: str

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, **options)

    def url_of(self, role: str, password: str) -> str:
        return self.cluster.url(self.name, role, password)


class Cluster:
    """A running server. Databases are made from a template that has PostGIS."""

    def __init__(self, port: int, password: str, restart: Callable[[], None]) -> None:
        self.port = port
        self.restart = restart
        self._password = password
        with self.administrator("template1") as connection:
            connection.execute("CREATE EXTENSION postgis")

    def url(self, database: str, role: str, password: str) -> str:
        return f"postgresql://{quote(role)}:{quote(password)}@127.0.0.1:{self.port}/{quote(database)}"

    def database(self) -> Database:
        """A new, empty database and a role that owns it."""
        name = f"city_{secrets.token_hex(4)}"
        password = secrets.token_hex(8)
        with self.administrator("postgres") as connection:
            role, secret = sql.Identifier(name), sql.Literal(password)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(role, secret))
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        return Database(self, name, self.url(name, name, password))

    def administrator(self, database: str) -> psycopg.Connection[Any]:
        """A superuser's connection."""
        return psycopg.connect(self.url(database, _ADMIN, self._password), autocommit=True)


def binaries() -> Path:
    """The folder of PostgreSQL's programs; Debian keeps them out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        lacking("PostgreSQL")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """A cluster below ``folder``, which its user must be able to reach. The server refuses to run as root."""
    user = _user()
    programs = binaries()
    data = folder / "data"
    folder.mkdir(parents=True)
    if user is not None:
        os.chown(folder, user.pw_uid, user.pw_gid)
    who: dict[str, Any] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    password = secrets.token_hex(16)
    secret = folder / "password"
    secret.write_text(password)
    if user is not None:
        os.chown(secret, user.pw_uid, user.pw_gid)
    _run([programs / "initdb", "-D", data, "-U", _ADMIN, "-A", "scram-sha-256", "--pwfile", secret,
          "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync"], folder, who)  # fmt: skip
    port = _start(programs, data, folder, who)

    restart = [programs / "pg_ctl", "-D", data, "-m", "fast", "-w", "restart"]
    with _ended_with_us(programs, data, folder, who):
        yield Cluster(port, password, lambda: _run(restart, folder, who))


@contextmanager
def _ended_with_us(programs: Path, data: Path, folder: Path, who: dict[str, Any]) -> Iterator[None]:
    """Ends the server and removes its data, also when this process is killed: then a shell's standard input ends."""
    words = ["/bin/sh", "-c", 'read _; "$1" -D "$2" -m immediate -w stop; rm -rf "$2"', "sh"]
    with subprocess.Popen(
        [*words, str(programs / "pg_ctl"), str(data)],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is not for it
        **who,
    ):
        yield


def _start(programs: Path, data: Path, folder: Path, who: dict[str, Any]) -> int:
    """Another process may take the free port first: then another one is tried."""
    settings = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
    log = folder / "log"
    for left in reversed(range(_TRIES)):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        command = [programs / "pg_ctl", "-D", data, "-l", log, "-w", "-o", f"-p {port} {settings}", "start"]
        try:
            _run(command, folder, who)
        except RuntimeError:
            if left and re.search("could not bind|Address already in use", log.read_text(errors="replace")):
                continue
            raise
        return port
    raise AssertionError("unreachable")


def _run(command: list[Any], folder: Path, who: dict[str, Any]) -> None:
    with (folder / "output").open("ab") as output:  # a pipe would be held open by the server
        done = subprocess.run(
            list(map(str, command)),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=60,
            **who,
        )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(folder / 'output').read_text(errors='replace')[-2000:]}")


def _user() -> pwd.struct_passwd | None:
    """Whom root starts the server as; None: as whoever runs the tests."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    lacking("a user for PostgreSQL to run as")
