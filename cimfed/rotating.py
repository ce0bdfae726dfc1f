"""What `cimfed key rotate`, `cimfed-node key rotate` and `cimfed-gateway key rotate` share.

1. A next key is made beside the one in use, and a card that names both, signed by both, is handed in. The registrar
   approves it like a newcomer's, by its fingerprint.
2. Once the directory lists both, the next one is taken into use (``cimfed.trust.own_keys``, ``cimfed.client.profile``).
3. ``--finish`` hands in a card without the old one; once the directory says just that, the card is kept, and then the
   next key's files are put in the old one's place: a card never names a key that has gone.

Each step may be run again: it goes on from what is there, and hands in the same card.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from cimfed import console, joining, passphrase
from cimfed.command import Command
from cimfed.errors import Conflict, KeyRevoked, NodeUnreachable, NotAdmitted, NotFound, Overloaded
from cimfed.model.admission import Join, RequestState, Status
from cimfed.model.names import Federation, Kind
from cimfed.rpc import clock
from cimfed.rpc.joining import looked_up
from cimfed.rpc.service import ServiceClient
from cimfed.trust import next_keys
from cimfed.trust.card import Card, card_of, parse_card, seal_card
from cimfed.trust.directory.listing import Directory, signing_keys
from cimfed.trust.files import replace_file
from cimfed.trust.identity_files import load_signing_key, read, token_in
from cimfed.trust.keys import PublicKey, Signer
from cimfed.trust.tls import Issuer

T = TypeVar("T")

TlsOption = Annotated[bool, typer.Option("--tls", help="The TLS issuing key, not the signing key.")]
FinishOption = Annotated[bool, typer.Option("--finish", help="Drop the old key, once the new one is in use.")]
WaitOption = Annotated[bool, typer.Option("--wait", help="Wait until the administrator has decided.")]


@dataclass(frozen=True)
class Party:
    """Whose keys these are. ``service``: where the directory service is dialled; ``root``: the pinned one."""

    home: Path
    kind: Kind
    name: str
    federation: Federation
    service: str
    root: bytes

    @property
    def card(self) -> Card:
        return parse_card(read(self.home / "card.json"))


@dataclass(frozen=True)
class Change:
    """What is in use, and what comes next; None where that does not change."""

    key: PublicKey
    next_key: PublicKey | None
    issuer: Issuer
    next_issuer: Issuer | None

    @property
    def begun(self) -> bool:
        return self.next_key is not None or self.next_issuer is not None

    def both(self, card: Card) -> Card:
        return replace(card, keys=_present(self.key, self.next_key), issuers=_present(self.issuer, self.next_issuer))

    def alone(self, card: Card) -> Card:
        return replace(card, keys=(self.next_key or self.key,), issuers=(self.next_issuer or self.issuer,))

    def unlisted(self, directory: Directory, name: str) -> tuple[bool, bool]:
        """Whether the directory does not list the next signing key, and the next issuer."""
        party = directory.party(name)
        return (
            self.next_key is not None and self.next_key not in signing_keys(party),
            self.next_issuer is not None and self.next_issuer not in party.issuers,
        )


def rotate(
    command: Command, party: Party, *, tls: bool, finish: bool, wait: bool, key: str, passphrase_file: Path | None
) -> None:
    """``key``: a token's URI for the next signing key, or empty."""
    directory = looked_up(party.root, party.federation, party.service)
    card = party.card
    if not finish and joining.revoked(directory, replace(card, issuers=())):
        raise KeyRevoked(
            f"the key of {party.name} that is here was revoked: it can name no other",
            place=str(party.home),
            remedy="Ask to be invited with --new-keys, and join in another place; --former names the old key",
        )
    _check_alone(directory, card)
    command.put(name=party.name, what="TLS issuing key" if tls else "signing key", finish=finish)
    if finish:
        _finish(command, party, card, directory, wait, passphrase_file)
        return
    change = _change(party, card)
    made = (change.next_issuer if tls else change.next_key) is None
    what = f"a new {'TLS issuing' if tls else 'signing'} key of {party.name}"
    command.say(f"{what} {'is made beside the old one' if made else 'is there already'}, and its card handed in")
    if not command.goes_on(""):
        return
    with ExitStack() as opened:
        secret = passphrase.secret_of(next_keys.signing_key_path(party.home, party.kind), passphrase_file)
        current = load_signing_key(next_keys.signing_key_path(party.home, party.kind), secret)
        opened.callback(current.close)
        if made and tls:
            next_keys.make_next_issuer(party.home, party.federation, party.name, clock.now())
        elif made:
            token = passphrase.token_option(key)
            given = secret if token is None else passphrase.secret_of(token, passphrase_file)
            next_keys.make_next_signing(party.home, party.kind, given, token)
        change = _change(party, card)
        signers = [current]
        if change.next_key is not None:
            signers.append(_next_signer(party, secret, passphrase_file))
            opened.callback(signers[-1].close)
        content = seal_card(change.both(card), *signers)
        replace_file(party.home / "card.json", content)
        try:
            state = _hand_in(command, party, directory, content, wait)
        except NotAdmitted:
            signing, issuing = change.unlisted(directory, party.name)
            next_keys.drop_next(party.home, party.kind, signing=signing, tls=issuing)
            replace_file(
                party.home / "card.json", seal_card(card_without(change, card, signing, issuing), *signers[:1])
            )
            raise
    if state is RequestState.LISTED:
        command.say("the directory lists it; it comes into use by itself, and --finish drops the old one")


def card_without(change: Change, card: Card, signing: bool, issuing: bool) -> Card:
    """The card that there was before keys that were denied."""
    left = Change(
        change.key, None if signing else change.next_key, change.issuer, None if issuing else change.next_issuer
    )
    return left.both(card)


def _finish(
    command: Command, party: Party, card: Card, directory: Directory, wait: bool, passphrase_file: Path | None
) -> None:
    change = _change(party, card)
    if not change.begun:
        raise NotFound(f"no key of {party.name} is being changed here", remedy="Run it without --finish first")
    if any(change.unlisted(directory, party.name)):
        raise Conflict("the directory does not list the new key yet", remedy="The administrator approves it first")
    alone = change.alone(card)
    command.put(fingerprint=alone.fingerprint)
    command.say(f"to be handed in: a card of {party.name} without the old key")
    if not command.goes_on("Drop the old key?"):
        return
    place = next_keys.signing_key_path(party.home, party.kind)
    if change.next_key is None:
        signer = passphrase.open_key(place, passphrase_file)
    else:
        signer = _next_signer(party, None, passphrase_file)
    try:
        content = seal_card(alone, signer)
    finally:
        signer.close()
    state = _hand_in(command, party, directory, content, wait)
    if state is RequestState.LISTED:
        if change.next_key not in (None, change.key):
            next_keys.keep_former(party.home, party.kind, change.key)
        replace_file(party.home / "card.json", content)
        next_keys.put_in_place(party.home, party.kind)
        command.say("the old key is dropped here and in the directory")


def _hand_in(command: Command, party: Party, directory: Directory, content: bytes, wait: bool) -> RequestState:
    fingerprint = parse_card(content).fingerprint
    command.put(fingerprint=fingerprint)
    command.say(f"fingerprint {fingerprint}")
    with ServiceClient(party.service, directory) as service:
        status = service.join(Join(b"", content, b""))
        if wait and status.state in (RequestState.WAITING, RequestState.APPROVED):
            console.err.print("handed in; waiting for the administrator. Tell them the fingerprint by another way")
            status = _decided(service, content)
    command.put(state=str(status.state))
    if status.state is RequestState.DENIED:
        raise joining.denied(status, "Ask the administrator why; the same command begins anew")
    if status.state is not RequestState.LISTED:
        command.say(f"{status.state}: tell the administrator the fingerprint, by another way than this")
    return status.state


def _decided(service: ServiceClient, content: bytes) -> Status:
    while True:
        joining.pause()
        try:
            status = service.join(Join(b"", content, b""))
        except (NodeUnreachable, Overloaded):
            continue  # it may come back
        if status.state not in (RequestState.WAITING, RequestState.APPROVED):
            return status


def _change(party: Party, card: Card) -> Change:
    following, issuer = next_keys.next_signing(party.home, party.kind), next_keys.next_issuer(party.home)
    return Change(_old(card.keys, following), following, _old(card.issuers, issuer), issuer)


def _old(named: Sequence[T], following: object) -> T:
    return next((item for item in named if item != following), named[0])


def _next_signer(party: Party, secret: bytes | None, passphrase_file: Path | None) -> Signer:
    """The next key is encrypted as the one in use is, unless it is on a token."""
    path = next_keys.next_key_path(party.home, party.kind)
    if secret is None or token_in(path) is not None:
        secret = passphrase.secret_of(path, passphrase_file)
    return next_keys.load_next_signer(party.home, party.kind, secret)


def _check_alone(directory: Directory, card: Card) -> None:
    """Conflict where the directory lists keys of the party that the card does not name: it would take them away."""
    listed = card_of(card.federation, directory.party(card.name))
    if not set(listed.keys) <= set(card.keys) or not set(listed.issuers) <= set(card.issuers):
        raise Conflict(
            f"the directory lists further keys of {card.name}, which this card does not name",
            remedy="Have a new key issued instead (cimfed key issue), and the old one revoked",
        )


def _present(*items: T | None) -> tuple[T, ...]:
    return tuple(item for item in items if item is not None)
