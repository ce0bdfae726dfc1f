"""A log of a city, made to show one entry of it, and the part of a receipt that shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cimfed.model.names import CityName
from cimfed.trust.tlog import merkle
from cimfed.trust.tlog.checkpoint import Checkpoint, Origin, cosign, sign_checkpoint
from cimfed.trust.tlog.entries import Act, Decision, Entry, Position, encode
from cimfed.trust.tlog.note import Note, NoteSignature
from cimfed.wire.logs import Proven
from cimfed.wire.receipts import LogProof
from vectorgen.parties import ALMATY, DELHI, GATEWAY, NOW, PARTNER, SCO, SECOND, TASHKENT, signer

AT = NOW // SECOND + 2  # when checkpoints are cosigned
ACTS = tuple(Act(NOW - 60 * SECOND, "import", "aigerim", objects=at, token=bytes([at]) * 16) for at in range(1, 7))
Line = Callable[[Note], NoteSignature]


def witness(name: str, by: str = "", at: int = AT) -> Line:
    """A cosignature that bears the name, by that party's key or by another."""
    return lambda note: cosign(note, Origin(SCO, name), signer(by or name), at)


BOTH = (witness(DELHI), witness(TASHKENT))


@dataclass(frozen=True)
class Log:
    """``entry`` stands between others. ``name`` and ``by``: what the checkpoint calls the log, and who signs it; the
    city's own where they are empty. ``lines``: the signatures after that.
    """

    entry: Entry | bytes
    city: CityName = ALMATY
    name: str = ""
    by: str = ""
    before: Sequence[Entry] = ACTS[:4]
    after: Sequence[Entry] = ACTS[4:]
    lines: tuple[Line, ...] = BOTH

    @property
    def entries(self) -> list[bytes]:
        return [one if isinstance(one, bytes) else encode(one) for one in (*self.before, self.entry, *self.after)]

    @property
    def leaves(self) -> list[bytes]:
        return [merkle.leaf_hash(one) for one in self.entries]

    @property
    def checkpoint(self) -> Checkpoint:
        root = merkle.folded(merkle.append(0, [], self.leaves)[1])
        return Checkpoint(self.name or f"{SCO}/{self.city}", len(self.leaves), root)

    @property
    def note(self) -> Note:
        note = sign_checkpoint(self.checkpoint, signer(self.by or self.city))
        return replace(note, signatures=(*note.signatures, *(line(note) for line in self.lines)))

    @property
    def proof(self) -> tuple[bytes, ...]:
        hashes = dict(merkle.append(0, [], self.leaves)[0])
        at, size = len(self.before), len(self.leaves)
        return tuple(merkle.inclusion_proof(at, size, lambda parts: [hashes[part] for part in parts]))

    def part(self, **other: Any) -> LogProof:
        whole = Proven(self.entries[len(self.before)], len(self.before), self.proof, self.note.to_bytes())
        return LogProof(self.city, replace(whole, **other))

    def shown(self, *cosigned: str) -> dict[str, Any]:
        """What a reader comes to."""
        made = self.checkpoint
        return {
            "origin": made.origin,
            "index": len(self.before),
            "size": made.size,
            "cosigned": list(cosigned),
        }


def decision(request_hash: bytes, **other: Any) -> Decision:
    """As a city decides on a read that comes through the gateway; its manifest is ``Stream.manifest_value``."""
    facts = {
        "time": NOW,
        "position": Position(41),
        "request_hash": request_hash,
        "key_id": signer(PARTNER).public.id,
        "organisation": PARTNER,
        "presenter": GATEWAY,
        "kind": "read",
        "purpose": "research",
        "collection": "building",
        "policy": 3,
        "grant": "massing",
        "view": "view-1",
    }
    return Decision(**facts | other)
