"""Adding up the partial states of an aggregate: a convenience for thin clients.

Clients of ours add up the cities' signed parts themselves and compare. The total goes out under the gateway's own
name and its hash stands in the coverage (``docs/wire.md``, "Total").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from cimfed.model.limits import LIMITS
from cimfed.query import aggregate as algebra
from cimfed.query.query import Aggregate
from cimfed.trust.hashing import digest, sha256
from cimfed.wire import frames
from cimfed.wire.batches import read_schema_message
from cimfed.wire.states import States
from cimfed_gateway.relay import Relay


@dataclass(frozen=True)
class Total:
    frames: tuple[bytes, ...]
    hash: bytes


NO_TOTAL = Total((), b"")


def add_up(gateway: str, request: Aggregate, parts: Sequence[Relay]) -> Total:
    """The merged state of the cities that answered, as frames in the gateway's name. BadAnswer, TooLarge."""
    expected = algebra.state_schema(request)
    state = algebra.merge(request, [_table(part, expected) for part in parts])
    schema = state.schema.serialize().to_pybytes()
    out = [frames.encode(frames.Frame(gateway, frames.Start(schema, "")))]
    hashes: list[bytes] = []
    rows = max(1, LIMITS.batch_bytes * max(state.num_rows, 1) // max(state.nbytes, 1))
    rows = min(rows, LIMITS.batch_rows)
    for index, batch in enumerate(state.combine_chunks().to_batches(max_chunksize=rows), start=1):
        payload = batch.serialize().to_pybytes()
        hashes.append(sha256(payload))
        out.append(frames.encode(frames.Frame(gateway, None, index, batch.num_rows, payload)))
    return Total(tuple(out), digest("cimfed/total/v1", [schema, *hashes]))


def _table(part: Relay, expected: pa.Schema) -> pa.Table:
    states = States(part.city, read_schema_message(part.city, part.schema), expected)
    for rows, payload in part.payloads:
        states.add(payload, rows)
    return states.table()
