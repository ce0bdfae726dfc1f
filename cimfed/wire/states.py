"""One party's partial states of an aggregate: a city's part, or a gateway's total.

They are kept until the party's answer is whole, so what they come to is added up and ends at a limit. Batches lie over
their payloads and are never compressed, so reading one takes no memory but for the batch itself. The columns are
compared before any is read.
"""

from __future__ import annotations

import pyarrow as pa

from cimfed.errors import BadAnswer, ChainBroken
from cimfed.model.limits import LIMITS, MIB
from cimfed.trust.answer import LEAST
from cimfed.wire.batches import read_batch

STATE = 256 * MIB
"""What the partial states of one party may come to: a million groups of 256 bytes."""


class Tally:
    """What one party's payloads come to, as they come. ChainBroken for more groups, or bytes, than there may be."""

    def __init__(self, party: str, limit: int) -> None:
        self._party = party
        self._limit = limit
        self._rows = self._bytes = 0

    def add(self, rows: int, size: int) -> None:
        """``size``: bytes that are kept. A small one counts for what it takes to keep it."""
        self._rows += rows
        self._bytes += max(size, LEAST)
        if self._rows > LIMITS.groups:
            raise ChainBroken(f"{self._party}: it sent more than {LIMITS.groups} groups")
        if self._bytes > self._limit:
            raise ChainBroken(f"{self._party}: its partial states come to more than {self._limit} bytes")


class States:
    """The batches so far. ``expected``: the columns of the aggregate's states.

    BadAnswer for other columns, and for what is no such batch; ChainBroken for more than an aggregate may have.
    """

    def __init__(self, party: str, schema: pa.Schema, expected: pa.Schema) -> None:
        if schema.names != expected.names or schema.types != expected.types:
            raise BadAnswer(f"{party}: its partial state has other columns than its aggregate", place="state")
        self._party = party
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._tally = Tally(party, STATE)

    def add(self, payload: bytes | memoryview, rows: int) -> pa.RecordBatch:
        """The batch, as one that now is among the states."""
        batch = read_batch(self._party, payload, self._schema, rows, packed=False)
        # Columns may lie over the same bytes, but no longer once they are merged; and each of them is an object.
        self._tally.add(rows, max(batch.nbytes, len(payload), LEAST * batch.num_columns))
        self._batches.append(batch)
        return batch

    def table(self) -> pa.Table:
        return pa.Table.from_batches(self._batches, self._schema)
