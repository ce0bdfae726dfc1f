"""What a program offers: its commands and groups, each with a line of its help and the place of what it does.

    app = menu.program(
        "cimfed",
        "Asks a federation of cities, and administers it.",
        {
            "read": ("cimfed.cli.read:read", "Asks for rows of a collection."),
            "audit": ("cimfed.cli.audit:app", "What the logs of the federation say."),
        },
    )

Rules:
1. The module of a command is imported when the command is typed, and no other: nobody waits for what others need.
2. A line says what stands at the place: the first paragraph of the command's docstring, or the group's help.
3. While a module is imported nothing was begun (``console.loading``).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_group

from cimfed import console

Rows = Mapping[str, tuple[str, str]]
"""By name: ``module:attribute`` of a function or of a ``typer.Typer``, and its line."""


def program(name: str, about: str, rows: Rows) -> typer.Typer:
    """A program that bears its distribution's name, with ``--version``."""

    def show(wanted: bool) -> None:
        if wanted:
            from importlib.metadata import version  # costs more than all the rest of this module

            console.say(f"{name} {version(name)}")
            raise typer.Exit

    def top(
        _: bool = typer.Option(False, "--version", callback=show, is_eager=True, help="Show the version."),
    ) -> None:
        pass

    app = group(about, rows)
    app.callback(help=about)(top)
    return app


def group(about: str, rows: Rows) -> typer.Typer:
    """A group of commands, or the whole of a program without options of its own."""
    app = typer.Typer(help=about, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    for name, (place, line) in rows.items():
        app.command(name, help=line, cls=_standing_for(place))(_unloaded)
    return app


def _unloaded() -> None:
    """Never called: the command line is read by what stands at the place."""


def _standing_for(place: str) -> type[TyperCommand]:
    class StandIn(TyperCommand):
        """Has a name and a line, for lists; takes no word of the command line itself."""

        def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
            return _load(place, str(self.name)).make_context(info_name, args, parent, **extra)

    return StandIn


def _load(place: str, name: str) -> Any:
    module, _, attribute = place.partition(":")
    with console.loading():
        found = getattr(import_module(module), attribute)
    holder = typer.Typer()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return get_group(holder).commands[name]
