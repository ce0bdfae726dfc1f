"""IFC files: rooms, storeys and buildings are where plain trigonometry puts them, and say what their quantities say."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Geod, Proj

from cimfed.errors import BadFile
from cimfed_node.ingest.ifc.model import Model
from cimfed_node.ingest.ifc.placing import Unplaced, placement
from cimfed_node.ingest.readers import ifc
from tests.ingest.ifc_making import House
from tests.ingest.making import imported, on_map, refused, same

SHANGHAI = (621_000.0, 3_456_000.0)
GEOD = Geod(ellps="WGS84")
PLAN = [(1, 2), (5, 2), (5, 7), (1, 7)]
"""Of the room that ``office`` has."""


def office(schema: str = "IFC4", unit: str = "m") -> tuple[House, Any]:
    house = House(schema, unit)
    room = house.room(house.storey("EG", 0.0), "101", (1, 2), (4, 5, 3), LongName="Office")
    return house, room


@pytest.mark.parametrize(("schema", "unit"), [("IFC2X3", "mm"), ("IFC4", "ft"), ("IFC4X3_ADD2", "m")])
def test_a_room_of_each_schema_is_in_its_place_and_has_its_sizes(schema: str, unit: str, tmp_path: Path) -> None:
    house, room = office(schema, unit)
    house.quantities(
        room,
        "BaseQuantities" if schema == "IFC2X3" else "Qto_SpaceBaseQuantities",
        GrossFloorArea=("Area", 20.0),
        NetFloorArea=("Area", 19.5),
        FinishCeilingHeight=("Length", 2.75),
        NetVolume=("Volume", 55.0),
    )
    house.properties(room, "Pset_SpaceOccupancyRequirements", OccupancyNumber=("IfcCountMeasure", 4))
    house.conversion(*SHANGHAI, 5.0, scale={"m": None, "mm": 0.001, "ft": 0.3048}[unit])
    rows, report = imported(tmp_path, house.bytes(), collection="room", city="cn.shanghai")
    row = rows[room.GlobalId]
    assert same(row["geometry_lod0"], on_map(*PLAN, system="EPSG:4549", origin=SHANGHAI), within=2e-8)
    assert (row["zmin"], row["zmax"]) == (5, 8)
    assert (row["floor_area"], row["clear_height"]) == (Decimal("19.5"), Decimal("2.75"))
    assert (row["volume"], row["volume_method"]) == (55, "given")
    assert row["function"] == "office"
    assert row["name"] == {"und": "Office"}
    assert row["building"] == house.building.GlobalId
    assert row["storey"] == house.file.by_type("IfcBuildingStorey")[0].GlobalId
    assert row["ext"]["Pset_SpaceOccupancyRequirements.OccupancyNumber"] == 4
    assert len(shapely.get_parts(row["geometry_lod3"])) == 12, "two triangles for each side of a box"
    assert report.operation.crs == "EPSG:4549"


@pytest.fixture
def tower() -> House:
    """A cellar, a ground floor and one above: two rooms with a wall between them, and a slab under all of it."""
    house = House(unit="mm")
    for name, level in (("UG", -3.0), ("EG", 0.0), ("OG", 3.5)):
        storey = house.storey(name, level)
        house.room(storey, f"{name}1", (0, 0), (4, 5, 3))
        house.room(storey, f"{name}2", (4.2, 0), (4, 5, 3))
        if name == "EG":
            house.slab(storey, (0, 0), (8.2, 5, 0.2))
            house.slab(storey, (0, 0), (30, 30, 0.2), "ROOF")
            house.quantities(storey, "Qto_BuildingStoreyBaseQuantities", GrossFloorArea=("Area", 41.0))
    house.properties(house.building, "Pset_BuildingCommon", OccupancyType=("IfcLabel", "Residential"),
                     YearOfConstruction=("IfcLabel", "1998"))  # fmt: skip
    house.conversion(*SHANGHAI, 5.0, scale=0.001, vertical="Yellow Sea 1985")
    return house


def test_storeys_are_numbered_from_the_ground_and_cover_what_their_rooms_and_floors_do(
    tower: House, tmp_path: Path
) -> None:
    rows, report = imported(tmp_path, tower.bytes(), collection="storey", city="cn.shanghai")
    by_name = {row["name"]["und"]: row for row in rows.values()}
    assert {name: row["number"] for name, row in by_name.items()} == {"UG": -1, "EG": 0, "OG": 1}
    assert {name: row["elevation"] for name, row in by_name.items()} == {"UG": 2, "EG": 5, "OG": Decimal("8.5")}
    assert {row["building"] for row in rows.values()} == {tower.building.GlobalId}
    whole = on_map((0, 0), (8.2, 0), (8.2, 5), (0, 5), system="EPSG:4549", origin=SHANGHAI)
    gap = on_map((4, 0), (4.2, 0), (4.2, 5), (4, 5), system="EPSG:4549", origin=SHANGHAI)
    assert shapely.symmetric_difference(by_name["EG"]["geometry_lod0"], whole).area < 1e-13
    assert shapely.symmetric_difference(by_name["OG"]["geometry_lod0"], whole - gap).area < 1e-13
    assert by_name["EG"]["floor_area"] == 41
    assert report.operation.vertical == "Yellow Sea 1985"


def test_a_building_covers_what_its_storeys_do(tower: House, tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, tower.bytes(), collection="building", city="cn.shanghai")
    (row,) = rows.values()
    assert (row["footprint_area"], row["footprint_method"]) == (41, "projection")
    assert (row["function"], row["year_built"]) == ("residential", 1998)
    whole = on_map((0, 0), (8.2, 0), (8.2, 5), (0, 5), system="EPSG:4549", origin=SHANGHAI)
    assert shapely.symmetric_difference(row["geometry_lod0"], whole).area < 1e-13


def test_spaces_outside_and_of_gross_floor_area_are_no_rooms(tmp_path: Path) -> None:
    house, room = office()
    storey = house.file.by_type("IfcBuildingStorey")[0]
    house.room(storey, "yard", (10, 0), (5, 5, 3), PredefinedType="EXTERNAL")
    house.room(storey, "all", (0, 0), (8, 8, 3), PredefinedType="GFA")
    house.conversion(*SHANGHAI, 0.0)
    rows, report = imported(tmp_path, house.bytes(), collection="room", city="cn.shanghai")
    assert set(rows) == {room.GlobalId}
    assert report.skipped == {"IfcSpace EXTERNAL": 1, "IfcSpace GFA": 1, "BuildingStorey": 1, "Building": 1}


# Places, without a process of their own


POINTS = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 1.0], [0.0, 10.0, 2.0]])


@pytest.mark.parametrize("schema", ["IFC2X3", "IFC4", "IFC4X3_ADD2"])
def test_a_map_conversion_turns_scales_and_shifts(schema: str) -> None:
    house, _ = office(schema)
    angle = math.radians(30)
    house.conversion(*SHANGHAI, 5.0, axis=(math.cos(angle), math.sin(angle)), scale=0.9996)
    found = placement(house.file, None, crs_named=False).place(POINTS)
    k, cos, sin = 0.9996, math.cos(angle), math.sin(angle)
    east, north = SHANGHAI
    expected = [
        (east, north, 5),
        (east + 10 * k * cos, north + 10 * k * sin, 6),
        (east - 10 * k * sin, north + 10 * k * cos, 7),
    ]
    assert found == pytest.approx(np.array(expected), abs=1e-6)


def test_a_rigid_operation_shifts_and_does_not_turn() -> None:
    house, _ = office("IFC4X3_ADD2")
    make = house.file.create_entity
    metre = make("IfcSIUnit", None, "LENGTHUNIT", None, "METRE")
    target = make("IfcProjectedCRS", Name="EPSG:4549", VerticalDatum="Yellow Sea 1985", MapUnit=metre)
    east, north = (make("IfcLengthMeasure", value) for value in SHANGHAI)
    make("IfcRigidOperation", house.context, target, east, north, 5.0)
    said = placement(house.file, None, crs_named=False)
    assert (said.crs, said.vertical) == ("EPSG:4549", "Yellow Sea 1985")
    assert said.place(POINTS) == pytest.approx(POINTS + np.array([*SHANGHAI, 5.0]))


@pytest.mark.parametrize(
    ("unit", "scale", "found"), [("mm", 0.001, 1.0), ("mm", None, 1.0), ("ft", 0.3048, 1.0), ("m", 1.0004, 1.0004)]
)
def test_units_of_the_project_and_of_the_map_meet_in_the_scale(unit: str, scale: float | None, found: float) -> None:
    house, _ = office(unit=unit)
    house.conversion(*SHANGHAI, 0.0, scale=scale)
    said = placement(house.file, None, crs_named=False)
    assert said.scale == pytest.approx(found)
    assert bool(said.notes) == (unit == "mm" and scale is None)
    assert said.origin[:2] == SHANGHAI


def test_a_scale_that_makes_another_building_is_refused() -> None:
    house, _ = office()
    house.conversion(*SHANGHAI, 0.0, scale=1000.0)
    with pytest.raises(Unplaced, match="1000 times"):
        placement(house.file, None, crs_named=False)


def test_a_map_in_feet_comes_out_in_feet() -> None:
    """EPSG:2263; its axes are in US survey feet, the file's map unit is a metre."""
    house, _ = office()
    house.conversion(300_000.0, 60_000.0, 1.0, crs="EPSG:2263")
    found = placement(house.file, None, crs_named=False).place(POINTS[:1])
    assert found[0] == pytest.approx((300_000 * 3937 / 1200, 60_000 * 3937 / 1200, 1.0))


def _lonlat(house: House, place: tuple[float, ...] | None, points: Any) -> tuple[Any, Any]:
    said = placement(house.file, place, crs_named=False)
    assert said.crs is not None
    zone = int(re.search(r"zone (\d+)N", said.crs)[1])  # type: ignore[index]
    moved = said.place(np.array(points))
    return said, [Proj(proj="utm", zone=zone, ellps="WGS84")(*row[:2], inverse=True) for row in moved]


@pytest.mark.parametrize("turn", [0.0, 30.0, -90.0])
def test_a_named_place_and_rotation_are_those_of_the_origin_and_the_y_axis(turn: float) -> None:
    house, _ = office(unit="mm")
    _, (zero, up) = _lonlat(house, (76.9, 43.25, turn), [(0, 0, 0), (0, 1000, 0)])
    assert zero == pytest.approx((76.9, 43.25), abs=1e-9)
    azimuth, _, far = GEOD.inv(*zero, *up)
    assert (azimuth, far) == (pytest.approx(turn, abs=1e-3), pytest.approx(1000, abs=0.01))


def test_true_north_turns_what_is_placed_by_a_point() -> None:
    """True north at 30 degrees east of the y axis: the y axis points 30 degrees west of it."""
    house, _ = office()
    house.true_north(math.sin(math.radians(30)), math.cos(math.radians(30)))
    _, (zero, up) = _lonlat(house, (76.9, 43.25), [(0, 0, 0), (0, 1000, 0)])
    assert GEOD.inv(*zero, *up)[0] == pytest.approx(-30, abs=1e-3)


def test_the_sites_latitude_is_the_last_resort_and_said_to_be(tmp_path: Path) -> None:
    house, room = office(unit="mm")
    house.site.ObjectPlacement = house._placement(None, 100, 50, 2)
    house.building.ObjectPlacement = house._placement(house.site)
    house.site.RefLatitude, house.site.RefLongitude = (43, 15, 0, 500_000), (76, 54, 30)
    house.site.RefElevation = house.own(800.0)
    said, (site, zero) = _lonlat(house, None, [(100, 50, 2), (0, 0, 0)])
    assert site == pytest.approx((76 + 54.5 / 60, 43.25 + 0.5 / 3600), abs=1e-9)
    assert GEOD.inv(*site, *zero)[2] == pytest.approx(math.hypot(100, 50), rel=1e-4)
    assert said.place(np.array([[100.0, 50.0, 2.0]]))[0, 2] == 800
    rows, report = imported(tmp_path, house.bytes(), collection="room", city="kz.almaty")
    assert report.operation.accuracy_m is None
    assert any("latitude 43.250139 and longitude 76.908333" in note for note in report.notes)
    assert report.operation.vertical == "the site's elevation"
    x, y = rows[room.GlobalId]["geometry_lod0"].centroid.coords[0]
    assert GEOD.inv(*zero, x, y)[2] == pytest.approx(math.hypot(3, 4.5), abs=0.01)


def test_a_file_that_says_no_place_is_refused_until_it_is_named(tmp_path: Path) -> None:
    house, room = office()
    error = refused(tmp_path / "none", house.bytes(), collection="room")
    assert "where its building stands" in error.message
    assert "--place" in (error.remedy or "")
    rows, report = imported(tmp_path / "place", house.bytes(), collection="room", place="76.9,43.25")
    x, y = rows[room.GlobalId]["geometry_lod0"].centroid.coords[0]
    assert GEOD.inv(76.9, 43.25, x, y)[2] == pytest.approx(math.hypot(3, 4.5), abs=0.01)
    assert report.operation.vertical == "the project's own zero"


def test_coordinates_that_are_in_a_system_already_need_its_name_alone(tmp_path: Path) -> None:
    house = House()
    house.building.ObjectPlacement = house._placement(None, *SHANGHAI, 5)
    room = house.room(house.storey("EG", 0.0), "1", (1, 2), (4, 5, 3))
    rows, _ = imported(tmp_path, house.bytes(), collection="room", crs="EPSG:4549", city="cn.shanghai")
    assert same(rows[room.GlobalId]["geometry_lod0"], on_map(*PLAN, system="EPSG:4549", origin=SHANGHAI), within=2e-8)


@pytest.mark.parametrize("place", ["", "76.9", "76.9;43.25", "200,43", "76.9,89", "76.9,nan", "76.9,43,400", "1,2,3,4"])
def test_what_is_no_place_is_refused(place: str) -> None:
    with pytest.raises(BadFile):
        ifc.parse_place(place)


# Files that are none


def test_other_step_files_and_broken_ones_are_refused(tmp_path: Path) -> None:
    house, _ = office()
    house.conversion(*SHANGHAI, 0.0)
    whole = house.bytes()
    cases = {
        "which is not read": whole.replace(b"IFC4", b"AP214"),
        "ends in its middle": whole[: len(whole) // 2],
        "not a readable IFC file": re.sub(rb"FILE_NAME.*?;", b"", whole, count=1, flags=re.DOTALL).replace(
            b"FILE_DESCRIPTION", b"FILE_(((("
        ),
    }
    for number, (says, data) in enumerate(cases.items()):
        assert says in refused(tmp_path / str(number), data, collection="room").message


def test_a_room_that_the_kernel_dies_of_is_bad_and_the_others_are_read(tmp_path: Path) -> None:
    """A placement that is relative to itself ends the kernel by SIGSEGV, and any process that it is in."""
    house, room = office()
    storey = house.file.by_type("IfcBuildingStorey")[0]
    deadly = house.room(storey, "2", (10, 0), (1, 1, 1))
    deadly.ObjectPlacement.PlacementRelTo = deadly.ObjectPlacement
    last = house.room(storey, "3", (20, 0), (1, 1, 1))
    house.conversion(*SHANGHAI, 0.0)
    quarantine = tmp_path / "bad.jsonl"
    rows, report = imported(tmp_path, house.bytes(), collection="room", city="cn.shanghai", quarantine=quarantine)
    assert set(rows) == {room.GlobalId, last.GlobalId}
    (bad,) = map(json.loads, quarantine.read_text().splitlines())
    assert bad["object"] == deadly.GlobalId
    assert "kernel died" in bad["reason"]
    assert report.bad == 1


def test_a_process_that_is_silent_or_out_of_memory_ends_in_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, _ = office()
    house.conversion(*SHANGHAI, 0.0)
    for name, limit in (("ifc_open", 0.0), ("ifc_memory", 64 * 1024**2)):
        with monkeypatch.context() as patch:
            patch.setattr(ifc, "LIMITS", replace(ifc.LIMITS, **{name: limit}))
            error = refused(tmp_path / name, house.bytes(), collection="room")
        assert "within the time and memory" in error.message


def test_a_body_that_cannot_be_made_and_a_missing_id_make_bad_objects(tmp_path: Path) -> None:
    house, room = office()
    storey = house.file.by_type("IfcBuildingStorey")[0]
    empty = house.room(storey, "2", (10, 0), (1, 1, 1))
    empty.Representation.Representations[0].Items[0].Depth = 0.0
    house.room(storey, "nameless", (20, 0), (1, 1, 1)).GlobalId = ""
    house.conversion(*SHANGHAI, 0.0)
    rows, report = imported(
        tmp_path, house.bytes(), collection="room", city="cn.shanghai", quarantine=tmp_path / "bad.jsonl"
    )
    assert set(rows) == {room.GlobalId}
    assert report.bad == 2


def test_a_room_far_from_everywhere_is_bad_and_infinity_makes_no_file(tmp_path: Path) -> None:
    house, room = office()
    far = house.room(house.file.by_type("IfcBuildingStorey")[0], "2", (1234.5, 0), (1, 1, 1))
    house.conversion(*SHANGHAI, 0.0)
    data = house.bytes()
    quarantine = tmp_path / "bad.jsonl"
    rows, report = imported(
        tmp_path, data.replace(b"1234.5", b"1.E30"), collection="room", city="cn.shanghai", quarantine=quarantine
    )
    assert set(rows) == {room.GlobalId}
    assert report.bad == 1
    assert far.GlobalId in quarantine.read_text()
    error = refused(tmp_path / "infinite", data.replace(b"1234.5", b"1.E400"), collection="room")
    assert "not a readable IFC file" in error.message


def test_without_ifcopenshell_the_line_that_installs_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    error = refused(tmp_path, office()[0].bytes(), collection="room")
    assert "pip install 'cimfed-node[ifc]'" in (error.remedy or "")


def test_wholes_that_contain_themselves_end() -> None:
    house, room = office()
    house.file.by_type("IfcRelAggregates")[-1].RelatingObject = room
    (thing,) = [thing for thing in Model(house.file).things if thing.kind == "BuildingRoom"]
    assert "building" not in thing.attributes
