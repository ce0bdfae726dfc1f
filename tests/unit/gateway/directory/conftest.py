"""An alliance that has begun, for each test its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.gateway.directory.alliance import Alliance


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Alliance:
    return Alliance(tmp_path_factory.mktemp("alliance")).begin()


@pytest.fixture
def alliance(begun: Alliance, tmp_path: Path) -> Alliance:
    return begun.copied(tmp_path)
