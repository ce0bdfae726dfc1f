"""Objects on both sides of 180 degrees, and on the meridian itself, as in Chukotka: against Geod and PROJ's own UTM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Geod, Proj

from cimfed_node.ingest.antimeridian import crossing, cut, unrolled
from cimfed_node.ingest.georef import around, within
from tests.ingest.making import (
    city_object,
    cityjson,
    feature,
    features,
    imported,
    refused,
    solid,
)

UTM60 = Proj(proj="utm", zone=60, ellps="WGS84")  # central meridian 177 degrees east, up to 180
GEOD = Geod(ellps="WGS84")
SOUTH = 66.0


def metric(lon: float, lat: float) -> tuple[float, float]:
    return tuple(UTM60(lon, lat))


def rectangle(x: float, y: float, width: float = 200.0, depth: float = 100.0) -> dict[str, Any]:
    ring = [[x, y], [x + width, y], [x + width, y + depth], [x, y + depth], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def geodesic_area(geometry: shapely.Geometry) -> float:
    return sum(abs(GEOD.geometry_area_perimeter(part)[0]) for part in shapely.get_parts(geometry))


def test_a_projected_polygon_across_is_cut_into_two_that_meet_on_the_meridian(tmp_path: Path) -> None:
    x, y = metric(180.0, SOUTH)
    data = features(feature("across", rectangle(x - 50, y)), feature("west", rectangle(x - 5000, y)))
    rows, report = imported(tmp_path, data, crs="EPSG:32660")
    found = rows["across"]["geometry_lod0"]
    sides = sorted(shapely.get_parts(found), key=lambda part: part.bounds[0])
    assert [part.is_valid for part in sides] == [True, True]
    assert sides[0].bounds[0] == -180
    assert sides[0].bounds[2] < -179.9
    assert sides[1].bounds[2] == 180
    assert sides[1].bounds[0] > 179.9
    expected = [UTM60(x - 50 + east, y + north, inverse=True)[0] for east, north in ((0, 0), (200, 0), (200, 100))]
    assert sides[1].bounds[0] == pytest.approx(min(lon for lon in expected if lon > 0), abs=1e-4)
    assert sides[0].bounds[2] == pytest.approx(max(lon for lon in expected if lon < 0), abs=1e-4)
    assert geodesic_area(found) == pytest.approx(200 * 100, rel=2e-3)
    assert float(rows["across"]["footprint_area"]) == 20_000
    assert rows["across"]["bbox"] == {
        "xmin": -180,
        "xmax": 180,
        **{k: rows["across"]["bbox"][k] for k in ("ymin", "ymax")},
    }
    assert rows["west"]["geometry_lod0"].geom_type == "Polygon"
    assert "1 objects across the antimeridian were cut there" in report.notes


def test_a_polygon_in_degrees_that_jumps_is_cut_and_measured_as_it_lies_on_the_ground(tmp_path: Path) -> None:
    ring = [[179.99, 66.0], [-179.99, 66.0], [-179.99, 66.01], [179.99, 66.01], [179.99, 66.0]]
    rows, _ = imported(tmp_path, features(feature("a", {"type": "Polygon", "coordinates": [ring]})))
    found = rows["a"]["geometry_lod0"]
    assert shapely.equals(
        found, shapely.union(shapely.box(179.99, 66, 180, 66.01), shapely.box(-180, 66, -179.99, 66.01))
    )
    assert float(rows["a"]["footprint_area"]) == pytest.approx(
        geodesic_area(shapely.box(10, 66, 10.02, 66.01)), rel=1e-3
    )


def test_what_is_cut_already_stays_as_it_is(tmp_path: Path) -> None:
    halves = shapely.union(shapely.box(179.99, 66, 180, 66.01), shapely.box(-180, 66, -179.99, 66.01))
    rows, report = imported(tmp_path, features(feature("a", shapely.geometry.mapping(halves))))
    assert shapely.equals(rows["a"]["geometry_lod0"], halves)
    assert not any("antimeridian" in note for note in report.notes)


def test_a_line_across_is_cut_too_and_points_need_not_be(tmp_path: Path) -> None:
    line = {"type": "LineString", "coordinates": [[179.9, 66], [-179.9, 66.2]]}
    points = {"type": "MultiPoint", "coordinates": [[179.9, 66], [-179.9, 66.2]]}
    rows, _ = imported(tmp_path, features(feature("l", line), feature("p", points)), collection="transportation")
    assert shapely.equals(
        rows["l"]["geometry_lod0"], shapely.from_wkt("MULTILINESTRING ((179.9 66, 180 66.1), (-180 66.1, -179.9 66.2))")
    )
    assert shapely.get_coordinates(rows["p"]["geometry_lod0"]).tolist() == [[179.9, 66], [-179.9, 66.2]]


def test_one_operation_serves_a_city_on_both_sides(tmp_path: Path) -> None:
    """Anadyr and Uelen in SK-42: in one extent across 180, not in one around the world."""
    text = "id,x,y\nanadyr,177.5,64.73\nuelen,-169.81,66.16\n"
    rows, report = imported(tmp_path, text, collection="facility", crs="EPSG:4284", city="ru.chukotka")
    assert report.operation.name == "Pulkovo 1942 to WGS 84 (20)"
    for id, place in (("anadyr", (177.5, 64.73)), ("uelen", (-169.81, 66.16))):
        moved = shapely.get_coordinates(rows[id]["geometry_lod0"])[0]
        assert 10 < GEOD.inv(*place, *moved)[2] < 200, "moved by the datum and by no more"


def test_the_zone_that_ends_on_the_meridian_reaches_half_a_degree_beyond_it(tmp_path: Path) -> None:
    """SK-42's zone 30 is for 174 to 180 degrees east; a place at 179.8 west is in it as one at 173.8 east is."""
    zone = Proj(proj="tmerc", lon_0=177, x_0=30_500_000, ellps="krass")
    places = {"beyond": (180.2, 66.0), "before": (173.8, 66.0), "far": (181.5, 66.0)}
    text = "id,x,y\n" + "".join(f"{id},{x},{y}\n" for id, (x, y) in ((id, zone(*p)) for id, p in places.items()))
    error = refused(tmp_path, text, collection="facility", crs="EPSG:28430", city="ru.chukotka")
    assert "1 bad objects" in error.message
    assert "far" in error.message


def block(lon: float, width: int) -> dict[str, Any]:
    x, y = (round(value, 3) for value in metric(lon, SOUTH))
    plan = [(0, 0), (width, 0), (width, 10), (0, 10)]
    corners = [[east * 1000, north * 1000, z * 1000] for z in (2, 14) for east, north in plan]
    return cityjson({"a": city_object("Building", solid())}, corners, crs="EPSG:32660", translate=(x - 10, y, 0))


def test_a_building_across_keeps_its_footprint_and_height_and_leaves_its_solid_to_the_original(tmp_path: Path) -> None:
    rows, report = imported(tmp_path, block(180.0, 20))
    row = rows["a"]
    assert row["geometry_lod1"] is None
    assert report.dropped == {"LoD 1 across the antimeridian": 1}
    assert len(shapely.get_parts(row["geometry_lod0"])) == 2
    assert (row["footprint_area"], row["height"]) == (200, 12)
    beside, report = imported(tmp_path / "beside", block(179.9, 20))
    assert beside["a"]["geometry_lod1"] is not None
    assert not report.dropped


def test_a_building_in_degrees_across_is_a_bad_object(tmp_path: Path) -> None:
    corners = [
        [x, y, z]
        for z in (0, 12)
        for x, y in ((1799999, 660000), (-1799999, 660000), (-1799999, 660001), (1799999, 660001))
    ]
    data = cityjson({"a": city_object("Building", solid())}, corners, crs="EPSG:4326", scale=1e-4, translate=(0, 0, 0))
    assert "projected CRS" in refused(tmp_path, data).message


@pytest.mark.parametrize(
    ("area", "inside", "outside"),
    [
        ((174, 60, 180, 70), [174, 173.6, 180, -179.6], [173.4, -179.4, 0]),
        ((170, 60, -170, 70), [170, 180, -180, -170, 169.6, -169.6], [169.4, -169.4, 0]),
        ((-180, 60, -174, 70), [-180, 180, 179.6, -173.6], [179.4, -173.4]),
        ((-180, -90, 180, 90), [-180, 0, 180], [181, -181, np.nan]),
    ],
)
def test_margins_of_areas_reach_across(area: Any, inside: list[float], outside: list[float]) -> None:
    points = np.array([[lon, 65.0] for lon in inside + outside])
    assert within(points, area).tolist() == [True] * len(inside) + [False] * len(outside)


def test_the_extent_of_places_is_the_narrow_one() -> None:
    assert around(np.array([[177.0, 64], [-170.0, 66]])) == (177, 64, -170, 66)
    assert around(np.array([[20.0, 64], [-170.0, 66], [177.0, 60]])) == (20, 60, -170, 66)
    assert around(np.array([[20.0, 64], [60.0, 66]])) == (20, 64, 60, 66)


def test_cutting_anything_gives_the_same_ground() -> None:
    """Random polygons around the meridian, some with holes: the parts put together again are the whole."""
    dice = np.random.default_rng(5)
    whole = [
        shapely.Point(lon, lat).buffer(0.4).difference(shapely.Point(lon + dx, lat).buffer(0.1))
        for lon, lat, dx in zip(
            dice.uniform(179.2, 180.8, 60), dice.uniform(60, 70, 60), dice.uniform(-0.3, 0.3, 60), strict=True
        )
    ]
    rolled = shapely.transform(
        np.array(whole), lambda xy: np.column_stack((np.where(xy[:, 0] > 180, xy[:, 0] - 360, xy[:, 0]), xy[:, 1]))
    )
    across = np.array([one.bounds[0] < 180 < one.bounds[2] for one in whole])
    assert (crossing(rolled) == across).all()
    assert across.sum() > 10
    parts, number = cut(unrolled(rolled))
    assert number == across.sum()
    assert shapely.is_valid(parts).all()
    for one, found in zip(whole, parts, strict=True):
        back = shapely.union_all(
            [
                shapely.transform(part, lambda xy: xy - (-360.0, 0.0)) if part.bounds[2] < 0 else part
                for part in shapely.get_parts(found)
            ]
        )
        assert shapely.symmetric_difference(one, back).area < 1e-9
