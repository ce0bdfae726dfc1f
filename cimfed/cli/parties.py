"""What `cimfed member` and `cimfed partner` share: inviting, suspending and removing a party."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from cimfed import console
from cimfed.cli.office import Office, change
from cimfed.command import Command
from cimfed.errors import BadConfig, Conflict, NotFound
from cimfed.joining import PROGRAMS
from cimfed.model.durations import SECOND, parse_duration
from cimfed.model.instants import instant_text
from cimfed.model.names import Kind, kind_of
from cimfed.rpc import clock
from cimfed.trust.card import parse_card
from cimfed.trust.directory import documents, edit, layout
from cimfed.trust.directory.layout import metadata_file
from cimfed.trust.directory.listing import Directory, Listing, Member, Span
from cimfed.trust.hashing import sha256
from cimfed.trust.invitation import LONGEST, Invitation
from cimfed.wire.admissions import Administered

ValidOption = Annotated[str, typer.Option("--valid", help="How long it is good for: 90m, 72h, 7d; 30d at most.")]
ForOption = Annotated[
    str, typer.Option("--for", help="For how long: 90m, 2h, 7d; it ends by itself.", show_default=False)
]
LiftOption = Annotated[bool, typer.Option("--lift", help="Not any longer: list it again now.")]
ReasonOption = Annotated[str, typer.Option(help="Why, one line, for the directory service's log.")]
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
    if life > LONGEST:
        raise BadConfig("an invitation is good for 30 days at most", place="--valid", remedy="Give 72h, 7d or 30d")
    directory = at.current()
    _check_invited(directory, name, new_keys)
    root = directory.files[metadata_file(layout.ROOT, directory.versions[layout.ROOT])]
    expires = instant_text(clock.now() + life)
    command.put(name=name, expires=expires, new_keys=new_keys, root=sha256(root).hex())
    _tell(command, f"to be invited: the {kind} {name}, until {expires[:19]} UTC{', with new keys' if new_keys else ''}")
    with at.signer(layout.REGISTRAR, key, passphrase_file) as signer:
        if command.foretold():
            _check_free(at.administer(directory, signer, "requests"), name)
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


def _check_invited(directory: Directory, name: str, new_keys: bool) -> None:
    if any(item.subject == name for item in directory.revoked):
        raise Conflict(f"{name} was revoked, for good", remedy="It comes back under another name")
    listed = any(party.name == name for party in directory.published.parties())
    if listed and not new_keys:
        raise Conflict(
            f"{name} is listed already",
            remedy="If it has lost its keys: --new-keys. To change one it needs no invitation: key rotate",
        )
    if new_keys and not listed:
        raise NotFound(f"{name} is not listed, so it has no keys to replace", remedy="Leave --new-keys out")


def _check_free(found: Administered, name: str) -> None:
    """What the service would say: for a dry run, which asks it nothing else."""
    cards = {parse_card(entry.card).name for entry in found.requests}
    if name in {item.name for item in found.invitations} | cards:
        raise Conflict(
            f"{name} is invited already, or its request waits",
            remedy=f"cimfed requests shows it; cimfed requests withdraw {name}, or deny",
        )


def length(how_long: str, lift: bool) -> str:
    """Of a suspension; empty where it is lifted."""
    if bool(how_long) is lift:
        raise BadConfig("a suspension has an end, or is lifted", remedy="Give --for 2h, or --lift")
    return how_long


def suspend(
    command: Command,
    at: Office,
    name: str,
    kinds: Collection[Kind],
    how_long: str,
    reason: str,
    key: str,
    passphrase_file: Path | None,
    out: Path | None,
    days: int,
) -> None:
    """Takes a party off the list for a while; an empty ``how_long`` puts it back."""
    check_kind(name, kinds)
    documents.reason(reason)
    span: Span | None = None
    command.put(name=name, reason=reason)
    if how_long:
        now = clock.now() // SECOND * SECOND
        span = now, now + parse_duration(how_long, "--for")
        command.put(until=instant_text(span[1]))
        command.say(f"to be suspended: {name}, until {instant_text(span[1])[:19]} UTC")
    else:
        command.say(f"to be listed again: {name}")

    def about(directory: Directory) -> None:
        command.put(affected=say_party(command, directory, name))

    step, question = ("suspended", f"Suspend {name}?") if span else ("lifted", f"Lift the suspension of {name}?")
    _explained(
        command, at, lambda listing: edit.suspend(listing, name, span), question,
        (step, name, reason), about, key, passphrase_file, out, days,
    )  # fmt: skip


def remove(
    command: Command,
    at: Office,
    name: str,
    kinds: Collection[Kind],
    reason: str,
    key: str,
    passphrase_file: Path | None,
    out: Path | None,
    days: int,
) -> None:
    """Takes a party off the list."""
    check_kind(name, kinds)
    documents.reason(reason)
    command.put(name=name, reason=reason)
    command.say(f"to be removed: {name}")

    def about(directory: Directory) -> None:
        command.put(affected=say_party(command, directory, name))

    _explained(
        command, at, lambda listing: edit.without(listing, name), f"Remove {name}?",
        ("removed", name, reason), about, key, passphrase_file, out, days,
    )  # fmt: skip


def _explained(
    command: Command,
    at: Office,
    changed: Callable[[Listing], Listing],
    question: str,
    why: tuple[str, str, str],
    about: Callable[[Directory], None],
    key: str,
    passphrase_file: Path | None,
    out: Path | None,
    days: int,
) -> None:
    """Publishes a change, and has the service log why, before."""
    step, name, reason = why
    with at.signer(layout.REGISTRAR, key, passphrase_file) as signer:

        def explain(directory: Directory) -> None:
            at.administer(directory, signer, "explain", step=step, name=name, reason=reason)

        change(command, at, changed, question, key=signer, out=out, days=days, about=about, first=explain)


def say_party(command: Command, directory: Directory, name: str) -> dict[str, Any]:
    """What a party that goes leaves behind, in words; the same as fields."""
    member = next((party for party in directory.published.members.values() if party.name == name), None)
    if isinstance(member, Member):
        collections = sorted(member.entry.collections) if member.entry else []
        partners = len(directory.published.partners)
        command.say(f"  {name} gives {', '.join(collections) or 'nothing'}; {partners} partners are listed")
        return {"party": name, "collections": collections, "partners": partners}
    if name in directory.published.gateways:
        others = sorted(set(directory.gateways) - {name})
        command.say(f"  partners that ask through {name} cannot; other gateways: {', '.join(others) or 'none'}")
        return {"party": name, "gateways": others}
    if name in directory.published.partners:
        cities = sorted(directory.members)
        command.say(f"  {name} may ask {len(cities)} cities, as far as their policies give")
        return {"party": name, "cities": cities}
    return {"party": name or None}


def check_kind(name: str, kinds: Collection[Kind]) -> Kind:
    kind = kind_of(name)
    if kind not in kinds:
        if kind is Kind.DIRECTORY:
            raise BadConfig(
                f"{name} is a directory service, which the board names", remedy="cimfed directory rotate-root --service"
            )
        group = "partner" if kind is Kind.PARTNER else "member"
        raise BadConfig(f"{name} is a {kind}", remedy=f"See cimfed {group}")
    return kind


def _tell(command: Command, line: str) -> None:
    if not command.as_json:
        console.err.print(line, markup=False)
