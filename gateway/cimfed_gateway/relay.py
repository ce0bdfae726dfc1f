"""One city's stream, passed on as the bytes that it sent.

Only the first fields of a frame are read: whose it is, and whether it is a head or the manifest. The city's signature
on these is checked: a coverage never vouches for an ending that clients would refuse, and a city whose key was revoked
ends for itself alone, where a client that saw its head would refuse the whole answer. Rows are not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cimfed.errors import BadSignature, ChainBroken
from cimfed.model.answer import BY_CITY, CityOutcome, Manifest
from cimfed.model.names import CityName
from cimfed.trust.envelope import Envelope, PayloadType, verify
from cimfed.trust.keys import PublicKey
from cimfed.wire import answers, frames, states

STATE = states.STATE
"""What a city's part of an aggregate may hold here."""


@dataclass
class Relay:
    """Follows the frames of one city's answer; ``keep`` also keeps the payloads, for adding up."""

    city: CityName
    request_hash: bytes
    keys: tuple[PublicKey, ...]
    keep: bool = False
    schema: bytes = b""
    payloads: list[tuple[int, bytes | memoryview]] = field(default_factory=list)  # each with its rows
    heard: bool = False  # a good frame of the city came
    outcome: CityOutcome | None = None

    def __post_init__(self) -> None:
        self._tally = states.Tally(self.city, STATE)

    def look(self, data: bytes) -> None:
        """Takes note of a frame; ChainBroken where it must not be passed on."""
        frame = frames.decode(data)
        if frame.city != self.city:
            raise ChainBroken(f"{self.city} sent a frame in another name")
        match frame.part:
            case frames.Manifest(envelope):
                self._check_signed(envelope, PayloadType.MANIFEST, "a manifest")
                self.outcome = self._ending(answers.decode_manifest(envelope.payload), envelope.payload_hash)
            case frames.Head(envelope):
                self._check_signed(envelope, PayloadType.HEAD, "a head")
            case frames.Coverage():
                raise ChainBroken(f"{self.city} sent a gateway's coverage")
            case frames.Start(schema, _):
                self.schema = schema
            case _:
                pass
        self.heard = True
        if self.keep and frame.payload:
            self._keep(frame)

    def _check_signed(self, envelope: Envelope, kind: PayloadType, what: str) -> None:
        try:
            verify(envelope, kind, self.keys)
        except BadSignature:
            raise ChainBroken(f"{self.city} sent {what} that its keys did not sign") from None

    def _keep(self, frame: frames.Frame) -> None:
        self._tally.add(frame.rows, len(frame.payload))
        self.payloads.append((frame.rows, frame.payload))

    def _ending(self, manifest: Manifest, manifest_hash: bytes) -> CityOutcome:
        if manifest.request_hash != self.request_hash or manifest.city != self.city:
            raise ChainBroken(f"{self.city} sent the manifest of another answer")
        if manifest.outcome not in BY_CITY:
            raise ChainBroken(f"{self.city} signed an outcome that is not its own to state")
        return CityOutcome(self.city, manifest.outcome, manifest.reason, manifest.message, manifest_hash)
