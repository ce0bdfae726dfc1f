"""Node and gateway need as much memory for a million rows as for a hundred thousand, however slow the reader."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import cimfed
from alliance import GATEWAY, Alliance, City, running
from scenarios import EXTENTS, policy

PARTNER = "inst.tsinghua"
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SLACK = 64 * 1024  # KiB
GRANT = """\
  - id: everything
    subject: {org: [inst.tsinghua]}
    purpose: [research]
    collection: building
    columns: {id: exact, function: exact, height: exact}
    geometry: {max_lod: 1}
"""


def peak(pid: int) -> int:
    """The process's highest resident set, KiB (proc(5), VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


def peaks_of(folder: Path, buildings: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Peaks of node and gateway after a brisk reader and one of a fifth of its speed have had all rows of a city."""
    name = "kz.almaty"
    with contextlib.closing(Alliance(folder)) as alliance:
        alliance.found()
        file = folder / "city.jsonl"
        command = [str(SCRIPTS / "make_city"), name, "--buildings", str(buildings), "--format", "cityjsonseq"]
        subprocess.run([sys.executable, *command, "--out", str(file)], check=True, stdout=subprocess.DEVNULL)
        mapping = ("--mapping", str(SCRIPTS / f"mappings/{name}.yaml"))
        alliance.join(
            City(
                name,
                ((str(file), "--collection", "building", *mapping),),
                policy(name, {"building": EXTENTS[name]}, GRANT),
            )
        )
        alliance.admit(PARTNER, "CN", "researcher")
        for key, value in alliance.environment(PARTNER).items():
            monkeypatch.setenv(key, value)
        with running(alliance, [name, GATEWAY]), cimfed.connect("sco") as fed:
            begun = time.monotonic()
            assert sum(batch.num_rows for batch in fed.read("building", purpose="research", require="all")) == buildings
            briskly = time.monotonic() - begun
            begun, rows, never = time.monotonic(), 0, threading.Event()
            for batch in fed.read("building", purpose="research", require="all"):
                rows += batch.num_rows
                never.wait(4 * briskly * batch.num_rows / buildings)
            assert rows == buildings
            assert time.monotonic() - begun > 4 * briskly  # servers could have run far ahead of this reader
            return {who: peak(process.pid) for who, process in alliance.servers.items()}


@pytest.mark.full
def test_memory_stays_flat_from_a_hundred_thousand_to_a_million(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = peaks_of(tmp_path / "small", 100_000, monkeypatch)
    large = peaks_of(tmp_path / "large", 1_000_000, monkeypatch)
    growth = {who: large[who] - small[who] for who in small}
    print(f"peaks KiB: {small} at 100,000, {large} at 1,000,000")
    assert all(more <= SLACK for more in growth.values()), growth
