"""From record batches to signed frames: start, payloads under one chain, heads, manifest.

Two parts with one owner each, so that nothing is locked:

- ``Chainer`` serialises, hashes and chains batches. It belongs to the thread that reads the store; the costly steps
  let other threads run. A batch that would not fit into a frame goes out as several.
- ``Sealer`` belongs to whoever writes the frames, and signs only what was written: a head after the first payload,
  then after 16 MiB or 250 ms, and the manifest, which signs what a head before it would. So a stream may end at any
  frame and its end is a signed prefix.

Pure: the signer and the times come from the caller; out come bytes. Which bytes are signed says ``docs/wire.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from cimfed.errors import TooLarge
from cimfed.model.answer import Head, Manifest, Outcome
from cimfed.model.limits import LIMITS, Limits
from cimfed.model.names import CityName
from cimfed.trust.chain import Chain
from cimfed.trust.envelope import PayloadType, seal
from cimfed.trust.keys import Signer
from cimfed.wire import answers, frames

FRAME_MARGIN = 4096  # bytes of a frame that are not payload, at most


@dataclass(frozen=True)
class Sealed:
    """A payload frame, and the chain as it stands with this payload. ``last``: the manifest comes next."""

    frame: bytes
    rows: int
    index: int
    chain: bytes
    last: bool = False


@dataclass(frozen=True)
class Sent:
    """Of an answer, up to a frame."""

    rows: int = 0
    batches: int = 0
    chain: bytes = b""

    def plus(self, sealed: Sealed) -> Sent:
        return Sent(self.rows + sealed.rows, sealed.index, sealed.chain)


class Chainer:
    """The payload frames of one answer. ``compression``: "", "lz4" or "zstd", of the Arrow buffers."""

    def __init__(
        self,
        city: CityName,
        request_hash: bytes,
        schema: pa.Schema,
        view: str,
        compression: str = "",
        limits: Limits = LIMITS,
    ) -> None:
        if any(pa.types.is_dictionary(field.type) for field in schema):
            raise TypeError("frames hold no dictionaries")
        self._city = city
        self._room = limits.frame - FRAME_MARGIN
        self._schema = schema
        self._message = schema.serialize().to_pybytes()
        self._options = pa.ipc.IpcWriteOptions(compression=compression) if compression else None  # type: ignore[arg-type]
        self._chain = Chain.start(request_hash, city, self._message, view)
        self.start_frame = frames.encode(frames.Frame(city, frames.Start(self._message, view)))
        self.empty = Sent(chain=self._chain.value)

    def add(self, batch: pa.RecordBatch) -> Iterator[Sealed]:
        """The frames of a batch: one, or several where it is too large for one; none for a batch without rows."""
        if batch.num_rows == 0:
            return
        if batch.nbytes <= 2 * self._room:  # more could not be compressed by enough to be worth a try
            payload = self._payload(batch)
            if len(payload) <= self._room:
                yield self._seal(payload, batch.num_rows)
                return
            del payload
        if batch.num_rows == 1:
            raise TooLarge("one row is larger than a frame", remedy="Ask for less detail")
        half = batch.num_rows // 2
        yield from self.add(batch.slice(0, half))
        yield from self.add(batch.slice(half))

    def _payload(self, batch: pa.RecordBatch) -> memoryview:
        """An Arrow IPC encapsulated record batch message."""
        if self._options is None:
            return memoryview(batch.serialize())
        sink = pa.BufferOutputStream()
        writer = pa.ipc.new_stream(sink, self._schema, options=self._options)
        writer.write_batch(batch)
        end = sink.tell()
        writer.close()
        stream = memoryview(sink.getvalue())
        # Before it stands the schema's message: a marker, the length of its metadata (both 4 bytes), no body.
        return stream[8 + int.from_bytes(stream[4:8], "little") : end]

    def _seal(self, payload: memoryview, rows: int) -> Sealed:
        self._chain.add(payload)
        frame = frames.encode(frames.Frame(self._city, index=self._chain.index, rows=rows, payload=payload))
        return Sealed(frame, rows, self._chain.index, self._chain.value)


class Sealer:
    """The signed frames of one answer. Times are monotonic seconds."""

    def __init__(self, signer: Signer, city: CityName, request_hash: bytes, limits: Limits = LIMITS) -> None:
        self._signer = signer
        self._city = city
        self._request_hash = request_hash
        self._limits = limits
        self.sent = Sent()  # written: what heads and the manifest vouch for
        self.handed_over = Sent()  # at most one frame more: of an answer without an end, what its caller may have
        self.said: Manifest | None = None  # what was signed as the end of the answer
        self._unsigned = 0  # bytes written since the last head
        self._since: float | None = None  # when the first of them was

    def start(self, empty: Sent) -> None:
        """The start frame was written."""
        self.sent = self.handed_over = empty

    def hands_over(self, sealed: Sealed) -> None:
        """A payload frame is about to be written."""
        self.handed_over = self.sent.plus(sealed)

    def wrote(self, sealed: Sealed, now: float) -> bytes | None:
        """A payload frame was written; the head that is due after it, if one is."""
        self.sent = self.sent.plus(sealed)
        if sealed.last:
            return None
        self._unsigned += len(sealed.frame)
        if self._since is None:
            self._since = now
        if sealed.index == 1 or self._unsigned >= self._limits.head_bytes:
            return self._head()
        return self.overdue(now)

    def wait(self, now: float) -> float | None:
        """Seconds until a head is due even if nothing more is written; None where nothing waits for one."""
        return None if self._since is None else max(0.0, self._since + self._limits.head_seconds - now)

    def overdue(self, now: float) -> bytes | None:
        """The head that is due by time, if one is."""
        return self._head() if self.wait(now) == 0.0 else None

    def manifest(self, facts: Manifest) -> tuple[bytes, Manifest]:
        """The last frame, and what it says. Rows, batches and chain are of what was written; no rows: no data."""
        outcome = facts.outcome
        if outcome is Outcome.ANSWERED and self.sent.batches == 0:
            outcome = Outcome.NO_DATA
        manifest = replace(
            facts, outcome=outcome, rows=self.sent.rows, batches=self.sent.batches, chain=self.sent.chain
        )
        envelope = seal(PayloadType.MANIFEST, answers.encode_manifest(manifest), self._signer)
        self.said = manifest
        return frames.encode(frames.Frame(self._city, frames.Manifest(envelope))), manifest

    def _head(self) -> bytes:
        self._unsigned, self._since = 0, None
        head = Head(self._request_hash, self._city, self.sent.batches, self.sent.chain)
        envelope = seal(PayloadType.HEAD, answers.encode_head(head), self._signer)
        return frames.encode(frames.Frame(self._city, frames.Head(envelope)))
