"""`docs/doctor.md` has every finding."""

from __future__ import annotations

import re
from pathlib import Path

from cimfed.doctor.finding import Code

ROOT = Path(__file__).resolve().parents[2]


def test_every_code_is_used_and_documented_once() -> None:
    sources = [*ROOT.glob("cimfed/**/*.py"), *ROOT.glob("node/**/*.py"), *ROOT.glob("gateway/**/*.py")]
    used = {name for path in sources for name in re.findall(r"\bCode\.([A-Z_]{2,})\b", path.read_text("utf-8"))}
    assert used == set(Code.__members__)
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "doctor.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(Code)
