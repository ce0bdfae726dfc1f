"""A listed gateway with its real keys, real mTLS and real nodes behind it, that lies.

What ``cimfed_gateway`` would pass on is taken apart before it leaves; a trick puts it together otherwise, and the liar
signs whatever coverage the trick has. So only what the gateway could really do is done: it has no key of a city, a
partner or the registrar. It can lie at two times: a deed changes what the nodes get, a trick what the client gets.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from cimfed.errors import CimfedError
from cimfed.model.answer import CityOutcome, Coverage, Narrowing, Outcome
from cimfed.model.names import CityName, GatewayName
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import Signer
from cimfed.wire import answers, envelopes, frames
from cimfed_gateway.relay import Relay
from cimfed_gateway.service import Asked, Gateway


@dataclass
class Told:
    """What is passed on: the frames of each city, the frames of the total, the coverage."""

    cities: dict[str, list[bytes]] = field(default_factory=dict)
    total: list[bytes] = field(default_factory=list)
    coverage: Coverage | None = None
    ending: list[bytes] = field(default_factory=list)  # instead of the coverage's own frame

    def copy(self) -> Told:
        return Told({city: list(items) for city, items in self.cities.items()}, list(self.total), self.coverage)

    def places(self, city: str, part: type | None) -> list[int]:
        """Where a city's frames of that kind stand; None: batches."""
        found = (frames.decode(data).part for data in self.cities[city])
        return [at for at, item in enumerate(found) if (item is None if part is None else isinstance(item, part))]

    def batch(self, city: str, number: int) -> frames.Frame:
        return frames.decode(self.cities[city][self.places(city, None)[number]])

    def line(self, city: str, **other: Any) -> None:
        """Says something else of a city in the coverage."""
        assert self.coverage is not None
        lines = tuple(replace(item, **other) if item.city == city else item for item in self.coverage.cities)
        self.coverage = replace(self.coverage, cities=lines)

    def unlist(self, city: str) -> None:
        assert self.coverage is not None
        self.coverage = replace(self.coverage, cities=tuple(item for item in self.coverage.cities if item.city != city))

    def call(self, city: str, outcome: Outcome, reason: str = "") -> None:
        """The gateway's own word of a city."""
        self.line(city, outcome=outcome, reason=reason, message="", manifest_hash=b"", routing_hash=b"")


Trick = Callable[[Told, "Liar"], None]
"""Changes what is passed on."""
Deed = Callable[["Liar", Asked, Envelope], tuple[Envelope, tuple[Envelope, ...]]]
"""What goes to the nodes in the place of the partner's query and the gateway's narrowing."""


class Liar(Gateway):
    """Honest until ``trick`` or ``deed`` is set. ``past`` keeps every answer that it passed on."""

    def __init__(self, *facts: Any) -> None:
        super().__init__(*facts)
        self.trick: Trick | None = None
        self.deed: Deed | None = None
        self.asked: Asked | None = None  # the last query
        self.past: list[Told] = []
        self.requests: list[bytes] = []  # as the nodes got them
        self.times = 1  # that it asks each city; the last answer counts

    async def answer(self, method: str, request: bytes, context: Any) -> None:
        record = _Record(context)
        await super().answer(method, request, record)
        honest = _told(self.name, record.sent)
        self.past.append(honest)
        told = honest.copy()
        if self.trick is not None:
            self.trick(told, self)
        for data in (*(data for items in told.cities.values() for data in items), *told.total, *self._ending(told)):
            await context.write(data)

    def coverage_frame(self, coverage: Coverage, signer: Signer | None = None) -> bytes:
        envelope = seal(PayloadType.COVERAGE, answers.encode_coverage(coverage), signer or self.signer)
        return frames.encode(frames.Frame(self.name, frames.Coverage(envelope)))

    def narrowing(self, query: Envelope, signer: Signer | None = None, **other: Any) -> Envelope:
        value = replace(Narrowing(query.payload_hash, self.name), **other)
        return seal(PayloadType.NARROWING, answers.encode_narrowing(value), signer or self.signer)

    def _ending(self, told: Told) -> list[bytes]:
        if told.ending or told.coverage is None:
            return told.ending
        return [self.coverage_frame(told.coverage)]

    def _relays(self, asked: Asked, cities: list[CityName]) -> tuple[Envelope, list[Relay]]:
        """Its relays believe whatever comes back for the query that it sends."""
        self.asked = asked
        narrowing, relays = super()._relays(asked, cities)
        if self.deed is not None:
            sent, _ = self.deed(self, asked, narrowing)
            relays = [replace(relay, request_hash=sent.payload_hash) for relay in relays]
        return narrowing, relays

    async def _ask_all(
        self,
        method: str,
        asked: Asked,
        narrowing: Envelope,
        relays: list[Relay],
        patience: Any,
        outlet: Any,
        outcomes: Any,
    ) -> None:
        query, narrowings = asked.envelope, (narrowing,)
        if self.deed is not None:
            query, narrowings = self.deed(self, asked, narrowing)
        request = envelopes.encode_ask(query, narrowings)
        self.requests.append(request)
        for relay in relays:
            outcomes[relay.city] = await self._ask_one(method, request, relay, outlet)

    async def _ask_one(self, method: str, request: bytes, relay: Relay, outlet: Any) -> CityOutcome:
        try:
            for _ in range(self.times - 1):
                async for _data in self.channels.stream(relay.city, method, request, 30):
                    pass
            async for data in self.channels.stream(relay.city, method, request, 30):
                relay.look(data)
                await outlet.write(data)
        except CimfedError as error:
            return CityOutcome(relay.city, Outcome.UNREACHABLE, error.reason, error.message)
        return relay.outcome or CityOutcome(relay.city, Outcome.BROKEN, "truncated")


class _Record:
    """Stands in for the caller and keeps what was meant for it."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self.sent: list[bytes] = []

    def time_remaining(self) -> float | None:
        return self._context.time_remaining()

    async def write(self, data: bytes) -> None:
        self.sent.append(data)


def _told(gateway: GatewayName, sent: list[bytes]) -> Told:
    told = Told()
    for data in sent:
        frame = frames.decode(data)
        if isinstance(frame.part, frames.Coverage):
            told.coverage = answers.decode_coverage(frame.part.envelope.payload)
        elif frame.city == gateway:
            told.total.append(data)
        else:
            told.cities.setdefault(frame.city, []).append(data)
    return told


@asynccontextmanager
async def lying(world: Any, name: str = "gw.alliance") -> Any:
    """A liar, serving as the gateway of that name."""
    made: list[Liar] = []

    def make(*facts: Any) -> Liar:
        made.append(Liar(*facts))
        return made[0]

    async with world.gateway(name, make=make):
        yield made[0]


def numbered(data: bytes, index: int) -> bytes:
    """The same batch under another number."""
    frame = frames.decode(data)
    return frames.encode(replace(frame, index=index))
