"""The tests' own PostgreSQL is what they think it is."""

from __future__ import annotations

import psycopg
import pytest

from tests.postgres import Database


def test_it_has_postgis_and_its_owner_is_no_superuser(database: Database) -> None:
    with database.connect() as connection:
        found = connection.execute(
            "SELECT postgis_lib_version(), current_setting('is_superuser'), current_setting('server_encoding')"
        ).fetchone()
    assert found is not None
    assert int(found[0].split(".")[0]) >= 3
    assert found[1:] == ("off", "UTF8")


def test_a_wrong_password_is_refused(database: Database) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(database.url_of(database.name, "wrong"))
