"""Witnesses: a city cosigns checkpoints of others' logs, and every log has its own cosigned by two cities.

A city that witnesses keeps these rules, in one transaction before it signs:

1. The checkpoint is of the caller's own log, and signed by a key that the directory lists for it.
2. It continues the last one that was seen of that log; the first one of a log is taken as it is.
3. Never back: a shorter one, or one of a generation before, is not cosigned.
4. What is signed and does not continue what was seen is refused, kept as evidence and logged as an error.
5. A later generation is a few on, and the next one after it an hour later: numbers have an end, and a thief of the
   log's key who ran to it would leave the log none to begin anew with.

Who is asked to witness a log is drawn by a hash of both names, so that the work is spread and nobody chooses: the first
two cities, and others after them while those cannot be reached.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from sqlalchemy import func, insert, select
from sqlalchemy.engine import Connection

from cimfed.errors import BadAnswer, CimfedError, LogInconsistent, NotAllowed, Overloaded, UnknownPeer
from cimfed.model.names import CityName
from cimfed.rpc.authorisation import COSIGN
from cimfed.tlog import checkpoints, log
from cimfed.tlog.checkpoints import Made
from cimfed.tlog.database import Database
from cimfed.tlog.schema import ConflictRow, SeenRow
from cimfed.trust.directory.listing import Directory, DirectorySource, signing_keys
from cimfed.trust.hashing import digest, sha256
from cimfed.trust.keys import Signer
from cimfed.trust.tlog.checkpoint import (
    Checkpoint,
    Origin,
    cosign,
    cosigned_at,
    parse_checkpoint,
    parse_origin,
    verify_checkpoint,
    with_signatures,
)
from cimfed.trust.tlog.note import Note, NoteSignature, parse_note
from cimfed.wire.logs import AskCosignature, decode_cosignature, encode_ask_cosignature

_log = logging.getLogger(__name__)

WITNESSES = 2
EVIDENCE = 16  # checkpoints of one log that are kept as evidence
WITHIN = 10.0  # seconds for a witness to answer
AGAIN = 30.0  # seconds until a witness that did not is asked before others again
STEP = 100  # generations that a log may have begun unseen
PAUSE = 3600.0  # seconds until a witness takes yet another generation of a log
TRIES = 3  # with one witness, whose memory may grow meanwhile

_CONFLICT = ConflictRow.__table__  # type: ignore[attr-defined]
_SEEN = SeenRow.__table__  # type: ignore[attr-defined]

Ask = Callable[[str, str, bytes, float | None], Awaitable[bytes]]
"""A unary call: whom, which method, the request, and seconds for it."""


class Witness:
    """Of one city. ``origin``: its own, whose name its cosignatures bear. ``now`` in microseconds."""

    def __init__(
        self, database: Database, origin: Origin, signer: Signer, directories: DirectorySource, now: Callable[[], int]
    ) -> None:
        self._database, self._origin, self._signer = database, origin, signer
        self._directories, self._now = directories, now
        self._begun: dict[Origin, int] = {}  # when each log's last generation was first seen

    def cosign(self, asked: AskCosignature, caller: str) -> str | int:
        """A line for the caller's note, or the size that was seen last.

        NotAllowed, Forged, LogInconsistent, Overloaded.
        """
        now = self._now()
        directory = self._directories.current(now)
        # 1
        note = parse_note(asked.checkpoint)
        of = parse_origin(parse_checkpoint(note.text).origin)
        if (of.federation, of.party) != (directory.federation, caller):
            raise NotAllowed("a witness cosigns the caller's own log alone")
        checkpoint = verify_checkpoint(note, of, signing_keys(directory.party(caller)))
        note = Note(note.text, tuple(one for one in note.signatures if one.name == str(of)))
        with self._database.writing() as transaction:
            outcome = self._seen(transaction, of, note, checkpoint, asked, now)
        if isinstance(outcome, LogInconsistent):
            _log.error("%s: %s; both checkpoints are kept as evidence", of, outcome.message)
            raise outcome
        if outcome is not None:
            return outcome
        return cosign(note, self._origin, self._signer, now // 1_000_000).line

    def _seen(
        self,
        transaction: Connection,
        of: Origin,
        note: Note,
        checkpoint: Checkpoint,
        asked: AskCosignature,
        now: int,
    ) -> LogInconsistent | int | None:
        """Rules 2 to 5: None once it is what was seen last."""
        latest = _latest_generation(transaction, of)
        if latest > of.generation:
            return LogInconsistent(
                f"{of} has ended: its generation {latest} was seen",
                remedy=f"Begin a later one: restore --log-generation {latest + 1}. Was it you who began that one?",
            )
        if of.generation > latest:
            self._check_begins(of, latest, now)
        last = checkpoints.seen(transaction, of)
        before = parse_checkpoint(last.text) if last else None
        size = before.size if before else 0
        if before is not None and checkpoint.size == size and checkpoint.root != before.root:
            keep(transaction, of, note, last, now)
            return LogInconsistent(f"two checkpoints of {size} entries are signed", place=str(of))
        if checkpoint.size == size and before is not None:
            return None
        if checkpoint.size < size or asked.old_size != size:
            return size
        try:
            checkpoints.remember(transaction, of, note, asked.proof)
        except LogInconsistent as error:
            keep(transaction, of, note, last, now)
            return LogInconsistent(error.message, place=str(of))
        if of.generation > latest:
            self._begun[of.first] = now
        return None

    def _check_begins(self, of: Origin, latest: int, now: int) -> None:
        """Rule 5."""
        if of.generation > latest + STEP:
            raise NotAllowed(f"{of} is more than {STEP} generations on from the {latest} that were seen")
        again = (self._begun.get(of.first, 0) - now) / 1_000_000 + PAUSE
        if again > 0:
            raise Overloaded("a generation of this log has just begun", retry_after=again)


def keep(transaction: Connection, of: Origin, note: Note, seen: Note | None, now: int) -> None:
    """As evidence, once, and not without end."""
    known = sha256(note.text.encode())
    if transaction.execute(select(_CONFLICT.c.id).where(_CONFLICT.c.id == known)).first() is not None:
        return
    counted = select(func.count()).select_from(_CONFLICT).where(_CONFLICT.c.origin == str(of))
    if transaction.execute(counted).scalar_one() < EVIDENCE:
        row = {"id": known, "origin": str(of), "time": now, "note": note.to_bytes()}
        transaction.execute(insert(_CONFLICT), {**row, "seen": seen.to_bytes() if seen else b""})


def conflicts(connection: Connection, of: Origin | None = None) -> list[tuple[Note, Note | None]]:
    """Checkpoints that were refused, each with what was seen before: of one log, or of all."""
    wanted = select(_CONFLICT).order_by(_CONFLICT.c.time)
    if of is not None:
        wanted = wanted.where(_CONFLICT.c.origin == str(of))
    rows = connection.execute(wanted).mappings()
    return [(parse_note(row["note"]), parse_note(row["seen"]) if row["seen"] else None) for row in rows]


def _latest_generation(connection: Connection, of: Origin) -> int:
    """Of all that was seen of a party's logs; 1 where that is none."""
    later = select(_SEEN.c.origin).where(_SEEN.c.origin.startswith(f"{of.first}/", autoescape=True))
    return max((parse_origin(text).generation for text in connection.execute(later).scalars()), default=1)


def witnesses(own: str, cities: Iterable[CityName]) -> list[CityName]:
    """In the order in which they are asked."""
    return sorted((city for city in cities if city != own), key=lambda city: digest("cimfed/witness/v1", (own, city)))


def cosigners(note: Note, directory: Directory, own: str) -> dict[CityName, int]:
    """The cities whose cosignatures a note bears, and when each was made, in seconds. Forged for a false one."""
    found = {}
    for city, member in directory.members.items():
        at = cosigned_at(note, Origin(directory.federation, city), member.keys) if city != own else None
        if at is not None:
            found[city] = at
    return found


class Cosigner:
    """Has every checkpoint of a log cosigned, in the background. ``origin``: the log's, in its first generation.

    Made and started inside the event loop. ``published`` is to be called with each new checkpoint.
    """

    def __init__(
        self, database: Database, origin: Origin, directories: DirectorySource, ask: Ask, now: Callable[[], int]
    ) -> None:
        self._database, self._origin, self._directories = database, origin, directories
        self._ask, self._now = ask, now
        self._known: dict[tuple[CityName, int], int] = {}  # what each has seen of a generation
        self._away: dict[CityName, float] = {}  # until when (monotonic seconds) others are asked before it
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._wake.set()  # the last one may be left from before
        self._task = asyncio.create_task(self._run())

    def published(self, _made: Made) -> None:
        self._wake.set()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def once(self) -> frozenset[CityName]:
        """Has the last checkpoint cosigned; who has."""
        made = await asyncio.to_thread(self._latest)
        if made is None or made.size == 0:
            return frozenset()
        directory = await asyncio.to_thread(self._directories.current, self._now())
        done = set(cosigners(made.note, directory, self._origin.party))
        now = time.monotonic()
        order = witnesses(self._origin.party, directory.members)
        for city in sorted(order, key=lambda city: self._away.get(city, 0.0) > now):  # stable
            if len(done) >= WITNESSES:
                break
            if city not in done and await self._cosigned_by(city, made, directory):
                done.add(city)
        return frozenset(done)

    async def _run(self) -> None:
        waiting = False
        while True:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes with what it waits for.
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN if waiting else None):
                    await self._wake.wait()
            self._wake.clear()
            try:
                waiting = len(await self.once()) < WITNESSES
            except CimfedError as error:
                waiting = True
                _log.error("checkpoints of the log cannot be cosigned: %s", error)
            except Exception:
                waiting = True
                _log.exception("checkpoints of the log cannot be cosigned")

    async def _cosigned_by(self, city: CityName, made: Made, directory: Directory) -> bool:
        try:
            line = await self._line(city, made)
            signature = _signature(line)
            if cosigners(with_signatures(Note(made.note.text, ()), [signature]), directory, "").keys() != {city}:
                raise BadAnswer(f"{city} has sent another cosignature than its own")
            await asyncio.to_thread(self._keep, made, signature)
        except CimfedError as error:
            first = self._away.get(city, 0.0) < time.monotonic()
            self._away[city] = time.monotonic() + AGAIN
            grave = isinstance(error, LogInconsistent)
            if grave or first:
                _log.log(logging.ERROR if grave else logging.WARNING, "%s does not cosign this log: %s", city, error)
            return False
        self._away.pop(city, None)
        return True

    async def _line(self, city: CityName, made: Made) -> str:
        """By the proof from what the witness saw last, which it tells where we do not know."""
        for _ in range(TRIES):
            seen = self._known.get((city, made.generation), 0)
            if seen > made.size:
                break
            proof = await asyncio.to_thread(self._proof, made, seen)
            request = encode_ask_cosignature(AskCosignature(made.note.to_bytes(), seen, tuple(proof)))
            outcome = decode_cosignature(await self._ask(city, COSIGN, request, WITHIN))
            if isinstance(outcome, str):
                self._known[city, made.generation] = made.size
                return outcome
            self._known[city, made.generation] = outcome
        raise LogInconsistent(
            f"{city} has seen {seen} entries of this log, which has {made.size}",
            remedy="If it was restored from a copy, begin a new generation: cimfed-node restore",
        )

    def _latest(self) -> Made | None:
        with self._database.reading() as connection:
            return checkpoints.latest(connection)

    def _proof(self, made: Made, seen: int) -> list[bytes]:
        with self._database.reading() as connection:
            return log.consistency(connection, made.generation, seen, made.size)

    def _keep(self, made: Made, signature: NoteSignature) -> None:
        with self._database.writing() as transaction:
            checkpoints.add_signatures(transaction, made, [signature])


def _signature(line: str) -> NoteSignature:
    """BadAnswer for what is no line of a note."""
    try:
        (signature,) = parse_note(f"cosigned\n\n{line}".encode()).signatures
    except (LogInconsistent, ValueError, UnknownPeer):
        raise BadAnswer("a witness has sent what is no line of a note") from None
    return signature
