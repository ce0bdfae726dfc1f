"""Partial states of another party: however many batches they come in, they end at a limit."""

from __future__ import annotations

import pyarrow as pa
import pytest

from cimfed.errors import BadAnswer, ChainBroken
from cimfed.model.limits import LIMITS
from cimfed.trust.answer import LEAST
from cimfed.wire import states
from cimfed.wire.states import States, Tally
from tests.unit.cimfed.wire.test_batches import allocated, message, numbers

SCHEMA = numbers(0).schema
LARGE = numbers(LIMITS.batch_rows)


def test_states_are_read_in_their_order() -> None:
    found = States("x", SCHEMA, SCHEMA)
    for batch in (numbers(3), numbers(2)):
        assert found.add(message(batch), batch.num_rows).equals(batch)
    assert found.table().equals(pa.Table.from_batches([numbers(3), numbers(2)]))


def test_other_columns_are_refused_before_a_batch_is_read() -> None:
    for other in ([("height", pa.int32())], [("width", pa.int64())], [("height", pa.int64()), ("width", pa.int64())]):
        with pytest.raises(BadAnswer, match="columns"):
            States("x", pa.schema(other), SCHEMA)


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_a_compressed_batch_is_refused_and_takes_nothing(compression: str) -> None:
    payload = message(LARGE, compression)
    before = allocated()
    with pytest.raises(BadAnswer, match="compressed"):
        States("x", SCHEMA, SCHEMA).add(payload, LARGE.num_rows)
    assert allocated() < before + LARGE.nbytes


def test_groups_are_counted_over_all_batches() -> None:
    found, payload = States("x", SCHEMA, SCHEMA), message(LARGE)
    for _ in range(LIMITS.groups // LARGE.num_rows):
        found.add(payload, LARGE.num_rows)
    with pytest.raises(ChainBroken, match="groups"):
        found.add(payload, LARGE.num_rows)
    tally = Tally("x", LIMITS.groups * 1000)
    tally.add(LIMITS.groups, 1)
    with pytest.raises(ChainBroken, match="groups"):
        tally.add(1, 1)


def test_bytes_are_added_up_over_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "STATE", 3 * LARGE.nbytes)
    found, payload = States("x", SCHEMA, SCHEMA), message(LARGE)
    found.add(payload, LARGE.num_rows)
    found.add(payload, LARGE.num_rows)
    with pytest.raises(ChainBroken, match="bytes"):
        found.add(payload, LARGE.num_rows)


def test_batches_of_no_rows_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "STATE", 2 * LEAST)
    found, payload = States("x", SCHEMA, SCHEMA), message(numbers(0))
    tally = Tally("x", 2 * LEAST)
    for _ in range(2):
        found.add(payload, 0)
        tally.add(0, 0)
    with pytest.raises(ChainBroken, match="bytes"):
        found.add(payload, 0)
    with pytest.raises(ChainBroken, match="bytes"):
        tally.add(0, 0)
