"""LogService over the log of a server: bytes in, bytes out, each call in a thread.

1. Checkpoints, and proofs between them, are for every listed party.
2. That a decision is in the log is proven to the organisation that asked the query and to the gateway that presented
   it; to everybody else there is no such decision.
3. Entries are for a registrar, who signs for each reading (``cimfed.trust.admin``): what is read is names and digests
   of everybody. The reading is an entry itself, on the disk before the first byte leaves, and its token is made of the
   request's nonce: so no request is taken twice, whatever is forgotten. A city may switch this off.

Calls take what they need of a few threads and of the disk: more than ``RUNNING`` at once, or ``EACH`` of one caller,
are told to come back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from cimfed.errors import (
    BadQuery,
    LogInconsistent,
    NotAddressed,
    NotFound,
    NotGranted,
    Overloaded,
    ProofPending,
    Replayed,
)
from cimfed.rpc.authorisation import CHECKPOINT, CONSISTENCY, COSIGN, ENTRIES, PROVE
from cimfed.rpc.identity import current_caller, current_peer
from cimfed.tlog import checkpoints, log
from cimfed.tlog.checkpoints import Made
from cimfed.tlog.database import Database
from cimfed.tlog.schema import EntryId
from cimfed.tlog.witness import WITNESSES, Witness, conflicts
from cimfed.trust.admin import open_admin
from cimfed.trust.directory.acceptance import registrars
from cimfed.trust.directory.listing import DirectorySource
from cimfed.trust.hashing import digest
from cimfed.trust.tlog import merkle
from cimfed.trust.tlog.checkpoint import Origin, parse_origin
from cimfed.trust.tlog.entries import Act, Decision, Position, decode
from cimfed.trust.tlog.readings import ACTION, Reading, reading_of
from cimfed.wire import logs as wire

RUNNING, EACH = 8, 2
RETRY = 1.0  # seconds
LOOKED_AT = 64  # checkpoints among which one with cosignatures is looked for
PAGE = 2 * 1024 * 1024  # bytes of entries in one reply

Call = Callable[[bytes], bytes]


class LogService:
    """``origin``: of the first generation. ``witness``: of a city. ``audit``: whether entries can be read."""

    def __init__(
        self,
        database: Database,
        origin: Origin,
        directories: DirectorySource,
        now: Callable[[], int],
        witness: Witness | None = None,
        *,
        audit: bool = True,
    ) -> None:
        self._database, self._origin, self._directories, self._now = database, origin, directories, now
        self._witness, self._audit = witness, audit
        self._running: Counter[str] = Counter()  # by caller

    def calls(self) -> Mapping[str, Call]:
        """By full method name; they ask for their caller."""
        found: dict[str, Call] = {
            CHECKPOINT: self._checkpoint,
            CONSISTENCY: self._consistency,
            ENTRIES: self._entries,
        }
        if self._witness is not None:
            found |= {PROVE: self._prove, COSIGN: self._cosign}
        return found

    def handlers(self) -> Mapping[str, Callable[[bytes, Any], Awaitable[bytes]]]:
        return {method: self._handler(call) for method, call in self.calls().items()}

    def _handler(self, call: Call) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def handle(request: bytes, _context: Any) -> bytes:
            caller = current_caller()
            name = caller.name if caller else ""
            if self._running.total() >= RUNNING or (caller and self._running[name] >= EACH):
                raise Overloaded("too many calls for the log are running here", retry_after=RETRY)
            self._running[name] += 1
            try:
                return await asyncio.to_thread(call, request)
            finally:
                self._running[name] -= 1
                self._running += Counter()  # forgets who has none

        return handle

    def _checkpoint(self, request: bytes) -> bytes:
        text = wire.decode_ask_checkpoint(request)
        origin = parse_origin(text) if text else None
        with self._database.reading() as connection:
            if origin is None or origin.first == self._origin:
                generation = origin.generation if origin else log.head(connection).generation
                last = checkpoints.last_of(connection, generation, LOOKED_AT)
                if not last:
                    raise NotFound("there is no checkpoint of that log yet")
                cosigned = next((made.note.to_bytes() for made in last if _cosignatures(made)), b"")
                return wire.encode_checkpoints(wire.Checkpoints(last[0].note.to_bytes(), cosigned))
            seen = checkpoints.seen(connection, origin)
            refused = tuple(note.to_bytes() for note, _ in conflicts(connection, origin))
        return wire.encode_checkpoints(wire.Checkpoints(seen.to_bytes() if seen else b"", conflicts=refused))

    def _consistency(self, request: bytes) -> bytes:
        asked = wire.decode_ask_consistency(request)
        with self._database.reading() as connection:
            generation = self._generation(connection, asked.origin)
            last = checkpoints.last_of(connection, generation)
            if not last or not 0 <= asked.old_size <= asked.new_size <= last[0].size:
                raise BadQuery("the log has no checkpoint of that size")
            return wire.encode_consistency(log.consistency(connection, generation, asked.old_size, asked.new_size))

    def _generation(self, connection: Connection, origin: str) -> int:
        if not origin:
            return log.head(connection).generation
        found = parse_origin(origin)
        if found.first != self._origin:
            raise NotFound("this is the log of another party")
        return found.generation

    def _prove(self, request: bytes) -> bytes:
        asked, caller = wire.decode_ask_proof(request), current_peer().name
        unknown = NotFound("there is no decision of that position on a query of yours")
        if not 0 < asked.decision < 2**63:
            raise unknown
        with self._database.reading() as connection:
            at = log.find(connection, log.decision_key(Position(asked.decision)))
            if at is None:
                raise unknown
            content = log.content(connection, at)
            entry = decode(content)
            if (
                not isinstance(entry, Decision)
                or entry.request_hash != asked.request_hash
                or caller not in (entry.organisation, entry.presenter)
            ):
                raise unknown
            made = _proving(connection, at)
            proof = tuple(log.inclusion(connection, at, made.size))
        return wire.encode_proven(wire.Proven(content, at.index, proof, made.note.to_bytes()))

    def _cosign(self, request: bytes) -> bytes:
        assert self._witness is not None
        return wire.encode_cosignature(self._witness.cosign(wire.decode_ask_cosignature(request), current_peer().name))

    def _entries(self, request: bytes) -> bytes:
        if not self._audit:
            raise NotGranted("entries of this log are not given over the wire", remedy="Ask for an exported file")
        now = self._now()
        directory = self._directories.current(now)
        asked, key = open_admin(
            wire.decode_ask_entries(request),
            registrars(directory),
            directory.federation,
            directory.service.name,
            now,
        )
        if asked.action != ACTION:
            raise BadQuery(f"this is no request for {ACTION}")
        reading = reading_of(asked.arguments)
        if reading.at != self._origin.party:
            raise NotAddressed(f"the request is for the log of {reading.at}")
        caller = current_caller()
        token = digest("cimfed/reading/v1", (key.id, asked.occasion.nonce))[:16]
        with self._database.writing() as transaction:
            if log.find(transaction, log.act_key(token)) is not None:
                raise Replayed("this request was taken before", remedy="Sign it anew")
            generation = reading.generation or log.head(transaction).generation
            act = Act(
                now,
                ACTION,
                key.id.hex(),
                subject=f"{checkpoints.generation_of(self._origin, generation)} from {reading.first}",
                objects=min(reading.count, wire.ENTRIES),
                reason=f"presented by {caller.name}" if caller else "",
                token=token,
            )
            log.append(transaction, act)
        with self._database.reading() as connection:
            return wire.encode_page(self._page(connection, generation, reading))

    def _page(self, connection: Connection, generation: int, reading: Reading) -> wire.Page:
        head = log.head(connection)
        if not 1 <= generation <= head.generation:
            raise NotFound("the log has no such generation")
        size = head.size if generation == head.generation else checkpoints.last_of(connection, generation)[0].size
        if reading.first > size:
            raise BadQuery(f"the log has {size} entries", place="first")
        wanted = min(reading.count, wire.ENTRIES, size - reading.first)
        found = log.contents(connection, EntryId(generation, reading.first), wanted)
        if len(found) != wanted:
            raise LogInconsistent("entries of the log are gone")
        peaks = log.hashes(connection, generation)(merkle.peaks(reading.first))
        entries, room = list[bytes](), PAGE
        for _, content in found:
            room -= len(content)
            if entries and room < 0:
                break
            entries.append(content)
        origin = checkpoints.generation_of(self._origin, generation)
        return wire.Page(str(origin), reading.first, tuple(entries), tuple(peaks), size)


def _cosignatures(made: Made) -> int:
    return len(made.note.signatures) - 1


def _proving(connection: Connection, at: EntryId) -> Made:
    """The checkpoint to prove an entry by: the first that two witnesses have cosigned, else one, else the last.

    The first, because of when it was cosigned: a key that is revoked later has then not made it.
    """
    first = checkpoints.after(connection, at, LOOKED_AT)
    if not first:
        raise ProofPending("no signed checkpoint has this decision yet", retry_after=RETRY)
    last = checkpoints.last_of(connection, at.generation, LOOKED_AT)
    known = [*first, *reversed([made for made in last if made.size > first[-1].size])]
    best = max(min(_cosignatures(made), WITNESSES) for made in known)
    return next((made for made in known if best and _cosignatures(made) >= best), known[-1])
