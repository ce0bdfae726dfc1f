"""Files and folders that come whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cimfed.archive.place import arriving_file, arriving_folder
from cimfed.errors import BadConfig, Conflict

KILLED = """
import os, signal, sys
from pathlib import Path
from cimfed.archive.place import arriving_file, arriving_folder
path = Path(sys.argv[1])
if sys.argv[2] == "file":
    with arriving_file(path) as out:
        out.write(b"half")
        out.flush()
        os.kill(os.getpid(), signal.SIGKILL)
with arriving_folder(path) as folder:
    (folder / "sub").mkdir()
    (folder / "sub" / "half").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with arriving_file(path) as out:
        out.write(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def stop(_: int, error: type[BaseException]) -> None:
    raise error


def test_what_is_left_early_leaves_nothing(tmp_path: Path) -> None:
    for error in (KeyboardInterrupt, SystemExit, ValueError):
        with pytest.raises(error), arriving_file(tmp_path / "a") as out:
            stop(out.write(b"half"), error)
        with pytest.raises(error), arriving_folder(tmp_path / "b") as folder:
            stop((folder / "half").write_bytes(b""), error)
    assert not list(tmp_path.iterdir())


def test_nothing_goes_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    for name in ("file", "link", "folder"):
        with pytest.raises(Conflict), arriving_file(tmp_path / name):
            pass
        with pytest.raises(Conflict), arriving_folder(tmp_path / name):
            pass
    with pytest.raises(BadConfig), arriving_file(tmp_path / "none" / "a"):
        pass
    with pytest.raises(Conflict), arriving_file(tmp_path / "late") as out:  # somebody else was faster
        out.write((tmp_path / "late").write_bytes(b"theirs").to_bytes(1, "big"))
    assert (tmp_path / "late").read_bytes() == b"theirs"


def test_an_empty_folder_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with arriving_folder(tmp_path / "a") as folder:
        (folder / "b").write_bytes(b"x")
    assert (tmp_path / "a" / "b").read_bytes() == b"x"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_one_that_was_killed_left_goes_with_the_next(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path), kind], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [left.name for left in tmp_path.iterdir()] == [".a.partial"]
    if kind == "file":
        with arriving_file(path) as out:
            out.write(b"w")
        assert path.read_bytes() == b"w"
    else:
        with arriving_folder(path) as folder:
            (folder / "w").touch()
        assert [at.name for at in path.iterdir()] == ["w"]
    assert os.listdir(tmp_path) == ["a"]


def test_two_do_not_write_one_thing(tmp_path: Path) -> None:
    with arriving_file(tmp_path / "a") as out:
        out.write(b"first")
        with pytest.raises(Conflict, match="being written"), arriving_file(tmp_path / "a"):
            pass
    assert (tmp_path / "a").read_bytes() == b"first"
    with (
        arriving_folder(tmp_path / "b") as folder,
        pytest.raises(Conflict, match="being written"),
        arriving_folder(tmp_path / "b"),
    ):
        pass
    assert not folder.exists()


def test_a_link_in_the_place_of_the_partial_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / ".a.partial").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError), arriving_file(tmp_path / "a"):  # noqa: PT011
        pass
    assert (tmp_path / "victim").read_bytes() == b"mine"
