"""Recomputes a whole log from its entries' bytes and compares it with all else that its database says.

Every hash, every key, the head and every checkpoint, of each generation, in their order: the first place that does not
agree ends it as ``LogInconsistent`` or ``Forged``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, select
from sqlalchemy.engine import Connection

from cimfed.errors import LogInconsistent
from cimfed.tlog import checkpoints, log
from cimfed.tlog.schema import CheckpointRow, EntryId, EntryRow, KeyRow, NodeRow, node_row
from cimfed.trust.keys import PublicKey
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tlog.export import Item
from cimfed.trust.tlog.walk import Walk

STEP = 1024  # entries read at a time; even, so that a pair of leaves is never torn apart

_NODE = NodeRow.__table__  # type: ignore[attr-defined]
_KEY = KeyRow.__table__  # type: ignore[attr-defined]
_ENTRY = EntryRow.__table__  # type: ignore[attr-defined]
_CHECKPOINT = CheckpointRow.__table__  # type: ignore[attr-defined]
_FIRST_ENTRY = select(func.min(_ENTRY.c.id)).where(_ENTRY.c.id >= bindparam("row"))
_FIRST_CHECKPOINT = select(func.min(_CHECKPOINT.c.id)).where(_CHECKPOINT.c.id >= bindparam("row"))
_NODES = select(_NODE.c.id, _NODE.c.hash).where(_NODE.c.id.in_(bindparam("rows", expanding=True)))
_KEYS = select(_KEY.c.key, _KEY.c.entry).where(_KEY.c.key.in_(bindparam("known", expanding=True)))


@dataclass(frozen=True)
class Checked:
    """A generation of the log that agrees with itself and with its checkpoints. ``beyond``: entries after the last."""

    origin: Origin
    size: int
    root: bytes
    checkpoints: int
    beyond: int


def check(connection: Connection, origin: Origin, keys: Sequence[PublicKey]) -> list[Checked]:
    """Of all generations. ``keys`` are those that may have signed its checkpoints."""
    now = log.head(connection)
    done = []
    for generation in _generations(connection):
        walk = Walk(checkpoints.generation_of(origin, generation), keys)
        last = 0
        for first, contents, made in _parts(connection, generation):
            notes = {one.size: one for one in made}
            _check_part(connection, walk, EntryId(generation, first), contents, notes)
            last = max([last, *notes])
        done.append(Checked(walk.origin, walk.size, walk.root, walk.checkpoints, walk.size - last))
        if generation == now.generation and (walk.size, tuple(walk.peaks)) != (now.size, now.peaks):
            differs = min(walk.size, now.size) - (walk.size == now.size)
            raise LogInconsistent(
                f"the log's head is of {now.size} entries with other hashes than those that are here",
                place=f"entry {differs}",
            )
    return done


def everything(connection: Connection, origin: Origin) -> Iterator[Item]:
    """The log's items, to be exported: unchecked."""
    for generation in _generations(connection):
        yield checkpoints.generation_of(origin, generation)
        for first, contents, made in _parts(connection, generation):
            notes = {one.size: one.note for one in made}
            if first == 0 and 0 in notes:
                yield notes[0]
            for index, content in enumerate(contents, first):
                yield content
                if index + 1 in notes:
                    yield notes[index + 1]
            for size, note in notes.items():
                if size > first + len(contents):
                    yield note


def _generations(connection: Connection) -> Iterator[int]:
    """Those that have entries or checkpoints, and the current one: numbers may be left out."""
    number, last = 0, log.head(connection).generation
    while number < last:
        after = {"row": EntryId(number + 1, 0).row}
        rows = [connection.execute(first, after).scalar() for first in (_FIRST_ENTRY, _FIRST_CHECKPOINT)]
        number = min((EntryId.of(row).generation for row in rows if row is not None), default=last)
        yield number


def _parts(connection: Connection, generation: int) -> Iterator[tuple[int, list[bytes], list[checkpoints.Made]]]:
    """Entries by the index of the first, and the checkpoints that are of no more; the last part has all others."""
    waiting = checkpoints.of_generation(connection, generation)
    index = 0
    while True:
        found = log.contents(connection, EntryId(generation, index), STEP)
        for at, (one, _) in enumerate(found, index):
            if one.index != at:
                raise LogInconsistent("an entry of the log is gone", place=f"entry {at}")
        ends = len(found) < STEP
        here = waiting if ends else [one for one in waiting if one.size <= index + STEP]
        waiting = waiting[len(here) :]
        yield index, [content for _, content in found], here
        if ends:
            return
        index += STEP


def _check_part(
    connection: Connection,
    walk: Walk,
    first: EntryId,
    contents: Sequence[bytes],
    notes: dict[int, checkpoints.Made],
) -> None:
    nodes: dict[int, tuple[int, int, bytes]] = {}  # by row: the entries that it is of, and its hash
    keys: dict[bytes, int] = {}
    if walk.size == 0 and 0 in notes:
        walk.check(notes[0].note)
    # What is signed counts more than what is stored beside the entries, but that says more closely where it breaks.
    broken: LogInconsistent | None = None
    for content in contents:
        at = EntryId(first.generation, walk.size)
        entry, made = walk.add(content)
        for part, value in made:
            if part.level:
                begin = part.number << part.level
                nodes[node_row(first.generation, part)] = (begin, begin + (1 << part.level) - 1, value)
        keys |= {key: at.row for key in log.keys_of(entry)}
        if walk.size in notes:
            try:
                walk.check(notes[walk.size].note)
            except LogInconsistent as error:
                broken = error
                break
    if nodes:
        stored = {row.id: row.hash for row in connection.execute(_NODES, {"rows": list(nodes)})}
        for row, (begin, end, value) in nodes.items():
            if stored.get(row) != value:
                raise LogInconsistent(
                    "entries of the log are not those that were hashed when they were written",
                    place=f"entries {begin} to {end}",
                )
    if broken is not None:
        raise broken
    if keys:
        led = {row.key: row.entry for row in connection.execute(_KEYS, {"known": list(keys)})}
        for key, row in keys.items():
            if led.get(key) != row:
                raise LogInconsistent("an entry is not found by its key", place=f"entry {EntryId.of(row).index}")
    for size in sorted(size for size in notes if size > walk.size):
        walk.check(notes[size].note)
