"""`cimfed-gateway backup` and `cimfed-gateway restore`. Thin: what they do is in ``backup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase
from cimfed.archive import commands
from cimfed.errors import BadConfig
from cimfed.rpc import clock
from cimfed_gateway.backup import PROGRAM, SCHEMA, prepared, restore
from cimfed_gateway.config import Home


def backup(
    file: Annotated[str, typer.Argument(help="The backup, a file that is not there yet; - for standard output.")],
    home: Annotated[Path | None, typer.Option(help="The gateway's folder.", envvar="CIMFED_GATEWAY_HOME")] = None,
    with_keys: Annotated[bool, typer.Option("--with-keys", help="Also the keys, sealed by a passphrase.")] = False,
    passphrase_file: commands.PASSPHRASE = None,
    check: Annotated[bool, typer.Option("--check", help="Read a backup whole and say what it is.")] = False,
) -> None:
    """Writes a backup of this gateway, also while it serves."""
    if check:
        commands.check(file, PROGRAM, SCHEMA)
        return
    if home is None:
        raise BadConfig("a backup is of a home", place="--home")
    secret = commands.new_secret(file, with_keys, passphrase_file)
    with prepared(Home.load(home), clock.now(), secret) as (manifest, parts):
        commands.write_out(file, manifest, parts)


def restore_(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    home: Annotated[Path, typer.Option(help="The new folder, which is not there yet.")],
    digest: Annotated[str, typer.Option(help="What it must hash to, as 'backup' said.")] = "",
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="Make new keys, to be admitted again; those in the backup stay there.")
    ] = False,
    log_generation: commands.GENERATION = 0,
    passphrase_file: commands.PASSPHRASE = None,
) -> None:
    """Makes a home out of a backup: whole, or not at all."""
    done = restore(
        file,
        home,
        passphrase=lambda: passphrase.known("Passphrase of the keys: ", passphrase_file),
        new_keys=new_keys,
        digest=digest,
        generation=log_generation,
    )
    commands.show(done.manifest)
    commands.say_restored(done.home, done.log, done.card, done.has_keys, done.notes)
    console.say(f"  cimfed-gateway serve --home {home}")
