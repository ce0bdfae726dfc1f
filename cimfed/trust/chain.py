"""The chain over a city's batches: what its signed heads and manifest vouch for.

    chain_0 = H("cimfed/chain/v1", request hash, city, schema, view)
    chain_i = H("cimfed/link/v1", chain_{i-1}, i, SHA-256(batch_i))

A batch changed, dropped, doubled, moved within the stream or spliced in from another answer gives another chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from cimfed.trust.hashing import digest, sha256


@dataclass
class Chain:
    """The running value: ``index`` batches were added so far."""

    value: bytes
    index: int = 0

    @classmethod
    def start(cls, request_hash: bytes, city: str, schema: bytes, view: str) -> Chain:
        return cls(digest("cimfed/chain/v1", (request_hash, city, schema, view)))

    def add(self, batch: bytes | memoryview) -> bytes:
        """Adds a batch's exact bytes; gives the batch's own hash, for receipts."""
        batch_hash = sha256(batch)
        self.add_hash(batch_hash)
        return batch_hash

    def add_hash(self, batch_hash: bytes) -> None:
        self.index += 1
        self.value = digest("cimfed/link/v1", (self.value, self.index, batch_hash))
