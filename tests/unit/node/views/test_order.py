"""The order of rows and the cuts between batches are the view's own: nothing can be joined or told by them."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cimfed.model.limits import MIB
from cimfed.policy.decide import shapes
from cimfed.policy.meet import canonical, shape_hash
from cimfed_node.policies import read_policy
from cimfed_node.tables.publication import active_grants, views
from tests.federation.world import City, World, buildings

CITY = "kz.almaty"
ROWS = 400
GRANTS = """
  - {id: names, subject: {org: [inst.a]}, purpose: [research], collection: building, columns: {id: exact}}
  - {id: energy, subject: {org: [inst.b]}, purpose: [research], collection: building, columns: {energy_kwh: exact}}
"""


@pytest.fixture
def city(tmp_path: Path) -> City:
    made = add_city(tmp_path)
    adopt(made)
    made.activate(GRANTS)
    return made


def add_city(folder: Path) -> City:
    folder.mkdir(exist_ok=True)
    return World(folder).add_city(CITY)


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


PLACED = """
  - {id: names, subject: {org: [inst.a]}, purpose: [research], collection: building, columns: {id: exact},
     geometry: {max_lod: 0}}
  - {id: energy, subject: {org: [inst.b]}, purpose: [research], collection: building, columns: {energy_kwh: exact},
     geometry: {max_lod: 0}}
"""


@pytest.mark.parametrize("at", [None, (76.9, 43.2)], ids=["without a place", "all at one place"])
def test_rows_of_two_grants_that_show_no_place_of_their_own_cannot_be_laid_side_by_side(
    tmp_path: Path, at: tuple[float, float] | None
) -> None:
    city = add_city(tmp_path)
    rows = [{"id": f"b{n}", "energy_kwh": Decimal(n), "at": at} for n in range(ROWS)]
    elsewhere = {"id": f"b{ROWS}", "energy_kwh": Decimal(ROWS), "at": (76.8, 43.2)}
    city.adopt(buildings(CITY, [*rows, elsewhere]))
    city.activate(PLACED)
    names, energy = numbers(city, "id"), numbers(city, "energy_kwh")
    assert names[0] == energy[0] == ROWS  # it has a place of its own, and comes first
    assert sorted(names) == sorted(energy) == list(range(ROWS + 1))
    assert in_step(names, energy) < 20
    assert in_step(names, sorted(names)) < 20  # nor does the order of the source show


def test_a_hidden_neighbour_does_not_move_a_row(tmp_path: Path) -> None:
    """A row that shares its place only with rows that the view does not have stands where it would without them."""
    grant = """
  - {id: low, subject: {org: [inst.a]}, purpose: [research], collection: building, columns: {id: exact},
     rows: "height < 100", geometry: {max_lod: 0}}
"""
    orders = []
    for hidden in (False, True):
        city = add_city(tmp_path / str(hidden))
        rows = [{"id": f"b{n}", "height": Decimal(5), "at": (76.9 + n / 100, 43.2)} for n in range(20)]
        if hidden:
            rows.insert(3, {"id": "secret", "height": Decimal(500), "at": (76.92, 43.2)})
        city.adopt(buildings(CITY, rows))
        city.activate(grant)
        orders.append(numbers(city, "id"))
    assert orders[0] == orders[1] == list(range(20))


def groups(city: City) -> list[int]:
    (path,) = city.home.views.glob("*.parquet")
    footer = pq.read_metadata(path)
    return [footer.row_group(at).num_rows for at in range(footer.num_row_groups)]


def test_hidden_values_and_hidden_rows_do_not_move_the_cuts(tmp_path: Path) -> None:
    """They come from what the view shows: the same whether a masked column is long, or rows that drop are."""
    grant = """
  - {id: massing, subject: {org: [inst.a]}, purpose: [research], collection: building,
     columns: {id: exact, ext: "null"}, rows: "height < 8000"}
"""
    cuts = []
    for name, text, hidden in (("plain", "x", 0), ("long", "x" * 3000, 0), ("beside", "x", 300)):
        city = add_city(tmp_path / name)
        rows = [{"height": Decimal(n), "ext": f'"{text}"'} for n in range(8000)]
        rows += [{"height": Decimal(9000), "ext": f'"{"y" * 50_000}"'} for _ in range(hidden)]
        city.adopt(buildings(CITY, rows))
        city.activate(grant)
        cuts.append(groups(city))
    assert cuts[0] == cuts[1] == cuts[2]


def test_long_values_that_are_shown_make_small_row_groups(tmp_path: Path) -> None:
    city = add_city(tmp_path)
    city.adopt(buildings(CITY, [{"ext": f'"{n:06}{"x" * 3000}"'} for n in range(12_000)]))
    city.activate(
        "  - {id: all, subject: {org: [inst.a]}, purpose: [research], collection: building, columns: {ext: exact}}"
    )
    assert max(groups(city)) * 3000 < 16 * MIB
    (path,) = city.home.views.glob("*.parquet")
    assert len(set(pq.read_table(path)["ext"].to_pylist())) == 12_000


def test_names_that_leave_the_node_confirm_no_guess(tmp_path: Path) -> None:
    """Who guesses all that went into a shape, a view or a snapshot cannot try the guess against its name."""
    shown = []
    for at in range(2):
        city = add_city(tmp_path / str(at))  # the same data and the same grants in two homes
        snapshot = city.adopt(buildings(CITY, [{"height": Decimal(5)}]))
        content = city.sign(GRANTS)
        city.put_in_force(content)
        policy = read_policy(content, city.name, (city.steward.public,), "").policy
        shape = dict(shapes(policy))["names"]
        with city.control() as control, control.reading() as connection:
            (grant,) = (found for found in active_grants(connection) if found.grant == "names")
            view = views(connection, city.home.place)[grant.view]
        assert snapshot.id not in (view.id, view.snapshot)
        assert grant.shape_hash not in (shape_hash(shape), hashlib.sha256(canonical(shape)).digest())
        shown.append((view.id, view.snapshot))
    assert shown[0][0] != shown[1][0]
    assert shown[0][1] != shown[1][1]
