"""Bad objects: without a quarantine nothing is imported; with one they are put aside and the rest comes in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cimfed.errors import CimfedError
from cimfed_node.ingest import preview
from tests.ingest.making import (
    BLOCK,
    SQUARE,
    as_bytes,
    city_feature,
    city_object,
    cityjson,
    feature,
    features,
    header,
    imported,
    lines,
    refused,
    request_for,
    solid,
)

OPEN = {"type": "Polygon", "coordinates": [[[69, 41], [70, 41], [70, 42], [69, 42]]]}
WRONG = city_object("Building", {"type": "Solid", "lod": "1", "boundaries": [[[[0, 1, 99]]]]})
GOOD = city_object("Building", solid())
NUMBER = "a vertex number that the object has no vertex for"

# data, options, what is imported, what is put aside: object, line (0: none), reason
CASES: dict[str, tuple[Any, dict[str, Any], set[str], list[tuple[str, int, str]]]] = {
    "GeoJSON": (
        features(feature("a"), feature("b", OPEN), "no object", feature("c")),
        {},
        {"a", "c"},
        [("number 3", 0, "not a Feature"), ("b", 0, "a ring that is not closed")],
    ),
    "GeoJSON lines": (
        lines(feature("a"), feature("b", OPEN)) + '{"broken\n' + lines(feature("c")),
        {},
        {"a", "c"},
        [("number 3", 3, "not a Feature"), ("b", 2, "a ring that is not closed")],
    ),
    "CSV": (
        "id,x,y,height\na,69,41,5\nb,69,,6\nc,69\nd,69,41,1e30\ne,70,41,\n",
        {"crs": "OGC:CRS84"},
        {"a", "e"},
        [
            ("c", 4, "2 cells under 4 columns"),
            ("d", 5, "height for height: 1e+30 is too large for DECIMAL(18, 2)"),
            ("b", 3, "coordinates that are not two numbers"),
        ],
    ),
    "CityJSON": (
        cityjson({"a": GOOD, "b": city_object("Building", {"type": "Cube", "lod": "1"}), "c": GOOD, "d": 7}, BLOCK),
        {},
        {"a", "c"},
        [("d", 0, "the object is not a JSON object"), ("b", 0, "'Cube' is no geometry type of CityJSON")],
    ),
    "CityJSONSeq": (
        lines(
            header(),
            city_feature("a", {"a": GOOD}, BLOCK),
            city_feature("b", {"b": WRONG}, BLOCK),
            {"type": "Feature"},
            city_feature("c", {"c": GOOD}, BLOCK),
        ),
        {},
        {"a", "c"},
        [("", 4, "not a CityJSONFeature"), ("b", 3, NUMBER)],
    ),
}


def sorted_items(entry: dict[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_bad_objects_are_put_aside_with_file_object_and_reason(name: str, packed: bool, tmp_path: Path) -> None:
    data, options, good, bad = CASES[name]
    raw = gzip.compress(as_bytes(data)) if packed else data
    error = refused(tmp_path / "without", raw, **options)
    assert f"{len(bad)} bad objects; nothing was imported" in error.message
    assert "--quarantine" in (error.remedy or "")
    aside = tmp_path / "bad.jsonl"
    rows, report = imported(tmp_path / "with", raw, quarantine=aside, **options)
    assert set(rows) == good
    assert report.bad == len(bad)
    found = [json.loads(line) for line in aside.read_text("utf-8").splitlines()]
    expected = [
        {"file": "data", "object": id, "reason": why} | ({"line": line} if line else {}) for id, line, why in bad
    ]
    assert sorted(map(sorted_items, found)) == sorted(map(sorted_items, expected))
    for id, line, why in bad:
        assert f"data{f':{line}' if line else ''}: {id or '(no id)'}: {why}" in error.message


@pytest.mark.parametrize("name", CASES)
def test_a_preview_tells_of_bad_objects_and_refuses_none(name: str, tmp_path: Path) -> None:
    data, options, good, bad = CASES[name]
    found = preview(request_for(tmp_path, [data], "building", "xx.city", options))
    assert {(one.object, one.line, one.reason) for one in found.bad} == set(bad)
    assert {row["id"] for row in found.rows} == good
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_quarantine_without_bad_objects_is_an_empty_file(tmp_path: Path) -> None:
    aside = tmp_path / "bad.jsonl"
    _, report = imported(tmp_path / "in", features(feature()), quarantine=aside)
    assert report.bad == 0
    assert aside.read_bytes() == b""


def test_an_older_quarantine_is_replaced_only_once_the_import_stands(tmp_path: Path) -> None:
    aside = tmp_path / "bad.jsonl"
    aside.write_text("older")
    with pytest.raises(CimfedError, match="several objects"):
        imported(tmp_path / "fails", features(feature(), feature()), quarantine=aside)
    assert aside.read_text() == "older"
    imported(tmp_path / "works", features(feature("a"), feature("b", OPEN)), quarantine=aside)
    assert [json.loads(line)["object"] for line in aside.read_text().splitlines()] == ["b"]


def test_a_quarantine_that_cannot_be_written_undoes_the_import(tmp_path: Path) -> None:
    data = features(feature("a"), feature("b", OPEN))
    error = refused(tmp_path / "a", data, quarantine=tmp_path / "no folder" / "bad.jsonl")
    assert "the quarantine file cannot be written" in error.message
    (tmp_path / "folder").mkdir()
    with pytest.raises(CimfedError, match="cannot be written"):
        imported(tmp_path / "b", data, quarantine=tmp_path / "folder")
    assert list((tmp_path / "b" / "snapshots").iterdir()) == []


def test_a_quarantine_never_overwrites_a_file_that_is_imported(tmp_path: Path) -> None:
    data = features(feature("a"), feature("b", OPEN))
    error = refused(tmp_path, data, quarantine=tmp_path / "data")
    assert "one of the files to import" in error.message
    assert json.loads((tmp_path / "data").read_bytes()) == data
    error = refused(tmp_path, data, quarantine=tmp_path / "snapshots" / ".." / "data")
    assert "one of the files to import" in error.message


def test_a_link_to_itself_is_refused_like_any_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    error = refused(tmp_path / "in", tmp_path / "link", quarantine=tmp_path / "bad.jsonl")
    assert "cannot be read" in error.message
    assert error.place == "link"


def test_a_file_of_bad_objects_alone_is_refused_with_their_reasons(tmp_path: Path) -> None:
    error = refused(tmp_path, features(feature("b", OPEN)), quarantine=tmp_path / "bad.jsonl")
    assert "b: a ring that is not closed" in error.message
    assert "--quarantine" not in (error.remedy or ""), "it was said, and there are no others to let through"
    assert "--crs" in (error.remedy or "")


def test_a_refusal_lists_the_first_20_of_many_bad_objects(tmp_path: Path) -> None:
    error = refused(tmp_path, features(*(feature(f"b{number}", OPEN) for number in range(33))))
    assert error.message.count("a ring that is not closed") == 20
    assert "and 13 more" in error.message


def test_a_bad_object_leaves_nothing_in_the_original(tmp_path: Path) -> None:
    data = features(feature("good", secret="keep"), feature("bad", OPEN, secret="drop"))
    imported(tmp_path / "in", data, quarantine=tmp_path / "bad.jsonl")
    (folder,) = (tmp_path / "in" / "snapshots").iterdir()
    with pa.input_stream(str(folder / "original.jsonl.zst"), compression="zstd") as stream:
        told, *objects = map(json.loads, stream.read().splitlines())
    assert told["file"] == "data"
    assert objects == [{"ids": ["good"], "object": feature("good", SQUARE, secret="keep")}]
