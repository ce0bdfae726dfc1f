"""The vectors, read by docs/wire.md alone: ``tests.oracle.wire``, which knows nothing of cimfed."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.oracle.wire import encoding, envelopes, streams
from tests.oracle.wire.answers import read_answer, read_receipt
from tests.oracle.wire.directory import read_directory
from tests.oracle.wire.messages import ENVELOPE
from tests.unit.vectors import (
    RECEIPTS,
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


@cases("hash.json")
def test_hashes(case: Case) -> None:
    made = encoding.hashed(case["domain"], *parts_of(case)).hex()
    assert (made == case["hash"]) == (case["verdict"] == "accept")


@pytest.mark.parametrize("case", load("chain.json")["chains"], ids=lambda case: case["name"])
def test_chains(case: Case) -> None:
    city = streams.City(case["city"], [], bytes.fromhex(case["request_hash"]), "sco", "building")
    city.start(bytes.fromhex(case["schema"]), case["view"])
    values = [city.chain.hex()]
    for batch in case["batches"]:
        city.add(encoding.sha256(bytes.fromhex(batch)))
        values.append(city.chain.hex())
    assert values == case["chain"]


@cases("envelope.json")
def test_envelopes(case: Case) -> None:
    def read() -> bytes:
        envelope = envelopes.of_json(case["json"]) if "json" in case else ENVELOPE.read(raw(case["bytes"]))
        keys = [bytes.fromhex(key) for key in case["keys"]]
        return envelopes.open_envelope(envelope, case["type"], keys, case["threshold"], reason="bad_signature")

    payload = judge(case, read)
    assert payload is None or payload.hex() == case["payload"]
    if "pae" in case:
        assert envelopes.pre_authentication(case["type"], payload).hex() == case["pae"]


@cases("frame.json")
def test_frames(case: Case) -> None:
    frame = judge(case, lambda: streams.read_frame(raw(case["bytes"])))
    if frame is None:
        return
    fields = case["fields"]
    assert all(frame[name] == fields[name] for name in ("index", "city", "rows", "part"))
    check_payload(frame["payload"], fields)


@cases("chain.json")
def test_manifests(case: Case) -> None:
    asked, first, request_hash = first_chain()
    keys = [bytes.fromhex(key) for key in asked["keys"]]
    city = streams.City(asked["city"], keys, request_hash, asked["federation"], asked["collection"])
    city.start(bytes.fromhex(first["schema"]), first["view"])
    for batch in first["batches"]:
        city.add(encoding.sha256(bytes.fromhex(batch)))

    def read() -> bool:
        manifest = streams.read_manifest(ENVELOPE.read(base64.b64decode(case["manifest"])), city)
        streams.check_manifest(manifest, city)
        return counted(manifest["rows"])

    judge(case, read)


def read_whole_plainly(document: dict[str, Any], asked: dict[str, Any], stream: list[str]) -> Any:
    listed = read_directory(directory_of(document["directory"]), pinned(), load("directory.json")["now"])
    messages = [base64.b64decode(document["frames"][name]) for name in stream]
    return read_answer(
        messages, document["source"], listed, bytes.fromhex(asked["request_hash"]), document["collection"]
    )


@cases("answer.json")
def test_a_citys_stream(case: Case) -> None:
    document = load("answer.json")
    answer = judge(case, lambda: read_whole_plainly(document, document, case["stream"]))
    if answer is not None:
        assert answer.cities[document["source"]].rows == document["rows"]
        assert answer.cities[document["source"]].manifest["outcome"] == case["outcome"]


@cases("coverage.json", keep=lambda case: not (case.get("routing") or case.get("adding_up")))
def test_a_gateways_stream(case: Case) -> None:
    document = load("coverage.json")
    answer = judge(case, lambda: read_whole_plainly(document, document["queries"][case["query"]], case["stream"]))
    if answer is not None:
        assert {line["city"]: line["outcome"] for line in answer.coverage["cities"]} == case["outcomes"]


@cases("directory.json", keep=lambda case: not case.get("documents"))
def test_directories(case: Case) -> None:
    listed = judge(case, lambda: read_directory(directory_files(case), case["root"].encode(), case["now"]))
    if listed is not None:
        assert (listed.version, list(listed.members)) == (case["version"], case["members"])
        assert [name for name in listed.routed if name in listed.members] == case["routed"]


@cases("routing.json", "policy.json")
def test_signatures_of_documents(case: Case) -> None:
    kind = "policy" if "cimfed/policy/" in case["payload"] else "routing"
    envelope = envelopes.of_json(file_of(case).decode())
    signed = case["verdict"] == "accept" or case["reason"] != "bad_signature"
    try:
        envelopes.open_envelope(envelope, envelopes.JSON_TYPE.format(kind), list(map(bytes.fromhex, case["stewards"])))
    except encoding.Refused:
        assert not signed
    else:
        assert signed


@pytest.mark.parametrize(("file", "case"), RECEIPTS, ids=[case["name"] for _, case in RECEIPTS])
def test_receipts(file: str, case: Case) -> None:
    answer = judge(
        case,
        lambda: read_receipt(receipt_bytes(case, file), case["root"].encode(), case["collection"]),
    )
    if answer is not None:
        answered = [city.rows for city in answer.cities.values() if city.manifest["outcome"] == "answered"]
        assert sum(answered) == case["proves"]["rows"]
        found = {name: {**vars(item), "cosigned": list(item.cosigned)} for name, item in answer.logged.items()}
        assert found == case["proves"].get("logged", {})
