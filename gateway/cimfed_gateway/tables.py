"""What a gateway must remember: which queries it passed on, to whom, and what came of each.

Names, hashes and outcomes, never filters or data. A query goes out only after its line is on the disk (WAL,
synchronous=FULL). Plain SQL through SQLAlchemy, so that PostgreSQL can take SQLite's place.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, event, insert, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Field, SQLModel, create_engine

from cimfed.errors import LogUnavailable

BUSY = 10.0  # seconds that one process waits for another's transaction


class Decision(SQLModel, table=True):
    __tablename__ = "gateway_decision"

    sequence: int | None = Field(default=None, primary_key=True)
    time: int  # microseconds since the epoch
    request_hash: str = Field(index=True)
    organisation: str = Field(index=True)
    key_id: str
    asked: str  # cities, joined by spaces
    outcome: str = ""  # city=outcome, joined by spaces; empty while running


_TABLE = Decision.__table__  # type: ignore[attr-defined]
# Made once: building a statement costs more than running it.
_BEGIN = insert(_TABLE).returning(_TABLE.c.sequence)
_END = update(_TABLE).where(_TABLE.c.sequence == bindparam("number")).values(outcome=bindparam("what"))


class Journal:
    """The decision log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        SQLModel.metadata.create_all(engine, tables=[_TABLE])

    @classmethod
    def open(cls, path: Path) -> Journal:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # who asks what is not for every user of the host
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY})

        @event.listens_for(engine, "connect")
        def settings(connection: Any, _record: Any) -> None:
            for pragma in ("journal_mode=WAL", "synchronous=FULL"):
                connection.execute(f"PRAGMA {pragma}")

        return cls(engine)

    def self_test(self) -> None:
        """LogUnavailable unless a line could be written."""
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.rollback()
        except SQLAlchemyError as error:
            raise LogUnavailable("the log cannot be written") from error

    def begin(self, decision: Decision) -> int:
        """Writes the line of a query that is about to go out; its sequence number. LogUnavailable: it must not."""
        try:
            with self._engine.begin() as connection:
                return int(connection.execute(_BEGIN, decision.model_dump(exclude={"sequence"})).scalar_one())
        except SQLAlchemyError as error:
            raise LogUnavailable("the decision could not be logged, so nothing was asked", retry_after=1.0) from error

    def end(self, sequence: int, outcome: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(_END, {"number": sequence, "what": outcome})

    def all(self) -> list[Decision]:
        """The whole log, for its readers."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(_TABLE).order_by(_TABLE.c.sequence)).mappings()
            return [Decision(**row) for row in rows]

    def close(self) -> None:
        self._engine.dispose()
