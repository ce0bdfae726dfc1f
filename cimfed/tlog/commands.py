"""``log verify`` and ``log export``, of whichever server's command."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console
from cimfed.errors import BadConfig, Conflict
from cimfed.tlog.check import Checked, check, everything
from cimfed.tlog.database import Database
from cimfed.trust.card import parse_card
from cimfed.trust.identity_files import load_public_key, read
from cimfed.trust.keys import PublicKey
from cimfed.trust.next_keys import former_keys
from cimfed.trust.tlog import export
from cimfed.trust.tlog.checkpoint import Origin

KEYS = Annotated[
    list[Path] | None,
    typer.Option("--key", exists=True, help="Another public key that signed checkpoints here before, a .pub file."),
]
FILE = Annotated[Path, typer.Argument(help="A new file.", dir_okay=False)]


def keys_of(home: Path, further: Sequence[Path] | None) -> list[PublicKey]:
    """The party's own keys, of its card and before, and those of these files."""
    own = (*parse_card(read(home / "card.json")).keys, *former_keys(home))
    return [*own, *map(load_public_key, further or ())]


def verify(database: Database, origin: Origin, keys: Sequence[PublicKey]) -> None:
    """Says what was found. LogInconsistent or Forged at the first place that does not agree."""
    with database.reading() as connection:
        done = check(connection, origin, keys)
    for one in done:
        console.say(_line(one))


def write(database: Database, origin: Origin, path: Path) -> None:
    """One consistent state as a file of lines. Conflict where there is a file already."""
    try:
        file = os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")
    except FileExistsError:
        raise Conflict("there is a file already", place=str(path)) from None
    except OSError as error:
        raise BadConfig(f"the file cannot be made: {error.strerror}", place=str(path)) from None
    count = 0
    try:
        with file, database.reading() as connection:
            for item in everything(connection, origin):
                file.write(export.line(item))
                count += isinstance(item, bytes)
    except BaseException:
        path.unlink()
        raise
    console.say(f"{count:,} entries written to {path}")


def _line(one: Checked) -> str:
    beyond = f"; {one.beyond:,} entries are newer than the last one" if one.beyond else ""
    root = base64.b64encode(one.root).decode()
    return f"{one.origin}: {one.size:,} entries, root {root}, {one.checkpoints:,} signed checkpoints agree{beyond}"
