"""What a join made goes again where nothing came of it, and nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from cimfed.fresh import Fresh

PARTS = ("settings.toml", "keys", "views")


def write(home: Path) -> None:
    (home / "keys").mkdir(parents=True, exist_ok=True)
    (home / "keys" / "own.key").write_text("secret")
    (home / "settings.toml").write_text("")
    (home / "views").mkdir(exist_ok=True)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_home_that_was_not_there_goes_with_the_folders_above_it_that_were_not_there_either(tmp_path: Path) -> None:
    home = tmp_path / "profiles" / "sco"
    fresh = Fresh.made(home, PARTS, lambda: write(home))
    assert (home / "keys" / "own.key").exists()
    fresh.unmake()
    assert everything(tmp_path) == []


def test_what_was_there_before_stays_also_in_the_folders_of_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True)
    (home / "keys" / "steward.pub").write_text("")
    (home / "data").mkdir()
    before = everything(tmp_path)
    Fresh.made(home, PARTS, lambda: write(home)).unmake()
    assert everything(tmp_path) == before


def test_what_somebody_else_puts_there_meanwhile_stays(tmp_path: Path) -> None:
    home = tmp_path / "home"
    fresh = Fresh.made(home, PARTS, lambda: write(home))
    (home / "notes.txt").write_text("")
    fresh.unmake()
    assert everything(tmp_path) == ["home", "home/notes.txt"]


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("")
    home = tmp_path / "home"

    def make() -> None:
        home.mkdir()
        (home / "views").symlink_to(tmp_path / "elsewhere")

    Fresh.made(home, PARTS, make).unmake()
    assert everything(tmp_path) == ["elsewhere", "elsewhere/file"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_what_breaks_off_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def half() -> None:
        write(tmp_path / "home")
        raise error

    with pytest.raises(error):
        Fresh.made(tmp_path / "home", PARTS, half)
    assert everything(tmp_path) == []
