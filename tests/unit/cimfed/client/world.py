"""A federation in memory: real keys, a real directory, and signed streams made of protobuf and trust alone.

Nothing of ``cimfed.client`` is used to make them. A test takes an honest stream, does to it what a gateway could do,
and gives it to the client.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType

import pyarrow as pa
import shapely

from cimfed.client.federation import Asker, AsyncFederation, Federation
from cimfed.errors import CimfedError
from cimfed.model.answer import CityOutcome, Coverage, Head, Manifest, Narrowing, Outcome
from cimfed.model.names import CityName, GatewayName, PartnerName
from cimfed.model.names import Federation as FederationName
from cimfed.model.routing import RoutingEntry, routing_payload
from cimfed.model.schema import field as column
from cimfed.model.vocabulary import VOCABULARY
from cimfed.query.aggregate import merge
from cimfed.query.query import Aggregate, Query
from cimfed.query.route import route
from cimfed.trust.chain import Chain
from cimfed.trust.directory.listing import AccessKey, Directory, Gateway, Listing, Member, Partner, Span, expired
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.hashing import digest, sha256
from cimfed.trust.keys import KeySigner
from cimfed.trust.tls import IssuingKey
from cimfed.wire import answers, envelopes, frames
from cimfed.wire.queries import decode_query
from tests.board import Board

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000
SCO = FederationName("sco")
ALMATY, QINGDAO, TASHKENT = (CityName(name) for name in ("kz.almaty", "cn.qingdao", "uz.tashkent"))
GATEWAY = GatewayName("gw.alliance")
PARTNER = PartnerName("inst.tsinghua")
EXTENTS = {ALMATY: (76.0, 43.0, 78.0, 44.0), QINGDAO: (119.0, 35.0, 122.0, 38.0), TASHKENT: (69.0, 41.0, 70.0, 42.0)}


def building_batch(
    city: str, start: int, rows: int, names: Iterable[str], masks: dict[str, str] | None = None
) -> pa.RecordBatch:
    """Rows whose values follow from their number: expected values need no other source."""
    numbers = range(start, start + rows)
    xmin, ymin, *_ = EXTENTS[CityName(city)]
    squares = [shapely.box(xmin + i / 1000, ymin, xmin + i / 1000 + 0.0005, ymin + 0.0005) for i in numbers]
    values = {
        "city": [city] * rows,
        "id": [f"{city}/{i}" for i in numbers],
        "name": [[("en", f"House {i}"), ("zh", f"楼{i}")] for i in numbers],
        "height": [Decimal(i) + Decimal("0.25") if i % 5 else None for i in numbers],
        "function": ["residential" if i % 2 else "office" for i in numbers],
        "year_built": [1900 + i % 100 for i in numbers],
        "geometry_lod0": list(shapely.to_wkb(squares)),
        "geometry_lod1": [
            shapely.to_wkb(shapely.force_3d(square, 5), flavor="iso") if i % 2 else None
            for i, square in zip(numbers, squares, strict=True)
        ],
        "bbox": [dict(zip(("xmin", "ymin", "xmax", "ymax"), square.bounds, strict=True)) for square in squares],
    }  # fmt: skip
    properties = VOCABULARY.collections["building"].properties
    schema = pa.schema([column(properties[name], (masks or {}).get(name, "exact")) for name in names])
    return pa.RecordBatch.from_pydict({name: values[name] for name in names}, schema=schema)


@dataclass
class City:
    """``batches`` is what it answers to any query; ``refusal`` a reason; ``key`` signs (tests may swap it)."""

    name: CityName
    batches: list[pa.RecordBatch]
    refusal: str = ""
    absent: tuple[str, ...] = ()
    key: KeySigner = field(default_factory=KeySigner.generate)
    steward: KeySigner = field(default_factory=KeySigner.generate)
    head_every: int = 2

    def stream(self, query: Envelope, narrowing: bytes = b"", view: str = "view-1") -> list[frames.Frame]:
        """Start, batches with heads between them, manifest: what an honest node sends."""
        request_hash = query.payload_hash
        facts = Manifest(
            request_hash=request_hash,
            narrowing_hash=sha256(narrowing) if narrowing else b"",
            federation=SCO,
            city=self.name,
            collection=decode_query(query.payload).request.collection or "",
            outcome=Outcome.ANSWERED if self.batches else Outcome.NO_DATA,
            grant="massing",
            policy_version=3,
            snapshot="snap",
            now=NOW + 1000,
            absent=self.absent,
        )
        if self.refusal:
            return [self.manifest(replace(facts, outcome=Outcome.REFUSED, reason=self.refusal, message="no"))]
        schema = (
            self.batches[0].schema.serialize().to_pybytes() if self.batches else pa.schema([]).serialize().to_pybytes()
        )
        chain = Chain.start(request_hash, self.name, schema, view)
        out = [frames.Frame(self.name, frames.Start(schema, view))]
        for index, batch in enumerate(self.batches, start=1):
            data = batch.serialize().to_pybytes()
            chain.add(data)
            out.append(frames.Frame(self.name, None, index, batch.num_rows, data))
            if index == 1 or index % self.head_every == 0 or index == len(self.batches):
                out.append(self.head(Head(request_hash, self.name, index, chain.value)))
        rows = sum(batch.num_rows for batch in self.batches)
        return [
            *out,
            self.manifest(replace(facts, rows=rows, batches=chain.index, chain=chain.value, view=view)),
        ]

    def head(self, head: Head) -> frames.Frame:
        return frames.Frame(self.name, frames.Head(seal(PayloadType.HEAD, answers.encode_head(head), self.key)))

    def manifest(self, manifest: Manifest) -> frames.Frame:
        sealed = seal(PayloadType.MANIFEST, answers.encode_manifest(manifest), self.key)
        return frames.Frame(self.name, frames.Manifest(sealed))


@dataclass
class Stream:
    """A gateway's answer before its coverage is sealed. Tests change ``frames``, ``coverage`` or ``signer``."""

    query: Envelope
    frames: list[frames.Frame]
    coverage: Coverage | None
    signer: KeySigner

    def of(self, city: str) -> list[int]:
        """Positions of a city's frames."""
        return [at for at, frame in enumerate(self.frames) if frame.city == city]

    def payloads(self, city: str) -> list[int]:
        return [at for at in self.of(city) if self.frames[at].payload]

    def drop(self, *positions: int) -> None:
        self.frames = [frame for at, frame in enumerate(self.frames) if at not in positions]

    def say(self, city: str, **changes: object) -> None:
        """Changes the city's line of the coverage."""
        assert self.coverage is not None
        lines = tuple(
            replace(line, **changes) if line.city == city else line
            for line in self.coverage.cities  # type: ignore[arg-type]
        )
        self.coverage = replace(self.coverage, cities=lines)

    def encode(self) -> list[bytes]:
        out = [frames.encode(frame) for frame in self.frames]
        if self.coverage is not None:
            sealed = seal(PayloadType.COVERAGE, answers.encode_coverage(self.coverage), self.signer)
            out.append(frames.encode(frames.Frame(self.coverage.gateway, frames.Coverage(sealed))))
        return out


class World:
    """Three cities, a gateway, a partner, and a directory that lists them."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now
        base = ("city", "id", "height", "geometry_lod0")
        self.gateway = KeySigner.generate()
        self.access = KeySigner.generate()
        self.cities = {
            ALMATY: City(
                ALMATY,
                [building_batch(ALMATY, at, 10, base, {"height": "band(5)"}) for at in (0, 10, 20, 30)],
                absent=("function",),
            ),
            QINGDAO: City(QINGDAO, [building_batch(QINGDAO, 0, 7, (*base, "function", "name", "bbox"))]),
            TASHKENT: City(
                TASHKENT, [building_batch(TASHKENT, at, 5, (*base, "geometry_lod1", "function")) for at in (0, 5, 10)]
            ),
        }
        self.issuing = {name: IssuingKey.make(SCO, name, now) for name in (*self.cities, GATEWAY, PARTNER)}
        self.address = "127.0.0.1:2"  # of the gateway
        self.board = Board(SCO, now)
        self.directory = self.publish()

    @property
    def root(self) -> bytes:
        return self.board.root

    def routing(self, city: City) -> Envelope:
        entry = RoutingEntry(
            city.name, 1, bytes(32), {"building": EXTENTS[city.name]}, (self.now - DAY, self.now + 30 * DAY)
        )
        return seal(PayloadType.ROUTING, routing_payload(entry), city.steward)

    def publish(self, without: str = "", suspended: Mapping[CityName, Span] = MappingProxyType({})) -> Directory:
        """The next version of the directory, with the cities as they are now."""
        of = {name: (key.issuer,) for name, key in self.issuing.items()}
        listing = Listing(
            members={
                name: Member(
                    name, "127.0.0.1:1", of[name], (city.key.public,), (city.steward.public,),
                    suspended=suspended.get(name),
                )
                for name, city in self.cities.items()
                if name != without
            },
            gateways={GATEWAY: Gateway(GATEWAY, self.address, of[GATEWAY], (self.gateway.public,))},
            partners={
                PARTNER: Partner(
                    PARTNER, "CN", (), of[PARTNER],
                    (AccessKey(self.access.public, PARTNER, (self.now - DAY, self.now + DAY)),),
                )
            },
        )  # fmt: skip
        self.directory = self.board.publish(listing)
        for name, member in self.directory.members.items():
            if member.entry is None:
                self.directory = self.board.route(name, self.routing(self.cities[name]), self.cities[name].steward)
        return self.directory

    def answer(self, request: bytes) -> Stream:
        """What an honest gateway answers, cities interleaved frame by frame."""
        envelope, _ = envelopes.decode_ask(request)
        query = decode_query(envelope.payload)
        narrowing = answers.encode_narrowing(Narrowing(envelope.payload_hash, GATEWAY))
        routed = route(query, {name: self.directory.member(name).entry for name in self.directory.members})
        streams = {name: self.cities[name].stream(envelope, narrowing) for name, why in routed.items() if why is None}
        mixed = [
            streams[name][at]
            for at in range(max((len(one) for one in streams.values()), default=0))
            for name in streams
            if at < len(streams[name])
        ]
        lines = []
        for name, why in sorted(routed.items()):
            if why is not None:
                entry = self.directory.routing(name)
                lines.append(
                    CityOutcome(name, Outcome.RULED_OUT, str(why), routing_hash=entry[1].payload_hash if entry else b"")
                )
                continue
            part = streams[name][-1].part
            assert isinstance(part, frames.Manifest)
            manifest = answers.decode_manifest(part.envelope.payload)
            lines.append(
                CityOutcome(name, manifest.outcome, manifest.reason, manifest.message, part.envelope.payload_hash)
            )
        total, total_hash = self._total(query, streams)
        return Stream(
            envelope,
            [*mixed, *total],
            Coverage(
                envelope.payload_hash,
                SCO,
                GATEWAY,
                self.directory.version,
                self.now + 2000,
                tuple(lines),
                total_hash,
                narrowing,
            ),
            self.gateway,
        )

    def _total(self, query: Query, streams: dict[CityName, list[frames.Frame]]) -> tuple[list[frames.Frame], bytes]:
        parts = [
            pa.Table.from_batches(self.cities[name].batches)
            for name in streams
            if self.cities[name].batches and not self.cities[name].refusal
        ]
        if not isinstance(query.request, Aggregate) or not parts:
            return [], b""
        (batch,) = merge(query.request, parts).to_batches()
        schema, data = batch.schema.serialize().to_pybytes(), batch.serialize().to_pybytes()
        return [
            frames.Frame(GATEWAY, frames.Start(schema, "")),
            frames.Frame(GATEWAY, None, 1, batch.num_rows, data),
        ], digest("cimfed/total/v1", (schema, sha256(data)))


Respond = Callable[[bytes], Iterable[bytes]]


@dataclass
class Line:
    """A transport of the client: answers from memory. ``mirrored``: the directory that the server hands out."""

    respond: Respond
    mirrored: Directory
    error: CimfedError | None = None
    asked: list[str] = field(default_factory=list)
    sent: int = 0
    open: int = 0
    closed: bool = False

    async def stream(self, method: str, request: bytes, within: float | None) -> AsyncGenerator[bytes, None]:
        self.asked.append(method)
        self.open += 1
        try:
            for data in self.respond(request):
                self.sent += 1
                yield data
            if self.error is not None:
                raise self.error
        finally:
            self.open -= 1

    async def close(self) -> None:
        self.closed = True


@dataclass
class Memory:
    """The client's directories, kept nowhere; newer ones come by the line."""

    directory: Directory
    line: Line

    def current(self, now: int) -> Directory:
        if now >= self.directory.expires:
            raise expired(self.directory)
        return self.directory.as_of(now)

    def refresh(self) -> Directory:
        if self.line.mirrored.version > self.directory.version:
            self.directory = self.line.mirrored
        return self.directory

    def close(self) -> None:
        """There is nothing to close."""


def line_of(world: World, change: Callable[[Stream], object] = lambda stream: None) -> Line:
    def respond(request: bytes) -> Iterable[bytes]:
        stream = world.answer(request)
        change(stream)
        return stream.encode()

    return Line(respond, world.directory)


def asker(world: World, line: Line, known: Directory | None = None, source: str = GATEWAY) -> Asker:
    directories = Memory(known or world.directory, line)
    return Asker(source, directories, KeySigner.from_seed(seed_of(world.access)), line, lambda: world.now)


def seed_of(signer: KeySigner) -> bytes:
    assert signer._key is not None
    return signer._key.private_bytes_raw()


def connect(world: World, change: Callable[[Stream], object] = lambda stream: None) -> Federation:
    return Federation(asker(world, line_of(world, change)))


def connect_async(world: World, change: Callable[[Stream], object] = lambda stream: None) -> AsyncFederation:
    return AsyncFederation(asker(world, line_of(world, change)))
