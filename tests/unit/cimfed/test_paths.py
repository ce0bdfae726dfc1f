"""Where a command may write, before anything is asked or made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cimfed import paths
from cimfed.errors import BadConfig, Conflict


def test_a_file_in_a_folder_of_ones_own_may_be_made_or_replaced(tmp_path: Path) -> None:
    paths.new_file(tmp_path / "a")
    (tmp_path / "a").touch()
    assert paths.replaceable(tmp_path / "a") == tmp_path / "a"
    with pytest.raises(Conflict, match="already exists"):
        paths.new_file(tmp_path / "a")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="there is no folder"):
        paths.replaceable(tmp_path / "none" / "a")


def test_a_folder_in_which_nothing_can_be_made_is_named_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def access(path: Path, mode: int) -> bool:
        """As for another than root, who may do everything."""
        return not mode & os.W_OK or path != tmp_path

    monkeypatch.setattr(os, "access", access)
    for look in (paths.new_file, paths.replaceable, paths.new_folder):
        with pytest.raises(BadConfig, match="no file can be made in") as caught:
            look(tmp_path / "a")
        assert str(tmp_path) in caught.value.message
