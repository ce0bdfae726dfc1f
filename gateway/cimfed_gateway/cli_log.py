"""`cimfed-gateway log verify | export`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from cimfed.errors import NotFound
from cimfed.tlog import commands
from cimfed_gateway.config import Home
from cimfed_gateway.tables import Journal

app = typer.Typer(no_args_is_help=True, help="The log: every query that was passed on, signed and checkable.")
HOME = Annotated[Path, typer.Option(help="The gateway's folder.", envvar="CIMFED_GATEWAY_HOME")]


@app.command()
def verify(home: HOME, key: commands.KEYS = None) -> None:
    """Recomputes the log from its entries, and compares every hash and signed checkpoint."""
    at = Home.load(home)
    with closing(_journal(at)) as journal:
        commands.verify(journal, at.log_origin, commands.keys_of(at.path, key))


@app.command()
def export(file: commands.FILE, home: HOME) -> None:
    """Writes the log and its checkpoints to a file, one JSON line each."""
    at = Home.load(home)
    with closing(_journal(at)) as journal:
        commands.write(journal, at.log_origin, file)


def _journal(home: Home) -> Journal:
    """NotFound where the gateway never served."""
    if not home.journal.exists():
        raise NotFound("this gateway has no log yet", place=str(home.journal), remedy="It is made when it serves")
    return Journal.open(home.journal)
