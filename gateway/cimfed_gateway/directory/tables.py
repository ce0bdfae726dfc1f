"""What the directory service remembers: invitations, requests, requests for access, spent nonces, its log, and what it
must show of the newest publication.

An invitation's row holds no secret that opens it: the id and the key that are derived of the token's secret
(``cimfed.trust.invitation``). With the key one could make codes, so the file is its owner's alone. Every change is
written in one transaction with its entry in the log. Plain SQL through SQLAlchemy, so that PostgreSQL can take SQLite's
place. Times are microseconds since 1970-01-01T00:00Z.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, and_, delete, func, insert, not_, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, SQLModel

from cimfed.errors import BadConfig, ClockBehind, ExpiredQuery, NotFound, Replayed
from cimfed.model.admission import RequestState
from cimfed.model.limits import LIMITS
from cimfed.tlog import log
from cimfed.tlog.database import Database, Transaction, engine_of
from cimfed.tlog.schema import NUMBER
from cimfed.tlog.schema import TABLES as LOG
from cimfed.trust.admin import Occasion
from cimfed.trust.directory import publication
from cimfed.trust.tlog.entries import Entry

SCHEMA_VERSION = 1
ONLY = 1  # the key of tables that have one row
TOLERANCE = int(LIMITS.clock_tolerance) * 1_000_000


class SchemaRow(SQLModel, table=True):
    __tablename__ = "directory_schema"

    id: int = Field(primary_key=True)
    version: int


class ClockRow(SQLModel, table=True):
    """The highest time that anything was decided at: an older one would bring back what has expired. ``restored``: when
    this database came back from a backup, 0 where it never did."""

    __tablename__ = "directory_clock"

    id: int = Field(primary_key=True)
    mark: int = Field(sa_type=NUMBER)
    restored: int = Field(default=0, sa_type=NUMBER)


class InvitationRow(SQLModel, table=True):
    """``state``: open, used, withdrawn, or spoiled by wrong codes. ``new_keys``: the name is listed already."""

    __tablename__ = "invitation"

    id: bytes = Field(sa_type=LargeBinary, primary_key=True)
    key: bytes = Field(sa_type=LargeBinary, repr=False)
    name: str = Field(index=True)
    expires: int = Field(sa_type=NUMBER)
    new_keys: bool
    state: str = "open"
    failures: int = 0


class RequestRow(SQLModel, table=True):
    """A card that was handed in. ``id``: the invitation's that it came by, or else a digest of what the card says.

    ``received``: when it came; of one that is denied or listed, when that was decided. ``message``: why it was denied;
    ``SUPERSEDED`` where the party itself sent a newer one.
    """

    __tablename__ = "join_request"

    id: bytes = Field(sa_type=LargeBinary, primary_key=True)
    name: str = Field(index=True)
    card: bytes = Field(sa_type=LargeBinary)
    received: int = Field(sa_type=NUMBER)
    new_keys: bool
    state: str = RequestState.WAITING.value
    message: str = ""


class AccessRow(SQLModel, table=True):
    """A partner's signed request; ``id`` is its payload's SHA-256, ``cities`` stand between blanks."""

    __tablename__ = "access_request"

    id: bytes = Field(sa_type=LargeBinary, primary_key=True)
    partner: str = Field(index=True)
    cities: str
    envelope: bytes = Field(sa_type=LargeBinary)  # DSSE JSON
    received: int = Field(sa_type=NUMBER, index=True)


class NonceRow(SQLModel, table=True):
    """A signed request that was taken; kept until nobody would take it any more."""

    __tablename__ = "spent_nonce"

    id: bytes = Field(sa_type=LargeBinary, primary_key=True)
    over: int = Field(sa_type=NUMBER, index=True)


class ShownRow(SQLModel, table=True):
    """What is shown last of the newest publication in the log: a new root, if there is one, and the timestamp."""

    __tablename__ = "shown_last"

    id: int = Field(primary_key=True)
    files: bytes = Field(sa_type=LargeBinary)  # as one file


_ROWS = (SchemaRow, ClockRow, InvitationRow, RequestRow, AccessRow, NonceRow, ShownRow)
_TABLES: list[Any] = [SQLModel.metadata.tables[str(row.__tablename__)] for row in _ROWS]
_SCHEMA, _CLOCK, _INVITATION, _REQUEST, _ACCESS, _NONCE, _SHOWN = _TABLES
TABLES: list[Any] = [*_TABLES, *LOG]
SUPERSEDED = "a newer card has come"
UNDECIDED = (RequestState.WAITING.value, RequestState.APPROVED.value)


class Records(Database):
    """The database of one directory service."""

    @classmethod
    def create(cls, path: Path) -> Records:
        """A new one; Conflict is not for here: what is there is opened."""
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            engine = engine_of(path)
            with engine.begin() as connection:
                SQLModel.metadata.create_all(connection, tables=TABLES)
                connection.execute(insert(_SCHEMA), {"id": ONLY, "version": SCHEMA_VERSION})
                connection.execute(insert(_CLOCK), {"id": ONLY, "mark": 0, "restored": 0})
                log.create(connection)
            engine.dispose()
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Records:
        """NotFound where there is none; BadConfig where it is of another release."""
        if not path.exists():
            raise NotFound("this service has no database", place=str(path), remedy="Run cimfed-gateway directory init")
        records = cls(engine_of(path))
        with records.reading() as connection:
            found = connection.execute(select(_SCHEMA.c.version)).scalar()
        if found != SCHEMA_VERSION:
            records.close()
            raise BadConfig(f"the database has schema {found}, this release needs {SCHEMA_VERSION}", place=str(path))
        return records

    def self_test(self) -> None:
        """LogUnavailable unless something could be written."""
        with self.writing():
            pass


def note(transaction: Transaction, entry: Entry) -> None:
    """Writes to the log, in the transaction of what it is about."""
    log.append(transaction, entry)


def show_last(transaction: Transaction, files: Mapping[str, bytes]) -> None:
    """Keeps what must be shown once the transaction is committed."""
    transaction.execute(delete(_SHOWN))
    transaction.execute(insert(_SHOWN), {"id": ONLY, "files": publication.to_file(files)})


def shown_last(transaction: Transaction) -> Mapping[str, bytes]:
    """What the newest publication in the log must have shown; nothing before the first."""
    kept = transaction.execute(select(_SHOWN.c.files)).scalar()
    return {} if kept is None else publication.from_file(kept, "records.sqlite")


def clock_mark(transaction: Transaction) -> int:
    """The highest time that anything was decided at here."""
    return int(transaction.execute(select(_CLOCK.c.mark)).scalar_one())


def check_clock(transaction: Transaction, now: int) -> None:
    """ClockBehind where this host's clock stands below the highest time that was recorded; records this one."""
    mark = clock_mark(transaction)
    if now < mark - TOLERANCE:
        raise ClockBehind("the clock of the directory service stands behind", remedy="Its operator must set it")
    if now > mark:
        transaction.execute(update(_CLOCK).values(mark=now))


def begin_new_life(transaction: Transaction, now: int) -> None:
    """What a backup cannot know is taken to have happened: every invitation is withdrawn, every nonce spent."""
    transaction.execute(update(_CLOCK).values(restored=now, mark=func.max(_CLOCK.c.mark, now)))
    transaction.execute(update(_INVITATION).where(_INVITATION.c.state == "open").values(state="withdrawn"))


def spend(transaction: Transaction, nonce: bytes, occasion: Occasion, now: int) -> None:
    """Replayed where it was spent before; ExpiredQuery where it may have been, before a return from a backup."""
    restored = transaction.execute(select(_CLOCK.c.restored)).scalar_one()
    if restored and occasion.issued <= restored + TOLERANCE:
        raise ExpiredQuery(
            "the request was signed before the directory service came back from a backup", remedy="Sign it anew"
        )
    transaction.execute(delete(_NONCE).where(_NONCE.c.over <= now - TOLERANCE))
    try:
        transaction.execute(insert(_NONCE), {"id": nonce, "over": occasion.over})
    except IntegrityError:
        raise Replayed("this request was taken before", remedy="Sign it anew") from None


# Invitations


def find_invitation(transaction: Transaction, id_: bytes) -> InvitationRow | None:
    row = transaction.execute(select(_INVITATION).where(_INVITATION.c.id == id_)).mappings().first()
    return None if row is None else InvitationRow(**row)


def open_invitations(transaction: Transaction, now: int) -> Sequence[InvitationRow]:
    wanted = select(_INVITATION).where(_INVITATION.c.state == "open", _INVITATION.c.expires > now)
    rows = transaction.execute(wanted.order_by(_INVITATION.c.expires, _INVITATION.c.id)).mappings()
    return [InvitationRow(**row) for row in rows]


def add_invitation(transaction: Transaction, row: InvitationRow) -> None:
    transaction.execute(insert(_INVITATION), row.model_dump())


def mark_invitation(transaction: Transaction, id_: bytes, state: str) -> None:
    transaction.execute(update(_INVITATION).where(_INVITATION.c.id == id_).values(state=state))


def count_failure(transaction: Transaction, id_: bytes) -> int:
    """How often a wrong code came for it, this time included."""
    counted = update(_INVITATION).where(_INVITATION.c.id == id_).values(failures=_INVITATION.c.failures + 1)
    return int(transaction.execute(counted.returning(_INVITATION.c.failures)).scalar_one())


# Requests


def find_request(transaction: Transaction, id_: bytes) -> RequestRow | None:
    row = transaction.execute(select(_REQUEST).where(_REQUEST.c.id == id_)).mappings().first()
    return None if row is None else RequestRow(**row)


def undecided_requests(transaction: Transaction) -> Sequence[RequestRow]:
    """Those that are not denied and not listed, the oldest first."""
    wanted = select(_REQUEST).where(_REQUEST.c.state.in_(UNDECIDED)).order_by(_REQUEST.c.received, _REQUEST.c.id)
    return [RequestRow(**row) for row in transaction.execute(wanted).mappings()]


def count_undecided(transaction: Transaction) -> int:
    wanted = select(func.count()).select_from(_REQUEST).where(_REQUEST.c.state.in_(UNDECIDED))
    return int(transaction.execute(wanted).scalar_one())


def add_request(transaction: Transaction, row: RequestRow) -> None:
    transaction.execute(insert(_REQUEST), row.model_dump())


def replace_card(transaction: Transaction, id_: bytes, card: bytes) -> None:
    transaction.execute(update(_REQUEST).where(_REQUEST.c.id == id_).values(card=card))


def approve_request(transaction: Transaction, id_: bytes) -> None:
    transaction.execute(update(_REQUEST).where(_REQUEST.c.id == id_).values(state=RequestState.APPROVED.value))


def decide_request(transaction: Transaction, id_: bytes, state: RequestState, now: int, message: str = "") -> None:
    """Denies it, or notes that it is listed."""
    decided = update(_REQUEST).where(_REQUEST.c.id == id_)
    transaction.execute(decided.values(state=state.value, received=now, message=message))


def count_superseded(transaction: Transaction, name: str) -> int:
    """How many cards of that name have waited and made room for a newer one since the registrar decided on one."""
    superseded = and_(_REQUEST.c.state == RequestState.DENIED.value, _REQUEST.c.message == SUPERSEDED)
    by_registrar = and_(_REQUEST.c.state.not_in(UNDECIDED), not_(superseded))
    last = select(func.coalesce(func.max(_REQUEST.c.received), -1)).where(_REQUEST.c.name == name, by_registrar)
    wanted = select(func.count()).select_from(_REQUEST)
    wanted = wanted.where(_REQUEST.c.name == name, superseded, _REQUEST.c.received > last.scalar_subquery())
    return int(transaction.execute(wanted).scalar_one())


def decided_requests(transaction: Transaction, before: int) -> Sequence[RequestRow]:
    """Those that were denied or listed before that time."""
    wanted = select(_REQUEST).where(_REQUEST.c.state.not_in(UNDECIDED), _REQUEST.c.received < before)
    return [RequestRow(**row) for row in transaction.execute(wanted).mappings()]


def forget_request(transaction: Transaction, id_: bytes) -> None:
    transaction.execute(delete(_REQUEST).where(_REQUEST.c.id == id_))


def forget_invitations(transaction: Transaction, before: int) -> None:
    """Those that ended before that time, unless a request that came by one is kept."""
    kept = select(_REQUEST.c.id)
    transaction.execute(delete(_INVITATION).where(_INVITATION.c.expires < before, _INVITATION.c.id.not_in(kept)))


# Requests for access


def forget_access(transaction: Transaction, before: int) -> None:
    transaction.execute(delete(_ACCESS).where(_ACCESS.c.received < before))


def count_access(transaction: Transaction, partner: str) -> int:
    wanted = select(func.count()).select_from(_ACCESS).where(_ACCESS.c.partner == partner)
    return int(transaction.execute(wanted).scalar_one())


def add_access(transaction: Transaction, row: AccessRow) -> None:
    transaction.execute(insert(_ACCESS), row.model_dump())


def access_requests(transaction: Transaction, since: int, city: str | None) -> Sequence[AccessRow]:
    """The newest first; None: to any city."""
    wanted = select(_ACCESS).where(_ACCESS.c.received >= since)
    if city is not None:
        wanted = wanted.where(_ACCESS.c.cities.contains(f" {city} ", autoescape=True))
    rows = transaction.execute(wanted.order_by(_ACCESS.c.received.desc(), _ACCESS.c.id)).mappings()
    return [AccessRow(**row) for row in rows]
