"""`cimfed-gateway directory log verify | export`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from cimfed.tlog import commands
from cimfed_gateway.directory.config import Home
from cimfed_gateway.directory.tables import Records

app = typer.Typer(no_args_is_help=True, help="The log: what was published, who was admitted by whom.")
HOME = Annotated[Path, typer.Option(help="The service's folder.", envvar="CIMFED_DIRECTORY_HOME")]


@app.command()
def verify(home: HOME, key: commands.KEYS = None) -> None:
    """Recomputes the log from its entries, and compares every hash and signed checkpoint."""
    place = Home.load(home)
    with closing(Records.open(place.records)) as records:
        commands.verify(records, place.log_origin, commands.keys_of(place.path, key))


@app.command()
def export(file: commands.FILE, home: HOME) -> None:
    """Writes the log and its checkpoints to a file, one JSON line each."""
    place = Home.load(home)
    with closing(Records.open(place.records)) as records:
        commands.write(records, place.log_origin, file)
