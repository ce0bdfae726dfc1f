"""What a gateway must remember: its log, of which queries it passed on, to whom, and what came of each.

Names, hashes and outcomes, never filters or data. A query goes out only after its entry is on the disk. Where the log
lies and how it is written is ``cimfed.tlog``'s.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy.engine import Engine
from sqlmodel import SQLModel

from cimfed.tlog import checkpoints, log
from cimfed.tlog.database import Database, engine_of
from cimfed.tlog.schema import TABLES
from cimfed.tlog.trailing import Trailing
from cimfed.trust.tlog.entries import Passed, Returned


class Journal(Database):
    """The gateway's log, in a database of its own."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._returned: Trailing[Returned] = Trailing(self, log.append)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Made where there is none."""
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # who asks what is not for every user of the host
        journal = cls(engine_of(path))
        with journal.writing() as connection:
            SQLModel.metadata.create_all(connection, tables=TABLES)
            if not log.exists(connection):
                log.create(connection)
        return journal

    def self_test(self) -> None:
        """LogUnavailable unless a line could be written, LogInconsistent where it would not continue the log."""
        with self.writing() as connection:
            checkpoints.check_continues(connection)

    def begin(self, passed: Passed) -> None:
        """Writes the line of a query that is about to go out. LogUnavailable: it must not."""
        with self._returned.writing() as connection:
            log.append(connection, passed)

    def end(self, returned: Returned) -> None:
        """Its line follows a moment later: ``settle``."""
        self._returned.add(returned)

    def settle(self) -> None:
        """Returns once every query that ended has its line."""
        self._returned.flush()

    def close(self) -> None:
        self._returned.close()
        super().close()

    def all(self) -> list[tuple[Passed, Returned | None]]:
        """Every query in its order, for readers of the log, and what came of it."""
        with self.reading() as connection:
            entries = [entry for _, entry in log.history(connection)]
        ended = {entry.decision: entry for entry in entries if isinstance(entry, Returned)}
        return [(entry, ended.get(entry.position)) for entry in entries if isinstance(entry, Passed)]
