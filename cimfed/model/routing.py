"""The routing entry: what a city publishes so that others know when asking it is of no use.

It names collections and declared extents, never grantees or the areas of grants. The city's steward signs its
payload: canonical JSON (RFC 8785). ``parse_routing`` is total: any bytes give an entry or ``BadDirectory``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import rfc8785

from cimfed.errors import BadConfig, BadDirectory
from cimfed.model.instants import instant_text, parse_instant
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, city_name

FORMAT = "cimfed/routing/v1"
MAX_VERSION = 2**53 - 1  # integers of RFC 8785
_COLLECTION = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEYS = {"format", "city", "version", "valid", "policy_hash", "collections"}

Extent: TypeAlias = tuple[float, float, float, float]
"""xmin, ymin, xmax, ymax in OGC:CRS84 degrees, xmin < xmax and ymin < ymax."""


@dataclass(frozen=True)
class RoutingEntry:
    """``policy_hash`` is salted: it commits the city to a policy without letting anyone guess the text.

    ``collections``: what may be asked for and the extent that no answer leaves; None where none is declared.
    ``valid``: half-open, microseconds since the epoch; outside of it the city grants nothing.
    """

    city: CityName
    version: int
    policy_hash: bytes
    collections: Mapping[str, Extent | None]
    valid: tuple[int, int]


def as_extent(values: object) -> Extent | None:
    """Four numbers as an extent; None where they are none (a city does not cross the antimeridian)."""
    if not isinstance(values, list | tuple) or len(values) != 4:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    xmin, ymin, xmax, ymax = values
    if not (-180 <= xmin < xmax <= 180 and -90 <= ymin < ymax <= 90):  # NaN fails too
        return None
    # + 0.0 turns -0.0 into 0.0: JSON has one zero
    return float(xmin) + 0.0, float(ymin) + 0.0, float(xmax) + 0.0, float(ymax) + 0.0


def routing_payload(entry: RoutingEntry) -> bytes:
    return rfc8785.dumps(
        {
            "format": FORMAT,
            "city": entry.city,
            "version": entry.version,
            "valid": [instant_text(entry.valid[0]), instant_text(entry.valid[1])],
            "policy_hash": entry.policy_hash.hex(),
            "collections": {
                name: {} if extent is None else {"extent": list(extent)} for name, extent in entry.collections.items()
            },
        }
    )


def parse_routing(payload: bytes) -> RoutingEntry:
    """The entry of a payload; it must be the very bytes that ``routing_payload`` gives for it."""
    if len(payload) > LIMITS.envelope:
        raise BadDirectory("the routing entry is too large", place="routing")
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadDirectory("the routing entry is not JSON", place="routing") from None
    entry = _entry(document)
    if routing_payload(entry) != payload:
        raise BadDirectory("the routing entry is not in canonical form", place="routing")
    return entry


def _entry(document: Any) -> RoutingEntry:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise BadDirectory(f"not a routing entry of format {FORMAT}", place="routing.format")
    if document.keys() != _KEYS:
        raise BadDirectory("the routing entry lacks words or has unknown ones", place="routing")
    city, version, digest = document["city"], document["version"], document["policy_hash"]
    try:
        name = city_name(city) if isinstance(city, str) else None
    except BadConfig:
        name = None
    if name is None:
        raise BadDirectory("not the name of a city", place="routing.city")
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise BadDirectory("not a version", place="routing.version")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise BadDirectory("not a hash", place="routing.policy_hash")
    return RoutingEntry(
        city=name,
        version=version,
        policy_hash=bytes.fromhex(digest),
        collections=MappingProxyType(_collections(document["collections"])),
        valid=_valid(document["valid"]),
    )


def _valid(value: Any) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value):
        start, end = (parse_instant(text) for text in value)
        if start is not None and end is not None and 0 <= start < end:
            return start, end
    raise BadDirectory("not two instants, the earlier first", place="routing.valid")


def _collections(value: Any) -> dict[str, Extent | None]:
    if not isinstance(value, dict) or len(value) > LIMITS.list_items:
        raise BadDirectory("not a mapping of collections", place="routing.collections")
    found: dict[str, Extent | None] = {}
    for name, about in value.items():
        extent = as_extent(about.get("extent")) if isinstance(about, dict) else None
        if not _COLLECTION.fullmatch(name) or not (about == {} or (extent and len(about) == 1)):
            raise BadDirectory("not a collection with its extent", place="routing.collections")
        found[name] = extent
    return found
