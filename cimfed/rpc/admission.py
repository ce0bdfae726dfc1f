"""How many queries run at once: for the whole server, and for each partner.

A caller above its share is told to come back (``overloaded``, with the seconds to wait); nobody is queued. Slots are
counted in this process alone; a node counts by signer too, where several gateways come with one partner's queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from cimfed.errors import Overloaded
from cimfed.model.limits import LIMITS

RETRY_AFTER = 1.0  # seconds


class Admission:
    """Of one server, in one event loop."""

    def __init__(
        self, in_all: int = LIMITS.concurrent_per_node, per_partner: int = LIMITS.concurrent_per_partner
    ) -> None:
        self._in_all, self._per_partner = in_all, per_partner
        self._running = 0
        self._by_partner: Counter[str] = Counter()

    @property
    def running(self) -> int:
        return self._running

    @contextmanager
    def server_slot(self) -> Iterator[None]:
        """One of the server's slots for as long as the block runs, else Overloaded."""
        if self._running >= self._in_all:
            raise Overloaded(f"{self._in_all} queries are running here", retry_after=RETRY_AFTER)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    @contextmanager
    def partner_slot(self, partner: str) -> Iterator[None]:
        """One of a partner's slots, else Overloaded."""
        if self._by_partner[partner] >= self._per_partner:
            raise Overloaded(f"{self._per_partner} queries of {partner} are running here", retry_after=RETRY_AFTER)
        self._by_partner[partner] += 1
        try:
            yield
        finally:
            self._by_partner[partner] -= 1
            if not self._by_partner[partner]:
                del self._by_partner[partner]
