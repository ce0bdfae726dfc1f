"""The service writes the control tables: that must not make a prune remove what an operator brought into force."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from cimfed.errors import BadConfig
from cimfed_node import activate
from cimfed_node.ingest.snapshot import Snapshot, ids_on_disk
from cimfed_node.snapshots import earlier, held_snapshots, prunable, prune, roll_back
from tests.federation.world import SECOND, City, World, buildings

CITY = "kz.almaty"


@pytest.fixture
def city(tmp_path: Path) -> City:
    return World(tmp_path).add_city(CITY)


def adopted(city: City, count: int) -> Snapshot:
    city.world.clock.offset += SECOND
    return city.adopt(buildings(CITY, [{"height": Decimal(number)} for number in range(count)]))


def pruned(city: City) -> None:
    with city.control() as control, (publishing := city.publisher(control)).alone():
        prune(control, publishing, prunable(held_snapshots(city.home, control, 0), 0))


def record(city: City) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(city.home.current_record.read_bytes())
    return found


def flip(city: City, snapshot: Snapshot) -> None:
    with city.control() as control, control.writing() as transaction:
        transaction.exec_driver_sql("UPDATE snapshot SET current = (id = ?)", (snapshot.id,))


def test_a_prune_leaves_what_was_recorded(city: City, caplog: pytest.LogCaptureFixture) -> None:
    first, second, third = (adopted(city, count) for count in (1, 2, 3))
    assert record(city) == {"building": [third.id]}
    flip(city, first)
    pruned(city)
    assert ids_on_disk(city.home.snapshots) == {first.id, third.id}
    assert f"snapshot {first.id[:12]} of building is current, which no operator" in caplog.text
    assert second.id not in ids_on_disk(city.home.snapshots)
    with city.control() as control:
        roll_back(
            control, city.publisher(control), earlier(held_snapshots(city.home, control, 0), "building", third.id)
        )
    pruned(city)
    assert ids_on_disk(city.home.snapshots) == {third.id}


@pytest.mark.parametrize("late", [False, True], ids=["before the tables", "after the tables"])
def test_one_that_was_cut_short_is_settled(city: City, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    first = adopted(city, 1)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(activate, "settled" if late else "put_snapshot", lambda record, *_: record if late else cut())
        if late:
            adopted(city, 2)
        else:
            with pytest.raises(KeyboardInterrupt):
                adopted(city, 2)
    (other,) = ids_on_disk(city.home.snapshots) - {first.id}
    assert record(city) == {"building": [first.id, other]}
    pruned(city)
    assert record(city) == {"building": [other if late else first.id]}
    assert ids_on_disk(city.home.snapshots) == {other if late else first.id}


@pytest.mark.parametrize("content", [b"", b"[]", b'{"building": 1}', b"\xff"])
def test_a_damaged_record_stops_commands(city: City, content: bytes) -> None:
    adopted(city, 1)
    city.home.current_record.write_bytes(content)
    with pytest.raises(BadConfig, match="record of current snapshots"):
        adopted(city, 2)
