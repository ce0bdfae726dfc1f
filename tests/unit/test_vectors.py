"""The vectors, read by cimfed's own code. tests/unit/test_vectors_plainly.py reads them without it."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from cimfed.client.intake import Intake
from cimfed.client.logged import Logged
from cimfed.client.receipts import logged_in, verify_receipt
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
from cimfed.trust.directory import proof
from cimfed.trust.directory.listing import Directory, expired
from cimfed.trust.envelope import Envelope, PayloadType, from_json, pre_authentication, verify
from cimfed.trust.hashing import digest
from cimfed.trust.keys import PublicKey
from cimfed.v1 import envelope_pb2
from cimfed.wire import frames
from cimfed.wire.answers import decode_manifest
from cimfed.wire.envelopes import from_message
from cimfed.wire.queries import decode_query
from cimfed.wire.receipts import decode_receipt, encode_receipt
from cimfed_node.policies import read_policy
from tests.oracle.wire import encoding
from tests.oracle.wire.answers import read_receipt
from tests.unit.vectors import (
    RECEIPTS,
    ROOT,
    VECTORS,
    Case,
    cases,
    check_payload,
    counted,
    directory_files,
    directory_of,
    file_of,
    first_chain,
    judge,
    load,
    parts_of,
    pinned,
    raw,
    receipt_bytes,
)


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


def envelope_of(case: Case) -> Envelope:
    if "json" in case:
        return from_json(case["json"].encode(), 1 << 20)
    return from_message(envelope_pb2.Envelope.FromString(raw(case["bytes"])))


def public(texts: Iterable[str]) -> list[PublicKey]:
    return [PublicKey(bytes.fromhex(text)) for text in texts]


@cases("hash.json")
def test_hashes(case: Case) -> None:
    made = digest(case["domain"], parts_of(case)).hex()
    assert (made == case["hash"]) == (case["verdict"] == "accept")


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
        case Read(collection, where, properties, compression, original):
            named = None if properties is None else list(properties)
            return {
                "read": {
                    "collection": collection,
                    "where": tree(where),
                    "properties": named,
                    "compression": compression,
                    **({"original": True} if original else {}),
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


# chain.json


@pytest.mark.parametrize("case", load("chain.json")["chains"], ids=lambda case: case["name"])
def test_chains(case: Case) -> None:
    request_hash, schema = bytes.fromhex(case["request_hash"]), bytes.fromhex(case["schema"])
    chain = Chain.start(request_hash, case["city"], schema, case["view"])
    values = [chain.value.hex()]
    for batch in case["batches"]:
        chain.add(bytes.fromhex(batch))
        values.append(chain.value.hex())
    assert values == case["chain"]


@cases("chain.json")
def test_manifests(case: Case) -> None:
    asked, first, request_hash = first_chain()
    chain = Chain.start(request_hash, first["city"], bytes.fromhex(first["schema"]), first["view"])
    for batch in first["batches"]:
        chain.add(bytes.fromhex(batch))
    city = CityName(asked["city"])
    bound = Asked(request_hash, federation("sco"), asked["collection"])
    envelope = from_message(envelope_pb2.Envelope.FromString(base64.b64decode(case["manifest"])))

    def read() -> bool:
        manifest = open_manifest(bound, city, tuple(public(asked["keys"])), envelope, decode_manifest)
        check_counts(manifest, chain, first["view"])
        return counted(manifest.rows)

    judge(case, read)


# answer.json, coverage.json


def directory(name: str) -> Directory:
    return proof.read(directory_of(name), pinned(), load("directory.json")["now"])


def read_whole(document: dict[str, Any], asked: dict[str, Any], stream: list[str]) -> Intake:
    """The answer as the client reads it, with no newer directory to be had."""
    envelope = from_message(envelope_pb2.Envelope.FromString(base64.b64decode(asked["query"])))
    query = decode_query(envelope.payload)
    listed = directory(document["directory"])
    intake = Intake(query, envelope, document["source"], listed)
    intake.put(frames.decode(base64.b64decode(document["frames"][name])) for name in stream)
    try:
        intake.take(query.issued)
    except Stale:
        intake.renew(listed)
        intake.take(query.issued)
    intake.finish()
    return intake


@cases("answer.json")
def test_a_citys_stream(case: Case) -> None:
    document = load("answer.json")
    intake = judge(case, lambda: read_whole(document, document, case["stream"]))
    if intake is not None:
        (line,) = intake.coverage
        assert (str(line.outcome), line.rows) == (case["outcome"], 6 if case["outcome"] == "answered" else 0)


@cases("coverage.json")
def test_a_gateways_stream(case: Case) -> None:
    document = load("coverage.json")
    intake = judge(case, lambda: read_whole(document, document["queries"][case["query"]], case["stream"]))
    if intake is not None:
        assert {line.city: str(line.outcome) for line in intake.coverage} == case["outcomes"]


# directory.json, routing.json, policy.json


@cases("directory.json")
def test_directories(case: Case) -> None:
    def read() -> Directory:
        found = proof.read(directory_files(case), case["root"].encode(), case["now"], federation("sco"))
        if case["now"] >= found.expires:
            raise expired(found)
        return found

    found = judge(case, read)
    if found is not None:
        assert (found.version, list(found.members)) == (case["version"], case["members"])
        assert [name for name, member in found.members.items() if member.entry] == case["routed"]


@cases("routing.json")
def test_routing_entries(case: Case) -> None:
    def read() -> Any:
        envelope = from_json(file_of(case), 1 << 20)
        verify(envelope, PayloadType.ROUTING, public(case["stewards"]))
        entry = parse_routing(envelope.payload)
        if entry.city != case["city"]:
            raise encoding.Refused("bad_directory", "another city's")
        return entry

    judge(case, read)


@cases("policy.json")
def test_policies(case: Case) -> None:
    def read() -> Any:
        return read_policy(file_of(case), CityName(case["city"]), tuple(public(case["stewards"])), "policy")

    signed = judge(case, read)
    if signed is not None and "salted" in case:
        assert salted_hash(from_payload(signed.envelope.payload), signed.envelope.payload).hex() == case["salted"]


# receipt*.json


@pytest.mark.parametrize(("file", "case"), RECEIPTS, ids=[case["name"] for _, case in RECEIPTS])
def test_receipts(file: str, case: Case) -> None:
    report = judge(case, lambda: verify_receipt(receipt_bytes(case, file), case["root"].encode()))
    if report is not None:
        proves = case["proves"]
        assert (report.organisation, report.coverage.rows) == (proves["organisation"], proves["rows"])
        assert {line.city: str(line.outcome) for line in report.coverage} == proves["outcomes"]
        assert {city: logged_as(item) for city, item in report.logged.items()} == proves.get("logged", {})


def logged_as(item: Logged) -> dict[str, Any]:
    return {"origin": item.origin, "index": item.index, "size": item.size, "cosigned": sorted(item.cosigned)}


def test_both_readers_say_the_same_of_every_byte_of_a_log_part_that_is_changed() -> None:
    name, case = next(found for found in RECEIPTS if found[0] == "receipt-log.json")
    data, root = receipt_bytes(case, name), case["root"].encode()
    receipt, report = decode_receipt(data), verify_receipt(data, root)

    def check(changed: bytes) -> None:
        """What ``verify_receipt`` looks at, but for what is as it was."""
        found = decode_receipt(changed)
        if replace(found, log=()) != replace(receipt, log=()):
            verify_receipt(changed, root)
        logged_in(found, report.manifests, report.asking, report.directory)

    for at in range(len(encode_receipt(replace(receipt, log=()))), len(data)):
        changed = data[:at] + bytes([data[at] ^ (0x01, 0x20, 0x80)[at % 3]]) + data[at + 1 :]
        with pytest.raises(CimfedError) as error:
            check(changed)
        with pytest.raises(encoding.Refused) as plain:
            read_receipt(changed, root, case["collection"])
        assert plain.value.reason == error.value.reason, at
