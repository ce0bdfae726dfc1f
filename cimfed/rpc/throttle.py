"""How often, and how many at once, callers that are nobody may call: for each method, by where they call from.

A directory service cannot tell its callers apart but by their address. Each address has a bucket of calls that fills
at a rate, and some of the method's slots; the slots of all addresses together bound what the server does at once, so
that many addresses cost no more than a few. Whoever is above is told to come back (``overloaded``); nobody is queued.

An IPv6 caller counts by its /64, since one host has that many addresses to itself. What is known of addresses is
bounded: the one that has not called for longest is forgotten, with a full bucket for it when it comes back.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote

from cimfed.errors import NotAllowed, Overloaded

REMEMBERED = 4096  # addresses of a method
RETRY_AFTER = 1.0  # seconds


@dataclass(frozen=True)
class Allowance:
    """``rate`` calls a second from one address, ``burst`` at once after a pause; slots for running calls."""

    rate: float
    burst: int
    slots_each: int
    slots: int


@dataclass
class _Bucket:
    calls: float
    filled: float
    running: int = 0


@dataclass
class _Method:
    allowance: Allowance
    buckets: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)
    running: int = 0


class Throttle:
    """Of one server, in one event loop. ``seconds`` is a monotonic clock."""

    def __init__(self, allowances: Mapping[str, Allowance], seconds: Callable[[], float] = time.monotonic) -> None:
        self._methods = {method: _Method(allowance) for method, allowance in allowances.items()}
        self._seconds = seconds

    @contextmanager
    def slot(self, method: str, peer: str) -> Iterator[None]:
        """Room for one call from ``peer``, as gRPC writes it; else Overloaded. NotAllowed for a method without one."""
        known = self._methods.get(method)
        if known is None:
            raise NotAllowed("nobody serves this method to callers without a certificate")
        allowance, bucket = known.allowance, self._bucket(known, source(peer))
        if bucket.calls < 1:
            raise Overloaded(
                "too many calls come from your address", retry_after=max(RETRY_AFTER, math.ceil(1 / allowance.rate))
            )
        if known.running >= allowance.slots or bucket.running >= allowance.slots_each:
            raise Overloaded("too many such calls are running here", retry_after=RETRY_AFTER)
        bucket.calls -= 1
        bucket.running += 1
        known.running += 1
        try:
            yield
        finally:
            known.running -= 1
            bucket.running -= 1

    def _bucket(self, known: _Method, where: str) -> _Bucket:
        now, allowance = self._seconds(), known.allowance
        bucket = known.buckets.get(where)
        if bucket is None:
            bucket = known.buckets[where] = _Bucket(allowance.burst, now)
            if len(known.buckets) > REMEMBERED:
                known.buckets.popitem(last=False)
        known.buckets.move_to_end(where)
        bucket.calls = min(allowance.burst, bucket.calls + (now - bucket.filled) * allowance.rate)
        bucket.filled = now
        return bucket


def source(peer: str) -> str:
    """What of a peer's address counts: an IPv4 address, an IPv6 /64; what is neither counts as one address."""
    family, _, rest = peer.partition(":")
    host = unquote(rest).rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host) if family in ("ipv4", "ipv6") else None
    except ValueError:
        return ""
    match address:
        case ipaddress.IPv6Address():
            if address.ipv4_mapped is not None:
                return str(address.ipv4_mapped)
            return str(ipaddress.ip_network((address, 64), strict=False))
        case None:
            return ""
    return str(address)
