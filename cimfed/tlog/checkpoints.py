"""Signed checkpoints of a log, and the last ones seen of other logs, within a transaction that the caller holds.

A checkpoint is signed only when the log as it is continues the last one that was signed: a database that lost or
changed entries never gets a second history under this party's key.

Every one stays for a day, and the last one of each hour for ever (``thin``): receipts are completed within seconds, and
what is between two of them is proven from the later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from cimfed.errors import LogInconsistent
from cimfed.tlog import log
from cimfed.tlog.schema import MOST, CheckpointRow, EntryId, SeenRow
from cimfed.trust.keys import PublicKey, Signer
from cimfed.trust.tlog.checkpoint import Checkpoint, Origin, parse_checkpoint, sign_checkpoint, with_signatures
from cimfed.trust.tlog.merkle import verify_consistency
from cimfed.trust.tlog.note import Note, NoteSignature, SignatureType, key_hash, parse_note

EVERY = 1_000_000  # microseconds between two checkpoints at least
HOUR = 3600 * EVERY
DAY = 24 * HOUR

_CHECKPOINT = CheckpointRow.__table__  # type: ignore[attr-defined]
_SEEN = SeenRow.__table__  # type: ignore[attr-defined]

_LAST = select(_CHECKPOINT).order_by(_CHECKPOINT.c.id.desc()).limit(1)
_AT = select(_CHECKPOINT).where(_CHECKPOINT.c.id == bindparam("row"))
_OF = (
    select(_CHECKPOINT)
    .where(_CHECKPOINT.c.id >= bindparam("first"), _CHECKPOINT.c.id < bindparam("end"))
    .order_by(_CHECKPOINT.c.id)
)
_PUT = insert(_CHECKPOINT)
_OLD = _CHECKPOINT.c.made < bindparam("until")
_LAST_OF_HOURS = (
    select(func.max(_CHECKPOINT.c.id)).where(_OLD).group_by(_CHECKPOINT.c.id // MOST, _CHECKPOINT.c.made // HOUR)
)
_THIN = delete(_CHECKPOINT).where(_OLD, _CHECKPOINT.c.id.not_in(_LAST_OF_HOURS))
_WITH = update(_CHECKPOINT).where(_CHECKPOINT.c.id == bindparam("row")).values(note=bindparam("signed"))


@dataclass(frozen=True)
class Made:
    """A checkpoint of this log, as it was signed; ``made`` in microseconds since the epoch."""

    generation: int
    size: int
    made: int
    note: Note


def generation_of(log: Origin, generation: int) -> Origin:
    """The name of a party's log in that generation."""
    return Origin(log.federation, log.party, generation)


def due(connection: Connection, now: int, every: int = EVERY) -> bool:
    """Whether the log grew since its last checkpoint, or has none, and that is long enough ago."""
    last, current = latest(connection), log.head(connection)
    if last is None:
        return True
    return (last.generation, last.size) != (current.generation, current.size) and not 0 <= now - last.made < every


def publish(connection: Connection, origin: Origin, signer: Signer, now: int, every: int = EVERY) -> Made | None:
    """Signs and keeps a checkpoint of the log as it is; None where none is due. ``every`` 0: whenever it grew.

    LogInconsistent where the log does not continue its last checkpoint.
    """
    if not due(connection, now, every):
        return None
    current = check_continues(connection)
    made = Checkpoint(str(generation_of(origin, current.generation)), current.size, current.root)
    note = sign_checkpoint(made, signer)
    row = EntryId(current.generation, current.size).row
    connection.execute(_PUT, {"id": row, "made": now, "note": note.to_bytes()})
    return Made(current.generation, current.size, now, note)


def thin(connection: Connection, now: int) -> int:
    """Takes away what is over a day old, but for the last one of each hour and generation; gives how many went."""
    return connection.execute(_THIN, {"until": now - DAY}).rowcount


def is_signed_by(made: Made, origin: Origin, key: PublicKey) -> bool:
    """Whether the log's own signature under it names that key; it is not verified."""
    name = str(generation_of(origin, made.generation))
    hashed = key_hash(name, SignatureType.ED25519, key)
    return any((one.name, one.key_hash) == (name, hashed) for one in made.note.signatures)


def latest(connection: Connection) -> Made | None:
    """The last checkpoint of the last generation that has one."""
    return _made(connection.execute(_LAST).mappings().first())


def last_of(connection: Connection, generation: int, count: int = 1) -> list[Made]:
    """The last checkpoints of a generation, so many at most, the largest first."""
    bounds = {"first": EntryId(generation, 0).row, "end": EntryId(generation + 1, 0).row}
    found = connection.execute(_OF.order_by(None).order_by(_CHECKPOINT.c.id.desc()).limit(count), bounds)
    return [made for row in found.mappings() if (made := _made(row))]


def at_size(connection: Connection, generation: int, size: int) -> Made | None:
    return _made(connection.execute(_AT, {"row": EntryId(generation, size).row}).mappings().first())


def of_generation(connection: Connection, generation: int) -> list[Made]:
    """All of them, the smallest first."""
    bounds = {"first": EntryId(generation, 0).row, "end": EntryId(generation + 1, 0).row}
    return [made for row in connection.execute(_OF, bounds).mappings() if (made := _made(row))]


def after(connection: Connection, at: EntryId, count: int) -> list[Made]:
    """The first checkpoints that have that entry, so many at most."""
    bounds = {"first": at.row + 1, "end": EntryId(at.generation + 1, 0).row}
    return [made for row in connection.execute(_OF.limit(count), bounds).mappings() if (made := _made(row))]


def add_signatures(connection: Connection, made: Made, signatures: Sequence[NoteSignature]) -> Note:
    """Puts cosignatures, which the caller has verified, to a checkpoint."""
    current = at_size(connection, made.generation, made.size)
    if current is None or current.note.text != made.note.text:
        raise LogInconsistent("the log has no such checkpoint", place=f"checkpoint of {made.size}")
    note = with_signatures(current.note, signatures)
    connection.execute(_WITH, {"row": EntryId(made.generation, made.size).row, "signed": note.to_bytes()})
    return note


def seen(connection: Connection, origin: Origin) -> Note | None:
    """The last checkpoint of another's log that was found consistent here."""
    content = connection.execute(select(_SEEN.c.note).where(_SEEN.c.origin == str(origin))).scalar()
    return None if content is None else parse_note(content)


def remember(connection: Connection, origin: Origin, note: Note, proof: Sequence[bytes]) -> Checkpoint:
    """Keeps a checkpoint of another's log, whose signature the caller has verified, once it continues the last one.

    LogInconsistent, and nothing changed, where it does not.
    """
    checkpoint, last = parse_checkpoint(note.text), seen(connection, origin)
    if checkpoint.origin != str(origin):
        raise LogInconsistent("a checkpoint is of another log")
    if last is not None:
        before = parse_checkpoint(last.text)
        verify_consistency(before.size, checkpoint.size, proof, before.root, checkpoint.root)
    connection.execute(delete(_SEEN).where(_SEEN.c.origin == str(origin)))
    row = {"origin": str(origin), "size": checkpoint.size, "note": note.to_bytes()}
    connection.execute(insert(_SEEN), row)
    return checkpoint


def check_continues(connection: Connection) -> log.Head:
    """The log as it is. LogInconsistent where it does not continue its last checkpoint."""
    last, current = latest(connection), log.head(connection)
    if last is None:
        return current
    before = parse_checkpoint(last.note.text)
    if last.generation == current.generation:
        if current.size < last.size:
            raise LogInconsistent(f"the log has {current.size} entries, but a checkpoint of {last.size} is signed")
        proof = log.consistency(connection, current.generation, last.size, current.size)
        verify_consistency(last.size, current.size, proof, before.root, current.root)
    elif last.generation > current.generation:
        raise LogInconsistent(f"the log is of generation {current.generation}, its last checkpoint of a later one")
    return current


def _made(row: object) -> Made | None:
    if row is None:
        return None
    at = EntryId.of(row["id"])  # type: ignore[index]
    return Made(at.generation, at.index, row["made"], parse_note(row["note"]))  # type: ignore[index]
