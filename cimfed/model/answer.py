"""What an answer is made of besides its rows: heads, manifests, coverage.

These are the values that nodes and gateways sign (``cimfed.wire`` gives their bytes, ``cimfed.trust`` the
signatures) and that a receipt keeps. Times are microseconds since 1970-01-01T00:00Z.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cimfed.model.names import CityName, Federation, GatewayName


class Outcome(StrEnum):
    """What came of asking one city."""

    ANSWERED = "answered"  # its signed manifest
    NO_DATA = "no_data"  # its signed manifest: the view has no such rows
    REFUSED = "refused"  # its signed manifest, with the reason
    RULED_OUT = "ruled_out"  # its signed routing entry; the client routes again and compares
    UNREACHABLE = "unreachable"  # the gateway's word
    TIMED_OUT = "timed_out"  # the gateway's word
    BROKEN = "broken"  # the gateway's word: the city's stream ended without a manifest


BY_CITY = frozenset({Outcome.ANSWERED, Outcome.NO_DATA, Outcome.REFUSED})
"""Outcomes that a city's own signature backs."""

BY_GATEWAY = frozenset({Outcome.UNREACHABLE, Outcome.TIMED_OUT, Outcome.BROKEN})
"""Outcomes that are the gateway's word alone; they never satisfy ``require="all"``."""


@dataclass(frozen=True)
class Head:
    """A city's word that batches 1..index of its answer hash to ``chain``."""

    request_hash: bytes
    city: CityName
    index: int
    chain: bytes


@dataclass(frozen=True)
class Manifest:
    """The signed end of one city's answer: what was asked, decided, read and sent.

    ``narrowing_hash`` is that of the presenting gateway's narrowing, empty when the partner asks directly.
    A refusal has ``reason`` and ``message`` and no rows. ``absent`` lists requested properties that the view lacks.
    """

    request_hash: bytes
    narrowing_hash: bytes
    federation: Federation
    city: CityName
    collection: str
    outcome: Outcome
    reason: str = ""
    message: str = ""
    grant: str = ""
    view: str = ""
    snapshot: str = ""
    policy_version: int = 0
    policy_hash: bytes = b""
    shape_hash: bytes = b""
    compiler: str = ""
    now: int = 0
    rows: int = 0
    batches: int = 0
    chain: bytes = b""
    absent: tuple[str, ...] = ()
    obligations: tuple[str, ...] = ()
    decision: int = 0  # position of the decision in the city's log


@dataclass(frozen=True)
class CityOutcome:
    """One member's line in a coverage.

    ``manifest_hash``: SHA-256 of the manifest envelope's payload, for the outcomes that a city signs.
    ``routing_hash``: SHA-256 of the routing envelope's payload, for RULED_OUT.
    """

    city: CityName
    outcome: Outcome
    reason: str = ""
    message: str = ""
    manifest_hash: bytes = b""
    routing_hash: bytes = b""


@dataclass(frozen=True)
class Coverage:
    """A gateway's signed account: every member of the directory it used, and what came of it.

    ``total_hash`` is the hash of the gateway's own total (docs/wire.md, "Total"; aggregates only), else empty.
    ``narrowing`` is the payload of the narrowing that went to the cities: their manifests hold its hash.
    """

    request_hash: bytes
    federation: Federation
    gateway: GatewayName
    directory_version: int
    now: int
    cities: tuple[CityOutcome, ...]
    total_hash: bytes = b""
    narrowing: bytes = b""


@dataclass(frozen=True)
class Narrowing:
    """What the presenting gateway adds to a query: who it is and whom the query passed. It can only narrow."""

    request_hash: bytes
    gateway: GatewayName
    passed: tuple[GatewayName, ...] = ()
