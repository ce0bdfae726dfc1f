"""How a log stands, for ``doctor``: its size, its last checkpoint, who cosigned it, and evidence of others' forks."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from cimfed.doctor.homes import LogFact
from cimfed.errors import CimfedError
from cimfed.tlog import checkpoints, log
from cimfed.tlog.database import Database, engine_of
from cimfed.trust.tlog.checkpoint import parse_checkpoint

_CONFLICTS = "log_conflict"


def log_fact(path: Path) -> LogFact | None:
    """Of a server's database; None where it holds no log."""
    database = Database(engine_of(path))
    try:
        with database.reading() as connection:
            return _fact(connection) if inspect(connection).has_table("log_head") else None
    except CimfedError as error:
        return LogFact(error=error)
    finally:
        database.close()


def _fact(connection: Connection) -> LogFact:
    forks: tuple[str, ...] = ()
    if inspect(connection).has_table(_CONFLICTS):
        found = connection.execute(text(f"SELECT DISTINCT origin FROM {_CONFLICTS} ORDER BY origin")).scalars()
        forks = tuple(str(origin) for origin in found)
    try:
        current, last = log.head(connection), checkpoints.latest(connection)
        if last is None:
            return LogFact(current.size, forks=forks)
        own = parse_checkpoint(last.note.text).origin
        cosigned = len({one.name for one in last.note.signatures} - {own})
        signed = last.size if last.generation == current.generation else 0
        return LogFact(current.size, signed, last.made, cosigned, forks)
    except CimfedError as error:
        return LogFact(forks=forks, error=error)
