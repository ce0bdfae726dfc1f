"""A 64-bit hash of every row of a batch, on whole columns.

Two rows with the same values hash alike whatever the order of columns, and nulls count for nothing, so that a column
that another release adds, and that is empty, changes no row. For telling whether an object of the same id was changed:
a change stays unseen once in 2**64. It is no cryptographic hash: who writes a city's data could make two rows collide.

Every part (a word of eight bytes, an entry of a map, a column) is mixed with its place, and what was mixed is added up
modulo 2**64. The mixing function is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom
Number Generators, OOPSLA 2014).
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
WORD = 8
_LEFT = np.array([(1 << (8 * left)) - 1 for left in range(WORD + 1)], np.uint64)
"""Masks of a word's first bytes, by their number."""


def row_hashes(batch: pa.RecordBatch | pa.Table) -> Hashes:
    """One for each row."""
    total = np.zeros(batch.num_rows, np.uint64)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        total += _of_column(name, column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    return _mixed(total)


def _of_column(name: str, array: Any) -> Hashes:
    found = _mixed(_hashed(array) + _seed(name))
    found[_nulls(array)] = 0
    return found


def _hashed(array: Any) -> Hashes:
    """What a null hashes to means nothing."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _hashed(array.dictionary_decode())
    if isinstance(array, pa.ExtensionArray):
        return _hashed(array.storage)
    if array.null_count == len(array):
        return np.zeros(len(array), np.uint64)
    if pa.types.is_struct(kind):
        total = np.zeros(len(array), np.uint64)
        for number, child in enumerate(array.flatten()):
            total += _of_column(kind.field(number).name, child)
        return total
    if pa.types.is_map(kind):
        return _summed(_mixed(_of_column("key", array.keys) + _of_column("value", array.items)), _offsets(array))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        offsets = _offsets(array)
        items = _of_column("item", array.values)
        place = np.zeros(len(items), np.uint64)
        place[offsets[0] : offsets[-1]] = np.arange(offsets[-1] - offsets[0]) - np.repeat(
            offsets[:-1] - offsets[0], np.diff(offsets)
        )
        return _summed(_mixed(items + _mixed(place + np.uint64(1))), offsets)
    if pa.types.is_binary(kind) or pa.types.is_string(kind):
        return _bytes(array, np.int32)
    if pa.types.is_large_binary(kind) or pa.types.is_large_string(kind):
        return _bytes(array, np.int64)
    return _fixed(array)


def _bytes(array: Any, width: type[np.int32] | type[np.int64]) -> Hashes:
    _, offset_buffer, data = array.buffers()
    offsets = np.frombuffer(offset_buffer, width)[array.offset :][: len(array) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    words = -(-lengths // WORD)
    ends = np.cumsum(words)
    place = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - words, words)
    at = np.repeat(offsets[:-1], words) + WORD * place
    left = np.minimum(np.repeat(offsets[1:], words) - at, WORD)
    raw = np.zeros((0 if data is None else data.size) + WORD, np.uint8)
    if data is not None:
        raw[: data.size] = np.frombuffer(data, np.uint8)
    # A word at every byte: values begin where they begin.
    everywhere = np.lib.stride_tricks.as_strided(raw[:WORD].view("<u8"), (len(raw) - WORD + 1,), (1,), writeable=False)
    word = everywhere[at] & _LEFT[left]
    return _summed(_mixed(word + _mixed(place.astype(np.uint64) + np.uint64(1))), np.append(0, ends)) + _mixed(
        lengths.astype(np.uint64)
    )


def _fixed(array: Any) -> Hashes:
    """Numbers, instants, decimals, truth values: by their bytes."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    width = array.type.bit_width // 8
    values = np.frombuffer(array.buffers()[1], np.uint8)[array.offset * width :][: len(array) * width]
    words = np.zeros((len(array), -(-width // WORD) * WORD), np.uint8)
    words[:, :width] = values.reshape(len(array), width)
    found = np.zeros(len(array), np.uint64)
    for word in words.view("<u8").T:
        found = _mixed(found + word)
    return found


def _offsets(array: Any) -> npt.NDArray[np.int64]:
    """Where each row's entries begin in the children, and where the last one's end."""
    found: npt.NDArray[np.int64] = array.offsets.to_numpy().astype(np.int64)
    return found


def _summed(parts: Hashes, offsets: npt.NDArray[np.int64]) -> Hashes:
    """Sums of stretches, which also tell how many parts there were."""
    sums = np.zeros(len(parts) + 1, np.uint64)
    np.cumsum(parts, out=sums[1:])
    found: Hashes = sums[offsets[1:]] - sums[offsets[:-1]] + _mixed(np.diff(offsets).astype(np.uint64) + np.uint64(1))
    return found


def _mixed(value: Hashes) -> Hashes:
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return value


@cache
def _seed(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))


def _nulls(array: Any) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return found
