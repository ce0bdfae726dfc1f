"""A database as a file of its own, for a backup, and one from a backup, which anybody may have made.

The copy is SQLite's own online backup: one consistent state, while others go on reading and writing. What comes back is
looked at before it is opened as a database of ours: no trigger or view of a stranger's ever runs.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy.engine import Connection
from sqlmodel import SQLModel, create_engine

from cimfed.errors import BadBackup, LogUnavailable
from cimfed.tlog import log
from cimfed.tlog.checkpoints import generation_of
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tlog.entries import Restored

_OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name != 'sqlite_stat1'"


def copy_database(connection: Connection, to: Path) -> None:
    """``to`` is a new file, and the only one: it has no journal beside it. OSError where the disk is full."""
    source = connection.connection.driver_connection
    assert isinstance(source, sqlite3.Connection)
    try:
        with closing(sqlite3.connect(to)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(to)) from None
        raise LogUnavailable("the database cannot be copied") from error


def check_sound(path: Path, tables: Sequence[Any]) -> None:
    """BadBackup for a database file that is damaged, or has anything but these tables and their indices."""
    try:
        with closing(_plain(f"{path.absolute().as_uri()}?mode=ro")) as found, closing(_plain(":memory:")) as own:
            engine = create_engine("sqlite://", creator=lambda: own)
            SQLModel.metadata.create_all(engine, tables=list(tables))
            expected, there = ({tuple(row) for row in one.execute(_OBJECTS)} for one in (own, found))
            if expected != there:
                raise BadBackup("the database has other tables than this release's", place=path.name)
            if found.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                raise BadBackup("the database is damaged", place=path.name)
    except sqlite3.Error:
        raise BadBackup("the database cannot be read", place=path.name) from None


def begin_again(connection: Connection, origin: Origin, now: int, generation: int = 0) -> Origin:
    """The log of a database that came back: its new generation, whose first entry says what is known of the one before.

    ``generation``: its number, where the next one was begun already by an earlier return from the same backup.
    """
    last = log.head(connection)
    known = Restored(now, str(generation_of(origin, last.generation)), last.size, last.root)
    return generation_of(origin, log.begin_generation(connection, known, generation).generation)


def _plain(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True)
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection
