"""receipt.json: what is left of the answers of coverage.json, and of a city that was asked directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import Message

from cimfed.trust.directory.layout import ROOT, metadata_file, partners_bin
from cimfed.trust.hashing import sha256
from cimfed.v1 import receipt_pb2
from cimfed.wire.envelopes import to_message
from cimfed.wire.receipts import CityReceipt, Receipt, encode_receipt
from vectorgen.coverages import CITIES, Read, outcomes_of
from vectorgen.directories import OTHER_ROOT
from vectorgen.forms import Case, Document, accept, block, changed, document, edit, encoded, number, reject
from vectorgen.parties import ALMATY, DELHI, PARTNER, TASHKENT
from vectorgen.repository import Files, directory
from vectorgen.streams import BATCHES, SCHEMA_MESSAGE, Stream, batch, query, sign

ABOUT = (
    "Receipts, and the root that they are checked from. They hold the directory of their day, so they verify for ever:"
    " a case of a release is never changed."
)
GATEWAYS, ONE = "release 0.1: four cities through a gateway", "release 0.1: one city, asked directly"


def documents() -> dict[str, Document]:
    read = Read()
    cases = _cases(through_gateway(read), _direct(_of_partner(directory(ALMATY))), outcomes_of(read.lines))
    root = directory()[metadata_file(ROOT, 1)].decode()
    return {"receipt.json": document("Receipts", ABOUT, cases, root=root, collection="building")}


def _of_partner(files: Files) -> Files:
    """Of the bins of partners the one of whom asked."""
    bin_of = partners_bin(PARTNER).removeprefix("partners/")
    return {path: data for path, data in files.items() if "/partners/" not in path or path.endswith(f".{bin_of}")}


def through_gateway(read: Read) -> Receipt:
    """Of the read of coverage.json."""
    endings = read.endings
    parts = (
        CityReceipt(ALMATY, SCHEMA_MESSAGE, (sha256(read.first),), endings[ALMATY].envelope),
        CityReceipt(DELHI, b"", (), endings[DELHI].envelope),
        CityReceipt(TASHKENT, SCHEMA_MESSAGE, (), endings[TASHKENT].envelope),
    )
    return Receipt(read.asked, parts, read.whole, _of_partner(directory(*CITIES)))


def _cases(through: Receipt, direct: Receipt, outcomes: Mapping[str, str]) -> list[Case]:
    four, one = encode_receipt(through), encode_receipt(direct)

    def whole(name: str, data: bytes, proved: Mapping[str, str]) -> Case:
        proves = {"organisation": PARTNER, "rows": 2, "outcomes": proved}
        return accept(name, bytes=encoded(data), proves=proves)

    def bad(name: str, reason: str, of: str, at: int, removed: int, put: bytes = b"", **other: Any) -> Case:
        change = edit(four if of == GATEWAYS else one, at, removed, put)
        return reject(name, reason, **other, of=of, edits=[change])

    def without(name: str, reason: str, of: str, part: bytes, put: bytes = b"") -> Case:
        data = four if of == GATEWAYS else one
        assert data.count(part) == 1
        return bad(name, reason, of, data.index(part), len(part), put)

    def field(number_of: int, message: Message) -> bytes:
        return block(number_of, message.SerializeToString())

    parsed, alone = (receipt_pb2.Receipt.FromString(data) for data in (four, one))
    other_query = to_message(sign(query(9)))
    batch_hash = through.cities[0].batch_hashes[0]
    signature = direct.query.signatures[0].signature
    return [
        whole(GATEWAYS, four, outcomes),
        whole(ONE, one, {ALMATY: "answered"}),
        bad("another root", "forged", ONE, len(one), 0, b"", root=OTHER_ROOT),
        without("a file of the directory is left out", "forged", ONE, field(6, alone.files[-1])),
        without("the partner's bin is left out", "forged", ONE, field(6, _file(alone, partners_bin(PARTNER)))),
        without("another member", "forged", ONE, b"kz.almaty.example:7443", b"kz.almaty.example:7444"),
        without("another batch", "chain_broken", GATEWAYS, batch_hash, bytes(32)),
        without("a city is left out", "coverage_mismatch", GATEWAYS, field(3, parsed.cities[0])),
        without("the coverage is left out", "coverage_mismatch", GATEWAYS, field(4, parsed.coverage)),
        without("another query", "chain_broken", ONE, field(2, alone.query), field(2, other_query)),
        without("the query's signature does not hold", "forged", ONE, signature, changed(signature, 0)),
        bad("cut short", "bad_answer", ONE, len(one) - 1, 1),
        bad("an unknown field", "bad_answer", ONE, len(one), 0, number(9, 1)),
        bad("another version", "bad_answer", ONE, 0, 2, number(1, 1)),
    ]


def _file(receipt: receipt_pb2.Receipt, target: str) -> Message:
    folder, _, name = target.rpartition("/")
    (found,) = (file for file in receipt.files if f"/{folder}/" in file.path and file.path.endswith(f".{name}"))
    return found


def _direct(files: Files) -> Receipt:
    asked = sign(query(5))
    stream, payload = Stream(ALMATY, asked), batch(ALMATY, BATCHES[0])
    stream.batch(payload, 2)
    part = CityReceipt(ALMATY, SCHEMA_MESSAGE, (sha256(payload),), stream.sealed(stream.manifest_value()))
    return Receipt(asked, (part,), None, files)
