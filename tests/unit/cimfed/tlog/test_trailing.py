"""What follows a moment later: along with other transactions, by itself, and without ever standing in their way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from cimfed.errors import LogUnavailable
from cimfed.tlog.database import Database, Transaction, engine_of
from cimfed.tlog.trailing import Trailing

WITHIN = 30.0  # seconds that a thread of the machine may take


class Book:
    """A database of one table, in which no number may stand twice; ``written`` is told of each try."""

    def __init__(self, path: Path) -> None:
        self.database = Database(engine_of(path))
        self.written = threading.Event()
        with self.database.writing() as transaction:
            transaction.execute(text("CREATE TABLE line (number INTEGER PRIMARY KEY)"))

    def write(self, transaction: Transaction, number: int) -> None:
        self.written.set()
        transaction.execute(text(f"INSERT INTO line VALUES ({number})"))

    def lines(self) -> list[int]:
        with self.database.reading() as connection:
            return sorted(connection.execute(text("SELECT number FROM line")).scalars())


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "book.sqlite")
    yield book
    book.database.close()


@pytest.fixture
def trailing(book: Book, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trailing[int]]:
    """Nothing is written by itself before it is closed or flushed."""
    monkeypatch.setattr("cimfed.tlog.trailing.AFTER", 3600.0)
    trailing = Trailing(book.database, book.write)
    yield trailing
    trailing.close()


def test_what_waits_goes_along_with_the_next_transaction(book: Book, trailing: Trailing[int]) -> None:
    trailing.add(1)
    trailing.add(2)
    assert book.lines() == []
    with trailing.writing() as transaction:
        transaction.execute(text("INSERT INTO line VALUES (3)"))
    assert book.lines() == [1, 2, 3]


def test_what_waits_is_written_by_itself_where_nothing_else_is(book: Book) -> None:
    trailing = Trailing(book.database, book.write)
    trailing.add(1)
    assert book.written.wait(WITHIN)
    trailing.close()
    assert book.lines() == [1]


def test_after_a_flush_what_another_transaction_took_along_is_there(book: Book, trailing: Trailing[int]) -> None:
    trailing.add(1)
    inside, go, seen = threading.Event(), threading.Event(), []

    def along() -> None:
        with trailing.writing():
            inside.set()
            go.wait(WITHIN)

    def flush() -> None:
        trailing.flush()
        seen.extend(book.lines())

    other, flushing = threading.Thread(target=along), threading.Thread(target=flush)
    other.start()
    assert inside.wait(WITHIN)
    flushing.start()
    flushing.join(0.2)  # were it through, it would have seen nothing
    go.set()
    for thread in (other, flushing):
        thread.join(WITHIN)
    assert seen == [1]


def test_closing_writes_what_waits(book: Book, trailing: Trailing[int]) -> None:
    trailing.add(1)
    trailing.close()
    assert book.lines() == [1]


def test_a_transaction_that_fails_takes_nothing_along(book: Book, trailing: Trailing[int]) -> None:
    trailing.add(1)
    with pytest.raises(KeyError), trailing.writing():
        raise KeyError
    assert book.lines() == []
    trailing.flush()
    assert book.lines() == [1]


def test_what_cannot_be_written_costs_one_transaction_and_is_said(
    book: Book, trailing: Trailing[int], caplog: pytest.LogCaptureFixture
) -> None:
    trailing.add(1)
    trailing.flush()
    for number in (1, 2):
        trailing.add(number)
    with pytest.raises(LogUnavailable), trailing.writing():
        pass
    with trailing.writing() as transaction:
        transaction.execute(text("INSERT INTO line VALUES (9)"))
    trailing.flush()
    assert book.lines() == [1, 2, 9]
    assert "could not be logged" in caplog.text


def test_flushing_ends_where_nothing_can_be_written(
    book: Book, trailing: Trailing[int], caplog: pytest.LogCaptureFixture
) -> None:
    with book.database.writing() as transaction:
        transaction.execute(text("DROP TABLE line"))
    trailing.add(1)
    trailing.flush()
    assert "could not be logged" in caplog.text


def test_many_threads_write_each_entry_once(book: Book) -> None:
    trailing = Trailing(book.database, book.write)

    def work(first: int) -> None:
        for number in range(first, first + 20):
            trailing.add(number)
            with trailing.writing():
                pass

    threads = [threading.Thread(target=work, args=(100 * index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trailing.close()
    assert book.lines() == sorted(100 * index + number for index in range(4) for number in range(20))
