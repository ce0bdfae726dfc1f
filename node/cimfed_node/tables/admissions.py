"""What a query reads and writes in the control database, all within a transaction that the caller holds.

The caller's transaction is one ``Control.writing``: either the nonce is spent, the slot taken and the decision
logged, or nothing is.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from cimfed.errors import Overloaded, Replayed
from cimfed_node.tables.schema import ClockRow, DecisionRow, NonceRow, OutcomeRow, SlotRow

RETRY = 1.0  # seconds after which a slot may well be free

# SQLAlchemy's own table objects, which type as what they are
_CLOCK = ClockRow.__table__  # type: ignore[attr-defined]
_NONCE = NonceRow.__table__  # type: ignore[attr-defined]
_SLOT = SlotRow.__table__  # type: ignore[attr-defined]
_DECISION = DecisionRow.__table__  # type: ignore[attr-defined]
_OUTCOME = OutcomeRow.__table__  # type: ignore[attr-defined]

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
_LOG = insert(_DECISION)
_LOGGED = (
    select(_DECISION.c.position)
    .where(
        _DECISION.c.request_hash == bindparam("of"),
        _DECISION.c.reason == bindparam("why"),
        _DECISION.c.presenter == bindparam("by"),
    )
    .limit(1)
)
_END = insert(_OUTCOME)


@dataclass(frozen=True)
class Decision:
    """One line of the log. ``reason`` is empty where the query was granted. No data, no filters."""

    time: int
    request_hash: bytes
    key_id: bytes
    organisation: str
    presenter: str
    kind: str
    purpose: str = ""
    collection: str = ""
    policy: int = 0
    grant: str = ""
    view: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a granted query: ``outcome`` is answered, no_data, refused or cancelled."""

    decision: int
    finished: int
    outcome: str
    reason: str = ""
    rows: int = 0
    batches: int = 0
    chain: bytes = b""


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


def log_decision(connection: Connection, decision: Decision) -> int:
    """The position of the line: 63 random bits, never 0."""
    position = 1 + secrets.randbelow(2**63 - 1)
    connection.execute(_LOG, {"position": position, **vars(decision)})
    return position


def logged(connection: Connection, line: Decision) -> int | None:
    """The position of a line that refuses the same query of the same presenter for the same reason."""
    found = connection.execute(_LOGGED, {"of": line.request_hash, "why": line.reason, "by": line.presenter})
    position: int | None = found.scalar()
    return position


def log_outcome(connection: Connection, outcome: Outcome) -> None:
    """Adds the outcome and frees the slot."""
    connection.execute(_FREE, {"number": outcome.decision})
    connection.execute(_END, vars(outcome))


def views_in_use(connection: Connection, now: int) -> frozenset[str]:
    """Views that running queries read."""
    return frozenset(connection.execute(select(_SLOT.c.view).where(_SLOT.c.expires >= now)).scalars())


def asked(connection: Connection, since: int, now: int) -> list[Asked]:
    """Who was answered since then, and who is answered now; whoever asked last comes first."""
    running = func.count(_SLOT.c.decision)
    by = (_DECISION.c.organisation, _DECISION.c.presenter, _DECISION.c.key_id, _DECISION.c.grant)
    last = func.max(_DECISION.c.time)
    rows = connection.execute(
        select(*by, func.count(), last, running)
        .select_from(_DECISION.outerjoin(_SLOT, and_(_SLOT.c.decision == _DECISION.c.position, _SLOT.c.expires >= now)))
        .where(_DECISION.c.time >= since, _DECISION.c.reason == "")
        .group_by(*by)
        .order_by(last.desc())
    )
    return [Asked(*row) for row in rows]


def decisions(connection: Connection) -> list[tuple[int, Decision, Outcome | None]]:
    """The whole log in its order, for its readers: each line with its position and its outcome."""
    ended = {row["decision"]: Outcome(**row) for row in connection.execute(select(_OUTCOME)).mappings()}
    lines = []
    for row in connection.execute(select(_DECISION).order_by(_DECISION.c.sequence)).mappings():
        fields = dict(row)
        del fields["sequence"]
        position = fields.pop("position")
        lines.append((position, Decision(**fields), ended.get(position)))
    return lines
