"""A whole answer, verified as it streams: frames in, batches under a city's signature out.

Takes frames one by one, gives each to its city's state (``cimfed.trust.answer``, rules 1 to 9) and, at the end, lets
``cimfed.client.settle`` check the gateway's coverage against what was seen. It neither reads from a network nor looks
into batches. The rules here:

10. every frame is of a city that the directory lists and the query addresses, or of the gateway that was asked;
11. the gateway itself sends only the total of an aggregate and, last of all, its coverage; a city that is asked
    directly ends with its manifest;
12. a stream that ends otherwise is cut off.

Where the directory in hand may be too old to tell (an unknown city, an unknown key, a coverage of a later version)
``Stale`` asks the caller for a newer one, once; then the same frame is given again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cimfed.client import settle
from cimfed.errors import ChainBroken, Forged, Truncated
from cimfed.model.answer import Coverage
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, Kind, kind_of
from cimfed.query.query import Aggregate, Query
from cimfed.trust.answer import Asked, Batch, CityAnswer
from cimfed.trust.directory.listing import Directory
from cimfed.trust.envelope import Envelope
from cimfed.wire import answers, frames
from cimfed.wire.states import STATE, Tally

TOTAL_BYTES = STATE
"""What a gateway's total may hold."""


class Stale(Exception):
    """The directory in hand is perhaps too old; ``cause`` is the error if it is not."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass
class Total:
    """What the gateway added up, unsigned until the coverage names its hash."""

    schema: bytes
    tally: Tally
    payloads: list[tuple[int, bytes | memoryview]] = field(default_factory=list)  # each with its rows


@dataclass(frozen=True)
class Released:
    """A batch under its city's signature."""

    answer: CityAnswer
    batch: Batch


class Verifier:
    """``source`` is the gateway or city that is asked; ``cities`` holds the state of every city that sent a frame."""

    def __init__(self, query: Query, query_envelope: Envelope, source: str, directory: Directory) -> None:
        self.query = query
        self.source = source
        self.asked = Asked(query_envelope.payload_hash, query.federation, query.request.collection or "")
        self.cities: dict[CityName, CityAnswer] = {}
        self.coverage: tuple[Coverage, Envelope] | None = None
        self.total: Total | None = None
        self._directory = directory
        self._fresh = False

    @property
    def direct(self) -> bool:
        return kind_of(self.source) is Kind.CITY

    @property
    def directory(self) -> Directory:
        return self._directory

    def renew(self, directory: Directory) -> None:
        """Goes on with the newest directory that can be had."""
        self._directory, self._fresh = directory, True
        for city, answer in self.cities.items():
            answer.keys = directory.member(city).keys

    def take(self, frame: frames.Frame, now: int) -> list[Released]:
        """The batches that the frame releases. On an error nothing of the answer may be used any more."""
        if self.coverage is not None:
            raise ChainBroken(f"{self.source}: more came after its coverage (rule 11)")
        if frame.part is not None and (frame.payload or frame.index):
            raise ChainBroken(f"{frame.city[:100]}: a frame is both a part and a batch (rule 11)")
        if frame.city == self.source and not self.direct:
            self._gateway(frame, now)
            return []
        answer = self._city(frame.city)
        return [Released(answer, batch) for batch in self._part(answer, frame)]

    def end(self) -> None:
        """To be called when the stream has ended."""
        if self.direct:
            answer = self.cities.get(CityName(self.source))
            if answer is None:
                raise Truncated(f"{self.source}: the stream ended without its manifest (rule 12)", remedy="Ask again")
            answer.end()
        elif self.coverage is None:
            raise Truncated(f"{self.source}: the stream ended without its coverage (rule 12)", remedy="Ask again")

    def _city(self, name: str) -> CityAnswer:
        city = CityName(name)
        found = self.cities.get(city)
        if found is not None:
            return found
        addressed = (city == self.source) if self.direct else (not self.query.cities or city in self.query.cities)
        if not addressed:
            raise ChainBroken(f"{name[:100]}: it was not asked, but answers (rule 10)")
        member = self._directory.members.get(city)
        if member is None:
            raise self._stale(ChainBroken(f"{name[:100]}: the directory does not list it, but it answers (rule 10)"))
        found = self.cities[city] = CityAnswer(self.asked, city, member.keys)
        return found

    def _part(self, answer: CityAnswer, frame: frames.Frame) -> list[Batch]:
        try:
            match frame.part:
                case frames.Start(schema, view):
                    answer.start(schema, view)
                case frames.Head(envelope):
                    return answer.head(envelope, answers.decode_head)
                case frames.Manifest(envelope):
                    return self._manifest(answer, envelope)
                case frames.Coverage():
                    raise ChainBroken(f"{answer.city}: it sent a gateway's coverage (rule 11)")
                case None:
                    self._bounded(answer, frame.rows)
                    answer.payload(frame.index, frame.rows, frame.payload)
        except Forged as error:
            raise self._stale(error) from None
        return []

    def _bounded(self, answer: CityAnswer, rows: int) -> None:
        if isinstance(self.query.request, Aggregate) and answer.rows + rows > LIMITS.groups:
            raise ChainBroken(f"{answer.city}: it sent more than {LIMITS.groups} groups")

    def _manifest(self, answer: CityAnswer, envelope: Envelope) -> list[Batch]:
        released = answer.manifest(envelope, answers.decode_manifest)
        assert answer.ending is not None
        if self.direct and answer.ending[0].narrowing_hash:
            raise ChainBroken(f"{answer.city}: its manifest names a narrowing, but no gateway was asked (rule 5)")
        return released

    def _gateway(self, frame: frames.Frame, now: int) -> None:
        match frame.part:
            case frames.Coverage(envelope):
                self.coverage = self._settle(envelope, now), envelope
            case frames.Start(schema, _) if self.total is None and isinstance(self.query.request, Aggregate):
                self.total = Total(schema, Tally(self.source, TOTAL_BYTES))
            case None if self.total is not None and frame.index == len(self.total.payloads) + 1:
                self.total.tally.add(frame.rows, len(frame.payload))
                self.total.payloads.append((frame.rows, frame.payload))
            case _:
                raise ChainBroken(f"{self.source}: it sent a part that is not a gateway's to send (rule 11)")

    def _settle(self, envelope: Envelope, now: int) -> Coverage:
        endings = {city: answer.ending for city, answer in self.cities.items()}
        try:
            coverage = settle.settle(envelope, self.query, self.asked, self.source, self._directory, endings, now)
        except (Forged, settle.NewerDirectory) as error:
            raise self._stale(error) from None
        schema, payloads = (self.total.schema, self.total.payloads) if self.total else (b"", [])
        settle.check_total(coverage, schema, (payload for _, payload in payloads))
        return coverage

    def _stale(self, error: Exception) -> Exception:
        return error if self._fresh else Stale(error)
