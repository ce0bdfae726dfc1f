"""The way back to an earlier snapshot, and the end of those that nobody needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cimfed.errors import BadConfig, BadFile, Conflict, NotFound
from cimfed_node import snapshots
from cimfed_node.activate import Publisher
from cimfed_node.ingest.snapshot import REMOVED, Snapshot
from cimfed_node.operate import clear_away
from cimfed_node.snapshots import Held, earlier, held_snapshots, named, prunable, prune, roll_back, since_current
from cimfed_node.tables import Control
from cimfed_node.tables.admissions import take_slot
from cimfed_node.tables.publication import current_snapshots, known_snapshots
from tests.federation.world import SECOND, City, World, buildings, write_snapshot

CITY = "kz.almaty"
GRANTS = """
  - id: massing
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact}
"""


@pytest.fixture
def city(tmp_path: Path) -> City:
    return World(tmp_path).add_city(CITY)


def rows(count: int) -> pa.Table:
    return buildings(CITY, [{"height": Decimal(number)} for number in range(count)])


def adopted(city: City, *counts: int) -> list[Snapshot]:
    """Snapshots of so many rows, one imported a second after the other."""
    made = []
    for count in counts:
        city.world.clock.offset += SECOND
        made.append(city.adopt(rows(count)))
    return made


@contextmanager
def operating(city: City) -> Iterator[tuple[Control, Publisher]]:
    with city.control() as control:
        yield control, city.publisher(control)


def held(city: City) -> list[Held]:
    with city.control() as control:
        return held_snapshots(city.home, control, city.world.clock())


def back(city: City, wanted: str | None = None) -> Held:
    chosen = earlier(held(city), "building", wanted)
    with operating(city) as (control, publishing):
        roll_back(control, publishing, chosen)
    return chosen


def pruned(city: City, keep: int = 1) -> list[str]:
    with operating(city) as (control, publishing):
        chosen = prunable(held(city), keep)
        prune(control, publishing, chosen)
    return [item.id for item in chosen]


def answered(city: City) -> list[Any]:
    """What the one view that stands gives."""
    (path,) = city.home.views.glob("*.parquet")
    return sorted(pq.read_table(path)["height"].to_pylist())


def on_disk(city: City) -> set[str]:
    return {path.name for path in city.home.snapshots.iterdir()}


def test_the_list_says_what_is_current_and_what_stands_on_it(city: City) -> None:
    first, second = adopted(city, 3, 2)
    city.activate(GRANTS)
    never = write_snapshot(city.home, rows(1))
    by_id = {item.id: item for item in held(city)}
    assert set(by_id) == {first.id, second.id, never.id}
    assert [by_id[item.id].current for item in (first, second, never)] == [False, True, False]
    assert [by_id[item.id].rows for item in (first, second, never)] == [3, 2, 1]
    assert by_id[never.id].imported is None
    assert [view.grants for view in by_id[second.id].views] == [("massing",)]
    assert by_id[second.id].views[0].id == next(city.home.views.glob("*.parquet")).stem
    assert not by_id[first.id].views
    assert by_id[first.id].size == sum(path.stat().st_size for path in first.folder.iterdir())


def test_the_details_say_which_file_is_not_what_it_was(city: City) -> None:
    (snapshot,) = adopted(city, 3)
    (found,) = held(city)
    shown = snapshots.details(found)
    content = snapshot.path.read_bytes()
    assert shown.files == (("building.parquet", len(content), hashlib.sha256(content).hexdigest(), "verified"),)
    snapshot.path.write_bytes(content[:-1] + b"!")
    assert [state for *_, state in snapshots.details(found).files] == ["changed"]
    snapshot.path.unlink()
    assert [state for *_, state in snapshots.details(found).files] == ["missing"]
    assert not snapshots.details(found).verified


def test_back_step_by_step_with_the_views(city: City) -> None:
    adopted(city, 3, 2, 1)
    city.activate(GRANTS)
    assert answered(city) == [0]
    back(city)
    assert answered(city) == [0, 1]
    back(city)
    assert answered(city) == [0, 1, 2]
    with pytest.raises(NotFound, match="no earlier"):
        back(city)
    assert answered(city) == [0, 1, 2]


def test_forth_again_by_name_and_not_to_what_is_current(city: City) -> None:
    first, second = adopted(city, 3, 2)
    back(city, first.id[:10])
    with pytest.raises(Conflict, match="current already"):
        back(city, first.id)
    times = {item.id: item.imported for item in held(city)}
    assert back(city, second.id).id == second.id
    assert {item.id: item.imported for item in held(city)} == times  # a way back is no import


@pytest.mark.parametrize("damage", ["changed", "missing", "inventory"])
def test_no_way_back_to_damaged_files(city: City, damage: str) -> None:
    first, second = adopted(city, 3, 2)
    city.activate(GRANTS)
    if damage == "missing":
        first.path.unlink()
    else:
        path = first.path if damage == "changed" else first.folder / "inventory.json"
        content = path.read_bytes()
        path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    with pytest.raises(BadFile):
        back(city)
    assert answered(city) == [0, 1]
    assert [item.id for item in held(city) if item.current] == [second.id]


def test_importing_the_same_again_mends_damaged_files(city: City) -> None:
    first, _ = adopted(city, 3, 2)
    content = first.path.read_bytes()
    first.path.write_bytes(b"")
    write_snapshot(city.home, rows(3))
    assert first.path.read_bytes() == content
    assert back(city).id == first.id


def test_prune_keeps_the_current_one_and_the_newest_others(city: City) -> None:
    made = adopted(city, 1, 2, 3, 4, 5)
    back(city, made[1].id)
    write_snapshot(city.home, rows(6))  # never in force: not worth keeping
    pruned(city, keep=2)
    assert on_disk(city) == {made[1].id, made[4].id, made[3].id}
    pruned(city, keep=0)
    assert on_disk(city) == {made[1].id}
    assert pruned(city, keep=0) == []
    with city.control() as control, control.reading() as connection:
        assert set(known_snapshots(connection)) == {made[1].id}


def test_prune_counts_each_collection_by_itself(city: City) -> None:
    adopted(city, 1, 2)
    for count in (1, 2):
        city.world.clock.offset += SECOND
        city.adopt(pa.table({"city": [CITY] * count, "id": [f"f{number}" for number in range(count)]}), "facility")
    assert pruned(city, keep=1) == []
    assert len(pruned(city, keep=0)) == 2


def test_prune_leaves_what_a_running_answer_reads(city: City) -> None:
    adopted(city, 1)
    city.activate(GRANTS)
    view = next(city.home.views.glob("*.parquet")).stem
    with city.control() as control, control.writing() as connection:
        take_slot(connection, 1, "inst.x", view, city.world.clock() + 60 * SECOND)
    adopted(city, 2)
    assert pruned(city, keep=0) == []
    assert len(list(city.home.views.glob("*.parquet"))) == 2
    city.world.clock.offset += 61 * SECOND
    assert len(pruned(city, keep=0)) == 1
    assert answered(city) == [0, 1]


def test_a_damaged_snapshot_is_listed_and_goes_unless_it_is_current(city: City) -> None:
    first, second = adopted(city, 1, 2)
    for snapshot in (first, second):
        (snapshot.folder / "inventory.json").write_text("{}")
    assert [(item.id, item.readable, item.rows) for item in held(city)] == [(second.id, False, 2), (first.id, False, 1)]
    assert pruned(city, keep=5) == [first.id]
    assert on_disk(city) == {second.id}


def test_a_prefix_of_several_ids_is_refused_and_no_path_is_taken_for_one(city: City) -> None:
    adopted(city, 1, 2)
    with pytest.raises(NotFound):
        named(held(city), "../snapshots")
    with pytest.raises(NotFound):
        named(held(city), "")
    twice = [Held(f"ab{number}", Path(), "building", 1, 1, 1, False, True, ()) for number in range(2)]
    with pytest.raises(Conflict, match="2 snapshots"):
        named(twice, "ab")


def test_what_was_left_behind_goes_with_the_next_command(city: City) -> None:
    first, second = adopted(city, 1, 2)
    leave_behind(city, first)
    adopted(city, 3)
    assert len(on_disk(city)) == 2
    assert no_orphans(city)
    assert second.id in on_disk(city)


def test_what_was_left_behind_goes_with_the_start(city: City) -> None:
    first, _ = adopted(city, 1, 2)
    leave_behind(city, first)
    with operating(city) as (_, publishing), publishing.alone():
        clear_away(city.home)  # a command runs: hands off
        leave_behind(city)
        clear_away(city.home)
        assert not no_orphans(city)
    clear_away(city.home)
    assert no_orphans(city)


def leave_behind(city: City, removed: Snapshot | None = None) -> None:
    if removed is not None:
        removed.folder.rename(removed.folder.with_name(f"{REMOVED}{removed.id}"))
    folder = city.home.snapshots / ".import-abc" / "scratch"
    folder.mkdir(parents=True)
    (folder / "000000.arrow").write_bytes(b"rows")
    (city.home.views / ".1234-56.draft").write_bytes(b"rows")
    (city.home.scratch / "aside").mkdir()
    (city.home.policies / ".1.policy.json.abc").write_bytes(b"{}")
    (city.home.path / ".policy.version.abc").write_bytes(b"1")


def no_orphans(city: City) -> bool:
    home = city.home
    hidden = [path for at in (home.path, home.snapshots, home.views, home.policies) for path in at.glob(".*")]
    with city.control() as control, control.reading() as connection:
        known = set(known_snapshots(connection))
    return not hidden and not list(home.scratch.iterdir()) and known <= on_disk(city)


def test_the_current_one_stays_in_the_tables_whatever_became_of_its_folder(city: City) -> None:
    (snapshot,) = adopted(city, 1)
    snapshot.folder.rename(city.home.path / "elsewhere")
    clear_away(city.home)
    with city.control() as control, control.reading() as connection:
        assert current_snapshots(connection)["building"].id == snapshot.id


def test_an_import_is_counted_against_the_current_snapshot(city: City) -> None:
    with city.control() as control:
        assert since_current(city.home, control, write_snapshot(city.home, rows(3))) is None
    adopted(city, 3)
    new = write_snapshot(
        city.home, buildings(CITY, [{"height": Decimal(0)}, {"height": Decimal(7)}, {"id": "new"}, {"id": "newer"}])
    )
    with city.control() as control:
        found = since_current(city.home, control, new)
        assert found is not None
        assert (found.added, found.changed, found.removed, found.same) == (2, 1, 1, 1)
        next(item for item in held(city) if item.current).folder.joinpath("building.parquet").write_bytes(b"")
        assert since_current(city.home, control, new) is None


def test_without_the_citys_secret_nothing_is_listed(city: City) -> None:
    city.home.secret.unlink()
    with pytest.raises(BadConfig, match="operator"):
        held(city)


def test_an_inventory_of_another_format_is_damage(city: City) -> None:
    (snapshot,) = adopted(city, 1)
    raw = json.dumps(dict(snapshot.inventory) | {"format": "other"}).encode()
    other = city.home.snapshots / hashlib.sha256(raw).hexdigest()
    other.mkdir()
    (other / "inventory.json").write_bytes(raw)
    assert [item.readable for item in held(city) if item.id == other.name] == [False]
