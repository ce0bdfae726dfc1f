"""The CRS of a CityGML file and the order of its axes, told by the form of its name; text in every encoding."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
import shapely

from tests.ingest.citygml import building, model, multi, polygon
from tests.ingest.making import feature, features, imported, on_map, refused, same
from tests.ingest.test_citygml_geometry import AREA
from tests.oracle.places import to_crs84

Plan = list[tuple[float, float]]


def foot(plan: Plan, *, swapped: bool = False, srs: str = "", id: str = "a") -> str:
    """A building with a footprint; ``plan`` has easting or longitude first."""
    points = [(y, x, 5.0) if swapped else (x, y, 5.0) for x, y in plan]
    surface = multi(polygon([points]))
    if srs:
        surface = surface.replace("<gml:MultiSurface>", f"<gml:MultiSurface srsName='{srs}' srsDimension='3'>")
    return building(f"<bldg:lod0FootPrint>{surface}</bldg:lod0FootPrint>", id=id)


def square(x: float, y: float, side: float) -> Plan:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


UTM = square(500_000, 5_700_000, 100)
SHANGHAI = square(642_264, 3_458_717, 100)
TASHKENT = square(69.2, 41.3, 0.001)
GAUSS = square(3_500_000, 5_700_000, 100)
# name -> plan, whether the second axis comes first, EPSG code, vertical
NAMES: dict[str, tuple[Plan, bool, str, str]] = {
    "EPSG:25832": (UTM, False, "EPSG:25832", ""),
    "epsg:25832": (UTM, False, "EPSG:25832", ""),
    "urn:ogc:def:crs:EPSG::25832": (UTM, False, "EPSG:25832", ""),
    "urn:x-ogc:def:crs:EPSG:6.9:25832": (UTM, False, "EPSG:25832", ""),
    "http://www.opengis.net/def/crs/EPSG/0/25832": (UTM, False, "EPSG:25832", ""),
    "http://www.opengis.net/gml/srs/epsg.xml#25832": (UTM, False, "EPSG:25832", ""),
    "urn:ogc:def:crs,crs:EPSG::25832,crs:EPSG::5783": (UTM, False, "EPSG:25832", "DHHN92 height"),
    "urn:ogc:def:crs,crs:EPSG:6.12:25832,crs:EPSG:6.12:5783": (UTM, False, "EPSG:25832", "DHHN92 height"),
    "urn:adv:crs:ETRS89_UTM32": (UTM, False, "EPSG:25832", ""),
    "urn:adv:crs:ETRS89_UTM32*DE_DHHN2016_NH": (UTM, False, "EPSG:25832", "DHHN2016 height"),
    "EPSG:4549": (SHANGHAI, False, "EPSG:4549", ""),
    "urn:ogc:def:crs:EPSG::4549": (SHANGHAI, True, "EPSG:4549", ""),
    "http://www.opengis.net/def/crs/EPSG/0/4549": (SHANGHAI, True, "EPSG:4549", ""),
    "EPSG:4326": (TASHKENT, False, "EPSG:4326", ""),
    "urn:ogc:def:crs:EPSG::4326": (TASHKENT, True, "EPSG:4326", ""),
    "urn:ogc:def:crs:EPSG::4979": (TASHKENT, True, "EPSG:4326", "ellipsoidal height"),
    "urn:ogc:def:crs:OGC:1.3:CRS84": (TASHKENT, False, "OGC:CRS84", ""),
    "http://www.opengis.net/gml/srs/epsg.xml#4326": (TASHKENT, False, "EPSG:4326", ""),
    "http://www.opengis.net/def/crs/EPSG/0/6697": (square(139.7, 35.6, 0.001), True, "EPSG:6668", "height"),
    "urn:ogc:def:crs:EPSG::31467": (GAUSS, True, "EPSG:31467", ""),
}


def expected(folder: Path, plan: Plan, code: str) -> Any:
    """The same square as a GeoJSON feature, whose CRS the operator names and whose order never changes."""
    polygon = {"type": "Polygon", "coordinates": [[*plan, plan[0]]]}
    rows, _ = imported(folder, features(feature("a", polygon)), crs=code)
    return rows["a"]["geometry_lod0"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_the_crs_and_the_order_of_its_axes(name: str, tmp_path: Path) -> None:
    plan, swapped, code, vertical = NAMES[name]
    rows, report = imported(tmp_path / "gml", model(foot(plan, swapped=swapped), srs=name))
    assert same(rows["a"]["geometry_lod0"], expected(tmp_path / "json", plan, code))
    assert vertical in report.operation.vertical
    assert bool(vertical) == bool(report.operation.vertical)


@pytest.mark.parametrize("where", ["the object's envelope", "the geometry"])
def test_the_name_can_stand_on_the_first_object_that_has_one(where: str, tmp_path: Path) -> None:
    name = "urn:ogc:def:crs:EPSG::4549"
    if where == "the geometry":
        text = model(foot(SHANGHAI, swapped=True, srs=name), foot(SHANGHAI, swapped=True, id="b"), srs=None)
    else:
        text = model(foot(SHANGHAI, swapped=True), foot(SHANGHAI, swapped=True, id="b"), srs=name)
        start, end = text.index("<gml:boundedBy>"), text.index("</gml:boundedBy>") + len("</gml:boundedBy>")
        text = text[:start] + text[end:].replace('gml:id="a">', f'gml:id="a">{text[start:end]}', 1)
    rows, _ = imported(tmp_path, text)
    wanted = shapely.Polygon(to_crs84("EPSG:4549", SHANGHAI))
    assert same(rows["a"]["geometry_lod0"], wanted, within=1e-7)
    assert same(rows["b"]["geometry_lod0"], wanted, within=1e-7)


def test_no_name_is_refused_with_a_hint_and_the_operator_can_give_one(tmp_path: Path) -> None:
    text = model(foot(UTM), srs=None)
    error = refused(tmp_path, text)
    assert error.message == "CityGML 2.0 without a coordinate reference system"
    assert "--crs" in (error.remedy or "")
    rows, _ = imported(tmp_path / "told", text, crs="EPSG:25832")
    assert same(rows["a"]["geometry_lod0"], expected(tmp_path / "json", UTM, "EPSG:25832"))


@pytest.mark.parametrize("name", ["urn:local:grid", "EPSG:999999", "Stadtnetz", "urn:adv:crs:DE_MOON"])
def test_a_name_that_means_nothing_is_refused(name: str, tmp_path: Path) -> None:
    error = refused(tmp_path, model(foot(UTM), srs=name))
    assert "names no coordinate reference system" in error.message
    rows, _ = imported(tmp_path / "told", model(foot(UTM), srs=name), crs="EPSG:25832")
    assert set(rows) == {"a"}


@pytest.mark.parametrize(
    ("name", "plan", "swapped", "remedy"),
    [
        ("urn:ogc:def:crs:EPSG::4549", SHANGHAI, False, "--crs EPSG:4549"),
        ("http://www.opengis.net/def/crs/EPSG/0/4549", SHANGHAI, False, "--crs EPSG:4549"),
        ("EPSG:4549", SHANGHAI, True, "--crs urn:ogc:def:crs:EPSG::4549"),
        ("urn:ogc:def:crs:EPSG::31467", GAUSS, False, "--crs EPSG:31467"),
    ],
)
def test_axes_in_the_other_order_than_the_name_says_are_refused_and_the_remedy_works(
    name: str, plan: Plan, swapped: bool, remedy: str, tmp_path: Path
) -> None:
    text = model(foot(plan, swapped=swapped), srs=name)
    error = refused(tmp_path, text)
    assert "only when their axes are swapped" in error.message
    assert remedy in (error.remedy or "")
    rows, _ = imported(tmp_path / "told", text, crs=remedy.removeprefix("--crs "))
    wanted = expected(tmp_path / "json", plan, f"EPSG:{remedy.rpartition(':')[2]}")
    assert same(rows["a"]["geometry_lod0"], wanted)


def test_coordinates_that_fit_neither_way_are_bad_objects(tmp_path: Path) -> None:
    error = refused(tmp_path, model(foot(square(0, 0, 100)), srs="EPSG:25832"))
    assert "a: coordinates outside of the area" in error.message


@pytest.mark.parametrize(
    ("other", "good"),
    [
        ("urn:ogc:def:crs:EPSG::28992", True),
        ("urn:ogc:def:crs,crs:EPSG::28992,crs:EPSG::5709", True),
        ("EPSG:25832", False),
        ("nonsense", False),
    ],
)
def test_a_geometry_in_another_crs_makes_a_bad_object(other: str, good: bool, tmp_path: Path) -> None:
    inside = AREA.replace("<gml:MultiSurface>", f"<gml:MultiSurface srsName='{other}'>")
    text = model(
        building(f"<bldg:lod0FootPrint>{AREA}</bldg:lod0FootPrint>", id="good"),
        building(f"<bldg:lod0FootPrint>{inside}</bldg:lod0FootPrint>", id="b"),
    )
    rows, report = imported(tmp_path, text, quarantine=tmp_path / "bad")
    assert set(rows) == ({"good", "b"} if good else {"good"})
    assert report.bad == int(not good)
    if not good:
        assert f"'{other}' is not the coordinate reference system of the file" in (tmp_path / "bad").read_text()


# Encodings

TEXT = {
    "GB18030": "上海国际会议中心𠮷",
    "GBK": "上海国际会议中心",
    "GB2312": "上海中心",
    "Big5": "臺北",
    "windows-1251": "Дом №5",
    "KOI8-R": "Дом",
    "ISO-8859-1": "Straße",
    "Shift_JIS": "東京",
    "EUC-KR": "서울",
    "UTF-8": "東京 Дом 😀",
    "US-ASCII": "house",
}


def declared(text: str, encoding: str) -> str:
    return text.replace('encoding="UTF-8"', f'encoding="{encoding}"')


def named(name: str) -> str:
    plan = [(121_000.0, 487_000.0), (121_020.0, 487_000.0), (121_020.0, 487_010.0), (121_000.0, 487_010.0)]
    return model(foot(plan).replace('gml:id="a">', f'gml:id="a"><gml:name>{name}</gml:name>'), srs="EPSG:28992")


@pytest.mark.parametrize("encoding", TEXT)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_text_is_read_in_the_encoding_that_the_file_declares(encoding: str, packed: bool, tmp_path: Path) -> None:
    raw = declared(named(TEXT[encoding]), encoding).encode(encoding)
    rows, _ = imported(tmp_path, gzip.compress(raw) if packed else raw)
    assert rows["a"]["name"] == {"und": TEXT[encoding]}
    assert same(rows["a"]["geometry_lod0"], on_map((0, 0), (20, 0), (20, 10), (0, 10)))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("declaration", ["UTF-16", "UTF-8", ""])
def test_unicode_is_told_by_its_first_bytes(encoding: str, declaration: str, tmp_path: Path) -> None:
    text = declared(named("東京 Дом"), declaration)
    if not declaration:
        text = text.partition("?>")[2].lstrip()
    rows, _ = imported(tmp_path, text.encode(encoding))
    assert rows["a"]["name"] == {"und": "東京 Дом"}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (declared(named("Дом"), "UTF-8").encode("cp1251"), "not UTF-8"),
        (declared(named("Дом"), "US-ASCII").encode(), "not ASCII"),
        (
            declared(named("上海"), "GB18030").encode("gb18030").replace("上海".encode("gb18030"), b"\xff\xff"),
            "not GB18030",
        ),
        (declared(named("a"), "UTF-7").encode(), "the encoding 'UTF-7'"),
        (declared(named("a"), "EBCDIC-CP-BE").encode(), "the encoding 'EBCDIC-CP-BE'"),
        (declared(named("a"), "UTF-16").encode(), "the encoding 'UTF-16'"),
        (declared(named("a"), "zlib_codec").encode(), "the encoding 'zlib_codec'"),
        (named("a").encode("utf-32"), "UTF-16 text"),
    ],
)
def test_text_that_is_not_what_it_declares_is_refused(raw: bytes, told: str, tmp_path: Path) -> None:
    error = refused(tmp_path, raw)
    assert told in error.message
    assert "iconv" in (error.remedy or "")


def test_a_long_file_in_another_encoding_is_read_across_all_its_pieces(tmp_path: Path) -> None:
    plan = [(121_000.0, 487_000.0), (121_020.0, 487_000.0), (121_020.0, 487_010.0), (121_000.0, 487_010.0)]
    names = {f"n{number}": f"{'楼' * (number % 7)}号{number}" for number in range(1800)}
    members: list[Any] = [
        foot(plan, id=id).replace(f'gml:id="{id}">', f'gml:id="{id}"><gml:name>{name}</gml:name>')
        for id, name in names.items()
    ]
    for encoding in ("UTF-8", "GB18030", "UTF-16"):
        raw = declared(model(*members, srs="EPSG:28992"), encoding).encode(encoding)
        assert len(raw) > 3 * 2**18
        rows, _ = imported(tmp_path / encoding, raw)
        assert {id: row["name"]["und"] for id, row in rows.items()} == names
