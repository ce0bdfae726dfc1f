"""CityJSON that the test builds itself gives the rows, shapes, heights and volumes that arithmetic gives."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import shapely

from tests.ingest.making import (
    BLOCK,
    DAM,
    block,
    city_feature,
    city_object,
    cityjson,
    header,
    imported,
    lines,
    on_map,
    refused,
    same,
    shell,
    solid,
)

PLAN = [(0, 0), (20, 0), (20, 10), (0, 10)]


def moved(x: float, y: float) -> list[tuple[float, float]]:
    return [(east + x, north + y) for east, north in PLAN]


def polygons(geometry: Any) -> int:
    return len(shapely.get_parts(geometry))


@pytest.mark.parametrize("version", ["1.1", "1.1.3", "2.0", "2.0.1"])
@pytest.mark.parametrize("sequence", [False, True], ids=["document", "sequence"])
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_solid_gives_its_footprint_extremes_height_area_and_volume(
    version: str, sequence: bool, packed: bool, tmp_path: Path
) -> None:
    objects = {"a": city_object("Building", solid(), attributes={"yearOfConstruction": 1998})}
    data = cityjson(objects, BLOCK, version=version)
    text = lines(header(version), city_feature("a", objects, BLOCK)) if sequence else lines(data)
    rows, report = imported(tmp_path, gzip.compress(text.encode()) if packed else text)
    (row,) = rows.values()
    assert row["id"] == "a"
    assert row["year_built"] == 1998
    assert (row["zmin"], row["zmax"], row["height"]) == (Decimal("2.00"), Decimal("14.00"), Decimal("12.00"))
    assert row["footprint_area"] == Decimal("200.0")
    assert row["volume"] == Decimal("2400.0")
    assert (row["height_method"], row["volume_method"], row["footprint_area_method"]) == ("derived",) * 3
    assert row["footprint_method"] == "projection"
    assert same(row["geometry_lod0"], on_map(*PLAN))
    assert row["geometry_lod0"].exterior.is_ccw
    assert polygons(row["geometry_lod1"]) == 6
    assert {z for _, _, z in shapely.get_coordinates(row["geometry_lod1"], include_z=True)} == {2.0, 14.0}
    assert row["geometry_lod2"] is None
    assert report.operation.crs == "EPSG:7415"
    assert report.operation.vertical == "NAP height"


@pytest.mark.parametrize(
    ("kind", "boundaries", "volume"),
    [
        ("MultiSurface", shell(), None),
        ("CompositeSurface", shell(), None),
        ("Solid", [shell()], Decimal("2400.0")),
        ("MultiSolid", [[shell()], [shell(8)]], Decimal("2400.0") + Decimal("600.0")),
        ("CompositeSolid", [[shell()], [shell(8)]], Decimal("3000.0")),
    ],
)
def test_every_kind_of_surfaces_is_read(kind: str, boundaries: Any, volume: Decimal | None, tmp_path: Path) -> None:
    """The second block, where there is one, stands 10 m east of the first: 10 by 10 by 6 metres."""
    vertices = BLOCK + block(30, 0, 10, 10, 2, 8)
    geometry = {"type": kind, "lod": "2", "boundaries": boundaries}
    rows, _ = imported(tmp_path, cityjson({"a": city_object("Building", geometry)}, vertices))
    row = rows["a"]
    assert row["volume"] == volume
    assert (row["zmin"], row["zmax"]) == (2, 14)
    plans = [on_map(*PLAN)]
    if "Solid" in kind and kind != "Solid":
        plans.append(on_map((30, 0), (40, 0), (40, 10), (30, 10)))
    assert same(row["geometry_lod0"], shapely.union_all(plans))
    assert polygons(row["geometry_lod2"]) == 6 * len(plans)


def test_a_hole_in_a_solid_is_a_hole_in_its_footprint(tmp_path: Path) -> None:
    """A block of 20 by 10 with a yard of 4 by 4: an inner ring in floor and roof, four more walls."""
    yard = block(8, 3, 4, 4, 2, 14)
    a, b, c, d, e, f, g, h = range(8)
    i, j, k, m, n, o, p, q = range(8, 16)
    surfaces = [
        [[a, d, c, b], [i, j, k, m]],
        [[e, f, g, h], [n, q, p, o]],
        *shell()[2:],
        *[[ring[::-1]] for (ring,) in shell(8)[2:]],
    ]
    geometry = {"type": "Solid", "lod": "1.2", "boundaries": [surfaces]}
    rows, _ = imported(tmp_path, cityjson({"a": city_object("Building", geometry)}, BLOCK + yard))
    row = rows["a"]
    hole = on_map((8, 3), (12, 3), (12, 7), (8, 7))
    assert same(row["geometry_lod0"], on_map(*PLAN).difference(hole))
    assert row["footprint_area"] == Decimal("184.0")
    assert row["volume"] == Decimal(184 * 12)
    assert len([p for p in shapely.get_parts(row["geometry_lod1"]) if len(p.interiors) == 1]) == 2


def test_a_cavity_is_taken_off_the_volume(tmp_path: Path) -> None:
    """An inner shell faces the other way (CityJSON 2.0, 3.2.2)."""
    inner = [[ring[::-1]] for (ring,) in shell(8)]
    geometry = {"type": "Solid", "lod": "2", "boundaries": [shell(), inner]}
    data = cityjson({"a": city_object("Building", geometry)}, BLOCK + block(5, 2, 10, 5, 4, 10))
    rows, _ = imported(tmp_path, data)
    assert rows["a"]["volume"] == Decimal(2400 - 300)
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))


def test_ground_surfaces_make_the_footprint_where_semantics_name_them(tmp_path: Path) -> None:
    """The roof hangs over by 2 m on each side; what stands on the ground is the smaller square."""
    roof = [[x * 1000, y * 1000, 9000] for x, y in [(-2, -2), (22, -2), (22, 12), (-2, 12)]]
    geometry = {
        "type": "MultiSurface",
        "lod": "2",
        "boundaries": [[[0, 3, 2, 1]], [[8, 9, 10, 11]]],
        "semantics": {"surfaces": [{"type": "GroundSurface"}, {"type": "RoofSurface"}], "values": [0, 1]},
    }
    rows, _ = imported(tmp_path, cityjson({"a": city_object("Building", geometry)}, BLOCK + roof))
    assert rows["a"]["footprint_method"] == "ground_surface"
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))
    del geometry["semantics"]
    rows, _ = imported(tmp_path / "bare", cityjson({"a": city_object("Building", geometry)}, BLOCK + roof))
    assert rows["a"]["footprint_method"] == "projection"
    assert same(rows["a"]["geometry_lod0"], on_map((-2, -2), (22, -2), (22, 12), (-2, 12)))


def test_a_given_footprint_prevails_and_the_finest_of_a_class_is_taken(tmp_path: Path) -> None:
    plot = block(-5, -5, 40, 30, 0, 1)[:4]
    flat = {"type": "MultiSurface", "lod": "0", "boundaries": [[[8, 9, 10, 11]]]}
    rough, fine = solid("2.0", 0), solid("2.2", 12)
    vertices = BLOCK + plot + block(0, 0, 20, 10, 2, 15)
    rows, _ = imported(tmp_path, cityjson({"a": city_object("Building", rough, fine, flat)}, vertices))
    row = rows["a"]
    assert row["footprint_method"] == "given"
    assert same(row["geometry_lod0"], on_map((-5, -5), (35, -5), (35, 25), (-5, 25)))
    assert row["height"] == Decimal("13.00")
    assert polygons(row["geometry_lod2"]) == 6


PARTS = {
    "b": {"type": "Building", "children": ["p", "q", "i"], "attributes": {"measuredHeight": 30.5}},
    "p": city_object("BuildingPart", solid("2", 0), parents=["b"]),
    "q": city_object("BuildingPart", solid("2", 8), parents=["b"]),
    "i": city_object("BuildingInstallation", solid("2", 16), parents=["b"]),
}
PART_VERTICES = BLOCK + block(20, 0, 10, 10, 2, 8) + block(100, 100, 5, 5, 0, 99)


@pytest.mark.parametrize("sequence", [False, True], ids=["document", "sequence"])
def test_a_building_gets_the_geometry_of_its_parts_and_of_nothing_else(sequence: bool, tmp_path: Path) -> None:
    data: Any = cityjson(PARTS, PART_VERTICES)
    if sequence:
        data = lines(header(), city_feature("b", PARTS, PART_VERTICES))
    rows, _ = imported(tmp_path, data)
    assert set(rows) == {"b"}
    row = rows["b"]
    assert same(row["geometry_lod0"], on_map((0, 0), (20, 0), (30, 0), (30, 10), (20, 10), (0, 10)))
    assert (row["zmin"], row["zmax"]) == (2, 14)
    assert (row["height"], row["height_method"]) == (Decimal("30.50"), "measured")
    assert row["volume"] == Decimal("3000.0")
    assert polygons(row["geometry_lod2"]) == 12
    parts, _ = imported(tmp_path / "parts", data, collection="building_part")
    assert {id: part["building"] for id, part in parts.items()} == {"p": "b", "q": "b"}
    assert same(parts["q"]["geometry_lod0"], on_map((20, 0), (30, 0), (30, 10), (20, 10)))
    assert (parts["q"]["zmax"], parts["q"]["height"]) == (8, 6)


@pytest.mark.parametrize("kind", ["Bridge", "Tunnel"])
def test_a_bridge_and_a_tunnel_get_the_geometry_of_their_parts_too(kind: str, tmp_path: Path) -> None:
    objects = {
        "b": city_object(kind, children=["p", "i"]),
        "p": city_object(f"{kind}Part", solid(), parents=["b"]),
        "i": city_object(f"{kind}Installation", solid(first=8), parents=["b"]),
    }
    rows, _ = imported(tmp_path, cityjson(objects, BLOCK + block(50, 0, 5, 5, 0, 5)), collection=kind.lower())
    assert set(rows) == {"b"}
    assert polygons(rows["b"]["geometry_lod1"]) == 6
    assert (rows["b"]["footprint_area"], rows["b"]["footprint_method"]) == (Decimal("200.0"), "projection")


@pytest.mark.parametrize(("kind", "collection"), [("BuildingStorey", "storey"), ("BuildingRoom", "room")])
def test_storeys_and_rooms_name_the_building_that_they_are_within(kind: str, collection: str, tmp_path: Path) -> None:
    objects = {
        "b": city_object("Building", solid(), children=["p"]),
        "p": city_object("BuildingPart", parents=["b"], children=["s"]),
        "s": city_object(kind, solid(), parents=["p"], attributes={"clear_height": 2.75}),
    }
    rows, _ = imported(tmp_path, cityjson(objects, BLOCK), collection=collection)
    assert {id: (row["building"], row["clear_height"]) for id, row in rows.items()} == {"s": ("b", Decimal("2.75"))}
    assert rows["s"].get("volume") == (Decimal("2400.0") if collection == "room" else None)


@pytest.mark.parametrize(
    ("collection", "kind"),
    [("vegetation", "SolitaryVegetationObject"), ("city_furniture", "CityFurniture"), ("relief", "TINRelief")],
)
def test_a_height_is_never_derived_where_no_column_could_tell_so(collection: str, kind: str, tmp_path: Path) -> None:
    surface = {"type": "CompositeSurface", "lod": "1", "boundaries": shell()}
    rows, _ = imported(tmp_path, cityjson({"a": city_object(kind, surface)}, BLOCK), collection=collection)
    assert (rows["a"]["zmin"], rows["a"]["zmax"]) == (Decimal("2.00"), Decimal("14.00"))
    assert rows["a"].get("height") is None
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))


def test_parts_that_no_building_names_are_bad_and_not_lost(tmp_path: Path) -> None:
    """``parents`` and ``children`` must say the same (CityJSON 2.0, 2.3); here only one side does."""
    objects = PARTS | {"o": city_object("BuildingPart", solid(), parents=["b"])}
    error = refused(tmp_path, cityjson(objects, PART_VERTICES), collection="building_part")
    assert "data: o: no top-level object leads to it" in error.message
    circle = {"a": city_object(parents=["b"], children=["b"]), "b": city_object(parents=["a"], children=["a"])}
    error = refused(tmp_path / "circle", cityjson(circle, BLOCK))
    assert "2 bad objects" in error.message


@pytest.mark.parametrize("sequence", [False, True], ids=["document", "sequence"])
@pytest.mark.parametrize("owner", ["building", "part"])
def test_a_template_is_turned_scaled_and_put_at_its_anchor(owner: str, sequence: bool, tmp_path: Path) -> None:
    """A unit cube, made 4 by 2 by 3, turned by a quarter to the left, set down at (20, 10, 2)."""
    cube = [[x, y, z] for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    templates = {"templates": [solid("1"), solid("2")], "vertices-templates": cube}
    instance = {
        "type": "GeometryInstance",
        "template": 1,
        "boundaries": [2],
        "transformationMatrix": [0, -2, 0, 0, 4, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1],
    }
    objects = {"a": city_object("Building", instance)}
    if owner == "part":
        objects = {
            "a": {"type": "Building", "children": ["p"]},
            "p": city_object("BuildingPart", instance, parents=["a"]),
        }
    more: dict[str, Any] = {"geometry-templates": templates}
    document: Any = cityjson(objects, BLOCK, **more)
    if sequence:
        document = lines(header(**more), city_feature("a", objects, BLOCK))
    rows, _ = imported(tmp_path, document)
    row = rows["a"]
    assert same(row["geometry_lod0"], on_map((20, 10), (18, 10), (18, 14), (20, 14)))
    assert (row["zmin"], row["zmax"], row["volume"]) == (2, 5, 24)
    assert row["geometry_lod1"] is None
    assert polygons(row["geometry_lod2"]) == 6


def test_the_transform_is_applied(tmp_path: Path) -> None:
    """Decimetres from another origin are the same building."""
    vertices = [[x // 100 + 10, y // 100 - 20, z // 100 + 30] for x, y, z in BLOCK]
    data = cityjson(
        {"a": city_object("Building", solid())}, vertices, scale=0.1, translate=(DAM[0] - 1, DAM[1] + 2, -3)
    )
    rows, _ = imported(tmp_path, data)
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))
    assert (rows["a"]["zmin"], rows["a"]["zmax"]) == (2, 14)


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        ({"type": "MultiPoint", "lod": "0", "boundaries": [0]}, "POINT"),
        ({"type": "MultiPoint", "lod": "0", "boundaries": [0, 1]}, "MULTIPOINT"),
        ({"type": "MultiLineString", "lod": "0", "boundaries": [[0, 1, 2]]}, "LINESTRING"),
        ({"type": "MultiLineString", "lod": "0", "boundaries": [[0, 1], [2, 3]]}, "MULTILINESTRING"),
    ],
)
def test_points_and_lines_are_kept_as_what_they_are(geometry: Any, expected: str, tmp_path: Path) -> None:
    rows, _ = imported(tmp_path, cityjson({"a": city_object("Building", geometry)}, BLOCK))
    row = rows["a"]
    assert row["geometry_lod0"].geom_type.upper() == expected
    corners = shapely.get_coordinates(on_map(*PLAN))[: len(shapely.get_coordinates(row["geometry_lod0"]))]
    assert shapely.get_coordinates(row["geometry_lod0"]) == pytest.approx(corners, abs=1e-8)
    assert row["footprint_area"] is None
    assert row["footprint_method"] is None


def test_points_and_lines_in_one_object_make_it_bad(tmp_path: Path) -> None:
    point = {"type": "MultiPoint", "lod": "0", "boundaries": [0]}
    line = {"type": "MultiLineString", "lod": "0", "boundaries": [[0, 1]]}
    error = refused(tmp_path, cityjson({"a": city_object("Building", point, line)}, BLOCK))
    assert "points and lines" in error.message


def test_an_object_without_geometry_is_a_row_without_a_place(tmp_path: Path) -> None:
    objects = {"a": {"type": "Building"}, "b": city_object("Building", solid())}
    rows, _ = imported(tmp_path, cityjson(objects, BLOCK))
    assert rows["a"]["geometry_lod0"] is None
    assert rows["a"]["bbox"] is None
    assert rows["b"]["geometry_lod0"] is not None
