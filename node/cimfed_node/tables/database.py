"""Opening the control database, and its two ways in: ``reading`` and ``writing``.

Rules:
- a writer's transaction begins as the writer (``BEGIN IMMEDIATE``): one at a time, no lost update, no late lock error;
- a commit is on the disk when it returns (WAL, synchronous=FULL), so an answer never precedes its line in the log;
- any error of the database is ``LogUnavailable``: what cannot be written down is not answered;
- a database of another release's schema is refused, never guessed at.

The statements are plain SQL through SQLAlchemy, so that PostgreSQL can take SQLite's place.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event, insert, inspect, select
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import SQLModel, create_engine

from cimfed.errors import BadBackup, BadConfig, LogUnavailable, NotFound
from cimfed_node.tables.schema import ONLY, SCHEMA_VERSION, TABLES, ClockRow, SchemaRow

BUSY = 10.0  # seconds that one process waits for another's transaction

Transaction = Connection
"""What ``reading`` and ``writing`` give. Only this package uses it for more than to hand it on."""

_WRITING = "cimfed_writing"


class Control:
    """The control database of one node. Safe for several threads, and several processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()  # threads queue here, in order, rather than poll SQLite's lock

    @classmethod
    def create(cls, path: Path) -> Control:
        """A new database, shared with the folder's group; one that is there is opened as ``open`` does."""
        if not path.exists():
            handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            os.fchmod(handle, 0o660)  # whatever the umask; SQLite gives its other files the same mode
            os.close(handle)
            engine = _engine(path)
            with engine.begin() as connection:
                SQLModel.metadata.create_all(connection, tables=TABLES)
                connection.execute(insert(SchemaRow), {"id": ONLY, "version": SCHEMA_VERSION})
                connection.execute(insert(ClockRow), {"id": ONLY, "mark": 0, "restored": 0})
            engine.dispose()
        return cls.open(path)

    @classmethod
    def open(cls, path: Path) -> Control:
        """NotFound where there is none; BadConfig where it is of another release."""
        if not path.exists():
            raise NotFound("this node has no control database", place=str(path), remedy="Run cimfed-node init first")
        control = cls(_engine(path))
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

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent state, as it is now."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LogUnavailable("the control database cannot be read") from error

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

    def copy(self, to: Path) -> None:
        """One consistent state as a file of its own, while others go on reading and writing."""
        try:
            with self._engine.connect() as connection, closing(sqlite3.connect(to)) as target:
                source = connection.connection.driver_connection
                assert isinstance(source, sqlite3.Connection)
                source.backup(target)
                target.execute("PRAGMA journal_mode=DELETE")  # else there were two files
        except (SQLAlchemyError, sqlite3.Error) as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(to)) from None
            raise LogUnavailable("the control database cannot be copied") from error

    def close(self) -> None:
        self._engine.dispose()


def check_sound(path: Path) -> None:
    """BadBackup for a database file that is damaged, or has anything but this release's tables and indices."""
    try:
        with closing(_plain(f"{path.absolute().as_uri()}?mode=ro")) as found, closing(_plain(":memory:")) as own:
            engine = create_engine("sqlite://", creator=lambda: own)
            SQLModel.metadata.create_all(engine, tables=TABLES)
            expected, there = ({tuple(row) for row in one.execute(_OBJECTS)} for one in (own, found))
            if expected != there:
                raise BadBackup("the database has other tables than this release's", place=path.name)
            if found.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                raise BadBackup("the database is damaged", place=path.name)
    except sqlite3.Error:
        raise BadBackup("the database cannot be read", place=path.name) from None


_OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name != 'sqlite_stat1'"


def _plain(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True)
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _engine(path: Path) -> Engine:
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
