"""Makes ``scripts/citygen`` importable, as ``scripts/make_city`` itself does, and makes one small city of each kind."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.made import BUILDINGS, CITIES, make, truth_rows

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))


@pytest.fixture(scope="package", params=CITIES)
def city(request: pytest.FixtureRequest) -> str:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="package")
def made_cities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="package")
def sequence(city: str, made_cities: Path) -> Path:
    path = made_cities / f"{city}.city.jsonl"
    return make(path, city, BUILDINGS, "--format", "cityjsonseq", "--truth", made_cities / f"{city}.csv")


@pytest.fixture(scope="package")
def truth(city: str, made_cities: Path, sequence: Path) -> dict[str, dict[str, str]]:
    return truth_rows(made_cities / f"{city}.csv")


@pytest.fixture(scope="package")
def document(city: str, made_cities: Path) -> dict[str, Any]:
    path = make(made_cities / f"{city}.city.json", city, BUILDINGS)
    return json.loads(path.read_bytes())  # type: ignore[no-any-return]
