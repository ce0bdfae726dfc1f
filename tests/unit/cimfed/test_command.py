"""What every administrative command keeps, seen from outside: a program in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
from pathlib import Path
import typer
from cimfed import console
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.errors import Conflict

app = typer.Typer(pretty_exceptions_enable=False)

@app.command()
def tear(page: str, fault: str = "", as_json: JSON = False, dry_run: DRY_RUN = False, yes: YES = False) -> None:
    with Command("page-tear", as_json, dry_run=dry_run, yes=yes) as command:
        command.say(f"to be torn out: {page}")
        command.put(page=page, affected={"readers": 2})
        command.note("it is the last")
        if not command.goes_on("Tear it out?"):
            return
        if fault == "conflict":
            raise Conflict("somebody reads it", place="page 3", remedy="Wait", retry_after=2, details=["Ann"])
        if fault == "usage":
            raise typer.BadParameter("not this one")
        if fault == "ours":
            raise ValueError("a secret")
        Path(page).unlink()
        command.say("gone")

@app.command()
def pages(as_json: JSON = False) -> None:
    with Command("pages", as_json) as command:
        command.put(pages=["ű"])
        command.show("a table")

console.run(app)
"""


class Program:
    def __init__(self, folder: Path) -> None:
        self.file, self.page = folder / "program.py", folder / "page"
        self.file.write_text(PROGRAM)
        self.page.write_text("text")

    def run(self, *argv: str, answer: bytes | None = None) -> subprocess.CompletedProcess[str]:
        """``answer``: what is typed at a terminal; None: there is none."""
        if answer is None:
            return self._run(argv, subprocess.DEVNULL)
        ours, its = pty.openpty()
        try:
            os.write(ours, answer)
            return self._run(argv, its)
        finally:
            os.close(ours)
            os.close(its)

    def _run(self, argv: tuple[str, ...], stdin: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.file), *argv],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "COLUMNS": "200"},
        )

    def tear(self, *argv: str, answer: bytes | None = None) -> subprocess.CompletedProcess[str]:
        return self.run("tear", str(self.page), *argv, answer=answer)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def only(text: str) -> dict[str, Any]:
    """The one object of standard output."""
    (line,) = text.splitlines()
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_without_a_terminal_and_without_yes_nothing_is_done(program: Program) -> None:
    done = program.tear()
    assert done.returncode == 2
    assert "to be torn out" in done.stdout
    assert "error not_confirmed" in done.stderr
    assert "--yes" in done.stderr
    assert program.page.exists()


def test_a_script_says_yes(program: Program) -> None:
    done = program.tear("--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"to be torn out: {program.page}", "note: it is the last", "gone"]
    assert not program.page.exists()


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1), (b"\x04", 1)])
def test_at_a_terminal_it_asks(program: Program, answer: bytes, code: int) -> None:
    done = program.tear(answer=answer)
    assert done.returncode == code
    assert "Tear it out?" in done.stderr
    assert program.page.exists() is (code != 0)
    assert ("error declined" in done.stderr) is (code != 0)


@pytest.mark.parametrize("more", [(), ("--yes",)])
def test_a_dry_run_says_what_would_change_and_changes_nothing(program: Program, more: tuple[str, ...]) -> None:
    done = program.tear("--dry-run", *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert "to be torn out" in done.stdout
    assert "nothing was changed" in done.stdout
    assert program.page.exists()
    assert only(program.tear("--dry-run", "--json", *more).stdout) == {
        "schema": "cimfed/page-tear/v1",
        "dry_run": True,
        "changed": False,
        "page": str(program.page),
        "affected": {"readers": 2},
        "notes": ["it is the last"],
    }


def test_json_is_one_object_and_nothing_else(program: Program) -> None:
    done = program.tear("--json", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    found = only(done.stdout)
    assert (found["changed"], found["dry_run"], found["notes"]) == (True, False, ["it is the last"])
    assert only(program.run("pages", "--json").stdout) == {"schema": "cimfed/pages/v1", "pages": ["ű"]}
    assert program.run("pages").stdout == "a table\n"


def test_an_error_is_the_object_and_a_line_besides(program: Program) -> None:
    done = program.tear("--json", "--yes", "--fault", "conflict")
    assert done.returncode == 5
    assert only(done.stdout) == {
        "schema": "cimfed/error/v1",
        "command": "page-tear",
        "error": {
            "reason": "conflict",
            "message": "somebody reads it",
            "place": "page 3",
            "remedy": "Wait",
            "details": ["Ann"],
            "retry_after": 2,
            "exit_code": 5,
        },
    }
    assert "error conflict: somebody reads it (at page 3). Wait" in done.stderr


@pytest.mark.parametrize(
    ("argv", "answer", "code", "reason"),
    [
        ((), None, 2, "not_confirmed"),
        ((), b"n\n", 1, "declined"),
        (("--yes", "--fault", "ours"), None, 1, "internal"),
    ],
)
def test_every_ending_of_a_command_has_its_object(
    program: Program, argv: tuple[str, ...], answer: bytes | None, code: int, reason: str
) -> None:
    done = program.tear("--json", *argv, answer=answer)
    found = only(done.stdout)["error"]
    assert (done.returncode, found["exit_code"], found["reason"]) == (code, code, reason)
    assert "a secret" not in done.stdout + done.stderr
    assert program.page.exists()
    if answer:  # whoever is asked sees what about
        assert "to be torn out" in done.stderr


def test_what_the_system_refuses_has_its_object_too(program: Program) -> None:
    program.page.unlink()
    done = program.tear("--json", "--yes")
    found = only(done.stdout)["error"]
    assert (done.returncode, found["reason"], found["place"]) == (2, "bad_config", str(program.page))


@pytest.mark.parametrize("argv", [("--json", "--nonsense"), ("--json", "--yes", "--fault", "usage")])
def test_a_line_that_cannot_be_read_is_text(program: Program, argv: tuple[str, ...]) -> None:
    done = program.tear(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
