"""Arrow messages of another party: small ones cannot ask for much memory, and what is none is refused by reason."""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from cimfed.client.columns import Shaper, read_schema
from cimfed.errors import BadAnswer, ChainBroken
from cimfed.model.limits import LIMITS, MIB
from cimfed.model.names import CityName
from cimfed.query.query import Read
from cimfed.wire.batches import read_batch, read_schema_message
from cimfed.wire.wkb import SHORT

ALMATY = CityName("kz.almaty")
FOOTPRINT = pa.schema([("geometry_lod0", pa.binary())])


def message(batch: pa.RecordBatch, compression: str | None = None) -> bytes:
    """An encapsulated record batch message."""
    if compression is None:
        return batch.serialize().to_pybytes()
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)  # type: ignore[arg-type]
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
        end = sink.tell()
    stream = sink.getvalue().to_pybytes()
    return stream[8 + int.from_bytes(stream[4:8], "little") : end]


def numbers(count: int) -> pa.RecordBatch:
    return pa.record_batch([pa.array(np.zeros(count, np.int64))], names=["height"])


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_an_honest_batch_is_read(compression: str | None) -> None:
    batch = pa.record_batch([pa.array([1, None, 3]), pa.array(["a", "é" * 900, None])], names=["n", "text"])
    assert read_batch("x", message(batch, compression), batch.schema, 3).equals(batch)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_batch_may_unpack_to_the_limit_and_no_further(compression: str) -> None:
    rows = LIMITS.batch_rows
    column = numbers(rows)["height"]
    columns = LIMITS.batch_unpacked // (8 * rows)
    wide = pa.record_batch([column] * columns, names=[f"n{at}" for at in range(columns)])
    wider = wide.append_column("more", column)
    assert read_batch("x", message(wide, compression), wide.schema, rows).num_columns == columns
    assert len(message(wider, compression)) < MIB
    with pytest.raises(BadAnswer, match="unpacks"):
        read_batch("x", message(wider, compression), wider.schema, rows)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    before = pa.default_memory_pool().max_memory()
    schema = numbers(1).schema
    bomb = message(numbers(64 * MIB // 8), "zstd")
    assert len(bomb) < 64 * 1024
    peak = pa.default_memory_pool().max_memory()
    with pytest.raises(BadAnswer):
        read_batch("x", bomb, schema, 1000)
    assert pa.default_memory_pool().max_memory() == peak >= before


def test_rows_that_take_no_bytes_are_counted() -> None:
    nothing = pa.schema([("none", pa.null())])
    shaper = Shaper(ALMATY, nothing, read_schema(Read("building")))
    rows = LIMITS.batch_rows + 1
    payload = message(pa.record_batch([pa.nulls(rows)], schema=nothing))
    assert len(payload) < 200
    with pytest.raises(BadAnswer, match="rows"):
        shaper.shape(payload, rows)
    with pytest.raises(ChainBroken):
        shaper.shape(payload, 3)


def test_a_message_that_is_no_batch_is_refused() -> None:
    schema = numbers(1).schema
    for payload in (b"", b"junk", schema.serialize().to_pybytes(), message(numbers(9), "zstd")[:-16]):
        with pytest.raises(BadAnswer):
            read_batch("x", payload, schema, 9)


def test_a_schema_whose_names_are_no_text_is_a_bad_answer() -> None:
    raw = numbers(1).schema.serialize().to_pybytes().replace(b"height", b"he\xff\xfeht")
    with pytest.raises(BadAnswer):
        read_schema_message("x", raw)


def shaped(wkb: bytes) -> Any:
    batch = pa.record_batch([pa.array([wkb], pa.binary())], schema=FOOTPRINT)
    return Shaper(ALMATY, FOOTPRINT, read_schema(Read("building"))).shape(message(batch), 1)


def nested(kind: int, levels: int, order: str = "<") -> bytes:
    head = struct.pack(f"{order}BII", order == "<", kind, 1)
    return head * levels + struct.pack(f"{order}BIdd", order == "<", 1, 2.0, 3.0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [4, 6, 7, 1006, 1007])
def test_geometries_nested_without_end_do_not_reach_a_reader(kind: int, order: str) -> None:
    """GEOS would call itself until the process ends."""
    with pytest.raises(BadAnswer, match="geometry_lod0"):
        shaped(nested(kind, 400_000, order))


def test_a_long_geometry_must_be_whole() -> None:
    many = shapely.MultiPoint(np.random.default_rng(1).random((2000, 2)))
    whole = shapely.to_wkb(many, flavor="iso")
    assert len(whole) > SHORT
    for broken in (whole[:-300], os.urandom(SHORT + 1), b"\x01" + b"\xff" * SHORT):
        with pytest.raises(BadAnswer):
            shaped(broken)


@pytest.mark.parametrize("flat", [True, False])
def test_long_geometries_of_the_vocabulary_pass(flat: bool) -> None:
    ring = [(np.cos(t), np.sin(t)) for t in np.linspace(0, 6.28, 3000)]
    hole = [(0.1, 0.1), (0.1, 0.2), (0.2, 0.2)]
    for shape in (
        shapely.Polygon(ring, [hole]),
        shapely.MultiPolygon([shapely.Polygon(ring, [hole]), shapely.box(3, 3, 4, 4)]),
        shapely.LineString(ring),
        shapely.MultiLineString([ring, hole]),
        shapely.MultiPoint(ring),
    ):
        for order in (0, 1):
            made = shape if flat else shapely.force_3d(shape, 7)
            wkb = shapely.to_wkb(made, flavor="iso", byte_order=order)
            assert len(wkb) > SHORT
            assert shaped(wkb)["geometry_lod0"][0].as_py() == wkb
