"""What an auditor is told: counts by quarter, what one key got, lines without data."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pytest

from cimfed.cli.audit_sums import By, Line, ReadLog, exposure, facts, key_of, quarter, said, since_of, sums
from cimfed.errors import BadConfig
from cimfed.model.instants import instant_of
from cimfed.model.names import Federation
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tlog.entries import (
    Act,
    Admission,
    Decision,
    Entry,
    Other,
    Outcome,
    Passed,
    Position,
    Publication,
    Restored,
    Returned,
)


def at(year: int, month: int, day: int, *clock: int) -> int:
    return instant_of(datetime(year, month, day, *clock, tzinfo=UTC))


IN = at(2026, 11, 3)
KEY, OTHER_KEY = b"\xab" * 32, b"\xcd" * 32
COUNTRIES = {"inst.tsinghua": "CN", "inst.iitd": "IN"}


def decided(number: int, organisation: str = "inst.tsinghua", time: int = IN, **more: str) -> Decision:
    key = KEY if organisation == "inst.tsinghua" else OTHER_KEY
    return Decision(
        time, Position(number), bytes([number]) * 32, key, organisation, "gw.alliance", "read",
        more.get("purpose", "research"), "building", 1, "massing", "v1", more.get("reason", ""),
    )  # fmt: skip


def ended(number: int, rows: int, time: int = IN) -> Outcome:
    return Outcome(time, Position(number), "answered", rows=rows)


def log_of(city: str, *entries: Entry | Other) -> ReadLog:
    return ReadLog(Origin(Federation("sco"), city), 0, entries, None, 0)


LOGS = [
    log_of(
        "kz.almaty",
        decided(1),
        ended(1, 10),
        decided(2, "inst.iitd", reason="not_granted"),
        decided(3, time=at(2026, 12, 31, 23, 59, 59)),
        ended(3, 5, at(2027, 1, 1, 0, 0, 1)),  # ended in the next quarter, asked in this one
        decided(4, time=at(2027, 1, 1)),
        ended(4, 1000),
        Other("of-a-newer-release", {}),
    ),
    log_of("uz.tashkent", decided(5, "inst.iitd", purpose="planning"), ended(5, 7), decided(6, "inst.gone")),
]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (By.COUNTRY, [("CN", 2, 0, 15), ("IN", 1, 1, 7), ("unknown", 1, 0, 0)]),
        (By.ORGANISATION, [("inst.tsinghua", 2, 0, 15), ("inst.iitd", 1, 1, 7), ("inst.gone", 1, 0, 0)]),
        (By.CITY, [("kz.almaty", 2, 1, 15), ("uz.tashkent", 2, 0, 7)]),
        (By.PURPOSE, [("research", 3, 1, 15), ("planning", 1, 0, 7)]),
    ],
)
def test_a_quarters_queries_are_counted(by: By, expected: list[tuple[str, int, int, int]]) -> None:
    found = sums(LOGS, quarter("2026Q4"), by, lambda name: COUNTRIES.get(name, ""))
    assert [(one.name, one.granted, one.refused, one.rows) for one in found] == expected


def test_quarters_meet_and_cover_the_year() -> None:
    spans = [quarter(f"2026Q{number}") for number in (1, 2, 3, 4)]
    assert [span[0] for span in spans] == [at(2026, month, 1) for month in (1, 4, 7, 10)]
    assert [span[1] for span in spans] == [*(span[0] for span in spans[1:]), at(2027, 1, 1)]
    for bad in ("2026", "2026Q5", "2026q4", "Q4", "0000Q1", ""):
        with pytest.raises(BadConfig):
            quarter(bad)


def test_what_a_key_got_is_listed_from_all_logs_in_the_order_of_time() -> None:
    got = exposure(LOGS, key_of(OTHER_KEY.hex()), 0)
    assert [(one.city, one.decision.position, one.rows, one.came) for one in got] == [
        ("kz.almaty", 2, 0, "refused, not_granted"),
        ("uz.tashkent", 5, 7, "answered"),
        ("uz.tashkent", 6, 0, "not ended"),
    ]
    later = exposure(LOGS, key_of("abababab"), at(2026, 12, 1))
    assert [one.decision.position for one in later] == [3, 4]
    assert [one.decision.position for one in exposure(LOGS, key_of("inst.gone"), 0)] == [6]


@pytest.mark.parametrize("text", ["", "ab", "ABABABAB", "kz.almaty", "ab" * 33, "../key"])
def test_what_names_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadConfig):
        key_of(text)


def test_a_time_is_a_day_or_an_instant() -> None:
    assert since_of("2026-10-01") == at(2026, 10, 1)
    assert since_of("2026-10-01T08:30Z") == at(2026, 10, 1, 8, 30)
    for bad in ("yesterday", "2026-13-01", "2026-10-01T08:30"):
        with pytest.raises(BadConfig):
            since_of(bad)


ENTRIES: list[Entry | Other] = [
    decided(1),
    ended(1, 3),
    Passed(IN, Position(1), KEY, KEY, "inst.tsinghua", "kz.almaty"),
    Returned(IN, Position(1), "kz.almaty=answered"),
    Act(IN, "import", "aigerim\x1b[31m", subject="snapshot"),
    Publication(IN, "registrar", 3, KEY),
    Admission(IN, "invited", "inst.new"),
    Restored(IN, "sco/kz.almaty", 7, KEY),
    Other("of-a-newer-release", {"secret": "unknown words"}),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.type)
def test_every_entry_has_a_line_and_its_facts(entry: Entry | Other) -> None:
    line = said(entry)
    assert line.isprintable()
    told = facts(Line("sco/kz.almaty", 4, entry))
    assert (told["log"], told["index"], told["type"]) == ("sco/kz.almaty", 4, entry.type)
    if isinstance(entry, Other):
        assert told.keys() == {"log", "index", "type"}  # what it says is not known to be fit to be shown
    else:
        assert told.keys() - {"log", "index", "type"} == {field.name for field in fields(entry)}


def test_every_kind_of_entry_is_tried_here() -> None:
    assert {type(entry) for entry in ENTRIES} == {*Entry.__subclasses__(), Other}
