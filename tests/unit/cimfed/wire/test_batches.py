"""Arrow messages of another party: small ones cannot ask for much memory, and what is none is refused by reason."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from cimfed.client.columns import Shaper, read_schema
from cimfed.errors import BadAnswer, ChainBroken
from cimfed.model.limits import LIMITS, MIB
from cimfed.model.names import CityName
from cimfed.query.query import Read
from cimfed.wire.batches import read_batch, read_schema_message

ALMATY = CityName("kz.almaty")


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


def allocated() -> int:
    """Bytes that Arrow has taken since the process began, given back or not."""
    taken: int = pa.default_memory_pool().total_bytes_allocated()
    return taken


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
    schema = numbers(1).schema
    bomb = message(numbers(64 * MIB // 8), "zstd")
    assert len(bomb) < 64 * 1024
    before = allocated()
    with pytest.raises(BadAnswer):
        read_batch("x", bomb, schema, 1000)
    assert allocated() < before + MIB


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


def old(batch: pa.RecordBatch, metadata: dict[bytes, bytes] | None = None, version: int = 4) -> bytes:
    """An encapsulated record batch message of a version of Arrow's metadata, with metadata of the message's own."""
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(metadata_version=getattr(pa.ipc.MetadataVersion, f"V{version}"))
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        begin = sink.tell()
        writer.write_batch(batch, custom_metadata=metadata)
        end = sink.tell()
    stream = sink.getvalue().to_pybytes()
    return stream[begin or 8 + int.from_bytes(stream[4:8], "little") : end]


def test_only_metadata_of_version_5_is_read() -> None:
    batch = numbers(3)
    assert read_batch("x", old(batch, version=5), batch.schema, 3).equals(batch)
    with pytest.raises(BadAnswer, match="version 5"):
        read_batch("x", old(batch), batch.schema, 3)
    options = pa.ipc.IpcWriteOptions(metadata_version=pa.ipc.MetadataVersion.V4)
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, batch.schema, options=options).close()
    with pytest.raises(BadAnswer, match="version 5"):
        read_schema_message("x", sink.getvalue().to_pybytes())


def test_a_bomb_that_is_compressed_by_its_metadata_alone_is_refused() -> None:
    """As Arrow 0.17 wrote it: the buffers look plain, and Arrow unpacks them all the same."""
    size = 64 * MIB
    packed = struct.pack("<q", size) + pa.compress(bytes(size), codec="zstd", asbytes=True)
    column = np.frombuffer(packed, np.uint8)
    batch = pa.record_batch([pa.array(column)], names=["height"])
    bomb = old(batch, {b"ARROW:experimental_compression": b"zstd"})
    assert len(bomb) < 64 * 1024
    before = allocated()
    with pytest.raises(BadAnswer, match="version 5"):
        read_batch("x", bomb, batch.schema, len(column))
    assert allocated() < before + MIB
    assert pa.ipc.read_record_batch(pa.py_buffer(bomb), batch.schema).get_total_buffer_size() == size
    with pytest.raises(BadAnswer):
        read_batch("x", old(batch, {b"any": b"thing"}, version=5), batch.schema, len(column))


def test_columns_over_one_buffer_count_each() -> None:
    rows = LIMITS.batch_rows
    size, columns = 8 * rows, LIMITS.batch_unpacked // (8 * rows) + 1
    whole = pa.record_batch([numbers(rows)["height"]] * columns, names=[f"n{at}" for at in range(columns)])
    data = message(whole)
    body = len(data) - columns * size
    head = data[:body].replace(struct.pack("<q", columns * size), struct.pack("<q", size))
    for at in range(columns):
        there, first = (struct.pack("<qqqq", place, 0, place, size) for place in (at * size, 0))  # validity, values
        assert there in head
        head = head.replace(there, first)
    folded = head + data[body : body + size]
    assert pa.ipc.read_record_batch(pa.py_buffer(folded), whole.schema).equals(whole)
    with pytest.raises(BadAnswer, match="unpacks"):
        read_batch("x", folded, whole.schema, rows)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_where_no_compression_was_asked_none_is_read(compression: str) -> None:
    batch = numbers(3)
    assert read_batch("x", message(batch), batch.schema, 3, packed=False).equals(batch)
    with pytest.raises(BadAnswer, match="compressed"):
        read_batch("x", message(batch, compression), batch.schema, 3, packed=False)


def test_times_are_of_the_years_that_python_has() -> None:
    kind = pa.timestamp("us", tz="UTC")
    ends = pa.array([datetime.min.replace(tzinfo=UTC), None, datetime.max.replace(tzinfo=UTC)], kind)
    inside = pa.record_batch([ends], names=["valid_from"])
    assert read_batch("x", message(inside), inside.schema, 3).to_pydict() == inside.to_pydict()
    first, _, last = ends.view(pa.int64()).to_pylist()
    for instant in (first - 1, last + 1, -(2**63), 2**63 - 1):
        outside = pa.record_batch([pa.array([instant, 0]).view(kind)], names=["valid_from"])
        with pytest.raises(BadAnswer, match=r"valid_from.*years 1 to 9999"):
            read_batch("x", message(outside), outside.schema, 2)
