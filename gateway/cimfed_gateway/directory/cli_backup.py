"""`cimfed-gateway directory backup` and `restore`. Thin: what they do is in ``backup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase
from cimfed.archive import commands
from cimfed.errors import BadConfig
from cimfed.rpc import clock
from cimfed_gateway.directory.backup import PROGRAM, prepared, restore
from cimfed_gateway.directory.config import Home
from cimfed_gateway.directory.tables import SCHEMA_VERSION


def backup(
    file: Annotated[str, typer.Argument(help="The backup, a file that is not there yet; - for standard output.")],
    home: Annotated[Path | None, typer.Option(help="The service's folder.", envvar="CIMFED_DIRECTORY_HOME")] = None,
    with_keys: Annotated[bool, typer.Option("--with-keys", help="Also the keys, sealed by a passphrase.")] = False,
    passphrase_file: commands.PASSPHRASE = None,
    check: Annotated[bool, typer.Option("--check", help="Read a backup whole and say what it is.")] = False,
) -> None:
    """Writes a backup of this directory service, also while it serves."""
    if check:
        commands.check(file, PROGRAM, SCHEMA_VERSION)
        return
    if home is None:
        raise BadConfig("a backup is of a home", place="--home")
    secret = commands.new_secret(file, with_keys, passphrase_file)
    with prepared(Home.load(home), clock.now(), secret) as (manifest, parts):
        commands.write_out(file, manifest, parts)


def restore_(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    home: Annotated[Path, typer.Option(help="The new folder, which is not there yet.")],
    mirror: Annotated[
        list[str] | None,
        typer.Option(
            help="Where readers' newest files are: a URL, a folder, or host:port of a listed city or gateway. "
            "As many as can be reached."
        ),
    ] = None,
    no_mirror: Annotated[
        bool, typer.Option("--no-mirror", help="Nobody has ever seen a newer version than this backup's.")
    ] = False,
    digest: Annotated[str, typer.Option(help="What it must hash to, as 'backup' said.")] = "",
    log_generation: commands.GENERATION = 0,
    passphrase_file: commands.PASSPHRASE = None,
) -> None:
    """Makes a home out of a backup, caught up with what mirrors show: whole, or not at all."""
    if bool(mirror) == no_mirror:
        raise BadConfig(
            "readers refuse a version that goes back: say where the newest one is",
            place="--mirror",
            remedy="Name every node, gateway or folder of theirs in reach; or --no-mirror, if nobody read any",
        )
    done = restore(
        file,
        home,
        mirror or (),
        passphrase=lambda: passphrase.known("Passphrase of the keys: ", passphrase_file),
        digest=digest,
        generation=log_generation,
    )
    commands.show(done.manifest)
    console.say(f"the directory goes on from version {done.version}; the backup has version {done.then}")
    commands.say_restored(
        done.home, done.log, None, done.has_keys, done.notes, lost="the board must name another service"
    )
    console.say(f"  cimfed-gateway directory serve --home {home}")
