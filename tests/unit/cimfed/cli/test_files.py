"""Where commands write: looked at before anything is asked, and nothing is lost that was there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cimfed import paths
from cimfed.errors import BadConfig, Conflict
from cimfed.wire.receipts import decode_receipt
from tests.oracle import cityjson
from tests.unit.cimfed.cli.test_asking import READ, Partner, cimfed
from tests.unit.cimfed.client.test_answer import totals_world, went_down
from tests.unit.cimfed.client.world import ALMATY, line_of

__all__ = ["cimfed"]


def test_what_is_written_is_said_on_standard_error(cimfed: Partner) -> None:
    done = cimfed(*READ, "-o", "b.csv")
    assert done.code == 0
    assert done.out == ""
    assert f"62 rows in {Path('b.csv').resolve()}" in done.err
    assert "rows in" not in cimfed(*READ, "-o", "b.csv", "--json").err  # nothing but JSON
    assert "rows in" not in cimfed(*READ, "-o", "-").err


def test_a_link_stays_a_link_and_its_file_keeps_its_mode(cimfed: Partner) -> None:
    Path("real.csv").write_text("old")
    Path("real.csv").chmod(0o640)
    Path("link.csv").symlink_to("real.csv")
    assert cimfed(*READ, "-o", "link.csv").code == 0
    assert Path("link.csv").is_symlink()
    assert len(Path("real.csv").read_text().splitlines()) == 63
    assert Path("real.csv").stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir()) == ["link.csv", "real.csv", "real.csv.metadata.json"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "/dev/null", "--format", "csv"),
        ("-o", "pipe.csv"),
        ("-o", "folder.csv"),
        ("-o", "nodir/x.csv"),
        ("--receipt", "nodir/x"),
        ("--receipt", "/dev/null"),
        ("--receipt", "folder.csv"),
        ("--rows", "0"),
    ],
)
def test_what_cannot_be_written_fails_before_anything_is_asked(cimfed: Partner, arguments: tuple[str, ...]) -> None:
    os.mkfifo("pipe.csv")
    Path("folder.csv").mkdir()
    cimfed.line = line_of(cimfed.world)
    assert cimfed(*READ, *arguments).code == 2
    assert cimfed.line.asked == []
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    "arguments",
    [
        ("read", "observation", "-o", "x.city.jsonl"),
        ("read", "observation", "--format", "cityjsonseq"),
        ("aggregate", "building", "-o", "x.city.json"),
        ("catalog", "-o", "x.city.jsonl"),
        ("read", "building", "--format", "cityjson"),
    ],
)
def test_what_is_no_city_object_is_refused_before_anything_is_asked(
    cimfed: Partner, arguments: tuple[str, ...]
) -> None:
    cimfed.line = line_of(cimfed.world)
    assert cimfed(*arguments, "--purpose", "research").code == 2
    assert cimfed.line.asked == []
    assert os.listdir() == []


def test_a_file_of_an_answer_that_lacks_a_city_says_so(cimfed: Partner) -> None:
    cimfed.change = went_down(ALMATY)  # type: ignore[assignment]
    assert cimfed(*READ, "-o", "b.city.jsonl", "--receipt", "b.receipt").code == 6
    head, features = cityjson.read_sequence(Path("b.city.jsonl"))
    told = head["metadata"]["cimfed"]
    assert (told["complete"], len(features)) == (False, 22)
    assert [line["city"] for line in told["cities"] if line["outcome"] == "unreachable"] == [ALMATY]
    assert decode_receipt(Path("b.receipt").read_bytes()).query.payload_hash.hex() == told["request_hash"]


def test_cityjson_lines_go_into_a_pipe(cimfed: Partner) -> None:
    done = cimfed(*READ, "--format", "cityjsonseq")
    head, features = cityjson.sequence(done.out)
    assert (done.code, head["metadata"]["cimfed"]["complete"], len(features)) == (0, True, 62)


def test_totals_say_where_they_come_from(cimfed: Partner) -> None:
    cimfed.world = totals_world()
    measures = ("--measure", "count", "--measure", "mean:height", "--measure", "max:height")
    asked = ("aggregate", "building", *measures, "--by", "function", "--purpose", "research")
    assert cimfed(*asked, "-o", "t.csv").code == 0
    told = json.loads(Path("t.csv.metadata.json").read_text("utf-8"))
    assert (told["request"], told["by"]) == ("aggregate", ["function"])
    assert told["measures"] == ["count", "mean_height", "max_height"]


def test_rows_and_receipt_go_to_two_files_and_links_lead_somewhere(cimfed: Partner) -> None:
    cimfed.line = line_of(cimfed.world)
    assert cimfed(*READ, "-o", "a.csv", "--receipt", "a.csv").code == 2
    assert cimfed(*READ, "-o", "a.csv", "--receipt", "a.csv.metadata.json").code == 2
    os.symlink("circle.csv", "circle.csv")
    assert cimfed(*READ, "-o", "circle.csv").code == 2
    assert cimfed.line.asked == []


def test_new_files_have_a_folder_and_no_forerunner(tmp_path: Path) -> None:
    paths.new_file(tmp_path / "x")
    (tmp_path / "link").symlink_to("nowhere")
    for there in (tmp_path, tmp_path / "link"):
        with pytest.raises(Conflict):
            paths.new_file(there)
    with pytest.raises(BadConfig):
        paths.new_file(tmp_path / "nodir" / "x")


def test_what_may_be_asked_is_shown_by_the_catalogue_and_said_once(cimfed: Partner) -> None:
    for city in cimfed.world.cities.values():
        city.refusal = "not_granted"
    done = cimfed(*READ)
    assert done.code == 4
    assert done.err.count("cimfed catalog shows what you may ask") == 1
    assert "cimfed catalog shows" in cimfed(*READ, "--where", "hieght > 1").err


def test_a_city_that_is_not_listed_ends_with_3(cimfed: Partner) -> None:
    done = cimfed(*READ, "--city", "kz.almati")
    assert (done.code, "Did you mean kz.almaty?" in done.err) == (3, True)
    assert cimfed(*READ, "--grant", "kz.almati=massing").code == 3
    assert cimfed(*READ, "--require", "4").code == 2


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_catalogue_cuts_nothing_that_must_be_typed(
    cimfed: Partner, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cimfed import console
    from tests.unit.cimfed.cli.test_asking import _catalogue

    for city in cimfed.world.cities.values():
        city.batches = [_catalogue(city.name)]
    monkeypatch.setattr(console.out, "width", width)
    shown = cimfed("catalog", "--format", "table").out
    assert "…" not in shown
    for word in ("cn.qingdao", "uz.tashkent", "massing", "research", "teaching", "building", "(listed only)"):
        assert word in shown
    assert {len(line) for line in shown.splitlines()} <= set(range(width + 1))
