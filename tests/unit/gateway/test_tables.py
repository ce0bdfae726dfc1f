"""The gateway's log: a line before a query goes out, its outcome after, nothing where it cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from cimfed.errors import LogUnavailable
from cimfed_gateway.tables import Decision, Journal


def line(organisation: str = "inst.tsinghua") -> Decision:
    return Decision(time=1, request_hash="ab" * 32, organisation=organisation, key_id="cd" * 32, asked="kz.almaty")


def test_lines_are_numbered_and_get_their_outcome(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.sqlite")
    first, second = journal.begin(line()), journal.begin(line("inst.iitd"))
    journal.end(first, "kz.almaty=answered")
    assert [(row.sequence, row.organisation, row.outcome) for row in journal.all()] == [
        (first, "inst.tsinghua", "kz.almaty=answered"),
        (second, "inst.iitd", ""),
    ]
    assert second > first


def test_the_log_outlives_its_process(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.sqlite")
    journal.begin(line())
    assert len(Journal.open(tmp_path / "journal.sqlite").all()) == 1


def test_what_cannot_be_logged_is_an_error(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.sqlite")
    with journal._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE gateway_decision")
    with pytest.raises(LogUnavailable):
        journal.begin(line())


def test_the_log_is_its_owners_alone(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.sqlite")
    journal.begin(line())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
