"""Imports of real files say what an independent reading of the files says: counts, attributes, coordinates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import Geod

from cimfed.errors import BadFile
from cimfed.model.names import CityName
from cimfed_node.ingest import ImportReport, ImportRequest, OnDuplicate, import_files
from tests.lacking import real
from tests.oracle import buildings, things, units
from tests.oracle.places import Position

NEAR = 1e-7  # degrees: about a centimetre
MAPPINGS = Path(__file__).resolve().parents[2] / "scripts" / "mappings"

Row = dict[str, Any]
Import = Callable[..., tuple[dict[str, Row], ImportReport]]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Imports one file and gives its rows by id, and the report."""

    def run(file: Path, city: str, collection: str, **options: Any) -> tuple[dict[str, Row], ImportReport]:
        request = ImportRequest(files=(file,), city=CityName(city), collection=collection, **options)
        snapshot, report = import_files(request, tmp_path / "snapshots")
        rows: list[Row] = pq.read_table(snapshot.path).to_pylist()
        assert snapshot.rows == report.rows == len(rows)
        assert {row["city"] for row in rows} == {city}
        by_id = {row["id"]: row for row in rows}
        assert len(by_id) == len(rows)
        return by_id, report

    return run


def vertices(wkb: bytes) -> np.ndarray[Any, Any]:
    return shapely.get_coordinates(shapely.from_wkb(wkb))


def farthest(some: Iterable[Position], others: Iterable[Position]) -> float:
    """The greatest distance, in degrees of either axis, from one of ``some`` to the nearest of ``others``."""
    left, right = np.unique(np.array(list(some)), axis=0), np.unique(np.array(list(others)), axis=0)
    return max(float(np.abs(right - point).max(axis=1).min()) for point in left)


def bounds(corners: Iterable[Position]) -> tuple[float, float, float, float]:
    points = np.array(list(corners))
    return (*points.min(axis=0), *points.max(axis=0))


def box(row: Row) -> tuple[float, ...]:
    return tuple(row["bbox"][corner] for corner in ("xmin", "ymin", "xmax", "ymax"))


def names(row: Row) -> dict[str, str]:
    return dict(row["name"] or ())


def solid_agrees(row: Row, building: buildings.Building, level: str) -> None:
    """Height, extremes, and every vertex of the body: none is missing, none is added."""
    assert row["height"] == building.height
    assert row["height_method"] == ("measured" if building.measured else "derived")
    assert row["zmin"] == building.zmin
    assert row["zmax"] == building.zmax
    body = vertices(row[level])
    assert farthest(body, building.corners) < NEAR
    assert farthest(building.corners, body) < NEAR
    footprint = shapely.from_wkb(row["geometry_lod0"])
    assert footprint.is_valid
    assert box(row) == pytest.approx(footprint.bounds, abs=0)
    west, south, east, north = bounds(building.corners)
    assert west - NEAR < footprint.bounds[0] < footprint.bounds[2] < east + NEAR
    assert south - NEAR < footprint.bounds[1] < footprint.bounds[3] < north + NEAR


# Buildings


def test_delft_gives_its_top_level_buildings_with_their_measured_heights(imported: Import) -> None:
    file = real("delft/delft.city.json")
    rows, report = imported(file, "nl.delft", "building")
    expected = buildings.delft(file)
    assert len(rows) == 160
    assert set(rows) == set(expected)
    assert report.operation.crs == "EPSG:7415"
    assert report.operation.vertical == "NAP height"
    for identifier, building in expected.items():
        solid_agrees(rows[identifier], building, "geometry_lod1")
        assert bounds(building.corners) == pytest.approx(box(rows[identifier]), abs=NEAR)


def test_zurichs_parts_belong_to_their_buildings(imported: Import) -> None:
    file = real("zurich/zurich_subset_lod2.city.json")
    rows, report = imported(file, "ch.zurich", "building")
    expected = buildings.zurich(file)
    assert len(rows) == 49
    assert set(rows) == set(expected)
    assert report.derived["height"] == 49
    for identifier, building in expected.items():
        solid_agrees(rows[identifier], building, "geometry_lod2")


def test_zurichs_parts_are_rows_of_their_own_collection(imported: Import) -> None:
    file = real("zurich/zurich_subset_lod2.city.json")
    rows, _ = imported(file, "ch.zurich", "building_part")
    expected = buildings.zurich_parts(file)
    assert len(rows) == 161
    assert set(rows) == set(expected)
    for identifier, part in expected.items():
        assert (rows[identifier]["building"],) == part.parts
        assert rows[identifier]["zmax"] == part.zmax
        assert farthest(part.corners, vertices(rows[identifier]["geometry_lod2"])) < NEAR


@pytest.mark.parametrize("name", ["shanghai_lod1_4549.city.json", "shanghai_lod1_4549.city.jsonl"])
def test_shanghais_solids_come_alike_from_cityjson_and_its_sequence(name: str, imported: Import) -> None:
    expected = buildings.shanghai(real("derived/shanghai_lod1_4549.city.json"))
    rows, report = imported(real(f"derived/{name}"), "cn.shanghai", "building")
    assert len(rows) == 582
    assert set(rows) == set(expected)
    assert report.operation.declared
    assert report.operation.accuracy_m is not None
    for identifier, building in expected.items():
        row = rows[identifier]
        solid_agrees(row, building, "geometry_lod1")
        assert names(row) == {key[5:] or "und": value for key, value in building.names.items()}


def test_shanghais_pieces_of_tiles_are_merged_by_id(imported: Import) -> None:
    file = real("shanghai/shanghai_buildings.geojson")
    rows, report = imported(
        file, "cn.shanghai", "building", where=(("kind", "building"),), on_duplicate=OnDuplicate.MERGE
    )
    expected = buildings.shanghai_tiles(file)
    assert set(rows) == set(expected)
    assert len(rows) == 1321
    assert report.duplicates == 1430 - 1321
    for identifier, building in expected.items():
        row = rows[identifier]
        assert row["height"] == building.height
        assert row["height_method"] == ("measured" if building.measured else None)
        assert names(row).get("zh") == building.names.get("name:zh")
        assert names(row).get("en") == building.names.get("name:en")
        assert box(row) == pytest.approx(bounds(building.corners), abs=NEAR)
        assert shapely.from_wkb(row["geometry_lod0"]).is_valid
    high = sum(building.height is not None and building.height > 5 for building in expected.values())
    assert sum(row["height"] is not None and row["height"] > 5 for row in rows.values()) == high > 500


def test_all_of_shanghais_tiles_have_1450_ids(imported: Import) -> None:
    file = real("shanghai/shanghai_buildings.geojson")
    rows, _ = imported(file, "cn.shanghai", "building", on_duplicate=OnDuplicate.MERGE)
    assert len(rows) == 1450


# Districts


def area_agrees(row: Row, unit: units.Unit) -> None:
    assert farthest(vertices(row["geometry_lod0"]), unit.corners) < NEAR
    assert farthest(unit.corners, vertices(row["geometry_lod0"])) < NEAR
    assert box(row) == pytest.approx(bounds(unit.corners), abs=NEAR)


def test_moscow_has_125_districts_with_russian_names(imported: Import) -> None:
    file = real("moscow/moscow_districts.geojson")
    rows, report = imported(file, "ru.moscow", "admin_unit", id_column="cartodb_id")
    expected = {unit.id: unit for unit in units.moscow(file)}
    assert len(rows) == 125
    assert set(rows) == set(expected)
    assert report.repaired == 0
    for identifier, unit in expected.items():
        assert unit.names["name"] in names(rows[identifier]).values()
        area_agrees(rows[identifier], unit)


def test_moscows_names_come_in_two_scripts_by_its_mapping(imported: Import) -> None:
    file = real("moscow/moscow_districts.geojson")
    rows, _ = imported(file, "ru.moscow", "admin_unit", mapping=MAPPINGS / "ru.moscow.yaml")
    told = {unit.id: {"ru": unit.names["name"], "ru-Latn": unit.names["name_lat"]} for unit in units.moscow(file)}
    assert {identifier: names(row) for identifier, row in rows.items()} == told


def test_delhi_has_290_wards_though_one_has_neither_number_nor_name(imported: Import) -> None:
    file = real("delhi/Delhi_Wards.geojson")
    rows, report = imported(file, "in.delhi", "admin_unit", mapping=MAPPINGS / "in.delhi.yaml")
    expected = {unit.id or f"#{place}": unit for place, unit in enumerate(units.delhi(file), 1)}
    assert len(rows) == 290
    assert set(rows) == set(expected)
    assert report.operation.crs == "OGC:CRS84"
    assert report.repaired == 0
    for identifier, unit in expected.items():
        assert rows[identifier]["code"] == unit.id
        assert names(rows[identifier]) == ({"en": unit.names["Ward_Name"]} if unit.names else {})
        area_agrees(rows[identifier], unit)


def test_a_ward_without_a_number_stops_an_import_that_needs_one(imported: Import, tmp_path: Path) -> None:
    file = real("delhi/Delhi_Wards.geojson")
    with pytest.raises(BadFile, match="no id"):
        imported(file, "in.delhi", "admin_unit", id_column="Ward_No")
    bad = tmp_path / "bad.jsonl"
    rows, report = imported(file, "in.delhi", "admin_unit", id_column="Ward_No", quarantine=bad)
    assert (len(rows), report.bad) == (289, 1)
    assert len(bad.read_bytes().splitlines()) == 1


def test_tashkent_has_12_districts_with_names_in_three_languages(imported: Import) -> None:
    file = real("tashkent/tashkent_districts.geojson")
    rows, _ = imported(file, "uz.tashkent", "admin_unit", id_column="ADM2_EN")
    expected = {unit.id: unit for unit in units.tashkent(file)}
    assert len(rows) == 12
    assert set(rows) == set(expected)
    for identifier, unit in expected.items():
        told = {language: unit.names[f"ADM2_{language.upper()}"] for language in ("en", "ru", "uz")}
        assert names(rows[identifier]) == told
        area_agrees(rows[identifier], unit)


# Power plants


@pytest.mark.parametrize(("country", "count"), [("RUS", 209), ("IND", 455), ("UZB", 28)])
def test_power_plants_of_one_state_out_of_the_table_of_the_world(country: str, count: int, imported: Import) -> None:
    file = real("powerplants/database_GEODB.csv")
    rows, report = imported(
        file, "xx.state", "facility", id_column="gppd_idnr", crs="OGC:CRS84", where=(("country", country),)
    )
    expected = units.plants(file, country)
    assert len(rows) == count
    assert set(rows) == set(expected)
    assert sum(report.skipped.values()) == 9998 - count
    for identifier, plant in expected.items():
        row = rows[identifier]
        assert row["capacity_mw"] == plant.capacity_mw
        assert row["fuel"] == plant.fuel
        assert (row["owner"] or "") == plant.owner
        assert row["year_built"] == plant.year
        assert names(row) == {"und": plant.name}
        assert vertices(row["geometry_lod0"])[0] == pytest.approx(plant.position, abs=NEAR)


# What stands and lies between buildings


def thing_agrees(row: Row, thing: things.Thing) -> None:
    assert (row["function"], row.get("surface")) == (thing.function, thing.surface)
    assert names(row) == thing.names
    assert box(row) == pytest.approx(bounds(thing.corners), abs=NEAR)


@pytest.mark.parametrize(
    ("file", "collection", "words", "count", "ids"),
    [
        ("roads", "transportation", things.WAYS, 1778, 1094),
        ("transit", "transportation", things.WAYS, 60, 18),
        ("landuse", "land_use", things.LAND, 327, 212),
    ],
)
def test_shanghais_ways_and_land_say_what_the_file_says(
    file: str, collection: str, words: dict[str, str], count: int, ids: int, imported: Import, tmp_path: Path
) -> None:
    path = real(f"shanghai/shanghai_{file}.geojson")
    expected = things.shanghai(path, words)
    rows, report = imported(path, "cn.shanghai", collection, on_duplicate=OnDuplicate.SUFFIX)
    assert (len(rows), report.duplicates, report.bad) == (count, count - ids, 0)
    assert report.unmapped == {}
    assert set(rows) == set(things.numbered(expected))
    for identifier, thing in things.numbered(expected).items():
        thing_agrees(rows[identifier], thing)
    merged, _ = imported(path, "cn.shanghai", collection, on_duplicate=OnDuplicate.MERGE)
    assert set(merged) == {thing.id for thing in expected}
    assert len(merged) == ids


def test_shanghais_roads_tell_bridges_tunnels_directions_and_who_may_use_them(imported: Import) -> None:
    path = real("shanghai/shanghai_roads.geojson")
    rows, _ = imported(path, "cn.shanghai", "transportation", on_duplicate=OnDuplicate.SUFFIX)
    access = {"private": "private", "no": "restricted", "destination": "restricted", "permissive": "public"}
    for identifier, thing in things.numbered(things.shanghai(path, things.WAYS)).items():
        row, told = rows[identifier], thing.told
        over = "bridge" if told.get("is_bridge") else "tunnel" if told.get("is_tunnel") else None
        assert row["structure"] == over
        assert row["direction"] == {"yes": "forward", "no": "both", None: None}[told.get("oneway")]
        assert row["access"] == access.get(told.get("access"))
        assert row["operator"] == told.get("operator")
    assert sum(row["structure"] == "tunnel" for row in rows.values()) == 245


def test_areas_of_shanghais_land_are_those_of_the_ellipsoid(imported: Import) -> None:
    path = real("shanghai/shanghai_landuse.geojson")
    rows, _ = imported(path, "cn.shanghai", "land_use", on_duplicate=OnDuplicate.SUFFIX)
    areal = 0
    for row in rows.values():
        shape = shapely.from_wkb(row["geometry_lod0"])
        if shape.geom_type.endswith("Polygon"):
            areal += 1
            area, _ = Geod(ellps="WGS84").geometry_area_perimeter(shapely.orient_polygons(shape))
            assert float(row["footprint_area"]) == pytest.approx(
                abs(area), rel=2e-4, abs=0.06
            )  # edges are geodesics there
            assert (row["footprint_area_method"], row["footprint_method"]) == ("derived", "given")
        else:
            assert (row["footprint_area"], row["footprint_area_method"]) == (None, None)
    assert areal == 261


def test_shanghais_points_of_interest_are_facilities_of_the_kind_that_the_file_says(imported: Import) -> None:
    path = real("shanghai/shanghai_pois.geojson")
    rows, report = imported(path, "cn.shanghai", "facility", on_duplicate=OnDuplicate.SUFFIX)
    expected = things.numbered(things.shanghai(path, {}))
    assert (len(rows), report.duplicates) == (494, 1)
    assert set(rows) == set(expected)
    for identifier, thing in expected.items():
        row = rows[identifier]
        assert (row["kind"], row["owner"]) == (thing.told["kind"], thing.told.get("operator"))
        assert names(row) == thing.names
        assert vertices(row["geometry_lod0"])[0] == pytest.approx(thing.corners[0], abs=NEAR)


@pytest.mark.parametrize(
    ("kind", "collection", "count"),
    [
        ("Road", "transportation", 143),
        ("LandUse", "land_use", 81),
        ("PlantCover", "vegetation", 126),
        ("WaterBody", "water_body", 3),
        ("Bridge", "bridge", 3),
    ],
)
def test_delfts_other_objects_go_to_their_collections(kind: str, collection: str, count: int, imported: Import) -> None:
    file = real("delft/delft.city.json")
    rows, report = imported(file, "nl.delft", collection)
    expected = things.delft(file, kind)
    assert len(rows) == count
    assert set(rows) == set(expected)
    assert kind not in report.skipped
    assert sum(report.skipped.values()) == 570 - count
    assert report.unmapped == {}
    for identifier, thing in expected.items():
        thing_agrees(rows[identifier], thing)
        assert farthest(thing.corners, vertices(rows[identifier]["geometry_lod1"])) < NEAR
        assert farthest(vertices(rows[identifier]["geometry_lod1"]), thing.corners) < NEAR
        assert rows[identifier].get("height") is None  # the relief beneath plants is not their height
    if kind == "Bridge":
        assert {row["movement"] for row in rows.values()} == {"fixed"}
