"""Every test that docs/threat-model.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(?:([a-z_/]+\.py))?(?:::(\w+))?`")


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


def test_every_threat_names_one() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "threat-model.md").read_text("utf-8").split("## What a thief gets")[0].splitlines()
        if line.startswith("| ") and "---" not in line and not line.startswith(("| Threat", "| **"))
    ]
    assert len(rows) > 40
    assert all(".py" in row for row in rows)
