"""`cimfed-node backup` and `cimfed-node restore`. Thin: what they do is in ``backup`` and ``restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase
from cimfed.archive import commands
from cimfed.errors import BadConfig
from cimfed.rpc import clock
from cimfed_node.backup import PROGRAM, prepared
from cimfed_node.opening import opened
from cimfed_node.operate import publisher
from cimfed_node.printing import building_progress, show
from cimfed_node.restore import Restored, restore
from cimfed_node.tables.schema import SCHEMA_VERSION


def backup(
    file: Annotated[str, typer.Argument(help="The backup, a file that is not there yet; - for standard output.")],
    home: Annotated[Path | None, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")] = None,
    no_data: Annotated[bool, typer.Option("--no-data", help="Leave the snapshots out.")] = False,
    with_keys: Annotated[bool, typer.Option("--with-keys", help="Also the keys, sealed by a passphrase.")] = False,
    passphrase_file: commands.PASSPHRASE = None,
    check: Annotated[bool, typer.Option("--check", help="Read a backup whole and say what it is.")] = False,
) -> None:
    """Writes a backup of this node, also while it serves."""
    if check:
        commands.check(file, PROGRAM, SCHEMA_VERSION)
        return
    if home is None:
        raise BadConfig("a backup is of a home", place="--home")
    secret = commands.new_secret(file, with_keys, passphrase_file)
    with (
        opened(home) as (at, control),
        prepared(at, control, publisher(at, control), clock.now(), data=not no_data, passphrase=secret) as made,
    ):
        commands.write_out(file, made.manifest, made.parts, made.notes)


def restore_(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    home: Annotated[Path, typer.Option(help="The new folder, which is not there yet.")],
    city: Annotated[str, typer.Option(help="The city that it must be a backup of.")] = "",
    digest: Annotated[str, typer.Option(help="What it must hash to, as 'backup' said.")] = "",
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="Make new keys, to be admitted again; those in the backup stay there.")
    ] = False,
    log_generation: commands.GENERATION = 0,
    passphrase_file: commands.PASSPHRASE = None,
) -> None:
    """Makes a home out of a backup: whole, or not at all."""
    with building_progress() as building:
        done = restore(
            file,
            home,
            clock.now,
            passphrase=lambda: passphrase.known("Passphrase of the keys: ", passphrase_file),
            new_keys=new_keys,
            city=city,
            digest=digest,
            generation=log_generation,
            building=building,
        )
    commands.show(done.manifest)
    if done.report is not None:
        show(done.report)
    _say_what_follows(done, home)


def _say_what_follows(done: Restored, home: Path) -> None:
    manifest = done.manifest
    commands.say_restored(done.home, done.log, done.card, done.has_keys, done.notes)
    if manifest.contents.get("data") == "no":
        console.say(f"  cimfed-node import FILE... --home {home}    (the backup has no data)")
    if manifest.contents.get("database") == "yes":
        console.say(f"  cimfed-node postgis connect URL --home {home}    (the node had a database)")
    if done.policy:
        console.say(
            f"  cimfed-node activate CURRENT.policy.json --home {home}    (the backup has version {done.policy})"
        )
    console.say(f"  cimfed-node serve --home {home}    (queries that were signed before are refused)")
