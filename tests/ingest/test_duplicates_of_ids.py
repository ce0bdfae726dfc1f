"""Objects that share an id: refused, or kept by the rule that was asked for."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import shapely

from cimfed_node.ingest import OnDuplicate
from tests.ingest.making import (
    BLOCK,
    block,
    city_feature,
    city_object,
    header,
    imported,
    lines,
    on_map,
    refused,
    ring,
    same,
    solid,
)

GEO = "OGC:CRS84"


def polygon(x: float, y: float = 41.3) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [ring(x, y, 0.25)]}


def feature(id: str, x: float | None = 69.0, **properties: Any) -> dict[str, Any]:
    geometry = None if x is None else polygon(x)
    return {"type": "Feature", "id": id, "properties": properties, "geometry": geometry}


TWINS = lines(
    feature("a", 69.0, height=5, district="North", name="one"),
    feature("b", 70.0, height=6),
    feature("a", 69.25, height=9, parcel_id="P", colour="red", **{"name:en": "One"}),
    feature("a", None, height=None, colour="blue", taste="sweet", name="uno"),
)


@pytest.mark.parametrize("options", [{}, {"on_duplicate": OnDuplicate.REFUSE}], ids=["by default", "when asked"])
def test_shared_ids_are_refused_with_the_ways_out(options: dict[str, Any], tmp_path: Path) -> None:
    error = refused(tmp_path, TWINS, **options)
    assert "1 ids stand for several objects each: 'a'" in error.message
    assert error.place == "id"
    for way in ("--id", "first", "merge", "suffix"):
        assert way in (error.remedy or "")


def test_the_first_in_reading_order_is_kept(tmp_path: Path) -> None:
    rows, report = imported(tmp_path, TWINS, on_duplicate=OnDuplicate.FIRST)
    assert set(rows) == {"a", "b"}
    assert rows["a"]["height"] == 5
    assert rows["a"]["ext"] == {}
    assert (report.objects, report.rows, report.duplicates) == (4, 2, 2)


def test_the_first_is_the_first_read_wherever_it_lies_on_the_map(tmp_path: Path) -> None:
    """Rows are sorted by place when they are compared; both orders of two far places must say the same."""
    for number, places in enumerate([(-170.0, 170.0), (170.0, -170.0)]):
        made = [feature("a", x, height=height) for height, x in enumerate(places, 1)]
        rows, _ = imported(tmp_path / str(number), lines(*made), on_duplicate=OnDuplicate.FIRST)
        assert rows["a"]["height"] == 1


def test_the_first_of_several_files_is_kept(tmp_path: Path) -> None:
    rows, report = imported(
        tmp_path, lines(feature("a", height=1)), lines(feature("a", height=2)), on_duplicate=OnDuplicate.FIRST
    )
    assert rows["a"]["height"] == 1
    assert report.duplicates == 1


def test_a_suffix_numbers_the_later_ones(tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, TWINS, on_duplicate=OnDuplicate.SUFFIX)
    assert {id: row["height"] for id, row in rows.items()} == {"a": 5, "a~2": 9, "a~3": None, "b": 6}
    assert same(rows["a~2"]["geometry_lod0"], shapely.box(69.25, 41.3, 69.5, 41.55))
    assert rows["a~3"]["ext"] == {"colour": "blue", "taste": "sweet"}


def test_a_suffix_that_is_taken_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, lines(feature("a"), feature("a~2"), feature("a")), on_duplicate=OnDuplicate.SUFFIX)
    assert "'a~2' is taken" in error.message


def test_merging_unites_shapes_and_takes_the_first_that_is_known(tmp_path: Path) -> None:
    rows, report = imported(tmp_path, TWINS, on_duplicate=OnDuplicate.MERGE)
    row = rows["a"]
    assert shapely.equals(row["geometry_lod0"], shapely.box(69.0, 41.3, 69.5, 41.55))
    assert tuple(row["bbox"].values()) == pytest.approx((69.0, 41.3, 69.5, 41.55), abs=1e-9)
    assert (row["height"], row["height_method"]) == (5, "measured")
    assert (row["district"], row["parcel_id"]) == ("North", "P")
    assert row["name"] == {"und": "one", "en": "One"}
    assert row["ext"] == {"colour": "red", "taste": "sweet"}
    apart, _ = imported(tmp_path / "apart", TWINS, on_duplicate=OnDuplicate.SUFFIX)
    areas = [float(apart[id]["footprint_area"]) for id in ("a", "a~2")]
    assert float(row["footprint_area"]) == pytest.approx(sum(areas), rel=1e-9)
    assert report.duplicates == 2


def test_merging_what_lies_apart_gives_all_its_pieces(tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, lines(feature("a", 69), feature("a", 71)), on_duplicate=OnDuplicate.MERGE)
    expected = shapely.union(shapely.box(69, 41.3, 69.25, 41.55), shapely.box(71, 41.3, 71.25, 41.55))
    assert same(rows["a"]["geometry_lod0"], expected)


def test_merging_objects_without_a_place_gives_a_row_without_one(tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, lines(feature("a", None, height=1), feature("a", None)), on_duplicate="merge")
    assert rows["a"]["geometry_lod0"] is None
    assert rows["a"]["bbox"] is None
    assert rows["a"]["height"] == 1


def test_merging_points_keeps_them_all(tmp_path: Path) -> None:
    text = "id,x,y\na,1,2\na,3,4\nb,5,6\n"
    rows, _ = imported(tmp_path, text, crs=GEO, on_duplicate=OnDuplicate.MERGE)
    assert same(rows["a"]["geometry_lod0"], shapely.MultiPoint([(1, 2), (3, 4)]))


def test_merging_bodies_derives_heights_and_volumes_anew(tmp_path: Path) -> None:
    """Two pieces of one building, 12 m and 6 m high, the second on higher ground."""
    pieces = [BLOCK, block(20, 0, 10, 10, 10, 16)]
    made = [city_feature("a", {"a": city_object("Building", solid())}, piece) for piece in pieces]
    rows, _ = imported(tmp_path, lines(header(), *made), on_duplicate=OnDuplicate.MERGE)
    row = rows["a"]
    assert (row["zmin"], row["zmax"], row["height"]) == (2, 16, 14)
    assert row["volume"] == Decimal(2400 + 600)
    assert row["footprint_area"] == Decimal("300.0")
    assert {row[f"{name}_method"] for name in ("height", "volume", "footprint_area")} == {"derived"}
    assert same(row["geometry_lod0"], on_map((0, 0), (20, 0), (30, 0), (30, 10), (20, 10), (0, 10)), 2e-8)
    assert len(shapely.get_parts(row["geometry_lod1"])) == 12


def test_a_given_height_outlives_a_derived_one_in_a_merge(tmp_path: Path) -> None:
    first = city_feature("a", {"a": city_object("Building", solid())}, BLOCK)
    given = city_object("Building", solid(), attributes={"measuredHeight": 77})
    second = city_feature("a", {"a": given}, block(20, 0, 10, 10, 2, 8))
    rows, _ = imported(tmp_path, lines(header(), first, second), on_duplicate=OnDuplicate.MERGE)
    assert (rows["a"]["height"], rows["a"]["height_method"]) == (77, "measured")


@pytest.mark.parametrize("rule", [OnDuplicate.FIRST, OnDuplicate.MERGE, OnDuplicate.SUFFIX])
def test_many_shared_ids_are_settled_as_a_naive_count_says(rule: OnDuplicate, tmp_path: Path) -> None:
    ids = [f"b{number * number % 7}" for number in range(60)]
    made = [feature(id, -100 + number) for number, id in enumerate(ids)]
    rows, report = imported(tmp_path, lines(*made), on_duplicate=rule)
    counts = Counter(ids)
    assert report.duplicates == len(ids) - len(counts)
    if rule is OnDuplicate.SUFFIX:
        expected = {id if n == 1 else f"{id}~{n}" for id, most in counts.items() for n in range(1, most + 1)}
    else:
        expected = set(counts)
    assert set(rows) == expected
    if rule is OnDuplicate.MERGE:
        assert {id: len(shapely.get_parts(row["geometry_lod0"])) for id, row in rows.items()} == dict(counts)
