"""Programs of commands that are loaded when they are typed: their lists say what the commands say of themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer
from typer.main import get_group

import cimfed.cli.main
import cimfed_gateway.cli
import cimfed_gateway.directory.cli
import cimfed_node.cli
from cimfed import menu

PROGRAMS = [cimfed.cli.main, cimfed_node.cli, cimfed_gateway.cli, cimfed_gateway.directory.cli]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_line_of_the_help_is_what_the_command_says_of_itself(program: ModuleType) -> None:
    listed = get_group(program.app).commands
    assert listed
    for name, standing in listed.items():
        with standing.make_context(name, [], resilient_parsing=True) as context:
            said = (context.command.help or "").split("\n\n")[0]
        assert standing.help == said, name


def test_a_command_is_loaded_when_it_is_typed_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spoken.py").write_text("def say(word: str, loud: bool = False) -> None:\n    print(word, loud)\n")
    monkeypatch.syspath_prepend(tmp_path)
    app = menu.program("cimfed", "Speaks.", {"say": ("spoken:say", "Says it."), "ask": ("nowhere:ask", "Asks.")})
    with pytest.raises(SystemExit):
        app(["--help"])
    assert "Says it." in capsys.readouterr().out
    assert "spoken" not in sys.modules
    app(["say", "so", "--loud"], standalone_mode=False)
    assert capsys.readouterr().out == "so True\n"
    with pytest.raises(ModuleNotFoundError):
        app(["ask"], standalone_mode=False)


def test_a_group_is_read_as_it_reads_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grouped.py").write_text(
        "import typer\napp = typer.Typer()\n"
        "@app.callback(invoke_without_command=True)\ndef top(context: typer.Context) -> None:\n"
        "    print(context.command_path, context.invoked_subcommand)\n"
        "@app.command()\ndef one() -> None:\n    print('one')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app = typer.Typer()
    app.add_typer(menu.group("Words.", {"all": ("grouped:app", "All.")}), name="words")
    app(["words", "all"], prog_name="x", standalone_mode=False)
    app(["words", "all", "one"], prog_name="x", standalone_mode=False)
    assert capsys.readouterr().out == "x words all None\nx words all one\none\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_interrupted_while_it_is_loaded_ends_without_a_trace(tmp_path: Path, number: int) -> None:
    (tmp_path / "slow.py").write_text(f"import os\nos.kill(os.getpid(), {number})\ndef say() -> None: ...\n")
    (tmp_path / "cimfed-x").write_text(
        "from cimfed import console, menu\n"
        "console.run(menu.program('cimfed', 'Speaks.', {'say': ('slow:say', 'Says it.')}))\n"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "cimfed-x"), "say"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (-number, "", "")
