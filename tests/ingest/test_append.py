"""Readings that are appended: a further segment, links to those before, and what refuses."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cimfed.errors import BadConfig, BadFile
from cimfed_node.ingest import ImportReport, OnDuplicate, Snapshot, import_files, read_snapshot
from cimfed_node.ingest import append as appending
from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.update import Base, take_out
from tests.ingest.making import Data, feature, features, request_for


def table(values: dict[str, int]) -> str:
    return "id,time,value,valid_from\n" + "".join(
        f"{id},2026-01-01T00:00:00Z,{value},20{value % 90 + 10:02}-01-01T00:00:00Z\n" for id, value in values.items()
    )


def put(folder: Path, data: Data, base: Snapshot | None = None, **options: Any) -> tuple[Snapshot, ImportReport]:
    collection = options.pop("collection", "observation")
    request = request_for(folder, [data], collection, "uz.city", options)
    return import_files(request, folder / "snapshots", base=None if base is None else Base(base, appended=True))


def held(snapshot: Snapshot) -> dict[str, Decimal]:
    rows = [row for path in snapshot.paths for row in pq.read_table(path).to_pylist()]
    assert len(rows) == snapshot.rows
    return {row["id"]: row["value"] for row in rows}


@pytest.mark.parametrize("seed", range(3))
def test_segments_hold_what_was_appended(tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)
    expected = {f"r{number}": drawn.randrange(90) for number in range(20)}
    snapshot, _ = put(tmp_path, table(expected))
    for step in range(4):
        new = {f"r{drawn.randrange(100)}": drawn.randrange(90) for _ in range(15)}
        fresh = {id: value for id, value in new.items() if id not in expected}
        before = {path.name: path.stat().st_ino for path in snapshot.folder.iterdir() if path.suffix != ".json"}
        snapshot, report = put(tmp_path, table(new), snapshot, on_duplicate=OnDuplicate.FIRST)
        expected |= fresh
        assert report.rows == len(fresh)
        assert any("are there already" in note for note in report.notes) == (len(fresh) < len(new))
        assert len(snapshot.paths) == step + 2
        after = {path.name: path.stat().st_ino for path in snapshot.folder.iterdir()}
        assert {name: after[name] for name in before} == before
        assert held(snapshot) == expected
        assert snapshot.inventory["times"][0] == f"20{min(v % 90 + 10 for v in expected.values()):02}-01-01T00:00:00Z"
        assert read_snapshot(snapshot.folder, verify=True) == snapshot
    gone = list(expected)[:5]
    whole, _ = take_out(Base(snapshot, pa.array(gone)), tmp_path / "snapshots")
    assert len(whole.paths) == 1
    assert held(whole) == {id: value for id, value in expected.items() if id not in gone}
    with pa.input_stream(str(whole.originals[0]), compression="zstd") as stream:
        lines = [json.loads(line) for line in stream.read().splitlines()]
    assert {line["object"]["id"] for line in lines if "ids" in line} == held(whole).keys()


def test_what_is_there_is_refused_or_stays(tmp_path: Path) -> None:
    base, _ = put(tmp_path, table({"a": 1}))
    with pytest.raises(BadFile, match="1 ids are in the current snapshot already, the first 'a'"):
        put(tmp_path, table({"a": 2, "b": 2}), base)
    same, report = put(tmp_path, table({"a": 2}), base, on_duplicate=OnDuplicate.FIRST)
    assert (same.id, report.rows) == (base.id, 0)
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [base.id]


def test_doubles_within_the_files_are_settled_too(tmp_path: Path) -> None:
    base, _ = put(tmp_path, table({"a": 1}))
    twice = table({"b": 1}) + "b,2026-01-01T00:00:00Z,2,\n"
    with pytest.raises(BadFile, match="several objects"):
        put(tmp_path, twice, base)
    after, _ = put(tmp_path, twice, base, on_duplicate=OnDuplicate.FIRST)
    assert held(after) == {"a": 1, "b": 1}


def test_what_orders_by_place_is_not_appended_to(tmp_path: Path) -> None:
    plain, _ = put(tmp_path, table({"a": 1}))
    placed, _ = put(tmp_path, features(feature("p", time="2026-01-01T00:00Z")))
    with pytest.raises(BadFile, match="place of their own"):
        put(tmp_path, features(feature("q", time="2026-01-01T00:00Z")), plain)
    with pytest.raises(BadFile, match="place of their own"):
        put(tmp_path, table({"b": 1}), placed)
    building, _ = put(tmp_path, features(feature("a")), collection="building")
    with pytest.raises(BadConfig, match="only observation"):
        put(tmp_path, features(feature("b")), building, collection="building")
    with pytest.raises(BadConfig, match="not merge"):
        put(tmp_path, table({"b": 1}), plain, on_duplicate=OnDuplicate.MERGE)


def test_segments_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "LIMITS", type(LIMITS)(segments=2))
    base, _ = put(tmp_path, table({"a": 1}))
    second, _ = put(tmp_path, table({"b": 1}), base)
    with pytest.raises(BadFile, match="2 segments"):
        put(tmp_path, table({"c": 1}), second)


def test_without_links_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(appending.os, "link", no_links)
    base, _ = put(tmp_path, table({"a": 1}))
    second, _ = put(tmp_path, table({"b": 2}), base)
    assert held(second) == {"a": 1, "b": 2}
    assert read_snapshot(second.folder, verify=True).rows == 2
