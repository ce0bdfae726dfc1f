"""The README's tours work as they stand, beside an alliance like that of `scripts/demo --keep`."""

from __future__ import annotations

import contextlib
import os
import re
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
QUESTION = "```sh\ncimfed read building --city kg.osh -p id --purpose research\n```\n"


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
        a_city_joins_in_eight_commands(alliance, folder / "osh", environment)
    assert {path.name for path in folder.iterdir()} >= {
        "schools.gpkg",
        "answer.receipt",
        "towers.receipt",
        "mapping.yaml",
    }


def a_city_joins_in_eight_commands(alliance: Alliance, folder: Path, environment: dict[str, str]) -> None:
    """Those that the operators' tour names, and no other; with the tour's policy and buildings, under another name."""
    page = (ROOT / "README.md").read_text("utf-8").replace("bishkek", "osh")
    commands = re.findall(r"^    (?:administrator|steward|operator) +(cimfed.*)$", page, re.MULTILINE)
    assert len(commands) == 8
    folder.mkdir()
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text, "utf-8")
    alone = {"member invite": "TOKEN=$({} --yes)", "new-key": "{} --no-passphrase", "approve": "{} --yes"}
    with shell(folder, environment) as at:
        for line in (*alliance.exports(PARTNER).splitlines(), "export CIMFED_NODE_HOME=$PWD/osh"):
            assert at.run(line)[0] == 0
        for command in commands[:-1]:
            typed = next((form.format(command) for word, form in alone.items() if word in command), command)
            code, printed = at.run(typed)
            assert code == 0, printed
        at.serve(commands[-1])
        assert "│ kg.osh │ answered │    2 │" in take(blocks(QUESTION), at)
