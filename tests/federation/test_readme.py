"""The README's tours work as they stand, beside an alliance like that of `scripts/demo --keep`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from alliance import GATEWAY, Alliance, running
from scenarios import BUILDINGS, generated
from tests.federation.commands import Commands
from tests.federation.tours import Block, blocks, shell, take

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
PARTNER = "inst.tsinghua"


@pytest.fixture
def alliance(tmp_path: Path) -> Iterator[Alliance]:
    """Three cities, as the demo makes them."""
    with contextlib.closing(Commands(tmp_path / "alliance")) as made:
        found(made)
        yield made


def found(made: Alliance) -> None:
    made.found()
    for city, count in BUILDINGS.items():
        command = [str(SCRIPTS / "make_city"), city, "--buildings", str(count), "--format", "cityjsonseq"]
        file = made.folder / f"{city}.city.jsonl"
        subprocess.run([sys.executable, *command, "--out", str(file)], check=True, stdout=subprocess.DEVNULL)
    for member in generated(made.folder, SCRIPTS / "mappings"):
        made.join(member)
    made.admit(PARTNER, "CN", "researcher")


def tours() -> list[Block]:
    page = (ROOT / "README.md").read_text("utf-8")
    first = page.count("\n", 0, page.index("## Tours"))
    return [block for block in blocks(page) if block.line > first]


def test_the_tours_of_the_readme_run(alliance: Alliance, tmp_path: Path) -> None:
    folder = tmp_path / "tours"
    folder.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    with running(alliance, [*BUILDINGS, GATEWAY]), shell(folder, environment) as at:
        for line in alliance.exports(PARTNER).splitlines():
            assert at.run(line)[0] == 0
        take(tours(), at)
    assert {path.name for path in folder.iterdir()} >= {
        "schools.gpkg",
        "answer.receipt",
        "towers.receipt",
        "mapping.yaml",
    }
