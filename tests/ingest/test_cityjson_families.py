"""Parts without parents, parents without parts, and circles: each has one result, in documents and in sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ingest.making import (
    BLOCK,
    city_feature,
    city_object,
    cityjson,
    header,
    imported,
    lines,
    refused,
    solid,
)

GOOD = city_object("Building", solid())
ORPHAN = city_object("BuildingPart", solid(), parents=["gone"])


def data_of(objects: dict[str, Any], root: str, sequence: bool) -> Any:
    """These objects as a document, or as a feature of that root beside a good one."""
    if not sequence:
        return cityjson({"good": GOOD, **objects}, BLOCK)
    return lines(header(), city_feature("good", {"good": GOOD}, BLOCK), city_feature(root, objects, BLOCK))


@pytest.mark.parametrize("sequence", [False, True], ids=["document", "sequence"])
def test_an_orphan_is_a_part_of_no_building(sequence: bool, tmp_path: Path) -> None:
    data = data_of({"o": ORPHAN}, "o", sequence)
    rows, report = imported(tmp_path, data, collection="building_part")
    assert set(rows) == {"o"}
    assert rows["o"]["building"] is None
    assert rows["o"]["zmax"] == 14
    rows, report = imported(tmp_path / "buildings", data)
    assert set(rows) == {"good"}
    assert report.skipped == {"BuildingPart": 1}


def test_a_parent_in_another_feature_is_not_looked_for(tmp_path: Path) -> None:
    """A feature is whole (CityJSON 2.0, 8.1); its part stands alone, and the building has what it has itself."""
    part = city_object("BuildingPart", solid(), parents=["b"])
    text = lines(header(), city_feature("b", {"b": GOOD}, BLOCK), city_feature("p", {"p": part}, BLOCK))
    rows, _ = imported(tmp_path, text, collection="building_part")
    assert rows["p"]["building"] is None
    rows, _ = imported(tmp_path / "buildings", text)
    assert set(rows) == {"b"}
    named = city_feature("b", {"b": GOOD | {"children": ["p"]}}, BLOCK)
    error = refused(tmp_path / "named", lines(header(), named, city_feature("p", {"p": part}, BLOCK)))
    assert "data:2: b: the child 'p' is missing" in error.message


@pytest.mark.parametrize("sequence", [False, True], ids=["document", "sequence"])
def test_a_child_that_is_missing_makes_a_bad_object(sequence: bool, tmp_path: Path) -> None:
    data = data_of({"b": GOOD | {"children": ["gone"]}}, "b", sequence)
    error = refused(tmp_path, data)
    assert "1 bad objects" in error.message
    assert "b: the child 'gone' is missing" in error.message
    rows, _ = imported(tmp_path / "rest", data, quarantine=tmp_path / "bad")
    assert set(rows) == {"good"}


CIRCLE = {
    "a": city_object("Building", solid(), parents=["p"], children=["p"]),
    "p": city_object("BuildingPart", solid(), parents=["a"], children=["a"]),
}


def test_a_circle_of_parents_is_bad_in_a_document_and_a_family_in_a_feature(tmp_path: Path) -> None:
    """A feature names its root; a document's circle has none."""
    error = refused(tmp_path, data_of(CIRCLE, "a", sequence=False))
    assert "1 bad objects" in error.message
    assert "a: no top-level object leads to it by 'children'" in error.message
    rows, _ = imported(tmp_path / "sequence", data_of(CIRCLE, "a", sequence=True))
    assert set(rows) == {"good", "a"}
    rows, _ = imported(tmp_path / "parts", data_of(CIRCLE, "a", sequence=True), collection="building_part")
    assert rows["p"]["building"] == "a"


def test_a_circle_of_parts_alone_ends(tmp_path: Path) -> None:
    objects = {
        "p": city_object("BuildingPart", solid(), parents=["q"], children=["q"]),
        "q": city_object("BuildingPart", solid(), parents=["p"], children=["p"]),
    }
    rows, _ = imported(tmp_path, data_of(objects, "p", sequence=True), collection="building_part")
    assert {id: row["building"] for id, row in rows.items()} == {"p": None, "q": None}
    error = refused(tmp_path / "document", data_of(objects, "p", sequence=False), collection="building_part")
    assert "2 bad objects" in error.message
