"""The registrar's side of the directory: the next version out of the last one and a change. Bytes and values only.

Every change is a function from a ``Listing`` to a ``Listing``; the same change twice is no change. ``publish`` signs
what came of it, one version on, after checking it by the rules that every reader applies.
"""

from __future__ import annotations

from dataclasses import replace

from cimfed.errors import BadDirectory, Conflict
from cimfed.model.names import CityName, Federation, GatewayName, PartnerName
from cimfed.trust.card import Card, card_of
from cimfed.trust.directory import AccessKey, Directory, Gateway, Listing, Member, Partner
from cimfed.trust.directory_format import check, country, parse_however_old, payload, roles
from cimfed.trust.envelope import Envelope, PayloadType, seal, to_json
from cimfed.trust.keys import Signer

DAY = 86_400_000_000  # microseconds
LIFE = 90 * DAY


def check_keys(listing: Listing, card: Card) -> None:
    """Conflict where the name is listed with other keys: whoever holds these would take its place."""
    for party in listing.parties():
        if party.name == card.name:
            old = card_of(card.federation, party)
            if (old.issuer, old.keys, old.stewards) != (card.issuer, card.keys, card.stewards):
                raise Conflict(
                    f"{card.name} is listed with other keys, fingerprint {old.fingerprint}",
                    remedy="If it has new ones, and you have compared the fingerprint, use --replace",
                )


def with_member(listing: Listing, card: Card, routing: Envelope | None = None) -> Listing:
    """Lists a city, or lists it anew by a newer card. Its routing entry stays while its stewards do."""
    name = CityName(card.name)
    old = listing.members.get(name)
    kept = old.routing if old is not None and old.stewards == card.stewards else None
    member = Member(name, card.address, card.issuer, card.keys, card.stewards, kept)
    listing = replace(listing, members={**listing.members, name: member})
    return listing if routing is None else with_routing(listing, name, routing)


def with_gateway(listing: Listing, card: Card) -> Listing:
    name = GatewayName(card.name)
    gateway = Gateway(name, card.address, card.issuer, card.keys)
    return replace(listing, gateways={**listing.gateways, name: gateway})


def with_partner(
    listing: Listing, card: Card, of_country: str | None, its_roles: tuple[str, ...] | None, valid: tuple[int, int]
) -> Listing:
    """Lists a partner; keys that it had keep their dates, new and expired ones get ``valid``.

    None: its country and roles stay as they are listed.
    """
    name = PartnerName(card.name)
    old = listing.partners.get(name)
    if of_country is None:
        if old is None:
            raise BadDirectory("a new partner has a country", place=name, remedy="Give --country")
        of_country = old.country
    if its_roles is None:
        its_roles = old.roles if old else ()
    dates = {key.key: key.valid for key in old.keys if key.valid[1] > valid[0]} if old else {}
    keys = tuple(AccessKey(key, name, dates.get(key, valid)) for key in card.keys)
    partner = Partner(name, country(of_country), roles(its_roles), card.issuer, keys)
    return replace(listing, partners={**listing.partners, name: partner})


def with_routing(listing: Listing, city: CityName, routing: Envelope) -> Listing:
    """Replaces a listed city's routing entry by a newer one, or by the same."""
    old = listing.members.get(city)
    if old is None:
        raise BadDirectory(f"{city} is not a member", remedy="Add its card first: cimfed member add")
    new = replace(old, routing=routing)
    entry, known = new.entry, old.entry
    assert entry is not None
    if known is not None and routing != old.routing and entry.version <= known.version:
        raise Conflict(f"version {known.version} of the routing entry of {city} is already published")
    return replace(listing, members={**listing.members, city: new})


def publish(
    of: Federation, listing: Listing, previous: Directory | None, now: int, signer: Signer, life: int = LIFE
) -> Directory:
    """The next version, signed: its ``content`` is the file. Readers refuse it ``life`` microseconds from now."""
    check(of, listing)
    issued = now - now % 1_000_000
    version = 1 if previous is None else previous.version + 1
    envelope = seal(PayloadType.DIRECTORY, payload(of, version, issued, issued + life, listing), signer)
    return parse_however_old(to_json(envelope), signer.public)
