"""The control database: one writer at a time, nothing lost, no schema guessed at."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from cimfed.errors import BadConfig, LogUnavailable, NotFound, Overloaded, Replayed
from cimfed.model.names import CityName
from cimfed.model.schema import field
from cimfed.model.vocabulary import VOCABULARY
from cimfed.trust.tlog.entries import Act, Decision, Outcome, Position, draw_position
from cimfed_node.stores.base import Engine, View
from cimfed_node.tables import Control, Transaction
from cimfed_node.tables.acts import acts, put_act
from cimfed_node.tables.admissions import (
    advance_clock,
    asked,
    check_slots,
    clock_mark,
    decisions,
    decisions_since,
    log_decision,
    log_outcome,
    logged,
    spend_nonce,
    take_slot,
    views_in_use,
)
from cimfed_node.tables.publication import (
    ActiveGrant,
    ActivePolicy,
    Place,
    SnapshotEntry,
    active_grants,
    active_policy,
    current_snapshots,
    drop_views,
    granted_view,
    highest_version,
    put_grants,
    put_policy,
    put_snapshot,
    rows_by_grant,
    views,
)
from cimfed_node.tables.schema import SCHEMA_VERSION

SECOND = 1_000_000
LINE = Decision(1, Position(1), b"r" * 32, b"k" * 32, "inst.x", "gw.alliance", "read", "research", "building")


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = Control.create(tmp_path / "control.sqlite")
    yield made
    made.close()


def test_a_commit_is_on_the_disk_before_it_returns(control: Control) -> None:
    with control.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_database_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "control.sqlite"
    with pytest.raises(NotFound):
        Control.open(path)
    Control.create(path).close()
    for version, remedy in ((SCHEMA_VERSION + 1, "Upgrade"), (SCHEMA_VERSION - 1, "Make a new home")):
        with sqlite3.connect(path) as raw:
            raw.execute("UPDATE schema_version SET version = ?", (version,))
        with pytest.raises(BadConfig, match=remedy):
            Control.open(path)
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    with pytest.raises(BadConfig):
        Control.open(empty)


def test_others_cannot_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Control.create(tmp_path / "control.sqlite").close()
    finally:
        os.umask(before)
    assert (tmp_path / "control.sqlite").stat().st_mode & 0o007 == 0


def drawn(connection: Transaction, line: Decision = LINE) -> Decision:
    """The line under a position of its own, logged."""
    line = replace(line, position=draw_position())
    log_decision(connection, line)
    return line


def test_lines_stand_in_their_order_and_outcomes_join_them(control: Control) -> None:
    with control.writing() as connection:
        first, second = (drawn(connection) for _ in range(2))
    with pytest.raises(ZeroDivisionError), control.writing() as connection:
        print(drawn(connection).time // 0)
    ended = Outcome(9, second.position, "answered", rows=5, batches=1, chain=b"c")
    with control.writing() as connection:
        third = drawn(connection)
        log_outcome(connection, ended)
    lines = [(first, None), (second, ended), (third, None)]
    with control.reading() as connection:
        assert decisions(connection) == [(line.position, line, outcome) for line, outcome in lines]


def test_a_position_is_taken_once_and_has_one_outcome(control: Control) -> None:
    outcome = Outcome(2, LINE.position, "answered")
    with control.writing() as connection:
        log_decision(connection, LINE)
        log_outcome(connection, outcome)
    with pytest.raises(LogUnavailable), control.writing() as connection:
        log_decision(connection, LINE)
    with pytest.raises(LogUnavailable), control.writing() as connection:
        log_outcome(connection, outcome)
    with control.reading() as connection:
        assert decisions(connection) == [(LINE.position, LINE, outcome)]


def test_the_line_of_a_refusal_is_found_by_query_reason_and_presenter(control: Control) -> None:
    refused = replace(LINE, reason="replayed")
    with control.writing() as connection:
        drawn(connection)
        assert logged(connection, refused) is None
        position = drawn(connection, refused).position
        assert logged(connection, refused) == position
        for other in ({"request_hash": b"o" * 32}, {"reason": "expired_query"}, {"presenter": "gw.second"}):
            assert logged(connection, replace(refused, **other)) is None


def test_refusals_that_use_a_nonce_up_need_not_be_found(control: Control) -> None:
    """The same query refused at both ends of an hour, say, has two lines."""
    refused = replace(LINE, reason="not_granted")
    with control.writing() as connection:
        drawn(connection, refused)
        assert logged(connection, refused) is None
        drawn(connection, refused)


def test_the_last_decisions_are_read_from_the_end(control: Control) -> None:
    day = 24 * 3600 * SECOND
    times = [1 * day, 5 * day, 9 * day, 8 * day, 9 * day + 1]  # the clock was set back once
    with control.writing() as connection:
        lines = [drawn(connection, replace(LINE, time=time)) for time in times]
    with control.reading() as connection:
        assert list(decisions_since(connection, 9 * day)) == [lines[4], lines[2]]
        assert list(decisions_since(connection, 0)) == lines[::-1]


def test_an_act_that_is_done_again_has_one_line(control: Control) -> None:
    first, second = (Act(time, "prune", "aigerim", "building", "s1", 3, "why") for time in (1, 2))
    for _ in range(2):
        with control.writing() as connection:
            put_act(connection, first)
    with control.writing() as connection:
        put_act(connection, second)
    with control.reading() as connection:
        assert acts(connection) == [second, first]


def test_one_nonce_is_spent_once_by_however_many_at_a_time(control: Control) -> None:
    spent, refused = [], []

    def spend() -> None:
        try:
            with control.writing() as connection:
                spend_nonce(connection, b"signer", b"nonce", 100, 1)
            spent.append(1)
        except Replayed:
            refused.append(1)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(spent), len(refused)) == (1, 7)


def test_nonces_go_once_the_clock_has_passed_them(control: Control) -> None:
    with control.writing() as connection:
        spend_nonce(connection, b"s", b"one", 100, 1)
        spend_nonce(connection, b"s", b"two", 200, 100)
        with pytest.raises(Replayed):
            spend_nonce(connection, b"s", b"one", 100, 100)
        spend_nonce(connection, b"s", b"one", 100, 101)


def test_the_mark_only_rises_and_outlives_the_process(tmp_path: Path) -> None:
    control = Control.create(tmp_path / "control.sqlite")
    with control.writing() as connection:
        assert [advance_clock(connection, now) for now in (5, 9, 7)] == [5, 9, 9]
    control.close()
    control = Control.open(tmp_path / "control.sqlite")
    with control.reading() as connection:
        assert clock_mark(connection) == 9
    control.close()


def test_slots_are_taken_freed_and_expire(control: Control) -> None:
    with control.writing() as connection:
        take_slot(connection, 1, "inst.x", "v1", 100)
        take_slot(connection, 2, "inst.y", "v2", 50)
        assert views_in_use(connection, 40) == {"v1", "v2"}
        with pytest.raises(Overloaded) as error:
            check_slots(connection, "inst.x", 40, 1, 9)
        assert error.value.retry_after
        with pytest.raises(Overloaded):
            check_slots(connection, "inst.z", 40, 1, 2)
        check_slots(connection, "inst.y", 60, 1, 2)  # its other one expired
        log_outcome(connection, Outcome(60, Position(1), "cancelled"))
        assert views_in_use(connection, 60) == frozenset()


def test_who_was_answered_is_counted_by_who_asked_and_how(control: Control) -> None:
    ways = [
        {"organisation": organisation, "presenter": presenter, "key_id": key, "grant": grant}
        for organisation, presenter, key, grant in (
            ("inst.a", "inst.a", b"1", "all"),
            ("inst.a", "gw.x", b"1", "all"),
            ("inst.a", "gw.x", b"2", "all"),
            ("inst.b", "gw.x", b"3", "some"),
        )
    ]
    drawn = random.Random(5)
    lines = [
        replace(
            LINE,
            time=time,
            position=draw_position(),
            reason=drawn.choice(["", "", "not_granted"]),
            **drawn.choice(ways),
        )
        for time in range(200)
    ]
    running: Counter[tuple[object, ...]] = Counter()
    expected: dict[tuple[object, ...], list[int]] = {}
    with control.writing() as connection:
        for line in lines:
            log_decision(connection, line)
            by = (line.organisation, line.presenter, line.key_id, line.grant)
            if not line.reason and line.time % 3:  # one of two kinds of slot is over
                take_slot(connection, line.position, line.organisation, "v", 1000 * (line.time % 3))
            if not line.reason and line.time >= 50:
                expected.setdefault(by, []).append(line.time)
                running[by] += line.time % 3 == 2
    with control.reading() as connection:
        found = asked(connection, 50, 1500)
    assert {
        (item.organisation, item.presenter, item.key_id, item.grant): (item.queries, item.last, item.running)
        for item in found
    } == {by: (len(times), max(times), running[by]) for by, times in expected.items()}
    assert len(found) == len(expected) == 4
    assert [item.last for item in found] == sorted((item.last for item in found), reverse=True)


def test_a_database_that_cannot_be_written_says_so(control: Control) -> None:
    with control.writing() as connection:
        connection.exec_driver_sql("DROP TABLE log_entry")
    with pytest.raises(LogUnavailable) as error, control.writing() as connection:
        log_decision(connection, LINE)
    assert "log_entry" not in str(error.value)


# Pointers


def entry(id: str, collection: str = "building") -> SnapshotEntry:
    return SnapshotEntry(id, collection, 3, (1.0, 2.0, 3.0, 4.0), "null", 1.5, "Baltic", "CC0", "us", 7)


def view(folder: Path, id: str) -> View:
    properties = VOCABULARY.collections["building"].properties
    return View(
        id=id,
        city=CityName("kz.almaty"),
        collection="building",
        snapshot="s",
        shape_hash=b"h",
        compiler="1",
        engine=Engine.DUCKDB,
        source=str(folder / f"{id}.parquet"),
        schema=pa.schema([field(properties["id"]), field(properties["height"], "band(5)")]),
        rows=3,
        widths={"id": 12.5},
        size=99,
        sha256=b"x",
    )


def test_a_collection_has_one_current_snapshot(control: Control) -> None:
    with control.writing() as connection:
        put_snapshot(connection, entry("one"))
        put_snapshot(connection, entry("two"))
        put_snapshot(connection, entry("plants", "facility"))
    with control.reading() as connection:
        assert current_snapshots(connection) == {"building": entry("two"), "facility": entry("plants", "facility")}
    with control.writing() as connection:
        put_snapshot(connection, entry("one"))  # a way back
    with control.reading() as connection:
        assert current_snapshots(connection)["building"].id == "one"


def test_grants_point_at_views_of_the_policy_in_force(control: Control, tmp_path: Path) -> None:
    at = Place(CityName("kz.almaty"), tmp_path)
    one, two = view(tmp_path, "one"), view(tmp_path, "two")
    first = [ActiveGrant("a", "building", b"h", "one"), ActiveGrant("b", "facility", b"h", "")]
    with control.writing() as connection:
        put_policy(connection, ActivePolicy(3, b"p3", 1, (0, 9)))
        put_grants(connection, 3, first, [one], at, 1)
    with control.reading() as connection:
        assert active_policy(connection) == ActivePolicy(3, b"p3", 1, (0, 9))
        assert active_grants(connection) == first
        assert granted_view(connection, 3, "a", at) == (first[0], one)
        assert granted_view(connection, 3, "b", at) == (first[1], None)
        assert granted_view(connection, 2, "a", at) is None
        assert rows_by_grant(connection) == {"a": 3}
        found = granted_view(connection, 3, "a", at)
        assert found is not None
        assert found[1] is not None
        assert found[1].schema.equals(one.schema, check_metadata=True)
    with control.writing() as connection:
        put_policy(connection, ActivePolicy(5, b"p5", 2, (0, 9)))
        put_grants(connection, 5, [ActiveGrant("a", "building", b"h", "two")], [two], at, 2)
        drop_views(connection, ["one"])
    with control.reading() as connection:
        assert set(views(connection, at)) == {"two"}
        assert (highest_version(connection), active_policy(connection)) == (5, ActivePolicy(5, b"p5", 2, (0, 9)))
        assert granted_view(connection, 3, "a", at) is None
        assert granted_view(connection, 5, "b", at) is None


def test_readers_see_before_or_after(control: Control) -> None:
    with control.reading() as reader:
        assert current_snapshots(reader) == {}
        with control.writing() as writer:
            put_snapshot(writer, entry("one"))
        assert current_snapshots(reader) == {}
    with control.reading() as reader:
        assert set(current_snapshots(reader)) == {"building"}
