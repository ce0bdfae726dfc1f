"""A log in a database of its own, and what it is checked by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import SQLModel

from cimfed.tlog import log
from cimfed.tlog.database import Database, engine_of
from cimfed.tlog.schema import TABLES


def make(path: Path) -> Database:
    engine = engine_of(path)
    with engine.begin() as connection:
        SQLModel.metadata.create_all(connection, tables=TABLES)
        log.create(connection)
    return Database(engine)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = make(tmp_path / "log.sqlite")
    yield made
    made.close()
