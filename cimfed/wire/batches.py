"""Arrow messages of another party, read without taking anything on trust.

Nothing in a batch points out of it, and reading it costs no more than the limits say: a compressed buffer states its
own size once unpacked, so those are added up before the first is unpacked (zstd makes 30,000 bytes of one), and rows of
nulls take no bytes at all, so rows are counted by themselves. Columns may share one buffer, so what a batch comes to is
measured again once it is read. Only metadata of version 5 (Arrow 1.0, 2020) is read: before that, compression stood
where the sizes are not looked for, and Arrow still goes by it.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute

from cimfed.errors import BadAnswer, ChainBroken
from cimfed.model.instants import instant_of
from cimfed.model.limits import LIMITS

pc: Any = pyarrow.compute  # its stubs do not know that a scalar has parts
_ALIGNMENT = 8  # of Arrow's buffers, in bytes
_SCHEMA, _BATCH = "schema", "record batch"
# Numbers of the fields in Arrow's Message.fbs: of a Message, then of a RecordBatch
_VERSION, _HEADER, _CUSTOM = 0, 2, 4
_BUFFERS, _COMPRESSION = 2, 3
_V5 = 4
_INSTANTS = pa.timestamp("us", tz="UTC")
_FIRST, _LAST = instant_of(datetime.min.replace(tzinfo=UTC)), instant_of(datetime.max.replace(tzinfo=UTC))


def read_schema_message(party: str, message: bytes) -> pa.Schema:
    """BadAnswer for what is none, or names a column twice."""
    try:
        found = pa.ipc.read_message(pa.py_buffer(message))
        if found.type != _SCHEMA or not _is_v5(memoryview(found.metadata)):
            raise BadAnswer(f"{party}: its schema is none, or none of version 5 of Arrow's metadata")
        schema = pa.ipc.read_schema(found)
        names = schema.names
    except (pa.ArrowException, OSError, EOFError, ValueError, struct.error):
        raise BadAnswer(f"{party}: its schema cannot be read") from None
    if len(set(names)) != len(names):
        raise BadAnswer(f"{party}: its schema names a column twice")
    return schema


def read_batch(
    party: str, payload: bytes | memoryview, schema: pa.Schema, rows: int, *, packed: bool = True
) -> pa.RecordBatch:
    """A batch over the payload's own bytes, checked whole: nothing in it points out of it. Else BadAnswer; ChainBroken
    where it has other rows than its frame says, which nobody signed. ``packed``: its buffers may be compressed."""
    if rows > LIMITS.batch_rows:
        raise BadAnswer(f"{party}: a batch has more than {LIMITS.batch_rows} rows")
    buffer = pa.py_buffer(payload)
    if buffer.address % _ALIGNMENT:
        buffer = pa.py_buffer(bytes(payload))
    try:
        message = pa.ipc.read_message(buffer)
        if message.type != _BATCH or message.body is None:
            raise BadAnswer(f"{party}: a batch is none")
        _check_size(party, memoryview(message.metadata), message.body, packed)
        batch = pa.ipc.read_record_batch(message, schema)
        if batch.num_rows != rows:
            raise ChainBroken(f"{party}: a batch has {batch.num_rows} rows, its frame says {rows}")
        batch.validate(full=True)
        if batch.nbytes > LIMITS.batch_unpacked:
            raise _too_large(party)
    except (pa.ArrowException, OSError, EOFError, ValueError, struct.error):
        raise BadAnswer(f"{party}: a batch is not an Arrow batch of its schema") from None
    _check_instants(party, batch)
    return batch


def _check_size(party: str, metadata: memoryview, body: pa.Buffer, packed: bool) -> None:
    """BadAnswer for a record batch message that is not to be unpacked."""
    message = _root(metadata)
    if not _is_v5(metadata) or _field(metadata, message, _CUSTOM):
        raise BadAnswer(f"{party}: a batch is not of version 5 of Arrow's metadata, or has more than the batch in it")
    batch = _field(metadata, message, _HEADER)
    batch += _int(metadata, "<I", batch)
    if not _field(metadata, batch, _COMPRESSION):
        return
    if not packed:
        raise BadAnswer(f"{party}: a batch is compressed, where none was to be")
    if _unpacked(metadata, batch, body) > LIMITS.batch_unpacked:
        raise _too_large(party)


def _too_large(party: str) -> BadAnswer:
    return BadAnswer(f"{party}: a batch unpacks to more than {LIMITS.batch_unpacked} bytes")


def _check_instants(party: str, batch: pa.RecordBatch) -> None:
    """Years 1 to 9999, as everywhere: beyond them Python and most databases have no times."""
    for item, column in zip(batch.schema, batch.columns, strict=True):
        if item.type == _INSTANTS and column.null_count < len(column):
            ends = pc.min_max(column.view(pa.int64()))
            if ends["min"].as_py() < _FIRST or ends["max"].as_py() > _LAST:
                raise BadAnswer(f"{party}: a time of {item.name} is not of the years 1 to 9999")


# ``metadata`` is a flatbuffer that Arrow has verified (github.com/apache/arrow, format/Message.fbs): a Message whose
# header is a Schema or a RecordBatch.


def _is_v5(metadata: memoryview) -> bool:
    at = _field(metadata, _root(metadata), _VERSION)
    return at != 0 and _int(metadata, "<h", at) == _V5


def _unpacked(metadata: memoryview, batch: int, body: pa.Buffer) -> int:
    """Bytes that the buffers of a compressed batch claim to unpack to.

    A buffer begins with its unpacked length, -1 where it is as it stands.
    """
    vector = _field(metadata, batch, _BUFFERS)
    vector += _int(metadata, "<I", vector)
    total = 0
    for at in range(vector + 4, vector + 4 + 16 * _int(metadata, "<I", vector), 16):
        offset, length = struct.unpack_from("<qq", metadata, at)
        if length:
            total += max(struct.unpack_from("<q", body, offset)[0], 0)
    return total


def _root(metadata: memoryview) -> int:
    return _int(metadata, "<I", 0)


def _field(view: memoryview, table: int, number: int) -> int:
    """Where a table's field stands; 0 where it has none."""
    vtable = table - _int(view, "<i", table)
    entry = 4 + 2 * number
    found = _int(view, "<H", vtable + entry) if entry < _int(view, "<H", vtable) else 0
    return table + found if found else 0


def _int(view: memoryview, form: str, at: int) -> int:
    return int(struct.unpack_from(form, view, at)[0])
