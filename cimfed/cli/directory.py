"""`cimfed directory init | show | renew`: the administrator's directory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from cimfed import console
from cimfed.cli import passphrase, registrar
from cimfed.model.instants import instant_text
from cimfed.model.names import federation, kind_of
from cimfed.rpc import clock
from cimfed.trust.card import card_of
from cimfed.trust.directory.listing import Directory, Gateway, Member, Partner, Party

app = typer.Typer(no_args_is_help=True, help="The signed list of members, gateways and partners.")


@app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="FEDERATION", help="One lower-case label, such as sco.")],
    home: registrar.HomeOption,
    days: registrar.DaysOption = registrar.LIFE_DAYS,
    passphrase_file: passphrase.FileOption = None,
    no_passphrase: passphrase.NoneOption = False,
) -> None:
    """Makes the registrar's key and a directory that lists nobody yet."""
    registrar.found(federation(name), home, passphrase.new_passphrase(passphrase_file, no_passphrase), days)
    console.say(f"made {home / 'registrar.key'}: keep it offline, it decides who is a member")
    console.say(f"Every member and partner pins {home / 'registrar.pub'} when it is set up")


@app.command()
def show(home: registrar.HomeOption) -> None:
    """Lists everybody, with keys and routing entries, and each one's fingerprint as its own program showed it."""
    directory = registrar.current(home)
    late = " (expired)" if clock.now() >= directory.expires else ""
    console.say(
        f"{directory.federation}, version {directory.version}, valid until {instant_text(directory.expires)}{late}"
    )
    if vocabulary := directory.listing.vocabulary:
        console.say(f"vocabulary: version {vocabulary.version}, SHA-256 {vocabulary.sha256.hex()}")
    console.out.print(console.table(("name", "kind", "address", "keys", "about"), _rows(directory)))
    for party in directory.listing.parties():
        console.say(f"{party.name}, fingerprint {card_of(directory.federation, party).fingerprint}")


@app.command()
def renew(
    home: registrar.HomeOption,
    days: registrar.DaysOption = registrar.LIFE_DAYS,
    passphrase_file: passphrase.FileOption = None,
) -> None:
    """Publishes the same directory again, valid for longer."""
    registrar.change(home, passphrase_file, lambda listing: listing, days, always=True)


def _rows(directory: Directory) -> Iterator[tuple[object, ...]]:
    for party in directory.listing.parties():
        address = "" if isinstance(party, Partner) else party.address
        yield party.name, kind_of(party.name), address, ", ".join(_key_ids(party)), _about(party)


def _key_ids(party: Party) -> Iterator[str]:
    """The first digits of each key's id; a partner's with its last day."""
    match party:
        case Member() | Gateway():
            for key in party.keys:
                yield key.id.hex()[:8]
        case Partner():
            for access in party.keys:
                yield f"{access.key.id.hex()[:8]} until {instant_text(access.valid[1])[:10]}"


def _about(party: Party) -> str:
    match party:
        case Member(entry=None):
            return "no policy published"
        case Member(entry=entry):
            assert entry is not None
            until = instant_text(entry.valid[1])[:10]
            return f"policy {entry.version} until {until}: {', '.join(entry.collections) or 'nothing'}"
        case Partner():
            return f"{party.country}; {', '.join(party.roles) or 'no role'}"
        case Gateway():
            return ""
