"""Parts and totals that are small on the wire: neither a city nor a gateway can make them large here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from cimfed.client import totals, verify
from cimfed.client.verify import Total
from cimfed.errors import BadAnswer, ChainBroken, CoverageMismatch
from cimfed.model.limits import LIMITS, MIB
from cimfed.query.query import Aggregate, Function, Measure
from cimfed.trust.hashing import digest, sha256
from cimfed.wire import frames
from cimfed.wire.states import STATE, Tally
from tests.unit.cimfed.client.world import ALMATY, GATEWAY, QINGDAO, Stream, World, connect
from tests.unit.cimfed.wire.test_batches import allocated, message

COUNT = Aggregate("building", (Measure(Function.COUNT),))
STATES = pa.schema([("count", pa.int64())])
OTHER = pa.schema([("name", pa.string())])
ROWS = LIMITS.batch_rows


def counts(rows: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(np.ones(rows, np.int64))], schema=STATES)


def text() -> pa.RecordBatch:
    """One row, which unpacks to nearly all that a batch may."""
    return pa.record_batch([pa.array(["a" * (LIMITS.batch_unpacked - 64)])], schema=OTHER)


def total_of(schema: pa.Schema, payloads: list[tuple[int, bytes]]) -> Total:
    return Total(schema.serialize().to_pybytes(), Tally(GATEWAY, STATE), list(payloads))


def send(stream: Stream, schema: pa.Schema, payloads: list[tuple[int, bytes]]) -> None:
    """The gateway's total is this, and it signs that it is."""
    head = schema.serialize().to_pybytes()
    stream.frames = [frame for frame in stream.frames if frame.city != GATEWAY]
    stream.frames.append(frames.Frame(GATEWAY, frames.Start(head, "")))
    stream.frames += [frames.Frame(GATEWAY, None, at, *item) for at, item in enumerate(payloads, start=1)]
    assert stream.coverage is not None
    hashes = [sha256(payload) for _, payload in payloads]
    stream.coverage = replace(stream.coverage, total_hash=digest("cimfed/total/v1", (head, *hashes)))


def counts_world() -> World:
    world = World()
    for city in world.cities.values():
        city.batches = [counts(1)]
    return world


def test_parts_of_all_cities_are_added_up() -> None:
    parts = totals.Parts(COUNT)
    for city in (ALMATY, QINGDAO):
        parts.add(city, STATES, message(counts(1)), 1)
    assert parts.finish([ALMATY, QINGDAO])[1].to_pydict() == {"count": [2]}
    assert parts.finish([ALMATY])[1].to_pydict() == {"count": [1]}


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_citys_part_is_not_compressed(compression: str) -> None:
    with pytest.raises(BadAnswer, match=rf"{ALMATY}.*compressed"):
        totals.Parts(COUNT).add(ALMATY, STATES, message(counts(3), compression), 3)


def test_a_citys_part_has_the_columns_of_its_aggregate() -> None:
    with pytest.raises(BadAnswer, match=rf"{ALMATY}.*columns"):
        totals.Parts(COUNT).add(ALMATY, OTHER, b"junk", 1)


def test_a_citys_part_ends_at_the_limit_of_groups() -> None:
    parts, payload = totals.Parts(COUNT), message(counts(ROWS))
    for _ in range(LIMITS.groups // ROWS):
        parts.add(ALMATY, STATES, payload, ROWS)
    parts.add(QINGDAO, STATES, payload, ROWS)
    with pytest.raises(ChainBroken, match=rf"{ALMATY}.*groups"):
        parts.add(ALMATY, STATES, payload, ROWS)


def test_a_total_of_other_columns_is_not_read() -> None:
    """50 batches of 2 KiB would be 800 MiB."""
    packed = message(text(), "zstd")
    assert len(packed) < 4096
    state = pa.Table.from_batches([counts(1)])
    before = allocated()
    with pytest.raises(CoverageMismatch, match="none of this aggregate"):
        totals.compare(COUNT, state, GATEWAY, total_of(OTHER, [(1, packed)] * 50), [ALMATY])
    assert allocated() < before + MIB


def test_a_total_that_is_compressed_is_not_unpacked() -> None:
    packed = message(counts(ROWS), "zstd")
    state = pa.Table.from_batches([counts(1)])
    before = allocated()
    with pytest.raises(CoverageMismatch, match="none of this aggregate"):
        totals.compare(COUNT, state, GATEWAY, total_of(STATES, [(ROWS, packed)]), [ALMATY])
    assert allocated() < before + MIB


@pytest.mark.parametrize("kind", [OTHER, STATES])
def test_a_gateway_is_caught_whose_total_is_a_bomb(kind: pa.Schema) -> None:
    payload = (1, message(text(), "zstd")) if kind is OTHER else (ROWS, message(counts(ROWS), "zstd"))
    with (
        connect(counts_world(), lambda stream: send(stream, kind, [payload] * 3)) as fed,
        pytest.raises(CoverageMismatch, match=r"gw\.alliance"),
    ):
        fed.aggregate("building", ["count"], purpose="research").to_table()


def test_a_total_ends_at_the_limits_before_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*payloads: tuple[int, bytes]) -> None:
        with connect(counts_world(), lambda stream: send(stream, STATES, list(payloads))) as fed:
            fed.aggregate("building", ["count"], purpose="research").to_table()

    with pytest.raises(ChainBroken, match=r"gw\.alliance.*groups"):
        asked((LIMITS.groups, b"payload"), (1, b"payload"))
    monkeypatch.setattr(verify, "TOTAL_BYTES", 1000)
    with pytest.raises(ChainBroken, match=r"gw\.alliance.*bytes"):
        asked(*[(1, b"payload")] * 3)
