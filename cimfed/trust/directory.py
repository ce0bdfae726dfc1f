"""The directory: who is a member, which keys are valid, where the policies' versions stand.

``Directory`` is a verified value: what its lookups give was signed by the registrar, is of the documented form and
agrees with itself (``cimfed.trust.directory_format`` has the rules and makes it of bytes). ``DirectorySource`` is what
the others hold: it gives the directory in force at a time. It is a file today (``cimfed.trust.directory_file``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Protocol, TypeVar

from cimfed.errors import BadDirectory, BadSignature, DirectoryExpired, UnknownKey, UnknownPeer
from cimfed.model.instants import instant_text
from cimfed.model.names import CityName, Federation, GatewayName, Kind, PartnerName, kind_of
from cimfed.model.routing import RoutingEntry, parse_routing
from cimfed.model.vocabulary import VOCABULARY
from cimfed.model.vocabulary.canonical import vocabulary_hash
from cimfed.trust.envelope import Envelope, PayloadType, verify
from cimfed.trust.hashing import sha256
from cimfed.trust.keys import PublicKey
from cimfed.trust.tls import Issuer

P = TypeVar("P")


@dataclass(frozen=True)
class AccessKey:
    """A key that signs queries. ``valid`` is half-open, in microseconds."""

    key: PublicKey
    organisation: PartnerName
    valid: tuple[int, int]


@dataclass(frozen=True)
class Member:
    """A city. ``keys`` sign answers; ``stewards`` sign its routing entry (and, at its node, its policy)."""

    name: CityName
    address: str
    issuer: Issuer
    keys: tuple[PublicKey, ...]
    stewards: tuple[PublicKey, ...]
    routing: Envelope | None = None

    @cached_property
    def entry(self) -> RoutingEntry | None:
        """The routing entry, verified against the stewards. BadDirectory for one that is not the city's own."""
        if self.routing is None:
            return None
        try:
            verify(self.routing, PayloadType.ROUTING, self.stewards)
        except BadSignature:
            raise BadDirectory(f"the routing entry of {self.name} is not signed by its steward") from None
        entry = parse_routing(self.routing.payload)
        if entry.city != self.name:
            raise BadDirectory(f"the routing entry of {self.name} is of {entry.city}")
        return entry


@dataclass(frozen=True)
class Gateway:
    """``keys`` sign coverages and narrowings."""

    name: GatewayName
    address: str
    issuer: Issuer
    keys: tuple[PublicKey, ...]


@dataclass(frozen=True)
class Partner:
    """``country`` (ISO 3166-1 alpha-2) and ``roles`` are what policies may name besides the organisation."""

    name: PartnerName
    country: str
    roles: tuple[str, ...]
    issuer: Issuer
    keys: tuple[AccessKey, ...]


Party = Member | Gateway | Partner


@dataclass(frozen=True)
class PublishedVocabulary:
    """The vocabulary that the federation has agreed on. ``sha256``: see ``cimfed.model.vocabulary.canonical``."""

    version: str
    sha256: bytes


@dataclass(frozen=True)
class Listing:
    """Everybody, by name, and the vocabulary, None where none is published. What the registrar edits; a ``Directory``
    is a signed, dated version of it."""

    members: Mapping[CityName, Member] = field(default_factory=dict)
    gateways: Mapping[GatewayName, Gateway] = field(default_factory=dict)
    partners: Mapping[PartnerName, Partner] = field(default_factory=dict)
    vocabulary: PublishedVocabulary | None = None

    def parties(self) -> Iterator[Party]:
        yield from self.members.values()
        yield from self.gateways.values()
        yield from self.partners.values()


@dataclass(frozen=True)
class Directory:
    """``content`` is the file, byte for byte: what mirrors serve and receipts keep. Times in microseconds."""

    federation: Federation
    version: int
    issued: int
    expires: int
    listing: Listing
    content: bytes = field(repr=False)

    @property
    def members(self) -> Mapping[CityName, Member]:
        return self.listing.members

    @property
    def gateways(self) -> Mapping[GatewayName, Gateway]:
        return self.listing.gateways

    @property
    def partners(self) -> Mapping[PartnerName, Partner]:
        return self.listing.partners

    @cached_property
    def hash(self) -> bytes:
        return sha256(self.content)

    def member(self, name: str) -> Member:
        """UnknownPeer for a city that is not listed; likewise ``gateway``, ``partner`` and ``party``."""
        return _known(self.members.get(CityName(name)), name)

    def gateway(self, name: str) -> Gateway:
        return _known(self.gateways.get(GatewayName(name)), name)

    def partner(self, name: str) -> Partner:
        return _known(self.partners.get(PartnerName(name)), name)

    def party(self, name: str) -> Party:
        return self._parties.get(name) or _known(None, name)

    def issuer(self, kind: Kind, name: str) -> Issuer:
        party = self.party(name)
        if kind_of(name) is not kind:
            raise UnknownPeer(f"{name} is no {kind}")
        return party.issuer

    @cached_property
    def issuers(self) -> tuple[Issuer, ...]:
        """Of everybody listed: the roots that a server gives its TLS stack. Never enough: see ``check_leaf``."""
        return tuple(party.issuer for party in self.listing.parties())

    def address(self, name: str) -> str:
        """Where a city or gateway is served, ``host:port``."""
        party = self.party(name)
        if isinstance(party, Partner):
            raise UnknownPeer(f"{name} serves nothing")
        return party.address

    def routing(self, city: str) -> tuple[RoutingEntry, Envelope] | None:
        """A city's verified routing entry and the envelope that proves it; None where it has published none."""
        member = self.member(city)
        if member.entry is None or member.routing is None:
            return None
        return member.entry, member.routing

    def access_keys(self, now: int) -> tuple[AccessKey, ...]:
        """All that are valid now: candidates for a signature whose key id leads nowhere."""
        return tuple(key for key in self._access_keys.values() if key.valid[0] <= now < key.valid[1])

    def access_key(self, key_id: bytes, now: int) -> AccessKey:
        """The valid key of that id, else UnknownKey. An id is a hint: the signature must still verify."""
        found = self._access_keys.get(key_id)
        if found is None:
            raise UnknownKey("the directory lists no such access key")
        if not found.valid[0] <= now < found.valid[1]:
            raise UnknownKey("the access key is not valid now", remedy="Ask the administrator to renew it")
        return found

    @cached_property
    def _access_keys(self) -> Mapping[bytes, AccessKey]:
        return {key.key.id: key for partner in self.partners.values() for key in partner.keys}

    @cached_property
    def _parties(self) -> Mapping[str, Party]:
        return {party.name: party for party in self.listing.parties()}


class DirectorySource(Protocol):
    def current(self, now: int) -> Directory:
        """The directory in force. DirectoryExpired when there is none that is still valid."""
        ...

    def latest(self, now: int) -> Directory:
        """The newest directory known, expired or not: good for finding a mirror that has a newer one, for no more."""
        ...


@dataclass(frozen=True)
class FixedDirectory:
    """A source of one directory: for tests, and to check a receipt with the directory that it holds."""

    directory: Directory

    def current(self, now: int) -> Directory:
        if now >= self.directory.expires:
            raise expired(self.directory)
        return self.directory

    def latest(self, now: int) -> Directory:
        return self.directory


def expired(directory: Directory) -> DirectoryExpired:
    return DirectoryExpired(
        f"version {directory.version} of the directory expired at {instant_text(directory.expires)}",
        remedy="Fetch the current file, or ask the administrator to publish one",
    )


@cache
def own_vocabulary() -> PublishedVocabulary:
    """That of this release."""
    return PublishedVocabulary(VOCABULARY.version, vocabulary_hash(VOCABULARY))


def other_vocabulary(directory: Directory) -> str | None:
    """How the published vocabulary differs from this release's; None where it does not, or none is published."""
    published, own = directory.listing.vocabulary, own_vocabulary()
    if published is None or published.sha256 == own.sha256:
        return None
    return (
        f"the federation's vocabulary is version {published.version} (SHA-256 {published.sha256.hex()[:16]}…), "
        f"this release has version {own.version} ({own.sha256.hex()[:16]}…): columns and codes may differ; "
        "use the release that the administrator names"
    )


def keys_of(party: Party) -> tuple[PublicKey, ...]:
    """Every signing key that the directory lists for a party."""
    match party:
        case Member():
            return *party.keys, *party.stewards
        case Gateway():
            return party.keys
        case Partner():
            return tuple(key.key for key in party.keys)


def _known(party: P | None, name: str) -> P:
    if party is None:
        raise UnknownPeer(f"the directory does not list {name[:100]}")
    return party
