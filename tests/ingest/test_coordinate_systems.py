"""Coordinate systems: which one a file is in, how it is named, and places that cannot be in it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyproj
import pytest
import shapely

from tests.ingest.making import (
    BLOCK,
    RD,
    city_feature,
    city_object,
    cityjson,
    feature,
    features,
    header,
    imported,
    lines,
    on_map,
    refused,
    same,
    solid,
)
from tests.oracle.places import to_crs84

PLAN = [(0, 0), (20, 0), (20, 10), (0, 10)]
SHANGHAI = (621_000.0, 3_456_000.0)
"""In EPSG:4549: CGCS2000, Gauss-Krüger, central meridian 120 degrees east."""


def building(crs: Any = RD, **more: Any) -> dict[str, Any]:
    return cityjson({"a": city_object("Building", solid())}, BLOCK, crs=crs, **more)


def point(x: float, y: float) -> str:
    return f"id,x,y\na,{x},{y}\n"


def placed(folder: Path, data: Any, **options: Any) -> tuple[float, float]:
    rows, _ = imported(folder, data, **options)
    return tuple(shapely.get_coordinates(rows["a"]["geometry_lod0"])[0].tolist())


@pytest.mark.parametrize(
    "data",
    [
        building(None),
        building(""),
        lines(header(crs=None), city_feature("a", {"a": city_object("Building", solid())}, BLOCK)),
        point(69, 41),
        features(feature(), crs=None),
    ],
    ids=["CityJSON", "CityJSON with an empty name", "CityJSONSeq", "CSV", "GeoJSON whose crs is null"],
)
def test_a_file_without_a_coordinate_system_is_refused_with_a_hint(data: Any, tmp_path: Path) -> None:
    error = refused(tmp_path, data)
    assert "without a coordinate reference system" in error.message
    assert "--crs" in (error.remedy or "")


def test_geojson_without_crs_is_in_longitude_and_latitude(tmp_path: Path) -> None:
    rows, report = imported(tmp_path, features(feature()))
    assert report.operation.crs == "OGC:CRS84"
    assert rows["a"]["geometry_lod0"].bounds == pytest.approx((69.2, 41.3, 69.201, 41.301), abs=1e-12)


RD_SQUARE = {"type": "Polygon", "coordinates": [[[121_000 + x, 487_000 + y] for x, y in [*PLAN, PLAN[0]]]]}


@pytest.mark.parametrize(
    "name", ["EPSG:28992", "urn:ogc:def:crs:EPSG::28992", "http://www.opengis.net/gml/srs/epsg.xml#28992"]
)
def test_the_crs_member_of_old_geojson_is_followed(name: str, tmp_path: Path) -> None:
    member = {"type": "name", "properties": {"name": name}}
    for number, data in enumerate(
        (features(feature("a", RD_SQUARE), crs=member), feature("a", RD_SQUARE) | {"crs": member})
    ):
        rows, report = imported(tmp_path / str(number), data)
        assert report.operation.crs == "EPSG:28992"
        assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))
        assert rows["a"]["footprint_area"] == 200


@pytest.mark.parametrize("name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4326"])
def test_old_names_of_degrees_still_put_longitude_first(name: str, tmp_path: Path) -> None:
    data = features(feature(), crs={"type": "name", "properties": {"name": name}})
    assert placed(tmp_path, data) == (69.2, 41.3)


@pytest.mark.parametrize(
    "member", [{"type": "link", "properties": {"href": "x"}}, {"type": "name"}, "EPSG:4326", 4326, {}, []], ids=repr
)
def test_a_crs_member_that_names_nothing_is_refused_unless_the_crs_is_named(member: Any, tmp_path: Path) -> None:
    data = features(feature("a", RD_SQUARE), crs=member)
    assert "--crs" in (refused(tmp_path, data).remedy or "")
    rows, _ = imported(tmp_path / "named", data, crs="EPSG:28992")
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))


@pytest.mark.parametrize("crs", ["nonsense", 28992, [28992], True, {"type": "GeographicCRS"}, "EPSG:1"], ids=repr)
def test_a_reference_system_that_is_none_is_refused_unless_the_crs_is_named(crs: Any, tmp_path: Path) -> None:
    assert "names no coordinate reference system" in refused(tmp_path, building(crs)).message
    rows, _ = imported(tmp_path / "named", building(crs), crs="EPSG:7415")
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))


FORMS = {
    "EPSG": "EPSG:28992",
    "number": "28992",
    "small letters": "epsg:28992",
    "URN": "urn:ogc:def:crs:EPSG::28992",
    "URL": "http://www.opengis.net/def/crs/EPSG/0/28992",
    "WKT 2": pyproj.CRS("EPSG:28992").to_wkt(),
    "WKT 1": pyproj.CRS("EPSG:28992").to_wkt("WKT1_GDAL"),
    "PROJJSON": pyproj.CRS("EPSG:28992").to_json(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_crs_is_named_in_any_of_the_usual_ways(form: str, tmp_path: Path) -> None:
    (expected,) = to_crs84("EPSG:7415", [(121_000, 487_000)])
    assert placed(tmp_path, point(121_000, 487_000), crs=FORMS[form]) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    "named", ["WGS84", "+proj=longlat", "/etc/passwd", "+init=epsg:28992", "EPSG:4978", "EPSG:5773", "EPSG:999999", ""]
)
def test_what_is_no_horizontal_crs_is_refused(named: str, tmp_path: Path) -> None:
    """PROJ's own strings can name files; 4978 is geocentric, 5773 only a height system."""
    error = refused(tmp_path, point(1, 2), crs=named)
    assert error.reason == "bad_file"
    assert "--crs" in (error.remedy or "")


def test_heights_in_feet_are_refused(tmp_path: Path) -> None:
    """EPSG:8718: NAD83 / New York Long Island and NAVD88 height, both in US survey feet."""
    error = refused(tmp_path, building("https://www.opengis.net/def/crs/EPSG/0/8718"))
    assert "heights in US survey foot" in error.message
    assert "metres" in (error.remedy or "")


@pytest.mark.parametrize("crs", ["EPSG:4549+5612", "EPSG:32637+8052", "EPSG:28407+5706"], ids=str)
def test_depths_and_other_units_in_a_compound_system_are_refused(crs: str, tmp_path: Path) -> None:
    """5612 and 5706 are depths, 8052 is in feet."""
    error = refused(tmp_path, building(crs))
    assert "depths are" in error.message or "heights in US survey foot" in error.message
    assert "metres" in (error.remedy or "")


COMPOUND = pyproj.CRS("EPSG:4549+5737")
COMPOUNDS = {
    "codes": "EPSG:4549+5737",
    "codes with authorities": "EPSG:4549+EPSG:5737",
    "URN": "urn:ogc:def:crs,crs:EPSG::4549,crs:EPSG::5737",
    "URL": "http://www.opengis.net/def/crs-compound?1=http://www.opengis.net/def/crs/EPSG/0/4549"
    "&2=http://www.opengis.net/def/crs/EPSG/0/5737",
    "WKT 1": COMPOUND.to_wkt("WKT1_GDAL"),
    "WKT 2": COMPOUND.to_wkt(),
    "PROJJSON": COMPOUND.to_json(),
    "parsed PROJJSON": COMPOUND.to_json_dict(),
}


@pytest.mark.parametrize("form", COMPOUNDS)
def test_a_compound_system_names_the_heights_and_moves_the_place_alone(form: str, tmp_path: Path) -> None:
    data = building(COMPOUNDS[form], translate=(*SHANGHAI, 0))
    rows, report = imported(tmp_path, data, city="cn.shanghai")
    assert report.operation.vertical == "Yellow Sea 1985 height"
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN, system="EPSG:4549", origin=SHANGHAI))
    assert (rows["a"]["zmin"], rows["a"]["zmax"]) == (2, 14)


@pytest.mark.parametrize(
    ("vertical", "name"),
    [
        ("EPSG:5737", "Yellow Sea 1985 height"),
        ("5737", "Yellow Sea 1985 height"),
        ("urn:ogc:def:crs:EPSG::5737", "Yellow Sea 1985 height"),
        ("Балтийская система высот 1977 года", "Балтийская система высот 1977 года"),
    ],
)
def test_the_heights_of_a_plane_system_are_named_by_the_operator(vertical: str, name: str, tmp_path: Path) -> None:
    data = building("EPSG:4549", translate=(*SHANGHAI, 0))
    _, unknown = imported(tmp_path / "unknown", data, city="cn.shanghai")
    assert unknown.operation.vertical == ""
    rows, report = imported(tmp_path, data, city="cn.shanghai", vertical=vertical)
    assert report.operation.vertical == name
    assert (rows["a"]["zmin"], rows["a"]["zmax"]) == (2, 14)


def test_named_heights_prevail_over_the_files_and_are_noted(tmp_path: Path) -> None:
    _, report = imported(tmp_path, building(), vertical="local")
    assert report.operation.vertical == "local"
    assert any("NAP height" in note and "local" in note for note in report.notes)


@pytest.mark.parametrize(
    "vertical", ["EPSG:4549", "EPSG:4979", "EPSG:999999", "EPSG:5612", "EPSG:8052", "", " ", "a\nb", "a" * 101]
)
def test_what_names_no_heights_in_metres_is_refused(vertical: str, tmp_path: Path) -> None:
    assert refused(tmp_path, building(), vertical=vertical).place == "--vertical"


def test_files_of_two_height_systems_are_refused_unless_named_as_one(tmp_path: Path) -> None:
    one, other = (building(f"EPSG:4549+{code}", translate=(*SHANGHAI, 0)) for code in (5737, 5736))
    other["CityObjects"]["b"] = other["CityObjects"].pop("a")
    assert "EPSG:4549+EPSG:5736 after EPSG:4549+EPSG:5737" in refused(tmp_path, one, other).message
    rows, report = imported(tmp_path / "named", one, other, crs="EPSG:4549", vertical="EPSG:5737")
    assert report.operation.vertical == "Yellow Sea 1985 height"
    assert set(rows) == {"a", "b"}


def test_an_operation_for_another_area_is_taken_by_name_alone(tmp_path: Path) -> None:
    """Beijing 54 has operations for basins and seas only; which one may stand for the city is its operator's word."""
    error = refused(tmp_path, point(116.4, 39.9), crs="EPSG:4214", city="cn.beijing")
    assert "ballpark" in error.message
    assert "Beijing 1954 to WGS 84 (6)" in (error.remedy or "")
    _, report = imported(
        tmp_path, point(116.4, 39.9), crs="EPSG:4214", city="cn.beijing", operation="Beijing 1954 to WGS 84 (6)"
    )
    assert (report.operation.name, report.operation.accuracy_m) == ("Beijing 1954 to WGS 84 (6)", 1.0)


def test_an_accuracy_that_epsg_does_not_know_is_unknown(tmp_path: Path) -> None:
    """EPSG writes 999 m for it."""
    _, report = imported(tmp_path, point(73.05, 33.7), crs="EPSG:4145", city="pk.islamabad")
    assert report.operation.name == "Kalianpur 1962 to WGS 84 (1)"
    assert report.operation.accuracy_m is None


def test_an_operation_on_land_comes_before_one_offshore(tmp_path: Path) -> None:
    """For Karachi EPSG has an operation of the Indus fan in the sea, 1 m, and one of the city's area, 3 m."""
    _, report = imported(tmp_path, point(67.0, 24.86), crs="EPSG:4145", city="pk.karachi")
    assert report.operation.name == "Kalianpur 1962 to WGS 84 (4)"


@pytest.mark.filterwarnings("ignore:Best transformation is not available")
def test_areas_of_a_system_in_feet_are_in_square_metres(tmp_path: Path) -> None:
    """EPSG:2263, US survey feet of 1200/3937 m."""
    corner = (987_000.0, 200_000.0)
    square = {
        "type": "Polygon",
        "coordinates": [[[corner[0] + x, corner[1] + y] for x, y in ((0, 0), (100, 0), (100, 100), (0, 100), (0, 0))]],
    }
    rows, _ = imported(tmp_path, features(feature("a", square)), crs="EPSG:2263")
    assert float(rows["a"]["footprint_area"]) == pytest.approx((100 * 1200 / 3937) ** 2, abs=0.05)


def test_the_crs_that_is_named_prevails_over_the_files_and_is_noted(tmp_path: Path) -> None:
    rows, report = imported(tmp_path, features(feature("a", RD_SQUARE)), crs="EPSG:28992")
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN))
    assert any("OGC:CRS84" in note and "EPSG:28992" in note for note in report.notes)


def test_chinas_2000_system_is_read_by_a_declared_null_transform(tmp_path: Path) -> None:
    rows, report = imported(tmp_path, building("EPSG:4549", translate=(*SHANGHAI, 0)), city="cn.shanghai")
    assert report.operation.declared
    assert report.operation.accuracy_m == 2.0
    assert same(rows["a"]["geometry_lod0"], on_map(*PLAN, system="EPSG:4549", origin=SHANGHAI))


# GCJ-02. The pairs are those of the tests that eviltransform comes with (github.com/googollee/eviltransform): WGS 84,
# then GCJ-02.
EVIL = {
    "Shanghai": ((121.5272106, 31.1774276), (121.531541859215, 31.17530398364597)),
    "Shenzhen": ((113.912316, 22.543847), (113.9171764808363, 22.540796131694766)),
    "Beijing": ((116.377817, 39.911954), (116.38404722455657, 39.91334545536069)),
}


def published(lon: float, lat: float) -> tuple[float, float]:
    """The public formula once more, one place at a time, with nothing but ``math``."""
    x, y = lon - 105, lat - 35
    sin, pi, root = math.sin, math.pi, math.sqrt(abs(x))
    both = (20 * sin(6 * x * pi) + 20 * sin(2 * x * pi)) * 2 / 3
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + both
    north += (20 * sin(y * pi) + 40 * sin(y / 3 * pi)) * 2 / 3 + (
        160 * sin(y / 12 * pi) + 320 * sin(y * pi / 30)
    ) * 2 / 3
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + both
    east += (20 * sin(x * pi) + 40 * sin(x / 3 * pi)) * 2 / 3 + (
        150 * sin(x / 12 * pi) + 300 * sin(x / 30 * pi)
    ) * 2 / 3
    magic = 1 - 0.00669342162296594323 * sin(lat / 180 * pi) ** 2
    north *= 180 / (6378245 * (1 - 0.00669342162296594323) / (magic * math.sqrt(magic)) * pi)
    east *= 180 / (6378245 / math.sqrt(magic) * math.cos(lat / 180 * pi) * pi)
    return lon + east, lat + north


@pytest.mark.parametrize("city", EVIL)
def test_the_shifted_coordinates_of_chinese_maps_come_out_where_they_are_published(city: str, tmp_path: Path) -> None:
    wgs, gcj = EVIL[city]
    found = placed(tmp_path, point(*gcj), crs="gcj02")
    assert found == pytest.approx(wgs, abs=1e-6), "the pairs were made on an ellipsoid that is 108 m smaller"


@pytest.mark.parametrize(
    "place", [(121.4737, 31.2304), (116.3913, 39.9075), (87.6, 43.8), (113.9, 22.5), (126.6, 45.8)]
)
@pytest.mark.parametrize("name", ["GCJ-02", "GCJ02", "gcj_02"])
def test_the_shift_of_chinese_maps_is_undone(place: tuple[float, float], name: str, tmp_path: Path) -> None:
    rows, report = imported(tmp_path, point(*published(*place)), crs=name)
    assert shapely.get_coordinates(rows["a"]["geometry_lod0"])[0] == pytest.approx(place, abs=2e-9)
    assert report.operation.crs == "GCJ-02"
    assert report.operation.declared


# Places that cannot be


@pytest.mark.parametrize(
    ("crs", "place"),
    [
        ("OGC:CRS84", (31.2, 121.5)),
        ("OGC:CRS84", (181, 0)),
        ("OGC:CRS84", (0, -90.1)),
        ("EPSG:28992", (487_000, 121_000)),
        ("EPSG:28992", (4.9, 52.4)),
        ("EPSG:28992", (0, 0)),
        ("EPSG:28412", (4_580_000, 12_500_000)),
        ("EPSG:28412", (500_000, 4_580_000)),
        ("EPSG:4490", (31.2, 121.5)),
        ("GCJ-02", (31.2, 121.5)),
        ("EPSG:28992", (1e300, 1e300)),
        ("EPSG:28992", ("1e999", 487_000)),
        ("EPSG:4549", (500_000, -34_316_000)),  # these two come out in China
        ("EPSG:4549", (500_000, 1e206)),
    ],
)
def test_a_place_outside_of_the_area_of_its_system_makes_a_bad_object(crs: str, place: Any, tmp_path: Path) -> None:
    inside = {"OGC:CRS84": (121.5, 31.2), "EPSG:28992": (121_000, 487_000), "EPSG:28412": (12_500_000, 4_580_000)}
    inside["EPSG:4549"] = (500_000, 3_450_000)
    x, y = inside.get(crs, (121.5, 31.2))
    text = f"id,x,y\ngood,{x},{y}\nbad,{place[0]},{place[1]}\n"
    error = refused(tmp_path, text, crs=crs)
    assert "1 bad objects" in error.message
    assert "data:3: bad: coordinates outside of the area" in error.message
    rows, report = imported(tmp_path / "some", text, crs=crs, quarantine=tmp_path / "bad.jsonl")
    assert set(rows) == {"good"}
    assert report.bad == 1


@pytest.mark.parametrize(
    "vertex", [[0, 0, 2**62], [2**62, 0, 0], [-(2**62), 0, 0], [1e300, 0, 0], [1e306, 0, 0]], ids=repr
)
def test_a_vertex_far_from_everywhere_makes_a_bad_object(vertex: list[float], tmp_path: Path) -> None:
    objects = {"good": city_object("Building", solid()), "bad": city_object("Building", solid("1", 8))}
    data = cityjson(objects, [*BLOCK, *BLOCK[:7], vertex], scale=1000.0, translate=(121_000, 487_000, 0))
    data["vertices"] = [[x / 1e6 if abs(x) < 1e6 else x for x in one] for one in data["vertices"]]
    error = refused(tmp_path, data)
    assert "1 bad objects" in error.message
    assert "bad: coordinates outside" in error.message or "bad: heights beyond" in error.message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(number: str, tmp_path: Path) -> None:
    text = lines(features(feature())).replace("69.2,", f"{number},", 1)
    assert "not JSON" in refused(tmp_path, text).message
    text = lines(feature("a"), feature("b")).replace("69.2,", f"{number},").replace(f"{number},", "69.2,", 2)
    error = refused(tmp_path / "lines", lines(feature("good")) + text)
    assert "bad objects" in error.message
