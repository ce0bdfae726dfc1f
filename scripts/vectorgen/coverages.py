"""coverage.json: a gateway's answers of four cities, and what it may not say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from cimfed.model.answer import CityOutcome, Coverage, Manifest, Narrowing, Outcome
from cimfed.model.names import CityName, GatewayName
from cimfed.query.query import Aggregate, Function, Measure
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.hashing import sha256
from cimfed.wire import answers, frames
from vectorgen.forms import Case, Document, accept, block, document, encoded, number, reject
from vectorgen.hashing import hashed
from vectorgen.parties import (
    ALMATY,
    DELHI,
    GATEWAY,
    MOSCOW,
    NOW,
    PARTNER,
    SCO,
    SECOND,
    TASHKENT,
    VERSION,
    keys,
    routing,
    signer,
)
from vectorgen.streams import BATCHES, Stream, batch, message, query, sign

UNREACHABLE = 5  # on the wire
CITIES = (ALMATY, DELHI, MOSCOW, TASHKENT)
ABOUT = (
    "A gateway's answers: frames by name, and which of them make the stream of each case. Of the read, kz.almaty"
    " answered, in.delhi refused, ru.moscow could not be reached and uz.tashkent has no such rows; of the aggregate"
    " (count by function), kz.almaty and uz.tashkent answered. routing: judging it takes the routing rules."
)


def documents() -> dict[str, Document]:
    read, total = Read(), _Aggregate()
    cases = [*read.cases(), *total.cases()]
    frames_by_name = read.frames | total.frames
    coverage = document(
        "A gateway's stream",
        ABOUT,
        cases,
        keys=keys(PARTNER, GATEWAY, *CITIES),
        directory="four cities",
        source=GATEWAY,
        collection="building",
        queries={
            "read": {"query": message(read.asked), "request_hash": read.asked.payload_hash.hex()},
            "aggregate": {"query": message(total.asked), "request_hash": total.asked.payload_hash.hex()},
        },
        frames={name: encoded(data) for name, data in frames_by_name.items()},
    )
    return {"coverage.json": coverage}


def _narrowing(asked: Envelope, gateway: str = GATEWAY, passed: tuple[str, ...] = ()) -> bytes:
    return answers.encode_narrowing(
        Narrowing(asked.payload_hash, GatewayName(gateway), tuple(map(GatewayName, passed)))
    )


def _sealed(coverage: Coverage, by: str = GATEWAY, more: bytes = b"") -> Envelope:
    return seal(PayloadType.COVERAGE, answers.encode_coverage(coverage) + more, signer(by))


def _frame(envelope: Envelope) -> bytes:
    return frames.encode(frames.Frame(GATEWAY, frames.Coverage(envelope)))


@dataclass(frozen=True)
class _Ending:
    """How a city's part ended."""

    manifest: Manifest
    envelope: Envelope

    @property
    def line(self) -> CityOutcome:
        of = self.manifest
        return CityOutcome(of.city, of.outcome, of.reason, of.message, self.envelope.payload_hash)


class _Base:
    """A query through the gateway and the frames of its answer, by name."""

    def __init__(self, asked: Envelope) -> None:
        self.asked = asked
        self.narrowing = _narrowing(asked)
        self.frames: dict[str, bytes] = {}
        self.endings: dict[CityName, _Ending] = {}

    def end(self, stream: Stream, **other: Any) -> bytes:
        value = replace(stream.manifest_value(sha256(self.narrowing)), **other)
        envelope = stream.sealed(value)
        self.endings[stream.city] = _Ending(value, envelope)
        return frames.encode(frames.Frame(stream.city, frames.Manifest(envelope)))

    def coverage(self, lines: Mapping[CityName, CityOutcome], **other: Any) -> Coverage:
        ordered = tuple(lines[city] for city in sorted(lines))
        whole = Coverage(self.asked.payload_hash, SCO, GATEWAY, VERSION, NOW + SECOND, ordered, b"", self.narrowing)
        return replace(whole, **other)


class Read(_Base):
    def __init__(self) -> None:
        super().__init__(sign(query(4, via=(GATEWAY,))))
        almaty, delhi, tashkent = (Stream(city, self.asked) for city in (ALMATY, DELHI, TASHKENT))
        self.first = batch(ALMATY, BATCHES[0])
        self.frames = {
            "almaty: start": almaty.start,
            "almaty: batch": almaty.batch(self.first, 2),
            "almaty: head": almaty.head(),
            "almaty: manifest": self.end(almaty),
            "almaty: another manifest": self.end(almaty, decision=42),
            "delhi: manifest": self.end(
                delhi, outcome=Outcome.REFUSED, reason="not_granted", message="nothing is granted for this",
                grant="", view="", snapshot="", shape_hash=b"", compiler="", chain=b"", obligations=(),
            ),
            "tashkent: start": tashkent.start,
            "tashkent: manifest": self.end(tashkent),
        }  # fmt: skip
        direct = almaty.sealed(almaty.manifest_value())
        self.frames["almaty: manifest without narrowing"] = frames.encode(frames.Frame(ALMATY, frames.Manifest(direct)))
        good = frames.decode(self.frames["almaty: manifest"]).part
        assert isinstance(good, frames.Manifest)
        self.endings[ALMATY] = _Ending(answers.decode_manifest(good.envelope.payload), good.envelope)
        unreachable = CityOutcome(MOSCOW, Outcome.UNREACHABLE, "node_unreachable", "ru.moscow cannot be reached")
        self.lines = {city: ending.line for city, ending in self.endings.items()} | {MOSCOW: unreachable}
        self.good = [name for name in self.frames if "another" not in name and "without" not in name]
        self.whole = _sealed(self.coverage(self.lines))
        self.frames["read: coverage"] = _frame(self.whole)

    def _case(
        self,
        name: str,
        envelope: Envelope,
        reason: str = "coverage_mismatch",
        stream: list[str] | None = None,
        **facts: Any,
    ) -> Case:
        label = f"read: {name}"
        self.frames[label] = _frame(envelope)
        return reject(name, reason, query="read", stream=[*(stream or self.good), label], **facts)

    def _line(self, name: str, city: CityName, stream: list[str] | None = None, **other: Any) -> Case:
        """A coverage that says something else of one city."""
        facts = {"routing": True} if other.get("outcome") is Outcome.RULED_OUT and city is MOSCOW else {}
        lines = self.lines | {city: replace(self.lines[city], **other)}
        return self._case(name, _sealed(self.coverage(lines)), stream=stream, **facts)

    def _raw_line(self, name: str, line: bytes) -> Case:
        """A coverage whose line of ru.moscow is these fields."""
        lines = {city: line for city, line in self.lines.items() if city != MOSCOW}
        return self._case(name, _sealed(self.coverage(lines), more=block(6, block(1, MOSCOW) + line)), "chain_broken")

    def cases(self) -> list[Case]:
        good, whole = self.good, "read: coverage"
        silent = [name for name in good if not name.startswith("almaty")]
        unreachable = {
            "outcome": Outcome.UNREACHABLE,
            "reason": "node_unreachable",
            "message": "",
            "manifest_hash": b"",
        }
        by_routing = {"outcome": Outcome.RULED_OUT, "message": "", "manifest_hash": b""}
        lied = self.lines | {ALMATY: replace(self.lines[ALMATY], **unreachable)}
        self.frames["read: coverage without almaty"] = _frame(_sealed(self.coverage(lied)))
        few = {city: line for city, line in self.lines.items() if city != MOSCOW}
        twice = self.coverage(self.lines)
        twice = replace(twice, cities=(*twice.cities, twice.cities[0]))
        stranger = self.lines | {
            CityName("xx.city"): CityOutcome(CityName("xx.city"), Outcome.UNREACHABLE, "node_unreachable")
        }
        whole_value = self.coverage(self.lines)

        def with_(**other: Any) -> Envelope:
            return _sealed(replace(whole_value, **other))

        return [
            accept("four cities", query="read", stream=[*good, whole], outcomes=outcomes_of(self.lines)),
            accept(
                "cities in another order, and interleaved",
                query="read",
                stream=["delhi: manifest", "almaty: start", "tashkent: start", *good[1:4], *good[-1:], whole],
                outcomes=outcomes_of(self.lines),
            ),
            accept(
                "a city that sent nothing may be called unreachable: the gateway's word alone",
                query="read",
                stream=[*silent, "read: coverage without almaty"],
                outcomes=outcomes_of(lied),
            ),
            self._case("signed by a city", _sealed(whole_value, ALMATY), "forged"),
            self._case("signed by the partner", _sealed(whole_value, PARTNER), "forged"),
            self._case("of another request", with_(request_hash=bytes(32))),
            self._case("of another federation", with_(federation="oas")),
            self._case("of another gateway", with_(gateway=GatewayName("gw.other"))),
            self._case("of an older directory", with_(directory_version=VERSION - 1)),
            self._case("of a newer directory than can be had", with_(directory_version=VERSION + 1)),
            self._case("of a time before the query", with_(now=NOW - 3600 * SECOND), routing=True),
            self._case("a narrowing of another request", with_(narrowing=_narrowing(sign(query(9))))),
            self._case("a narrowing of another gateway", with_(narrowing=_narrowing(self.asked, "gw.other"))),
            self._case("a narrowing that passed others", with_(narrowing=_narrowing(self.asked, passed=("gw.other",)))),
            self._case("a total of a read", with_(total_hash=bytes(32))),
            self._case("an unknown field", _sealed(whole_value, more=number(99, 1)), "chain_broken"),
            self._case("a member is left out", _sealed(self.coverage(few))),
            self._case("a member is listed twice", _sealed(twice)),
            self._case("a stranger is listed", _sealed(self.coverage(stranger))),
            self._line("a city that answered is called unreachable", ALMATY, **unreachable),
            self._line("a city that answered is called late", ALMATY, **unreachable | {"outcome": Outcome.TIMED_OUT}),
            self._line(
                "a city that answered is called unreachable, its manifest kept back",
                ALMATY,
                [name for name in good if name != "almaty: manifest"],
                **unreachable,
            ),
            self._line("a city that answered is called empty", ALMATY, outcome=Outcome.NO_DATA),
            self._line(
                "a city that answered is called empty, its frames kept back", ALMATY, silent, outcome=Outcome.NO_DATA
            ),
            self._line("a city that answered is said to refuse", ALMATY, outcome=Outcome.REFUSED, reason="quota"),
            self._line("a city that refused gets another reason", DELHI, reason="overloaded"),
            self._line("a city that refused gets another message", DELHI, message="ask again"),
            self._line("a city that refused is ruled out", DELHI, **by_routing, reason="extent"),
            self._line(
                "a city that its routing entry does not rule out is ruled out", MOSCOW,
                **by_routing, reason="extent", routing_hash=routing(MOSCOW).payload_hash,
            ),
            self._line("a city that did not answer is called empty", MOSCOW, outcome=Outcome.NO_DATA),
            self._line("another manifest hash", ALMATY, manifest_hash=bytes(32)),
            self._raw_line("an unspecified outcome of a city", number(2, 0)),
            self._raw_line("an outcome that this release lacks", number(2, 99)),
            self._raw_line("an unknown field of a city", number(2, UNREACHABLE) + number(9, 1)),
            reject(
                "a manifest is kept back",
                "coverage_mismatch",
                query="read",
                stream=[*[name for name in good if name != "almaty: manifest"], whole],
            ),
            reject(
                "another manifest of the same city",
                "coverage_mismatch",
                query="read",
                stream=[name.replace("almaty: manifest", "almaty: another manifest") for name in good] + [whole],
            ),
            reject(
                "two manifests of one city",
                "chain_broken",
                query="read",
                stream=[*good, "almaty: another manifest", whole],
            ),
            reject(
                "a manifest that names no narrowing",
                "coverage_mismatch",
                query="read",
                stream=[name.replace("almaty: manifest", "almaty: manifest without narrowing") for name in good]
                + [whole],
            ),
            reject(
                "a city is dropped from the stream alone", "coverage_mismatch", query="read", stream=[*silent, whole]
            ),
            reject("no coverage", "truncated", query="read", stream=good),
            reject("two coverages", "chain_broken", query="read", stream=[*good, whole, whole]),
            reject(
                "a city's frame after the coverage", "chain_broken", query="read", stream=[*good[1:], whole, good[0]]
            ),
        ]  # fmt: skip


def outcomes_of(lines: Mapping[CityName, CityOutcome]) -> dict[str, str]:
    return {city: str(lines[city].outcome) for city in sorted(lines)}


STATE = pa.schema([("function", pa.string()), ("count", pa.int64())])
PARTS = {ALMATY: {"office": 2, "school": 1}, TASHKENT: {"office": 5}}
TOTAL = {"office": 7, "school": 1}


def _state(counts: Mapping[str, int]) -> bytes:
    columns = {"function": list(counts), "count": list(counts.values())}
    return pa.RecordBatch.from_pydict(columns, schema=STATE).serialize().to_pybytes()


class _Aggregate(_Base):
    def __init__(self) -> None:
        count = Aggregate("building", (Measure(Function.COUNT),), ("function",))
        super().__init__(sign(query(6, via=(GATEWAY,), request=count)))
        schema = STATE.serialize().to_pybytes()
        for city, counts in PARTS.items():
            stream = Stream(city, self.asked, schema=schema)
            short = city.split(".")[1]
            self.frames |= {
                f"{short}: state start": stream.start,
                f"{short}: state": stream.batch(_state(counts), len(counts)),
                f"{short}: state manifest": self.end(stream),
            }
        self.parts = list(self.frames)
        self.total(schema, "total", TOTAL)
        self.total(schema, "other total", TOTAL | {"school": 2})
        away = {city: CityOutcome(city, Outcome.UNREACHABLE, "node_unreachable") for city in (DELHI, MOSCOW)}
        self.lines = {city: ending.line for city, ending in self.endings.items()} | away

    def total(self, schema: bytes, name: str, counts: Mapping[str, int]) -> None:
        self.frames |= {
            "total: start": frames.encode(frames.Frame(GATEWAY, frames.Start(schema, ""))),
            name: frames.encode(frames.Frame(GATEWAY, None, 1, len(counts), _state(counts))),
        }

    def hash(self, counts: Mapping[str, int]) -> bytes:
        return _total_hash(STATE.serialize().to_pybytes(), sha256(_state(counts)))

    def cases(self) -> list[Case]:
        def coverage(name: str, total_hash: bytes) -> str:
            self.frames[f"aggregate: {name}"] = _frame(_sealed(self.coverage(self.lines, total_hash=total_hash)))
            return f"aggregate: {name}"

        good = coverage("coverage", self.hash(TOTAL))
        other = coverage("coverage of another total", self.hash(TOTAL | {"school": 2}))
        none = coverage("coverage of no total", b"")
        make: Callable[..., Case] = reject
        return [
            accept(
                "an aggregate and its total",
                query="aggregate",
                stream=[*self.parts, "total: start", "total", good],
                outcomes=outcomes_of(self.lines),
                total_hash=self.hash(TOTAL).hex(),
            ),
            make("a total of another hash", "coverage_mismatch", query="aggregate",
                 stream=[*self.parts, "total: start", "other total", good]),
            make("a total that the signed parts do not make", "coverage_mismatch", query="aggregate", adding_up=True,
                 stream=[*self.parts, "total: start", "other total", other]),
            make("a total that is kept back", "coverage_mismatch", query="aggregate", stream=[*self.parts, good]),
            make("no total at all", "coverage_mismatch", query="aggregate", adding_up=True, stream=[*self.parts, none]),
            make(
                "a total's batch before its start",
                "chain_broken",
                query="aggregate",
                stream=[*self.parts, "total", good],
            ),
        ]  # fmt: skip


def _total_hash(schema: bytes, *batch_hashes: bytes) -> bytes:
    return hashed("cimfed/total/v1", schema, *batch_hashes)
