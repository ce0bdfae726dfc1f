"""Receipts: they verify from the directory's root alone, and no part of them can be changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cimfed.client.federation import Federation
from cimfed.client.receipts import verify_receipt
from cimfed.errors import BadAnswer, ChainBroken, CimfedError, CoverageMismatch, DataLoss, Forged
from cimfed.model.answer import Outcome
from cimfed.model.names import CityName
from cimfed.trust.directory import layout
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import KeySigner
from cimfed.v1 import receipt_pb2
from cimfed.wire import answers, frames
from cimfed.wire.receipts import Receipt, decode_receipt, encode_receipt
from tests.unit.cimfed.client.test_answer import totals_world, went_down
from tests.unit.cimfed.client.world import ALMATY, GATEWAY, NOW, QINGDAO, TASHKENT, Line, World, asker, connect, line_of


def receipt_of(world: World, **options: object) -> bytes:
    with connect(world) as fed:
        answer = fed.read("building", where="height > 1", purpose="research", **options)  # type: ignore[arg-type]
        answer.to_table()
        return answer.receipt


def test_a_receipt_says_who_asked_what_and_who_answered() -> None:
    world = World()
    report = verify_receipt(receipt_of(world), world.root)
    assert report.organisation == "inst.tsinghua"
    assert report.query.purpose == "research"
    assert report.coverage.rows == 62
    assert report.coverage[ALMATY].masks == {"height": "band(5)"}
    assert report.answered_at == NOW + 2000
    assert "kz.almaty" in str(report)


def with_terms(world: World, city: CityName, **terms: str) -> None:
    said = {f"cimfed:{word}".encode(): text.encode() for word, text in terms.items()}
    own = world.cities[city]
    own.batches = [batch.replace_schema_metadata(said) for batch in own.batches]


def test_a_receipt_proves_the_terms_under_which_rows_were_given() -> None:
    world = World()
    with_terms(world, QINGDAO, licence="CC-BY-4.0", attribution="the city", vertical="Yellow Sea 1985")
    receipt = decode_receipt(receipt_of(world))
    line = verify_receipt(encode_receipt(receipt), world.root).coverage[QINGDAO]
    assert (line.licence, line.attribution, line.vertical) == ("CC-BY-4.0", "the city", "Yellow Sea 1985")
    (other,) = (item for item in receipt.cities if item.city == QINGDAO)
    cheaper = replace(other, schema=other.schema.replace(b"CC-BY-4.0", b"CC0-1.0 \x20"))
    changed = replace(receipt, cities=tuple(cheaper if item is other else item for item in receipt.cities))
    with pytest.raises(ChainBroken, match=QINGDAO):
        verify_receipt(encode_receipt(changed), world.root)


def test_terms_are_short_lines_whatever_a_city_says() -> None:
    world = World()
    with_terms(world, QINGDAO, licence="\x1b[31mred\n" + "x" * 10_000)
    with connect(world) as fed:
        answer = fed.read("building", purpose="research")
        answer.to_table()
    assert answer.coverage[QINGDAO].licence == " [31mred " + "x" * 1991
    assert answer.coverage[ALMATY].licence == ""


def test_a_receipt_is_good_after_the_directory_has_changed() -> None:
    world = World()
    receipt = receipt_of(world)
    before = world.directory.version
    world.cities[ALMATY].key = KeySigner.generate()
    world.publish(without=QINGDAO)
    assert verify_receipt(receipt, world.root).directory_version == before


def test_receipts_of_refusals_ruled_out_and_unreachable_cities() -> None:
    world = World()
    world.cities[QINGDAO].refusal = "not_granted"
    with connect(world, went_down(TASHKENT)) as fed:  # type: ignore[arg-type]
        answer = fed.read("building", purpose="research", bbox=(60, 30, 180, 60))
        answer.to_table()
    coverage = verify_receipt(answer.receipt, world.root).coverage
    assert [(line.city, line.outcome, line.word) for line in coverage] == [
        (QINGDAO, Outcome.REFUSED, "city"),
        (ALMATY, Outcome.ANSWERED, "city"),
        (TASHKENT, Outcome.UNREACHABLE, "gateway"),
    ]


def test_a_receipt_of_an_aggregate() -> None:
    world = totals_world()
    with connect(world) as fed:
        answer = fed.aggregate("building", ["count", "mean:height", "max:height"], by=["function"], purpose="research")
        answer.to_table()
    assert verify_receipt(answer.receipt, world.root).coverage.complete


def test_a_receipt_of_a_city_asked_directly() -> None:
    world = World()

    def respond(request: bytes) -> list[bytes]:
        query = world.answer(request).query
        return [frames.encode(frame) for frame in world.cities[ALMATY].stream(query)]

    with Federation(asker(world, Line(respond, world.directory), source=ALMATY)) as fed:
        answer = fed.read("building", purpose="research")
        answer.to_table()
    report = verify_receipt(answer.receipt, world.root)
    assert [line.city for line in report.coverage] == [ALMATY]


def of(receipt: Receipt, city: str) -> int:
    return next(at for at, item in enumerate(receipt.cities) if item.city == city)


def change_city(receipt: Receipt, city: str, **changes: object) -> Receipt:
    cities = list(receipt.cities)
    at = of(receipt, city)
    cities[at] = replace(cities[at], **changes)  # type: ignore[arg-type]
    return replace(receipt, cities=tuple(cities))


def flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def change_files(receipt: Receipt, change: Callable[[bytes], bytes]) -> Receipt:
    return replace(receipt, directory={path: change(content) for path, content in receipt.directory.items()})


def flip_payload(envelope: Envelope) -> Envelope:
    return replace(envelope, payload=flip(envelope.payload))


def coverage_without(world: World, receipt: Receipt) -> Receipt:
    """The gateway itself rewrites history: a city that answered is gone from its newly signed coverage."""
    assert receipt.coverage is not None
    coverage = answers.decode_coverage(receipt.coverage.payload)
    changed = replace(coverage, cities=tuple(line for line in coverage.cities if line.city != ALMATY))
    return replace(
        receipt,
        cities=tuple(item for item in receipt.cities if item.city != ALMATY),
        coverage=seal(PayloadType.COVERAGE, answers.encode_coverage(changed), world.gateway),
    )


def later(world: World, receipt: Receipt) -> Receipt:
    assert receipt.coverage is not None
    coverage = answers.decode_coverage(receipt.coverage.payload)
    sealed = answers.encode_coverage(replace(coverage, now=NOW + 400 * 86_400_000_000))
    return replace(receipt, coverage=seal(PayloadType.COVERAGE, sealed, world.gateway))


TAMPERED: dict[str, tuple[Callable[[World, Receipt], Receipt], type[CimfedError]]] = {
    "query": (lambda world, receipt: replace(receipt, query=flip_payload(receipt.query)), Forged),
    "query by another": (
        lambda world, receipt: replace(
            receipt, query=seal(PayloadType.QUERY, receipt.query.payload, KeySigner.generate())
        ),
        Forged,
    ),
    "manifest": (
        lambda world, receipt: change_city(
            receipt, ALMATY, manifest=flip_payload(receipt.cities[of(receipt, ALMATY)].manifest)
        ),
        Forged,
    ),
    "manifest of another city": (
        lambda world, receipt: change_city(receipt, ALMATY, manifest=receipt.cities[of(receipt, QINGDAO)].manifest),
        Forged,
    ),
    "batch hash": (
        lambda world, receipt: change_city(
            receipt,
            ALMATY,
            batch_hashes=(bytes(32), *receipt.cities[of(receipt, ALMATY)].batch_hashes[1:]),
        ),
        ChainBroken,
    ),
    "batch hash dropped": (
        lambda world, receipt: change_city(
            receipt, ALMATY, batch_hashes=receipt.cities[of(receipt, ALMATY)].batch_hashes[1:]
        ),
        ChainBroken,
    ),
    "schema": (
        lambda world, receipt: change_city(receipt, ALMATY, schema=receipt.cities[of(receipt, QINGDAO)].schema),
        ChainBroken,
    ),
    "city dropped": (
        lambda world, receipt: replace(receipt, cities=tuple(item for item in receipt.cities if item.city != ALMATY)),
        CoverageMismatch,
    ),
    "city twice": (
        lambda world, receipt: replace(receipt, cities=(*receipt.cities, receipt.cities[0])),
        BadAnswer,
    ),
    "coverage": (lambda world, receipt: replace(receipt, coverage=flip_payload(receipt.coverage)), Forged),  # type: ignore[arg-type]
    "coverage dropped": (lambda world, receipt: replace(receipt, coverage=None), CoverageMismatch),
    "coverage rewritten": (coverage_without, CoverageMismatch),
    "coverage out of the directory's time": (later, CoverageMismatch),
    "directory": (lambda world, receipt: change_files(receipt, flip), Forged),
    "directory of another version": (
        lambda world, receipt: replace(receipt, directory=world.publish().files),
        CoverageMismatch,
    ),
    "directory of another federation's board": (
        lambda world, receipt: replace(receipt, directory=World().directory.files),
        Forged,
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_receipt_does_not_verify(name: str) -> None:
    tamper, error = TAMPERED[name]
    world = World()
    receipt = tamper(world, decode_receipt(receipt_of(world)))
    with pytest.raises(error):
        verify_receipt(encode_receipt(receipt), world.root)


def test_each_file_of_the_directory_but_a_citys_own_is_needed_as_it_is() -> None:
    world = World()
    receipt = decode_receipt(receipt_of(world))
    pinned = layout.metadata_file(layout.ROOT, 1)
    for path in receipt.directory:
        others = {other: content for other, content in receipt.directory.items() if other != path}
        for directory in (others, {**others, path: flip(receipt.directory[path])}):
            changed = encode_receipt(replace(receipt, directory=directory))
            if path == pinned or any(city in path for city in world.cities):
                assert verify_receipt(changed, world.root).coverage.rows == 62  # nothing was ruled out by it
            else:
                with pytest.raises(Forged):
                    verify_receipt(changed, world.root)


def test_a_receipt_has_the_partners_that_may_have_asked_and_no_others() -> None:
    world = World()
    bins = [path for path in decode_receipt(receipt_of(world)).directory if path.startswith("targets/partners/")]
    assert len(world.directory.files) - len(decode_receipt(receipt_of(world)).directory) == 15
    (content,) = (world.directory.files[path] for path in bins)
    assert b"inst.tsinghua" in content


def test_another_root_vouches_for_nothing() -> None:
    with pytest.raises(Forged, match="does not verify"):
        verify_receipt(receipt_of(World()), World().root)


def test_what_was_revoked_when_it_answered_counts_for_nothing_and_later_changes_nothing() -> None:
    world = World()
    before = receipt_of(world)
    world.directory = world.board.revoke(world.access.public.id.hex(), "stolen")
    verify_receipt(before, world.root)
    receipt = replace(decode_receipt(before), directory=world.directory.files)
    with pytest.raises(Forged, match="not signed by an access key"):
        verify_receipt(encode_receipt(receipt), world.root)


@pytest.mark.parametrize("data", [b"", b"no receipt", bytes(100)])
def test_what_is_no_receipt_is_refused(data: bytes) -> None:
    with pytest.raises(BadAnswer):
        verify_receipt(data, World().root)


@pytest.mark.parametrize("part", ["query", "cities", "coverage", "files", "log"])
def test_a_field_that_nobody_knows_is_found_in_every_part(part: str) -> None:
    world = World()
    receipt = receipt_pb2.Receipt.FromString(receipt_of(world))
    found = getattr(receipt, part)
    if part == "log":
        found.add(city=ALMATY)
    (found if part in ("query", "coverage") else found[0]).MergeFromString(b"\x98\x06\x01")  # field 99
    with pytest.raises(BadAnswer, match="version"):
        verify_receipt(receipt.SerializeToString(), world.root)


def test_no_bit_of_a_receipt_can_be_flipped_unnoticed() -> None:
    """All that a receipt holds is signed or hashed; what protobuf leaves open (field order) does not matter."""
    world = World()
    receipt = receipt_of(world)
    expected = str(verify_receipt(receipt, world.root))
    for at in range(0, len(receipt), max(1, len(receipt) // 400)):
        data = bytearray(receipt)
        data[at] ^= 0x10
        try:
            found = str(verify_receipt(bytes(data), world.root))
        except DataLoss:
            continue
        assert found == expected  # a key id is only a hint


def test_a_receipt_is_saved_whole(tmp_path) -> None:  # type: ignore[no-untyped-def]
    world = World()
    with Federation(asker(world, line_of(world))) as fed:
        answer = fed.read("building", purpose="research")
        answer.to_table()
        answer.receipt.save(tmp_path / "a.receipt")
    report = verify_receipt((tmp_path / "a.receipt").read_bytes(), world.root)
    assert report.coverage.gateway == GATEWAY
