"""What a gateway must remember: which queries it passed on, to whom, and what came of each.

Names, hashes and outcomes, never filters or data. A query goes out only after its line has been written.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlmodel import Field, Session, SQLModel, create_engine, select

from cimfed.errors import LogUnavailable


class Decision(SQLModel, table=True):
    __tablename__ = "gateway_decision"

    sequence: int | None = Field(default=None, primary_key=True)
    time: int  # microseconds since the epoch
    request_hash: str = Field(index=True)
    organisation: str = Field(index=True)
    key_id: str
    asked: str  # cities, joined by spaces
    outcome: str = ""  # city=outcome, joined by spaces; empty while running


class Journal:
    """The decision log over a SQLAlchemy URL or a SQLite file."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        SQLModel.metadata.create_all(engine, tables=[Decision.__table__])  # type: ignore[attr-defined]

    @classmethod
    def open(cls, path: Path) -> Journal:
        engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 10})

        @event.listens_for(engine, "connect")
        def _settings(connection, _record) -> None:  # type: ignore[no-untyped-def]
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")

        return cls(engine)

    def begin(self, decision: Decision) -> int:
        """Writes the line of a query that is about to go out; its sequence number."""
        try:
            with Session(self._engine) as session:
                session.add(decision)
                session.commit()
                assert decision.sequence is not None
                return decision.sequence
        except Exception as error:
            raise LogUnavailable("the decision could not be logged, so nothing was asked") from error

    def end(self, sequence: int, outcome: str) -> None:
        with Session(self._engine) as session:
            decision = session.get_one(Decision, sequence)
            decision.outcome = outcome
            session.add(decision)
            session.commit()

    def all(self) -> list[Decision]:
        with Session(self._engine) as session:
            return list(session.exec(select(Decision).order_by(Decision.sequence)))  # type: ignore[arg-type]

    def close(self) -> None:
        self._engine.dispose()
