"""The gateway's log: a line before a query goes out, its outcome after, nothing where it cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cimfed.errors import LogInconsistent, LogUnavailable
from cimfed.model.names import Federation
from cimfed.tlog import checkpoints
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tlog.entries import Passed, Position, Returned
from cimfed_gateway.tables import Journal


def line(position: int, organisation: str = "inst.tsinghua") -> Passed:
    return Passed(1, Position(position), b"r" * 32, b"k" * 32, organisation, "kz.almaty")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal.open(tmp_path / "journal.sqlite")
    yield made
    made.close()


def test_lines_stand_in_their_order_and_get_their_outcome(journal: Journal) -> None:
    first, second = line(7), line(5, "inst.iitd")
    ended = Returned(2, first.position, "kz.almaty=answered")
    journal.begin(first)
    journal.begin(second)
    journal.end(ended)
    journal.settle()
    assert journal.all() == [(first, ended), (second, None)]


def test_the_log_outlives_its_process(journal: Journal, tmp_path: Path) -> None:
    journal.begin(line(1))
    again = Journal.open(tmp_path / "journal.sqlite")
    assert again.all() == [(line(1), None)]
    again.close()


def test_what_cannot_be_logged_is_an_error(journal: Journal) -> None:
    with journal.writing() as connection:
        connection.exec_driver_sql("DROP TABLE log_entry")
    with pytest.raises(LogUnavailable):
        journal.begin(line(1))


def test_a_log_that_lost_what_was_signed_fails_its_test(journal: Journal) -> None:
    journal.begin(line(1))
    journal.self_test()
    with journal.writing() as connection:
        signer = KeySigner.generate()
        assert checkpoints.publish(connection, Origin(Federation("sco"), "gw.alliance"), signer, 1) is not None
        connection.exec_driver_sql("UPDATE log_head SET size = 0, peaks = x''")
    with pytest.raises(LogInconsistent):
        journal.self_test()


def test_the_log_is_its_owners_alone(journal: Journal, tmp_path: Path) -> None:
    journal.begin(line(1))
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
