"""Signed requests to the directory service: what a registrar tells it, and what a partner asks cities for.

The service does not know its callers by TLS; what counts is the signature in the message. A request is a DSSE envelope
over canonical JSON (RFC 8785) that names federation and service, lives ten minutes at most and has a nonce:

1. payload type, and a signature by one of the keys that may sign this (before anything is parsed);
2. the payload is exactly the bytes that ``_payload`` makes of what was read: no unknown, doubled or missing field;
3. federation and service are those that read it;
4. time: ``issued - 30 s <= now < expires + 30 s``;
5. the nonce is new: the reader keeps it until ``over``.

What the arguments of an action must be is for the service (``cimfed_gateway.directory``); here they are texts, lists of
texts and booleans, of bounded size.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from cimfed.errors import BadQuery, BadSignature, CimfedError, ExpiredQuery, NotAddressed, TooLarge
from cimfed.model.instants import instant_text, parse_instant
from cimfed.model.limits import KIB, LIMITS
from cimfed.model.names import DirectoryName, Federation, PartnerName, city_name, directory_name, federation
from cimfed.trust.envelope import Envelope, PayloadType, seal, verify
from cimfed.trust.keys import PublicKey, Signer

ADMIN_FORMAT = "cimfed/admin/v1"
ACCESS_FORMAT = "cimfed/access-request/v1"
MAX_PAYLOAD = 16 * KIB
MAX_TEXT = 2 * KIB  # bytes of a partner's own words
MAX_CITIES = 100
NONCE = 16
_MICROSECONDS = 1_000_000
LIFE = int(LIMITS.query_life) * _MICROSECONDS
TOLERANCE = int(LIMITS.clock_tolerance) * _MICROSECONDS
_ACTION = re.compile(r"[a-z][a-z_]{0,31}")
_NONCE = re.compile(r"[0-9a-f]{32}")
_COLLECTION = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,63}")

Argument = str | bool | tuple[str, ...]


@dataclass(frozen=True)
class Occasion:
    """To which service, when and once. Times in microseconds; ``nonce`` has 16 bytes."""

    federation: Federation
    service: DirectoryName
    issued: int
    expires: int
    nonce: bytes

    @classmethod
    def now(cls, of: Federation, service: DirectoryName, now: int, life: int = LIFE) -> Occasion:
        issued = now - now % _MICROSECONDS
        return cls(of, service, issued, issued + life, secrets.token_bytes(NONCE))

    @property
    def over(self) -> int:
        """From when on nobody takes it any more."""
        return self.expires + TOLERANCE


@dataclass(frozen=True)
class AdminRequest:
    """One act. ``arguments`` hold no more than the action says."""

    occasion: Occasion
    action: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)


@dataclass(frozen=True)
class AccessRequest:
    """A partner asks cities for a collection, for a purpose, in its own words."""

    occasion: Occasion
    partner: PartnerName
    cities: tuple[str, ...]
    collection: str
    purpose: str
    text: str


Told = AdminRequest | AccessRequest


def seal_admin(request: AdminRequest, *signers: Signer) -> Envelope:
    """BadQuery or TooLarge for what no service would take."""
    return seal(PayloadType.ADMIN, _payload(request), *signers)


def seal_access(request: AccessRequest, signer: Signer) -> Envelope:
    return seal(PayloadType.ACCESS_REQUEST, _payload(request), signer)


def open_admin(
    envelope: Envelope, keys: Iterable[PublicKey], of: Federation, service: DirectoryName, now: int
) -> tuple[AdminRequest, PublicKey]:
    """The request and who signed it, by rules 1 to 4.

    BadSignature, BadQuery, TooLarge, NotAddressed, ExpiredQuery.
    """
    request, key = _open(envelope, PayloadType.ADMIN, keys, _admin)
    _in_place(request.occasion, of, service, now)
    return request, key


def open_access(
    envelope: Envelope, keys: Iterable[PublicKey], of: Federation, service: DirectoryName, now: int
) -> tuple[AccessRequest, PublicKey]:
    """As ``open_admin``. Whether the key is the named partner's is for the caller to see."""
    request, key = _open(envelope, PayloadType.ACCESS_REQUEST, keys, _access)
    _in_place(request.occasion, of, service, now)
    return request, key


def read_access(envelope: Envelope, keys: Iterable[PublicKey]) -> AccessRequest:
    """A request that a service has kept, whenever it was made: by rules 1 and 2. Likewise for the caller: whose key."""
    request: AccessRequest = _open(envelope, PayloadType.ACCESS_REQUEST, keys, _access)[0]
    return request


def _open(envelope: Envelope, kind: PayloadType, keys: Iterable[PublicKey], read: Any) -> tuple[Any, PublicKey]:
    # 1
    if len(envelope.payload) > MAX_PAYLOAD:
        raise TooLarge(f"the request has more than {MAX_PAYLOAD} bytes")
    if len(envelope.signatures) != 1:
        raise BadSignature("a request has one signature")
    (key,) = verify(envelope, kind, keys)
    # 2
    return _parsed(envelope.payload, read), key


def _parsed(payload: bytes, read: Any) -> Any:
    if len(payload) > MAX_PAYLOAD:
        raise TooLarge(f"the request has more than {MAX_PAYLOAD} bytes")
    try:
        request = read(json.loads(payload))
        canonical = _payload(request)
    except (BadQuery, TooLarge):
        raise
    except (CimfedError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadQuery("the request is not of its form") from None
    if canonical != payload:
        raise BadQuery("the request has unknown or doubled fields, or is not in canonical form")
    return request


def _in_place(occasion: Occasion, of: Federation, service: DirectoryName, now: int) -> None:
    # 3
    if (occasion.federation, occasion.service) != (of, service):
        raise NotAddressed(f"the request is for {occasion.service} in {occasion.federation}")
    # 4
    if not occasion.issued - TOLERANCE <= now < occasion.over:
        raise ExpiredQuery("the request is not of this time", remedy="Set the clock, and send it anew")


def _payload(request: Told) -> bytes:
    occasion = request.occasion
    if not 0 < occasion.expires - occasion.issued <= LIFE or len(occasion.nonce) != NONCE:
        raise BadQuery("a request lives ten minutes at most and has a nonce of 16 bytes")
    common = {
        "federation": occasion.federation,
        "service": occasion.service,
        "issued": instant_text(occasion.issued),
        "expires": instant_text(occasion.expires),
        "nonce": occasion.nonce.hex(),
    }
    match request:
        case AdminRequest():
            if not _ACTION.fullmatch(request.action):
                raise BadQuery("an action is a lower-case word")
            own: dict[str, Any] = {
                "format": ADMIN_FORMAT,
                "action": request.action,
                "arguments": _arguments(request.arguments),
            }
        case AccessRequest():
            _check_access(request)
            own = {
                "format": ACCESS_FORMAT,
                "partner": request.partner,
                "cities": list(request.cities),
                "collection": request.collection,
                "purpose": request.purpose,
                "text": request.text,
            }
    content: bytes = rfc8785.dumps({**common, **own})
    if len(content) > MAX_PAYLOAD:
        raise TooLarge(f"the request has more than {MAX_PAYLOAD} bytes")
    return content


def _arguments(arguments: Mapping[str, Argument]) -> dict[str, str | bool | list[str]]:
    found: dict[str, str | bool | list[str]] = {}
    for name, value in arguments.items():
        if not _ACTION.fullmatch(name):
            raise BadQuery("an argument's name is a lower-case word")
        found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _check_access(request: AccessRequest) -> None:
    if not 1 <= len(request.cities) <= MAX_CITIES or list(request.cities) != sorted(set(request.cities)):
        raise BadQuery(f"a request for access names 1 to {MAX_CITIES} cities, sorted and each once", place="cities")
    try:
        for city in request.cities:
            city_name(city)
    except CimfedError as error:
        raise BadQuery(error.message, place="cities") from None
    if not _COLLECTION.fullmatch(request.collection):
        raise BadQuery("a collection is a lower-case word such as building", place="collection")
    if not _PURPOSE.fullmatch(request.purpose):
        raise BadQuery("a purpose is a lower-case word such as energy-planning", place="purpose")
    if len(request.text.encode()) > MAX_TEXT:
        raise TooLarge(f"the text has more than {MAX_TEXT} bytes", place="text")
    if any(not (character.isprintable() or character == "\n") for character in request.text):
        raise BadQuery("the text holds what cannot be printed", place="text")


def _occasion(document: Any) -> Occasion:
    issued, expires = parse_instant(document["issued"]), parse_instant(document["expires"])
    nonce = document["nonce"]
    if issued is None or expires is None or not _NONCE.fullmatch(nonce):
        raise BadQuery("times or nonce of the request are not of their form")
    return Occasion(
        federation(document["federation"]), directory_name(document["service"]), issued, expires, bytes.fromhex(nonce)
    )


def _admin(document: Any) -> AdminRequest:
    if document["format"] != ADMIN_FORMAT:
        raise BadQuery(f"the request is not of format {ADMIN_FORMAT}")
    return AdminRequest(
        _occasion(document),
        document["action"],
        {name: _argument(value) for name, value in document["arguments"].items()},
    )


def _argument(value: Any) -> Argument:
    match value:
        case str() | bool():
            return value
        case list() if all(isinstance(item, str) for item in value):
            return tuple(value)
    raise BadQuery("an argument is a text, a list of texts, or true or false")


def _access(document: Any) -> AccessRequest:
    if document["format"] != ACCESS_FORMAT:
        raise BadQuery(f"the request is not of format {ACCESS_FORMAT}")
    cities = document["cities"]
    if not isinstance(cities, list):
        raise BadQuery("cities are a list", place="cities")
    return AccessRequest(
        _occasion(document),
        PartnerName(_text(document["partner"])),
        tuple(_text(city) for city in cities),
        _text(document["collection"]),
        _text(document["purpose"]),
        _text(document["text"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadQuery("a text is missing")
    return value
