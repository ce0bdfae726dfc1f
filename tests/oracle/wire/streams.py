"""Frames, and one city's stream of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.wire.encoding import Refused, fields, hashed, sha256
from tests.oracle.wire.envelopes import TYPE, hash_of, open_envelope
from tests.oracle.wire.messages import FRAME, HEAD, MANIFEST, OUTCOMES, PARTS

FRAME_LIMIT = 4 * 1024 * 1024
UNSIGNED_LIMIT = 16 * 1024 * 1024 + 2 * FRAME_LIMIT
LEAST = 512  # bytes that any batch counts for
PAYLOAD = 15


def chain_start(request_hash: bytes, city: str, schema: bytes, view: str) -> bytes:
    return hashed("cimfed/chain/v1", request_hash, city, schema, view)


def chain_link(before: bytes, index: int, batch_hash: bytes) -> bytes:
    return hashed("cimfed/link/v1", before, index, batch_hash)


def read_frame(data: bytes) -> dict[str, Any]:
    """The fields of a frame, and as ``part`` the name of the part that is set, "" where none is."""
    if len(data) > FRAME_LIMIT:
        raise Refused("chain_broken", "a frame is too large")
    order = [number for number, _ in fields(data)]
    if PAYLOAD in order[:-1]:
        raise Refused("chain_broken", "something follows the payload")
    found = FRAME.read(data, strict=False)
    last = [FRAME.fields[number][0] for number in order if number in FRAME.fields]
    found["part"] = next((name for name in reversed(last) if name in PARTS), "")
    return found


@dataclass
class City:
    """Follows one city's stream. ``rows`` counts those under a signature; ``manifest`` is there at the end."""

    name: str
    keys: Sequence[bytes]
    request_hash: bytes
    federation: str
    collection: str
    schema: bytes | None = None
    view: str = ""
    chain: bytes = b""
    hashes: list[bytes] = field(default_factory=list)
    rows: int = 0
    manifest: dict[str, Any] | None = None
    manifest_hash: bytes = b""
    _waiting: int = 0  # rows
    _unsigned: int = 0  # bytes

    def take(self, frame: Mapping[str, Any]) -> None:
        if self.manifest is not None:
            raise self.broken("more came after the manifest")
        if frame["part"] and (frame["payload"] or frame["index"]):
            raise self.broken("a frame is both a part and a batch")
        match frame["part"]:
            case "start":
                self.start(frame["start"]["schema"], frame["start"]["view"])
            case "head":
                self._head(frame["head"])
            case "manifest":
                self._end(frame["manifest"])
            case "coverage":
                raise self.broken("a city sends no coverage")
            case _:
                self._batch(frame)

    def start(self, schema: bytes, view: str) -> None:
        if self.schema is not None:
            raise self.broken("it started twice")
        self.schema, self.view = schema, view
        self.chain = chain_start(self.request_hash, self.name, schema, view)

    def add(self, batch_hash: bytes) -> None:
        self.hashes.append(batch_hash)
        self.chain = chain_link(self.chain, len(self.hashes), batch_hash)

    def finish(self) -> dict[str, Any]:
        if self.manifest is None:
            raise Refused("truncated", f"{self.name}: no manifest")
        return self.manifest

    def broken(self, what: str) -> Refused:
        return Refused("chain_broken", f"{self.name}: {what}")

    def _batch(self, frame: Mapping[str, Any]) -> None:
        if self.schema is None or frame["index"] != len(self.hashes) + 1:
            raise self.broken("a batch is out of order")
        self._unsigned += max(len(frame["payload"]), LEAST)
        if self._unsigned > UNSIGNED_LIMIT:
            raise self.broken("no head came")
        self.add(sha256(frame["payload"]))
        self._waiting += frame["rows"]

    def _head(self, envelope: Mapping[str, Any]) -> None:
        head = HEAD.read(open_envelope(envelope, TYPE.format("head"), self.keys))
        told = head["request_hash"], head["city"], head["index"], head["chain"]
        if self.schema is None or told != (self.request_hash, self.name, len(self.hashes), self.chain):
            raise self.broken("a head is of other batches")
        self._release()

    def _end(self, envelope: Mapping[str, Any]) -> None:
        manifest = read_manifest(envelope, self)
        check_manifest(manifest, self)
        if manifest["rows"] != self.rows + self._waiting:
            raise self.broken("the manifest counts other rows")
        self._release()
        self.manifest, self.manifest_hash = manifest, hash_of(envelope)

    def _release(self) -> None:
        self.rows, self._waiting, self._unsigned = self.rows + self._waiting, 0, 0


def read_manifest(envelope: Mapping[str, Any], city: City) -> dict[str, Any]:
    """A manifest that is signed, bound to the request, and does not contradict itself."""
    manifest = MANIFEST.read(open_envelope(envelope, TYPE.format("manifest"), city.keys))
    outcome = manifest["outcome"] = outcome_of(manifest["outcome"])
    told = manifest["request_hash"], manifest["federation"], manifest["city"], manifest["collection"]
    if told != (city.request_hash, city.federation, city.name, city.collection):
        raise city.broken("its manifest is of another answer")
    batches, rows, reason = manifest["batches"], manifest["rows"], manifest["reason"]
    fits = {
        "answered": batches > 0 and not reason,
        "no_data": batches == rows == 0 and not reason,
        "refused": bool(reason),
    }
    if not fits.get(outcome, False):
        raise city.broken(f"its manifest cannot be one of outcome {outcome}")
    return manifest


def check_manifest(manifest: Mapping[str, Any], city: City) -> None:
    """Against the batches that came."""
    if manifest["batches"] != len(city.hashes):
        raise city.broken("the manifest counts other batches")
    if city.schema is not None and (manifest["chain"], manifest["view"]) != (city.chain, city.view):
        raise city.broken("the manifest signs other batches")


def outcome_of(number: int) -> str:
    if not 1 <= number < len(OUTCOMES):
        raise Refused("chain_broken", "an unknown outcome")
    return OUTCOMES[number]
