"""What `cimfed member` and `cimfed partner` share: inviting, listing, suspending and removing a party."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console
from cimfed.cli.office import Office
from cimfed.command import Command
from cimfed.errors import BadConfig
from cimfed.joining import PROGRAMS
from cimfed.model.durations import parse_duration
from cimfed.model.instants import instant_text
from cimfed.model.names import Kind, kind_of
from cimfed.rpc import clock
from cimfed.trust.directory import layout
from cimfed.trust.directory.layout import metadata_file
from cimfed.trust.hashing import sha256
from cimfed.trust.invitation import Invitation

ValidOption = Annotated[str, typer.Option("--valid", help="How long it is good for: 90m, 72h, 7d; 30d at most.")]
NewKeysOption = Annotated[
    bool, typer.Option("--new-keys", help="It is listed, has lost its keys, and is to come with new ones.")
]


def invite(
    command: Command,
    at: Office,
    name: str,
    kinds: Collection[Kind],
    valid: str,
    new_keys: bool,
    key: str,
    passphrase_file: Path | None,
) -> None:
    """Prints the token alone on standard output; what is said besides goes to standard error."""
    kind = check_kind(name, kinds)
    life = parse_duration(valid, "--valid")
    directory = at.current()
    root = directory.files[metadata_file(layout.ROOT, directory.versions[layout.ROOT])]
    expires = instant_text(clock.now() + life)
    command.put(name=name, expires=expires, new_keys=new_keys, root=sha256(root).hex())
    _tell(command, f"to be invited: the {kind} {name}, until {expires[:19]} UTC{', with new keys' if new_keys else ''}")
    with at.signer(layout.REGISTRAR, key, passphrase_file) as signer:
        if command.foretold():
            _tell(command, "nobody was invited (--dry-run)")
            return
        command.confirm(f"Invite {name}?")
        made = Invitation.make(at.federation, name, directory.service.address, sha256(root))
        at.administer(
            directory, signer, "invite",
            id=made.key.id.hex(), key=made.key.key.hex(), name=name, expires=expires, new_keys=new_keys,
        )  # fmt: skip
    command.put(changed=True, token=made.text)
    command.say(made.text)
    _tell(command, f"Give it to {name} and to nobody else: {PROGRAMS[kind]} takes it, once. Then see cimfed requests")


def check_kind(name: str, kinds: Collection[Kind]) -> Kind:
    kind = kind_of(name)
    if kind not in kinds:
        group = "partner" if kind is Kind.PARTNER else "member"
        raise BadConfig(f"{name} is a {kind}", remedy=f"See cimfed {group}" if kind is not Kind.DIRECTORY else None)
    return kind


def _tell(command: Command, line: str) -> None:
    if not command.as_json:
        console.err.print(line, markup=False)
