"""What commands print, of other parties' words just these words whatever they hold; and how commands end."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from rich.console import Console

from cimfed import console
from cimfed.errors import CimfedError


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(console, "err", Console(file=text, highlight=False, soft_wrap=True))
    return text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain", "plain"),
        ("[bold]b[/bold]", "[bold]b[/bold]"),
        (r"\[/nothing]", r"\[/nothing]"),
        ("\x1b]0;owned\x07\x1b[2J", " ]0;owned  [2J"),
        ("one\nerror two\r", "one error two "),
        ("\u202eevil\u2028", " evil "),
    ],
)
def test_an_error_shows_its_words_and_steers_no_terminal(
    monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, said: str, shown: str
) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise CimfedError(said)

    monkeypatch.setattr("sys.argv", ["cimfed"])
    with pytest.raises(SystemExit) as ended:
        console.run(app)
    assert ended.value.code == 1
    assert screen.getvalue() == f"error internal: {shown}\n"


def test_cells_of_a_table_are_words_too() -> None:
    text = io.StringIO()
    Console(file=text, width=80).print(console.table(("a",), [(r"\[/x]",), ("\x1b[2J",)]))
    assert r"\[/x]" in text.getvalue()
    assert "\x1b[2J" not in text.getvalue()


def test_a_narrow_table_breaks_its_cells_and_cuts_none() -> None:
    text = io.StringIO()
    Console(file=text, width=30).print(console.table(("what", "id"), [("decision", "1135de08d0257c1135de08d0257c")]))
    assert "".join(line.split("│")[2].strip() for line in text.getvalue().splitlines()[3:-1]) == 2 * "1135de08d0257c"
    assert "…" not in text.getvalue()


def test_what_goes_to_a_pipe_is_not_wrapped() -> None:
    """Whoever greps has no window."""
    deed = "from cimfed import console; console.out.print(console.table(('a',), [('x ' * 200,)]))"
    bare = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-c", deed], capture_output=True, text=True, env=bare, check=True, timeout=60
    )
    assert "x " * 199 in done.stdout


def test_what_is_said_steers_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(console, "out", Console(file=text, highlight=False))
    console.say("column \x1b[2J[bold]\nnext")
    assert text.getvalue() == "column  [2J[bold] next\n"


def test_each_cause_of_an_error_has_a_line(monkeypatch: pytest.MonkeyPatch, screen: io.StringIO) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise CimfedError("two are bad", details=["one: \x1b[31mred\n", "two"])

    monkeypatch.setattr("sys.argv", ["cimfed"])
    with pytest.raises(SystemExit):
        console.run(app)
    assert screen.getvalue() == "error internal: two are bad\n  one:  [31mred \n  two\n"


def _ends(monkeypatch: pytest.MonkeyPatch, deed: Callable[[], object]) -> int:
    app = typer.Typer()
    app.command("do")(lambda: deed())  # type: ignore[arg-type, return-value]
    monkeypatch.setattr("sys.argv", ["cimfed"])
    with pytest.raises(SystemExit) as ended:
        console.run(app)
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (lambda: Path("/no/such/file").read_bytes(), "No such file or directory (at /no/such/file)"),
        (lambda: os.listdir(b"/no/such"), "No such file or directory (at /no/such)"),
        (lambda: os.link(sys.executable, "/no/such/x"), "No such file or directory (at /no/such/x)"),
        (lambda: os.write(99, b""), "Bad file descriptor"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, deed: Callable[[], object], said: str
) -> None:
    assert _ends(monkeypatch, deed) == 2
    assert screen.getvalue() == f"error bad_config: {said}\n"


def test_a_fault_of_ours_stays_one(monkeypatch: pytest.MonkeyPatch, screen: io.StringIO) -> None:
    def fail() -> None:
        raise OSError("made up")

    assert _ends(monkeypatch, fail) == 1
    assert "internal: OSError" in screen.getvalue()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_leaves_nothing_and_no_trace(tmp_path: Path, number: int, code: int) -> None:
    program = (
        "import sys, tempfile, time, typer\n"
        "from cimfed import console\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def wait(folder: str) -> None:\n"
        "    with tempfile.TemporaryDirectory(dir=folder):\n"
        "        print('begun', flush=True)\n"
        "        for _ in range(600):\n"
        "            time.sleep(0.1)\n"
        "console.run(app)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        assert list(tmp_path.iterdir())
        running.send_signal(number)
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said, list(tmp_path.iterdir())) == (code, "", [])


def test_a_program_that_is_interrupted_while_it_loads_ends_without_a_trace(tmp_path: Path) -> None:
    """As an entry point does it, the interrupt comes in the middle of the imports."""
    (tmp_path / "slow.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    (tmp_path / "cimfed-x").write_text("from cimfed import program\nimport slow\n")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "cimfed-x")], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(("own", "used"), [({}, "NONE"), ({"GRPC_VERBOSITY": "INFO"}, "INFO")])
def test_grpc_keeps_its_log_to_itself_unless_asked(tmp_path: Path, own: dict[str, str], used: str) -> None:
    (tmp_path / "cimfed-x").write_text("from cimfed import program\nimport os\nprint(os.environ['GRPC_VERBOSITY'])\n")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "cimfed-x")],
        capture_output=True,
        text=True,
        check=True,
        env={key: value for key, value in os.environ.items() if key != "GRPC_VERBOSITY"} | own,
    )
    assert done.stdout == f"{used}\n"
