"""Runs the commands of a Markdown page as its reader would: in order, in one shell, on a terminal of 120 columns.

By the word after the fence:

- ``sh``: lines to type; each must end with exit code 0. A line that ends in ``&`` is a server: it goes to the
  background, and the next line waits until it serves.
- ``python``: a program, run in the same folder with the same variables.
- ``text``: what the code before printed, from top to bottom; ``...`` stands for anything, also within a line, and any
  date for the one of the day.
- any other word, and the name of a file: the file's content.

A question that a server refuses is asked again for a while: servers look at the directory every two seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```(?P<word>\w+)(?: (?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
QUESTION = re.compile(r"cimfed (catalog|read|aggregate)\b|python ")
SERVER = re.compile(r"(?P<command>.+ serve\b.*) &")
DATE = r"\d{4}-\d{2}-\d{2}"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
PATIENCE = 60.0  # seconds for what is asked again
SETTLE = 0.2


@dataclass(frozen=True)
class Block:
    line: int
    word: str
    file: str
    text: str


def blocks(page: str) -> list[Block]:
    return [
        Block(page.count("\n", 0, found.start()) + 1, found["word"], found["file"] or "", found["text"])
        for found in BLOCK.finditer(page)
    ]


class Shell:
    """A bash of its own whose commands have a terminal to print to, and nobody at the keyboard."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._screen, screen = os.openpty()
        script, self._script = os.pipe()
        self._status, status = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", f"/dev/fd/{script}"],
            stdin=subprocess.DEVNULL,
            stdout=screen,
            stderr=screen,
            cwd=folder,
            env={**environment, "COLUMNS": "120", "TERM": "xterm"},
            pass_fds=(script, status),
            start_new_session=True,
        )
        self._report = f"echo $? >&{status}"
        for ours in (screen, script, status):
            os.close(ours)
        os.set_blocking(self._screen, False)

    def run(self, line: str) -> tuple[int, str]:
        """Exit code, and what it printed."""
        os.write(self._script, f"{line}\n{self._report}\n".encode())
        printed = bytearray()
        with selectors.DefaultSelector() as ready:
            ready.register(self._screen, selectors.EVENT_READ)
            ready.register(self._status, selectors.EVENT_READ)
            code = b""
            while not code.endswith(b"\n"):
                for key, _ in ready.select(60):
                    if key.fd == self._status:
                        code += os.read(self._status, 16)
                self._read(printed)
                assert self._bash.poll() is None, f"the shell ended at {line}: {printed.decode()}"
        self._read(printed)
        return int(code), CONTROL.sub("", printed.decode())

    def serve(self, command: str) -> None:
        """In the background; until it says where it listens."""
        ready, log = self.folder / "server.ready", self.folder / "server.log"
        self.run(f"{command} --ready-file {ready} > {log} 2>&1 &")
        deadline = time.monotonic() + PATIENCE
        while not ready.exists():
            assert time.monotonic() < deadline, f"{command} does not serve:\n{log.read_text()}"
            time.sleep(SETTLE)

    def close(self) -> None:
        """Ends the shell and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGTERM)
        os.close(self._script)
        self._bash.wait()
        os.close(self._screen)
        os.close(self._status)

    def _read(self, into: bytearray) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            while part := os.read(self._screen, 65_536):
                into += part


@contextlib.contextmanager
def shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    made = Shell(folder, environment)
    try:
        yield made
    finally:
        made.close()


def take(page: list[Block], at: Shell) -> str:
    """Runs the blocks in their order; gives all that they printed."""
    printed, everything = "", ""
    for block in page:
        if block.file:
            (at.folder / block.file).write_text(block.text, "utf-8")
        elif block.word == "text":
            assert_shown(block, printed)
        else:
            printed = "".join(_type(block, line, at) for line in _lines(block, at))
            everything += printed
    return everything


def _lines(block: Block, at: Shell) -> list[str]:
    if block.word == "sh":
        return [line for line in block.text.replace("\\\n", "").splitlines() if line.strip()]
    assert block.word == "python", f"nobody knows how to run {block.word}, line {block.line}"
    (at.folder / "example.py").write_text(block.text, "utf-8")
    return ["python example.py"]


def _type(block: Block, line: str, at: Shell) -> str:
    if server := SERVER.fullmatch(line):
        at.serve(server["command"])
        return ""
    deadline = time.monotonic() + PATIENCE
    while True:
        code, printed = at.run(line)
        if code == 0:
            return printed
        if not QUESTION.match(line) or time.monotonic() > deadline:
            raise AssertionError(f"line {block.line}: {line}\nended with {code}:\n{printed}")


def assert_shown(block: Block, printed: str) -> None:
    """Every line of the block was printed, in this order; lines between are let pass only where it says ``...``."""
    at, lines, gap = 0, [line.rstrip() for line in printed.splitlines()], True
    for shown in block.text.splitlines():
        if shown == "...":
            gap = True
            continue
        pattern = _pattern(shown.rstrip())
        while at < len(lines) and not pattern.fullmatch(lines[at]):
            assert gap, f"line {block.line}: not what was printed: {shown}\nbut: {lines[at]}\nin:\n{printed}"
            at += 1
        assert at < len(lines), f"line {block.line}: was not printed: {shown}\nin:\n{printed}"
        at, gap = at + 1, False


def _pattern(shown: str) -> re.Pattern[str]:
    """Dates and ``...`` stand for others of their kind, all else for itself."""
    parts = re.split(rf"({DATE}|\.\.\.)", shown)
    return re.compile(
        "".join(re.escape(part) if at % 2 == 0 else ".*" if part == "..." else DATE for at, part in enumerate(parts))
    )
