"""What a snapshot has otherwise than the one before, against a comparison of rows in plain Python."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cimfed_node.ingest.changes import Changes, changes
from cimfed_node.ingest.rowhash import row_hashes

SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "name": pa.map_(pa.string(), pa.string()),
        "height": pa.decimal128(18, 2),
        "year": pa.int32(),
        "open": pa.bool_(),
        "area": pa.float64(),
        "since": pa.timestamp("us", "UTC"),
        "shape": pa.binary(),
        "box": pa.struct({"xmin": pa.float64(), "ymin": pa.float64()}),
        "tags": pa.list_(pa.string()),
        "nothing": pa.null(),
    }
)
Row = dict[str, Any]


def row(drawn: random.Random, id: str) -> Row:
    """Few and short values, so that rows of one id are often alike and cells often are null or empty."""
    text = drawn.choice(["", "a", "b", "Алматы", "eight by", "nine bytes", "x" * 17])
    found = {
        "name": [("en", text), ("kk", drawn.choice(["", "a"]))][: drawn.randrange(3)],
        "height": Decimal(drawn.choice(["0", "3.50", "-3.50", "9999999999999999.99"])),
        "year": drawn.choice([0, 1, -1]),
        "open": drawn.random() < 0.5,
        "area": drawn.choice([0.0, 0.5]),
        "since": drawn.choice([0, 1]),
        "shape": drawn.choice([b"", b"\0", b"\0\0", bytes(16), bytes(17), b"\1" + bytes(15)]),
        "box": {"xmin": drawn.choice([None, 0.0, 1.0]), "ymin": 1.0},
        "tags": [drawn.choice([None, "", "a"]) for _ in range(drawn.randrange(3))],
        "nothing": None,
    }
    return {"id": id} | {name: None if drawn.random() < 0.2 else value for name, value in found.items()}


def table(rows: list[Row]) -> pa.Table:
    return pa.table([pa.array([item[at.name] for item in rows], at.type) for at in SCHEMA], schema=SCHEMA)


def naive(before: list[Row], after: list[Row]) -> Changes:
    """By dictionaries of rows, as Arrow reads them back."""
    old, new = ({item["id"]: item for item in table(rows).to_pylist()} for rows in (before, after))
    both = old.keys() & new.keys()
    changed = sum(old[id] != new[id] for id in both)
    return Changes(len(new) - len(both), changed, len(old) - len(both), len(both) - changed)


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_those_of_a_comparison_row_by_row(tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)
    before = [row(drawn, f"b{number}") for number in range(drawn.choice([0, 1, 300]))]
    after = [item if drawn.random() < 0.5 else item | {at: row(drawn, "")[at]} for item in before
             for at in [drawn.choice(SCHEMA.names[1:])] if drawn.random() < 0.9]  # fmt: skip
    after += [row(drawn, f"n{number}") for number in range(drawn.randrange(20))]
    drawn.shuffle(after)
    for path, rows, size in ((tmp_path / "a", before, 7), (tmp_path / "b", after, 50)):
        pq.write_table(table(rows), path, row_group_size=size)
    assert changes([tmp_path / "a"], [tmp_path / "b"]) == naive(before, after)


def test_a_row_hashes_alike_wherever_it_stands() -> None:
    """In a slice, in another order, among other columns' order, in a dictionary, without its empty columns."""
    drawn = random.Random(7)
    whole = table([row(drawn, f"b{number}") for number in range(200)])
    hashes = row_hashes(whole)
    assert np.array_equal(row_hashes(whole.slice(13, 100)), hashes[13:113])
    for batch in whole.slice(50).to_batches(max_chunksize=1000):
        assert np.array_equal(row_hashes(batch), hashes[50:])
    order = np.array(drawn.sample(range(200), 200))
    assert np.array_equal(row_hashes(whole.take(pa.array(order))), hashes[order])
    assert np.array_equal(row_hashes(whole.select(SCHEMA.names[::-1])), hashes)
    assert np.array_equal(row_hashes(whole.drop_columns(["nothing"])), hashes)
    coded = whole.set_column(0, "id", whole["id"].dictionary_encode())
    assert np.array_equal(row_hashes(coded), hashes)


def test_every_byte_counts() -> None:
    """A geometry with one bit otherwise, at any place of it, is another one."""
    shape = bytes(range(1, 100))
    flipped = [shape[:at] + bytes([shape[at] ^ 1]) + shape[at + 1 :] for at in range(99)]
    cut = [shape[:length] for length in range(99)]
    swapped = [shape[8:16] + shape[:8] + shape[16:]]
    values = [shape, *flipped, *cut, *swapped, *(bytes(length) for length in range(1, 40))]
    assert len(set(row_hashes(pa.table({"shape": values})).tolist())) == len(set(values))


def test_a_value_in_one_column_is_not_the_same_in_another() -> None:
    pair = pa.table({"a": ["x", None], "b": [None, "x"]})
    first, second = row_hashes(pair)
    assert first != second
