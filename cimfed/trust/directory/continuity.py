"""Whose keys they are, by memory: no registrar alone puts another's keys under a name that is known.

1. A party that a reader never saw counts as the registrar lists it: to admit is its office.
2. Later keys of that party (those that sign, TLS issuers, stewards') count once a card of this federation that names
   them is signed by a key that the reader knows as the party's, a steward's included (``Listing.successions``), or once
   whoever runs the reader has accepted them.
3. What is known stays known, also when the party is taken off the list and comes back.
4. Cards by which keys named others are kept, ``NAMED`` of a party, and of each kind of party so many (``MOST``): a
   kind's room is its own, however many of another kind come. Where it is full, the party goes short that has most cards
   there, and of those the one whose oldest card is the oldest. So no party pushes out another's last one, before every
   party of its kind has but one.
5. A card counts though a key that signed it was revoked since: a key is often revoked before its successor is made, and
   who has it still needs the registrar to list a card.

What is known is a value here: by the party's name its public keys as text, and its issuers' ids in hex. It lives beside
what a follower has fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from cimfed.errors import BadDirectory, BadSignature, Conflict
from cimfed.model.names import Kind, kind_of
from cimfed.trust.card import Card, open_card
from cimfed.trust.directory.documents import NAMED, SUCCESSION
from cimfed.trust.directory.listing import Directory, Gateway, Listing, Member, Partner, Party, keys_of
from cimfed.trust.envelope import Envelope, PayloadType, to_json, verify
from cimfed.trust.files import replace_file
from cimfed.trust.keys import PublicKey

FORMAT = "cimfed/known-keys/v1"
MOST = {Kind.CITY: 150, Kind.GATEWAY: 50, Kind.PARTNER: 400}
"""Cards of a kind: with all of them, of ``SUCCESSION`` at most, the file has less than the 4 MiB that it may have."""

Known: TypeAlias = Mapping[str, frozenset[str]]


def learned(known: Known, directory: Directory) -> dict[str, frozenset[str]]:
    """What is known after a look at what the directory lists, by rules 1 to 3."""
    after = dict(known)
    further: list[Member | Gateway | Partner] = []
    for party in directory.published.parties():
        own = after.setdefault(party.name, _own(party))
        if not _own(party) <= own:
            further.append(party)
    named = _successions(directory, {party.name for party in further})
    for party in further:
        after[party.name] = _named(after[party.name], named.get(party.name, ()))
    return after


def counted(directory: Directory, known: Known) -> Directory:
    """The directory as it counts for who knows these keys."""
    strangers = frozenset(
        _id(mark)
        for party in directory.published.parties()
        if party.name in known
        for mark in _own(party) - known[party.name]
    )
    return directory if strangers == directory.strangers else replace(directory, strangers=strangers)


def held_back(directory: Directory) -> list[Member | Gateway | Partner]:
    """Listed parties that have keys of strangers."""
    return [
        party for party in directory.published.parties() if not directory.strangers.isdisjoint(map(_id, _own(party)))
    ]


def accepted(known: Known, party: Party | Card) -> dict[str, frozenset[str]]:
    """With the party's keys as they are listed, or on its card, whoever named them."""
    return {**known, party.name: known.get(party.name, frozenset()) | _own(party)}


def succeeded(listing: Listing, card: Card) -> Listing:
    """The listing, not yet with the card's keys, with the card as a succession: where it names new keys and is signed
    by one that is listed, or by one that is not on it, which readers may know from earlier."""
    old = next((party for party in listing.parties() if party.name == card.name), None)
    if old is not None and not names_successors(old, card):
        return listing
    if not card.endorsed and (old is None or not is_succession(old, card)):
        return listing
    size = len(to_json(card.envelope))
    if size > SUCCESSION:
        raise Conflict(f"the card has {size} bytes, more than {SUCCESSION}", remedy="Change one key at a time")
    others = [item for item in listing.successions if item.payload != card.envelope.payload]
    return replace(listing, successions=_kept([*others, card.envelope]))


def _kept(successions: Sequence[Envelope]) -> tuple[Envelope, ...]:
    """Those for which there is room, oldest first as they came, by rule 4."""
    by_party: dict[str, list[int]] = {}
    for place, envelope in enumerate(successions):
        by_party.setdefault(_card_name(envelope), []).append(place)
    for places in by_party.values():
        del places[:-NAMED]
    for kind, most in MOST.items():
        of_kind = [places for name, places in by_party.items() if _kind(name) is kind]
        while sum(map(len, of_kind)) > most:
            del max(of_kind, key=lambda places: (len(places), -places[0]))[0]
            of_kind = [places for places in of_kind if places]
    left = {place for places in by_party.values() for place in places}
    return tuple(envelope for place, envelope in enumerate(successions) if place in left)


def names_successors(old: Party, card: Card) -> bool:
    """Whether keys are on the card that are not listed."""
    return not _own(card) <= _own(old)


def is_succession(old: Party, card: Card) -> bool:
    """Whether a key that is listed has signed the card, so that whoever knows that key takes those on the card."""
    return _signed(card.envelope, keys_of(old))


def known_otherwise(known: Known, card: Card) -> bool:
    """Whether the card's name is known, and not with all that is on the card."""
    return card.name in known and not _own(card) <= known[card.name]


def read_known(path: Path) -> dict[str, frozenset[str]] | None:
    """None where nobody has looked at a directory yet. BadDirectory where the file is damaged."""
    try:
        document = json.loads(path.read_bytes())
        if document["format"] != FORMAT:
            raise ValueError
        return {str(name): frozenset(map(str, keys)) for name, keys in document["parties"].items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadDirectory(
            "the record of known keys cannot be read",
            place=str(path),
            remedy="Restore it from a backup; without it every key that the registrar lists is taken for its party's",
        ) from None


def write_known(path: Path, known: Known) -> None:
    parties = {name: sorted(keys) for name, keys in known.items()}
    content = json.dumps({"format": FORMAT, "parties": parties}, sort_keys=True, indent=1)
    replace_file(path, content.encode() + b"\n")


def _successions(directory: Directory, names: Set[str]) -> dict[str, list[Card]]:
    """Cards of these parties in this federation, in their order: of each the last few."""
    found: dict[str, list[Card]] = {}
    for envelope in directory.published.successions if names else ():
        try:
            card = open_card(envelope)
        except BadDirectory:
            continue  # the registrar's fault; it names nothing
        if card.name in names and card.federation == directory.federation:
            found.setdefault(card.name, []).append(card)
    return {name: cards[-NAMED:] for name, cards in found.items()}


def _named(own: frozenset[str], cards: Iterable[Card]) -> frozenset[str]:
    """What is known of a party, and what those keys have named, step by step."""
    for card in cards:
        if _signed(card.envelope, [PublicKey.parse(mark) for mark in own if ":" in mark]):
            own |= _own(card)
    return own


def _own(party: Party | Card) -> frozenset[str]:
    """Everything that is a party's own: signing keys, stewards' keys, issuers."""
    keys = (*party.keys, *party.stewards) if isinstance(party, Card) else keys_of(party)
    return frozenset((*(key.text for key in keys), *(issuer.id.hex() for issuer in party.issuers)))


def _id(mark: str) -> str:
    return PublicKey.parse(mark).id.hex() if ":" in mark else mark


def _kind(name: str) -> Kind:
    """What cannot be read names nothing, and takes none of the room of those who are few."""
    return kind_of(name) if name else Kind.PARTNER


def _card_name(envelope: Envelope) -> str:
    try:
        return open_card(envelope).name
    except BadDirectory:
        return ""


def _signed(envelope: Envelope, keys: Iterable[PublicKey]) -> bool:
    try:
        verify(envelope, PayloadType.CARD, keys)
    except BadSignature:
        return False
    return True
