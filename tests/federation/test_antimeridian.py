"""Chukotka: a city on both sides of 180 degrees, from its file to what a partner reads by a box that crosses."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import shapely
from pyproj import Proj

from alliance import City, running
from cimfed.client.federation import Federation
from scenarios import policy
from tests.federation.commands import GATEWAY, PARTNER, Commands

NAME = "ru.chukotka"
PLACES = {"anadyr": (177.5, 64.73), "vankarem": (-175.8, 65.8), "uelen": (-169.81, 66.16), "across": (180.0, 65.0)}
AREA = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[176, 60], [180, 60], [180, 70], [176, 70], [176, 60]]],
        [[[-180, 60], [-172, 60], [-172, 70], [-180, 70], [-180, 60]]],
    ],
}
GRANT = f"""\
  - id: east
    subject: {{org: [{PARTNER}]}}
    purpose: [research]
    collection: admin_unit
    area: {{within: {json.dumps(AREA)}}}
    columns: {{id: exact}}
    geometry: {{max_lod: 0}}
"""


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("chukotka")
    city = City(
        NAME,
        ((str(districts(folder)), "--collection", "admin_unit", "--crs", "EPSG:3576"),),
        policy(NAME, {"admin_unit": (-180.0, 60.0, 180.0, 70.0)}, GRANT),
    )
    with contextlib.closing(Commands(folder / "alliance")) as alliance:
        alliance.found()
        alliance.join(city)
        alliance.admit(PARTNER, "CN", "researcher")
        with running(alliance, [NAME, GATEWAY]), alliance.connect() as connected:
            yield connected


def districts(folder: Path) -> Path:
    """Squares of 2 km, around the places, in Lambert's equal-area projection of the whole Russian Arctic."""
    plane = Proj(proj="laea", lat_0=90, lon_0=90, ellps="WGS84")
    features = []
    for name, place in PLACES.items():
        x, y = plane(*place)
        ring = [
            [x + dx, y + dy] for dx, dy in ((-1000, -1000), (1000, -1000), (1000, 1000), (-1000, 1000), (-1000, -1000))
        ]
        features.append(
            {"type": "Feature", "id": name, "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        )
    path = folder / "districts.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")
    return path


def ids(fed: Federation, bbox: tuple[float, float, float, float] | None = None) -> set[str]:
    answer = fed.read("admin_unit", purpose="research", bbox=bbox, require="all")
    return {row["id"] for row in answer.to_table().to_pylist()}


def test_an_area_across_gives_both_sides_and_what_lies_on_the_meridian(fed: Federation) -> None:
    """Uelen lies east of the area."""
    assert ids(fed) == {"anadyr", "vankarem", "across"}


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((177, 60, -172, 70), {"anadyr", "vankarem", "across"}),
        ((179, 64, -179, 66), {"across"}),
        ((177, 64, 178, 64.9), {"anadyr"}),
        ((-176, 65.5, -175, 66), {"vankarem"}),
    ],
)
def test_boxes_across_and_on_one_side_find_what_they_touch(
    box: tuple[float, float, float, float], found: set[str], fed: Federation
) -> None:
    assert ids(fed, box) - {"across"} == found - {"across"}
    assert "across" in ids(fed, box) or "across" not in found


def test_footprints_are_on_their_side_or_cut(fed: Federation) -> None:
    rows = fed.read("admin_unit", purpose="research", require="all").to_table().to_pylist()
    shapes = {row["id"]: shapely.from_wkb(row["geometry_lod0"]) for row in rows}
    assert shapes["anadyr"].bounds[2] < 178
    assert shapes["vankarem"].bounds[2] < -175
    assert [len(shapely.get_parts(shapes[name])) for name in ("anadyr", "vankarem", "across")] == [1, 1, 2]
