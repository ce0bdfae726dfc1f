"""Stopping statements: whenever the word comes, the engine hears it, and no answer looks whole that is not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from cimfed.errors import CimfedError, TimedOut, TooLarge, ViewGone
from cimfed.model.limits import MIB
from cimfed_node.sql.statement import Statement
from cimfed_node.stores.duckdb import engine
from cimfed_node.stores.duckdb.engine import Engine
from cimfed_node.stores.duckdb.failures import translated
from cimfed_node.stores.duckdb.statements import StatementRows
from cimfed_node.stores.reader import BatchReader
from cimfed_node.stores.watch import Watch

ENDLESS = Statement("SELECT count(*) AS n FROM range(1_000_000_000_000)")
ENDLESS_ROWS = Statement("SELECT i AS n FROM range(1_000_000_000_000) t(i)")
SCHEMA = pa.schema([("n", pa.int64())])


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    found = engine.serving(tmp_path_factory.mktemp("views"), memory=256 * MIB, threads=2)
    yield found
    found.close()


@pytest.fixture
def watch() -> Iterator[Watch]:
    found = Watch()
    yield found
    found.close()


def reader(
    cursor: Callable[[], Any], watch: Watch, statement: Statement, *, seconds: float = 60, **more: Any
) -> BatchReader:
    rows = StatementRows(cursor, watch, statement, 2048)
    return BatchReader(rows, SCHEMA, lambda error: translated(error, "/"), seconds=seconds, **more)


def drained(at: BatchReader) -> int:
    rows = 0
    while (batch := at.read_next()) is not None:
        rows += batch.num_rows
    return rows


class Held:
    """A cursor whose execute waits until it is let go: what came before is lost to the engine."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self.reached = threading.Event()
        self.go = threading.Event()

    def execute(self, *arguments: Any) -> Any:
        self.reached.set()
        assert self.go.wait(30)
        return self._cursor.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def in_thread(run: Callable[[], Any]) -> tuple[threading.Thread, list[BaseException]]:
    raised: list[BaseException] = []

    def target() -> None:
        try:
            run()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    return thread, raised


def test_an_interrupt_in_the_middle_of_an_execute_stops_it(serving: Engine, watch: Watch) -> None:
    at = reader(serving.cursor, watch, ENDLESS)
    thread, raised = in_thread(at.read_next)
    while not watch.busy:
        assert thread.is_alive()
    at.interrupt()
    thread.join(30)
    assert not thread.is_alive()
    assert [str(error) for error in raised] == ["internal: the statement was stopped"]
    at.close()


def test_an_interrupt_that_comes_before_the_execute_is_not_lost(serving: Engine, watch: Watch) -> None:
    held = Held(serving.cursor())
    at = reader(lambda: held, watch, ENDLESS)
    thread, raised = in_thread(at.read_next)
    assert held.reached.wait(30)
    at.interrupt()
    held.go.set()
    thread.join(30)
    assert not thread.is_alive()
    assert [str(error) for error in raised] == ["internal: the statement was stopped"]
    at.close()


def test_an_interrupt_between_batches_is_an_error_and_no_end(serving: Engine, watch: Watch) -> None:
    at = reader(serving.cursor, watch, ENDLESS_ROWS)
    assert at.read_next() is not None
    at.interrupt()
    with pytest.raises(CimfedError):
        at.read_next()
    at.close()


def test_an_engine_that_takes_an_interrupt_for_the_end_does_not_make_an_answer_whole(
    serving: Engine, watch: Watch
) -> None:
    """A second statement on a cursor ends the first's rows in silence; only the reader's own flag tells."""

    class Ending(Held):
        def execute(self, *arguments: Any) -> Any:
            self.reached.set()
            assert self.go.wait(30)
            return self._cursor.execute("SELECT 1::BIGINT AS n WHERE FALSE")

    ending = Ending(serving.cursor())
    at = reader(lambda: ending, watch, ENDLESS_ROWS)
    thread, raised = in_thread(at.read_next)
    assert ending.reached.wait(30)
    at.interrupt()
    ending.go.set()
    thread.join(30)
    assert [str(error) for error in raised] == ["internal: the statement was stopped"]
    at.close()


def test_the_time_limit_stops_a_statement(serving: Engine, watch: Watch) -> None:
    started = time.monotonic()
    at = reader(serving.cursor, watch, ENDLESS, seconds=0.1)
    with pytest.raises(TimedOut):
        at.read_next()
    assert time.monotonic() - started < 30
    at.close()


def test_the_time_limit_does_not_count_a_slow_consumer(
    serving: Engine, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        ahead = 0.0

        def monotonic(self) -> float:
            return time.monotonic() + self.ahead

    clock = Clock()
    monkeypatch.setattr("cimfed_node.stores.reader.time", clock)
    monkeypatch.setattr("cimfed_node.stores.watch.time", clock)
    at = reader(serving.cursor, watch, Statement("SELECT i AS n FROM range(10_000) t(i)"), seconds=10)
    assert at.read_next() is not None
    clock.ahead = 3600.0
    assert at.read_next() is not None
    at.close()


def test_too_many_rows_are_refused_and_as_many_as_the_limit_are_not(serving: Engine, watch: Watch) -> None:
    statement = Statement("SELECT i AS n FROM range(5000) t(i)")
    at = reader(serving.cursor, watch, statement, max_rows=5000)
    assert drained(at) == 5000
    at.close()
    at = reader(serving.cursor, watch, statement, max_rows=4999)
    with pytest.raises(TooLarge):
        drained(at)
    at.close()


def test_more_memory_than_there_is_is_too_large(serving: Engine, watch: Watch) -> None:
    for text in (
        "SELECT count(*) AS n FROM (SELECT i, count(*) FROM range(30_000_000) t(i) GROUP BY i)",
        "SELECT i AS n FROM range(30_000_000) t(i) ORDER BY hash(i)",
    ):
        at = reader(serving.cursor, watch, Statement(text))
        with pytest.raises(TooLarge):
            drained(at)
        at.close()


def test_what_the_engine_says_does_not_leave(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    there = tmp_path / "view.parquet"
    there.touch()
    for error in (duckdb.ConversionException("secret"), OSError("secret"), RuntimeError("secret")):
        found = translated(error, str(there))
        assert (found.reason, "secret" in str(found)) == ("internal", False)
        assert isinstance(translated(error, str(tmp_path / "gone")), ViewGone)
    assert isinstance(translated(OSError("Out of Memory Error: secret"), str(there)), TooLarge)
    assert "secret" in caplog.text  # the operator may read it


def test_a_watch_interrupts_again_until_the_call_is_over() -> None:
    watch, times = Watch(), threading.Semaphore(0)
    with watch.during(times.release, 0.0):
        for _ in range(3):
            assert times.acquire(timeout=30)
    with watch.during(times.release, 3600) as call:
        while times.acquire(blocking=False):
            pass
        watch.stop(call)
        assert times.acquire(timeout=30)
    watch.stop(call)  # over: harmless
    assert not watch.busy
    watch.close()
