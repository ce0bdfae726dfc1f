"""Arrow messages of another party, read without taking anything on trust.

Nothing in a batch points out of it, and reading it costs no more than the limits say: a compressed buffer states its
own size once unpacked, so those are added up before the first is unpacked (zstd makes 30,000 bytes of one), and rows of
nulls take no bytes at all, so rows are counted by themselves.
"""

from __future__ import annotations

import struct

import pyarrow as pa

from cimfed.errors import BadAnswer, ChainBroken
from cimfed.model.limits import LIMITS

_ALIGNMENT = 8  # of Arrow's buffers, in bytes
_BATCH = "record batch"
# Numbers of the fields in Arrow's Message.fbs
_HEADER, _BUFFERS, _COMPRESSION = 2, 2, 3


def read_schema_message(party: str, message: bytes) -> pa.Schema:
    """BadAnswer for what is none, or names a column twice."""
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(message))
        names = schema.names
    except (pa.ArrowException, OSError, ValueError):
        raise BadAnswer(f"{party}: its schema cannot be read") from None
    if len(set(names)) != len(names):
        raise BadAnswer(f"{party}: its schema names a column twice")
    return schema


def read_batch(party: str, payload: bytes | memoryview, schema: pa.Schema, rows: int) -> pa.RecordBatch:
    """A batch over the payload's own bytes, checked whole: nothing in it points out of it. Else BadAnswer; ChainBroken
    where it has other rows than its frame says, which nobody signed."""
    if rows > LIMITS.batch_rows:
        raise BadAnswer(f"{party}: a batch has more than {LIMITS.batch_rows} rows")
    buffer = pa.py_buffer(payload)
    if buffer.address % _ALIGNMENT:
        buffer = pa.py_buffer(bytes(payload))
    try:
        message = pa.ipc.read_message(buffer)
        body = message.body
        if message.type != _BATCH or body is None or _unpacked(message.metadata, body) > LIMITS.batch_unpacked:
            raise BadAnswer(f"{party}: a batch unpacks to more than {LIMITS.batch_unpacked} bytes, or is none")
        batch = pa.ipc.read_record_batch(message, schema)
        if batch.num_rows != rows:
            raise ChainBroken(f"{party}: a batch has {batch.num_rows} rows, its frame says {rows}")
        batch.validate(full=True)
    except (pa.ArrowException, OSError, EOFError, ValueError, struct.error):
        raise BadAnswer(f"{party}: a batch is not an Arrow batch of its schema") from None
    return batch


def _unpacked(metadata: pa.Buffer, body: pa.Buffer) -> int:
    """Bytes that the compressed buffers of a record batch message claim to unpack to; 0 where none is compressed.

    ``metadata`` is a flatbuffer that Arrow has verified (github.com/apache/arrow, format/Message.fbs): a Message whose
    header is a RecordBatch. A compressed buffer begins with its unpacked length, -1 where it is as it stands.
    """
    view = memoryview(metadata)
    batch = _field(view, _int(view, "<I", 0), _HEADER)
    batch += _int(view, "<I", batch)
    if not _field(view, batch, _COMPRESSION):
        return 0
    vector = _field(view, batch, _BUFFERS)
    vector += _int(view, "<I", vector)
    total = 0
    for at in range(vector + 4, vector + 4 + 16 * _int(view, "<I", vector), 16):
        offset, length = struct.unpack_from("<qq", view, at)
        if length:
            total += max(struct.unpack_from("<q", body, offset)[0], 0)
    return total


def _field(view: memoryview, table: int, number: int) -> int:
    """Where a table's field stands; 0 where it has none."""
    vtable = table - _int(view, "<i", table)
    entry = 4 + 2 * number
    found = _int(view, "<H", vtable + entry) if entry < _int(view, "<H", vtable) else 0
    return table + found if found else 0


def _int(view: memoryview, form: str, at: int) -> int:
    return int(struct.unpack_from(form, view, at)[0])
