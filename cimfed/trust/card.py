"""A card: the public facts that a new city, gateway or partner hands to the administrator.

A DSSE envelope whose payload is canonical JSON, signed by every key that it lists, so that nobody can list a key that
another holds (the stewards' keys prove themselves later, by the routing entry and the policy). A card proves who holds
its keys, not who its bearer is: the administrator compares ``fingerprint`` with the party by another way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import rfc8785

from cimfed.errors import BadDirectory, BadSignature, CimfedError, TooLarge
from cimfed.model.limits import LIMITS
from cimfed.model.names import Federation, Kind, federation, kind_of
from cimfed.trust.directory.documents import ISSUERS, KEYS, address
from cimfed.trust.directory.listing import Member, Partner, Party, signing_keys
from cimfed.trust.envelope import Envelope, PayloadType, Signature, from_json, seal, to_json, verify
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import PublicKey, Signer
from cimfed.trust.tls import Issuer, check_issuer

FORMAT = "cimfed/card/v2"


@dataclass(frozen=True)
class Card:
    """``address`` is empty for a partner; ``stewards`` are of cities only, ``keys`` are its signing keys.

    A party that changes from one key or issuer to another has both on its card meanwhile, the new one last.
    """

    kind: Kind
    name: str
    federation: Federation
    address: str
    issuers: tuple[Issuer, ...]
    keys: tuple[PublicKey, ...]
    stewards: tuple[PublicKey, ...] = ()
    signatures: tuple[Signature, ...] = field(default=(), compare=False, repr=False)
    """Those that it came with, if it came as a file."""

    @property
    def envelope(self) -> Envelope:
        return Envelope(PayloadType.CARD, _payload(self), self.signatures)

    @property
    def endorsed(self) -> bool:
        """Whether it came with the signature of a key that is not on it."""
        return bool({item.key_id for item in self.signatures} - {key.id for key in self.keys})

    @property
    def fingerprint(self) -> str:
        """Of every public fact here, for people to compare: 8 groups of 4 hex digits."""
        digits = sha256(_payload(self)).hex()[:32]
        return " ".join(digits[i : i + 4] for i in range(0, 32, 4))


def same_fingerprint(one: str, other: str) -> bool:
    """However people have put blanks and capitals."""
    return "".join(one.split()).lower() == "".join(other.split()).lower()


def card_of(federation: Federation, party: Party) -> Card:
    """The facts that a directory lists of a party: its card, signatures apart, so long as nothing was changed since."""
    address = "" if isinstance(party, Partner) else party.address
    stewards = party.stewards if isinstance(party, Member) else ()
    return Card(kind_of(party.name), party.name, federation, address, party.issuers, signing_keys(party), stewards)


def seal_card(card: Card, *signers: Signer) -> bytes:
    """The card's file. BadDirectory where a card says what no reader would take, or a listed key does not sign."""
    return to_json(_checked(card, seal(PayloadType.CARD, _payload(card), *signers)))


def endorsed(content: bytes, signer: Signer) -> bytes:
    """The card's file with one more signature: by a key that names those on the card its successors."""
    card = parse_card(content)
    more = seal(PayloadType.CARD, _payload(card), signer).signatures
    kept = tuple(item for item in card.signatures if item.key_id != signer.public.id)
    return to_json(replace(card, signatures=(*kept, *more)).envelope)


def parse_card(content: bytes) -> Card:
    """A card of its file's bytes; BadDirectory for anything else."""
    try:
        return open_card(from_json(content, LIMITS.envelope))
    except (BadSignature, TooLarge) as error:
        raise BadDirectory(f"not a card: {error.message}") from None


def open_card(envelope: Envelope) -> Card:
    """The card in an envelope; BadDirectory for anything else."""
    try:
        card = _card(json.loads(envelope.payload))
        canonical = _payload(card)
    except CimfedError as error:
        raise BadDirectory(f"not a card: {error.message}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadDirectory(f"not a card of format {FORMAT}") from None
    if canonical != envelope.payload:
        raise BadDirectory("the card has unknown or doubled fields, or is not in canonical form")
    _checked(card, envelope)
    return replace(card, signatures=envelope.signatures)


def _checked(card: Card, envelope: Envelope) -> Envelope:
    city = card.kind is Kind.CITY
    if not card.keys or city != bool(card.stewards) or (card.kind is Kind.PARTNER) == bool(card.address):
        raise BadDirectory(
            "the card lacks a key or an address, or has one that its kind does not have", place=card.name
        )
    try:
        if card.address:
            address(card.address)
        if not 1 <= len(card.issuers) <= ISSUERS or len(card.keys) > KEYS:
            raise BadDirectory("the card has more keys or issuers than a party may")
        for issuer in card.issuers:
            check_issuer(issuer, card.federation, card.name)
        verify(envelope, PayloadType.CARD, card.keys, threshold=len(card.keys))
    except BadSignature:
        raise BadDirectory("the card is not signed by every key that it lists", place=card.name) from None
    except CimfedError as error:
        raise BadDirectory(error.message, place=card.name) from None
    return envelope


def _payload(card: Card) -> bytes:
    return rfc8785.dumps(
        {
            "format": FORMAT,
            "kind": str(card.kind),
            "name": card.name,
            "federation": card.federation,
            "address": card.address,
            "issuers": [issuer.pem.decode("ascii") for issuer in card.issuers],
            "keys": [key.text for key in card.keys],
            "stewards": [key.text for key in card.stewards],
        }
    )


def _card(document: Any) -> Card:
    if document["format"] != FORMAT or document["kind"] != kind_of(document["name"]):
        raise BadDirectory(f"not of format {FORMAT}, or of another kind than its name")
    return Card(
        kind=Kind(document["kind"]),
        name=document["name"],
        federation=federation(document["federation"]),
        address=document["address"],
        issuers=tuple(Issuer(pem.encode("ascii")) for pem in document["issuers"]),
        keys=tuple(PublicKey.parse(text) for text in document["keys"]),
        stewards=tuple(PublicKey.parse(text) for text in document["stewards"]),
    )
