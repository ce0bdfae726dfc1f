"""Runs ``scripts/make_city`` and reads what it wrote with json and csv alone."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "make_city"
BUILDINGS = 600  # in the cities that tests share
CITIES = ("cn.qingdao", "kz.almaty", "uz.tashkent")


def run(*arguments: object, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


def make(out: Path, city: str, buildings: int, *options: object) -> Path:
    done = run(city, "--buildings", buildings, "--out", out, *options)
    assert done.returncode == 0, done.stderr
    return out


def city_features(path: Path) -> Iterator[tuple[str, dict[str, Any], list[list[int]]]]:
    """Identifier, object and vertices of each building of a CityJSONSeq file."""
    with path.open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            feature = json.loads(line)
            assert feature["type"] == "CityJSONFeature"
            assert list(feature["CityObjects"]) == [feature["id"]]
            yield feature["id"], feature["CityObjects"][feature["id"]], feature["vertices"]


def truth_rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def indices(boundaries: Any) -> Iterator[int]:
    if isinstance(boundaries, int):
        yield boundaries
    else:
        for part in boundaries:
            yield from indices(part)


def header(sequence: Path) -> dict[str, Any]:
    with sequence.open(encoding="utf-8") as lines:
        return json.loads(next(lines))  # type: ignore[no-any-return]
