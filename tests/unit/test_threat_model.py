"""Every threat and every thief of docs/threat-model.md has a test, and every test that is named is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(?:([a-z0-9_/]+\.py))?(?:::(\w+))?`")
SECTION, THREAT, THIEF = "| **", "| Threat", "| Stolen"


def named() -> list[tuple[str, str]]:
    """(file, test); a name without a file is in the one named before it, in the same row."""
    found = []
    for line in (ROOT / "docs" / "threat-model.md").read_text("utf-8").splitlines():
        if not line.startswith("|"):
            continue
        file = ""
        for in_file, name in NAMED.findall(line.rsplit("|", 2)[1]):
            file = in_file or file
            if file and (in_file or name):
                found.append((file, name))
    return found


@pytest.mark.parametrize(("file", "name"), sorted(set(named())))
def test_the_test_is_there(file: str, name: str) -> None:
    text = (ROOT / "tests" / file).read_text("utf-8")
    assert re.search(rf"def {name}\(", text) if name else "def test_" in text


def test_every_threat_and_every_thief_names_one() -> None:
    lines = (ROOT / "docs" / "threat-model.md").read_text("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith((SECTION, THREAT, THIEF))]
    assert len(rows) > 90
    for row in rows:
        *said, test = (cell.strip() for cell in row.strip("|").split(" | "))
        assert len(said) == 3, row
        assert all(said), row
        assert all(NAMED.fullmatch(word) for word in test.split(", ")), row
        assert ".py" in test.split(", ")[0], row
