"""Opening the control database, which holds the node's log too: see ``cimfed.tlog.database`` for the ways in.

A database of another release's schema is refused, never guessed at.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import insert, inspect, select
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel

from cimfed.errors import BadConfig, LogUnavailable, NotFound
from cimfed.tlog import log
from cimfed.tlog.database import Database, Transaction, engine_of
from cimfed.tlog.trailing import Trailing
from cimfed.trust.tlog.entries import Outcome
from cimfed_node.tables.admissions import log_outcome
from cimfed_node.tables.schema import ONLY, SCHEMA_VERSION, TABLES, ClockRow, SchemaRow

__all__ = ["Control", "Transaction"]


class Control(Database):
    """The control database of one node. ``outcomes``: what came of answers, which reaches the log a moment later."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.outcomes: Trailing[Outcome] = Trailing(self, log_outcome)

    @classmethod
    def create(cls, path: Path) -> Control:
        """A new database, shared with the folder's group; one that is there is opened as ``open`` does."""
        if not path.exists():
            handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            os.fchmod(handle, 0o660)  # whatever the umask; SQLite gives its other files the same mode
            os.close(handle)
            engine = engine_of(path)
            with engine.begin() as connection:
                SQLModel.metadata.create_all(connection, tables=TABLES)
                connection.execute(insert(SchemaRow), {"id": ONLY, "version": SCHEMA_VERSION})
                connection.execute(insert(ClockRow), {"id": ONLY, "mark": 0, "restored": 0})
                log.create(connection)
            engine.dispose()
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Control:
        """NotFound where there is none; BadConfig where it is of another release."""
        if not path.exists():
            raise NotFound("this node has no control database", place=str(path), remedy="Run cimfed-node init first")
        control = cls(engine_of(path))
        try:
            with control.reading() as connection:
                found = (
                    connection.execute(select(SchemaRow.version)).scalar()  # type: ignore[call-overload]
                    if inspect(connection).has_table(str(SchemaRow.__tablename__))
                    else None
                )
        except LogUnavailable:
            control.close()
            raise
        if found != SCHEMA_VERSION:
            control.close()
            newer = isinstance(found, int) and found > SCHEMA_VERSION
            raise BadConfig(
                f"the control database has schema {found}, this release needs {SCHEMA_VERSION}",
                place=str(path),
                remedy="Upgrade cimfed-node" if newer else "Make a new home with cimfed-node init and import again",
            )
        return control

    def close(self) -> None:
        self.outcomes.close()
        super().close()
