"""A snapshot that follows another by ids, against dictionaries of what the files say."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from cimfed.errors import BadFile
from cimfed_node.ingest import ImportReport, Snapshot, import_files
from cimfed_node.ingest.hilbert import hilbert_keys
from cimfed_node.ingest.update import Base, read_ids, take_out
from tests.ingest.making import (
    BLOCK,
    Data,
    city_feature,
    city_object,
    cityjson,
    feature,
    features,
    header,
    lines,
    request_for,
    ring,
    solid,
)

Objects = dict[str, dict[str, Any]]


def made(
    folder: Path, data: Data, base: Snapshot | None = None, removed: list[str] | None = None, **options: Any
) -> tuple[Snapshot, ImportReport]:
    request = request_for(folder, [data], options.pop("collection", "building"), "uz.city", options)
    follows = None if base is None else Base(base, pa.array(removed or [], pa.string()))
    return import_files(request, folder / "snapshots", base=follows)


def originals(snapshot: Snapshot) -> list[Any]:
    """Every line of all originals, read by Arrow and json alone."""
    found = []
    for path in snapshot.originals:
        with pa.input_stream(str(path), compression="zstd") as stream:
            found += [json.loads(line) for line in stream.read().splitlines()]
    return found


def drawn_objects(drawn: random.Random, ids: range) -> Objects:
    def one(id: str) -> dict[str, Any]:
        at = [69 + drawn.randrange(1000) / 1000, 41 + drawn.randrange(1000) / 1000]
        shape = drawn.choice(
            [None, {"type": "Point", "coordinates": at}, {"type": "Polygon", "coordinates": [ring(*at)]}]
        )
        return feature(id, shape, height=drawn.randrange(100), note=f'{id} ,"object": {drawn.random()}')

    return {id: one(id) for id in (f"b{number}" for number in ids)}


def check(snapshot: Snapshot, expected: Objects) -> None:
    """Rows, originals, and what inventory and footer say of them, against the objects."""
    rows = {row["id"]: row for row in pq.read_table(snapshot.path).to_pylist()}
    assert rows.keys() == expected.keys()
    assert snapshot.rows == len(expected)
    for id, row in rows.items():
        assert row["height"] == expected[id]["properties"]["height"]
        shape = expected[id]["geometry"]
        assert (row["geometry_lod0"] is None) == (shape is None)
        if shape is not None:
            assert shapely.equals(shapely.from_wkb(row["geometry_lod0"]), shapely.geometry.shape(shape))
    kept = [line for line in originals(snapshot) if "ids" in line]
    assert {line["ids"][0]: line["object"] for line in kept} == expected
    assert len(kept) == len(expected)
    shapes = [shapely.geometry.shape(item["geometry"]) for item in expected.values() if item["geometry"]]
    assert snapshot.extent == (tuple(shapely.total_bounds(shapes).tolist()) if shapes else None)
    footer = json.loads(pq.read_schema(snapshot.path).metadata[b"geo"])["columns"]["geometry_lod0"]
    assert set(footer["geometry_types"]) == {shape.geom_type for shape in shapes}
    bounds = np.array([shapely.bounds(shapely.from_wkb(r["geometry_lod0"])) if r["geometry_lod0"] else [np.nan] * 4
                       for r in rows.values()]).reshape(-1, 4)  # fmt: skip
    keys = hilbert_keys(bounds)
    assert (keys[:-1] <= keys[1:]).all()


@pytest.mark.parametrize("seed", range(6))
def test_rows_replace_are_added_and_go_by_id(tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)
    objects = drawn_objects(drawn, range(40))
    snapshot, _ = made(tmp_path, features(*objects.values()), licence="CC0-1.0")
    for step in range(4):
        new = drawn_objects(drawn, range(drawn.randrange(60), 60))
        removed = [id for id in objects if id not in new and drawn.random() < 0.3] + ["nowhere"] * (step % 2)
        if new:
            data = features(*new.values()) if step % 2 else lines(*new.values())
            snapshot, report = made(tmp_path, data, snapshot, removed)
            assert report.rows == len(new)
            notes = list(report.notes)
        else:
            snapshot, notes = take_out(Base(snapshot, pa.array(removed)), tmp_path / "snapshots")
        assert ("1 of the ids to take out are not in the current snapshot" in notes) == bool(step % 2)
        objects = {id: item for id, item in (objects | new).items() if id not in removed}
        check(snapshot, objects)
        assert snapshot.licence == "CC0-1.0"
    assert sum("header" in line for line in originals(snapshot)) <= 5


def test_the_one_before_stays_as_it_is(tmp_path: Path) -> None:
    before, _ = made(tmp_path, features(feature("a"), feature("b")))
    held = {path.name: path.read_bytes() for path in before.folder.iterdir()}
    made(tmp_path, features(feature("b", height=5)), before, ["a"])
    assert {path.name: path.read_bytes() for path in before.folder.iterdir()} == held


def test_all_may_go(tmp_path: Path) -> None:
    before, _ = made(tmp_path, features(feature("a"), feature("b")))
    after, _ = take_out(Base(before, pa.array(["a", "b"])), tmp_path / "snapshots")
    check(after, {})


def test_an_id_is_not_both_in_the_files_and_taken_out(tmp_path: Path) -> None:
    before, _ = made(tmp_path, features(feature("a"), feature("b")))
    with pytest.raises(BadFile, match="'a'"):
        made(tmp_path, features(feature("a")), before, ["a"])
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [before.id]


def test_rows_of_one_crs_keep_their_operation(tmp_path: Path) -> None:
    """EPSG:28412 has several into WGS 84; in this place PROJ would choose another one by itself."""
    table = "id,x,y\n{},{},{}\n"
    first, _ = made(tmp_path, table.format("a", 12_550_000, 4_570_000), crs="EPSG:28412",
                    operation="Pulkovo 1942 to WGS 84 (20)")  # fmt: skip
    alone, _ = made(tmp_path / "alone", table.format("b", 12_551_000, 4_570_000), crs="EPSG:28412")
    assert alone.inventory["operation"]["name"] != first.inventory["operation"]["name"]
    after, report = made(tmp_path, table.format("b", 12_551_000, 4_570_000), first, crs="EPSG:28412")
    assert report.operation.name == first.inventory["operation"]["name"]
    assert after.inventory["operation"] == first.inventory["operation"]
    assert "parts" not in after.inventory
    assert len(after.inventory["sources"]) == 2


def test_what_came_by_which_operation_is_told_apart(tmp_path: Path) -> None:
    first, _ = made(tmp_path, features(feature("a"), feature("b")), licence="L1", attribution="one")
    table = "id,x,y\nb,12550000,4570000\n"
    after, _ = made(tmp_path, table, first, crs="EPSG:28412", licence="L2")
    assert (after.licence, after.attribution) == ("L2", "one")
    one, two = after.inventory["parts"]
    assert (one["crs"], one["operation"]["name"]) == ("OGC:CRS84", "Identity")
    assert two["crs"] == "EPSG:28412"
    assert after.inventory["operation"]["name"] == f"Identity; {two['operation']['name']}"
    assert after.inventory["operation"]["accuracy_m"] == two["operation"]["accuracy_m"] > 0
    assert [item["format"] for item in after.inventory["sources"]] == ["GeoJSON", "CSV"]
    again, _ = made(tmp_path, "id,x,y\nc,12550000,4570000\n", after, crs="EPSG:28412")
    assert [len(part["sources"]) for part in again.inventory["parts"]] == [1, 2]
    whole, _ = made(tmp_path, features(feature("z")), again, ["a", "b", "c"])
    assert "parts" not in whole.inventory
    assert whole.inventory["operation"]["name"] == "Identity"


def block_of(id: str, crs: str) -> dict[str, Any]:
    return cityjson({id: city_object("Building", solid())}, BLOCK, crs=crs)


def test_heights_of_two_systems_are_not_mixed(tmp_path: Path) -> None:
    nap, none = "https://www.opengis.net/def/crs/EPSG/0/7415", "https://www.opengis.net/def/crs/EPSG/0/28992"
    first, _ = made(tmp_path, block_of("a", nap))
    with pytest.raises(BadFile, match=r"not named after heights in NAP height"):
        made(tmp_path, block_of("b", none), first)
    after, _ = made(tmp_path, features(feature("b", {"type": "Point", "coordinates": [4.9, 52.4]})), first)
    assert after.inventory["vertical"] == "NAP height"
    last, _ = made(tmp_path, block_of("c", none), after, ["a"])
    assert last.inventory["vertical"] == ""


def test_of_a_family_each_goes_by_itself(tmp_path: Path) -> None:
    family = city_feature(
        "b",
        {
            "b": city_object("Building", children=["p", "q"]),
            "p": city_object("BuildingPart", solid(), parents=["b"]),
            "q": city_object("BuildingPart", solid(), parents=["b"]),
        },
        BLOCK,
    )
    first, _ = made(tmp_path, lines(header(), family), collection="building_part")
    after, _ = take_out(Base(first, pa.array(["p"])), tmp_path / "snapshots")
    assert [line["ids"] for line in originals(after) if "ids" in line] == [["q"]]
    assert pq.read_table(after.path)["id"].to_pylist() == ["q"]
    last, _ = take_out(Base(after, pa.array(["q"])), tmp_path / "snapshots")
    assert originals(last) == []


def test_other_columns_are_refused(tmp_path: Path) -> None:
    before, _ = made(tmp_path, features(feature("a")))
    pq.write_table(pq.read_table(before.path).drop_columns(["height"]), before.path)
    with pytest.raises(BadFile, match="other columns"):
        made(tmp_path, features(feature("b")), before)


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"\xef\xbb\xbfa b\r\n\r\n a\r\na b", ["a b", " a"]),
        ("и\u0306".encode(), ["й"]),
        (b"", []),
    ],
)
def test_ids_stand_one_a_line(tmp_path: Path, content: bytes, ids: list[str]) -> None:
    (tmp_path / "ids").write_bytes(content)
    assert read_ids(tmp_path / "ids").to_pylist() == ids


@pytest.mark.parametrize("content", [b"\xff\n", b"a" * 2_000_000])
def test_what_is_no_list_of_ids_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ids").write_bytes(content)
    with pytest.raises(BadFile):
        read_ids(tmp_path / "ids")
    with pytest.raises(BadFile, match="No such file"):
        read_ids(tmp_path / "nowhere")
