"""A made city lies where its city lies, and its records agree with each other and with its truth.

Positions are checked with pyproj from the EPSG codes, none of the generator.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import CRS, Geod, Transformer
from pyproj.transformer import TransformerGroup

from citygen.presets import PRESETS
from citygen.write import City
from scenarios import EXTENTS
from tests.scripts.made import BUILDINGS, CITIES, city_features, header, indices, make

# City halls or central squares, from any map: nothing of the generator.
CENTRES = {"cn.qingdao": (120.38, 36.07), "kz.almaty": (76.93, 43.25), "uz.tashkent": (69.28, 41.31)}


def test_coordinates_lie_in_the_city(city: str, document: dict[str, Any]) -> None:
    crs = CRS.from_user_input(document["metadata"]["referenceSystem"])
    vertices = np.array(document["vertices"]) * 0.001 + document["transform"]["translate"]
    lon, lat = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(vertices[:, 0], vertices[:, 1])
    west, south, east, north = crs.area_of_use.bounds
    assert ((west < lon) & (lon < east) & (south < lat) & (lat < north)).all()
    middle = np.broadcast_to(CENTRES[city], (len(lon), 2))
    *_, away = Geod(ellps="WGS84").inv(middle[:, 0], middle[:, 1], lon, lat)
    assert max(away) < 5000


@pytest.mark.parametrize("city", CITIES)
def test_the_largest_city_stays_in_its_systems_area_of_use(city: str) -> None:
    preset = PRESETS[city]
    made = City(preset, 3_000_000, 1, True)
    x, y = made.quarters.x + preset.origin[0], made.quarters.y + preset.origin[1]
    crs = CRS.from_epsg(preset.epsg)
    lon, lat = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y)
    west, south, east, north = crs.area_of_use.bounds
    assert west < lon.min() - 0.01
    assert lon.max() + 0.01 < east
    assert south < lat.min()
    assert lat.max() < north


@pytest.mark.parametrize("city", CITIES)
def test_the_extents_that_the_demo_declares_hold_the_largest_benchmark(city: str) -> None:
    preset = PRESETS[city]
    made = City(preset, 340_000, 1, True)
    x, y = made.quarters.x + preset.origin[0], made.quarters.y + preset.origin[1]
    lon, lat = Transformer.from_pipeline(preset.pipeline).transform(x, y)
    west, south, east, north = EXTENTS[city]
    assert west < lon.min() - 0.01
    assert south < lat.min() - 0.01
    assert lon.max() + 0.01 < east
    assert lat.max() + 0.01 < north


# How PROJ names the way from each system; China's has no published parameters, so latitude and longitude stay.
WAYS = {
    "cn.qingdao": ("EPSG:4549", "EPSG:4490", "Inverse of 3-degree Gauss-Kruger CM 120E"),
    "kz.almaty": ("EPSG:32643", "OGC:CRS84", "Inverse of UTM zone 43N"),
    "uz.tashkent": ("EPSG:28412", "OGC:CRS84", "Pulkovo 1942 to WGS 84 (16)"),
}


def test_the_truths_positions_are_those_of_the_file(
    city: str, sequence: Path, truth: dict[str, dict[str, str]]
) -> None:
    source, target, name = WAYS[city]
    way = next(t for t in TransformerGroup(source, target, always_xy=True).transformers if name in t.description)
    translate = header(sequence)["transform"]["translate"]
    for identifier, thing, vertices in city_features(sequence):
        first = next(indices(thing["geometry"][0]["boundaries"]))
        x, y = (vertices[first][axis] * 0.001 + translate[axis] for axis in (0, 1))
        row = truth[identifier]
        assert (float(row["x"]), float(row["y"])) == pytest.approx((x, y), abs=1e-6)
        assert (float(row["lon"]), float(row["lat"])) == pytest.approx(way.transform(x, y), abs=2e-9)


# The city's own names for height, storeys, floor area, energy, use; and how it writes metres and kilowatt-hours.
COLUMNS = {
    "cn.qingdao": ("建筑高度", "地上层数", "建筑面积", "年用电量_kWh", "用途代码"),
    "kz.almaty": ("высота_м", "этажность", "общая_площадь_м2", "потребление_МВтч_год", "назначение"),
    "uz.tashkent": ("balandligi_sm", "qavatlar_soni", "umumiy_maydoni", "elektr_isteʼmoli_kVt_soat", "vazifasi"),
}
UNITS = {"cn.qingdao": ("1", "1"), "kz.almaty": ("1", "1000"), "uz.tashkent": ("0.01", "1")}


def figure(told: object, unit: str) -> Decimal:
    return Decimal(str(told).replace(",", ".")) * Decimal(unit)


def test_the_truth_says_what_the_file_says(city: str, sequence: Path, truth: dict[str, dict[str, str]]) -> None:
    height, storeys, floor, energy, use = COLUMNS[city]
    metre, kilowatt_hour = UNITS[city]
    uses: dict[Any, set[str]] = {}
    missing = 0
    for identifier, thing, vertices in city_features(sequence):
        told, row = thing["attributes"], truth[identifier]
        levels = [vertex[2] for vertex in vertices]
        assert Decimal(row["zmin"]) == Decimal(min(levels)) / 1000
        assert Decimal(row["zmax"]) == Decimal(max(levels)) / 1000
        if told.get(height) is None:
            missing += 1
            assert row["height_method"] == "derived"
        else:
            assert figure(told[height], metre) == Decimal(row["height"])
            assert row["height_method"] == "measured"
        assert str(told[storeys]) == row["storeys_above"]
        assert figure(told[floor], "1") == Decimal(row["floor_area"])
        if told.get(energy) is None:
            assert row["energy_kwh"] == ""
        else:
            assert figure(told[energy], kilowatt_hour) == Decimal(row["energy_kwh"])
        uses.setdefault(told[use], set()).add(row["function"])
    assert 0.05 * BUILDINGS < missing < 0.25 * BUILDINGS
    assert all(len(meant) == 1 for meant in uses.values()), "one code, one meaning"
    assert len(uses) > 8


def test_storeys_area_and_energy_go_together(truth: dict[str, dict[str, str]]) -> None:
    for row in truth.values():
        storeys, height = int(row["storeys_above"]), float(row["height"])
        assert 2.5 < height / storeys < 9.5
        assert 0.85 < float(row["floor_area"]) / (float(row["footprint_area"]) * storeys) <= 1.001
        if row["energy_kwh"] and row["usage_state"] == "in_use":
            assert 3 < float(row["energy_kwh"]) / float(row["floor_area"]) < 2000


def test_towers_stand_in_the_centre(city: str) -> None:
    made = City(PRESETS[city], 20_000, 1, True)
    reach, heights = zip(*((lot.reach, stands.height) for lot, stands in made.pieces()), strict=True)
    away, high = np.concatenate(reach), np.log(np.concatenate(heights) / 100.0)
    assert np.median(high[away < 0.25]) > np.median(high[away > 0.6]) + np.log(1.5)
    assert np.exp(np.percentile(high[away < 0.25], 99)) > 60.0
    # Log-normal, if each kind of quarter is: not far from symmetric once logged, as raw heights are not.
    assert abs(((high - high.mean()) ** 3).mean() / high.std() ** 3) < 1.0


def test_qingdao_leaves_out_what_it_does_not_know_and_almaty_says_null(tmp_path: Path) -> None:
    qingdao = make(tmp_path / "q", "cn.qingdao", 200, "--format", "cityjsonseq")
    almaty = make(tmp_path / "a", "kz.almaty", 200, "--format", "cityjsonseq")
    assert all(None not in thing["attributes"].values() for _, thing, _ in city_features(qingdao))
    assert len({tuple(thing["attributes"]) for _, thing, _ in city_features(almaty)}) == 1
    assert any(None in thing["attributes"].values() for _, thing, _ in city_features(almaty))


def test_tashkent_types_two_apostrophes_and_almaty_two_alphabets(tmp_path: Path) -> None:
    tashkent = make(tmp_path / "t", "uz.tashkent", 2000, "--format", "cityjsonseq").read_text(encoding="utf-8")
    assert "o\u02bbquv muassasasi" in tashkent
    assert "o\u2018quv muassasasi" in tashkent
    almaty = make(tmp_path / "a", "kz.almaty", 500, "--format", "cityjsonseq")
    classes = {thing["attributes"]["класс_энергоэффективности"] for _, thing, _ in city_features(almaty)}
    assert {"C", "\u0421"} <= classes
