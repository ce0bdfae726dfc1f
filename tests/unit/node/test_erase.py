"""Erased objects are nowhere: not in rows, originals, views or any file of the home, whatever the way back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cimfed.errors import BadConfig, BadFile, NotFound
from cimfed.trust.hashing import digest
from cimfed.trust.tlog.entries import Act
from cimfed_node import erase as erasing
from cimfed_node.acting import acceptable_reason
from cimfed_node.erase import erase, find
from cimfed_node.ingest import ImportRequest, OnDuplicate, Snapshot, import_files
from cimfed_node.ingest.belonging import OnErased
from cimfed_node.ingest.snapshot import ERASING, PLAN, ids_on_disk, read_snapshot
from cimfed_node.ingest.update import Base
from cimfed_node.snapshots import erased_here, held_snapshots, prunable, roll_back, to_follow
from cimfed_node.tables.acts import acts
from cimfed_node.tables.admissions import take_slot
from cimfed_node.tables.publication import active_grants, current_snapshots, views
from tests.federation.world import SECOND, City, World
from tests.ingest.making import (
    BLOCK,
    Data,
    as_bytes,
    city_feature,
    city_object,
    feature,
    features,
    header,
    solid,
)
from tests.ingest.making import lines as lines_of
from tests.unit.cimfed.policy.documents import untouched

CITY = "kz.almaty"
GRANTS = """
  - {id: all, subject: {country: [CN]}, purpose: [research], collection: building, columns: {id: exact, ext: exact}}
  - {id: read, subject: {country: [CN]}, purpose: [research], collection: observation, columns: {id: exact}}
"""
SECRET = "Ф. И. О. 4711"


@pytest.fixture
def city(tmp_path: Path) -> City:
    return World(tmp_path).add_city(CITY)


def put(city: City, collection: str, data: Data, rule: OnErased = OnErased.REFUSE, **options: Any) -> Snapshot:
    """An import into force."""
    city.world.clock.offset += SECOND
    path = city.world.folder / "data"
    path.write_bytes(as_bytes(data))
    request = ImportRequest(files=(path,), city=city.home.city, collection=collection, **options)
    with city.control() as control:
        snapshot, _ = import_files(request, city.home.snapshots, erased=erased_here(city.home, control, rule))
        city.publisher(control).adopt(snapshot)
    path.unlink()
    return snapshot


def erased(city: City, collection: str, *ids: str) -> None:
    with city.control() as control, (publishing := city.publisher(control)).alone():
        wanted = find(city.home, collection, ids)
        erase(
            city.home,
            publishing,
            wanted,
            Act(city.world.clock(), "erase", "op", collection, objects=len(ids), reason="r"),
        )


def houses(*ids: str) -> dict[str, Any]:
    return features(*(feature(id, owner=f"{SECRET} {id}") for id in ids))


def held(home: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file of the home with its bytes, those of Parquet and zstd as they unpack."""
    for path in home.rglob("*"):
        if path.suffix == ".parquet":
            yield path, repr(pq.read_table(path).to_pydict()).encode()
        elif path.suffix == ".zst":
            with pa.input_stream(str(path), compression="zstd") as stream:
                yield path, stream.read()
        elif path.is_file():
            yield path, path.read_bytes()


def mentions(city: City, text: str) -> list[str]:
    forms = [text.encode(), json.dumps(text).strip('"').encode()]
    return [str(path) for path, content in held(city.home.path) if any(form in content for form in forms)]


def ids_of(snapshot: Snapshot) -> list[str]:
    return sorted(pq.read_table(snapshot.path)["id"].to_pylist())


def test_it_is_in_no_snapshot_view_or_file(city: City) -> None:
    put(city, "building", houses("house-1", "house-2"))
    put(city, "building", houses("house-1", "house-2", "house-3"))
    city.activate(GRANTS)
    put(city, "building", houses("house-2", "house-4"))
    assert mentions(city, f"{SECRET} house-2")
    before = ids_on_disk(city.home.snapshots)
    erased(city, "building", "house-2")
    for text in (f"{SECRET} house-2", "house-2"):
        assert mentions(city, text) == []
    after = ids_on_disk(city.home.snapshots)
    assert len(after) == 3
    assert not before & after
    found = {tuple(ids_of(read_snapshot(city.home.snapshots / id, verify=True))) for id in after}
    assert found == {("house-1",), ("house-1", "house-3"), ("house-4",)}
    with city.control() as control:
        with control.reading() as connection:
            (view,) = views(connection, city.home.place).values()
            current = current_snapshots(connection)["building"]
        assert pq.read_table(view.source)["id"].to_pylist() == ["house-4"]
        assert ids_of(read_snapshot(city.home.snapshots / current.id)) == ["house-4"]
        others = [item for item in held_snapshots(city.home, control, 0) if not item.current]
        assert [item.rows for item in others] == [2, 1]  # by the times of their imports, as before
        for item in others:
            roll_back(control, city.publisher(control), item)
            assert mentions(city, "house-2") == []


def test_an_id_is_the_same_however_unicode_writes_it(city: City) -> None:
    put(city, "building", houses("\u0439-1", "b"))
    erased(city, "building", "\u0438\u0306-1")
    assert mentions(city, "\u0439-1") == []


def test_snapshots_that_never_held_it_stay(city: City) -> None:
    kept = put(city, "building", houses("a"))
    put(city, "building", houses("a", "b"))
    other = put(city, "admin_unit", houses("b"))
    erased(city, "building", "b")
    assert {kept.id, other.id} < ids_on_disk(city.home.snapshots)


def test_all_of_a_collection_may_go(city: City) -> None:
    put(city, "building", houses("a"))
    city.activate(GRANTS)
    erased(city, "building", "a")
    with city.control() as control, control.reading() as connection:
        assert current_snapshots(connection)["building"].rows == 0
        assert [view.rows for view in views(connection, city.home.place).values()] == [0]


def readings(*rows: tuple[str, str, str, str]) -> dict[str, Any]:
    made = [
        feature(id, None, sensor=sensor, feature_collection=collection, feature=about, value=1)
        for id, sensor, collection, about in rows
    ]
    return features(*made)


def test_what_belongs_to_it_goes_with_it(city: City) -> None:
    """A building, its storey, a room on that, a sensor in the room, and the readings of the sensor and about it."""
    put(city, "building", houses("b", "other"))
    put(city, "storey", features(feature("s", None, building="b"), feature("s2", None, building="other")))
    put(city, "room", features(feature("r", None, storey="s"), feature("r2", None, storey="s2")))
    put(
        city,
        "sensor",
        features(
            feature("t", None, feature_collection="room", feature="r"),
            feature("t2", None, feature_collection="room", feature="r2"),
            feature("t3", None, feature_collection="storey", feature="r"),
        ),
    )
    put(
        city,
        "observation",
        readings(
            ("o1", "t", "", ""),
            ("o2", "t2", "building", "b"),
            ("o3", "t2", "building", "other"),
            ("o4", "none", "bridge", "b"),
        ),
    )
    city.activate(GRANTS)
    with city.control() as control:
        wanted = find(city.home, "building", ["b"])
        assert (wanted.rows, wanted.belonging, len(wanted.snapshots)) == (6, 5, 5)
    erased(city, "building", "b")
    with city.control() as control, control.reading() as connection:
        left = {
            name: ids_of(read_snapshot(city.home.snapshots / entry.id))
            for name, entry in current_snapshots(connection).items()
        }
        of = {grant.grant: views(connection, city.home.place)[grant.view] for grant in active_grants(connection)}
    assert left == {
        "building": ["other"],
        "storey": ["s2"],
        "room": ["r2"],
        "sensor": ["t2", "t3"],
        "observation": ["o3", "o4"],
    }
    assert sorted(pq.read_table(of["read"].source)["id"].to_pylist()) == ["o3", "o4"]


def test_it_goes_from_every_segment_and_every_link(city: City) -> None:
    table = "id,time,value,unit\n{},2026-01-01T00:00Z,1,{}\n"
    put(city, "observation", table.format("o-1", SECRET))
    city.activate(GRANTS)
    for number in (2, 3):
        city.world.clock.offset += SECOND
        path = city.world.folder / "data"
        path.write_text(table.format(f"o-{number}", "C"))
        with city.control() as control:
            base = Base(to_follow(city.home, control, "observation", verify=False), appended=True)
            request = ImportRequest(files=(path,), city=city.home.city, collection="observation")
            snapshot, _ = import_files(request, city.home.snapshots, base=base)
            city.publisher(control).adopt(snapshot)
        (view,) = [
            path for path in city.home.views.glob("*.parquet") if "geometry_lod0" not in pq.read_schema(path).names
        ]
        assert sorted(pq.read_table(view)["id"].to_pylist()) == [f"o-{at}" for at in range(1, number + 1)]
    path.unlink()
    erased(city, "observation", "o-1")
    assert mentions(city, SECRET) == []
    assert mentions(city, "o-1") == []
    found = sorted(
        ids_of(read_snapshot(city.home.snapshots / id, verify=True)) for id in ids_on_disk(city.home.snapshots)
    )
    assert found == [[], ["o-2"], ["o-2", "o-3"]]


def test_what_belongs_to_something_that_belonged_to_it_does_not_come_back(city: City) -> None:
    """No file names the building but that of the storeys."""
    files = {
        "storey": features(feature("s", None, building="b"), feature("s2", None, building="other")),
        "room": features(feature("r", None, storey="s"), feature("r2", None, storey="s2")),
        "sensor": features(*(feature(f"t-{at}", None, feature_collection="room", feature=at) for at in ("r", "r2"))),
        "observation": readings(("o", "t-r", "", ""), ("o2", "t-r2", "", "")),
    }
    put(city, "building", houses("b", "other"))
    for collection, data in files.items():
        put(city, collection, data)
    erased(city, "building", "b")
    for collection, data in files.items():
        with pytest.raises(BadFile, match="1 objects were erased"):
            put(city, collection, data)
    left = [ids_of(put(city, collection, data, OnErased.LEAVE_OUT)) for collection, data in files.items()]
    assert left == [["s2"], ["r2"], ["t-r2"], ["o2"]]


def test_of_a_family_the_untouched_object_goes_whole(city: City) -> None:
    family = {
        "b": city_object("Building", children=["p-1", "p-2"]),
        "p-1": city_object("BuildingPart", solid(), parents=["b"], attributes={"owner": SECRET}),
        "p-2": city_object("BuildingPart", solid(), parents=["b"]),
    }
    data = lines_of(header(), city_feature("b", family, BLOCK))
    put(city, "building_part", data)
    put(city, "building", data)
    erased(city, "building_part", "p-1")
    assert mentions(city, SECRET) == []
    assert mentions(city, "p-1") == []
    with city.control() as control, control.reading() as connection:
        current = current_snapshots(connection)
    assert ids_of(read_snapshot(city.home.snapshots / current["building_part"].id)) == ["p-2"]
    assert ids_of(read_snapshot(city.home.snapshots / current["building"].id)) == ["b"]


def test_a_renamed_duplicate_takes_its_untouched_object_along(city: City) -> None:
    data = features(feature("a", owner="one"), feature("a", owner=SECRET), feature("c", owner="two"))
    put(city, "building", data, on_duplicate=OnDuplicate.SUFFIX)
    erased(city, "building", "a~2")
    assert mentions(city, SECRET) == []
    assert mentions(city, "two")


def test_a_view_that_an_answer_reads_goes_too(city: City) -> None:
    put(city, "building", houses("a", "b"))
    city.activate(GRANTS)
    with city.control() as control, control.writing() as transaction:
        (grant,) = [grant for grant in active_grants(transaction) if grant.grant == "all"]
        take_slot(transaction, 1, "inst.a", grant.view, city.world.clock() + 60 * SECOND)
    erased(city, "building", "b")
    assert mentions(city, f"{SECRET} b") == []


def test_what_is_written_down_names_no_object(city: City) -> None:
    put(city, "building", houses("house-1", "house-2"))
    erased(city, "building", "house-1", "house-2")
    with city.control() as control, control.reading() as connection:
        done = acts(connection)
    assert [(act.act, act.collection, act.objects, act.reason) for act in done[:1]] == [("erase", "building", 2, "r")]
    assert [act.act for act in done] == ["erase", "import"]
    with sqlite3.connect(city.home.database) as plain:
        dump = "\n".join(plain.iterdump())
        digests = {row[0] for row in plain.execute("SELECT digest FROM erased")}
    assert "house" not in dump
    key = city.home.secret.read_bytes()
    assert digests == {digest("cimfed erased object v1", [key, "building", id]) for id in ("house-1", "house-2")}


def test_a_later_import_is_refused_or_leaves_it_out(city: City) -> None:
    put(city, "building", houses("a", "b", "c"))
    erased(city, "building", "a", "b")
    before = ids_on_disk(city.home.snapshots)
    with pytest.raises(BadFile, match="2 objects were erased"):
        put(city, "building", houses("a", "b", "d"))
    parts = features(feature("p", building_id="a"), feature("q", building_id="c"))
    with pytest.raises(BadFile, match="1 objects were erased"):
        put(city, "building_part", parts)
    assert ids_on_disk(city.home.snapshots) == before
    put(city, "admin_unit", houses("a"))  # the id of something else
    assert ids_of(put(city, "building", houses("a", "b", "d"), OnErased.LEAVE_OUT)) == ["d"]
    assert ids_of(put(city, "building_part", parts, OnErased.LEAVE_OUT)) == ["q"]
    building = [text for text in mentions(city, f"{SECRET} a") if "admin_unit" not in text]
    current = {path.parent for path in city.home.snapshots.glob("*/admin_unit.parquet")}
    assert {Path(text).parent for text in building} <= current
    assert ids_of(put(city, "building", houses("a", "d"), OnErased.ALLOW)) == ["a", "d"]


@pytest.mark.parametrize(("ids", "error"), [(["nobody"], NotFound), (["a", "nobody"], NotFound), ([], BadConfig)])
def test_what_is_not_there_is_told(city: City, ids: list[str], error: type[Exception]) -> None:
    put(city, "building", houses("a"))
    before = ids_on_disk(city.home.snapshots)
    with pytest.raises(error):
        erased(city, "building", *ids)
    with pytest.raises(BadConfig):
        erased(city, "castle", "a")
    assert ids_on_disk(city.home.snapshots) == before
    assert not (city.home.snapshots / ERASING).exists()


def test_a_damaged_snapshot_must_go_first(city: City) -> None:
    old = put(city, "building", houses("a"))
    put(city, "building", houses("a", "b"))
    old.path.write_bytes(b"PAR1")
    with pytest.raises(BadFile, match="is damaged"):
        erased(city, "building", "a")
    assert old.id in ids_on_disk(city.home.snapshots)


def test_without_a_policy_that_can_be_read_nothing_is_given(city: City) -> None:
    put(city, "building", houses("a", "b"))
    city.activate(GRANTS)
    city.home.policy_file(1).unlink()
    erased(city, "building", "b")
    assert mentions(city, f"{SECRET} b") == []
    with city.control() as control, control.reading() as connection:
        assert active_grants(connection) == []
    city.activate(GRANTS)
    with city.control() as control, control.reading() as connection:
        assert {view.rows for view in views(connection, city.home.place).values()} == {1}


def test_prune_removes_what_an_erasure_made_like_any_other(city: City) -> None:
    put(city, "building", houses("a", "b"))
    put(city, "building", houses("a", "b", "c"))
    erased(city, "building", "b")
    with city.control() as control:
        assert [item.rows for item in prunable(held_snapshots(city.home, control, 0), 0)] == [1]


def test_what_was_staged_goes_with_an_interrupt(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill leaves it, and the next command sweeps it: see the rounds of kill -9."""
    put(city, "building", houses("a", "b"))
    staging = city.home.snapshots / ERASING

    def cut(*_: Any) -> None:
        assert list(staging.iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(erasing, "replace_file", cut)
    with pytest.raises(KeyboardInterrupt):
        erased(city, "building", "b")
    assert not staging.exists()
    assert mentions(city, f"{SECRET} b")


WHOLE = {"format": "cimfed/erasure/v1", "act": {"time": 1, "act": "erase", "operator": "o"}, "token": "00",
         "digests": [], "snapshots": {}}  # fmt: skip


DAMAGED: list[dict[str, object]] = [
    {"token": "x"}, {"act": {}}, {"act": 1}, {"digests": [1]}, {"snapshots": []}, {"snapshots": {"../../keys": "a"}},
    {"snapshots": {"a" * 64: "../views"}}, {"format": "cimfed/erasure/v9"},
]  # fmt: skip


@pytest.mark.parametrize(
    "plan",
    [b"", b"{", b"\xff", b"[]", b"null", b"{}", *(json.dumps(WHOLE | changed).encode() for changed in DAMAGED)],
)
def test_a_damaged_plan_is_told_and_nothing_is_done(city: City, plan: bytes) -> None:
    put(city, "building", houses("a", "b"))
    before = {path for path in city.home.path.rglob("*") if path.is_file()}
    staging = city.home.snapshots / ERASING
    staging.mkdir()
    (staging / PLAN).write_bytes(plan)
    with pytest.raises(BadConfig, match=r"damaged|another release"), city.control() as control:
        erasing.complete(city.home, city.publisher(control))
    assert {path for path in city.home.path.rglob("*") if path.is_file()} - before == {staging / PLAN}


@pytest.mark.parametrize("text", ["", " \n", "x" * 501])
def test_a_reason_is_a_line(text: str) -> None:
    with pytest.raises(BadConfig):
        acceptable_reason(text)
    assert acceptable_reason("law\n7 ") == "law 7"


def test_what_is_erased_is_in_no_views_originals(city: City) -> None:
    """The view is built anew of the reduced snapshot; the objects of others stay."""
    put(city, "building", houses("house-1", "house-2", "house-3"))
    city.activate(untouched())
    (before,) = city.home.views.glob("*.original.parquet")
    given = pq.read_table(before)["original"].to_pylist()
    assert sorted(json.loads(text)["id"] for text in given) == ["house-1", "house-2", "house-3"]
    erased(city, "building", "house-2")
    assert mentions(city, f"{SECRET} house-2") == mentions(city, "house-2") == []
    (after,) = city.home.views.glob("*.original.parquet")
    assert after != before
    given = pq.read_table(after)["original"].to_pylist()
    assert sorted(json.loads(text)["id"] for text in given) == ["house-1", "house-3"]
