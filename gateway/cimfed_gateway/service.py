"""The gateway's side of QueryService, CatalogService and DirectoryService.

The way of a query, numbered as in the code:
1. sizes and shape; a partner sends no narrowing;
2. the signature, by an access key of the very organisation that is on the wire;
3. the query is for this federation, alive, and names this gateway in ``via``;
4. routing: signed entries rule out cities that cannot answer;
5. the decision is logged, then the others are asked side by side;
6. the total of an aggregate, then the signed coverage: every member, and what came of it.

Nodes check everything again; the gateway's checks only keep hopeless queries off the wire. However slowly the caller
reads, 5 and 6 have an end: a query holds a slot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from cimfed.errors import BadQuery, CimfedError, ExpiredQuery, NotAddressed, NotAllowed, NotVia, TimedOut
from cimfed.model.answer import CityOutcome, Coverage, Narrowing, Outcome
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, GatewayName, KeyId
from cimfed.query.check import check
from cimfed.query.query import Aggregate, Catalog, Query, Read, Request
from cimfed.query.route import RuledOut, route
from cimfed.rpc.authorisation import AGGREGATE, CATALOG, READ
from cimfed.rpc.channel import ChannelPool
from cimfed.rpc.identity import current_peer
from cimfed.rpc.outlet import Outlet
from cimfed.trust.asker import verify_query
from cimfed.trust.directory.listing import Directory, DirectorySource
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import Signer, settled, works
from cimfed.trust.tlog.entries import Passed, Position, Returned, draw_position
from cimfed.wire import answers, envelopes, frames
from cimfed.wire.queries import decode_query
from cimfed_gateway.fanout import Patience, ask
from cimfed_gateway.merge import NO_TOTAL, Total, add_up
from cimfed_gateway.registry import Registry
from cimfed_gateway.relay import Relay
from cimfed_gateway.tables import Journal

log = logging.getLogger(__name__)

KINDS = {READ: Read, AGGREGATE: Aggregate, CATALOG: Catalog}
MARGIN = 0.5  # seconds kept of the caller's time for the total and the coverage


@dataclass(frozen=True)
class Asked:
    """A query that passed checks 1 to 3."""

    query: Query
    envelope: Envelope
    key_id: KeyId
    organisation: str
    directory: Directory
    signer: Signer  # of all that the gateway says about it, also when its keys change meanwhile


@dataclass
class Gateway:
    answer_time: ClassVar[float] = LIMITS.answer_time  # seconds from the decision to the coverage

    name: GatewayName
    signer: Signer
    directories: DirectorySource
    channels: ChannelPool
    journal: Journal
    registry: Registry
    patience: Patience
    now: Callable[[], int]  # microseconds since the epoch

    def handlers(self) -> Mapping[str, Callable[[bytes, Any], Any]]:
        """Stream handlers by full method name."""
        return {method: self._handler(method) for method in KINDS}

    def _handler(self, method: str) -> Callable[[bytes, Any], Any]:
        async def handle(request: bytes, context: Any) -> None:
            await self.answer(method, request, context)

        return handle

    async def self_test(self) -> None:
        """CimfedError unless the signing key and the log do what they must."""
        if not works(self.signer):
            raise CimfedError("the gateway's key does not sign")
        await asyncio.to_thread(self.journal.self_test)

    async def answer(self, method: str, request: bytes, context: Any) -> None:
        now = self.now()
        asked = self.check(method, request, current_peer().name, now)
        directory = asked.directory
        ruled_out = route(asked.query, {city: member.entry for city, member in directory.members.items()})
        cities = [city for city, why in ruled_out.items() if why is None]
        position = await asyncio.to_thread(self._log, asked, cities, now)
        outcomes: dict[CityName, CityOutcome] = {
            city: _ruled_out(directory, city, why) for city, why in ruled_out.items() if why is not None
        }
        outlet = Outlet(context.write)
        try:
            async with asyncio.timeout(self.answer_time):
                narrowing, relays = self._relays(asked, cities)
                await self._ask_all(method, asked, narrowing, relays, self._patience(context), outlet, outcomes)
                coverage = await self._finish(asked, relays, outcomes, narrowing, outlet)
                await outlet.write(frames.encode(frames.Frame(self.name, frames.Coverage(coverage))))
        except TimeoutError:
            raise TimedOut("the answer was read too slowly", remedy="Ask for less, or ask several queries") from None
        finally:
            record = " ".join(f"{city}={item.outcome}" for city, item in sorted(outcomes.items())) or "cancelled"
            self.journal.end(Returned(self.now(), position, record))

    async def close(self) -> None:
        """After the last call: what came of it is written down."""
        await asyncio.to_thread(self.journal.settle)

    def check(self, method: str, request: bytes, caller: str, now: int) -> Asked:
        """Checks 1 to 3 of the module's docstring."""
        envelope, narrowings = envelopes.decode_ask(request)
        if narrowings:
            raise BadQuery("a partner sends no narrowing")
        directory = self.directories.current(now)
        key = verify_query(envelope, directory, now)
        if key.organisation != caller:
            raise NotAllowed("the query is signed by another organisation than the caller")
        query = decode_query(envelope.payload)
        check(query, leave_unknown=True)
        if not isinstance(query.request, KINDS[method]):
            raise BadQuery("the query's request is not of the kind that this method answers")
        if query.federation != directory.federation:
            raise NotAddressed("the query is for another federation")
        if not query.issued - LIMITS.clock_tolerance * 1e6 <= now < query.expires + LIMITS.clock_tolerance * 1e6:
            raise ExpiredQuery("the query is not of this time", remedy="Check this computer's clock and ask again")
        if self.name not in query.via:
            raise NotVia(f"the query does not name {self.name} in via")
        return Asked(query, envelope, key.key.id, key.organisation, directory, settled(self.signer))

    def _log(self, asked: Asked, cities: list[CityName], now: int) -> Position:
        position = draw_position()
        self.journal.begin(
            Passed(
                time=now,
                position=position,
                request_hash=asked.envelope.payload_hash,
                key_id=asked.key_id,
                organisation=asked.organisation,
                asked=" ".join(cities),
            )
        )
        return position

    def _relays(self, asked: Asked, cities: list[CityName]) -> tuple[Envelope, list[Relay]]:
        request_hash = asked.envelope.payload_hash
        narrowing = seal(
            PayloadType.NARROWING, answers.encode_narrowing(Narrowing(request_hash, self.name)), asked.signer
        )
        keep = isinstance(asked.query.request, Aggregate)
        return narrowing, [Relay(city, request_hash, asked.directory.member(city).keys, keep) for city in cities]

    async def _ask_all(
        self,
        method: str,
        asked: Asked,
        narrowing: Envelope,
        relays: list[Relay],
        patience: Patience,
        outlet: Outlet,
        outcomes: dict[CityName, CityOutcome],
    ) -> None:
        request = envelopes.encode_ask(asked.envelope, (narrowing,))

        async def ask_one(relay: Relay) -> None:
            def open_stream(seconds: float) -> AsyncGenerator[bytes, None]:
                return self.channels.stream(relay.city, method, request, seconds)

            outcomes[relay.city] = await ask(relay, open_stream, outlet.write, patience, self.registry)

        async with asyncio.TaskGroup() as group:
            for relay in relays:
                group.create_task(ask_one(relay))

    def _patience(self, context: Any) -> Patience:
        """What the caller's deadline leaves, if it set one."""
        remaining = context.time_remaining()
        whole = self.patience.whole if remaining is None else min(self.patience.whole, max(remaining - MARGIN, 0.1))
        silence = min(self.patience.silence, whole)
        return Patience(whole, silence, own=silence == self.patience.silence)

    def _total(self, request: Request, answered: list[Relay]) -> Total:
        if not isinstance(request, Aggregate) or not answered:
            return NO_TOTAL
        try:
            return add_up(self.name, request, answered)
        except CimfedError as error:
            # A city's part does not add up. Clients add up themselves and find which; the others' answers stand.
            log.warning("no total: %s", error)
            return NO_TOTAL

    async def _finish(
        self,
        asked: Asked,
        relays: list[Relay],
        outcomes: Mapping[CityName, CityOutcome],
        narrowing: Envelope,
        outlet: Outlet,
    ) -> Envelope:
        answered = [relay for relay in relays if outcomes[relay.city].outcome is Outcome.ANSWERED]
        total = await asyncio.to_thread(self._total, asked.query.request, answered)
        for data in total.frames:
            await outlet.write(data)
        coverage = Coverage(
            request_hash=asked.envelope.payload_hash,
            federation=asked.directory.federation,
            gateway=self.name,
            directory_version=asked.directory.version,
            now=self.now(),
            cities=tuple(outcomes[city] for city in sorted(outcomes)),
            total_hash=total.hash,
            narrowing=narrowing.payload,
        )
        return seal(PayloadType.COVERAGE, answers.encode_coverage(coverage), asked.signer)


def _ruled_out(directory: Directory, city: CityName, why: RuledOut) -> CityOutcome:
    routing = directory.routing(city)
    return CityOutcome(
        city, Outcome.RULED_OUT, reason=str(why), routing_hash=routing[1].payload_hash if routing else b""
    )
