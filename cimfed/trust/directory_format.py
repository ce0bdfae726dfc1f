"""The directory's file: its form, and the only way from bytes to a ``Directory``.

One file holds it, a DSSE envelope in JSON whose payload is canonical JSON (RFC 8785).

1. the envelope is of the directory's type and signed by the registrar's key;
2. the payload is exactly the bytes that ``payload`` makes of what was read: no unknown, doubled or missing field
   (``vocabulary`` may be missing: directories before it came have none);
3. every name is of its kind, every address is ``host:port``, every issuing certificate was made for its name;
4. a key or issuing key stands once in the whole directory;
5. a city's routing entry is its own and signed by one of its stewards;
6. it has not expired.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import rfc8785

from cimfed.errors import BadDirectory, BadSignature, CimfedError
from cimfed.model.instants import instant_text, parse_instant
from cimfed.model.limits import LIMITS
from cimfed.model.names import (
    CityName,
    Federation,
    PartnerName,
    city_name,
    federation,
    gateway_name,
    partner_name,
)
from cimfed.trust.directory import (
    AccessKey,
    Directory,
    Gateway,
    Listing,
    Member,
    Partner,
    PublishedVocabulary,
    expired,
    keys_of,
)
from cimfed.trust.envelope import PayloadType, from_json, to_json, verify
from cimfed.trust.keys import PublicKey
from cimfed.trust.tls import Issuer, check_issuer

FORMAT = "cimfed/directory/v1"
MAX_VERSION = 2**53 - 1  # integers of RFC 8785
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,251}[a-zA-Z0-9])?|\[[0-9a-fA-F:.]{2,45}\])"
_ADDRESS = re.compile(rf"({_HOST}):([1-9][0-9]{{0,4}})")
_COUNTRY = re.compile(r"[A-Z]{2}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.-]{0,31}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ROLE = re.compile(r"[a-z][a-z0-9-]{0,31}")


def parse(content: bytes, registrar: PublicKey, now: int) -> Directory:
    """The directory of a file's bytes. BadDirectory for what breaks rules 1 to 5, DirectoryExpired for rule 6."""
    directory = parse_however_old(content, registrar)
    # 6
    if now >= directory.expires:
        raise expired(directory)
    return directory


def parse_however_old(content: bytes, registrar: PublicKey) -> Directory:
    """Without rule 6: for the registrar, whose last version may have expired before the next."""
    # 1
    try:
        envelope = from_json(content, LIMITS.directory)
        verify(envelope, PayloadType.DIRECTORY, [registrar])
    except BadSignature:
        raise BadDirectory(
            "the directory is not signed by the registrar's key that is pinned here",
            remedy="Compare registrar.pub with the administrator's",
        ) from None
    # 2, 3
    try:
        document = json.loads(envelope.payload)
        directory = _directory(document, content)
        canonical = payload(
            directory.federation, directory.version, directory.issued, directory.expires, directory.listing
        )
    except BadDirectory:
        raise
    except CimfedError as error:
        raise BadDirectory(error.message) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadDirectory(f"the directory is not of format {FORMAT}") from None
    if canonical != envelope.payload:
        raise BadDirectory("the directory has unknown or doubled fields, or is not in canonical form")
    # 4, 5
    check(directory.federation, directory.listing)
    return directory


def check(of: Federation, listing: Listing) -> None:
    """Rules 3 (certificates), 4 and 5: for readers, and for the registrar before signing."""
    seen: dict[bytes, str] = {}
    for party in listing.parties():
        try:
            check_issuer(party.issuer, of, party.name)
        except CimfedError as error:
            raise BadDirectory(error.message, place=party.name) from None
        for key in (party.issuer.key, *(key.raw for key in keys_of(party))):
            if key in seen:
                raise BadDirectory(f"a key of {party.name} is already listed for {seen[key]}", place=party.name)
            seen[key] = party.name
        if isinstance(party, Member):
            party.entry  # noqa: B018  # verifies it


def payload(of: Federation, version: int, issued: int, expires: int, listing: Listing) -> bytes:
    """The canonical bytes that the registrar signs."""
    vocabulary = listing.vocabulary
    published = (
        {} if vocabulary is None else {"vocabulary": {"version": vocabulary.version, "sha256": vocabulary.sha256.hex()}}
    )
    return rfc8785.dumps(
        {
            **published,
            "format": FORMAT,
            "federation": of,
            "version": version,
            "issued": instant_text(issued),
            "expires": instant_text(expires),
            "members": {
                name: {
                    "address": member.address,
                    "issuer": member.issuer.pem.decode("ascii"),
                    "keys": _texts(member.keys),
                    "stewards": _texts(member.stewards),
                    "routing": None
                    if member.routing is None
                    else base64.b64encode(to_json(member.routing)).decode("ascii"),
                }
                for name, member in listing.members.items()
            },
            "gateways": {
                name: {
                    "address": gateway.address,
                    "issuer": gateway.issuer.pem.decode("ascii"),
                    "keys": _texts(gateway.keys),
                }
                for name, gateway in listing.gateways.items()
            },
            "partners": {
                name: {
                    "country": partner.country,
                    "roles": list(partner.roles),
                    "issuer": partner.issuer.pem.decode("ascii"),
                    "keys": [
                        {"key": key.key.text, "valid": [instant_text(key.valid[0]), instant_text(key.valid[1])]}
                        for key in partner.keys
                    ],
                }
                for name, partner in listing.partners.items()
            },
        }
    )


def _directory(document: Any, content: bytes) -> Directory:
    if document["format"] != FORMAT:
        raise BadDirectory(f"the directory is not of format {FORMAT}", remedy="Upgrade cimfed")
    version, issued, expires = document["version"], _instant(document["issued"]), _instant(document["expires"])
    if type(version) is not int or not 1 <= version <= MAX_VERSION or issued >= expires:
        raise BadDirectory("the directory's version or dates make no sense")
    return Directory(
        federation=federation(document["federation"]),
        version=version,
        issued=issued,
        expires=expires,
        listing=Listing(
            members={city_name(name): _member(city_name(name), item) for name, item in document["members"].items()},
            gateways={
                gateway_name(name): Gateway(
                    gateway_name(name), address(item["address"]), _issuer(item), _keys(item["keys"])
                )
                for name, item in document["gateways"].items()
            },
            partners={
                partner_name(name): _partner(partner_name(name), item) for name, item in document["partners"].items()
            },
            vocabulary=_vocabulary(document["vocabulary"]) if "vocabulary" in document else None,
        ),
        content=content,
    )


def _member(name: CityName, item: Mapping[str, Any]) -> Member:
    routing = item["routing"]
    return Member(
        name=name,
        address=address(item["address"]),
        issuer=_issuer(item),
        keys=_keys(item["keys"]),
        stewards=_keys(item["stewards"]),
        routing=None if routing is None else from_json(base64.b64decode(routing, validate=True), 2 * LIMITS.envelope),
    )


def _partner(name: PartnerName, item: Mapping[str, Any]) -> Partner:
    keys = [
        AccessKey(PublicKey.parse(entry["key"]), name, (_instant(entry["valid"][0]), _instant(entry["valid"][1])))
        for entry in item["keys"]
    ]
    return Partner(name, country(item["country"]), roles(item["roles"]), _issuer(item), tuple(keys))


def _vocabulary(item: Mapping[str, Any]) -> PublishedVocabulary:
    version, digest = item["version"], item["sha256"]
    if not _VERSION.fullmatch(version) or not _DIGEST.fullmatch(digest):
        raise BadDirectory("not a vocabulary's version and hash", place="vocabulary")
    return PublishedVocabulary(version, bytes.fromhex(digest))


def _keys(texts: Iterable[str]) -> tuple[PublicKey, ...]:
    return tuple(PublicKey.parse(text) for text in texts)


def _texts(keys: Iterable[PublicKey]) -> list[str]:
    return [key.text for key in keys]


def _issuer(item: Mapping[str, Any]) -> Issuer:
    return Issuer(item["issuer"].encode("ascii"))


def _instant(text: str) -> int:
    instant = parse_instant(text)
    if instant is None:
        raise BadDirectory("not an instant such as 2026-10-01T00:00Z")
    return instant


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
