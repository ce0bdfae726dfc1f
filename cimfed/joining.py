"""What `cimfed join`, `cimfed-node join` and `cimfed-gateway join` share.

1. Nothing is made before the service has answered and the directory is verified from the root that the token names.
2. A home that joined before by the same name is gone on with: its card is handed in again, and no new keys are made.
   So what failed half-way is run again, with the same token. A card whose keys were revoked is not: it would use the
   invitation up, and let nobody in.
3. ``--wait`` asks until the party is listed or denied; breaking it off loses nothing.
4. A card that the service refuses for good leaves nothing behind of what was made for it (``cimfed.fresh``). One that
   the administrator denies keeps its keys: it may be handed in again by another invitation.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase
from cimfed.command import Command
from cimfed.errors import (
    BadConfig,
    BadDirectory,
    BadInvitation,
    BadQuery,
    CimfedError,
    Conflict,
    KeyRevoked,
    NodeUnreachable,
    NotAdmitted,
    Overloaded,
    TooLarge,
)
from cimfed.fresh import Fresh
from cimfed.model.admission import RequestState, Status
from cimfed.model.names import Kind, kind_of
from cimfed.rpc.joining import Met, ask_status, hand_in, meet
from cimfed.trust.card import Card, endorsed, parse_card
from cimfed.trust.directory import documents
from cimfed.trust.directory.listing import Directory, keys_of
from cimfed.trust.files import replace_file
from cimfed.trust.identity_files import read
from cimfed.trust.invitation import MAX_TEXT, parse_invitation
from cimfed.trust.keys import PublicKey
from cimfed.trust.token.uri import parse_key_place

POLL = 5.0  # seconds between two looks
REFUSED = (BadDirectory, BadInvitation, BadQuery, Conflict, TooLarge)  # and not to be asked again with this card
PROGRAMS = {Kind.PARTNER: "cimfed join", Kind.CITY: "cimfed-node join", Kind.GATEWAY: "cimfed-gateway join"}

TokenArgument = Annotated[
    str, typer.Argument(metavar="TOKEN", help="The invitation, one line; - reads it from standard input.")
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until the administrator has listed or denied it.")]

FormerOption = Annotated[
    str,
    typer.Option(
        metavar="KEY", help="A key that the party had before, or its steward's: it names the new ones its successors."
    ),
]
FormerPassphraseOption = Annotated[
    Path | None, typer.Option(help="A file whose first line is that key's passphrase or PIN.")
]


def invited(token: str, kind: Kind) -> Met:
    """The directory that the token leads to. BadConfig where it is for another program."""
    invitation = parse_invitation(sys.stdin.readline(MAX_TEXT + 2) if token == "-" else token)
    found = kind_of(invitation.name)
    if found is not kind:
        raise BadConfig(
            f"this invitation is for the {found} {invitation.name}", remedy=f"Use it with {PROGRAMS[found]}"
        )
    return meet(invitation)


def check_same(met: Met, name: str, of: str, place: Path, remedy: str = "Name another place (--home)") -> None:
    """Conflict where a home that is there already is another party's."""
    if (name, of) != (met.invitation.name, met.invitation.federation):
        raise Conflict(f"{name} of {of} lives here already", place=str(place), remedy=remedy)


def check_card(place: Path, address: str, stewards: Sequence[PublicKey] = ()) -> None:
    """Conflict where a card that is there already says otherwise than the command: it would go out as it is."""
    card = parse_card(read(place))
    remedy = "Leave the option out; or have the request denied, and join into another folder by another invitation"
    if address and documents.address(address) != card.address:
        raise Conflict(f"the card that is here says {card.address}", place="--address", remedy=remedy)
    if stewards and set(stewards) != set(card.stewards):
        raise Conflict("the card that is here names other stewards", place="--steward-key", remedy=remedy)


def say_met(command: Command, met: Met, home: Path, again: bool, former: str = "") -> None:
    """KeyRevoked where the card that is there would be handed in again for nothing; BadConfig for a former key that is
    not there: nothing is made for it."""
    place = parse_key_place(former) if former else None
    if isinstance(place, Path) and not place.is_file():
        raise BadConfig(f"there is no key {place}", place="--former")
    card = home / "card.json"
    if again and card.exists() and revoked(met.directory, parse_card(read(card))):
        raise KeyRevoked(
            "a key that is here was revoked: its card lets nobody in",
            place=str(home),
            remedy="Join in another place, where new keys are made; --former names the old key, and the invitation is "
            "still good",
        )
    invitation = met.invitation
    command.put(name=invitation.name, federation=invitation.federation, home=str(home), root=invitation.root.hex())
    command.say(
        f"{invitation.federation}: version {met.directory.version} of its directory, as the invitation names it"
    )
    what = "its card is to be handed in again" if again else "keys are to be made there, and the card handed in"
    command.say(f"{invitation.name} in {home}: {what}")


def send(
    command: Command,
    met: Met,
    card: Path,
    wait: bool,
    former: str = "",
    former_passphrase_file: Path | None = None,
    fresh: Fresh | None = None,
) -> None:
    """Hands in the card, and says what became of it. NotAdmitted where it was denied. ``fresh``: what was made for it
    just now."""
    if former:
        signer = passphrase.open_key(parse_key_place(former), former_passphrase_file)
        try:
            replace_file(card, endorsed(read(card), signer))
        finally:
            signer.close()
        if not _listed(met, signer.public):
            command.note(
                f"the directory does not list the former key for {met.invitation.name}: only whoever knew it before it "
                "was taken off takes it for one"
            )
    content = read(card)
    fingerprint = parse_card(content).fingerprint
    command.put(fingerprint=fingerprint)
    command.say(f"fingerprint {fingerprint}")
    try:
        status = hand_in(met, content)
    except REFUSED as error:
        raise _refused(command, error, card.parent, fresh) from None
    if wait and status.state in (RequestState.WAITING, RequestState.APPROVED):
        console.err.print("handed in; waiting for the administrator. Tell them the fingerprint by another way")
        status = _decided(met)
    command.put(state=str(status.state))
    match status.state:
        case RequestState.LISTED:
            command.say(f"the directory lists {met.invitation.name}")
        case RequestState.DENIED:
            raise denied(
                status,
                "Ask the administrator why, and for another invitation: the same command with that hands in again the "
                f"keys that are in {card.parent}",
            )
        case _:
            command.say(f"{status.state}: tell the administrator the fingerprint, by another way than this")


def _refused(command: Command, error: CimfedError, home: Path, fresh: Fresh | None) -> CimfedError:
    """As the service said it, and what is here now."""
    said = f"{error.remedy}. " if error.remedy else ""
    if fresh is None:
        left = f"What is in {home} stays, and is handed in by it"
    else:
        fresh.unmake()
        command.put(changed=False)
        left = f"What was made in {home} is removed again: nobody has seen its keys"
    return type(error)(error.message, place=error.place, remedy=said + left)


def _listed(met: Met, key: PublicKey) -> bool:
    parties = met.directory.published.parties()
    return any(key in keys_of(party) for party in parties if party.name == met.invitation.name)


def revoked(directory: Directory, card: Card) -> bool:
    """Whether all signing keys that it names were revoked, or all issuers."""
    gone = {item.subject for item in directory.revoked}
    ids = ([key.id.hex() for key in card.keys], [issuer.id.hex() for issuer in card.issuers])
    return any(of and gone.issuperset(of) for of in ids)


def denied(status: Status, remedy: str) -> NotAdmitted:
    why = f": {status.message}" if status.message else ""
    return NotAdmitted(f"the administrator has denied it{why}", remedy=remedy)


def pause() -> None:
    time.sleep(POLL)


def _decided(met: Met) -> Status:
    try:
        while True:
            try:
                status = ask_status(met)
                if status.state not in (RequestState.WAITING, RequestState.APPROVED):
                    return status
            except (NodeUnreachable, Overloaded):
                pass  # it may come back
            pause()
    except KeyboardInterrupt:
        console.err.print("the request waits on; to look again, run the same command again")
        raise
