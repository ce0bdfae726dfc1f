"""Real files through the whole path say what an independent reading of them says.

Import, signed policy, view, node, gateway and client, servers as processes behind mTLS; on the other side plain json,
csv, pyproj and shapely (``tests/oracle``). Every object of every city is compared, not a sample of them. The demo's six
cities take part, and one more that has Shanghai's buildings as map tiles cut them. Whether an import alone is right is
looked at in ``tests/ingest/test_real_data.py``.
"""

from __future__ import annotations

import contextlib
import json
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pytest
import shapely

from alliance import City, running
from cimfed.client.answer import Answer
from cimfed.client.federation import Federation
from scenarios import WORLD, policy, real
from tests import lacking
from tests.conftest import SCRIPTS
from tests.federation.commands import GATEWAY, PARTNER, Commands
from tests.lacking import DATA
from tests.oracle import buildings, outlines, units
from tests.oracle.buildings import Building
from tests.oracle.outlines import Outline
from tests.oracle.places import Position
from tests.oracle.units import Plant, Unit

NEAR = 1e-7  # degrees: about a centimetre
TILES = "cn.shanghai.tiles"
COUNTS = {
    "admin_unit": {"ru.moscow": 125, "in.delhi": 290, "uz.tashkent": 12},
    "facility": {"ru.moscow": 209, "in.delhi": 455, "uz.tashkent": 28},
    "building": {"cn.shanghai": 582, TILES: 1321, "nl.delft": 160, "ch.zurich": 49},
}
STATES = {"ru.moscow": "RUS", "in.delhi": "IND", "uz.tashkent": "UZB"}
SYSTEMS = {"cn.shanghai": "EPSG:4549", "nl.delft": "EPSG:7415", "ch.zurich": "EPSG:2056"}
MOSCOW, DELHI = DATA / "moscow/moscow_districts.geojson", DATA / "delhi/Delhi_Wards.geojson"
TASHKENT = DATA / "tashkent/tashkent_districts.geojson"
PLANTS = DATA / "powerplants/database_GEODB.csv"
SHANGHAI, SHANGHAI_TILES = DATA / "derived/shanghai_lod1_4549.city.json", DATA / "shanghai/shanghai_buildings.geojson"
DELFT, ZURICH = DATA / "delft/delft.city.json", DATA / "zurich/zurich_subset_lod2.city.json"
CITYJSON = {"cn.shanghai": SHANGHAI, "nl.delft": DELFT, "ch.zurich": ZURICH}
BUILDING_GRANT = """\
  - id: buildings
    subject: {org: [inst.tsinghua]}
    purpose: [research]
    collection: building
    columns: {id: exact, name: exact, function: exact, height: exact, height_method: exact, roof_type: exact,
      zmin: exact, zmax: exact, source: exact, ext: exact}
    geometry: {max_lod: 2}
"""
# What the files of Shanghai call a use, in the vocabulary's words; other values say none of these.
FUNCTIONS = {
    "apartments": "residential", "house": "residential", "residential": "residential",
    "bank": "office", "commercial": "office", "office": "office",
    "mall": "retail", "retail": "retail", "shop": "retail",
    "arts_centre": "public", "embassy": "public",
    "hotel": "hotel", "place_of_worship": "worship", "school": "school", "transportation": "transport",
    "shed": "other", "tower": "other",
}  # fmt: skip

Row = dict[str, Any]
Rows = dict[str, dict[str, Row]]  # by city and id


# What runs


@pytest.fixture(scope="module")
def fed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    lacking.real()
    with contextlib.closing(Commands(tmp_path_factory.mktemp("real") / "alliance")) as alliance:
        cities = seven()
        alliance.found()
        for city in cities:  # in this process: not side by side
            alliance.join(city)
        alliance.admit(PARTNER, "CN", "researcher")
        with running(alliance, [*(city.name for city in cities), GATEWAY]), alliance.connect() as connected:
            yield connected


def seven() -> list[City]:
    """The demo's cities and one more; their buildings come with all that the files tell."""
    tiles = City(
        TILES,
        ((str(SHANGHAI_TILES), "--collection", "building", "--where", "kind=building", "--on-duplicate", "merge"),),
        "",
    )
    return [
        replace(city, policy=policy(city.name, {"building": WORLD}, BUILDING_GRANT))
        if city.name in COUNTS["building"]
        else city
        for city in (*real(DATA, SCRIPTS / "mappings"), tiles)
    ]


def rows_of(answer: Answer) -> Rows:
    """Complete, and each city by its own word; no id twice."""
    found: Rows = defaultdict(dict)
    table = answer.to_table()
    for row in table.to_pylist():
        found[row["city"]][row["id"]] = row
    assert answer.coverage.complete
    assert {line.city: (line.word, line.rows) for line in answer.coverage.answered} == {
        city: ("city", len(rows)) for city, rows in found.items()
    }
    assert sum(map(len, found.values())) == table.num_rows
    return found


def read(fed: Federation, collection: str, **how: Any) -> Rows:
    return rows_of(fed.read(collection, purpose="research", require="all", **how))


def groups(
    fed: Federation, collection: str, measures: Iterable[str], by: tuple[str, ...], **how: Any
) -> dict[Any, Row]:
    """An aggregate's measures by the values of its groups."""
    table = fed.aggregate(collection, tuple(measures), by=by, purpose="research", **how).to_table()
    found = {tuple(row.pop(name) for name in by): row for row in table.to_pylist()}
    assert len(found) == table.num_rows
    return found


# What the files say


@cache
def told_units(city: str) -> dict[str, Unit]:
    found = {"ru.moscow": units.moscow, "in.delhi": units.delhi, "uz.tashkent": units.tashkent}
    file = {"ru.moscow": MOSCOW, "in.delhi": DELHI, "uz.tashkent": TASHKENT}[city]
    return {unit.id or f"#{place}": unit for place, unit in enumerate(found[city](file), 1)}


@cache
def told_plants(city: str) -> dict[str, Plant]:
    return units.plants(PLANTS, STATES[city])


@cache
def told_buildings(city: str) -> dict[str, Building]:
    if city == TILES:
        return buildings.shanghai_tiles(SHANGHAI_TILES)
    read = {"cn.shanghai": buildings.shanghai, "nl.delft": buildings.delft, "ch.zurich": buildings.zurich}
    return read[city](CITYJSON[city])


TOLD: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    "admin_unit": told_units,
    "facility": told_plants,
    "building": told_buildings,
}


@cache
def pieces() -> dict[str, list[dict[str, Any]]]:
    """The features of the tiles that are buildings, by the id that the pieces of one share."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for feature in json.loads(SHANGHAI_TILES.read_bytes())["features"]:
        if feature["properties"]["kind"] == "building":
            found[str(feature["properties"]["id"])].append(feature)
    return found


# Comparing


def names(row: Row) -> dict[str, str]:
    return dict(row["name"] or ())


def shape(row: Row, level: int = 0) -> Outline:
    return shapely.from_wkb(row[f"geometry_lod{level}"])


def farthest(some: Iterable[Position], others: Iterable[Position]) -> float:
    """The greatest distance, in degrees, from one of ``some`` to the nearest of ``others``."""
    near = shapely.STRtree(shapely.points(np.array(list(others))))
    _, distances = near.query_nearest(shapely.points(np.array(list(some))), all_matches=False, return_distance=True)
    return float(distances.max())


def same_corners(drawn: Outline, corners: tuple[Position, ...]) -> bool:
    """None is missing, none is added."""
    own = shapely.get_coordinates(drawn)
    return farthest(own, corners) < NEAR and farthest(corners, own) < NEAR


def same_area(one: Outline, other: Outline) -> bool:
    """They differ nowhere but in a band along their edges."""
    return one.is_valid and shapely.symmetric_difference(one, other).area < NEAR * other.length


def boxed(row: Row) -> tuple[float, ...]:
    return tuple(row["bbox"][side] for side in ("xmin", "ymin", "xmax", "ymax"))


# Counts


@pytest.mark.parametrize("collection", COUNTS)
def test_every_city_gives_just_the_objects_of_its_file(collection: str, fed: Federation) -> None:
    rows = read(fed, collection)
    assert {city: len(own) for city, own in rows.items()} == COUNTS[collection]
    assert {city: set(own) for city, own in rows.items()} == {city: set(TOLD[collection](city)) for city in rows}


@pytest.mark.parametrize("collection", COUNTS)
def test_a_count_by_city_is_that_of_the_files(collection: str, fed: Federation) -> None:
    counted = groups(fed, collection, ["count"], ("city",))
    assert counted == {(city,): {"count": len(TOLD[collection](city))} for city in COUNTS[collection]}


# Districts and plants


def test_districts_have_the_names_and_codes_of_their_files(fed: Federation) -> None:
    rows = read(fed, "admin_unit")
    languages = {
        "ru.moscow": {"name": "ru", "name_lat": "ru-Latn"},
        "in.delhi": {"Ward_Name": "en"},
        "uz.tashkent": {"ADM2_EN": "en", "ADM2_RU": "ru", "ADM2_UZ": "uz"},
    }
    for city, own in rows.items():
        for identifier, unit in told_units(city).items():
            row = own[identifier]
            assert names(row) == {languages[city][name]: text for name, text in unit.names.items()}
            assert row["code"] == (unit.id if city == "in.delhi" else None)
            assert row["level"] == ("ward" if city == "in.delhi" else "district")


def test_districts_lie_where_their_files_draw_them(fed: Federation) -> None:
    rows = read(fed, "admin_unit", properties=["id", "geometry_lod0", "bbox"])
    for city, file in {"ru.moscow": MOSCOW, "in.delhi": DELHI, "uz.tashkent": TASHKENT}.items():
        features = json.loads(file.read_bytes())["features"]
        for (identifier, unit), feature in zip(told_units(city).items(), features, strict=True):
            row = rows[city][identifier]
            drawn = outlines.geojson([feature])
            assert same_corners(shape(row), unit.corners), identifier
            assert same_area(shape(row), drawn), identifier
            assert boxed(row) == pytest.approx(drawn.bounds, abs=NEAR)


def test_power_plants_of_three_states_come_out_of_one_table(fed: Federation) -> None:
    for city, own in read(fed, "facility").items():
        for identifier, plant in told_plants(city).items():
            row = own[identifier]
            assert names(row) == {"en": plant.name}
            assert (row["kind"], row["fuel"], row["owner"] or "") == ("power_plant", plant.fuel, plant.owner)
            assert (row["capacity_mw"], row["year_built"]) == (plant.capacity_mw, plant.year)
            assert shape(row).coords[0] == pytest.approx(plant.position, abs=NEAR)
            assert boxed(row) == pytest.approx(plant.position * 2, abs=NEAR)


# Buildings


def test_buildings_have_the_heights_and_names_of_their_files(fed: Federation) -> None:
    for city, own in read(fed, "building").items():
        for identifier, building in told_buildings(city).items():
            row = own[identifier]
            method = None if building.height is None else "measured" if building.measured else "derived"
            assert (row["height"], row["height_method"]) == (building.height, method)
            assert (row["zmin"], row["zmax"]) == (building.zmin, building.zmax)
            assert names(row) == {
                key.removeprefix("name").removeprefix(":") or "und": unicodedata.normalize("NFC", text)
                for key, text in building.names.items()
            }


def test_what_the_vocabulary_lacks_comes_as_the_file_has_it(fed: Federation) -> None:
    rows = read(fed, "building", properties=["id", "function", "ext"], cities=list(CITYJSON))
    for city, file in CITYJSON.items():
        things = json.loads(file.read_bytes())["CityObjects"]
        for identifier, row in rows[city].items():
            told = things[identifier]["attributes"]
            function = FUNCTIONS.get(told.get("kind_detail"))
            used = {"measuredHeight", "name", "name:en", *(["kind_detail"] if function else [])}
            assert row["function"] == function
            assert json.loads(row["ext"]) == {key: value for key, value in told.items() if key not in used}


def test_of_merged_pieces_the_first_that_tells_counts(fed: Federation) -> None:
    rows = read(fed, "building", properties=["id", "function", "roof_type", "source"], cities=[TILES])[TILES]
    for identifier, features in pieces().items():
        told = [feature["properties"] for feature in features]
        uses = [FUNCTIONS[piece["kind_detail"]] for piece in told if piece.get("kind_detail") in FUNCTIONS]
        roofs = [piece["roof_shape"] for piece in told if piece.get("roof_shape")]
        row = rows[identifier]
        assert (row["function"], row["roof_type"]) == (next(iter(uses), None), next(iter(roofs), None))
        assert row["source"] == told[0]["source"]


def test_buildings_stand_where_their_files_put_them(fed: Federation) -> None:
    rows = read(fed, "building")
    levels = {"cn.shanghai": 1, "nl.delft": 1, "ch.zurich": 2}
    for city, level in levels.items():
        drawn = outlines.cityjson(CITYJSON[city], SYSTEMS[city])
        for identifier, building in told_buildings(city).items():
            row = rows[city][identifier]
            assert same_corners(shape(row, level), building.corners), identifier
            heights = shapely.get_coordinates(shape(row, level), include_z=True)[:, 2]
            ends = float(row["zmin"]), float(row["zmax"])  # to the centimetre
            assert (heights.min(), heights.max()) == pytest.approx(ends, abs=0.0051)
            assert same_area(shape(row), drawn[identifier]), identifier
            assert boxed(row) == pytest.approx(drawn[identifier].bounds, abs=NEAR)


def test_merged_pieces_cover_what_they_covered_apart(fed: Federation) -> None:
    rows = read(fed, "building", properties=["id", "geometry_lod0", "bbox"], cities=[TILES])[TILES]
    assert max(map(len, pieces().values())) > 1
    for identifier, features in pieces().items():
        drawn = outlines.geojson(features)
        assert same_area(shape(rows[identifier]), drawn), identifier
        assert boxed(rows[identifier]) == pytest.approx(drawn.bounds, abs=NEAR)


# Questions across cities


HIGH = ("nl.delft", TILES, "ch.zurich")
"""Heights are called measuredHeight in the first, height in the second, and are nowhere written in the third."""


def higher(city: str, metres: int) -> dict[str, Decimal]:
    return {
        building.id: building.height
        for building in told_buildings(city).values()
        if building.height is not None and building.height > metres
    }


@pytest.mark.parametrize("metres", [5, 8])  # 18 of Shanghai are 8 m high, and no more
def test_buildings_higher_than_this_are_found_however_a_city_says_height(metres: int, fed: Federation) -> None:
    where = f"height > {metres}"
    rows = read(fed, "building", where=where, cities=HIGH, properties=["id", "height", "height_method"])
    expected = {city: higher(city, metres) for city in HIGH}
    assert {city: {key: row["height"] for key, row in own.items()} for city, own in rows.items()} == expected
    methods = {city: {row["height_method"] for row in own.values()} for city, own in rows.items()}
    assert methods == {"nl.delft": {"measured"}, TILES: {"measured"}, "ch.zurich": {"derived"}}
    measures = ("count", "sum:height", "min:height", "max:height")
    assert groups(fed, "building", measures, ("city",), where=where, cities=HIGH) == {
        (city,): {
            "count": len(heights),
            "sum_height": sum(heights.values()),
            "min_height": min(heights.values()),
            "max_height": max(heights.values()),
        }
        for city, heights in expected.items()
    }


@pytest.mark.parametrize("by", [("fuel",), ("city", "fuel")])
def test_capacity_by_fuel_adds_up_to_the_last_decimal(by: tuple[str, ...], fed: Federation) -> None:
    """A fuel of whose plants no capacity is known has no sum."""
    expected: dict[tuple[str, ...], list[Plant]] = defaultdict(list)
    for city in STATES:
        for plant in told_plants(city).values():
            expected[tuple({"city": city, "fuel": plant.fuel}[name] for name in by)].append(plant)

    def capacity(plants: list[Plant]) -> Decimal | None:
        known = [plant.capacity_mw for plant in plants if plant.capacity_mw is not None]
        return sum(known, Decimal(0)) if known else None

    found = groups(fed, "facility", ["count", "sum:capacity_mw"], by)
    assert found == {
        key: {"count": len(plants), "sum_capacity_mw": capacity(plants)} for key, plants in expected.items()
    }
    assert all(isinstance(row["sum_capacity_mw"], Decimal | None) for row in found.values())
    assert sum(row["sum_capacity_mw"] or 0 for row in found.values()) == sum(
        plant.capacity_mw or 0 for city in STATES for plant in told_plants(city).values()
    )
