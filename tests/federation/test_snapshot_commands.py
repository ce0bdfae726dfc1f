"""`cimfed-node snapshots` as an operator types it."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.federation.test_node_commands import COMMAND
from tests.federation.world import City, World, buildings

GRANTS = """
  - {id: wards, subject: {country: [CN]}, purpose: [research], collection: admin_unit, columns: {id: exact}}
"""
Said = Callable[..., str]


@pytest.fixture
def city(tmp_path: Path) -> City:
    return World(tmp_path).add_city("uz.tashkent")


def wards(city: City, said: Said, *names: str) -> str:
    """Imports wards of these names; gives what was said."""
    ring = [[69.2, 41.3], [69.3, 41.3], [69.3, 41.4], [69.2, 41.3]]
    features = [
        {
            "type": "Feature",
            "id": f"w{number}",
            "properties": {"name": name},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for number, name in enumerate(names)
        if name
    ]
    path = city.world.folder / "wards.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    licence = ("--licence", "CC0-1.0", "--attribution", "the city")
    return said("import", str(path), "--collection", "admin_unit", *licence)


def test_from_import_to_prune(city: City, said: Said) -> None:
    assert "against the one before" not in wards(city, said, "a", "b", "c")
    assert "2 added, 1 changed, 1 removed, 1 as they were" in wards(city, said, "a", "B", "", "d", "e")
    city.activate(GRANTS)

    listed = json.loads(said("snapshots", "list", "--json"))
    assert listed["format"] == "cimfed/snapshots/v1"
    new, old = listed["snapshots"]
    assert [(item["rows"], item["current"]) for item in (new, old)] == [(4, True), (3, False)]
    assert [view["grants"] for view in new["views"]] == [["wards"]]
    assert old["views"] == []
    folder = city.home.snapshots / old["id"]
    assert old["size"] == sum(path.stat().st_size for path in folder.iterdir())
    table = said("snapshots", "list")
    assert new["id"][:12] in table
    assert "wards" in table

    shown = json.loads(said("snapshots", "show", old["id"][:8], "--json"))
    assert shown["format"] == "cimfed/snapshot-details/v1"
    assert shown["verified"]
    assert {item["name"]: item["sha256"] for item in shown["files"]} == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("admin_unit.parquet", "original.jsonl.zst")
    }
    assert shown["inventory"] == json.loads((folder / "inventory.json").read_text())
    text = said("snapshots", "show", old["id"], "--mapping")
    for word in ("CC0-1.0", "the city", "69.200000, 41.300000, 69.300000, 41.400000", "verified", "mapping:"):
        assert word in text
    assert "there is no snapshot" in said("snapshots", "show", "zz", expect=3)

    went = said("snapshots", "rollback", "admin_unit", "--yes")
    assert f"snapshot {old['id'][:12]} of admin_unit is current: 3 rows" in went
    assert "is current again" in went  # the log's line
    assert "│ 3    │ 3  │" in went
    assert "no earlier snapshot" in said("snapshots", "rollback", "admin_unit", "--yes", expect=3)

    assert "0 snapshots would be removed" in said("snapshots", "prune", "--dry-run")
    assert f"would be removed: {new['id'][:12]}" in said("snapshots", "prune", "--keep", "0", "--dry-run")
    assert {path.name for path in city.home.snapshots.iterdir()} == {old["id"], new["id"]}
    went = said("snapshots", "prune", "--keep", "0", "--yes")
    assert f"snapshot {new['id']} of admin_unit was removed" in went
    assert "1 snapshots removed" in went
    assert [path.name for path in city.home.snapshots.iterdir()] == [old["id"]]


def test_damaged_files_are_shown_and_not_gone_back_to(city: City, said: Said) -> None:
    wards(city, said, "a")
    wards(city, said, "a", "b")
    new, old = json.loads(said("snapshots", "list", "--json"))["snapshots"]
    (city.home.snapshots / old["id"] / "original.jsonl.zst").write_bytes(b"")
    assert "changed" in said("snapshots", "show", old["id"], "--mapping")
    assert not json.loads(said("snapshots", "show", old["id"], "--json"))["verified"]
    refusal = said("snapshots", "rollback", "admin_unit", "--yes", expect=2)
    assert f"a file of the snapshot is changed (at {old['id']}/original.jsonl.zst)" in refusal
    assert json.loads(said("snapshots", "list", "--json"))["snapshots"][0] == new
    wards(city, said, "a")  # as the refusal says: it is mended, and current
    assert json.loads(said("snapshots", "show", old["id"], "--json"))["verified"]


@pytest.mark.parametrize(
    ("act", "answer", "done"),
    [
        (("prune", "--keep", "0"), b"n\n", False),
        (("prune", "--keep", "0"), b"y\n", True),
        (("prune", "--keep", "0", "--yes"), b"", True),
        (("rollback", "building"), b"n\n", False),
        (("rollback", "building", "--yes"), b"", True),
    ],
)
def test_at_a_terminal_it_asks_first(city: City, said: Said, act: tuple[str, ...], answer: bytes, done: bool) -> None:
    for count in (1, 2):
        city.adopt(buildings("uz.tashkent", [{}] * count))
    before = json.loads(said("snapshots", "list", "--json"))["snapshots"]
    ours, its = pty.openpty()
    try:
        os.write(ours, answer)
        ended = subprocess.run([COMMAND, "snapshots", *act], stdin=its, capture_output=True, check=False)
    finally:
        os.close(ours)
        os.close(its)
    assert ended.returncode == (0 if done else 1), ended.stderr
    assert (json.loads(said("snapshots", "list", "--json"))["snapshots"] != before) is done
    if "prune" in act and done:
        assert b"was removed" in ended.stderr


def ward_file(city: City, **names: str) -> str:
    """Points of these ids and names."""
    features = [
        {
            "type": "Feature",
            "id": id,
            "properties": {"name": name},
            "geometry": {"type": "Point", "coordinates": [69, 41]},
        }
        for id, name in names.items()
    ]
    path = city.world.folder / "points.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(path)


def test_an_update_replaces_adds_and_takes_out(city: City, said: Said) -> None:
    update = ("--collection", "admin_unit", "--update")
    went = said("import", ward_file(city, w0="a"), *update, expect=3)
    assert "no current snapshot of admin_unit" in went
    wards(city, said, "a", "b", "c")
    gone = city.world.folder / "gone.txt"
    gone.write_text("w2\nw9\n")
    went = said("import", ward_file(city, w1="B", w7="new"), *update, "--remove", str(gone))
    assert "1 added, 1 changed, 1 removed, 1 as they were" in went
    assert "1 of the ids to take out are not in the current snapshot" in went
    gone.write_text("w7\n")
    went = said("import", *update, "--remove", str(gone))
    assert "0 added, 0 changed, 1 removed, 2 as they were" in went
    assert "--update" in said(
        "import", ward_file(city, w0="a"), "--collection", "admin_unit", "--remove", str(gone), expect=2
    )
    assert "no file" in said("import", *update, expect=2)
    newest = json.loads(said("snapshots", "list", "--json"))["snapshots"][0]
    (city.home.snapshots / newest["id"] / "original.jsonl.zst").write_bytes(b"")
    assert "is changed" in said("import", ward_file(city, w0="a"), *update, expect=2)


def test_an_erasure_and_the_log_of_acts(city: City, said: Said) -> None:
    wards(city, said, "a", "b")
    wards(city, said, "a", "b", "c")
    city.activate(GRANTS)
    words = ("snapshots", "erase", "--collection", "admin_unit", "--id", "w1", "--reason", "court order 7")
    went = said(*words, "--yes")
    assert (
        "to be erased: 1 objects of admin_unit and 0 rows that belong to them, from 2 snapshots (2 rows in all)" in went
    )
    assert "no snapshot here holds 1 of the ids" in said(*words, "--yes", expect=3)
    went = said("import", ward_file(city, w1="x", w2="c"), "--collection", "admin_unit", expect=2)
    assert "1 objects were erased from this node" in went
    went = said("import", ward_file(city, w1="x", w2="c"), "--collection", "admin_unit", "--on-erased", "leave-out")
    assert "1 objects that were erased here, or belong to one, were left out" in went
    said("snapshots", "rollback", "admin_unit", "--yes")
    said("snapshots", "prune", "--keep", "0", "--yes")
    shown = json.loads(said("snapshots", "log", "--json"))
    assert shown["format"] == "cimfed/acts/v1"
    assert [act["act"] for act in shown["acts"]] == [
        *["prune"] * 2, "rollback", "import", "erase", "activate", "import", "import"
    ]  # fmt: skip
    (erased,) = [act for act in shown["acts"] if act["act"] == "erase"]
    assert (erased["objects"], erased["reason"], erased["subject"]) == (1, "court order 7", "")
    assert all(act["operator"] for act in shown["acts"])
    assert "court order 7" in said("snapshots", "log")


def everything(city: City) -> dict[str, object]:
    """All files of the home and all rows of its database: what a command could change."""
    files = {
        str(path.relative_to(city.home.path)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in city.home.path.rglob("*")
        if path.is_file() and "control.sqlite" not in path.name
    }
    with sqlite3.connect(city.home.database) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: database.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}
    database.close()
    return {**files, **rows}


CHANGES = {
    "snapshots-rollback": ("snapshots", "rollback", "admin_unit"),
    "snapshots-prune": ("snapshots", "prune", "--keep", "0"),
    "snapshots-erase": ("snapshots", "erase", "--collection", "admin_unit", "--id", "w1", "--reason", "law"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_foreseen_confirmed_and_told_to_programs(city: City, said: Said, name: str) -> None:
    wards(city, said, "a", "b")
    wards(city, said, "a", "b", "c")
    city.activate(GRANTS)
    current, old = (item["id"] for item in json.loads(said("snapshots", "list", "--json"))["snapshots"])
    before = everything(city)
    words = CHANGES[name]
    assert "not_confirmed" in said(*words, expect=2)
    left_behind = city.home.snapshots / ".import-killed"  # a command that changes something clears it away
    left_behind.mkdir()
    foreseen = json.loads(said(*words, "--json", "--dry-run"))
    assert "nothing was changed" in said(*words, "--dry-run")
    assert left_behind.exists()
    after = everything(city)
    assert {key for key in before | after if before.get(key) != after.get(key)} <= {"operator.lock"}
    done = json.loads(said(*words, "--json", "--yes"))
    assert everything(city) != before
    for told, dry in ((foreseen, True), (done, False)):
        assert (told["schema"], told["dry_run"], told["changed"]) == (f"cimfed/{name}/v1", dry, not dry)
        match name:
            case "snapshots-rollback":
                assert (told["snapshot"], told["replaces"], told["rows"]) == (old, [current], 2)
                assert told["affected"] == {"grants": ["wards"]}
            case "snapshots-prune":
                assert [item["id"] for item in told["snapshots"]] == [old]
                assert told["affected"] == {"snapshots": 1}
            case _:
                assert (told["objects"], told["rows"], told["belonging"]) == (1, 2, 0)
                assert told["snapshots"] == sorted([old, current])
                assert told["affected"] == {"grants": ["wards"], "views_in_use": 0}
                assert "w1" not in json.dumps(told)
    if name != "snapshots-prune":
        assert [(grant["grant"], grant["rows"]) for grant in done["grants"]] == [("wards", 2)]


def test_a_dry_run_is_refused_as_the_change_would_be(city: City, said: Said) -> None:
    wards(city, said, "a")
    wards(city, said, "a", "b")
    old = json.loads(said("snapshots", "list", "--json"))["snapshots"][1]
    (city.home.snapshots / old["id"] / "original.jsonl.zst").write_bytes(b"")
    refused = json.loads(said("snapshots", "rollback", "admin_unit", "--dry-run", "--json", expect=2))
    assert refused["schema"] == "cimfed/error/v1"
    assert (refused["command"], refused["error"]["reason"]) == ("snapshots-rollback", "bad_file")
    assert refused["error"]["place"] == f"{old['id']}/original.jsonl.zst"


def test_an_activation_is_foreseen_grant_by_grant(city: City, said: Said) -> None:
    def file(grants: str, **how: int) -> str:
        path = city.world.folder / "next.policy.json"
        path.write_bytes(city.sign(grants, **how))
        return str(path)

    def foreseen(path: str) -> dict[str, Any]:
        found = json.loads(said("activate", path, "--dry-run", "--json"))
        assert isinstance(found, dict)
        return found

    def changes(path: str) -> list[list[str]]:
        found = foreseen(path)
        return [found[what] for what in ("added", "removed", "altered")]

    wards(city, said, "a", "b")
    more = GRANTS.replace("wards", "more")
    assert changes(file(GRANTS, version=1)) == [["wards"], [], []]
    city.activate(GRANTS + more, version=2)
    before = everything(city)
    assert changes(file(GRANTS + more, version=3)) == [[], [], []]
    assert changes(file(more + GRANTS.replace("wards", "new"), version=3)) == [["new"], ["wards"], []]
    for wider in (
        GRANTS.replace("id: exact", "id: exact, name: exact"),
        GRANTS.replace("[CN]", "[CN, IN]"),
        GRANTS.replace("[research]", "[research, statistics]"),
    ):
        assert changes(file(wider + more, version=3)) == [[], [], ["wards"]]
    assert "gone: wards" in said("activate", file(more, version=3), "--dry-run")
    assert everything(city) == before
    refused = json.loads(said("activate", file(GRANTS, version=1), "--dry-run", "--json", expect=5))
    assert (refused["command"], refused["error"]["reason"]) == ("activate", "conflict")
    done = json.loads(said("activate", file(more, version=3), "--json"))
    assert (done["changed"], done["policy"], [item["grant"] for item in done["grants"]]) == (True, 3, ["more"])
    again = json.loads(said("activate", str(city.home.policy_file(3)), "--json"))
    assert (again["changed"], again["policy"]) == (False, 3)
    assert "is in force already" in said("activate", str(city.home.policy_file(3)), "--dry-run")


READINGS = """
  - id: read
    subject: {country: [CN]}
    purpose: [research]
    collection: observation
    columns: {id: exact, value: {band: 10}}
"""


def test_readings_are_appended_while_views_follow(city: City, said: Said) -> None:
    path = city.world.folder / "readings.csv"
    words = ("import", str(path), "--collection", "observation")
    expected = {}
    for day in range(1, 4):
        path.write_text("sensor,time,value\n" + "".join(f"s{at},2026-01-0{day} 00:00,{day * at}\n" for at in range(5)))
        assert "--time-zone" in said(*words, expect=2)
        went = said(*words, "--time-zone", "Asia/Tashkent", *(["--append"] if day > 1 else []))
        if day == 1:
            city.activate(READINGS)
        else:
            assert "against the one before: 5 added" in went
        instant = {1: "2025-12-31", 2: "2026-01-01", 3: "2026-01-02"}[day] + "T19:00:00Z"
        expected |= {f"s{at}//{instant}": day * at // 10 * 10 for at in range(5)}
        (view,) = city.home.views.glob("*.parquet")
        rows = pq.read_table(view).to_pylist()
        assert {row["id"]: row["value"] for row in rows} == expected
        assert len(rows) == len(expected)
    assert "are in the current snapshot already" in said(*words, "--time-zone", "Asia/Tashkent", "--append", expect=2)
    again = (*words, "--time-zone", "Asia/Tashkent", "--append", "--on-duplicate", "first")
    assert "5 readings are there already and were left out" in said(*again)
    assert "choose one" in said(*words, "--append", "--update", expect=2)
    (current,) = [item for item in json.loads(said("snapshots", "list", "--json"))["snapshots"] if item["current"]]
    shown = json.loads(said("snapshots", "show", current["id"], "--json"))
    assert shown["verified"]
    assert {item["name"] for item in shown["files"]} == {
        f"{stem}{segment}.{end}"
        for stem, end in (("observation", "parquet"), ("original", "jsonl.zst"))
        for segment in ("", ".0002", ".0003")
    }
    said("snapshots", "rollback", "observation", "--yes")
    (view,) = city.home.views.glob("*.parquet")
    assert pq.read_metadata(view).num_rows == 10
