"""A federation in memory: parties with real keys, and signed directories that list them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from cimfed.model.names import Federation, Kind, kind_of
from cimfed.trust.card import Card
from cimfed.trust.directory import layout
from cimfed.trust.directory.edit import DAY, with_gateway, with_member, with_partner, without
from cimfed.trust.directory.listing import Directory, Listing
from cimfed.trust.keys import KeySigner
from cimfed.trust.tls import IssuingKey, LeafSource, Use
from tests.board import Board

SCO = Federation("sco")
CITY, GATEWAY, PARTNER, DIRECTORY = "kz.almaty", "gw.alliance", "inst.tsinghua", "dir.alliance"


@dataclass(frozen=True)
class Party:
    name: str
    signer: KeySigner
    issuing: IssuingKey
    steward: KeySigner

    @classmethod
    def make(cls, name: str, now: int) -> Party:
        return cls(name, KeySigner.generate(), IssuingKey.make(SCO, name, now), KeySigner.generate())

    def card(self, address: str = "127.0.0.1:1") -> Card:
        kind = kind_of(self.name)
        return Card(
            kind=kind,
            name=self.name,
            federation=SCO,
            address="" if kind is Kind.PARTNER else address,
            issuers=(self.issuing.issuer,),
            keys=(self.signer.public,),
            stewards=(self.steward.public,) if kind is Kind.CITY else (),
        )

    def leaves(self, use: Use) -> LeafSource:
        return LeafSource(self.issuing, SCO, self.name, use)


def listed(listing: Listing, party: Party, now: int, address: str = "127.0.0.1:1") -> Listing:
    match kind_of(party.name):
        case Kind.CITY:
            return with_member(listing, party.card(address))
        case Kind.GATEWAY:
            return with_gateway(listing, party.card(address))
        case Kind.PARTNER:
            return with_partner(listing, party.card(), "CN", ("researcher",), (now, now + 365 * DAY))
        case Kind.DIRECTORY:
            raise AssertionError("the registrar lists no directory service")


class World:
    """Parties by name and a directory that lists them all, published anew by ``publish``."""

    def __init__(self, now: int, *names: str) -> None:
        self.now = now
        self.parties = {name: Party.make(name, now) for name in names or (CITY, GATEWAY, PARTNER)}
        self.listing = Listing()
        for party in self.parties.values():
            self.listing = listed(self.listing, party, now)
        self.board = Board(SCO, now, self.listing)

    @property
    def directory(self) -> Directory:
        return self.board.directory

    def publish(self, now: int | None = None, life: timedelta = layout.REGISTRAR_LIFE) -> Directory:
        return self.board.publish(self.listing, now, life)

    def current(self, now: int) -> Directory:
        """The world is a ``DirectorySource``, whose directory never runs out."""
        return self.board.directory

    latest = current

    def serve_at(self, name: str, address: str) -> None:
        self.listing = listed(self.listing, self.parties[name], self.now, address)
        self.publish()

    def drop(self, name: str) -> None:
        self.listing = without(self.listing, name)
        self.publish()
