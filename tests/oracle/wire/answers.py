"""Whole answers: a city's or a gateway's stream, the coverage, and the receipt that is left of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.wire.directory import TOLERANCE, Directory, read_directory
from tests.oracle.wire.encoding import Refused, hashed, sha256
from tests.oracle.wire.envelopes import TYPE, hash_of, open_envelope
from tests.oracle.wire.log import Asked, Logged, read_log_part
from tests.oracle.wire.messages import BY_CITY, COVERAGE, MANIFEST, NARROWING, QUERY, RECEIPT, REQUESTS
from tests.oracle.wire.streams import City, check_manifest, outcome_of, read_frame, read_manifest


@dataclass
class Answer:
    """The cities that spoke, their batches in the order of arrival, and the coverage where a gateway was asked.

    ``logged``: of a receipt, whose decisions are shown to be in their logs.
    """

    cities: dict[str, City] = field(default_factory=dict)
    batches: list[tuple[str, bytes]] = field(default_factory=list)
    coverage: dict[str, Any] | None = None
    logged: dict[str, Logged] = field(default_factory=dict)


def read_answer(
    messages: Iterable[bytes],
    source: str,
    directory: Directory,
    request_hash: bytes,
    collection: str,
    addressed: Sequence[str] = (),
) -> Answer:
    """Of all messages of a stream. ``source``: the gateway or city that was asked; ``addressed``: Query.cities."""
    answer, total = Answer(), list[bytes]()
    direct = source not in directory.gateways
    for message in messages:
        frame = read_frame(message)
        name = frame["city"]
        if answer.coverage is not None:
            raise Refused("chain_broken", "more came after the coverage")
        if name == source and not direct:
            if frame["part"] == "coverage":
                answer.coverage = _settle(frame["coverage"], source, directory, request_hash, answer.cities, total)
            else:
                _add_total(total, frame)
            continue
        if name not in directory.members or (name != source if direct else addressed and name not in addressed):
            raise Refused("chain_broken", f"{name} was not asked")
        city = answer.cities.get(name)
        if city is None:
            city = City(name, directory.members[name], request_hash, directory.federation, collection)
            answer.cities[name] = city
        city.take(frame)
        if frame["payload"]:
            answer.batches.append((name, frame["payload"]))
    _check_end(answer, source, direct)
    return answer


def _add_total(total: list[bytes], frame: Mapping[str, Any]) -> None:
    """What is hashed of the gateway's total: the schema, then the hash of each batch."""
    if frame["part"] == "start" and not total and not frame["payload"]:
        total.append(frame["start"]["schema"])
    elif not frame["part"] and total and frame["index"] == len(total):
        total.append(sha256(frame["payload"]))
    else:
        raise Refused("chain_broken", "that part is not a gateway's to send")


def _check_end(answer: Answer, source: str, direct: bool) -> None:
    if not direct:
        if answer.coverage is None:
            raise Refused("truncated", "no coverage")
        return
    if source not in answer.cities:
        raise Refused("truncated", "nothing came")
    if answer.cities[source].finish()["narrowing_hash"]:
        raise Refused("chain_broken", "it was asked directly, but names a narrowing")


def _settle(
    envelope: Mapping[str, Any],
    gateway: str,
    directory: Directory,
    request_hash: bytes,
    cities: Mapping[str, City],
    total: Sequence[bytes] | None,
) -> dict[str, Any]:
    """The coverage against what the cities signed. ``total`` is None where its parts are not at hand."""
    payload = open_envelope(envelope, TYPE.format("coverage"), directory.gateways.get(gateway, ()))
    coverage = COVERAGE.read(payload)
    told = coverage["request_hash"], coverage["federation"], coverage["gateway"], coverage["directory_version"]
    if told != (request_hash, directory.federation, gateway, directory.version):
        raise mismatch("of another request, gateway or directory")
    if sorted(line["city"] for line in coverage["cities"]) != sorted(directory.members):
        raise mismatch("it does not list every member once")
    narrowing = NARROWING.read(coverage["narrowing"])
    if narrowing != {"request_hash": request_hash, "gateway": gateway, "passed": []}:
        raise mismatch("another narrowing")
    for line in coverage["cities"]:
        line["outcome"] = outcome_of(line["outcome"])
        _check_line(line, cities.get(line["city"]), sha256(coverage["narrowing"]))
    if total is not None and coverage["total_hash"] != (hashed("cimfed/total/v1", *total) if total else b""):
        raise mismatch("another total")
    return coverage


def _check_line(line: Mapping[str, Any], city: City | None, narrowing_hash: bytes) -> None:
    if city is None or city.manifest is None:
        if line["outcome"] in BY_CITY:
            raise mismatch(f"{line['city']}: no manifest was passed on")
        if city is not None and line["outcome"] in ("ruled_out", "unreachable"):
            raise mismatch(f"{line['city']} sent a part of an answer")
        return
    manifest = city.manifest
    for name in ("outcome", "reason", "message"):
        if line[name] != manifest[name]:
            raise mismatch(f"{line['city']}: another {name} than its manifest")
    if line["manifest_hash"] != city.manifest_hash or manifest["narrowing_hash"] != narrowing_hash:
        raise mismatch(f"{line['city']}: another manifest or narrowing")


def mismatch(what: str) -> Refused:
    return Refused("coverage_mismatch", what)


def read_receipt(data: bytes, root: bytes, collection: str) -> Answer:
    """What a receipt proves: the answer as it was, but for the rows and the gateway's total."""
    try:
        receipt = RECEIPT.read(data)
    except Refused:
        raise Refused("bad_answer", "not a receipt") from None
    if receipt["version"] != 2:
        raise Refused("bad_answer", "another version")
    files = {item["path"]: item["content"] for item in receipt["files"]}
    try:
        directory = read_directory(files, root, _answered_at(receipt), expired_too=True)
    except Refused:
        raise Refused("forged", "its directory does not follow from the root") from None
    open_envelope(receipt["query"], TYPE.format("query"), [key for keys in directory.partners.values() for key in keys])
    request_hash = hash_of(receipt["query"])
    answer = Answer()
    for item in receipt["cities"]:
        name = item["city"]
        if name not in directory.members:
            raise mismatch(f"{name} is no member")
        city = City(name, directory.members[name], request_hash, directory.federation, collection)
        manifest = read_manifest(item["manifest"], city)
        if item["schema"]:
            city.start(item["schema"], manifest["view"])
        for batch_hash in item["batch_hashes"]:
            city.add(batch_hash)
        check_manifest(manifest, city)
        city.rows, city.manifest, city.manifest_hash = manifest["rows"], manifest, hash_of(item["manifest"])
        answer.cities[name] = city
    if not directory.issued - TOLERANCE <= _answered_at(receipt) < directory.expires + TOLERANCE:
        raise mismatch("the directory was not in force when it was answered")
    if receipt["coverage"] is None:
        if [city.manifest and city.manifest["narrowing_hash"] for city in answer.cities.values()] != [b""]:
            raise mismatch("not one city, asked directly")
        presenter = None
    else:
        presenter = COVERAGE.read(receipt["coverage"]["payload"])["gateway"]
        answer.coverage = _settle(receipt["coverage"], presenter, directory, request_hash, answer.cities, None)
    if receipt["log"]:
        _add_log(answer, receipt, _asked(receipt["query"], directory, presenter), directory)
    return answer


def _asked(query: Mapping[str, Any], directory: Directory, presenter: str | None) -> Asked:
    """``presenter`` is None where a city was asked directly."""
    (signature,) = query["signatures"]
    key_id, said = signature["key_id"], QUERY.read(query["payload"])
    (organisation,) = (name for name, keys in directory.partners.items() if key_id in map(sha256, keys))
    (kind,) = (kind for kind in REQUESTS if said[kind] is not None)
    return Asked(
        hash_of(query),
        key_id,
        organisation,
        presenter or organisation,
        kind,
        said["purpose"],
        said[kind]["collection"],
    )


def _add_log(answer: Answer, receipt: Mapping[str, Any], asked: Asked, directory: Directory) -> None:
    for part in receipt["log"]:
        name = part["city"]
        if name not in answer.cities or name in answer.logged:
            raise Refused("bad_answer", f"a part of the log of {name} too many")
        answer.logged[name] = read_log_part(part, answer.cities[name], asked, directory)


def _answered_at(receipt: Mapping[str, Any]) -> int:
    """By the gateway's clock, else by the clock of the one city; signatures are checked elsewhere."""
    if receipt["coverage"] is not None:
        return int(COVERAGE.read(receipt["coverage"]["payload"])["now"])
    return max((MANIFEST.read(item["manifest"]["payload"])["now"] for item in receipt["cities"]), default=0)
