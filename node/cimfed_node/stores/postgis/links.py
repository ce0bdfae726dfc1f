"""Connections that statements run on, and the pool that bounds their number.

Rules:
1. A connection runs one statement at a time, and goes back to the pool only when the statement gave all its rows and
   nobody tried to stop it: a late word to stop must not meet the next one. Any other is closed.
2. To stop a statement is to tell the server, over a connection of its own (``PQcancel``); whoever asks does not wait.
3. When all are taken, the next one waits, within its statement's time.
4. A session can only read, and every limit that a session can have is set as it begins.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
from adbc_driver_manager._reader import AdbcRecordBatchReader  # pyarrow's own reader loses the SQLSTATE
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cimfed.errors import BadConfig, CimfedError, TimedOut

_STALE = 60.0  # seconds without a statement after which a connection may be dead behind a firewall: it is made anew
_NETWORK = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",  # milliseconds that a word to the server, also one to stop, may stay unheard
}
_BATCH_BYTES = str(adbc_driver_postgresql.StatementOptions.BATCH_SIZE_HINT_BYTES.value)
_PLACE = """
SELECT set_config('search_path', concat('pg_catalog, ', quote_ident(s.nspname)), false)
FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS s ON s.oid = e.extnamespace
WHERE e.extname = 'postgis'
"""


def session(url: str, settings: Mapping[str, str]) -> str:
    """The URL, for sessions with these settings."""
    given = conninfo_to_dict(url)
    ours = " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())
    fixed = {
        "options": f"{given.get('options') or ''} {ours}".strip(),
        "application_name": "cimfed-node",
        "client_encoding": "UTF8",
    }
    return make_conninfo(url, **{name: value for name, value in _NETWORK.items() if name not in given}, **fixed)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


class Link:
    """One connection. ``run`` and ``close`` by one thread at a time; ``cancel`` from any."""

    def __init__(self, database: Any) -> None:
        self._connection = adbc_driver_manager.AdbcConnection(database)
        self._state = threading.Lock()
        self._cancelling: threading.Thread | None = None
        self._closed = False
        self._stream: Stream | None = None
        self._running = False
        self.told = False  # to stop: the word may arrive late
        self.rested = 0.0  # since when, by time.monotonic()
        try:
            if not self.ask(_PLACE):
                raise BadConfig("the database has no PostGIS", remedy="CREATE EXTENSION postgis, as its administrator")
        except BaseException:
            self.close()
            raise

    def run(self, text: str, batch_bytes: int) -> Stream:
        """The rows of a statement, while they come; batches of about so many bytes."""
        self._running = True
        statement = adbc_driver_manager.AdbcStatement(self._connection)
        try:
            statement.set_options(**{_BATCH_BYTES: str(batch_bytes)})
            statement.set_sql_query(text)
            handle, _ = statement.execute_query()
            self._stream = Stream(self, statement, AdbcRecordBatchReader._import_from_c(handle.address))
            return self._stream
        except BaseException:
            statement.close()
            raise

    def ask(self, text: str) -> list[dict[str, Any]]:
        """The few rows of a small statement."""
        stream = self.run(text, 2**20)
        rows: list[dict[str, Any]] = []
        try:
            while (batch := stream.next()) is not None:
                rows += batch.to_pylist()
        finally:
            stream.close()
        return rows

    def ended(self) -> None:
        self._running = False

    @property
    def reusable(self) -> bool:
        return not (self._running or self.told or self._closed)

    def cancel(self) -> None:
        with self._state:
            self.told = True
            if self._closed or (self._cancelling is not None and self._cancelling.is_alive()):
                return
            self._cancelling = threading.Thread(target=self._cancel, name="statement-cancel", daemon=True)
            self._cancelling.start()

    def close(self) -> None:
        """The server hears first that the statement is not wanted any more."""
        with self._state:
            if self._closed:
                return
            self._closed = True
        if self._cancelling is not None:
            self._cancelling.join()
        if self._running:
            self._cancel()
        if self._stream is not None:
            self._stream.close()
        with suppress(adbc_driver_manager.Error):
            self._connection.close()

    def _cancel(self) -> None:
        with suppress(adbc_driver_manager.Error):
            self._connection.cancel()


class Stream:
    """The rows of the statement that runs on a link."""

    def __init__(self, link: Link, statement: Any, reader: Any) -> None:
        self._link = link
        self._statement = statement
        self._reader = reader
        self._closed = False

    def next(self) -> Any:
        """The driver's next batch, None at the end."""
        try:
            return self._reader.read_next_batch()
        except StopIteration:
            self._link.ended()
            return None

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(adbc_driver_manager.Error):
            self._reader.close()
        with suppress(adbc_driver_manager.Error):
            self._statement.close()


class Pool:
    """At most ``size`` connections, made when they are needed."""

    def __init__(self, conninfo: str, size: int) -> None:
        self._conninfo = conninfo
        self._size = size
        self._changed = threading.Condition()
        self._making = threading.Lock()
        self._database: Any = None
        self._idle: list[Link] = []
        self._taken = 0
        self._closed = False

    def take(self, seconds: float, unwanted: Callable[[], bool] = lambda: False) -> Link | None:
        """A connection for one statement; None when it is ``unwanted`` meanwhile, of which ``wake`` must tell.

        Raises TimedOut when none is free after so many seconds, and the driver's errors.
        """
        due = time.monotonic() + seconds
        with self._changed:
            while True:
                if unwanted():
                    return None
                if self._closed:
                    raise CimfedError("the store is closed")
                if self._taken < self._size:
                    break
                left = due - time.monotonic()
                if left <= 0:
                    raise TimedOut("all of the node's connections to its database are taken", remedy="Ask again later")
                self._changed.wait(left)
            self._taken += 1
            link = self._idle.pop() if self._idle else None
        if link is not None and time.monotonic() - link.rested < _STALE:
            return link
        try:
            if link is not None:
                link.close()
                self.forget()  # the others have rested longer
            return Link(self._opened())
        except BaseException:
            self._less()
            raise

    def give(self, link: Link) -> None:
        """Takes a connection back, or closes it where it is of no more use."""
        with self._changed:
            keep = link.reusable and not self._closed
            if keep:
                link.rested = time.monotonic()
                self._idle.append(link)
        if not keep:
            link.close()
        self._less()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def forget(self) -> None:
        """Connections that rest are of no use: the server went away."""
        with self._changed:
            idle, self._idle = self._idle, []
        for link in idle:
            link.close()

    def close(self) -> None:
        """Connections that are taken are closed when they are given back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.forget()

    def _less(self) -> None:
        with self._changed:
            self._taken -= 1
            self._changed.notify_all()

    def _opened(self) -> Any:
        """What connections have in common: the driver looks at the server's types once."""
        with self._making:
            if self._database is None:
                self._database = adbc_driver_postgresql.connect(self._conninfo)
            return self._database
