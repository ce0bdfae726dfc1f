"""`cimfed-node backup` and `cimfed-node restore`. Thin: what they do is in ``backup`` and ``restore``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase
from cimfed.archive.manifest import Manifest
from cimfed.archive.place import arriving_file
from cimfed.archive.read import opened as opened_archive
from cimfed.archive.write import write
from cimfed.errors import BadConfig
from cimfed.model.instants import instant_text
from cimfed.rpc import clock
from cimfed_node.backup import PROGRAM, prepared
from cimfed_node.operate import opened, publisher
from cimfed_node.printing import building_progress, show
from cimfed_node.restore import Restored, answers, restore
from cimfed_node.tables.schema import SCHEMA_VERSION

STANDARD = "-"
PASSPHRASE = Annotated[
    Path | None, typer.Option("--passphrase-file", help="A file whose first line is the passphrase of the keys.")
]


def backup(
    file: Annotated[str, typer.Argument(help="The backup, a file that is not there yet; - for standard output.")],
    home: Annotated[Path | None, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")] = None,
    no_data: Annotated[bool, typer.Option("--no-data", help="Leave the snapshots out.")] = False,
    with_keys: Annotated[bool, typer.Option("--with-keys", help="Also the keys, sealed by a passphrase.")] = False,
    passphrase_file: PASSPHRASE = None,
    check: Annotated[bool, typer.Option("--check", help="Read a backup whole and say what it is.")] = False,
) -> None:
    """Writes a backup of this node, also while it serves."""
    if check:
        with opened_archive(Path(file), PROGRAM, SCHEMA_VERSION) as archive:
            archive.check()
        console.say(f"{file} is whole")
        _show(archive.manifest)
        return
    if home is None:
        raise BadConfig("a backup is of a home", place="--home")
    if passphrase_file is not None and not with_keys:
        raise BadConfig("the passphrase is for keys", place="--passphrase-file", remedy="Give --with-keys too")
    secret = passphrase.chosen("Passphrase for the keys: ", passphrase_file) if with_keys else None
    with (
        opened(home) as (at, control),
        prepared(at, control, publisher(at, control), clock.now(), data=not no_data, passphrase=secret) as made,
    ):
        if file == STANDARD:
            write(sys.stdout.buffer, made.manifest, made.parts)
            sys.stdout.buffer.flush()
            return
        with arriving_file(Path(file)) as out:
            write(out, made.manifest, made.parts)
    _show(made.manifest)
    for relation in made.in_place:
        console.say(f"note: the rows of {relation} are the database's: back that up too")
    if not with_keys:
        console.say("note: keys are not in it: keep keys/ elsewhere, as safe as the data")


def restore_(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    home: Annotated[Path, typer.Option(help="The new folder, which is not there yet.")],
    city: Annotated[str, typer.Option(help="The city that it must be a backup of.")] = "",
    digest: Annotated[str, typer.Option(help="What it must hash to, as 'backup' said.")] = "",
    new_keys: Annotated[
        bool, typer.Option("--new-keys", help="Make new keys, to be admitted again; those in the backup stay there.")
    ] = False,
    passphrase_file: PASSPHRASE = None,
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
            building=building,
        )
    _show(done.manifest)
    if done.report is not None:
        show(done.report)
    _say_what_follows(done, home)


def _say_what_follows(done: Restored, home: Path) -> None:
    console.say(f"restored to {done.home}")
    for note in done.notes:
        console.say(f"note: {note}")
    with opened(home) as (at, _):
        if answers(at.settings.address):
            console.say(
                f"warning: somebody answers at {at.settings.address}: if that is this city's old node, end it now. "
                "Two nodes with one key give two logs, and each gives answers that the other knows nothing of"
            )
    console.say("The old node must never serve again. Next:")
    if done.card is not None:
        console.say(f"  give {done.home / 'card.json'} to the administrator, fingerprint {done.card.fingerprint}")
        console.say("  (cimfed member add --replace), and have the old keys revoked")
    elif not done.has_keys:
        console.say(f"  put the keys that you kept into {done.home / 'keys'}, under the same names, mode 600;")
        console.say("  if they are lost, remove this folder and restore with --new-keys")
    if done.manifest.contents.get("data") == "no":
        console.say(f"  cimfed-node import FILE... --home {home}    (the backup has no data)")
    if done.manifest.contents.get("database") == "yes":
        console.say(f"  cimfed-node postgis connect URL --home {home}    (the node had a database)")
    if done.policy:
        console.say(
            f"  cimfed-node activate CURRENT.policy.json --home {home}    (the backup has version {done.policy})"
        )
    console.say(f"  cimfed-node serve --home {home}    (queries that were signed before are refused)")


def _show(manifest: Manifest) -> None:
    rows = [
        ("party", f"{manifest.party} of {manifest.federation}"),
        ("taken", instant_text(manifest.taken)),
        ("by", f"{manifest.program} {manifest.release}, schema {manifest.schema}"),
        *sorted(manifest.contents.items()),
        ("bytes, unpacked", f"{manifest.size:,}"),
    ]
    console.out.print(console.table(("of the backup", ""), rows))
    console.say(f"digest {manifest.digest}")
