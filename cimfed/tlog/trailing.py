"""What may reach the log a moment later: what came of an answer.

A commit waits for the disk. What came of an answer need not be there before anything else happens, so it goes along
with the next transaction (``writing``), or after ``AFTER`` seconds in one of its own. A crash takes what waits: then
the log has the decision alone, as of an answer that was under way.

What did not get in along with a transaction is written by itself; what cannot be written then is said in the server's
log and given up. So nothing that waits can stand in the way of a decision for long.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from cimfed.errors import CimfedError
from cimfed.tlog.database import Database, Transaction

log = logging.getLogger(__name__)

AFTER = 0.1  # seconds

E = TypeVar("E")


class Trailing(Generic[E]):
    """Safe for several threads. ``write`` puts one entry into a transaction. The thread starts with the first entry."""

    def __init__(self, database: Database, write: Callable[[Transaction, E], object]) -> None:
        self._database, self._write = database, write
        self._waiting: deque[E] = deque()
        self._alone: deque[E] = deque()  # what is to be written by itself
        self._something, self._ending = threading.Event(), threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, entry: E) -> None:
        """Returns at once."""
        self._waiting.append(entry)
        self._something.set()
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="trailing", daemon=True)
                self._thread.start()

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        """A transaction of the database that begins with what waits."""
        taken: list[E] = []
        try:
            with self._database.writing() as transaction:
                while self._waiting:  # whoever has the transaction is the only one to take
                    taken.append(self._waiting.popleft())
                    self._write(transaction, taken[-1])
                yield transaction
        except BaseException:
            if taken:
                self._alone.extend(taken)
                self._something.set()
            raise

    def flush(self) -> None:
        """Writes all that waits. What another thread's transaction has taken along is in the database then, too."""
        with suppress(CimfedError), self.writing():  # its turn comes after theirs
            pass
        while True:
            try:
                entry = self._alone.popleft()
            except IndexError:
                return
            try:
                with self._database.writing() as transaction:
                    self._write(transaction, entry)
            except CimfedError:
                log.exception("what came of an answer could not be logged")

    def close(self) -> None:
        """After the last entry. Writes all that waits."""
        self._ending.set()
        self._something.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._ending.is_set():
            self._something.wait()
            self._something.clear()
            self._ending.wait(AFTER)
            if self._waiting or self._alone:
                self.flush()
