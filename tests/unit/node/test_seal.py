"""Frames out of batches, followed by the reader of docs/wire.md and by a clock of the test's own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from cimfed.errors import TooLarge
from cimfed.model.answer import Manifest, Outcome
from cimfed.model.limits import KIB, LIMITS, Limits
from cimfed.model.names import CityName, Federation
from cimfed.trust.keys import KeySigner
from cimfed_node.seal import Chainer, Sealer
from tests.federation.raw import rows_of
from tests.oracle.wire.streams import City, read_frame

CITY = CityName("kz.almaty")
REQUEST = hashlib.sha256(b"a request").digest()
KEY = KeySigner.from_seed(bytes(range(32)))
SMALL = replace(LIMITS, frame=64 * KIB, head_bytes=90 * KIB)


def batch(rows: int, start: int = 0) -> pa.RecordBatch:
    return pa.record_batch({"id": pa.array(range(start, start + rows), pa.int64()), "name": ["x" * 20] * rows})


def facts(view: str = "v") -> Manifest:
    return Manifest(REQUEST, b"", Federation("sco"), CITY, "building", Outcome.ANSWERED, view=view, now=1)


def frames_of(
    batches: Sequence[pa.RecordBatch], limits: Limits = LIMITS, compression: str = "", seconds: float = 0.0
) -> list[bytes]:
    """All frames of an answer; ``seconds`` pass before each frame. Which batch is the last is not known beforehand."""
    schema = batches[0].schema if batches else batch(0).schema
    chainer = Chainer(CITY, REQUEST, schema, "v", compression, limits)
    sealer = Sealer(KEY, CITY, REQUEST, limits)
    found = [chainer.start_frame]
    sealer.start(chainer.empty)
    now = 100.0
    for item in batches:
        for sealed in chainer.add(item):
            now += seconds
            found.append(sealed.frame)
            head = sealer.wrote(sealed, now)
            if head is not None:
                found.append(head)
    return [*found, sealer.manifest(facts())[0]]


def follow(frames: Sequence[bytes]) -> tuple[City, list[dict[str, Any]]]:
    city = City(CITY, [KEY.public.raw], REQUEST, "sco", "building")
    read = [read_frame(data) for data in frames]
    for frame in read:
        city.take(frame)
    city.finish()
    return city, read


def shape(frames: Sequence[bytes]) -> str:
    """s(tart), b(atch), h(ead), m(anifest), in order."""
    return "".join(read_frame(data)["part"][:1] or "b" for data in frames)


@pytest.mark.parametrize("compression", ["", "lz4", "zstd"])
def test_an_answer_follows_the_wire_page(compression: str) -> None:
    batches = [batch(1000, at) for at in range(0, 3000, 1000)]
    city, read = follow(frames_of(batches, compression=compression))
    assert city.rows == 3000
    assert city.manifest is not None
    assert (city.manifest["rows"], city.manifest["batches"], city.manifest["chain"]) == (3000, 3, city.chain)
    found = rows_of(read)
    assert found is not None
    assert found.equals(pa.Table.from_batches(batches))


def test_compressed_buffers_are_smaller_and_leave_the_schema_out() -> None:
    plain, packed = (sum(map(len, frames_of([batch(5000)], compression=how))) for how in ("", "zstd"))
    assert packed < plain / 4


def test_an_answer_without_rows_has_no_data() -> None:
    city, read = follow(frames_of([]))
    assert city.manifest is not None
    assert city.manifest["outcome"] == "no_data"
    assert [frame["part"] for frame in read] == ["start", "manifest"]


def test_batches_without_rows_are_left_out() -> None:
    assert shape(frames_of([batch(0), batch(3), batch(0)])) == "sbhm"


def test_a_head_follows_the_first_batch_and_then_every_so_many_bytes() -> None:
    size = len(frames_of([batch(1000)])[1])
    assert 30 * KIB < size < 50 * KIB
    # 90 KiB are three batches of this size
    assert shape(frames_of([batch(1000)] * 8, SMALL)) == "sbhbbbhbbbhbm"


def test_a_head_follows_after_a_quarter_of_a_second() -> None:
    # Batches 2 and 4 begin a wait of 250 ms that is over at batches 3 and 5.
    assert shape(frames_of([batch(10)] * 6, seconds=0.25)) == "sbhbbhbbhbm"


def test_a_head_is_due_while_nothing_comes() -> None:
    chainer, sealer = Chainer(CITY, REQUEST, batch(0).schema, "v"), Sealer(KEY, CITY, REQUEST)
    sealer.start(chainer.empty)
    assert sealer.wait(5.0) is None
    first, second = (next(chainer.add(batch(5))) for _ in range(2))
    assert sealer.wrote(first, 5.0) is not None
    assert sealer.wait(5.1) is None
    assert sealer.wrote(second, 5.1) is None
    assert sealer.wait(5.2) == pytest.approx(0.15)
    assert sealer.overdue(5.2) is None
    assert sealer.overdue(5.4) is not None
    assert sealer.wait(9.0) is None


def test_the_manifest_alone_signs_an_answer_that_is_known_to_be_over() -> None:
    chainer, sealer = Chainer(CITY, REQUEST, batch(0).schema, "v"), Sealer(KEY, CITY, REQUEST)
    sealer.start(chainer.empty)
    only = replace(next(chainer.add(batch(5))), last=True)
    assert sealer.wrote(only, 5.0) is None
    assert sealer.wait(9.0) is None
    city, _ = follow([chainer.start_frame, only.frame, sealer.manifest(facts())[0]])
    assert city.rows == 5


def test_what_is_signed_is_what_was_written() -> None:
    chainer, sealer = Chainer(CITY, REQUEST, batch(0).schema, "v"), Sealer(KEY, CITY, REQUEST)
    sealer.start(chainer.empty)
    first = next(chainer.add(batch(5)))
    next(chainer.add(batch(5)))  # made, never written
    head = sealer.wrote(first, 0.0)
    assert head is not None
    refused = replace(facts(), outcome=Outcome.REFUSED, reason="policy_changed", message="why")
    city, _ = follow([chainer.start_frame, first.frame, head, sealer.manifest(refused)[0]])
    assert city.manifest is not None
    assert (city.manifest["outcome"], city.manifest["rows"], city.manifest["batches"]) == ("refused", 5, 1)


def test_a_batch_that_is_larger_than_a_frame_goes_out_in_parts() -> None:
    large = batch(20_000)
    assert large.nbytes > 9 * SMALL.frame
    frames = frames_of([large], SMALL)
    assert max(map(len, frames)) <= SMALL.frame
    city, read = follow(frames)
    found = rows_of(read)
    assert found is not None
    assert found.combine_chunks().equals(pa.Table.from_batches([large]))
    assert city.rows == 20_000


def test_a_row_that_is_larger_than_a_frame_is_too_large() -> None:
    chainer = Chainer(CITY, REQUEST, pa.schema([("name", pa.string())]), "v", limits=SMALL)
    with pytest.raises(TooLarge):
        list(chainer.add(pa.record_batch({"name": ["x" * 100 * KIB]})))


def test_dictionaries_are_refused() -> None:
    with pytest.raises(TypeError):
        Chainer(CITY, REQUEST, pa.schema([("name", pa.dictionary(pa.int32(), pa.string()))]), "v")
