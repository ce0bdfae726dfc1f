"""Where commands write: looked at before anything is asked, and nothing is lost that was there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cimfed import paths
from cimfed.errors import BadConfig, Conflict
from tests.unit.cimfed.cli.test_asking import READ, Partner, cimfed
from tests.unit.cimfed.client.world import line_of

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


def test_rows_and_receipt_go_to_two_files_and_links_lead_somewhere(cimfed: Partner) -> None:
    cimfed.line = line_of(cimfed.world)
    assert cimfed(*READ, "-o", "a.csv", "--receipt", "a.csv").code == 2
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
