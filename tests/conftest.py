"""What all tests share: the long rounds are run only when asked for; no property test fails for a slow machine; the
signature of DuckDB's extension is checked where that is what is tested."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cimfed_node.stores.duckdb import engine
from tests.attack.broken.printed import show
from tests.postgres import Cluster, Database, running
from tests.tokens import Soft, soft

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
sys.path.insert(0, str(SCRIPTS))  # alliance, scenarios, citygen


settings.register_profile("cimfed", deadline=None)
settings.load_profile("cimfed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the long rounds too")
    parser.addoption("--broken-table", action="store_true", help="print what comes of each kind of broken input")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Here, since the process that prints has not collected a test where several run them."""
    if terminalreporter.config.getoption("--broken-table"):
        show(terminalreporter)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    long = [item for item in items if item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session", autouse=True)
def _unchecked() -> Iterator[None]:
    """Views are built a thousand times in this process; each check reads 80 MB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(engine._SPATIAL, "allow_unsigned_extensions", "true")
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL with PostGIS. Its folder is not pytest's, which no other user may enter."""
    with tempfile.TemporaryDirectory(prefix="cimfed-postgres-") as folder:
        Path(folder).chmod(0o755)
        with running(Path(folder) / "cluster") as cluster:
            yield cluster


@pytest.fixture
def database(postgres: Cluster) -> Database:
    """A new database."""
    return postgres.database()


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Soft]:
    """A token with nothing on it."""
    with soft(tmp_path / "softhsm", monkeypatch) as made:
        yield made
