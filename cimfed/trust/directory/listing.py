"""The values of the directory: who is a member, which keys are valid, what was revoked.

``Listing`` is what the registrar edits. ``Directory`` is a verified value: what its lookups give was signed by whoever
may say it, and agrees with itself (``cimfed.trust.directory.proof`` makes it of files). What is revoked, or suspended
at the time that it was made for, is not in its lookups; ``published`` has everything. ``DirectorySource`` is what the
others hold: it gives the directory in force at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Protocol, TypeAlias, TypeVar

from cimfed.errors import BadDirectory, BadSignature, DirectoryExpired, KeyRevoked, UnknownKey, UnknownPeer
from cimfed.model.instants import instant_text
from cimfed.model.names import CityName, DirectoryName, Federation, GatewayName, Kind, PartnerName, kind_of
from cimfed.model.routing import RoutingEntry, parse_routing
from cimfed.model.vocabulary import VOCABULARY
from cimfed.model.vocabulary.canonical import vocabulary_hash
from cimfed.trust.directory.layout import Files
from cimfed.trust.envelope import Envelope, PayloadType, verify
from cimfed.trust.keys import PublicKey
from cimfed.trust.tls import Issuer

P = TypeVar("P")
Span: TypeAlias = tuple[int, int]
"""Half-open, in microseconds."""


@dataclass(frozen=True)
class AccessKey:
    """A key that signs queries."""

    key: PublicKey
    organisation: PartnerName
    valid: Span


@dataclass(frozen=True)
class Member:
    """A city. ``keys`` sign answers; ``stewards`` sign its routing entry (and, at its node, its policy).

    ``issuers``, of every party: those of its TLS leaves, two of them while it changes from one to the other.
    ``suspended``: while the registrar has taken it off the list.
    """

    name: CityName
    address: str
    issuers: tuple[Issuer, ...]
    keys: tuple[PublicKey, ...]
    stewards: tuple[PublicKey, ...]
    routing: Envelope | None = None
    suspended: Span | None = None

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
    issuers: tuple[Issuer, ...]
    keys: tuple[PublicKey, ...]
    suspended: Span | None = None


@dataclass(frozen=True)
class Partner:
    """``country`` (ISO 3166-1 alpha-2) and ``roles`` are what policies may name besides the organisation."""

    name: PartnerName
    country: str
    roles: tuple[str, ...]
    issuers: tuple[Issuer, ...]
    keys: tuple[AccessKey, ...]
    suspended: Span | None = None


@dataclass(frozen=True)
class Service:
    """The directory service. ``keys`` sign the checkpoints of its log. The board lists it."""

    name: DirectoryName
    address: str
    issuers: tuple[Issuer, ...]
    keys: tuple[PublicKey, ...]


Party = Member | Gateway | Partner | Service


@dataclass(frozen=True)
class Revocation:
    """``subject``: a party's name, or the id (64 hex digits) of a signing key or a TLS issuing key."""

    subject: str
    reason: str
    at: int


@dataclass(frozen=True)
class PublishedVocabulary:
    """The vocabulary that the federation has agreed on. ``sha256``: see ``cimfed.model.vocabulary.canonical``."""

    version: str
    sha256: bytes


@dataclass(frozen=True)
class Listing:
    """Everybody whom the registrar lists, by name, and the vocabulary, None where none is published.

    ``successions``: cards by which keys of listed parties have named later ones, oldest first
    (``cimfed.trust.directory.continuity``).
    """

    members: Mapping[CityName, Member] = field(default_factory=dict)
    gateways: Mapping[GatewayName, Gateway] = field(default_factory=dict)
    partners: Mapping[PartnerName, Partner] = field(default_factory=dict)
    vocabulary: PublishedVocabulary | None = None
    successions: tuple[Envelope, ...] = ()

    def parties(self) -> Iterator[Member | Gateway | Partner]:
        yield from self.members.values()
        yield from self.gateways.values()
        yield from self.partners.values()


@dataclass(frozen=True)
class Directory:
    """``version`` is the snapshot's. ``files`` are what proves it (``cimfed.trust.directory.proof``).

    ``issued``: its timestamp's. ``ends``: when each role at the top does. ``versions``: of every role that has spoken.
    ``listing`` is what counts at the time ``at``, ``published`` what was signed. ``strangers``: ids of keys that are
    listed and do not count for this reader, since no key that it knows has named them.
    """

    federation: Federation
    version: int
    issued: int
    ends: Mapping[str, int]
    service: Service
    published: Listing
    revoked: tuple[Revocation, ...]
    at: int
    files: Files = field(repr=False)
    versions: Mapping[str, int]
    hash: bytes
    strangers: frozenset[str] = frozenset()

    @cached_property
    def expires(self) -> int:
        """The earliest end of all that it is made of."""
        return min(self.ends.values())

    @cached_property
    def listing(self) -> Listing:
        return in_force(self.published, self.revoked, self.at, self.strangers)

    @property
    def members(self) -> Mapping[CityName, Member]:
        return self.listing.members

    @property
    def gateways(self) -> Mapping[GatewayName, Gateway]:
        return self.listing.gateways

    @property
    def partners(self) -> Mapping[PartnerName, Partner]:
        return self.listing.partners

    def as_of(self, now: int) -> Directory:
        """The same at another time: suspensions begin and end."""
        first, last = sorted((self.at, now))
        if any(first < edge <= last for edge in self._edges):
            return replace(self, at=now)
        return self

    @cached_property
    def _edges(self) -> tuple[int, ...]:
        return tuple(edge for party in self.published.parties() for edge in party.suspended or ())

    def member(self, name: str) -> Member:
        """UnknownPeer for a city that is not listed; likewise ``gateway``, ``partner`` and ``party``."""
        return _known(self.members.get(CityName(name)), name)

    def gateway(self, name: str) -> Gateway:
        return _known(self.gateways.get(GatewayName(name)), name)

    def partner(self, name: str) -> Partner:
        return _known(self.partners.get(PartnerName(name)), name)

    def party(self, name: str) -> Party:
        return self._parties.get(name) or _known(None, name)

    def issuers_of(self, kind: Kind, name: str) -> tuple[Issuer, ...]:
        party = self.party(name)
        if kind_of(name) is not kind:
            raise UnknownPeer(f"{name} is no {kind}")
        return party.issuers

    @cached_property
    def issuers(self) -> tuple[Issuer, ...]:
        """Of everybody listed: the roots that a server gives its TLS stack. Never enough: see ``check_leaf``."""
        return tuple(issuer for party in self._parties.values() for issuer in party.issuers)

    def address(self, name: str) -> str:
        """Where a city, a gateway or the directory service is reached, ``host:port``."""
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

    def access_key(self, key_id: bytes, now: int) -> AccessKey:
        """The valid key of that id, else UnknownKey or KeyRevoked. An id is a hint: the signature must still verify."""
        found = self._access_keys.get(key_id)
        if found is None and key_id in self._revoked_keys:
            raise KeyRevoked("this access key was revoked", remedy="Ask the administrator for a new one")
        if found is None and key_id.hex() in self.strangers:
            raise UnknownKey(
                "this access key is listed, but no key that was known before has named it",
                remedy="Ask whoever runs this server to accept it (docs/keys.md)",
            )
        if found is None:
            raise UnknownKey("the directory lists no such access key")
        if not found.valid[0] <= now < found.valid[1]:
            raise UnknownKey("the access key is not valid now", remedy="Ask the administrator to renew it")
        return found

    @cached_property
    def _access_keys(self) -> Mapping[bytes, AccessKey]:
        return {key.key.id: key for partner in self.partners.values() for key in partner.keys}

    @cached_property
    def _revoked_keys(self) -> frozenset[bytes]:
        """Ids of access keys that are listed still, and revoked themselves or with their organisation."""
        subjects = {item.subject for item in self.revoked}
        return frozenset(
            key.key.id
            for partner in self.published.partners.values()
            for key in partner.keys
            if {partner.name, key.key.id.hex()} & subjects
        )

    @cached_property
    def _parties(self) -> Mapping[str, Party]:
        parties: dict[str, Party] = {self.service.name: self.service}
        return parties | {party.name: party for party in self.listing.parties()}


class DirectorySource(Protocol):
    def current(self, now: int) -> Directory:
        """The directory in force. DirectoryExpired when there is none that is still valid."""
        ...

    def latest(self, now: int) -> Directory:
        """The newest directory known, expired or not: good for finding a mirror that has a newer one, for no more."""
        ...


def expired(directory: Directory) -> DirectoryExpired:
    first = min(directory.ends, key=lambda role: directory.ends[role])
    return DirectoryExpired(
        f"version {directory.version} of the directory has expired: its {first} ended at "
        f"{instant_text(directory.expires)}",
        remedy="It comes back by itself once a mirror that is up to date can be reached; "
        "if that lasts, tell the administrator",
    )


def in_force(
    published: Listing, revoked: tuple[Revocation, ...], now: int, strangers: frozenset[str] = frozenset()
) -> Listing:
    """The listing without what is revoked or suspended, and without keys of strangers."""
    subjects = strangers.union(item.subject for item in revoked)
    members = {name: _without_stewards(member, strangers) for name, member in published.members.items()}
    return replace(
        published,
        members=_standing(members, subjects, now),
        gateways=_standing(published.gateways, subjects, now),
        partners=_standing(published.partners, subjects, now),
    )


N = TypeVar("N", bound=str)
L = TypeVar("L", Member, Gateway, Partner)


def _without_stewards(member: Member, strangers: frozenset[str]) -> Member:
    """A city one of whose stewards is a stranger has no routing entry, so nobody rules it out."""
    known = tuple(key for key in member.stewards if key.id.hex() not in strangers)
    return member if known == member.stewards else replace(member, stewards=known, routing=None)


def _standing(parties: Mapping[N, L], subjects: frozenset[str], now: int) -> dict[N, L]:
    return {
        name: _purged(party, subjects)
        for name, party in parties.items()
        if name not in subjects and not (party.suspended and party.suspended[0] <= now < party.suspended[1])
    }


def _purged(party: L, subjects: frozenset[str]) -> L:
    """The party without keys and issuers that are revoked."""
    if not subjects.isdisjoint(ids_of(party)):
        issuers = tuple(issuer for issuer in party.issuers if issuer.id.hex() not in subjects)
        if isinstance(party, Partner):
            access = tuple(key for key in party.keys if key.key.id.hex() not in subjects)
            return replace(party, issuers=issuers, keys=access)
        return replace(party, issuers=issuers, keys=tuple(key for key in party.keys if key.id.hex() not in subjects))
    return party


def ids_of(party: Party) -> frozenset[str]:
    """What a revocation can name of a party besides the party itself: its signing keys and issuers. Not stewards: a
    city's own pins decide about them."""
    keys = signing_keys(party)
    return frozenset((*(key.id.hex() for key in keys), *(issuer.id.hex() for issuer in party.issuers)))


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


def signing_keys(party: Party) -> tuple[PublicKey, ...]:
    """The keys by which a party speaks for itself: answers, coverages, queries, checkpoints."""
    if isinstance(party, Partner):
        return tuple(access.key for access in party.keys)
    return party.keys


def keys_of(party: Party) -> tuple[PublicKey, ...]:
    """Every signing key that the directory lists for a party, a city's stewards' too."""
    return (*signing_keys(party), *party.stewards) if isinstance(party, Member) else signing_keys(party)


def _known(party: P | None, name: str) -> P:
    if party is None:
        raise UnknownPeer(f"the directory does not list {name[:100]}")
    return party
