"""The registrar's changes: functions from a ``Listing`` to a ``Listing``. The same change twice is no change."""

from __future__ import annotations

from dataclasses import replace

from cimfed.errors import BadDirectory, Conflict, NotFound
from cimfed.model.countries import country_remedy, is_country
from cimfed.model.names import CityName, GatewayName, Kind, PartnerName, kind_of
from cimfed.trust.card import Card, card_of
from cimfed.trust.directory.continuity import succeeded
from cimfed.trust.directory.documents import ISSUERS, country, roles
from cimfed.trust.directory.listing import AccessKey, Gateway, Listing, Member, Partner, Span

DAY = 86_400_000_000  # microseconds


def check_keys(listing: Listing, card: Card) -> None:
    """Conflict where the name is listed with other keys: whoever holds these would take its place."""
    for party in listing.parties():
        if party.name == card.name:
            old = card_of(card.federation, party)
            if (party.issuers, old.keys, old.stewards) != (card.issuers, card.keys, card.stewards):
                raise Conflict(
                    f"{card.name} is listed with other keys, fingerprint {old.fingerprint}",
                    remedy="If it has new ones, and you have compared the fingerprint, use --replace",
                )


def with_card(
    listing: Listing,
    card: Card,
    of_country: str | None = None,
    its_roles: tuple[str, ...] | None = None,
    valid: Span | None = None,
) -> Listing:
    """Lists a party, or lists it anew by a newer card. The last three are a partner's (``with_partner``)."""
    listing = succeeded(listing, card)
    match card.kind:
        case Kind.CITY:
            return with_member(listing, card)
        case Kind.GATEWAY:
            return with_gateway(listing, card)
        case Kind.PARTNER if valid is not None:
            return with_partner(listing, card, of_country, its_roles, valid)
    raise BadDirectory(f"a {card.kind} is not listed by the registrar", place=card.name)


def with_member(listing: Listing, card: Card) -> Listing:
    """Its routing entry counts for as long as its stewards signed it."""
    name = CityName(card.name)
    old = listing.members.get(name)
    member = Member(
        name, card.address, card.issuers, card.keys, card.stewards, suspended=old.suspended if old else None
    )
    if old is not None and old.stewards == card.stewards:
        member = replace(member, routing=old.routing)
    return replace(listing, members={**listing.members, name: member})


def with_gateway(listing: Listing, card: Card) -> Listing:
    name = GatewayName(card.name)
    old = listing.gateways.get(name)
    gateway = Gateway(name, card.address, card.issuers, card.keys, old.suspended if old else None)
    return replace(listing, gateways={**listing.gateways, name: gateway})


def with_partner(
    listing: Listing, card: Card, of_country: str | None, its_roles: tuple[str, ...] | None, valid: Span
) -> Listing:
    """Lists a partner; keys that it had keep their dates, new and expired ones get ``valid``.

    None: its country and roles stay as they are listed. BadDirectory for a country that there is not; one that was
    listed before is not looked at.
    """
    name = PartnerName(card.name)
    old = listing.partners.get(name)
    if of_country is None:
        if old is None:
            raise BadDirectory("a new partner has a country", place=name, remedy="Give --country")
        of_country = old.country
    elif not is_country(of_country):
        raise BadDirectory(
            f"{of_country[:40]!r} is not a country", place="--country", remedy=country_remedy(of_country)
        )
    if its_roles is None:
        its_roles = old.roles if old else ()
    dates = {key.key: key.valid for key in old.keys if key.valid[1] > valid[0]} if old else {}
    keys = tuple(AccessKey(key, name, dates.get(key, valid)) for key in card.keys)
    suspended = old.suspended if old else None
    partner = Partner(name, country(of_country), roles(its_roles), card.issuers, keys, suspended)
    return replace(listing, partners={**listing.partners, name: partner})


def with_more_keys(listing: Listing, card: Card, valid: Span) -> Listing:
    """Adds the access keys of a partner's card, and its issuers. NotFound where the partner is not listed."""
    old = _listed(listing, card.name)
    if not isinstance(old, Partner):
        raise BadDirectory(f"{card.name} has no access keys", place=card.name)
    listing = succeeded(listing, card)
    has = {access.key for access in old.keys}
    more = tuple(AccessKey(key, old.name, valid) for key in card.keys if key not in has)
    issuers = tuple(dict.fromkeys((*old.issuers, *card.issuers)))
    if len(issuers) > ISSUERS:
        raise Conflict(f"{old.name} has {len(old.issuers)} TLS issuers already", remedy="Let one of them go first")
    partner = replace(old, keys=(*old.keys, *more), issuers=issuers)
    return replace(listing, partners={**listing.partners, old.name: partner})


def renewed(listing: Listing, name: str, until: int, now: int, only: str = "") -> Listing:
    """Lets a partner's keys be valid until then; ``only``: those whose id begins like this.

    NotFound where there is none. A key that has ended is valid from ``now`` on: it was not meanwhile.
    """
    old = _listed(listing, name)
    if not isinstance(old, Partner):
        raise BadDirectory(f"{name} has no access keys", place=name)

    def longer(access: AccessKey) -> AccessKey:
        start, end = access.valid
        return replace(access, valid=(start if now < end else now // DAY * DAY, until))

    chosen = [access for access in old.keys if access.key.id.hex().startswith(only)]
    if not chosen:
        raise NotFound(f"{name} has no such key", remedy=f"See cimfed key list {name}")
    keys = tuple(longer(access) if access in chosen else access for access in old.keys)
    return replace(listing, partners={**listing.partners, old.name: replace(old, keys=keys)})


def without(listing: Listing, name: str) -> Listing:
    """Takes a party off the list. NotFound where it is not on it."""
    _listed(listing, name)
    return replace(
        listing,
        members={key: party for key, party in listing.members.items() if key != name},
        gateways={key: party for key, party in listing.gateways.items() if key != name},
        partners={key: party for key, party in listing.partners.items() if key != name},
    )


def suspend(listing: Listing, name: str, span: Span | None) -> Listing:
    """Suspends a party for that time; None: no longer. NotFound where it is not listed."""
    party = replace(_listed(listing, name), suspended=span)
    match party:
        case Member():
            return replace(listing, members={**listing.members, party.name: party})
        case Gateway():
            return replace(listing, gateways={**listing.gateways, party.name: party})
        case Partner():
            return replace(listing, partners={**listing.partners, party.name: party})


def _listed(listing: Listing, name: str) -> Member | Gateway | Partner:
    kind_of(name)
    for party in listing.parties():
        if party.name == name:
            return party
    raise NotFound(f"{name} is not listed")
