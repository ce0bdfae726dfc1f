"""The cities that this gateway asks: how each is reached, and which are left alone for a while.

A city that fails again and again would cost every query its deadline, so after a few failures in a row it is left
alone for a growing while; then one query probes it, and the first success opens it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cimfed.model.names import CityName

FAILURES = 3
FIRST_PAUSE = 2.0  # seconds
LONGEST_PAUSE = 60.0


@dataclass
class Breaker:
    """One city's recent record. ``now`` is monotonic seconds."""

    failures: int = 0
    until: float = 0.0
    probing: bool = False

    def admits(self, now: float) -> bool:
        """Whether to ask now. After a pause only one query at a time is let through as a probe."""
        if self.failures < FAILURES:
            return True
        if now < self.until or self.probing:
            return False
        self.probing = True
        return True

    def succeeded(self) -> None:
        self.failures, self.until, self.probing = 0, 0.0, False

    def failed(self, now: float) -> None:
        self.failures += 1
        self.probing = False
        pause = FIRST_PAUSE * 2 ** max(0, self.failures - FAILURES)
        self.until = now + min(pause, LONGEST_PAUSE)

    def abandoned(self) -> None:
        """The query ended before the city could show either."""
        self.probing = False


@dataclass
class Registry:
    """The breakers, by city. Not persisted: a restarted gateway gives every city a fresh chance."""

    clock: Callable[[], float]
    _breakers: dict[CityName, Breaker] = field(default_factory=dict)

    def breaker(self, city: CityName) -> Breaker:
        return self._breakers.setdefault(city, Breaker())
