"""Runs the commands of a runbook as those who hold the roles type them, against servers that are real processes.

A page is run from top to bottom, by the word after the fence:

- ``sh``: lines to type, by somebody who answers every question with yes, and every passphrase with the same one. Each
  line ends with exit code 0, or with the one that it says: ``# ends with 4``. ``NAME=VALUE`` sets a variable, for which
  a test may have a value that counts instead; ``NAME=$(COMMAND)`` takes what a command prints.
- ``text``: what the code before printed, as in ``tours``. What only looks is typed again until it shows that, since
  servers need a moment.
- any other word, and the name of a file: the file's content.

Programs of cimfed run in this process. Of the host there are ``systemctl start | stop UNIT``, ``timedatectl`` (which
sets the clock of everybody right) and a few words for files; nothing else can be typed.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import alliance as processes
from alliance import BIN, GATEWAY, SERVICE, City
from cimfed import console
from tests.federation.commands import PARTNER, PROGRAMS, Commands, eventually
from tests.federation.tours import CONTROL, Block, assert_shown

LOOKS = re.compile(
    r"cimfed (read|catalog|audit|requests$|requests --|access list|member list|key list|directory (show|status))\b"
    r"|cimfed\S*( directory)? (doctor|log verify)\b"
)
ASSIGNED = re.compile(r"(?P<name>[A-Z_]+)=(?:\$\((?P<command>.+)\)|(?P<value>\S+))")
VARIABLE = re.compile(r"\$([A-Z_]+)")
ENDS = re.compile(r"\s+# ends with (\d+)$")
COLUMNS = 120  # of the terminal, whatever it was when the programs were loaded
SECRET = "correct horse battery staple"
ALMATY = City(
    "kz.almaty",
    (),
    """
format: cimfed/policy/v1
city: kz.almaty
version: 1
valid: [2020-01-01T00:00Z, 2090-01-01T00:00Z]
grants:
  - id: massing
    subject: {role: [researcher]}
    purpose: [research]
    collection: building
    columns: {id: exact}
""",
)

# A program whose clock is off by the seconds in the file beside it, from moment to moment.
PROGRAM = """#!{python}
import sys, time
real = time.time_ns
clock = {file!r} + (".directory" if "directory" in sys.argv[1:2] else "") + ".clock"
time.time_ns = lambda: real() + int(open(clock).read()) * 1_000_000_000
sys.argv[0] = {program!r}
exec(compile(open({program!r}).read(), {program!r}, "exec"))
"""
HOSTS = ("cimfed", "cimfed-node", "cimfed-gateway", "cimfed-gateway.directory")


class Aged(Commands):
    """Whoever is here was made an hour ago: no certificate is of today's minutes."""

    def run(self, *argv: str, expect: tuple[int, ...] = (0,), partner: str = "", quiet: bool = False) -> str:
        real, ago = time.time_ns, 3_600_000_000_000 if {"init", "new"} & set(argv[:3]) else 0
        with mock.patch("time.time_ns", side_effect=lambda: real() - ago):
            return super().run(*argv, expect=expect, partner=partner, quiet=quiet)


@dataclass
class Hosts:
    """``given``: values of variables that count in the place of the page's. ``clocks``: by host, seconds off.
    ``city``: whose node the page is about. A unit's name may say whose it is: ``cimfed-gateway@gw.second``."""

    alliance: Commands
    given: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    clocks: dict[str, int] = field(default_factory=dict)
    city: str = ALMATY.name

    @property
    def folder(self) -> Path:
        return self.alliance.folder

    def take(self, page: list[Block]) -> str:
        everything = ""
        for block, after in zip(page, [*page[1:], None], strict=True):
            if block.file:
                (self.folder / block.file).write_text(block.text, "utf-8")
            elif block.word == "sh":
                everything += self._type(block, after if after is not None and after.word == "text" else None)
            else:
                assert block.word == "text", f"nobody knows how to run {block.word}, line {block.line}"
        return everything

    def set_clock(self, host: str, seconds: int) -> None:
        """From now on, also of a server that runs."""
        self.clocks[host] = seconds
        new = self.folder / "bin" / "clock"
        new.write_text(str(seconds))
        os.replace(new, self.folder / "bin" / f"{host}.clock")

    def _type(self, block: Block, shown: Block | None) -> str:
        lines = [line for line in block.text.replace("\\\n", "").splitlines() if line.strip()]
        printed = ""
        for line in lines[:-1]:
            printed += self._until(block, line, lambda _: None)
        before = printed

        def as_shown(said: str) -> None:
            if shown is not None:
                assert_shown(shown, before + said)

        return before + self._until(block, lines[-1], as_shown)

    def _until(self, block: Block, line: str, check: Callable[[str], None]) -> str:
        """Types it, and what only looks again until it is as it should be."""

        def attempt() -> tuple[str, AssertionError | None]:
            code, printed = self.line(line)
            try:
                expected = int(found[1]) if (found := ENDS.search(line)) else 0
                assert code == expected, f"line {block.line}: {line}\nended with {code}:\n{printed}"
                check(printed)
            except AssertionError as error:
                return printed, error
            return printed, None

        if not LOOKS.match(line):
            printed, error = attempt()
        else:
            try:
                printed, error = eventually(attempt, lambda found: found[1] is None, 30.0)
            except AssertionError:
                printed, error = attempt()
        if error is not None:
            raise error
        return printed

    def line(self, line: str) -> tuple[int, str]:
        """Exit code, and what it printed."""
        line = ENDS.sub("", line)
        if assigned := ASSIGNED.fullmatch(line):
            name = assigned["name"]
            if assigned["command"] is None:
                self.variables[name] = self.given.get(name, assigned["value"])
                return 0, ""
            screen = Screen()
            code, printed = self._program(*self._words(assigned["command"]), errors=screen)
            self.variables[name] = printed.strip()
            return code, screen.text
        match self._words(line):
            case ["systemctl", ("start" | "stop") as what, unit]:
                of = {"cimfed-node": self.city, "cimfed-gateway": GATEWAY, "cimfed-directory": SERVICE}
                program, _, name = unit.partition("@")
                getattr(self.alliance, what)(name or of[program])
            case ["timedatectl", "set-ntp", "true"]:
                for host in HOSTS:
                    self.set_clock(host, 0)
            case ["mv", source, target]:
                os.replace(self.folder / source, self.folder / target)
            case ["cp", *sources, target]:
                for source in sources:
                    shutil.copy(self.folder / source, self.folder / target)
            case [program, *arguments] if program in PROGRAMS:
                return self._program(program, *arguments)
            case _:
                raise AssertionError(f"nobody knows how to type {line}")
        return 0, ""

    def _words(self, line: str) -> list[str]:
        known = {**self.environment(), **self.variables}
        return [VARIABLE.sub(lambda found: known[found[1]], word) for word in shlex.split(line)]

    def _program(self, program: str, *arguments: str, errors: Screen | None = None) -> tuple[int, str]:
        """``errors``: where they go; else to the same screen."""
        out, code, before, real = Screen(), 0, Path.cwd(), time.time_ns
        host = f"{program}.directory" if arguments[0] == "directory" and program == "cimfed-gateway" else program
        off = self.clocks[host] * 1_000_000_000
        os.chdir(self.folder)
        try:
            with (
                mock.patch.dict(os.environ, self.environment()),
                mock.patch.object(console.out, "_width", COLUMNS),
                mock.patch("time.time_ns", side_effect=lambda: real() + off),
                mock.patch("sys.stdin", Yes()),
                mock.patch("getpass.getpass", return_value=SECRET),
                mock.patch("sys.argv", [program, *arguments]),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(errors or out),
            ):
                console.run(PROGRAMS[program])
        except SystemExit as ending:
            code = int(ending.code or 0)
        finally:
            os.chdir(before)
        return code, out.text

    def environment(self) -> Mapping[str, str]:
        alliance = self.alliance
        return {
            **alliance.environment(PARTNER),
            "COLUMNS": str(COLUMNS),
            "CIMFED_OFFICE": str(alliance.office),
            "CIMFED_NODE_HOME": str(alliance.home(self.city)),
            "CIMFED_GATEWAY_HOME": str(alliance.home(GATEWAY)),
            "CIMFED_DIRECTORY_HOME": str(alliance.home(SERVICE)),
        }


class Screen(io.TextIOWrapper):
    """A terminal to print to, that keeps what was printed."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, "utf-8")

    @property
    def text(self) -> str:
        self.flush()
        return CONTROL.sub("", self.bytes.getvalue().decode())

    def isatty(self) -> bool:
        return True


class Yes(io.StringIO):
    """A terminal at which somebody says yes to everything."""

    def isatty(self) -> bool:
        return True

    def readline(self, size: int | None = -1) -> str:
        return "y\n"


@contextlib.contextmanager
def hosts(folder: Path, *cities: City) -> Iterator[Hosts]:
    """A directory service, a gateway, and cities that serve; a partner, and an auditor who is another one."""
    made = Hosts(Aged(folder))
    (folder / "bin").mkdir(parents=True)
    for host in HOSTS:
        made.set_clock(host, 0)
    for program in ("cimfed-node", "cimfed-gateway"):
        file = folder / "bin" / program
        file.write_text(PROGRAM.format(python=sys.executable, file=str(file), program=str(BIN / program)))
        file.chmod(0o755)
    with mock.patch.object(processes, "BIN", folder / "bin"):
        alliance = made.alliance
        try:
            alliance.found()
            for city in cities:
                alliance.join(city)
            alliance.admit(PARTNER, "CN", "researcher")
            alliance.start_all(GATEWAY, *(city.name for city in cities))
            yield made
        finally:
            alliance.close()
