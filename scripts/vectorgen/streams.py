"""chain.json and answer.json: one city's stream, its chain, heads and manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa

from cimfed.model.answer import Head, Manifest, Outcome
from cimfed.model.names import CityName
from cimfed.query.query import Query, Read
from cimfed.trust.chain import Chain
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.wire import answers, frames
from cimfed.wire.envelopes import to_message
from cimfed.wire.queries import encode_query
from vectorgen.forms import Case, Document, accept, block, changed, document, encoded, number, reject
from vectorgen.parties import ALMATY, NOW, PARTNER, SCO, SECOND, TASHKENT, keys, public, signer

SCHEMA = pa.schema(
    [
        pa.field("city", pa.string(), nullable=False),
        pa.field("id", pa.string()),
        pa.field("height", pa.decimal128(18, 2), metadata={"cimfed:unit": "m"}),
    ]
)
SCHEMA_MESSAGE = SCHEMA.serialize().to_pybytes()
Batches = Sequence[Sequence[tuple[str, str | None]]]
BATCHES: Batches = (
    (("a-1", "12.50"), ("a-2", "7.00")),
    (("a-3", None),),
    (("a-4", "3.20"), ("a-5", "99.99"), ("a-6", "4.00")),
)

OTHER_BATCHES: Batches = (BATCHES[0], (("a-3", "1.00"),), BATCHES[2])


def documents() -> dict[str, Document]:
    return {"chain.json": _chain_document(), "answer.json": _answer_document()}


def query(nonce: int, via: tuple[str, ...] = (), request: Any = None) -> Query:
    request = request or Read("building", properties=("id", "height"))
    return Query(
        SCO,
        request,
        "research",
        NOW,
        NOW + 120 * SECOND,
        bytes([nonce]) * 16,
        via=via,  # type: ignore[arg-type]
    )


def sign(asked: Query) -> Envelope:
    return seal(PayloadType.QUERY, encode_query(asked), signer(PARTNER))


def batch(city: str, rows: Iterable[tuple[str, str | None]]) -> bytes:
    """An Arrow record batch message."""
    values = [{"city": city, "id": id_, "height": height and Decimal(height)} for id_, height in rows]
    return pa.RecordBatch.from_pylist(values, SCHEMA).serialize().to_pybytes()


def message(envelope: Envelope) -> str:
    return encoded(to_message(envelope).SerializeToString(deterministic=True))


class Stream:
    """Frames of one city's answer, put together step by step."""

    def __init__(self, city: CityName, asked: Envelope, view: str = "view-1", schema: bytes = SCHEMA_MESSAGE) -> None:
        self.city, self.request_hash, self.view = city, asked.payload_hash, view
        self.chain = Chain.start(self.request_hash, city, schema, view)
        self.rows = 0
        self.start = frames.encode(frames.Frame(city, frames.Start(schema, view)))

    def batch(self, payload: bytes, rows: int) -> bytes:
        self.chain.add(payload)
        self.rows += rows
        return frames.encode(frames.Frame(self.city, None, self.chain.index, rows, payload))

    def head(self, signer_of: str | None = None, **other: Any) -> bytes:
        head = replace(Head(self.request_hash, self.city, self.chain.index, self.chain.value), **other)
        envelope = seal(PayloadType.HEAD, answers.encode_head(head), signer(signer_of or self.city))
        return frames.encode(frames.Frame(self.city, frames.Head(envelope)))

    def manifest_value(self, narrowing_hash: bytes = b"") -> Manifest:
        return Manifest(
            request_hash=self.request_hash,
            narrowing_hash=narrowing_hash,
            federation=SCO,
            city=self.city,
            collection="building",
            outcome=Outcome.ANSWERED if self.rows else Outcome.NO_DATA,
            grant="massing",
            view=self.view,
            snapshot="snapshot-1",
            policy_version=3,
            policy_hash=hashlib.sha256(b"policy").digest(),
            shape_hash=hashlib.sha256(b"shape").digest(),
            compiler="1",
            now=NOW,
            rows=self.rows,
            batches=self.chain.index,
            chain=self.chain.value,
            obligations=("attribution",),
            decision=41,
        )

    def manifest(self, value: Manifest, signer_of: str | None = None) -> bytes:
        return frames.encode(frames.Frame(self.city, frames.Manifest(self.sealed(value, signer_of))))

    def sealed(self, value: Manifest, signer_of: str | None = None) -> Envelope:
        return seal(PayloadType.MANIFEST, answers.encode_manifest(value), signer(signer_of or self.city))


# chain.json

CHAIN_ABOUT = (
    "chains: the chain's values, chain_0 first, of a schema, a view and batches (any bytes here). cases: a manifest"
    " that is read at the end of the first chain's stream, of two batches with three rows in all."
)


def _chain_document() -> Document:
    request = sign(query(1))
    schema, batches = b"a schema", (b"first batch", b"second batch")
    stream = Stream(ALMATY, request, "view-1", schema)
    for payload, rows in zip(batches, (1, 2), strict=True):
        stream.batch(payload, rows)
    chains = [
        _chain("two batches", request, ALMATY, schema, "view-1", batches),
        _chain("the batches in another order", request, ALMATY, schema, "view-1", batches[::-1]),
        _chain("another city", request, TASHKENT, schema, "view-1", batches),
        _chain("no batch, no view", request, ALMATY, schema, "", ()),
        _chain("an empty batch", request, ALMATY, schema, "view-1", (b"",)),
    ]
    return document(
        "Chain",
        CHAIN_ABOUT,
        _manifest_cases(stream),
        keys=keys(ALMATY, TASHKENT),
        asked={
            "request_hash": request.payload_hash.hex(),
            "federation": SCO,
            "city": ALMATY,
            "collection": "building",
            "keys": [public(ALMATY)],
        },
        rows=3,
        chains=chains,
    )


def _chain(
    name: str, request: Envelope, city: str, schema: bytes, view: str, batches: Sequence[bytes]
) -> dict[str, Any]:
    chain = Chain.start(request.payload_hash, city, schema, view)
    values = [chain.value]
    for payload in batches:
        chain.add(payload)
        values.append(chain.value)
    return {
        "name": name,
        "request_hash": request.payload_hash.hex(),
        "city": city,
        "schema": schema.hex(),
        "view": view,
        "batches": [payload.hex() for payload in batches],
        "chain": [value.hex() for value in values],
    }


def _manifest_cases(stream: Stream) -> list[Case]:
    good = stream.manifest_value()

    def case(name: str, verdict: str, signer_of: str | None = None, **other: Any) -> Case:
        return reject(name, verdict, manifest=message(stream.sealed(replace(good, **other), signer_of)))

    refused = {"outcome": Outcome.REFUSED, "reason": "timed_out", "message": "too slow"}
    unknown = seal(PayloadType.MANIFEST, answers.encode_manifest(good) + number(99, 1), signer(ALMATY))
    head = Head(stream.request_hash, ALMATY, 2, stream.chain.value)
    as_head = seal(PayloadType.HEAD, answers.encode_head(head), signer(ALMATY))
    unspecified = answers.encode_manifest(good) + number(6, 0)
    return [
        accept("what came", manifest=message(stream.sealed(good))),
        accept(
            "broken off by the city, which vouches for what came before",
            manifest=message(stream.sealed(replace(good, **refused))),
        ),
        case("signed by another city", "forged", TASHKENT),
        reject("a head in its place", "forged", manifest=message(as_head)),
        case("of another request", "chain_broken", request_hash=bytes(32)),
        case("of another federation", "chain_broken", federation="oas"),
        case("of another city", "chain_broken", city=TASHKENT),
        case("of another collection", "chain_broken", collection="facility"),
        case("another chain", "chain_broken", chain=changed(stream.chain.value, 0)),
        case("another view", "chain_broken", view="view-2"),
        case("one batch less", "chain_broken", batches=1),
        case("one row more", "chain_broken", rows=4),
        case("answered without a batch", "chain_broken", batches=0, rows=0),
        case("no data, but batches", "chain_broken", outcome=Outcome.NO_DATA),
        case("answered with a reason", "chain_broken", reason="quota"),
        case("refused without a reason", "chain_broken", outcome=Outcome.REFUSED),
        case("an outcome that is not a city's to state", "chain_broken", outcome=Outcome.UNREACHABLE),
        reject(
            "an unspecified outcome",
            "chain_broken",
            manifest=message(seal(PayloadType.MANIFEST, unspecified, signer(ALMATY))),
        ),
        reject("an unknown field", "chain_broken", manifest=message(unknown)),
        case("a hash that is too short", "chain_broken", request_hash=stream.request_hash[:31]),
    ]


# answer.json

ANSWER_ABOUT = (
    "A city's stream as it answered a query that it was asked directly: frames by name, and which of them make the"
    " stream of each case, in order. directory: the case of directory.json that says whose keys count."
)


def _answer_document() -> Document:
    asked = sign(query(2))
    frames_by_name, good = _recorded(asked)
    foreign, _ = _recorded(sign(query(3)), OTHER_BATCHES)
    for name in ("head 1", "batch 2", "manifest"):
        frames_by_name[f"{name} of another answer"] = foreign[name]
    return document(
        "A city's stream",
        ANSWER_ABOUT,
        _answer_cases(good),
        keys=keys(PARTNER, ALMATY, TASHKENT),
        directory="four cities",
        source=ALMATY,
        query=message(asked),
        request_hash=asked.payload_hash.hex(),
        collection="building",
        rows=6,
        frames={name: encoded(data) for name, data in frames_by_name.items()},
    )


def _recorded(asked: Envelope, batches: Batches = BATCHES) -> tuple[dict[str, bytes], list[str]]:
    """Frames by name, and the names of those that make the whole answer."""
    stream = Stream(ALMATY, asked)
    found = {"start": stream.start}
    for index, rows in enumerate(batches, start=1):
        found[f"batch {index}"] = stream.batch(batch(ALMATY, rows), len(rows))
        if index != 2:
            found[f"head {index}"] = stream.head()
    value = stream.manifest_value()
    found["manifest"] = stream.manifest(value)
    good = list(found)
    payload = frames.decode(found["batch 2"]).payload
    other_city = frames.Frame(TASHKENT, None, 2, 1, payload)
    found |= {
        "batch 2 with one bit changed": changed(found["batch 2"], -20),
        "batch 2 as number 3": frames.encode(frames.Frame(ALMATY, None, 3, 1, payload)),
        "batch 2 of one row more": frames.encode(frames.Frame(ALMATY, None, 2, 2, payload)),
        "batch 2 as of another city": frames.encode(other_city),
        "batch 3 as number 2": frames.encode(frames.Frame(ALMATY, None, 2, 3, frames.decode(found["batch 3"]).payload)),
        "batch 1 as number 2": frames.encode(frames.Frame(ALMATY, None, 2, 2, frames.decode(found["batch 1"]).payload)),
        "head 3 signed by another city": stream.head(TASHKENT),
        "manifest signed by another city": stream.manifest(value, TASHKENT),
        "manifest of other rows": stream.manifest(replace(value, rows=7)),
        "manifest of a narrowing": stream.manifest(replace(value, narrowing_hash=bytes(32))),
        "manifest of two batches": stream.manifest(replace(value, batches=2)),
        "refusal": stream.manifest(
            replace(value, outcome=Outcome.REFUSED, reason="policy_changed", message="the grant has ended")
        ),
        "coverage": block(2, ALMATY) + block(6, b""),
        "start and batch in one": stream.start + block(15, payload),
    }
    return found, good


def _answer_cases(good: list[str]) -> list[Case]:
    def case(name: str, stream: list[str], reason: str = "chain_broken") -> Case:
        return reject(name, reason, stream=stream)

    def instead(of: str, name: str) -> list[str]:
        return [name if item == of else item for item in good]

    def without(*names: str) -> list[str]:
        return [item for item in good if item not in names]

    def doubled(name: str) -> list[str]:
        at = good.index(name)
        return [*good[: at + 1], name, *good[at + 1 :]]

    first = ["start", "batch 1", "head 1"]
    return [
        accept("as it came", stream=good, outcome="answered"),
        accept("fewer heads", stream=without("head 3"), outcome="answered"),
        accept("broken off by the city", stream=instead("manifest", "refusal"), outcome="refused"),
        case("a bit of a batch is another", instead("batch 2", "batch 2 with one bit changed")),
        case("a batch is dropped", without("batch 2")),
        case("a batch is dropped and the next renumbered", [*first, "batch 3 as number 2", "head 3", "manifest"]),
        case("the last batch is dropped, with its head", without("batch 3", "head 3")),
        case("a batch is doubled", doubled("batch 2")),
        case("a batch is doubled and renumbered", [*first, "batch 2", "batch 2 as number 3", "head 3", "manifest"]),
        case("two batches have changed places", [*first, "batch 3", "batch 2", "head 3", "manifest"]),
        case(
            "two batches have changed places and numbers",
            [*first, "batch 3 as number 2", "batch 2 as number 3", "head 3", "manifest"],
        ),
        case("a batch stands in for another", instead("batch 2", "batch 1 as number 2")),
        case("a batch of another answer is spliced in", instead("batch 2", "batch 2 of another answer")),
        case("a head of another answer", instead("head 1", "head 1 of another answer")),
        case("a manifest of another answer", instead("manifest", "manifest of another answer")),
        case("a batch is given to another city", instead("batch 2", "batch 2 as of another city")),
        case("a batch counts a row more", instead("batch 2", "batch 2 of one row more")),
        case("a batch before the start", ["batch 1", *without("batch 1")]),
        case("a head before the start", ["head 1", *without("head 1")]),
        case("two starts", doubled("start")),
        case("a start that is a batch too", ["start and batch in one", *good[1:]]),
        case("a head twice, for other batches", [*good[:4], "head 1", *good[4:]]),
        case("a head signed by another city", instead("head 3", "head 3 signed by another city"), "forged"),
        case("a manifest signed by another city", instead("manifest", "manifest signed by another city"), "forged"),
        case("a manifest of other rows", instead("manifest", "manifest of other rows")),
        case("a manifest of fewer batches", instead("manifest", "manifest of two batches")),
        case("a manifest of a narrowing, though no gateway was asked", instead("manifest", "manifest of a narrowing")),
        case("two manifests", [*good, "manifest"]),
        case("a refusal after the manifest", [*good, "refusal"]),
        case("a batch after the manifest", [*good, "batch 1"]),
        case("a city sends a coverage", ["coverage", *good]),
        case("no manifest", without("manifest"), "truncated"),
        case("cut after the first head", first, "truncated"),
        case("nothing", [], "truncated"),
    ]
