"""Random numbers by counter: the n-th draw of a stream is a function of seed, stream name and n alone.

The mixing function is SplitMix64's finaliser (Steele, Lea, Flood, 2014), run twice over the keyed counter. Unlike a
generator with a state this needs no order of drawing, and does not change with numpy's versions.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]


def _mix(words: Words) -> Words:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


class Chance:
    """All streams of one city: ``Chance("cn.qingdao", 1).uniform("height", numbers)``."""

    def __init__(self, city: str, seed: int) -> None:
        self._name = f"{city}/{seed}"

    def words(self, stream: str, numbers: Ints) -> Words:
        """64 random bits for each number."""
        digest = blake2b(f"{self._name}/{stream}".encode(), digest_size=8).digest()
        key = np.uint64(int.from_bytes(digest, "little"))
        counter = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        return _mix(_mix(counter + key) + key)

    def uniform(self, stream: str, numbers: Ints) -> Floats:
        """In [0, 1), with 53 bits."""
        return (self.words(stream, numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def between(self, stream: str, numbers: Ints, low: float, high: float) -> Floats:
        return low + (high - low) * self.uniform(stream, numbers)

    def normal(self, stream: str, numbers: Ints) -> Floats:
        """Standard normal, by Box and Muller."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(stream + "/radius", numbers)))
        return radius * np.cos(2.0 * np.pi * self.uniform(stream + "/angle", numbers))

    def choice(self, stream: str, numbers: Ints, weights: Floats) -> Ints:
        """An index for each number; ``weights`` is one row for all, or one row for each number."""
        cumulated = np.cumsum(weights, axis=-1)
        drawn = self.uniform(stream, numbers) * cumulated[..., -1]
        below = (cumulated <= drawn[:, None]).sum(axis=-1)
        return np.asarray(np.minimum(below, weights.shape[-1] - 1), dtype=np.int64)
