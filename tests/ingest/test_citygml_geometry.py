"""Geometries of CityGML in every form that GML has for them, checked against blocks of known size."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import shapely

from tests.ingest.citygml import building, member, model, multi, polygon, positions, ring, solid
from tests.ingest.making import DAM, Row, imported, on_map, refused, same

Point = tuple[float, float, float]
PLAN: list[tuple[float, float]] = [(0, 0), (20, 0), (20, 10), (0, 10)]


def corner(x: float, y: float, z: float) -> Point:
    return (DAM[0] + x, DAM[1] + y, z)


def flat(plan: Sequence[tuple[float, float]], z: float = 2) -> list[Point]:
    return [corner(x, y, z) for x, y in plan]


def block(
    x: float = 0, y: float = 0, dx: float = 20, dy: float = 10, z0: float = 2, z1: float = 14
) -> list[list[Point]]:
    """The six faces of a block, facing outwards: floor, roof, walls."""
    plan = [(x, y), (x + dx, y), (x + dx, y + dy), (x, y + dy)]
    a, b, c, d = (corner(east, north, z0) for east, north in plan)
    e, f, g, h = (corner(east, north, z1) for east, north in plan)
    return [[a, d, c, b], [e, f, g, h], [a, b, f, e], [b, c, g, f], [c, d, h, g], [d, a, e, h]]


def polygons(*faces: list[Point], id: str = "") -> list[str]:
    return [polygon([face], f"{id}{number}" if id else "") for number, face in enumerate(faces)]


FACES = polygons(*block())
SOLID = solid(*FACES)


def body(row: Row, level: str = "geometry_lod1") -> int:
    """Surfaces of a level; makes sure that it is the block."""
    points = shapely.get_coordinates(row[level], include_z=True)
    assert {z for _, _, z in points.tolist()} == {2.0, 14.0}
    return len(shapely.get_parts(row[level]))


def one(tmp_path: Path, *content: str, version: str = "2.0", **options: Any) -> Row:
    rows, report = imported(tmp_path, model(building(*content), version=version, **options))
    assert report.bad == 0
    return rows["a"]


def composite(*faces: str) -> str:
    return f"<gml:CompositeSurface>{''.join(map(member, faces))}</gml:CompositeSurface>"


def turned(face: str) -> str:
    return f'<gml:OrientableSurface orientation="-"><gml:baseSurface>{face}</gml:baseSurface></gml:OrientableSurface>'


def shell_of(kind: str, patches: str, patch: str) -> str:
    inside = "".join(face.replace("gml:Polygon>", f"gml:{patch}>") for face in FACES)
    return f"<gml:{kind}><gml:{patches}>{inside}</gml:{patches}></gml:{kind}>"


BACKWARDS = [face[::-1] for face in block()]
SURFACES: dict[str, str] = {
    "members one by one": multi(*FACES),
    "members at once": multi(composite(*FACES)).replace("surfaceMember>", "surfaceMembers>"),
    "a composite": multi(composite(*FACES)),
    "composites of composites": multi(composite(composite(*FACES[:2]), composite(*FACES[2:]))),
    "a composite alone": composite(*FACES),
    "turned surfaces": multi(*map(turned, polygons(*BACKWARDS))),
    "textured surfaces of old": multi(
        *[
            turned(face)
            .replace("gml:OrientableSurface", "tex:TexturedSurface")
            .replace("orientation", "xmlns:tex='http://www.opengis.net/citygml/texturedsurface/1.0' orientation")
            for face in polygons(*BACKWARDS)
        ]
    ),
    "turned at once": multi(turned(composite(*polygons(*BACKWARDS)))),
    "a surface of patches": shell_of("Surface", "patches", "PolygonPatch"),
    "a polyhedral surface": shell_of("PolyhedralSurface", "polygonPatches", "PolygonPatch"),
    "GML 2": multi(
        *[
            f"<gml:Polygon><gml:outerBoundaryIs><gml:LinearRing><gml:coordinates>"
            f"{' '.join(','.join(map(str, point)) for point in [*face, face[0]])}"
            f"</gml:coordinates></gml:LinearRing></gml:outerBoundaryIs></gml:Polygon>"
            for face in block()
        ]
    ),
    "positions one by one": multi(
        *[
            "<gml:Polygon><gml:exterior><gml:LinearRing>"
            + "".join(f"<gml:pos>{positions([point])}</gml:pos>" for point in [*face, face[0]])
            + "</gml:LinearRing></gml:exterior></gml:Polygon>"
            for face in block()
        ]
    ),
    "points as properties": multi(
        *[
            "<gml:Polygon><gml:exterior><gml:LinearRing>"
            + "".join(
                f"<gml:pointProperty><gml:Point><gml:pos>{positions([point])}</gml:pos></gml:Point></gml:pointProperty>"
                for point in [*face, face[0]]
            )
            + "</gml:LinearRing></gml:exterior></gml:Polygon>"
            for face in block()
        ]
    ),
    "rings of curves": multi(
        *[
            "<gml:Polygon><gml:exterior><gml:Ring>"
            + "".join(
                f"<gml:curveMember><gml:LineString><gml:posList>{positions([start, end])}</gml:posList>"
                "</gml:LineString></gml:curveMember>"
                for start, end in zip(face, [*face[1:], face[0]], strict=True)
            )
            + "</gml:Ring></gml:exterior></gml:Polygon>"
            for face in block()
        ]
    ),
    "with comments": multi(*[face.replace("<gml:posList>", "<!-- a --><gml:posList><!-- b -->") for face in FACES]),
}


@pytest.mark.parametrize("version", ["1.0", "2.0", "3.0"])
@pytest.mark.parametrize("name", SURFACES)
def test_a_block_is_a_block_in_whatever_form(name: str, version: str, tmp_path: Path) -> None:
    core = "core" if version == "3.0" else "bldg"
    row = one(tmp_path, f"<{core}:lod1MultiSurface>{SURFACES[name]}</{core}:lod1MultiSurface>", version=version)
    assert body(row) == 6
    assert same(row["geometry_lod0"], on_map(*PLAN))
    assert (row["height"], row["height_method"]) == (12, "derived")
    assert row["volume"] is None


@pytest.mark.parametrize("kind", ["TriangulatedSurface", "Tin"])
def test_triangles_are_surfaces(kind: str, tmp_path: Path) -> None:
    halves = [face[:3] for face in block()] + [[face[0], face[2], face[3]] for face in block()]
    inside = "".join(f"<gml:Triangle><gml:exterior>{ring(half)}</gml:exterior></gml:Triangle>" for half in halves)
    tin = f"<gml:{kind}><gml:trianglePatches>{inside}</gml:trianglePatches></gml:{kind}>"
    row = one(tmp_path, f"<bldg:lod1MultiSurface>{tin}</bldg:lod1MultiSurface>")
    assert body(row) == 12
    assert same(row["geometry_lod0"], on_map(*PLAN))


INNER = [face[::-1] for face in block(5, 2, 10, 5, 4, 10)]
SOLIDS: dict[str, tuple[str, int]] = {
    "a composite as its shell": (SOLID, 2400),
    "a shell": (SOLID.replace("CompositeSurface", "Shell"), 2400),
    "a surface of patches as its shell": (
        f"<gml:Solid><gml:exterior>{SURFACES['a surface of patches']}</gml:exterior></gml:Solid>",
        2400,
    ),
    "a cavity": (
        SOLID.replace("</gml:Solid>", f"<gml:interior>{composite(*polygons(*INNER))}</gml:interior></gml:Solid>"),
        2100,
    ),
    "several": (
        f"<gml:MultiSolid><gml:solidMember>{SOLID}</gml:solidMember>"
        f"<gml:solidMember>{solid(*polygons(*block(20, 0, 10, 10)))}</gml:solidMember></gml:MultiSolid>",
        3600,
    ),
    "several at once": (f"<gml:CompositeSolid><gml:solidMembers>{SOLID}</gml:solidMembers></gml:CompositeSolid>", 2400),
}


@pytest.mark.parametrize("version", ["2.0", "3.0"])
@pytest.mark.parametrize("name", SOLIDS)
def test_solids_have_their_volume(name: str, version: str, tmp_path: Path) -> None:
    text, volume = SOLIDS[name]
    core = "core" if version == "3.0" else "bldg"
    row = one(tmp_path, f"<{core}:lod1Solid>{text}</{core}:lod1Solid>", version=version)
    assert row["volume"] == Decimal(volume)


def bound(kind: str, surface: str, level: int = 2) -> str:
    inside = f"<bldg:lod{level}MultiSurface>{surface}</bldg:lod{level}MultiSurface>"
    return f"<bldg:boundedBy><bldg:{kind}>{inside}</bldg:{kind}></bldg:boundedBy>"


OVER = flat([(-2, -2), (22, -2), (22, 12), (-2, 12)], 14)


def test_ground_surfaces_make_the_footprint(tmp_path: Path) -> None:
    """The roof hangs over by 2 m on each side."""
    row = one(tmp_path, bound("GroundSurface", multi(FACES[0])), bound("RoofSurface", multi(polygon([OVER]))))
    assert row["footprint_method"] == "ground_surface"
    assert same(row["geometry_lod0"], on_map(*PLAN))
    assert len(shapely.get_parts(row["geometry_lod2"])) == 2


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_solid_refers_to_its_boundary_surfaces(order: str, tmp_path: Path) -> None:
    named = polygons(*block(), id="p")
    bounds = [
        bound("GroundSurface", multi(named[0])),
        bound("RoofSurface", multi(named[1])),
        bound("WallSurface", multi(*named[2:])),
    ]
    whole = f"<bldg:lod2Solid>{solid(*(f'#p{number}' for number in range(6)))}</bldg:lod2Solid>"
    row = one(tmp_path, *([whole, *bounds] if order == "before" else [*bounds, whole]))
    assert body(row, "geometry_lod2") == 6
    assert row["volume"] == 2400
    assert row["footprint_method"] == "ground_surface"


def test_a_solid_that_repeats_its_boundary_surfaces_has_their_meaning(tmp_path: Path) -> None:
    row = one(tmp_path, f"<bldg:lod2Solid>{SOLID}</bldg:lod2Solid>", bound("GroundSurface", multi(FACES[0])))
    assert (row["footprint_method"], body(row, "geometry_lod2")) == ("ground_surface", 6)


def test_surfaces_beside_a_solid_are_counted(tmp_path: Path) -> None:
    over = multi(polygon([OVER]))
    both = f"<bldg:lod2Solid>{SOLID}</bldg:lod2Solid><bldg:lod2MultiSurface>{over}</bldg:lod2MultiSurface>"
    rows, report = imported(tmp_path, model(building(both)))
    assert body(rows["a"], "geometry_lod2") == 6
    assert rows["a"]["volume"] == 2400
    assert report.dropped == {"surfaces beside a solid of LoD 2": 1}


def test_boundary_surfaces_complete_surfaces_and_openings_are_surfaces(tmp_path: Path) -> None:
    window = polygon([flat([(0, 0), (1, 0), (1, 1)], 14)])
    surface = f"<bldg:lod3MultiSurface>{multi(window)}</bldg:lod3MultiSurface>"
    opening = f"<bldg:opening><bldg:Window>{surface}</bldg:Window></bldg:opening>"
    wall = bound("WallSurface", multi(FACES[2]), 3).replace("</bldg:WallSurface>", f"{opening}</bldg:WallSurface>")
    row = one(tmp_path, f"<bldg:lod3MultiSurface>{multi(*FACES)}</bldg:lod3MultiSurface>", wall)
    assert len(shapely.get_parts(row["geometry_lod3"])) == 7


def test_inner_surfaces_of_a_building_are_not_its_shell(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        *(bound("WallSurface", multi(*FACES), 3), bound("FloorSurface", multi(polygon([flat(PLAN, 5)])), 3)),
    )
    assert body(row, "geometry_lod3") == 6


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_levels_go_to_their_columns_and_the_fourth_to_the_third(level: int, tmp_path: Path) -> None:
    row = one(tmp_path, f"<bldg:lod{level}Solid>{SOLID}</bldg:lod{level}Solid>")
    held = [name for name in ("geometry_lod1", "geometry_lod2", "geometry_lod3") if row[name] is not None]
    assert held == [f"geometry_lod{min(level, 3)}"]
    finer = solid(*polygons(*block(0, 0, 20, 10, 2, 15)))
    row = one(tmp_path / "both", f"<bldg:lod3Solid>{SOLID}</bldg:lod3Solid><bldg:lod4Solid>{finer}</bldg:lod4Solid>")
    assert row["zmax"] == 15


FOOT = multi(polygon([flat([(-5, -5), (35, -5), (35, 25), (-5, 25)], 2)]))
EDGE = multi(polygon([flat([(-1, -1), (21, -1), (21, 11), (-1, 11)], 14)]))


def test_a_footprint_prevails_over_the_roofs_edge_and_all_bodies(tmp_path: Path) -> None:
    foot, edge = f"<bldg:lod0FootPrint>{FOOT}</bldg:lod0FootPrint>", f"<bldg:lod0RoofEdge>{EDGE}</bldg:lod0RoofEdge>"
    whole = f"<bldg:lod1Solid>{SOLID}</bldg:lod1Solid>"
    row = one(tmp_path, edge, foot, whole)
    assert row["footprint_method"] == "given"
    assert same(row["geometry_lod0"], on_map((-5, -5), (35, -5), (35, 25), (-5, 25)))
    row = one(tmp_path / "edge", edge, whole)
    assert same(row["geometry_lod0"], on_map((-1, -1), (21, -1), (21, 11), (-1, 11)))


def test_a_footprint_of_version_3_is_a_ground_surface_of_level_0(tmp_path: Path) -> None:
    def level(kind: str, surface: str) -> str:
        inside = f"<core:lod0MultiSurface>{surface}</core:lod0MultiSurface>"
        return f"<core:boundary><con:{kind}>{inside}</con:{kind}></core:boundary>"

    row = one(tmp_path, level("RoofSurface", EDGE), level("GroundSurface", FOOT), version="3.0")
    assert same(row["geometry_lod0"], on_map((-5, -5), (35, -5), (35, 25), (-5, 25)))
    own = f"<core:lod0MultiSurface>{FOOT}</core:lod0MultiSurface>"
    row = one(tmp_path / "own", own, version="3.0")
    assert row["footprint_method"] == "given"


def test_a_footprint_can_be_without_heights_and_a_body_cannot(tmp_path: Path) -> None:
    plan = positions([point[:2] for point in [*flat(PLAN), flat(PLAN)[0]]])
    face = (
        f"<gml:Polygon><gml:exterior><gml:LinearRing><gml:posList srsDimension='2'>{plan}</gml:posList>"
        "</gml:LinearRing></gml:exterior></gml:Polygon>"
    )
    row = one(tmp_path, f"<bldg:lod0FootPrint>{multi(face)}</bldg:lod0FootPrint>")
    assert same(row["geometry_lod0"], on_map(*PLAN))
    error = refused(tmp_path / "body", model(building(f"<bldg:lod1MultiSurface>{multi(face)}</bldg:lod1MultiSurface>")))
    assert "a: positions without heights in a LoD1" in error.message
    inherited = model(
        building(
            f"<bldg:lod0FootPrint>{multi(face.replace(chr(32) + 'srsDimension=' + chr(39) + '2' + chr(39), ''))}"
            "</bldg:lod0FootPrint>"
        )
    ).replace("srsDimension='3'", "srsDimension='2'")
    rows, _ = imported(tmp_path / "inherited", inherited)
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))


def test_holes_are_holes(tmp_path: Path) -> None:
    yard = flat([(8, 3), (8, 7), (12, 7), (12, 3)])
    floor = multi(polygon([flat(PLAN), yard]))
    row = one(tmp_path, f"<bldg:lod0FootPrint>{floor}</bldg:lod0FootPrint>")
    assert same(row["geometry_lod0"], on_map(*PLAN).difference(on_map((8, 3), (12, 3), (12, 7), (8, 7))))
    assert row["footprint_area"] == 184


# Other objects


def thing(kind: str, *content: str, id: str = "t") -> str:
    return building(*content, id=id, kind=kind)


def property_of(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"


AREA = multi(polygon([flat(PLAN)]))
THINGS: dict[str, tuple[str, str, str]] = {
    "road 2": ("transportation", "2.0", thing("tran:Road", property_of("tran:lod1MultiSurface", AREA))),
    "road of areas": (
        "transportation",
        "2.0",
        thing(
            "tran:Road",
            "<tran:trafficArea><tran:TrafficArea>"
            + property_of("tran:lod2MultiSurface", AREA)
            + "</tran:TrafficArea></tran:trafficArea>",
        ),
    ),
    "road 3": (
        "transportation",
        "3.0",
        thing(
            "tran:Road",
            "<tran:section><tran:Section><tran:trafficSpace><tran:TrafficSpace><core:boundary><tran:TrafficArea>"
            + property_of("core:lod2MultiSurface", AREA)
            + "</tran:TrafficArea></core:boundary></tran:TrafficSpace></tran:trafficSpace>"
            + "</tran:Section></tran:section>",
        ),
    ),
    "railway": ("transportation", "2.0", thing("tran:Railway", property_of("tran:lod1MultiSurface", AREA))),
    "square": ("transportation", "2.0", thing("tran:Square", property_of("tran:lod1MultiSurface", AREA))),
    "waterway": ("transportation", "3.0", thing("tran:Waterway", property_of("core:lod0MultiSurface", AREA))),
    "land use": ("land_use", "2.0", thing("luse:LandUse", property_of("luse:lod1MultiSurface", AREA))),
    "land use 3": ("land_use", "3.0", thing("luse:LandUse", property_of("core:lod0MultiSurface", AREA))),
    "water": ("water_body", "2.0", thing("wtr:WaterBody", property_of("wtr:lod1MultiSurface", AREA))),
    "water's surface": (
        "water_body",
        "2.0",
        thing(
            "wtr:WaterBody",
            "<wtr:boundedBy><wtr:WaterSurface>"
            + property_of("wtr:lod2Surface", composite(polygon([flat(PLAN)])))
            + "</wtr:WaterSurface></wtr:boundedBy>",
        ),
    ),
    "plants": ("vegetation", "2.0", thing("veg:PlantCover", property_of("veg:lod1MultiSurface", AREA))),
    "plants of solids": (
        "vegetation",
        "2.0",
        thing("veg:PlantCover", property_of("veg:lod1MultiSolid", SOLIDS["several at once"][0])),
    ),
    "tree": ("vegetation", "2.0", thing("veg:SolitaryVegetationObject", property_of("veg:lod1Geometry", SOLID))),
    "furniture": ("city_furniture", "2.0", thing("frn:CityFurniture", property_of("frn:lod1Geometry", AREA))),
    "bridge": (
        "bridge",
        "2.0",
        thing(
            "brid:Bridge",
            "<brid:consistsOfBridgePart>"
            + thing("brid:BridgePart", property_of("brid:lod1Solid", SOLID), id="u")
            + "</brid:consistsOfBridgePart>",
        ),
    ),
    "tunnel": (
        "tunnel",
        "3.0",
        thing(
            "tun:Tunnel",
            "<tun:tunnelPart>"
            + thing("tun:TunnelPart", property_of("core:lod1Solid", SOLID), id="u")
            + "</tun:tunnelPart>",
        ),
    ),
    "relief": (
        "relief",
        "2.0",
        thing(
            "dem:ReliefFeature",
            "<dem:lod>1</dem:lod><dem:reliefComponent>"
            + thing(
                "dem:TINRelief",
                "<dem:lod>1</dem:lod>",
                property_of(
                    "dem:tin",
                    "<gml:TriangulatedSurface><gml:trianglePatches>"
                    + "".join(
                        f"<gml:Triangle><gml:exterior>{ring(flat(half))}</gml:exterior></gml:Triangle>"
                        for half in (PLAN[:3], [PLAN[0], PLAN[2], PLAN[3]])
                    )
                    + "</gml:trianglePatches></gml:TriangulatedSurface>",
                ),
            )
            + "</dem:reliefComponent>",
            id="r",
        ),
    ),
}


@pytest.mark.parametrize("name", THINGS)
def test_every_collection_is_fed(name: str, tmp_path: Path) -> None:
    collection, version, text = THINGS[name]
    rows, _ = imported(tmp_path, model(text, building(id="other"), version=version), collection=collection)
    assert set(rows) == {"t"}
    assert same(rows["t"]["geometry_lod0"], on_map(*PLAN))


POINT = f"<gml:Point><gml:pos>{positions([corner(3, 4, 5)])}</gml:pos></gml:Point>"
LINE = f"<gml:LineString><gml:posList>{positions(flat(PLAN[:2]))}</gml:posList></gml:LineString>"
IMPLICIT = (
    "<core:ImplicitGeometry><core:mimeType>model/vrml</core:mimeType><core:libraryObject>tree.wrl</core:libraryObject>"
    f"<core:referencePoint>{POINT}</core:referencePoint></core:ImplicitGeometry>"
)
LOOSE: dict[str, tuple[str, str, str, str]] = {
    "a mesh's place": (
        "vegetation",
        "2.0",
        f"<veg:lod2ImplicitRepresentation>{IMPLICIT}</veg:lod2ImplicitRepresentation>",
        "POINT",
    ),
    "a mesh's place in 3": (
        "vegetation",
        "3.0",
        f"<core:lod2ImplicitRepresentation>{IMPLICIT}</core:lod2ImplicitRepresentation>",
        "POINT",
    ),
    "a point": ("vegetation", "3.0", f"<core:lod0Point>{POINT}</core:lod0Point>", "POINT"),
    "a geometry that is a point": ("city_furniture", "2.0", f"<frn:lod1Geometry>{POINT}</frn:lod1Geometry>", "POINT"),
    "points": (
        "city_furniture",
        "2.0",
        f"<frn:lod1Geometry><gml:MultiPoint><gml:pointMember>{POINT}</gml:pointMember></gml:MultiPoint></frn:lod1Geometry>",
        "POINT",
    ),
    "a network": (
        "transportation",
        "2.0",
        f"<tran:lod0Network><gml:GeometricComplex><gml:element>{LINE}</gml:element></gml:GeometricComplex></tran:lod0Network>",
        "LINESTRING",
    ),
    "curves": (
        "transportation",
        "3.0",
        f"<core:lod0MultiCurve><gml:MultiCurve><gml:curveMember>{LINE}</gml:curveMember><gml:curveMember><gml:Curve>"
        f"<gml:segments>{LINE.replace('LineString', 'LineStringSegment')}</gml:segments></gml:Curve></gml:curveMember>"
        "</gml:MultiCurve></core:lod0MultiCurve>",
        "MULTILINESTRING",
    ),
}
KINDS = {
    "vegetation": "veg:SolitaryVegetationObject",
    "city_furniture": "frn:CityFurniture",
    "transportation": "tran:Road",
}


@pytest.mark.parametrize("name", LOOSE)
def test_points_and_lines_are_kept_as_what_they_are(name: str, tmp_path: Path) -> None:
    collection, version, content, expected = LOOSE[name]
    rows, report = imported(tmp_path, model(thing(KINDS[collection], content), version=version), collection=collection)
    found = rows["t"]["geometry_lod0"]
    assert found.geom_type.upper() == expected
    place = on_map((3, 4), (3, 4), (3, 4)) if expected == "POINT" else on_map(*PLAN[:2], PLAN[0])
    assert shapely.get_coordinates(found)[0] == pytest.approx(shapely.get_coordinates(place)[0], abs=1e-8)
    if "mesh" in name:
        assert report.dropped == {"meshes of ImplicitGeometry of LoD 2": 1}


def test_terrain_intersections_and_point_clouds_are_counted(tmp_path: Path) -> None:
    text = building(
        f"<bldg:lod1Solid>{SOLID}</bldg:lod1Solid><bldg:lod1TerrainIntersection><gml:MultiCurve><gml:curveMember>{LINE}"
        "</gml:curveMember></gml:MultiCurve></bldg:lod1TerrainIntersection>"
    )
    rows, report = imported(tmp_path, model(text))
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))
    assert report.dropped == {"terrain intersections of LoD 1": 1}
    cloud = (
        "<core:pointCloud><pcl:PointCloud xmlns:pcl='http://www.opengis.net/citygml/pointcloud/3.0'/></core:pointCloud>"
    )
    _, report = imported(tmp_path / "cloud", model(building(cloud), version="3.0"))
    assert report.dropped == {"point clouds": 1}
