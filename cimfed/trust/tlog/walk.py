"""Recomputes a log from its entries' bytes, in their order, and compares it with its checkpoints.

The first place that does not agree is the error's ``place``: an entry by its index from 0, or the entries since the
last checkpoint that did.
"""

from __future__ import annotations

from collections.abc import Sequence

from cimfed.errors import Forged, LogInconsistent
from cimfed.trust.keys import PublicKey
from cimfed.trust.tlog import merkle
from cimfed.trust.tlog.checkpoint import Checkpoint, Origin, parse_checkpoint, verify_checkpoint
from cimfed.trust.tlog.entries import Entry, Other, decode
from cimfed.trust.tlog.merkle import Subtree
from cimfed.trust.tlog.note import Note


class Walk:
    """Over one generation of a log; ``keys`` are those that may sign its checkpoints."""

    def __init__(self, origin: Origin, keys: Sequence[PublicKey]) -> None:
        self.origin = origin
        self.size = 0
        self.peaks: list[bytes] = []
        self.checkpoints = 0
        self._keys = keys
        self._last: Checkpoint | None = None

    @property
    def root(self) -> bytes:
        return merkle.folded(self.peaks)

    def add(self, content: bytes) -> tuple[Entry | Other, list[tuple[Subtree, bytes]]]:
        """The next entry, and the hashes of the subtrees that it completes."""
        try:
            entry = decode(content)
        except LogInconsistent as error:
            raise LogInconsistent(error.message, place=f"entry {self.size}") from None
        made, self.peaks = merkle.append(self.size, self.peaks, [merkle.leaf_hash(content)])
        self.size += 1
        return entry, made

    def check(self, note: Note) -> Checkpoint:
        """A checkpoint of the entries so far; they come in the order of their sizes, one of each."""
        claimed = parse_checkpoint(note.text)
        place = f"checkpoint of {claimed.size} entries"
        try:
            checkpoint = verify_checkpoint(note, self.origin, self._keys)
        except Forged as error:
            raise Forged(error.message, place=place, remedy="Name a key that signed before with --key") from None
        if checkpoint.size > self.size:
            raise LogInconsistent(
                f"the log has {self.size} entries, but a checkpoint of {checkpoint.size} is signed", place=place
            )
        if self._last is not None and checkpoint.size <= self._last.size:
            raise LogInconsistent(
                "two checkpoints of one size are signed"
                if checkpoint.size == self._last.size
                else "checkpoints are not in their order",
                place=place,
            )
        if checkpoint.size < self.size or checkpoint.root != self.root:
            begin = self._last.size if self._last else 0
            raise LogInconsistent(
                f"the entries are not those that the checkpoint of {checkpoint.size} is signed for",
                place=f"entries {begin} to {checkpoint.size - 1}",
            )
        self._last = checkpoint
        self.checkpoints += 1
        return checkpoint
