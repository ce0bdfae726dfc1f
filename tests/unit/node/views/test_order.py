"""Where no geometry is given, the order of rows is the view's own: nothing can be joined by it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.federation.world import City, World, buildings

CITY = "kz.almaty"
ROWS = 400
GRANTS = """
  - {id: names, subject: {org: [inst.a]}, purpose: [research], collection: building, columns: {id: exact}}
  - {id: energy, subject: {org: [inst.b]}, purpose: [research], collection: building, columns: {energy_kwh: exact}}
"""


@pytest.fixture
def city(tmp_path: Path) -> City:
    made = World(tmp_path).add_city(CITY)
    adopt(made)
    made.activate(GRANTS)
    return made


def adopt(city: City, more: int = 0) -> None:
    city.adopt(buildings(CITY, [{"id": f"b{n}", "energy_kwh": Decimal(n)} for n in range(ROWS + more)]))


def numbers(city: City, column: str) -> list[int]:
    """The objects of the view that has this column, in its order."""
    for path in city.home.views.glob("*.parquet"):
        table = pq.read_table(path)
        if column in table.column_names:
            return [int(str(value).removeprefix("b").split(".")[0]) for value in table[column].to_pylist()]
    raise AssertionError(column)


def in_step(one: list[int], other: list[int]) -> int:
    return sum(left == right for left, right in zip(one, other, strict=True))


def test_rows_of_two_grants_cannot_be_laid_side_by_side(city: City) -> None:
    names, energy = numbers(city, "id"), numbers(city, "energy_kwh")
    assert sorted(names) == sorted(energy) == list(range(ROWS))
    assert in_step(names, energy) < 20


def test_rows_cannot_be_followed_from_snapshot_to_snapshot(city: City) -> None:
    before = numbers(city, "energy_kwh")
    adopt(city, more=1)
    after = [number for number in numbers(city, "energy_kwh") if number < ROWS]
    assert in_step(before, after) < 20


def test_the_same_view_has_the_same_order_again(city: City) -> None:
    before = numbers(city, "id")
    for path in city.home.views.iterdir():
        path.unlink()
    city.activate(GRANTS)
    assert numbers(city, "id") == before
