"""An SQLite database that holds a log, and its two ways in: ``reading`` and ``writing``.

Rules:
- a writer's transaction begins as the writer (``BEGIN IMMEDIATE``): one at a time, no lost update, no late lock error;
- a commit is on the disk when it returns (WAL, synchronous=FULL), so an answer never precedes its line in the log;
- any error of the database is ``LogUnavailable``: what cannot be written down is not answered.

The statements are plain SQL through SQLAlchemy, so that PostgreSQL can take SQLite's place.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import create_engine

from cimfed.errors import LogUnavailable

BUSY = 10.0  # seconds that one process waits for another's transaction

Transaction = Connection
"""What ``reading`` and ``writing`` give. Only packages of tables use it for more than to hand it on."""

_WRITING = "cimfed_writing"


class Database:
    """Safe for several threads, and several processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()  # threads queue here, in order, rather than poll SQLite's lock

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state, as it is now."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LogUnavailable("the log's database cannot be read") from error

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: all of it is on the disk at the end, or none of it is when an error leaves it."""
        with self._turn:
            try:
                with self._engine.connect() as connection:
                    connection.info[_WRITING] = True
                    try:
                        with connection.begin():
                            yield connection
                    finally:
                        connection.info.pop(_WRITING, None)
            except SQLAlchemyError as error:
                raise LogUnavailable(
                    "the decision could not be logged, so nothing is answered", retry_after=1.0
                ) from error

    def close(self) -> None:
        self._engine.dispose()


def engine_of(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY})

    @event.listens_for(engine, "connect")
    def settings(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # pysqlite would begin transactions of its own, late
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.info.get(_WRITING) else "BEGIN")

    return engine
