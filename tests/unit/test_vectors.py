"""The vectors, read by cimfed's own code and, where bytes alone decide, by the plain reading in tests/oracle/wire."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cimfed.client.intake import Intake
from cimfed.client.receipts import verify_receipt
from cimfed.client.verify import Stale
from cimfed.errors import CimfedError
from cimfed.model.names import CityName, federation
from cimfed.model.routing import parse_routing
from cimfed.policy.payload import from_payload, salted_hash
from cimfed.query.check import check
from cimfed.query.expression import Box, Expression
from cimfed.query.query import Aggregate, Catalog, Query, Read
from cimfed.trust.answer import Asked, check_counts, open_manifest
from cimfed.trust.chain import Chain
from cimfed.trust.directory import Directory
from cimfed.trust.directory_format import parse
from cimfed.trust.envelope import Envelope, PayloadType, from_json, pre_authentication, verify
from cimfed.trust.hashing import digest
from cimfed.trust.keys import PublicKey
from cimfed.v1 import envelope_pb2
from cimfed.wire import frames
from cimfed.wire.answers import decode_manifest
from cimfed.wire.envelopes import from_message
from cimfed.wire.queries import decode_query
from cimfed_node.policies import read_policy
from tests.oracle.wire import encoding, envelopes, streams
from tests.oracle.wire.answers import read_answer, read_receipt
from tests.oracle.wire.messages import ENVELOPE

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors"
Case = dict[str, Any]


@cache
def load(name: str) -> dict[str, Any]:
    return json.loads((VECTORS / name).read_text("utf-8"))


def cases(*names: str, keep: Callable[[Case], bool] = lambda case: True) -> Any:
    """Parametrises by the cases of files."""
    found = [case for name in names for case in load(name)["cases"] if keep(case)]
    return pytest.mark.parametrize("case", found, ids=lambda case: case["name"])


def raw(value: str | list[list[Any]]) -> bytes:
    if isinstance(value, str):
        return bytes.fromhex(value)
    return b"".join(bytes.fromhex(part) * times for part, times in value)


def judge(case: Case, read: Callable[[], Any]) -> Any:
    """What ``read`` gives; the case's verdict must be the one that it comes to."""
    try:
        found = read()
    except (CimfedError, encoding.Refused) as error:
        assert (case["verdict"], case.get("reason")) == ("reject", error.reason), error
        return None
    assert case["verdict"] == "accept", found
    return found


def envelope_of(case: Case) -> Envelope:
    if "json" in case:
        return from_json(case["json"].encode(), 1 << 20)
    return from_message(envelope_pb2.Envelope.FromString(raw(case["bytes"])))


def public(texts: Iterable[str]) -> list[PublicKey]:
    return [PublicKey(bytes.fromhex(text)) for text in texts]


def test_the_vectors_are_what_make_vectors_makes() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_vectors"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_case_has_a_name_of_its_own_and_every_rejection_a_reason() -> None:
    for file in VECTORS.glob("*.json"):
        found = load(file.name)["cases"]
        assert len({case["name"] for case in found}) == len(found) > 0
        assert all(case["verdict"] == "accept" or case["reason"] for case in found)


# hash.json


def parts_of(case: Case) -> list[Any]:
    return [
        bytes.fromhex(part["hex"]) if "hex" in part else part.get("text", part.get("integer")) for part in case["parts"]
    ]


@cases("hash.json")
def test_hashes(case: Case) -> None:
    for made in (digest(case["domain"], parts_of(case)), encoding.hashed(case["domain"], *parts_of(case))):
        assert (made.hex() == case["hash"]) == (case["verdict"] == "accept")


# envelope.json


@cases("envelope.json")
def test_envelopes(case: Case) -> None:
    def read() -> bytes:
        envelope = envelope_of(case)
        verify(envelope, PayloadType(case["type"]), public(case["keys"]), case["threshold"])
        return envelope.payload

    payload = judge(case, read)
    assert payload is None or payload.hex() == case["payload"]
    if "pae" in case:
        assert pre_authentication(case["type"], payload).hex() == case["pae"]


@cases("envelope.json")
def test_envelopes_read_plainly(case: Case) -> None:
    def read() -> bytes:
        envelope = envelopes.of_json(case["json"]) if "json" in case else ENVELOPE.read(raw(case["bytes"]))
        keys = [bytes.fromhex(key) for key in case["keys"]]
        return envelopes.open_envelope(envelope, case["type"], keys, case["threshold"], reason="bad_signature")

    payload = judge(case, read)
    assert payload is None or payload.hex() == case["payload"]
    if "pae" in case:
        assert envelopes.pre_authentication(case["type"], payload).hex() == case["pae"]


# query.json


@cases("query.json")
def test_queries(case: Case) -> None:
    def read() -> Query:
        query = decode_query(raw(case["bytes"]))
        check(query, leave_unknown=True)
        return query

    query = judge(case, read)
    assert query is None or meaning(query) == case["query"]


def meaning(query: Query) -> dict[str, Any]:
    return {
        "federation": query.federation,
        "cities": list(query.cities),
        "purpose": query.purpose,
        "grants": dict(query.grants),
        "via": list(query.via),
        "issued": query.issued,
        "expires": query.expires,
        "nonce": query.nonce.hex(),
        **meaning_of_request(query.request),
    }


def meaning_of_request(request: Read | Aggregate | Catalog) -> dict[str, Any]:
    match request:
        case Read(collection, where, properties, compression):
            named = None if properties is None else list(properties)
            return {
                "read": {
                    "collection": collection,
                    "where": tree(where),
                    "properties": named,
                    "compression": compression,
                }
            }
        case Aggregate(collection, measures, group_by, where):
            return {
                "aggregate": {
                    "collection": collection,
                    "where": tree(where),
                    "group_by": list(group_by),
                    "measures": [[str(measure.function), measure.of] for measure in measures],
                }
            }
        case Catalog(collection):
            return {"catalog": {"collection": collection}}


def tree(node: Expression | None) -> Any:
    """A filter in the vectors' words."""
    match node:
        case None:
            return None
        case Box(xmin, ymin, xmax, ymax):
            return {"op": "box", "args": [xmin, ymin, xmax, ymax]}
        case _:
            return TREES[type(node).__name__](node)


def operand(value: Any) -> Any:
    if hasattr(value, "name"):
        return {"property": value.name}
    match value.value:
        case str(text):
            return text
        case bool(truth):
            return truth
        case moment if hasattr(moment, "isoformat"):
            return {"timestamp": moment.isoformat().replace("+00:00", "Z")}
        case number:
            return {"number": format(number, "f")}


TREES: dict[str, Callable[[Any], Any]] = {
    "Comparison": lambda node: {"op": str(node.op), "args": [operand(node.left), operand(node.right)]},
    "In": lambda node: {"op": "in", "args": [operand(node.item), [operand(value) for value in node.values]]},
    "Between": lambda node: {"op": "between", "args": [operand(node.item), operand(node.low), operand(node.high)]},
    "IsNull": lambda node: {"op": "isNull", "args": [operand(node.item)]},
    "Not": lambda node: {"op": "not", "args": [tree(node.item)]},
    "And": lambda node: {"op": "and", "args": [tree(item) for item in node.items]},
    "Or": lambda node: {"op": "or", "args": [tree(item) for item in node.items]},
}


# frame.json


@cases("frame.json")
def test_frames(case: Case) -> None:
    frame = judge(case, lambda: frames.decode(raw(case["bytes"])))
    if frame is None:
        return
    fields = case["fields"]
    assert (frame.index, frame.city, frame.rows) == (fields["index"], fields["city"], fields["rows"])
    assert ("" if frame.part is None else type(frame.part).__name__.lower()) == fields["part"]
    check_payload(bytes(frame.payload), fields)
    if isinstance(frame.part, frames.Start):
        assert {"schema": frame.part.schema.hex(), "view": frame.part.view} == fields["start"]
    elif frame.part is not None:
        envelope = frame.part.envelope
        found = {"payload_type": envelope.payload_type, "payload": envelope.payload.hex()}
        assert found == fields[fields["part"]]


@cases("frame.json")
def test_frames_read_plainly(case: Case) -> None:
    frame = judge(case, lambda: streams.read_frame(raw(case["bytes"])))
    if frame is None:
        return
    fields = case["fields"]
    assert all(frame[name] == fields[name] for name in ("index", "city", "rows", "part"))
    check_payload(frame["payload"], fields)


def check_payload(payload: bytes, fields: dict[str, Any]) -> None:
    if "payload_bytes" in fields:
        assert len(payload) == fields["payload_bytes"]
    else:
        assert payload.hex() == fields["payload"]


# chain.json


@pytest.mark.parametrize("case", load("chain.json")["chains"], ids=lambda case: case["name"])
def test_chains(case: Case) -> None:
    request_hash, schema = bytes.fromhex(case["request_hash"]), bytes.fromhex(case["schema"])
    chain = Chain.start(request_hash, case["city"], schema, case["view"])
    plain = streams.City(case["city"], [], request_hash, "sco", "building")
    plain.start(schema, case["view"])
    values = [(chain.value.hex(), plain.chain.hex())]
    for batch in map(bytes.fromhex, case["batches"]):
        chain.add(batch)
        plain.add(encoding.sha256(batch))
        values.append((chain.value.hex(), plain.chain.hex()))
    assert values == [(value, value) for value in case["chain"]]


def first_chain() -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """What was asked, the first chain, and the request's hash."""
    document = load("chain.json")
    return document["asked"], document["chains"][0], bytes.fromhex(document["asked"]["request_hash"])


@cases("chain.json")
def test_manifests(case: Case) -> None:
    asked, first, request_hash = first_chain()
    chain = Chain.start(request_hash, first["city"], bytes.fromhex(first["schema"]), first["view"])
    for batch in first["batches"]:
        chain.add(bytes.fromhex(batch))
    city = CityName(asked["city"])
    bound = Asked(request_hash, federation("sco"), asked["collection"])
    envelope = from_message(envelope_pb2.Envelope.FromString(bytes.fromhex(case["manifest"])))

    def read() -> bool:
        manifest = open_manifest(bound, city, tuple(public(asked["keys"])), envelope, decode_manifest)
        check_counts(manifest, chain, first["view"])
        return counted(manifest.rows)

    judge(case, read)


@cases("chain.json")
def test_manifests_read_plainly(case: Case) -> None:
    asked, first, request_hash = first_chain()
    keys = [bytes.fromhex(key) for key in asked["keys"]]
    city = streams.City(asked["city"], keys, request_hash, asked["federation"], asked["collection"])
    city.start(bytes.fromhex(first["schema"]), first["view"])
    for batch in first["batches"]:
        city.add(encoding.sha256(bytes.fromhex(batch)))

    def read() -> bool:
        manifest = streams.read_manifest(ENVELOPE.read(bytes.fromhex(case["manifest"])), city)
        streams.check_manifest(manifest, city)
        return counted(manifest["rows"])

    judge(case, read)


def counted(rows: int) -> bool:
    """The manifest alone does not say how many rows came."""
    if rows != load("chain.json")["rows"]:
        raise encoding.Refused("chain_broken", "it counts other rows")
    return True


# answer.json, coverage.json


def directory_file(name: str) -> tuple[bytes, str]:
    (found,) = (case for case in load("directory.json")["cases"] if case["name"] == name)
    return found["json"].encode(), found["registrar"]


def directory(name: str) -> Directory:
    content, registrar = directory_file(name)
    return parse(content, PublicKey(bytes.fromhex(registrar)), now=0)


def read_whole(document: dict[str, Any], asked: dict[str, Any], stream: list[str]) -> Intake:
    """The answer as the client reads it, with no newer directory to be had."""
    envelope = from_message(envelope_pb2.Envelope.FromString(bytes.fromhex(asked["query"])))
    query = decode_query(envelope.payload)
    listed = directory(document["directory"])
    intake = Intake(query, envelope, document["source"], listed)
    intake.put(frames.decode(bytes.fromhex(document["frames"][name])) for name in stream)
    try:
        intake.take(query.issued)
    except Stale:
        intake.renew(listed)
        intake.take(query.issued)
    intake.finish()
    return intake


def read_whole_plainly(document: dict[str, Any], asked: dict[str, Any], stream: list[str]) -> Any:
    content, registrar = directory_file(document["directory"])
    listed = envelopes.read_directory(content, bytes.fromhex(registrar))
    messages = [bytes.fromhex(document["frames"][name]) for name in stream]
    return read_answer(
        messages, document["source"], listed, bytes.fromhex(asked["request_hash"]), document["collection"]
    )


@cases("answer.json")
def test_a_citys_stream(case: Case) -> None:
    document = load("answer.json")
    intake = judge(case, lambda: read_whole(document, document, case["stream"]))
    if intake is not None:
        (line,) = intake.coverage
        assert (str(line.outcome), line.rows) == (case["outcome"], 6 if case["outcome"] == "answered" else 0)


@cases("answer.json")
def test_a_citys_stream_read_plainly(case: Case) -> None:
    document = load("answer.json")
    answer = judge(case, lambda: read_whole_plainly(document, document, case["stream"]))
    if answer is not None:
        assert answer.cities[document["source"]].rows == document["rows"]
        assert answer.cities[document["source"]].manifest["outcome"] == case["outcome"]


@cases("coverage.json")
def test_a_gateways_stream(case: Case) -> None:
    document = load("coverage.json")
    intake = judge(case, lambda: read_whole(document, document["queries"][case["query"]], case["stream"]))
    if intake is not None:
        assert {line.city: str(line.outcome) for line in intake.coverage} == case["outcomes"]


@cases("coverage.json", keep=lambda case: not (case.get("routing") or case.get("adding_up")))
def test_a_gateways_stream_read_plainly(case: Case) -> None:
    document = load("coverage.json")
    answer = judge(case, lambda: read_whole_plainly(document, document["queries"][case["query"]], case["stream"]))
    if answer is not None:
        assert {line["city"]: line["outcome"] for line in answer.coverage["cities"]} == case["outcomes"]


# directory.json, routing.json, policy.json


@cases("directory.json")
def test_directories(case: Case) -> None:
    registrar = PublicKey(bytes.fromhex(case["registrar"]))
    found = judge(case, lambda: parse(case["json"].encode(), registrar, case["now"]))
    if found is not None:
        assert (found.version, sorted(found.members)) == (case["version"], case["members"])


@cases("routing.json")
def test_routing_entries(case: Case) -> None:
    def read() -> Any:
        envelope = from_json(case["json"].encode(), 1 << 20)
        verify(envelope, PayloadType.ROUTING, public(case["stewards"]))
        entry = parse_routing(envelope.payload)
        if entry.city != case["city"]:
            raise encoding.Refused("bad_directory", "another city's")
        assert envelope.payload.decode() == case["payload"]
        return entry

    judge(case, read)


@cases("policy.json")
def test_policies(case: Case) -> None:
    def read() -> Any:
        return read_policy(case["json"].encode(), CityName(case["city"]), tuple(public(case["stewards"])), "policy")

    signed = judge(case, read)
    if signed is not None:
        assert signed.envelope.payload.decode() == case["payload"]
        if "salted" in case:
            assert salted_hash(from_payload(signed.envelope.payload), signed.envelope.payload).hex() == case["salted"]


@cases("directory.json", "routing.json", "policy.json", keep=lambda case: case["verdict"] == "accept")
def test_signed_documents_read_plainly(case: Case) -> None:
    kind = "policy" if "salted" in case or "policy" in case.get("payload", "")[:400] else "routing"
    if "registrar" in case:
        listed = envelopes.read_directory(case["json"].encode(), bytes.fromhex(case["registrar"]))
        assert sorted(listed.members) == case["members"]
        return
    envelope = envelopes.of_json(case["json"])
    expected = next(
        name for name in ("routing", "policy") if envelopes.JSON_TYPE.format(name) == envelope["payload_type"]
    )
    keys = [bytes.fromhex(key) for key in case["stewards"]]
    payload = envelopes.open_envelope(envelope, envelopes.JSON_TYPE.format(expected), keys)
    assert payload.decode() == case["payload"]
    assert kind


# receipt*.json


def receipt_bytes(case: Case, file: str) -> bytes:
    if "base64" in case:
        return base64.b64decode(case["base64"])
    (base,) = (other for other in load(file)["cases"] if other["name"] == case["of"])
    data = receipt_bytes(base, file)
    for at, removed, put in case["edits"]:
        data = data[:at] + bytes.fromhex(put) + data[at + removed :]
    return data


RECEIPTS = [(file.name, case) for file in sorted(VECTORS.glob("receipt*.json")) for case in load(file.name)["cases"]]


@pytest.mark.parametrize(("file", "case"), RECEIPTS, ids=[case["name"] for _, case in RECEIPTS])
def test_receipts(file: str, case: Case) -> None:
    report = judge(case, lambda: verify_receipt(receipt_bytes(case, file), PublicKey(bytes.fromhex(case["registrar"]))))
    if report is not None:
        proves = case["proves"]
        assert (report.organisation, report.coverage.rows) == (proves["organisation"], proves["rows"])
        assert {line.city: str(line.outcome) for line in report.coverage} == proves["outcomes"]


@pytest.mark.parametrize(("file", "case"), RECEIPTS, ids=[case["name"] for _, case in RECEIPTS])
def test_receipts_read_plainly(file: str, case: Case) -> None:
    answer = judge(
        case,
        lambda: read_receipt(receipt_bytes(case, file), bytes.fromhex(case["registrar"]), case["collection"]),
    )
    if answer is not None:
        assert sum(city.rows for city in answer.cities.values()) == case["proves"]["rows"]
