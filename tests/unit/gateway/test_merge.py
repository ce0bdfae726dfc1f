"""The gateway's total: a city whose part is none costs the total, never the gateway or the others' answers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from cimfed.errors import BadAnswer, ChainBroken, CimfedError
from cimfed.model.limits import LIMITS, MIB
from cimfed.model.names import city_name, gateway_name
from cimfed.query.aggregate import state_schema
from cimfed.query.query import Aggregate, Function, Measure
from cimfed.wire import frames
from cimfed_gateway import relay as relay_module
from cimfed_gateway.merge import add_up
from cimfed_gateway.relay import Relay

CITY = city_name("kz.almaty")
COUNT = Aggregate("building", (Measure(Function.COUNT),))
SCHEMA = state_schema(COUNT)


def part(schema: bytes, *payloads: tuple[int, bytes]) -> Relay:
    relay = Relay(CITY, bytes(32), (), keep=True)
    relay.look(frames.encode(frames.Frame(CITY, frames.Start(schema, "view"))))
    for index, (rows, payload) in enumerate(payloads, start=1):
        relay.look(frames.encode(frames.Frame(CITY, None, index, rows, payload)))
    return relay


def compressed(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_batch(batch)
        end = sink.tell()
    stream = sink.getvalue().to_pybytes()
    return stream[8 + int.from_bytes(stream[4:8], "little") : end]


def test_parts_are_added_up() -> None:
    batch = pa.record_batch([pa.array([3])], schema=SCHEMA)
    whole = SCHEMA.serialize().to_pybytes()
    total = add_up(gateway_name("gw.alliance"), COUNT, [part(whole, (1, batch.serialize().to_pybytes()))] * 2)
    payload = frames.decode(total.frames[1]).payload
    assert pa.ipc.read_record_batch(pa.py_buffer(payload), SCHEMA).to_pydict() == {"count": [6]}


@pytest.mark.parametrize(
    ("schema", "payload"), [(b"junk", b"junk"), (b"", b"junk"), (SCHEMA.serialize().to_pybytes(), b"junk")]
)
def test_what_is_no_arrow_is_the_citys_fault(schema: bytes, payload: bytes) -> None:
    with pytest.raises(CimfedError, match=CITY):
        add_up(gateway_name("gw.alliance"), COUNT, [part(schema, (1, payload))])


def bomb(schema: pa.Schema) -> bytes:
    """64 MiB of zeros, as 64 KiB at most."""
    made = compressed(pa.record_batch([pa.array(np.zeros(64 * MIB // 8, np.int64))], schema=schema))
    assert len(made) < 64 * 1024
    return made


def test_a_part_is_not_compressed() -> None:
    small = compressed(pa.record_batch([pa.array([1, 2, 3])], schema=SCHEMA))
    for rows, payload in ((3, small), (1000, bomb(SCHEMA))):
        with pytest.raises(BadAnswer, match="compressed"):
            add_up(gateway_name("gw.alliance"), COUNT, [part(SCHEMA.serialize().to_pybytes(), (rows, payload))])


def test_a_part_of_other_columns_is_refused_before_it_is_read() -> None:
    other = pa.schema([("other", pa.int64())])
    relay = part(other.serialize().to_pybytes(), (1, b"junk"))
    with pytest.raises(BadAnswer, match=f"{CITY}.*columns"):
        add_up(gateway_name("gw.alliance"), COUNT, [relay])


def test_a_part_is_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = SCHEMA.serialize().to_pybytes()
    with pytest.raises(ChainBroken, match=f"{CITY}.*groups"):
        part(schema, (LIMITS.groups, b"payload"), (1, b"payload"))
    monkeypatch.setattr(relay_module, "STATE", 1000)
    for size in (400, 1):
        with pytest.raises(ChainBroken, match=f"{CITY}.*bytes"):
            part(schema, *[(1, bytes(size))] * 3)
