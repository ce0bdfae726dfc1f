"""What commands print of other parties' words: just these words, whatever they hold."""

from __future__ import annotations

import io

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
