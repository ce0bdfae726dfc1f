"""`cimfed requests list | approve | deny | withdraw`: newcomers' cards that wait, and invitations that are open.

The directory service cannot list anybody: to approve is to publish a listing that has the card. The service sees it
there, and closes the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from cimfed import console, passphrase
from cimfed.cli import cards, office
from cimfed.cli.office import Office
from cimfed.cli.partner import CountryOption, KeyDaysOption, RoleOption, validity
from cimfed.cli.words import UnsaidList
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.errors import BadDirectory, NotFound
from cimfed.model.admission import InvitationEntry, JoinEntry
from cimfed.model.instants import instant_text
from cimfed.model.names import Kind
from cimfed.trust.card import Card, parse_card
from cimfed.trust.directory import layout
from cimfed.trust.directory.edit import with_card
from cimfed.trust.directory.listing import Directory, Listing
from cimfed.trust.keys import Signer
from cimfed.wire.admissions import Administered

app = typer.Typer(cls=UnsaidList, help="Who waits to be listed, and who is invited.")
NAME = Annotated[str, typer.Argument(help="Who asks, such as kz.almaty or inst.iitd.")]


@dataclass(frozen=True)
class Request:
    entry: JoinEntry
    card: Card


@app.command("list")
def list_(
    home: office.HomeOption,
    key: office.KeyOption = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
) -> None:
    """Shows the cards that wait, and the invitations that nobody has used yet."""
    with Command("requests", as_json) as command:
        at = office.read_office(home)
        found = asked(at, at.current(), key, passphrase_file)
        requests = readable(found)
        command.put(
            requests=[_facts(request) for request in requests],
            invitations=[_invitation(item) for item in found.invitations],
        )
        rows = [
            (
                request.card.name,
                str(request.card.kind),
                f"{request.entry.state}{', new keys' if request.entry.new_keys else ''}{_replaced(request.entry)}",
                instant_text(request.entry.received)[:19],
            )
            for request in requests
        ]
        rows += [
            (
                item.name,
                "",
                f"invited{', new keys' if item.new_keys else ''}",
                f"until {instant_text(item.expires)[:19]}",
            )
            for item in found.invitations
        ]
        if not rows:
            command.say("nobody waits, and nobody is invited")
        else:
            command.show(console.table(("name", "kind", "state", "UTC"), rows))
        for request in requests:
            command.say(f"{request.card.name}, fingerprint {request.card.fingerprint}")
        if len(requests) < len(found.requests):
            command.note(f"{len(found.requests) - len(requests)} cards are of another release and cannot be read here")


@app.command()
def approve(
    name: NAME,
    home: office.HomeOption,
    country: CountryOption = None,
    role: RoleOption = None,
    key_days: KeyDaysOption = 365,
    fingerprint: cards.FingerprintOption = None,
    days: office.DaysOption = office.LIFE_DAYS,
    key: office.KeyOption = "",
    out: office.OutOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Lists who waits, by the card that came: publishes the directory with it.

    Compare the fingerprint with the one that they see, by another way than the invitation went.
    """
    with Command("requests-approve", as_json, dry_run=dry_run, yes=yes) as command:
        at = office.read_office(home)
        directory = at.current()
        with at.signer(layout.REGISTRAR, key, passphrase_file) as signer:
            request = waiting(at, directory, signer, name)
            card, entry = request.card, request.entry
            command.put(replaced=entry.replaced)
            if entry.replaced:
                command.note(
                    f"it waits in place of {entry.replaced} before it, all of {name}: if {name} knows nothing of them, "
                    "somebody else has its key"
                )
            cards.check_card(card, at, name, Kind.CITY, Kind.GATEWAY, Kind.PARTNER)
            roles, valid = tuple(role) if role else None, validity(key_days)

            def edit(listing: Listing) -> Listing:
                return with_card(listing, card, country, roles, valid)

            def tell(directory: Directory) -> None:
                at.administer(directory, signer, "approve", id=entry.id.hex(), fingerprint=card.fingerprint)

            cards.list_card(
                command, card, at, edit, fingerprint, entry.new_keys,
                key=signer, passphrase_file=None, out=out, days=days, first=tell,
            )  # fmt: skip


@app.command()
def deny(
    name: NAME,
    home: office.HomeOption,
    reason: Annotated[str, typer.Option(help="Why, one line: who waits is told.")],
    key: office.KeyOption = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Denies a request. Whoever sent it needs another invitation."""
    with Command("requests-deny", as_json, dry_run=dry_run, yes=yes) as command:
        at = office.read_office(home)
        directory = at.current()
        with at.signer(layout.REGISTRAR, key, passphrase_file) as signer:
            request = waiting(at, directory, signer, name)
            command.put(**_facts(request), reason=reason)
            command.say(f"{name}, fingerprint {request.card.fingerprint}")
            if not command.goes_on(f"Deny {name}?"):
                return
            at.administer(directory, signer, "deny", id=request.entry.id.hex(), message=reason)
        command.put(state="denied")
        command.say(f"{name} is denied: {reason}")


@app.command()
def withdraw(
    name: NAME,
    home: office.HomeOption,
    key: office.KeyOption = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Takes an invitation back that nobody has used."""
    with Command("requests-withdraw", as_json, dry_run=dry_run, yes=yes) as command:
        at = office.read_office(home)
        directory = at.current()
        with at.signer(layout.REGISTRAR, key, passphrase_file) as signer:
            open_ = at.administer(directory, signer, "requests").invitations
            found = next((item for item in open_ if item.name == name), None)
            if found is None:
                raise NotFound(f"no invitation of {name[:100]} is open", remedy="See cimfed requests")
            command.put(**_invitation(found))
            if not command.goes_on(f"Take back the invitation of {name}?"):
                return
            at.administer(directory, signer, "withdraw", id=found.id.hex())
        command.say(f"the invitation of {name} is taken back")


def asked(at: Office, directory: Directory, key: str, passphrase_file: Path | None) -> Administered:
    """What waits and what is open."""
    with at.signer(layout.REGISTRAR, key, passphrase_file) as signer:
        return at.administer(directory, signer, "requests")


def readable(found: Administered) -> list[Request]:
    """The requests whose card this release can read."""
    made = []
    for entry in found.requests:
        try:
            made.append(Request(entry, parse_card(entry.card)))
        except BadDirectory:
            continue
    return made


def waiting(at: Office, directory: Directory, signer: Signer, name: str) -> Request:
    for request in readable(at.administer(directory, signer, "requests")):
        if request.card.name == name:
            return request
    raise NotFound(f"no request of {name[:100]} waits", remedy="See cimfed requests")


def _replaced(entry: JoinEntry) -> str:
    return f", in place of {entry.replaced} before" if entry.replaced else ""


def _facts(request: Request) -> dict[str, Any]:
    return {
        "name": request.card.name,
        "kind": str(request.card.kind),
        "state": str(request.entry.state),
        "received": instant_text(request.entry.received),
        "new_keys": request.entry.new_keys,
        "replaced": request.entry.replaced,
        "fingerprint": request.card.fingerprint,
    }


def _invitation(item: InvitationEntry) -> dict[str, Any]:
    return {"name": item.name, "expires": instant_text(item.expires), "new_keys": item.new_keys}
