"""How a log stands, as `doctor` hears of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cimfed.doctor.homes import LogFact
from cimfed.tlog import checkpoints
from cimfed.tlog.database import Database
from cimfed.tlog.health import log_fact
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog.checkpoint import cosign, parse_origin
from tests.unit.cimfed.tlog.test_checkpoints import SECOND, publish
from tests.unit.cimfed.tlog.test_log import act, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


def test_size_checkpoint_and_cosignatures_are_told(database: Database, path: Path) -> None:
    assert log_fact(path) == LogFact()
    write(database, act(1), act(2))
    made = publish(database, 7 * SECOND)
    assert made is not None
    write(database, act(3))
    signed = LogFact(size=3, signed=2, made=7 * SECOND)
    assert log_fact(path) == signed
    for number, name in enumerate(("sco/uz.tashkent", "sco/cn.qingdao"), 1):
        with database.writing() as connection:
            line = cosign(made.note, parse_origin(name), KeySigner.generate(), 8)
            checkpoints.add_signatures(connection, made, [line])
        assert log_fact(path) == replace(signed, cosigned=number)


def test_evidence_of_two_histories_is_told(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path)) as kept:
        kept.execute("CREATE TABLE IF NOT EXISTS log_conflict (id BLOB, origin TEXT, time INT, note BLOB, seen BLOB)")
        rows = [(b"1", "sco/uz.tashkent"), (b"2", "sco/cn.qingdao"), (b"3", "sco/uz.tashkent")]
        kept.executemany("INSERT INTO log_conflict VALUES (?, ?, 1, x'00', x'00')", rows)
        kept.commit()
    found = log_fact(path)
    assert found is not None
    assert found.forks == ("sco/cn.qingdao", "sco/uz.tashkent")


def test_a_log_whose_head_is_none_is_told(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path)) as spoilt:
        spoilt.execute("UPDATE log_head SET size = 5")
        spoilt.commit()
    found = log_fact(path)
    assert found is not None
    assert found.error is not None
    assert found.error.reason == "log_inconsistent"


def test_a_database_without_a_log_has_nothing_to_tell(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "other.sqlite").close()
    assert log_fact(tmp_path / "other.sqlite") is None
