"""What a query reads and writes in the control database, all within a transaction that the caller holds.

The caller's transaction is one ``Control.writing``: either the nonce is spent, the slot taken and the decision
logged, or nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from cimfed.errors import ExpiredQuery, NotAddressed, Overloaded, Replayed
from cimfed.tlog import log
from cimfed.trust.hashing import digest
from cimfed.trust.tlog.entries import Decision, Outcome, Position, decode
from cimfed_node.tables.schema import ClockRow, NonceRow, SlotRow

RETRY = 1.0  # seconds after which a slot may well be free
CLOCK_STEP = 24 * 3600 * 1_000_000  # microseconds that a clock may have been set back by, for readers of the log
# What a query can be refused for without using a nonce up, and so for ever.
AGAIN_AND_AGAIN = (ExpiredQuery.reason, NotAddressed.reason, Replayed.reason)

# SQLAlchemy's own table objects, which type as what they are
_CLOCK = ClockRow.__table__  # type: ignore[attr-defined]
_NONCE = NonceRow.__table__  # type: ignore[attr-defined]
_SLOT = SlotRow.__table__  # type: ignore[attr-defined]

# Made once: building a statement costs more than running it.
_MARK = select(_CLOCK.c.mark)
_RESTORED = select(_CLOCK.c.restored)
_ADVANCE = update(_CLOCK).values(mark=bindparam("now"))
_FORGET = delete(_NONCE).where(_NONCE.c.kept_until < bindparam("mark"))
_SPENT = select(_NONCE.c.kept_until).where(_NONCE.c.signer == bindparam("of"), _NONCE.c.value == bindparam("nonce"))
_SPEND = insert(_NONCE)
_EXPIRE = delete(_SLOT).where(_SLOT.c.expires < bindparam("now"))
_RUNNING = select(_SLOT.c.partner, func.count()).group_by(_SLOT.c.partner)
_TAKE = insert(_SLOT)
_EXPIRES = select(_SLOT.c.expires).where(_SLOT.c.decision == bindparam("number"))
_FREE = delete(_SLOT).where(_SLOT.c.decision == bindparam("number"))


@dataclass(frozen=True)
class Asked:
    """Queries of one organisation, presenter, key and grant that were granted: how many, when the last was, and how
    many of them are being answered."""

    organisation: str
    presenter: str
    key_id: bytes
    grant: str
    queries: int
    last: int
    running: int


def clock_mark(connection: Connection) -> int:
    """The highest time that was ever decided at here."""
    return int(connection.execute(_MARK).scalar_one())


def restored_at(connection: Connection) -> int:
    """When this node last came back from a backup; 0 if never."""
    return int(connection.execute(_RESTORED).scalar_one())


def advance_clock(connection: Connection, now: int) -> int:
    """The mark, raised to ``now`` where that is later."""
    mark = clock_mark(connection)
    if now > mark:
        connection.execute(_ADVANCE, {"now": now})
        return now
    return mark


def spend_nonce(connection: Connection, signer: bytes, value: bytes, kept_until: int, mark: int) -> None:
    """Replayed where it was spent before. Nonces kept for long enough go: ``mark`` is the clock's."""
    connection.execute(_FORGET, {"mark": mark})
    if connection.execute(_SPENT, {"of": signer, "nonce": value}).first() is not None:
        raise Replayed("this query was already presented here", remedy="Sign a new one")
    connection.execute(_SPEND, {"signer": signer, "value": value, "kept_until": kept_until})


def check_slots(connection: Connection, partner: str, now: int, per_partner: int, per_node: int) -> None:
    """Overloaded where the partner or the node has as many queries running as the limit allows."""
    connection.execute(_EXPIRE, {"now": now})
    by_partner: dict[str, int] = {row[0]: row[1] for row in connection.execute(_RUNNING)}
    if by_partner.get(partner, 0) >= per_partner:
        raise Overloaded(f"{per_partner} queries of {partner} are running here", retry_after=RETRY)
    if sum(by_partner.values()) >= per_node:
        raise Overloaded(f"{per_node} queries are running here", retry_after=RETRY)


def take_slot(connection: Connection, decision: int, partner: str, view: str, expires: int) -> None:
    connection.execute(_TAKE, {"decision": decision, "partner": partner, "view": view, "expires": expires})


def slot_expires(connection: Connection, decision: int) -> int:
    """When the slot of a running query ends unless it is renewed; 0 where it has."""
    return connection.execute(_EXPIRES, {"number": decision}).scalar() or 0


def renew_slot(connection: Connection, decision: int, partner: str, view: str, expires: int) -> None:
    connection.execute(_FREE, {"number": decision})
    take_slot(connection, decision, partner, view, expires)


def log_decision(connection: Connection, line: Decision) -> None:
    """Adds the decision. A refusal that may be given again and again can be found by what it refuses: ``logged``."""
    known = (_refusal_key(line),) if line.reason in AGAIN_AND_AGAIN else ()
    log.append(connection, line, *known)


def logged(connection: Connection, line: Decision) -> Position | None:
    """The position of a line that refuses the same query of the same presenter for the same such reason."""
    at = log.find(connection, _refusal_key(line))
    if at is None:
        return None
    found = decode(log.content(connection, at))
    return found.position if isinstance(found, Decision) else None


def log_outcome(connection: Connection, outcome: Outcome) -> None:
    """Adds the outcome and frees the slot."""
    connection.execute(_FREE, {"number": outcome.decision})
    log.append(connection, outcome)


def views_in_use(connection: Connection, now: int) -> frozenset[str]:
    """Views that running queries read."""
    return frozenset(connection.execute(select(_SLOT.c.view).where(_SLOT.c.expires >= now)).scalars())


def asked(connection: Connection, since: int, now: int) -> list[Asked]:
    """Who was answered since then, and who is answered now; whoever asked last comes first."""
    running = set(connection.execute(select(_SLOT.c.decision).where(_SLOT.c.expires >= now)).scalars())
    found: dict[tuple[str, str, bytes, str], Asked] = {}
    for line in decisions_since(connection, since):
        if line.reason:
            continue
        by = (line.organisation, line.presenter, line.key_id, line.grant)
        so_far = found.get(by, Asked(*by, queries=0, last=0, running=0))
        found[by] = replace(
            so_far,
            queries=so_far.queries + 1,
            last=max(so_far.last, line.time),
            running=so_far.running + (line.position in running),
        )
    return sorted(found.values(), key=lambda one: -one.last)


def decisions(connection: Connection) -> list[tuple[Position, Decision, Outcome | None]]:
    """Every decision in its order, for readers of the log: its position, its line and its outcome."""
    entries = [entry for _, entry in log.history(connection)]
    ended = {entry.decision: entry for entry in entries if isinstance(entry, Outcome)}
    return [(line.position, line, ended.get(line.position)) for line in entries if isinstance(line, Decision)]


def decisions_since(connection: Connection, since: int) -> Iterator[Decision]:
    """Decisions from a time on, the last one first."""
    for _, entry in log.history(connection, backwards=True):
        if isinstance(entry, Decision):
            if entry.time < since - CLOCK_STEP:
                return
            if entry.time >= since:
                yield entry


def _refusal_key(line: Decision) -> bytes:
    return b"r" + digest("cimfed/refusal/v1", [line.request_hash, line.reason, line.presenter])
