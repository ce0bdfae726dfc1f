"""Stopping statements in the server, and the pool that bounds them: what ``pg_stat_activity`` shows is what is true."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from cimfed.errors import CimfedError, TimedOut, TooLarge, ViewGone
from cimfed.model.limits import MIB
from cimfed_node.stores.postgis.failures import translated
from cimfed_node.stores.postgis.links import Pool, session
from cimfed_node.stores.postgis.statements import StatementRows
from cimfed_node.stores.reader import BatchReader
from cimfed_node.stores.watch import Watch
from cimfed_node.views.postgis import set_up
from tests.contract.benches import serving_role
from tests.postgres import Cluster, Database

# In a SELECT list the series streams; after FROM the server would write it to its disk first.
ENDLESS_ROWS = "SELECT generate_series(1, 1000000000000) AS n"
ENDLESS = f"SELECT count(*) AS n FROM ({ENDLESS_ROWS}) AS endless"
SOME_ROWS = "SELECT CAST(i AS bigint) AS n FROM generate_series(1, 5000) AS i"
ASLEEP = "SELECT CAST(1 AS bigint) AS n FROM pg_sleep(3600)"
SCHEMA = pa.schema([("n", pa.int64())])
BYTES = 64 * 1024


class Bench:
    def __init__(self, database: Database, url: str, watch: Watch) -> None:
        self.database = database
        self.url = url
        self.watch = watch
        self.pools: list[Pool] = []

    def pool(self, size: int = 2, **settings: str) -> Pool:
        self.pools.append(Pool(session(self.url, settings), size))
        return self.pools[-1]

    def reader(self, pool: Pool, text: str, *, seconds: float = 60, **more: Any) -> BatchReader:
        rows = StatementRows(pool, self.watch, text, SCHEMA, BYTES)
        return BatchReader(rows, SCHEMA, translated, seconds=seconds, **more)

    def statements(self) -> list[str]:
        """What the serving role's sessions are doing, as the server has it."""
        with self.database.cluster.administrator(self.database.name) as connection:
            found = connection.execute(
                "SELECT state || ': ' || query FROM pg_stat_activity WHERE usename = %s ORDER BY 1",
                [psycopg.conninfo.conninfo_to_dict(self.url)["user"]],
            )
            return [text for (text,) in found.fetchall() if text]

    def until(self, wanted: Callable[[list[str]], bool]) -> None:
        """Looks again and again; a server that never comes there fails the test by its time limit."""
        ends = time.monotonic() + 60
        while not wanted(self.statements()):
            assert time.monotonic() < ends


class Clock:
    """The time, and more if so wished."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture(scope="module")
def database(postgres: Cluster) -> Database:
    return postgres.database()


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    watch = Watch()
    role, url = serving_role(database)
    set_up(database.url, "views", role)
    found = Bench(database, url, watch)
    yield found
    for pool in found.pools:
        pool.close()
    watch.close()


def drained(at: BatchReader) -> int:
    rows = 0
    while (batch := at.read_next()) is not None:
        rows += batch.num_rows
    return rows


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


def running(part: str) -> Callable[[list[str]], bool]:
    return lambda found: any(text.startswith("active: COPY") and part in text for text in found)


def nothing(found: list[str]) -> bool:
    return not found


@pytest.mark.parametrize("text", [ENDLESS, ASLEEP])
def test_an_interrupt_ends_the_statement_in_the_server(bench: Bench, text: str) -> None:
    at = bench.reader(bench.pool(), text)
    thread, raised = in_thread(at.read_next)
    bench.until(running(text))
    at.interrupt()
    thread.join(60)
    assert not thread.is_alive()
    assert [str(error) for error in raised] == ["internal: the statement was stopped"]
    bench.until(nothing)  # and its connection with it: a late word to stop would meet the next statement
    at.close()


def test_an_interrupt_before_the_statement_is_not_lost(bench: Bench) -> None:
    at = bench.reader(bench.pool(), ENDLESS)
    at.interrupt()
    with pytest.raises(CimfedError, match="was stopped"):
        at.read_next()
    at.close()
    assert not running(ENDLESS)(bench.statements())


def test_a_stop_is_repeated_until_the_server_hears_it(bench: Bench) -> None:
    """A word to stop that comes between two commands of a session is forgotten there."""
    pool = bench.pool()
    link = pool.take(60)
    assert link is not None
    link.cancel()  # the session is idle
    with bench.watch.during(link.cancel, 0.0), pytest.raises(Exception, match="canceling"):
        link.run(ENDLESS, BYTES).next()
    pool.give(link)
    bench.until(nothing)


def test_a_reader_closed_early_ends_the_statement_in_the_server(bench: Bench) -> None:
    at = bench.reader(bench.pool(), ENDLESS_ROWS)
    assert at.read_next() is not None
    assert running(ENDLESS_ROWS)(bench.statements())
    at.close()
    bench.until(nothing)


def test_an_interrupt_between_batches_is_an_error_and_no_end(bench: Bench) -> None:
    at = bench.reader(bench.pool(), ENDLESS_ROWS)
    assert at.read_next() is not None
    at.interrupt()
    with pytest.raises(CimfedError, match="was stopped"):
        at.read_next()
    bench.until(nothing)


def test_the_time_limit_ends_the_statement_in_the_server(bench: Bench) -> None:
    at = bench.reader(bench.pool(), ENDLESS, seconds=0.2)
    with pytest.raises(TimedOut):
        at.read_next()
    bench.until(nothing)


def test_the_sessions_own_limit_is_a_time_out_too(bench: Bench) -> None:
    at = bench.reader(bench.pool(statement_timeout="200ms"), ENDLESS)
    with pytest.raises(TimedOut):
        at.read_next()


def test_the_time_limit_does_not_count_a_slow_consumer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    for module in ("reader", "watch", "postgis.statements", "postgis.links"):
        monkeypatch.setattr(f"cimfed_node.stores.{module}.time", clock)
    at = bench.reader(bench.pool(), ENDLESS_ROWS, seconds=30)
    assert at.read_next() is not None
    clock.ahead = 3600.0
    assert at.read_next() is not None
    at.close()


def test_a_statement_that_ended_leaves_its_connection_to_the_next(bench: Bench) -> None:
    pool = bench.pool(1)
    for _ in range(3):
        at = bench.reader(pool, "SELECT CAST(pg_backend_pid() AS bigint) AS n")
        batch = at.read_next()
        assert batch is not None
        assert at.read_next() is None
        one = batch["n"][0].as_py()
    again = bench.reader(pool, "SELECT CAST(pg_backend_pid() AS bigint) AS n").read_next()
    assert again is not None
    assert again["n"][0].as_py() == one


def test_connections_that_rested_long_are_made_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = bench.pool(3)
    links = [pool.take(60) for _ in range(3)]
    for link in links:
        assert link is not None
        pool.give(link)
    assert len(bench.statements()) == 3
    clock = Clock()
    monkeypatch.setattr("cimfed_node.stores.postgis.links.time", clock)
    clock.ahead = 3600.0
    assert drained(bench.reader(pool, SOME_ROWS)) == 5000
    bench.until(lambda found: len(found) == 1)


def test_when_all_connections_are_taken_the_next_statement_waits(bench: Bench) -> None:
    pool = bench.pool(1)
    first = bench.reader(pool, ENDLESS_ROWS)
    assert first.read_next() is not None
    hasty = bench.reader(pool, SOME_ROWS, seconds=0.1)
    with pytest.raises(TimedOut):
        hasty.read_next()
    patient, stopped = bench.reader(pool, SOME_ROWS), bench.reader(pool, SOME_ROWS)
    rows: list[int] = []
    waiting, failed = in_thread(lambda: rows.append(drained(patient)))
    told, raised = in_thread(stopped.read_next)
    stopped.interrupt()
    told.join(60)
    assert [str(error) for error in raised] == ["internal: the statement was stopped"]
    assert waiting.is_alive()
    assert len(bench.statements()) == 1
    first.close()
    waiting.join(60)
    assert (rows, failed) == ([5000], [])


def test_many_statements_share_few_connections(bench: Bench) -> None:
    pool = bench.pool(3)
    rows: list[int] = []
    threads = [in_thread(lambda: rows.append(drained(bench.reader(pool, SOME_ROWS)))) for _ in range(20)]
    for thread, raised in threads:
        thread.join(60)
        assert raised == []
    assert rows == [5000] * 20
    assert len(bench.statements()) <= 3


def test_a_closed_pool_gives_nothing_more(bench: Bench) -> None:
    pool = bench.pool(1)
    first = bench.reader(pool, ENDLESS_ROWS)
    assert first.read_next() is not None
    waiting, raised = in_thread(bench.reader(pool, SOME_ROWS).read_next)
    pool.close()
    waiting.join(60)
    assert [str(error) for error in raised] == ["internal: the store is closed"]
    first.close()
    bench.until(nothing)


def test_a_session_that_the_server_ended_is_an_error_and_the_next_statement_connects_anew(bench: Bench) -> None:
    pool = bench.pool()
    assert drained(bench.reader(pool, SOME_ROWS)) == 5000
    at = bench.reader(pool, ENDLESS_ROWS)
    assert at.read_next() is not None
    with bench.database.cluster.administrator(bench.database.name) as admin:
        user = psycopg.conninfo.conninfo_to_dict(bench.url)["user"]
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [user])
    with pytest.raises(CimfedError) as gone:
        drained(at)
    assert (gone.value.reason, gone.value.message) == ("internal", "the node's database cannot be reached")
    assert drained(bench.reader(pool, SOME_ROWS)) == 5000


@pytest.mark.parametrize("wrong", [{"port": "1"}, {"password": "wrong"}, {"dbname": "nowhere"}])
def test_a_server_that_is_away_is_said_to_be(bench: Bench, wrong: dict[str, str]) -> None:
    pool = Pool(psycopg.conninfo.make_conninfo(bench.url, **wrong), 1)
    for _ in range(2):
        with pytest.raises(CimfedError) as gone:
            bench.reader(pool, SOME_ROWS).read_next()
        assert gone.value.reason == "internal"
        assert not {"127.0.0.1", "password", "nowhere", "serving"} & set(gone.value.line.split())
    pool.close()


def test_what_the_server_says_does_not_leave(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    pool = bench.pool()
    for text in (
        "SELECT 1 / CAST('0' AS bigint) AS n",
        "SELECT CAST('secret' AS bigint) AS n",
        "SELECT CAST(CASE i WHEN 90000 THEN 'secret' ELSE '1' END AS bigint) AS n FROM generate_series(1, 99999) AS i",
    ):
        with pytest.raises(CimfedError) as failed:
            drained(bench.reader(pool, text))
        assert failed.value.line == "internal: the node's engine failed"
    assert "secret" in caplog.text  # the operator may read it
    with pytest.raises(ViewGone):
        bench.reader(pool, "SELECT 1 AS n FROM views.v_gone").read_next()
    assert drained(bench.reader(pool, SOME_ROWS)) == 5000


def test_more_rows_than_the_limit_are_refused(bench: Bench) -> None:
    pool = bench.pool(1)
    assert drained(bench.reader(pool, SOME_ROWS, max_rows=5000)) == 5000
    with pytest.raises(TooLarge):
        drained(bench.reader(pool, SOME_ROWS, max_rows=4999))


def test_more_disk_than_the_role_has_is_too_large(bench: Bench) -> None:
    user = psycopg.conninfo.conninfo_to_dict(bench.url)["user"]
    owner = psycopg.conninfo.conninfo_to_dict(bench.database.url)["user"]
    with bench.database.cluster.administrator(bench.database.name) as admin:
        admin.execute(f"GRANT SET ON PARAMETER temp_file_limit TO {owner}".encode())
    set_up(bench.database.url, "views", str(user), disk=MIB)
    large = "SELECT i AS n FROM generate_series(1, 500000) AS i ORDER BY md5(CAST(i AS text))"
    with pytest.raises(TooLarge):
        drained(bench.reader(bench.pool(work_mem="64kB"), large))


def test_rows_come_in_batches_and_never_too_many_at_once(bench: Bench) -> None:
    schema = pa.schema([])
    rows = StatementRows(
        bench.pool(), bench.watch, "SELECT TRUE AS present FROM generate_series(1, 500000)", schema, MIB
    )
    sizes: list[int] = []
    while (batch := rows.next(60)) is not None:
        sizes.append(batch.num_rows)
    rows.close()
    assert sum(sizes) == 500_000
    assert max(sizes) <= 131_072
