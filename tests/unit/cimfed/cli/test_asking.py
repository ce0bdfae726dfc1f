"""`cimfed read | aggregate | catalog | receipt` as they are typed, against a federation in memory."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cimfed import console
from cimfed.cli import asking
from cimfed.cli.main import main
from cimfed.client.federation import Federation
from cimfed.errors import NodeUnreachable
from cimfed.model.answer import Outcome
from cimfed.model.catalog import CATALOG
from tests.unit.cimfed.client.test_answer import totals_world, went_down
from tests.unit.cimfed.client.test_manipulation import flip_a_byte
from tests.unit.cimfed.client.world import ALMATY, QINGDAO, Line, Stream, World, asker, connect, line_of
from tests.unit.vectors import RECEIPTS, receipt_bytes

Change = Callable[[Stream], object]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass
class Partner:
    """Types commands. ``world`` and ``change`` are what it meets."""

    world: World
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]
    change: Change = lambda stream: None
    line: Line | None = None

    def __call__(self, *arguments: object) -> Result:
        @contextmanager
        def federation(*_: Any) -> Iterator[Federation]:
            made = Federation(asker(self.world, self.line)) if self.line else connect(self.world, self.change)
            with made as found:
                yield found

        self.monkeypatch.setattr(asking, "opened", federation)
        self.monkeypatch.setattr(sys, "argv", ["cimfed", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exit:
            code = int(exit.code or 0)
        captured = self.capfd.readouterr()
        return Result(code, captured.out, captured.err)


@pytest.fixture
def cimfed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Partner:
    monkeypatch.chdir(tmp_path)
    for screen in (console.out, console.err):
        monkeypatch.setattr(screen, "width", 200)  # COLUMNS counts only while it is made
    return Partner(World(), monkeypatch, capfd)


READ = ("read", "building", "--purpose", "research", "-p", "id", "-p", "height")


def test_a_pipe_gets_rows_as_csv_and_the_coverage_apart(cimfed: Partner) -> None:
    done = cimfed(*READ)
    assert done.code == 0
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert len(rows) == 62
    assert rows[0].keys() == {"city", "id", "height"}
    assert "kz.almaty" in done.err
    assert "answered" in done.err
    assert "height band(5)" in done.err


def test_a_table_shows_some_rows_of_every_city(cimfed: Partner) -> None:
    done = cimfed(*READ, "--format", "table", "--rows", "6")
    assert done.code == 0
    assert "6 of 62 rows" in done.err
    assert all(city in done.out for city in cimfed.world.cities)


def test_partial_answers_end_with_6(cimfed: Partner) -> None:
    cimfed.change = went_down(ALMATY)  # type: ignore[assignment]
    done = cimfed(*READ, "-o", "b.csv")
    assert done.code == 6
    assert Path("b.csv").exists()
    assert "unreachable" in done.err
    assert "gateway" in done.err


def test_too_few_answers_end_with_7_and_leave_no_file(cimfed: Partner) -> None:
    cimfed.change = went_down(ALMATY)  # type: ignore[assignment]
    done = cimfed(*READ, "-o", "b.csv", "--require", "all")
    assert done.code == 7
    assert "not_enough" in done.err
    assert "unreachable" in done.err  # the coverage is shown all the same
    assert not Path("b.csv").exists()


def test_denied_by_all_ends_with_4(cimfed: Partner) -> None:
    for city in cimfed.world.cities.values():
        city.refusal = "not_granted"
    done = cimfed(*READ)
    assert done.code == 4
    assert done.out == ""
    assert "not_granted" in done.err


def test_an_answer_that_does_not_verify_ends_with_8_and_no_row(cimfed: Partner) -> None:
    cimfed.change = lambda stream: flip_a_byte(cimfed.world, stream)
    done = cimfed(*READ)
    assert done.code == 8
    assert done.out == ""
    assert "chain_broken: kz.almaty" in done.err


def test_a_city_that_broke_off_costs_its_own_rows(cimfed: Partner) -> None:
    cimfed.change = went_down(ALMATY, Outcome.BROKEN, after=3)  # type: ignore[assignment]
    done = cimfed(*READ)
    assert done.code == 6
    assert len(list(csv.DictReader(io.StringIO(done.out)))) == 22


def test_an_unreachable_gateway_ends_with_7(cimfed: Partner) -> None:
    unreachable = NodeUnreachable("gw.alliance cannot be reached")
    cimfed.line = Line(lambda request: [], cimfed.world.directory, error=unreachable)
    assert cimfed(*READ).code == 7


@pytest.mark.parametrize(
    "arguments",
    [
        ("--where", "hieght > 1"),
        ("--where", "height >"),
        ("--bbox", "1,2,three,4"),
        ("--grant", "kz.almaty"),
        ("--require", "most"),
        ("-o", "rows.shp"),
        ("--lod", "9"),
    ],
)
def test_a_wrong_question_ends_with_2_before_anything_is_asked(cimfed: Partner, arguments: tuple[str, ...]) -> None:
    cimfed.line = line_of(cimfed.world)
    assert cimfed(*READ, *arguments).code == 2
    assert cimfed.line.asked == []


def test_options_reach_the_query(cimfed: Partner) -> None:
    cimfed.line = line_of(cimfed.world)
    honest, queries = cimfed.line.respond, []

    def respond(request: bytes) -> Any:
        queries.append(cimfed.world.answer(request))
        return honest(request)

    cimfed.line.respond = respond
    done = cimfed(
        *READ, "--bbox", "60,30,130,50", "--city", ALMATY, "--city", QINGDAO, "--grant", f"{ALMATY}=massing",
        "--where", "height IS NOT NULL", "--compression", "zstd",
    )  # fmt: skip
    assert done.code == 0
    from cimfed.wire.queries import decode_query

    query = decode_query(queries[0].query.payload)
    assert query.cities == (ALMATY, QINGDAO)
    assert query.grants == {ALMATY: "massing"}
    assert query.via == ("gw.alliance",)
    assert query.request.compression == "zstd"  # type: ignore[union-attr]
    assert len(list(csv.DictReader(io.StringIO(done.out)))) == 47


def test_coverage_can_be_had_as_json(cimfed: Partner) -> None:
    cimfed.world.cities[ALMATY].refusal = "choose_grant"
    done = cimfed(*READ, "--json")
    assert done.code == 6
    coverage = json.loads(done.err)
    lines = {line["city"]: line for line in coverage["cities"]}
    assert lines[ALMATY]["outcome"] == "refused"
    assert lines[ALMATY]["reason"] == "choose_grant"
    assert lines[QINGDAO]["rows"] == 7
    assert coverage["complete"] is False


def test_a_receipt_is_written_verified_and_shown(cimfed: Partner) -> None:
    Path("root.json").write_bytes(cimfed.world.root)
    assert cimfed(*READ, "--receipt", "a.receipt").code == 0
    verified = cimfed("receipt", "verify", "a.receipt", "--root", "root.json")
    assert verified.code == 0
    assert "verified: 62 rows of cn.qingdao, kz.almaty, uz.tashkent, asked by inst.tsinghua" in verified.out
    told = cimfed("receipt", "verify", "a.receipt", "--root", "root.json", "--json")
    facts = json.loads(told.out)
    assert (facts["schema"], facts["rows"], facts["asked_by"]) == ("cimfed/receipt-verify/v1", 62, "inst.tsinghua")
    assert facts["cities"] == facts["unlogged"] == ["cn.qingdao", "kz.almaty", "uz.tashkent"]
    assert (facts["logged"], facts["compared_with"], facts["revoked"]) == ({}, None, [])
    assert told.err == ""
    shown = cimfed("receipt", "show", "a.receipt", "--root", "root.json", "--json")
    assert json.loads(shown.out)["coverage"]["cities"][1]["policy_version"] == 3
    assert "purpose: research" in cimfed("receipt", "show", "a.receipt", "--root", "root.json").out
    data = bytearray(Path("a.receipt").read_bytes())
    data[len(data) // 2] ^= 1
    Path("a.receipt").write_bytes(data)
    assert cimfed("receipt", "verify", "a.receipt", "--root", "root.json").code == 8
    told = cimfed("receipt", "verify", "a.receipt", "--root", "root.json", "--json")
    error = json.loads(told.out)["error"]
    assert (told.code, error["exit_code"]) == (8, 8)
    assert error["reason"] in told.err


def test_verify_says_that_a_log_proves_a_decision_and_ends_with_8_where_it_does_not(
    cimfed: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {case["name"]: (file, case) for file, case in RECEIPTS if file == "receipt-log.json"}

    def verify(name: str, *more: str) -> Result:
        file, case = found[name]
        Path("a.receipt").write_bytes(receipt_bytes(case, file))
        Path("root.json").write_text(case["root"])
        return cimfed("receipt", "verify", "a.receipt", "--root", "root.json", *more)

    done = verify("a decision in the log of its city, cosigned by two others")
    assert done.code == 0
    assert "kz.almaty: logged as entry 4, cosigned by in.delhi, uz.tashkent\n" in done.out
    assert "uz.tashkent: no proof of the log yet\n" in done.out
    assert "cimfed receipt complete" in done.err
    facts = json.loads(verify("a decision in the log of its city, cosigned by two others", "--json").out)
    assert facts["logged"]["kz.almaty"]["cosigned"] == ["in.delhi", "uz.tashkent"]
    unlogged = [line.split(":")[0] for line in done.out.splitlines() if "no proof of the log yet" in line]
    assert facts["unlogged"] == unlogged == ["in.delhi", "uz.tashkent"]
    other = cimfed("receipt", "verify", "a.receipt", "--root", "a.receipt")
    assert (other.code, "bad_directory" in other.err, "--root" in other.err) == (2, True, True)
    monkeypatch.setenv("CIMFED_HOME", "nobody")
    unknown = cimfed("receipt", "verify", "a.receipt")
    assert (unknown.code, "--root" in unknown.err) == (3, True)
    assert "kz.almaty: logged as entry 4, cosigned by nobody yet\n" in verify("cosigned by nobody").out
    broken = verify("a hash of the proof is another")
    assert (broken.code, broken.out) == (8, "")
    assert "log_inconsistent" in broken.err


def test_aggregates_are_put_out_like_rows(cimfed: Partner) -> None:
    cimfed.world = totals_world()
    measures = ("--measure", "count", "--measure", "mean:height", "--measure", "max:height")
    done = cimfed("aggregate", "building", *measures, "--by", "function", "--purpose", "research")
    assert done.code == 0
    rows = {row["function"]: row for row in csv.DictReader(io.StringIO(done.out))}
    assert rows["office"] == {"function": "office", "count": "6", "mean_height": "5.25", "max_height": "6.00"}


def test_the_catalogue_shows_one_line_for_a_grant(cimfed: Partner) -> None:
    for city in cimfed.world.cities.values():
        city.batches = [_catalogue(city.name)]
    shown = cimfed("catalog", "--format", "table")
    assert shown.code == 0
    assert "id, height band(5)" in shown.out
    assert "(listed only)" in shown.out
    none = cimfed("catalog", "--purpose", "heat-planning", "--format", "table")
    assert "massing" not in none.out
    piped = list(csv.DictReader(io.StringIO(cimfed("catalog").out)))
    assert len(piped) == 9
    assert piped[0].keys() == set(CATALOG.names)


def _catalogue(city: str) -> pa.RecordBatch:
    common = {name: None for name in CATALOG.names} | {
        "city": city, "collection": "building", "type": "text", "meaning": "-", "listed": True
    }  # fmt: skip
    granted = {"grant": "massing", "purposes": "research teaching", "granted": True, "rows": 1200}
    return pa.RecordBatch.from_pylist(
        [
            {**common, **granted, "property": "id", "mask": "exact"},
            {**common, **granted, "property": "height", "mask": "band(5)"},
            {**common, "granted": False, "property": "volume"},
        ],
        schema=CATALOG,
    )
