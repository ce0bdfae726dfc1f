"""A disk that is full, really, and a budget: one error that says what to do, and nothing half done."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cimfed.errors import BadConfig, CimfedError, NoRoom
from cimfed.rpc.settings import settings_of
from cimfed.trust.tlog.entries import Act
from cimfed_node.config import Disk, Settings
from cimfed_node.erase import erase, find
from cimfed_node.ingest.snapshot import ERASING, read_snapshot
from cimfed_node.room import Room, written_below
from cimfed_node.tables.publication import current_snapshots, views
from tests.federation.test_crashes import Crashes
from tests.federation.world import City, World, write_snapshot
from tests.lacking import lacking

READ = """
  - {id: read, subject: {country: [CN]}, purpose: [research], collection: observation, columns: {id: exact}}
"""
MIB = 2**20
Said = Callable[..., str]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", place], capture_output=True, check=False)
    if made.returncode:
        lacking("leave to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def city(disk: Path) -> City:
    return World(disk).add_city("uz.tashkent")


def readings(path: Path, rows: int, day: int = 1) -> str:
    """Texts that no compression makes small."""
    drawn = random.Random(rows)
    lines = (
        f"{drawn.randbytes(8).hex()},2026-01-0{day}T00:00:00Z,{drawn.randrange(10**9)},{drawn.randbytes(8).hex()}\n"
        for _ in range(rows)
    )
    path.write_text("sensor,time,value,unit\n" + "".join(lines))
    return str(path)


def state(city: City) -> Any:
    """What is in force, and every file of the home but the database's own."""
    with city.control() as control, control.reading() as connection:
        current = {name: entry.id for name, entry in current_snapshots(connection).items()}
        standing = set(views(connection, city.home.place))
    files = {
        str(p): p.stat().st_size for p in city.home.path.rglob("*") if p.is_file() and p.parent != city.home.control
    }
    return current, standing, files


@pytest.fixture
def unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIMFED_NODE_DISK", '{"keep_free": 0}')


IMPORT = ("--collection", "observation")


def test_a_full_disk_stops_an_import_and_leaves_nothing(
    city: City,
    said: Said,
    tmp_path: Path,
    unbounded: None,
) -> None:
    said("import", readings(tmp_path / "small.csv", 100), *IMPORT)
    city.activate(READ)
    before = state(city)
    large = readings(tmp_path / "large.csv", 60_000)
    for more in ((), ("--update",), ("--append",)):
        went = said("import", large, *IMPORT, *more, expect=7)
        assert "no_room: the disk is full; nothing of this is in force" in went
        assert "snapshots prune" in went
        assert state(city) == before
        Crashes.no_orphans(city)
    said("import", readings(tmp_path / "other.csv", 200, day=2), *IMPORT, "--append")


def test_what_must_stay_free_stays_free(
    city: City,
    said: Said,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "67,108,864 must stay" not in said("snapshots", "list")
    went = said("import", readings(tmp_path / "small.csv", 100), *IMPORT, expect=7)
    assert "64.0 MiB must stay free" in went  # the default is more than this disk has
    monkeypatch.setenv("CIMFED_NODE_DISK", '{"keep_free": "4 MiB"}')
    before = state(city)
    went = said("import", readings(tmp_path / "large.csv", 60_000), *IMPORT, expect=7)
    assert "4.0 MiB must stay free" in went
    assert state(city) == before
    assert os.statvfs(city.home.path).f_bavail * os.statvfs(city.home.path).f_frsize > 4 * MIB
    said("import", str(tmp_path / "small.csv"), *IMPORT)


def fill(place: Path) -> Path:
    """A file that takes what is left."""
    path = place / "ballast"
    with path.open("wb", buffering=0) as file:
        for _ in iter(lambda: os.statvfs(place).f_bavail, 0):
            file.write(bytes(os.statvfs(place).f_frsize))
    return path


def test_a_disk_that_is_full_when_views_are_built_leaves_what_was_in_force(
    city: City,
    said: Said,
    disk: Path,
    tmp_path: Path,
    unbounded: None,
) -> None:
    said("import", readings(tmp_path / "small.csv", 100), *IMPORT)
    city.activate(READ)
    with city.control() as control, control.reading() as connection:
        current = read_snapshot(city.home.snapshots / current_snapshots(connection)["observation"].id)
    other = write_snapshot(city.home, pq.read_table(current.path).slice(0, 50), "observation")
    before = state(city)
    with city.control() as control, pytest.raises(CimfedError) as caught:
        city.publisher(control).adopt(other, lambda *_: fill(disk).exists() or None)
    (disk / "ballast").unlink()
    assert isinstance(caught.value, NoRoom)
    assert state(city) == before
    with city.control() as control:
        city.publisher(control).adopt(other)
    assert state(city)[0] == {"observation": other.id}


def test_an_erasure_on_a_full_disk_is_not_begun(
    city: City,
    said: Said,
    disk: Path,
    tmp_path: Path,
    unbounded: None,
) -> None:
    path = tmp_path / "named.csv"
    path.write_text("id,time,value\na,2026-01-01T00:00Z,1\nb,2026-01-01T00:00Z,1\n")
    said("import", str(path), *IMPORT)
    before = state(city)
    with city.control() as control, city.publisher(control).alone():
        wanted = find(city.home, "observation", ["a"])
    with city.control() as control:
        publishing, act = city.publisher(control), Act(0, "erase", "op", "observation", objects=1)
        publishing.tidy()
        ballast = fill(disk)
        with pytest.raises(NoRoom):
            erase(city.home, publishing, wanted, act)
    ballast.unlink()
    assert not (city.home.snapshots / ERASING).exists()
    assert state(city) == before
    said("snapshots", "erase", *IMPORT, "--id", "a", "--reason", "law", "--yes")


def test_a_budget_is_told_and_kept(
    city: City,
    said: Said,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CIMFED_NODE_DISK", '{"keep_free": 0, "budget": "3 MiB"}')
    said("import", readings(tmp_path / "small.csv", 100), *IMPORT)
    before = state(city)
    went = said("import", readings(tmp_path / "large.csv", 60_000), *IMPORT, expect=7)
    assert "the budget is 3.0 MiB" in went  # before it begins
    went = said("import", readings(tmp_path / "middle.csv", 12_000), *IMPORT, expect=7)
    assert "about 0 bytes more are needed" in went  # while it writes
    assert state(city) == before
    told = json.loads(said("snapshots", "list", "--json"))["disk"]
    assert (told["budget"], told["keep_free"]) == (3 * MIB, 0)
    files = [path for path in city.home.path.rglob("*") if path.is_file()]
    own = [path for path in files if path.parts[len(city.home.path.parts)] in ("snapshots", "views", "scratch")]
    assert told["used"] == sum(path.stat().st_size for path in own)
    assert "of a budget of 3,145,728" in said("snapshots", "list")


@pytest.mark.parametrize(
    ("text", "size"), [("20 GiB", 20 * 2**30), ("1.5MiB", 3 * 2**19), (2**21, 2**21), ("2097152", 2**21)]
)
def test_sizes_are_written_with_units(text: Any, size: int) -> None:
    assert Disk(budget=text).budget == size


@pytest.mark.parametrize("text", ["20 GB", "lots", "-1", "1 KiB", -5, "1e9", ""])
def test_what_is_no_size_is_refused(text: Any) -> None:
    values = {
        "city": "uz.tashkent", "federation": "alliance", "address": "127.0.0.1:1", "listen": "127.0.0.1:1",
        "steward_keys": ["x"], "disk": {"budget": text},
    }  # fmt: skip
    with pytest.raises(BadConfig, match=r"disk\.budget"):
        settings_of(Settings, values, "--")


def test_room_counts_links_once_and_says_what_is_lacking(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "d").write_bytes(bytes(10))
    assert written_below([tmp_path]) == 1010
    room = Room(tmp_path, 1010, budget=2000)
    room.need(990)
    with pytest.raises(NoRoom, match="budget"):
        room.need(991)
    room.took(990)
    with pytest.raises(NoRoom, match="budget"):
        room.took(1)
    with pytest.raises(NoRoom, match="must stay free"):
        Room(tmp_path, keep_free=2**60).need(0)
    Room().took(2**60)
