"""The target files of the directory: listings as canonical JSON (RFC 8785), and back.

A document is taken only if

1. it is exactly the bytes that the writer here makes of what was read: no unknown, doubled or missing field;
2. every name is of its kind, every address is ``host:port``, every instant and span makes sense;

and all of them together only if (``check``)

3. every issuing certificate was made for its party;
4. a key or issuing key stands once in the whole directory;
5. a city's routing entry is its own and signed by one of its stewards.

Who may sign which is not looked at here (``cimfed.trust.directory.proof``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar

import rfc8785

from cimfed.errors import BadDirectory, CimfedError
from cimfed.model.instants import instant_text, parse_instant
from cimfed.model.limits import KIB
from cimfed.model.names import (
    CityName,
    Federation,
    GatewayName,
    PartnerName,
    city_name,
    directory_name,
    federation,
    gateway_name,
    kind_of,
    partner_name,
)
from cimfed.model.texts import plain
from cimfed.trust.directory.layout import BINS, PARTNERS, partners_bin
from cimfed.trust.directory.listing import (
    AccessKey,
    Gateway,
    Member,
    Partner,
    Party,
    PublishedVocabulary,
    Revocation,
    Service,
    Span,
    keys_of,
)
from cimfed.trust.envelope import Envelope, from_json, to_json
from cimfed.trust.keys import PublicKey
from cimfed.trust.tls import Issuer, check_issuer

MEMBERS, PARTNERS_BIN, SERVICE = "cimfed/members/v1", "cimfed/partners/v1", "cimfed/directory-service/v1"
VOCABULARY, REVOKED = "cimfed/published-vocabulary/v1", "cimfed/revoked/v1"
SUCCESSIONS = "cimfed/successions/v1"
ISSUERS = 2  # of one party: the old one and the new
KEYS = 8  # of one party
REASON = 200  # characters
NAMED = 4  # cards of one party by which its keys have named later ones
SUCCESSION = 6 * KIB  # of one of them, in bytes of its file
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?|\[[0-9a-fA-F:.]{2,45}\])"
_ADDRESS = re.compile(rf"({_HOST}):([1-9][0-9]{{0,4}})")
_COUNTRY = re.compile(r"[A-Z]{2}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,31}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,31}")

T = TypeVar("T")


# Writing


def members_document(
    of: Federation, members: Mapping[CityName, Member], gateways: Mapping[GatewayName, Gateway]
) -> bytes:
    """Stewards and routing entries are not in it: the city's delegation and its own role say them."""
    return rfc8785.dumps(
        {
            "format": MEMBERS,
            "federation": of,
            "members": {name: _served(member) | _suspended(member) for name, member in members.items()},
            "gateways": {name: _served(gateway) | _suspended(gateway) for name, gateway in gateways.items()},
        }
    )


def partners_documents(of: Federation, partners: Mapping[PartnerName, Partner]) -> dict[str, bytes]:
    """All bins, by their paths; an empty one too, so that its absence says nothing."""
    bins: dict[str, dict[str, Any]] = {path: {} for path in PARTNERS}
    for name, partner in partners.items():
        bins[partners_bin(name)][name] = _partner_item(partner)
    return {path: _bin_document(of, path, items) for path, items in bins.items()}


def _bin_document(of: Federation, path: str, items: Mapping[str, Any]) -> bytes:
    digit = BINS[PARTNERS.index(path)]
    return rfc8785.dumps({"format": PARTNERS_BIN, "federation": of, "bin": digit, "partners": items})


def service_document(of: Federation, service: Service) -> bytes:
    return rfc8785.dumps({"format": SERVICE, "federation": of, "name": service.name, **_served(service)})


def vocabulary_document(vocabulary: PublishedVocabulary) -> bytes:
    return rfc8785.dumps({"format": VOCABULARY, "version": vocabulary.version, "sha256": vocabulary.sha256.hex()})


def successions_document(of: Federation, successions: Iterable[Envelope]) -> bytes:
    return rfc8785.dumps(
        {"format": SUCCESSIONS, "federation": of, "cards": [json.loads(to_json(card)) for card in successions]}
    )


def revoked_document(of: Federation, revoked: Iterable[Revocation]) -> bytes:
    return rfc8785.dumps(
        {
            "format": REVOKED,
            "federation": of,
            "revoked": [
                {"subject": item.subject, "reason": item.reason, "at": instant_text(item.at)} for item in revoked
            ],
        }
    )


def _served(party: Member | Gateway | Service) -> dict[str, Any]:
    return {
        "address": party.address,
        "issuers": [issuer.pem.decode("ascii") for issuer in party.issuers],
        "keys": [key.text for key in party.keys],
    }


def _suspended(party: Member | Gateway | Partner) -> dict[str, Any]:
    return {} if party.suspended is None else {"suspended": _span_texts(party.suspended)}


def _partner_item(partner: Partner) -> dict[str, Any]:
    return {
        "country": partner.country,
        "roles": list(partner.roles),
        "issuers": [issuer.pem.decode("ascii") for issuer in partner.issuers],
        "keys": [{"key": key.key.text, "valid": _span_texts(key.valid)} for key in partner.keys],
        **_suspended(partner),
    }


def _span_texts(span: Span) -> list[str]:
    return [instant_text(span[0]), instant_text(span[1])]


# Reading


def parse_members(
    content: bytes, of: Federation, stewards: Mapping[str, tuple[PublicKey, ...]]
) -> tuple[dict[CityName, Member], dict[GatewayName, Gateway]]:
    """``stewards`` by city; BadDirectory where they are of other cities than those listed."""

    def read(document: Any) -> tuple[dict[CityName, Member], dict[GatewayName, Gateway]]:
        if document["members"].keys() != stewards.keys():
            raise BadDirectory("the cities that are listed are not those whose stewards are named")
        members = {city_name(name): _member(name, item, stewards[name]) for name, item in document["members"].items()}
        gateways = {gateway_name(name): _gateway(name, item) for name, item in document["gateways"].items()}
        return members, gateways

    return _parsed(content, MEMBERS, of, read, lambda found: members_document(of, *found))


@lru_cache(maxsize=len(PARTNERS))
def parse_partners(content: bytes, of: Federation, path: str) -> Mapping[PartnerName, Partner]:
    """One bin, which must be that of ``path``. The same bytes are parsed once, as a change touches few bins of a
    directory; that says nothing of who signed them. No more is kept than the bins of one directory."""

    def read(document: Any) -> dict[PartnerName, Partner]:
        found = {partner_name(name): _partner(partner_name(name), item) for name, item in document["partners"].items()}
        if astray := [name for name in found if partners_bin(name) != path]:
            raise BadDirectory("a partner stands in another bin than its name's", place=astray[0])
        return found

    def write(found: dict[PartnerName, Partner]) -> bytes:
        return _bin_document(of, path, {name: _partner_item(partner) for name, partner in found.items()})

    found = _parsed(content, PARTNERS_BIN, of, read, write)
    return MappingProxyType(found)


def parse_service(content: bytes) -> tuple[Federation, Service]:
    def read(document: Any) -> tuple[Federation, Service]:
        name = directory_name(document["name"])
        return federation(document["federation"]), Service(name, *_serving(document))

    return _parsed(content, SERVICE, None, read, lambda found: service_document(*found))


def parse_vocabulary(content: bytes) -> PublishedVocabulary:
    def read(document: Any) -> PublishedVocabulary:
        version, digest = document["version"], document["sha256"]
        if not _VERSION.fullmatch(version) or not _DIGEST.fullmatch(digest):
            raise BadDirectory("not a vocabulary's version and hash")
        return PublishedVocabulary(version, bytes.fromhex(digest))

    return _parsed(content, VOCABULARY, None, read, vocabulary_document)


def parse_successions(content: bytes, of: Federation) -> tuple[Envelope, ...]:
    """Cards as they were signed; what they are worth is seen by who knows the keys that signed them."""

    def read(document: Any) -> tuple[Envelope, ...]:
        return tuple(from_json(rfc8785.dumps(item), SUCCESSION) for item in document["cards"])

    return _parsed(content, SUCCESSIONS, of, read, lambda found: successions_document(of, found))


def parse_revoked(content: bytes, of: Federation) -> tuple[Revocation, ...]:
    def read(document: Any) -> tuple[Revocation, ...]:
        found = tuple(
            Revocation(revocable(item["subject"]), reason(item["reason"]), _instant(item["at"]))
            for item in document["revoked"]
        )
        if len({item.subject for item in found}) != len(found):
            raise BadDirectory("something is revoked twice")
        return found

    return _parsed(content, REVOKED, of, read, lambda found: revoked_document(of, found))


def _parsed(
    content: bytes,
    of_format: str,
    of: Federation | None,
    read: Callable[[Any], T],
    write: Callable[[T], bytes],
) -> T:
    try:
        document = json.loads(content)
        if document["format"] != of_format:
            raise BadDirectory("of another format", remedy="Upgrade cimfed")
        if of is not None and document["federation"] != of:
            raise BadDirectory(f"of another federation than {of}")
        found = read(document)
        canonical = write(found)
    except BadDirectory as error:
        raise BadDirectory(error.message, place=error.place or of_format, remedy=error.remedy) from None
    except CimfedError as error:
        raise BadDirectory(error.message, place=of_format) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, IndexError):
        raise BadDirectory(f"not of format {of_format}") from None
    if canonical != content:
        raise BadDirectory("unknown or doubled fields, or not in canonical form", place=of_format)
    return found


def _member(name: str, item: Mapping[str, Any], stewards: tuple[PublicKey, ...]) -> Member:
    return Member(city_name(name), *_serving(item), stewards, suspended=_suspension(item))


def _gateway(name: str, item: Mapping[str, Any]) -> Gateway:
    return Gateway(gateway_name(name), *_serving(item), suspended=_suspension(item))


def _partner(name: PartnerName, item: Mapping[str, Any]) -> Partner:
    keys = tuple(AccessKey(PublicKey.parse(entry["key"]), name, _span(entry["valid"])) for entry in item["keys"])
    if len(keys) > KEYS:
        raise BadDirectory(f"more than {KEYS} keys", place=name)
    return Partner(
        name, country(item["country"]), roles(item["roles"]), _issuers(item), keys, suspended=_suspension(item)
    )


def _serving(item: Mapping[str, Any]) -> tuple[str, tuple[Issuer, ...], tuple[PublicKey, ...]]:
    keys = tuple(PublicKey.parse(text) for text in item["keys"])
    if not 1 <= len(keys) <= KEYS:
        raise BadDirectory(f"a party has 1 to {KEYS} keys")
    return address(item["address"]), _issuers(item), keys


def _issuers(item: Mapping[str, Any]) -> tuple[Issuer, ...]:
    issuers = tuple(Issuer(text.encode("ascii")) for text in item["issuers"])
    if not 1 <= len(issuers) <= ISSUERS:
        raise BadDirectory(f"a party has 1 to {ISSUERS} issuers")
    return issuers


def _suspension(item: Mapping[str, Any]) -> Span | None:
    return _span(item["suspended"]) if "suspended" in item else None


def _span(texts: Any) -> Span:
    start, end = (_instant(text) for text in texts)
    if not start < end:
        raise BadDirectory("a time that ends before it begins")
    return start, end


def _instant(text: str) -> int:
    instant = parse_instant(text)
    if instant is None:
        raise BadDirectory("not an instant such as 2026-10-01T00:00Z")
    return instant


# Rules 3 to 5, and the checks of single words, which commands use too


def check(of: Federation, service: Service, parties: Iterable[Member | Gateway | Partner]) -> None:
    """Rules 3 to 5: for readers, and for the registrar before signing."""
    seen: dict[bytes, str] = {}
    everybody: list[Party] = [service, *parties]
    for party in everybody:
        try:
            for issuer in party.issuers:
                _check_issuer(issuer.pem, of, party.name)
        except CimfedError as error:
            raise BadDirectory(error.message, place=party.name) from None
        for key in (*(issuer.key for issuer in party.issuers), *(key.raw for key in keys_of(party))):
            if key in seen:
                raise BadDirectory(
                    f"a key of {party.name} is already listed for {seen[key]}",
                    place=party.name,
                    remedy="Each has keys of its own, a city its own steward's too: it makes new ones",
                )
            seen[key] = party.name
        if isinstance(party, Member):
            party.entry  # noqa: B018  # verifies it


@lru_cache(maxsize=8192)
def _check_issuer(pem: bytes, of: Federation, name: str) -> None:
    """Of thousands of parties nearly all are those of the version before. Certificates are not kept."""
    check_issuer(Issuer(pem), of, name)


def address(text: str) -> str:
    """A ``host:port`` as it stands; BadDirectory for anything else."""
    found = _ADDRESS.fullmatch(text)
    if not found or int(found[2]) > 65535:
        raise BadDirectory(f"{text[:100]!r} is not an address", remedy="Give host:port")
    return text


def country(code: str) -> str:
    if not _COUNTRY.fullmatch(code):
        raise BadDirectory(f"{code[:10]!r} is not a country", remedy="Give two letters as in ISO 3166-1, such as KZ")
    return code


def roles(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted, each once."""
    found = tuple(sorted(set(names)))
    for name in found:
        if not _ROLE.fullmatch(name):
            raise BadDirectory(f"{name[:40]!r} is not a role", remedy="Give a lower-case word such as researcher")
    return found


def revocable(subject: str) -> str:
    """A party's name or the 64 hex digits of a key's id."""
    if not _DIGEST.fullmatch(subject):
        kind_of(subject)
    return subject


def reason(text: str) -> str:
    """Why something is revoked or suspended: one printable line for people."""
    if not text or len(text) > REASON or plain(text) != text:
        raise BadDirectory(f"not a reason: one line of 1 to {REASON} printable characters")
    return text
