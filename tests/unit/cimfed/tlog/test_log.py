"""A log in SQL: appended in the caller's transaction, by several processes, proven from few rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import event

from cimfed.errors import LogInconsistent, LogUnavailable
from cimfed.tlog import check, checkpoints, log
from cimfed.tlog.database import Database
from cimfed.tlog.schema import EntryId
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog import merkle
from cimfed.trust.tlog.checkpoint import Origin, parse_origin
from cimfed.trust.tlog.entries import Act, Decision, Entry, Outcome, Position, Restored, decode, encode
from tests.unit.cimfed.trust.tlog.test_merkle import head, path, subproof

ORIGIN: Origin = parse_origin("sco/kz.almaty")
KEY = KeySigner.from_seed(b"\1" * 32)


def act(number: int) -> Act:
    return Act(number, "import", "aigerim", token=number.to_bytes(16, "big"))


def write(database: Database, *entries: Entry) -> list[EntryId]:
    with database.writing() as connection:
        return [log.append(connection, entry) for entry in entries]


def test_a_log_begins_empty(database: Database) -> None:
    with database.reading() as connection:
        assert log.head(connection) == log.Head(1, 0, ())
        assert log.head(connection).root == merkle.EMPTY_ROOT
        assert log.contents(connection, EntryId(1, 0), 10) == []


def test_roots_and_proofs_are_those_of_the_definition(database: Database) -> None:
    acts = [act(number) for number in range(40)]
    assert write(database, *acts) == [EntryId(1, number) for number in range(40)]
    entries = [encode(one) for one in acts]
    with database.reading() as connection:
        assert [content for _, content in log.contents(connection, EntryId(1, 0), 99)] == entries
        assert log.head(connection).root == head(entries)
        for size in (1, 2, 31, 32, 33, 40):
            assert log.root(connection, 1, size) == head(entries[:size])
            assert log.consistency(connection, 1, size, 40) == subproof(size, entries, True)
            for index in (0, size // 2, size - 1):
                assert log.inclusion(connection, EntryId(1, index), size) == path(index, entries[:size])


def test_a_proof_takes_two_statements_however_long_the_log_is(database: Database) -> None:
    write(database, *(act(number) for number in range(300)))
    statements: list[str] = []
    event.listen(database._engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    with database.reading() as connection:
        del statements[:]
        assert len(log.inclusion(connection, EntryId(1, 170), 300)) == 9
    selects = [text for text in statements if text.startswith("SELECT")]
    assert len(selects) <= 2


def test_an_entry_is_in_the_callers_transaction_or_nowhere(database: Database) -> None:
    write(database, act(1))
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        print(log.append(connection, act(2)).index // 0)
    with database.reading() as connection:
        assert log.head(connection).size == 1
        assert log.find(connection, log.act_key(act(2).token)) is None
    write(database, act(3))
    with database.reading() as connection:
        assert log.head(connection).root == head([encode(act(1)), encode(act(3))])


def test_entries_are_found_by_their_keys(database: Database) -> None:
    decision = Decision(1, Position(2**63 - 1), b"r", b"k", "inst.x", "inst.x", "read")
    first, second, third = write(database, act(1), decision, Outcome(2, decision.position, "answered"))
    with database.writing() as connection:
        fourth = log.append(connection, act(4), b"further")
    with database.reading() as connection:
        assert log.find(connection, log.act_key(act(1).token)) == first
        assert log.find(connection, log.decision_key(decision.position)) == second
        assert log.find(connection, log.outcome_key(decision.position)) == third
        assert log.find(connection, b"further") == fourth
        assert log.find(connection, log.decision_key(Position(1))) is None
        assert decode(log.content(connection, second)) == decision


def test_no_two_entries_share_a_key(database: Database) -> None:
    write(database, act(1))
    with pytest.raises(LogUnavailable):
        write(database, act(2), act(1))
    with database.reading() as connection:
        assert log.head(connection).size == 1


def test_a_restored_log_begins_anew_and_keeps_what_is_left(database: Database) -> None:
    write(database, act(1), act(2))
    restored = Restored(9, str(ORIGIN), 7, b"r" * 32)
    with database.writing() as connection:
        assert log.begin_generation(connection, restored) == EntryId(2, 0)
        assert log.append(connection, act(3)) == EntryId(2, 1)
    with database.reading() as connection:
        assert log.head(connection).root == head([encode(restored), encode(act(3))])
        assert log.root(connection, 1, 2) == head([encode(act(1)), encode(act(2))])
        assert log.find(connection, log.act_key(act(1).token)) == EntryId(1, 0)
        assert log.find(connection, log.act_key(act(3).token)) == EntryId(2, 1)
        assert [at for at, _ in log.contents(connection, EntryId(1, 0), 99)] == [EntryId(1, 0), EntryId(1, 1)]


APPENDER = """
import sys
from cimfed.tlog import log
from cimfed.tlog.database import Database, engine_of
from cimfed.trust.tlog.entries import Act

database = Database(engine_of(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    with database.writing() as connection:
        log.append(connection, Act(number, "import", sys.argv[2]))
"""


def test_processes_that_append_to_one_file_make_one_log(database: Database, tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(tmp_path / "log.sqlite"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:  # both wait until here
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    with database.writing() as connection:
        checkpoints.publish(connection, ORIGIN, KEY, 1)
    with database.reading() as connection:
        contents = [content for _, content in log.contents(connection, EntryId(1, 0), 1000)]
        assert check.check(connection, ORIGIN, [KEY.public])[0].root == head(contents)
    by = [entry.operator for entry in map(decode, contents) if isinstance(entry, Act)]
    assert (by.count("one"), by.count("two")) == (50, 50)


def test_a_log_that_is_not_there_is_unavailable(database: Database) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM log_head")
    with pytest.raises(LogUnavailable):
        write(database, act(1))
    with database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE log_head")
    with pytest.raises(LogUnavailable):
        write(database, act(1))


def test_what_is_gone_cannot_be_proven(database: Database) -> None:
    write(database, *(act(number) for number in range(8)))
    with database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM log_node WHERE id & 63 = 1")
        connection.exec_driver_sql("DELETE FROM log_entry WHERE id & 1 = 1")
    with database.reading() as connection:
        with pytest.raises(LogInconsistent):
            log.inclusion(connection, EntryId(1, 0), 8)
        with pytest.raises(LogInconsistent):
            log.content(connection, EntryId(1, 1))
