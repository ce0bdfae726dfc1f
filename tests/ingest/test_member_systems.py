"""docs/crs.md says of the member states' systems what the code does with them, with PROJ's database as installed.

Operations are compared with the page; positions with PROJ directly, by the operation of that name; axes with what the
system itself says of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyproj
import pytest
from pyproj import Geod, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_crs_info
from pyproj.transformer import TransformerGroup

from cimfed.errors import BadFile
from cimfed_node.ingest.crs import parse_crs
from cimfed_node.ingest.georef import COUNTRIES, Georeference, georeference
from tests.conftest import SCRIPTS
from tests.ingest.making import imported

PAGE = SCRIPTS.parent / "docs/crs.md"
GEOD = Geod(ellps="WGS84")
REFUSED = "refused"


@dataclass(frozen=True)
class Line:
    """One row of the page's table. ``codes``: ranges."""

    state: str
    system: str
    codes: str
    tried: str
    at: tuple[float, float]
    by: str
    accuracy: str

    @property
    def country(self) -> str:
        (found,) = [label for label, name in COUNTRIES.items() if name.startswith(self.state.split(",")[0])]
        return found

    @property
    def some_codes(self) -> list[str]:
        """The first and the last of each range."""
        found: list[str] = []
        for part in self.codes.split(","):
            first, _, last = part.strip().partition("–")
            found += dict.fromkeys((first, last or first))
        return found

    def source(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """The place in the system's own coordinates, as its definition orders its axes, then easting first."""
        crs = pyproj.CRS(self.tried)
        geodetic = crs.geodetic_crs
        assert geodetic is not None
        lon, lat = self.at
        own = Transformer.from_crs(geodetic, crs).transform(lat, lon)
        swapped = crs.axis_info[0].direction == "north"
        return np.array([own[::-1] if swapped else own])


def _lines() -> list[Line]:
    found = []
    for row in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) == 7 and cells[3].startswith("EPSG:"):
            lon, lat = map(float, cells[4].split(","))
            found.append(Line(cells[0], cells[1], cells[2], cells[3], (lon, lat), cells[5], cells[6]))
    return found


LINES = _lines()
NAMED = [f"{line.state} {line.tried} at {line.at[0]}" for line in LINES]


@cache
def pinned(line: Line) -> Georeference:
    return georeference(parse_crs(line.tried, "page"), line.source(), country=line.country)


def told(line: Line) -> tuple[str, str]:
    """What belongs into the last two cells."""
    try:
        operation = pinned(line).operation
    except BadFile:
        return REFUSED, ""
    steps = [step for step in operation.name.split(" + ") if not step.startswith("Inverse of ")]
    steps = [step for step in steps if not step.startswith("Conversion from ")]
    accuracy = "unknown" if operation.accuracy_m is None else f"{operation.accuracy_m:g} m"
    return " + ".join(steps) or "its projection alone", accuracy + (", declared" if operation.declared else "")


def test_every_member_state_is_on_the_page() -> None:
    assert {line.country for line in LINES} == set(COUNTRIES)


@pytest.mark.parametrize("line", LINES, ids=NAMED)
def test_the_page_says_what_the_code_does(line: Line) -> None:
    assert (line.by, line.accuracy) == told(line), "docs/crs.md: By and Accuracy"


@pytest.mark.parametrize("line", [line for line in LINES if line.by != REFUSED], ids=lambda line: line.tried)
def test_a_place_comes_out_where_proj_itself_puts_it(line: Line) -> None:
    """By the operation that the page names; by none, where it says so, within what nobody knows."""
    reference = pinned(line)
    ((x, y),) = line.source().tolist()
    ((lon, lat),) = reference.forward(line.source()).tolist()
    assert not reference.misplaced(line.source(), np.array([[lon, lat]])).any()
    assert reference.backward(np.array([[lon, lat]])) == pytest.approx(line.source(), abs=1e-3)
    if reference.operation.declared or line.by == "its projection alone":
        assert GEOD.inv(lon, lat, *line.at)[2] < 0.001
        return
    area = AreaOfInterest(line.at[0], line.at[1], line.at[0], line.at[1])
    group = TransformerGroup(line.tried, "OGC:CRS84", always_xy=True, allow_ballpark=False, area_of_interest=area)
    (same,) = [one for one in group.transformers if line.by in one.description]
    assert GEOD.inv(lon, lat, *same.transform(x, y))[2] < 0.001


@pytest.mark.parametrize("line", LINES, ids=NAMED)
def test_codes_are_of_that_system_and_treated_alike(line: Line) -> None:
    """In the middle of its own area, a zone has an operation where the page's code has one, declared alike."""
    datum = pyproj.CRS(line.tried).datum
    known = {info.code: info for info in query_crs_info(auth_name="EPSG")}
    for code in line.some_codes:
        crs, area = pyproj.CRS(f"EPSG:{code}"), known[code].area_of_use
        assert crs.datum == datum
        if line.by == REFUSED:
            continue
        assert area is not None
        width = (area.east - area.west) % 360
        middle = ((area.west + width / 2 + 180) % 360 - 180, (area.south + area.north) / 2)
        assert crs.geodetic_crs is not None
        point = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True).transform(*middle)
        try:
            operation = georeference(parse_crs(code, "page"), np.array([point]), country=line.country).operation
        except BadFile:
            assert ", at " in line.system, code
            continue
        assert bool(operation.declared) == line.accuracy.endswith("declared")


def test_heights_have_the_names_that_the_page_gives_them(tmp_path: Path) -> None:
    rows = re.findall(r"\| ([A-Z][\w ]+ height) \| EPSG:(\d+) \|", PAGE.read_text("utf-8"))
    assert len(rows) == 6
    for name, code in rows:
        assert pyproj.CRS(f"EPSG:{code}").name == name
        _, report = imported(tmp_path / code, "id,x,y\na,69,41\n", crs="OGC:CRS84", vertical=f"EPSG:{code}")
        assert report.operation.vertical == name


def test_the_wkt_of_the_page_places_minsk_as_epsg_does_by_the_same_parameters(tmp_path: Path) -> None:
    (wkt,) = re.findall(r"```wkt\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    x, y = Transformer.from_crs("EPSG:4200", "EPSG:20005", always_xy=True).transform(27.56, 53.9)
    with pytest.raises(BadFile):
        imported(tmp_path / "code", f"id,x,y\na,{x},{y}\n", crs="EPSG:20005", city="by.minsk")
    rows, report = imported(tmp_path / "wkt", f"id,x,y\na,{x},{y}\n", crs=wkt, city="by.minsk")
    found = rows["a"]["geometry_lod0"]
    expected = Transformer.from_crs("EPSG:4200", "EPSG:4326", always_xy=True).transform(27.56, 53.9)
    assert GEOD.inv(found.x, found.y, *expected)[2] < 0.01
    assert GEOD.inv(found.x, found.y, 27.56, 53.9)[2] > 100, "the datum moves it"
    assert report.operation.accuracy_m is None
