"""Appending to a log and proving what is in it, within a transaction that the caller holds.

``append`` runs in the very transaction that spends a nonce, takes a slot or flips a pointer: either all of it happened
and has its entry, or none of it. The head is read inside it, so processes that write to one file never fork the tree.
Proofs take O(log size) rows.

An entry has **keys** to be found by: the position of a decision, the decision that an outcome is of, the token of an
act, and what else the caller gives. No two entries share one: writing a second is ``LogUnavailable``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.engine import Connection

from cimfed.errors import BadConfig, LogInconsistent, LogUnavailable
from cimfed.tlog.schema import MOST, ONLY, EntryId, EntryRow, HeadRow, KeyRow, NodeRow, node_row
from cimfed.trust.tlog import merkle
from cimfed.trust.tlog.checkpoint import GENERATIONS
from cimfed.trust.tlog.entries import (
    Act,
    Decision,
    Entry,
    Other,
    Outcome,
    Passed,
    Position,
    Restored,
    Returned,
    decode,
    encode,
)
from cimfed.trust.tlog.merkle import HASH, HashReader, Subtree

_HEAD = HeadRow.__table__  # type: ignore[attr-defined]
_ENTRY = EntryRow.__table__  # type: ignore[attr-defined]
_NODE = NodeRow.__table__  # type: ignore[attr-defined]
_KEY = KeyRow.__table__  # type: ignore[attr-defined]

STEP = 1000  # entries read at a time

# Made once: building a statement costs more than running it.
_NOW = select(_HEAD.c.generation, _HEAD.c.size, _HEAD.c.peaks)
_GROW = update(_HEAD).values(generation=bindparam("numbered"), size=bindparam("grown"), peaks=bindparam("hashes"))
_ADD = insert(_ENTRY)
_ADD_NODES = insert(_NODE)
_ADD_KEYS = insert(_KEY)
_FIND = select(_KEY.c.entry).where(_KEY.c.key == bindparam("known"))
_GET = select(_ENTRY.c.content).where(_ENTRY.c.id == bindparam("row"))
_RANGE = (
    select(_ENTRY.c.id, _ENTRY.c.content)
    .where(_ENTRY.c.id >= bindparam("first"), _ENTRY.c.id < bindparam("end"))
    .order_by(_ENTRY.c.id)
)
_FORWARDS = select(_ENTRY).where(_ENTRY.c.id > bindparam("row")).order_by(_ENTRY.c.id).limit(STEP)
_BACKWARDS = select(_ENTRY).where(_ENTRY.c.id < bindparam("row")).order_by(_ENTRY.c.id.desc()).limit(STEP)
_NODES = select(_NODE.c.id, _NODE.c.hash).where(_NODE.c.id.in_(bindparam("rows", expanding=True)))
_LEAVES = select(_ENTRY.c.id, _ENTRY.c.content).where(_ENTRY.c.id.in_(bindparam("rows", expanding=True)))


@dataclass(frozen=True)
class Head:
    """The log as it is now. ``root`` is of its ``size`` entries."""

    generation: int
    size: int
    peaks: tuple[bytes, ...]

    @property
    def root(self) -> bytes:
        return merkle.folded(self.peaks)


def decision_key(position: Position) -> bytes:
    """Of the decision with this position."""
    return b"d" + position.to_bytes(8, "big")


def outcome_key(position: Position) -> bytes:
    """Of what came of it."""
    return b"o" + position.to_bytes(8, "big")


def act_key(token: bytes) -> bytes:
    """Of the act with this token."""
    return b"a" + token


def keys_of(entry: Entry | Other) -> tuple[bytes, ...]:
    """What an entry is found by, whoever wrote it."""
    match entry:
        case Decision() | Passed():
            return (decision_key(entry.position),)
        case Outcome() | Returned():
            return (outcome_key(entry.decision),)
        case Act():
            return (act_key(entry.token),)
    return ()


def create(connection: Connection) -> None:
    """An empty log, in tables that are there."""
    connection.execute(insert(_HEAD), {"id": ONLY, "generation": 1, "size": 0, "peaks": b""})


def exists(connection: Connection) -> bool:
    return connection.execute(_NOW).first() is not None


def head(connection: Connection) -> Head:
    """LogUnavailable where there is no log; LogInconsistent where its head cannot be one."""
    row = connection.execute(_NOW).one_or_none()
    if row is None:
        raise LogUnavailable("there is no log in this database")
    hashes = tuple(row.peaks[i : i + HASH] for i in range(0, len(row.peaks), HASH))
    if len(row.peaks) != HASH * row.size.bit_count():
        raise LogInconsistent("the head of the log has hashes that a tree of its size has not", place="log_head")
    return Head(row.generation, row.size, hashes)


def append(connection: Connection, entry: Entry, *keys: bytes) -> EntryId:
    """Adds an entry, to be found by its own keys and by these."""
    return _append(connection, head(connection), entry, (*keys_of(entry), *keys))


def begin_generation(connection: Connection, restored: Restored, number: int = 0) -> EntryId:
    """Begins the log anew after a restore that lost entries; the first one says what is known of the log before.

    What is left of that stays where it is, and goes by its keys. ``number``: of the new generation, where the next one
    was begun outside of this database already; BadConfig for one that is not above the last.
    """
    last = head(connection).generation
    if number and not last < number < GENERATIONS:
        raise BadConfig(f"the log is of generation {last}: the next one cannot be {number}")
    return _append(connection, Head(number or last + 1, 0, ()), restored, ())


def _append(connection: Connection, now: Head, entry: Entry, keys: Sequence[bytes]) -> EntryId:
    if now.size >= MOST:
        raise LogUnavailable("the log is full")
    content, at = encode(entry), EntryId(now.generation, now.size)
    made, peaks = merkle.append(now.size, now.peaks, [merkle.leaf_hash(content)])
    connection.execute(_ADD, {"id": at.row, "content": content})
    nodes = [{"id": node_row(now.generation, part), "hash": value} for part, value in made if part.level]
    if nodes:
        connection.execute(_ADD_NODES, nodes)
    if keys:  # an empty list would be a row of nothing
        connection.execute(_ADD_KEYS, [{"key": key, "entry": at.row} for key in keys])
    connection.execute(_GROW, {"numbered": now.generation, "grown": now.size + 1, "hashes": b"".join(peaks)})
    return at


def find(connection: Connection, key: bytes) -> EntryId | None:
    row = connection.execute(_FIND, {"known": key}).scalar()
    return None if row is None else EntryId.of(row)


def content(connection: Connection, at: EntryId) -> bytes:
    """An entry's bytes. LogInconsistent where it is gone."""
    found: bytes | None = connection.execute(_GET, {"row": at.row}).scalar()
    if found is None:
        raise LogInconsistent("an entry of the log is gone", place=f"entry {at.index}")
    return found


def contents(connection: Connection, first: EntryId, count: int) -> list[tuple[EntryId, bytes]]:
    """So many entries from that one on, as many as there are, with what may be missing between them."""
    rows = connection.execute(_RANGE, {"first": first.row, "end": min(first.row + count, first.generation + 1 << 40)})
    return [(EntryId.of(row.id), row.content) for row in rows]


def history(connection: Connection, *, backwards: bool = False) -> Iterator[tuple[EntryId, Entry | Other]]:
    """Every entry of every generation, the oldest first, or the newest. LogInconsistent at one that is none."""
    row = 2**63 - 1 if backwards else -1
    while found := connection.execute(_BACKWARDS if backwards else _FORWARDS, {"row": row}).all():
        for row, content in found:
            yield EntryId.of(row), decode(content)


def root(connection: Connection, generation: int, size: int) -> bytes:
    """Of the first ``size`` entries of a generation. LogInconsistent where it lacks some."""
    return merkle.root(size, hashes(connection, generation))


def inclusion(connection: Connection, at: EntryId, size: int) -> list[bytes]:
    """The proof that a tree of this size has the entry. ValueError where it has not."""
    return merkle.inclusion_proof(at.index, size, hashes(connection, at.generation))


def consistency(connection: Connection, generation: int, old: int, new: int) -> list[bytes]:
    """The proof that the tree of size ``new`` begins with that of size ``old``."""
    return merkle.consistency_proof(old, new, hashes(connection, generation))


def hashes(connection: Connection, generation: int) -> HashReader:
    """Of a generation's complete subtrees; leaves are hashed from their entries. LogInconsistent where one is gone."""

    def read(wanted: Sequence[Subtree]) -> list[bytes]:
        nodes = [node_row(generation, part) for part in wanted if part.level]
        leaves = [EntryId(generation, part.number).row for part in wanted if not part.level]
        found = {row.id: row.hash for row in connection.execute(_NODES, {"rows": nodes})} if nodes else {}
        entries = {row.id: row.content for row in connection.execute(_LEAVES, {"rows": leaves})} if leaves else {}
        try:
            return [
                found[node_row(generation, part)]
                if part.level
                else merkle.leaf_hash(entries[EntryId(generation, part.number).row])
                for part in wanted
            ]
        except KeyError:
            raise LogInconsistent("the log lacks an entry or a hash that it should have") from None

    return read
