"""`cimfed`: the commands of administrators, stewards and partners, each group in its own module.

Only the module of the command that was typed is imported: an administrator's command need not wait for the client.
"""

from __future__ import annotations

import sys
from importlib import import_module

from cimfed import program  # noqa: F401  # before what takes long

# isort: split
import typer

from cimfed import console

COMMANDS = ("read", "aggregate", "catalog", "join", "doctor")
GROUPS = (
    "audit",
    "receipt",
    "profile",
    "directory",
    "member",
    "partner",
    "requests",
    "revoke",
    "key",
    "access",
    "policy",
    "vocabulary",
)


def app(*names: str) -> typer.Typer:
    """The program with these commands and groups; with all of them where none is named."""
    made = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    console.versioned(made, "cimfed", "Asks a federation of cities, and administers it.")
    for name in names or COMMANDS + GROUPS:
        module = import_module(f"cimfed.cli.{name}")
        if name in COMMANDS:
            made.command()(getattr(module, name))
        else:
            made.add_typer(module.app, name=name)
    return made


def main() -> None:
    typed = sys.argv[1] if len(sys.argv) > 1 else ""
    console.run(lambda: app(typed) if typed in COMMANDS + GROUPS else app())
