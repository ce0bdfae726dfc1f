"""One city's stream, verified as it comes: batches go out only under the city's signature.

No I/O and no bytes of messages here: the caller parses frames and hands over their parts, with a function that decodes
a signed payload once its signature held. The rules, as errors name them:

1. Nothing but a manifest may come before the start, and there is one start.
2. Batches count 1, 2, 3 ... without a gap.
3. A head is signed by a key that the directory lists for the city, is of this request and city, and its index and
   chain are those of the batches so far.
4. Batches are released by a head, or by the manifest. No more than ``UNSIGNED`` bytes wait for one.
5. The manifest is signed likewise and is of this request, federation, city and collection.
6. An answer that is signed as answered has batches, one without data has none, a refusal has a reason.
7. The manifest's rows, batches, chain and view are those of the stream.
8. Nothing follows the manifest, another manifest least of all.
9. A stream that ends without its manifest is cut off.

Rule 3 and 5 raise Forged for a signature, rule 9 Truncated, everything else is ChainBroken. An error leaves the state
as it was, so that a part can be tried again with newer keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cimfed.errors import BadSignature, ChainBroken, Forged, Truncated
from cimfed.model.answer import BY_CITY, Head, Manifest, Outcome
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, Federation
from cimfed.trust.chain import Chain
from cimfed.trust.envelope import Envelope, PayloadType, verify
from cimfed.trust.keys import PublicKey

UNSIGNED = LIMITS.head_bytes + 2 * LIMITS.frame
"""Bytes of batches that may wait for a head: what lies between two heads, and a frame at either end."""
LEAST = 512
"""Bytes that any batch counts for: those without any would wait in any number."""


@dataclass(frozen=True)
class Asked:
    """What an answer must be bound to. ``collection`` is empty for a catalogue of all collections."""

    request_hash: bytes
    federation: Federation
    collection: str


@dataclass(frozen=True)
class Batch:
    """An Arrow record batch message and the rows that its frame says it has."""

    index: int
    rows: int
    payload: bytes | memoryview


class CityAnswer:
    """The state of one city's answer. ``keys`` may be replaced when a newer directory lists others."""

    def __init__(self, asked: Asked, city: CityName, keys: tuple[PublicKey, ...]) -> None:
        self.city = city
        self.keys = keys
        self.schema: bytes | None = None
        self.view = ""
        self.batch_hashes: list[bytes] = []  # for receipts: 32 bytes a batch
        self.rows = 0
        self.released = 0  # rows under a signature so far
        self.ending: tuple[Manifest, Envelope] | None = None
        self._asked = asked
        self._chain: Chain | None = None
        self._waiting: list[Batch] = []
        self._unsigned = 0  # bytes

    @property
    def started(self) -> bool:
        return self._chain is not None

    def start(self, schema: bytes, view: str) -> None:
        """The Arrow schema message that heads the stream, and the id of the view that it comes from."""
        self._open()
        if self.started:
            raise self._broken(1, "it started twice")
        self.schema, self.view = schema, view
        self._chain = Chain.start(self._asked.request_hash, self.city, schema, view)

    def payload(self, index: int, rows: int, payload: bytes | memoryview) -> None:
        """A batch's exact bytes. Hashing them is the costly part; it lets other threads run."""
        self._open()
        if self._chain is None:
            raise self._broken(1, "a batch came before the start")
        if index != self._chain.index + 1:
            raise self._broken(2, f"batch {index} came where batch {self._chain.index + 1} was due")
        size = max(len(payload), LEAST)
        if self._unsigned + size > UNSIGNED:
            raise self._broken(4, f"no signed head for more than {UNSIGNED} bytes")
        self.batch_hashes.append(self._chain.add(payload))
        self._waiting.append(Batch(index, rows, payload))
        self._unsigned += size
        self.rows += rows

    def head(self, envelope: Envelope, decode: Callable[[bytes], Head]) -> list[Batch]:
        """The batches that the head releases."""
        self._open()
        _signed(self.city, 3, envelope, PayloadType.HEAD, self.keys)
        head = decode(envelope.payload)
        if self._chain is None:
            raise self._broken(1, "a head came before the start")
        if head.request_hash != self._asked.request_hash:
            raise self._broken(3, "a head is of another request")
        if head.city != self.city:
            raise self._broken(3, f"a head is of {head.city}")
        if head.index != self._chain.index:
            raise self._broken(3, f"a head is of {head.index} batches, {self._chain.index} came")
        if head.chain != self._chain.value:
            raise self._broken(3, "the batches are not those that the city signed")
        return self._release()

    def manifest(self, envelope: Envelope, decode: Callable[[bytes], Manifest]) -> list[Batch]:
        """The batches that had no head yet; the manifest is ``ending`` from now on."""
        self._open()
        manifest = open_manifest(self._asked, self.city, self.keys, envelope, decode)
        check_counts(manifest, self._chain, self.view)
        if manifest.rows != self.rows:
            raise _broken(self.city, 7, f"its manifest counts {manifest.rows} rows, {self.rows} came")
        self.ending = manifest, envelope
        return self._release()

    def end(self) -> None:
        """To be called when nothing more will come."""
        if self.ending is None:
            raise Truncated(f"{self.city}: the stream ended without its manifest (rule 9)", remedy="Ask again")

    def _open(self) -> None:
        if self.ending is not None:
            raise self._broken(8, "more came after its manifest")

    def _release(self) -> list[Batch]:
        released, self._waiting, self._unsigned = self._waiting, [], 0
        self.released = self.rows
        return released

    def _broken(self, rule: int, what: str) -> ChainBroken:
        return _broken(self.city, rule, what)


def open_manifest(
    asked: Asked,
    city: CityName,
    keys: tuple[PublicKey, ...],
    envelope: Envelope,
    decode: Callable[[bytes], Manifest],
) -> Manifest:
    """Rules 5 and 6: for streams, and for receipts."""
    _signed(city, 5, envelope, PayloadType.MANIFEST, keys)
    manifest = decode(envelope.payload)
    for name, value, expected in (
        ("request", manifest.request_hash, asked.request_hash),
        ("federation", manifest.federation, asked.federation),
        ("city", manifest.city, city),
        ("collection", manifest.collection, asked.collection),
    ):
        if value != expected:
            raise _broken(city, 5, f"its manifest is of another {name}")
    fits = {
        Outcome.ANSWERED: manifest.batches > 0 and not manifest.reason,
        Outcome.NO_DATA: manifest.batches == 0 and manifest.rows == 0 and not manifest.reason,
        Outcome.REFUSED: bool(manifest.reason),
    }
    if manifest.outcome not in BY_CITY or not fits[manifest.outcome]:
        raise _broken(city, 6, f"its manifest cannot be one of outcome {manifest.outcome}")
    return manifest


def check_counts(manifest: Manifest, chain: Chain | None, view: str) -> None:
    """Rule 7 but for the rows. ``chain`` is None where the stream never started."""
    index = chain.index if chain else 0
    if manifest.batches != index:
        raise _broken(manifest.city, 7, f"its manifest counts {manifest.batches} batches, {index} came")
    if chain is None:
        return
    if manifest.chain != chain.value:
        raise _broken(manifest.city, 7, "the batches are not those that its manifest signs")
    if manifest.view != view:
        raise _broken(manifest.city, 7, "its manifest is of another view")


def _signed(city: str, rule: int, envelope: Envelope, kind: PayloadType, keys: tuple[PublicKey, ...]) -> None:
    try:
        verify(envelope, kind, keys)
    except BadSignature:
        what = "a head" if kind is PayloadType.HEAD else "its manifest"
        raise Forged(f"{city}: {what} is not signed by a key of that city (rule {rule})") from None


def _broken(city: str, rule: int, what: str) -> ChainBroken:
    return ChainBroken(f"{city}: {what} (rule {rule})")
