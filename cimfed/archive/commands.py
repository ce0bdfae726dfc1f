"""What the commands ``backup`` and ``restore`` of all servers do and say alike."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase
from cimfed.archive.manifest import Manifest
from cimfed.archive.party import CARD, answers
from cimfed.archive.place import arriving_file
from cimfed.archive.read import opened
from cimfed.archive.write import Part, write
from cimfed.errors import BadConfig
from cimfed.model.instants import instant_text
from cimfed.paths import new_file
from cimfed.trust.card import Card, parse_card
from cimfed.trust.identity_files import read

STANDARD = "-"
PASSPHRASE = Annotated[
    Path | None, typer.Option("--passphrase-file", help="A file whose first line is the passphrase of the keys.")
]
GENERATION = Annotated[
    int, typer.Option(min=0, help="The number of the log, if this backup was restored before: one above that of then.")
]


def new_secret(target: str, with_keys: bool, file: Path | None) -> bytes | None:
    """The passphrase that keys are to be sealed by; None where they are left out. ``target``: as of ``write_out``,
    looked at before anything is asked or done."""
    if target != STANDARD:
        new_file(Path(target))
    if file is not None and not with_keys:
        raise BadConfig("the passphrase is for keys", place="--passphrase-file", remedy="Give --with-keys too")
    return passphrase.chosen("Passphrase for the keys: ", file) if with_keys else None


def check(file: str, program: str, schema: int) -> None:
    """Reads a backup whole and says what it is."""
    with opened(Path(file), program, schema) as archive:
        archive.check()
    console.say(f"{file} is whole")
    show(archive.manifest)


def write_out(file: str, manifest: Manifest, parts: Sequence[Part], notes: Iterable[str] = ()) -> None:
    """To standard output, which gets nothing else then, or into a new file."""
    if file == STANDARD:
        write(sys.stdout.buffer, manifest, parts)
        sys.stdout.buffer.flush()
        return
    with arriving_file(Path(file)) as out:
        write(out, manifest, parts)
    show(manifest)
    for note in notes:
        console.say(f"note: {note}")
    if not manifest.sealed:
        console.say("note: keys are not in it: keep keys/ elsewhere, as safe as the data")


def show(manifest: Manifest) -> None:
    rows = [
        ("party", f"{manifest.party} of {manifest.federation}"),
        ("taken", instant_text(manifest.taken)),
        ("by", f"{manifest.program} {manifest.release}, schema {manifest.schema}"),
        *sorted(manifest.contents.items()),
        ("bytes, unpacked", f"{manifest.size:,}"),
    ]
    console.out.print(console.table(("of the backup", ""), rows))
    console.say(f"digest {manifest.digest}")


NEW_KEYS = "remove this folder and restore with --new-keys"


def say_restored(
    home: Path, log: str, made: Card | None, has_keys: bool, notes: Iterable[str], lost: str = NEW_KEYS
) -> None:
    """What follows a restore wherever it was. ``made``: the card of new keys. ``lost``: what to do without keys."""
    console.say(f"restored to {home}; its log goes on as {log}")
    for note in notes:
        console.say(f"note: {note}")
    address = parse_card(read(home / CARD)).address
    if answers(address):
        console.say(
            f"warning: somebody answers at {address}: if that is the old server, end it now. Two with one key give two "
            "logs, and each does what the other knows nothing of"
        )
    console.say("The old one must never serve again. Next:")
    if made is not None:
        by = "its steward," if made.stewards else "a former key, if one is left,"
        console.say(f"  cimfed key endorse {home / CARD} --key KEY    (by {by} or others must accept the new keys)")
        console.say(f"  give {home / CARD} to the administrator, fingerprint {made.fingerprint}")
        console.say("  (cimfed member add --replace), and have the old keys revoked")
    elif not has_keys:
        console.say(f"  put the keys that you kept into {home / 'keys'}, under the same names, mode 600;")
        console.say(f"  if they are lost, {lost}")
