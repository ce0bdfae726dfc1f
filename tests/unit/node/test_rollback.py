"""The service writes the control tables: that must not bring an older, wider policy back."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cimfed.errors import BadConfig, Conflict
from tests.federation.world import City, World, buildings

CITY = "kz.almaty"
GRANT = """
  - {id: all, subject: {org: [inst.a]}, purpose: [research], collection: building, columns: {id: exact%s}}
"""
ROWS = buildings(CITY, [{"height": Decimal(5)}])


@pytest.fixture
def city(tmp_path: Path) -> City:
    """A city whose second policy gives less than its first, and whose tables name the first."""
    made = World(tmp_path).add_city(CITY)
    made.adopt(ROWS)
    made.activate(GRANT % ", height: exact")
    made.activate(GRANT % "")
    with made.control() as control, control.writing() as transaction:
        transaction.exec_driver_sql("UPDATE policy SET active = (version = 1)")
    return made


def columns(city: City) -> list[list[str]]:
    return [pq.read_schema(path).names for path in city.home.views.glob("*.parquet")]


def test_an_import_builds_no_views_of_an_older_policy(city: City) -> None:
    with pytest.raises(Conflict, match="version 2"):
        city.adopt(ROWS)
    assert columns(city) == [["city", "id"]]


def test_an_older_policy_is_not_activated_whatever_the_tables_say(city: City) -> None:
    with city.control() as control, control.writing() as transaction:
        transaction.exec_driver_sql("DELETE FROM policy WHERE version = 2")
    for version in (1, 2):
        with pytest.raises(Conflict):
            city.put_in_force(city.sign(GRANT % ", height: exact", version=version))
    with pytest.raises(Conflict):
        city.put_in_force((city.home.policies / "1.policy.json").read_bytes())
    assert columns(city) == [["city", "id"]]


def test_a_newer_policy_sets_it_right(city: City) -> None:
    assert city.activate(GRANT % ", function: exact", version=3).version == 3
    city.adopt(ROWS)
    assert columns(city) == [["city", "id", "function"]]


def test_a_damaged_record_builds_nothing(city: City) -> None:
    city.home.policy_record.write_text("many")
    with pytest.raises(BadConfig):
        city.adopt(ROWS)
