"""Asking cities side by side: each within its own deadline, none able to hold up or spoil another's answer.

Frames go to the caller one after the other as they come (``emit`` waits while the caller is slow, and so the cities
wait too). A city that cannot be reached, is late or breaks off costs its own answer only; what ``emit`` raises is the
caller's doing and ends the whole answer. A city's manifest ends its answer: nothing behind it is waited for or passed
on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from cimfed.errors import CimfedError, DataLoss, NodeUnreachable, TimedOut
from cimfed.model.answer import BY_GATEWAY, CityOutcome, Outcome
from cimfed_gateway.registry import Registry
from cimfed_gateway.relay import Relay

log = logging.getLogger(__name__)

Emit = Callable[[bytes], Awaitable[None]]
Open = Callable[[float], AsyncGenerator[bytes, None]]
"""Opens one city's stream with a deadline in seconds; raises CimfedError for what goes wrong."""


@dataclass(frozen=True)
class Patience:
    """Seconds: ``whole`` for a city's answer, ``silence`` between two of its frames.

    ``own``: the silence is the gateway's; else the caller has less, and a city late for it is no city that fails.
    """

    whole: float
    silence: float
    own: bool = True


async def ask(relay: Relay, open_stream: Open, emit: Emit, patience: Patience, registry: Registry) -> CityOutcome:
    """One city's outcome, once its frames have been passed on. Cancelling it cancels the call to the city."""
    breaker = registry.breaker(relay.city)
    if not breaker.admits(registry.clock()):
        return CityOutcome(relay.city, Outcome.UNREACHABLE, "node_unreachable", "left alone after repeated failures")
    settled = False
    try:
        outcome = await _follow(relay, open_stream, emit, patience)
        settled = True
    finally:
        if not settled:
            breaker.abandoned()
    if outcome.outcome not in BY_GATEWAY or outcome.reason not in (NodeUnreachable.reason, TimedOut.reason):
        breaker.succeeded()
    elif outcome.reason == TimedOut.reason and (relay.heard or not patience.own):
        breaker.abandoned()  # a large question or a hasty caller: neither says that the city fails
    else:
        breaker.failed(registry.clock())
    return outcome


async def _follow(relay: Relay, open_stream: Open, emit: Emit, patience: Patience) -> CityOutcome:
    async with aclosing(open_stream(patience.whole)) as stream:
        while relay.outcome is None:
            data = await _next(relay, stream, patience)
            if isinstance(data, CityOutcome):
                return data
            await emit(data)
    return relay.outcome


async def _next(relay: Relay, stream: AsyncGenerator[bytes, None], patience: Patience) -> bytes | CityOutcome:
    """The next frame that may be passed on, or the gateway's word on why there is none."""
    try:
        async with asyncio.timeout(patience.silence):
            data = await anext(stream, None)
        if data is None:
            return CityOutcome(relay.city, Outcome.BROKEN, "truncated", "the stream ended without a manifest")
        relay.look(data)
    except TimeoutError:
        return CityOutcome(relay.city, Outcome.TIMED_OUT, "timed_out", f"silent for {patience.silence:g} s")
    except TimedOut as error:
        return CityOutcome(relay.city, Outcome.TIMED_OUT, error.reason, error.message)
    except CimfedError as error:
        log.warning("%s: %s", relay.city, error)
        answering = relay.heard or isinstance(error, DataLoss)
        return CityOutcome(
            relay.city, Outcome.BROKEN if answering else Outcome.UNREACHABLE, error.reason, error.message
        )
    return data
