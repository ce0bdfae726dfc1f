"""`cimfed-node log verify | export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed.tlog import commands
from cimfed_node.opening import opened

app = typer.Typer(no_args_is_help=True, help="The log: every decision, outcome and act, signed and checkable.")
HOME = Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")]


@app.command()
def verify(home: HOME, key: commands.KEYS = None) -> None:
    """Recomputes the log from its entries, and compares every hash and signed checkpoint."""
    with opened(home) as (at, control):
        commands.verify(control, at.log_origin, commands.keys_of(at.path, key))


@app.command()
def export(file: commands.FILE, home: HOME) -> None:
    """Writes the log and its checkpoints to a file, one JSON line each."""
    with opened(home) as (at, control):
        commands.write(control, at.log_origin, file)
