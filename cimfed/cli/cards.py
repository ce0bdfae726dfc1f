"""Listing a party by its card: what `cimfed member add`, `partner add` and `requests approve` share.

A card proves who holds its keys, not who its bearer is. So its fingerprint is compared with the one that its owner
sees, by another way than the card came: with ``--fingerprint``, or by whoever answers the question at the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from cimfed.cli.office import Office, change
from cimfed.command import Command
from cimfed.errors import BadConfig, BadDirectory
from cimfed.model.names import Kind
from cimfed.trust.card import Card, card_of, parse_card, same_fingerprint
from cimfed.trust.directory.continuity import is_succession, known_otherwise, names_successors, read_known
from cimfed.trust.directory.edit import check_keys
from cimfed.trust.directory.follow import KNOWN, accept_keys
from cimfed.trust.directory.listing import Directory, Listing
from cimfed.trust.identity_files import read
from cimfed.trust.keys import PublicKey, Signer
from cimfed.trust.tls import Issuer

FingerprintOption = Annotated[
    str | None, typer.Option(help="As the card's owner sees it: anything else is refused, and you are not asked.")
]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="List it with new keys in place of those it had.")]


def read_card(path: Path, office: Office, *kinds: Kind) -> Card:
    """A card that may be listed in this federation."""
    try:
        card = parse_card(read(path))
    except BadDirectory as error:
        raise BadDirectory(error.message, place=str(path), remedy=error.remedy) from None
    check_card(card, office, str(path), *kinds)
    return card


def check_card(card: Card, office: Office, place: str, *kinds: Kind) -> None:
    if card.federation != office.federation:
        raise BadDirectory(f"this card is for {card.federation}, the office is of {office.federation}", place=place)
    if card.kind not in kinds:
        raise BadConfig(f"this is the card of a {card.kind}", place=place)


def list_card(
    command: Command,
    card: Card,
    office: Office,
    edit: Callable[[Listing], Listing],
    fingerprint: str | None,
    replace: bool,
    *,
    key: str | Signer,
    passphrase_file: Path | None,
    out: Path | None,
    days: int,
    first: Callable[[Directory], None] = lambda directory: None,
    more: bool = False,
) -> Directory | None:
    """Publishes a listing that has the card, once its fingerprint was compared. ``first``: see ``change``.

    ``more``: what the card does not name stays.
    """
    command.put(name=card.name, kind=str(card.kind), fingerprint=card.fingerprint)
    command.say(f"{card.kind} {card.name}, fingerprint {card.fingerprint}")
    if card.address:
        command.put(address=card.address)
        command.say(f"  address {card.address}")
    if card.stewards:
        command.put(stewards=sorted(_ids(card.stewards)))
        command.say(f"  steward's key {', '.join(sorted(_ids(card.stewards)))}")
    if fingerprint is not None:
        if not same_fingerprint(fingerprint, card.fingerprint):
            raise BadDirectory(
                "the card has another fingerprint than the one given",
                place="--fingerprint",
                remedy=f"Give all of what {card.name} sees. If that is another one, somebody else made this card: "
                "cimfed requests deny, and invite anew",
            )
        command.agreed()

    def checked(listing: Listing) -> Listing:
        if not replace:
            check_keys(listing, card)
        return edit(listing)

    def agreed(directory: Directory) -> None:
        accept_keys(office.home / "directory", card)  # whoever works here has compared the fingerprint
        first(directory)

    question = f"Does {card.name} see the same fingerprint?"
    return change(
        command, office, checked, question,
        key=key, passphrase_file=passphrase_file, out=out, days=days, first=agreed,
        about=partial(_say_changes, command, office, card, more),
    )  # fmt: skip


def _say_changes(command: Command, office: Office, card: Card, more: bool, directory: Directory) -> None:
    """What is listed of the party now and would not be, or not yet."""
    old = next((party for party in directory.published.parties() if party.name == card.name), None)
    if old is None:
        if known_otherwise(read_known(office.home / "directory" / KNOWN) or {}, card):
            command.put(succession=card.endorsed)
            if not card.endorsed:
                _say_nobody_named(command, card.name, "was")
        return
    listed, said = card_of(card.federation, old), []
    for what, before, after in (
        ("key", _ids(listed.keys), _ids(card.keys)),
        ("steward's key", _ids(listed.stewards), _ids(card.stewards)),
        ("TLS issuer", _ids(listed.issuers), _ids(card.issuers)),
        ("address", {listed.address}, {card.address}),
    ):
        said += [f"{what} {word} goes" for word in sorted(before - after) if not more]
        said += [f"{what} {word} comes" for word in sorted(after - before)]
    command.put(changes=said)
    command.say(f"it is listed, with fingerprint {listed.fingerprint}")
    for line in said:
        command.say(f"  {line}")
    if names_successors(old, card):
        command.put(succession=is_succession(old, card))
        if not is_succession(old, card):
            _say_nobody_named(command, card.name, "is")


def _say_nobody_named(command: Command, name: str, listed: str) -> None:
    command.note(
        f"no key that {listed} listed for {name} has signed this card: nodes, gateways and partners that "
        f"know {name} take its new keys once each of them has accepted them (key accept). Better it joins with --former"
    )


def _ids(keys: Iterable[PublicKey] | Iterable[Issuer]) -> set[str]:
    return {key.id.hex()[:16] for key in keys}
