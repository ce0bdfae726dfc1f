"""A made city is the same bytes each time and keeps CityJSON's rules.

Geometry is checked with plain arithmetic and shapely, none of the generator.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from citygen.layout import lots, quarters
from citygen.presets import PRESETS
from citygen.write import City
from tests.scripts.made import BUILDINGS, CITIES, city_features, header, indices, make, run, truth_rows

Point = tuple[int, int, int]


def solid_of(thing: dict[str, Any]) -> list[list[list[int]]]:
    shells = next(g["boundaries"] for g in thing["geometry"] if g["type"] == "Solid")
    assert len(shells) == 1
    return shells[0]  # type: ignore[no-any-return]


def footprint_of(thing: dict[str, Any], vertices: list[list[int]]) -> shapely.Polygon:
    """In millimetres from the city's origin."""
    surfaces = next(g["boundaries"] for g in thing["geometry"] if g["type"] == "MultiSurface")
    assert len(surfaces) == 1
    shell, *holes = [[vertices[i][:2] for i in ring] for ring in surfaces[0]]
    return shapely.Polygon(shell, holes)


def newell(ring: list[Point]) -> tuple[int, int, int]:
    """Twice the area vector of a ring: it points to where the ring is seen counter-clockwise from."""
    x = y = z = 0
    for (ax, ay, az), (bx, by, bz) in zip(ring, ring[1:] + ring[:1], strict=True):
        x += (ay - by) * (az + bz)
        y += (az - bz) * (ax + bx)
        z += (ax - bx) * (ay + by)
    return x, y, z


# The same bytes


def test_the_same_arguments_give_the_same_bytes(city: str, sequence: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    done = run(city, "--buildings", BUILDINGS, "--out", again, "--format", "cityjsonseq", hash_seed="7")
    assert done.returncode == 0
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(sequence.read_bytes()).digest()


def test_another_seed_gives_another_city(city: str, sequence: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other", city, BUILDINGS, "--format", "cityjsonseq", "--seed", 2)
    assert other.read_bytes() != sequence.read_bytes()
    assert sum(1 for _ in city_features(other)) == BUILDINGS


def test_a_city_is_the_same_in_pieces_of_any_size(city: str) -> None:
    preset = PRESETS[city]
    made = City(preset, 500, 1, True)
    whole = lots(preset, made.chance, made.quarters, 0, 500)
    parts = [lots(preset, made.chance, made.quarters, start, start + 50) for start in range(0, 500, 50)]
    assert np.array_equal(whole.corners, np.concatenate([part.corners for part in parts]))
    assert np.array_equal(whole.ground, np.concatenate([part.ground for part in parts]))


def test_both_formats_hold_the_same_buildings(sequence: Path, document: dict[str, Any]) -> None:
    assert header(sequence)["transform"] == document["transform"]
    assert header(sequence)["metadata"] == document["metadata"]
    read = dict(document["CityObjects"])
    for identifier, thing, vertices in city_features(sequence):
        other = read.pop(identifier)
        assert other["attributes"] == thing["attributes"]
        for mine, its in zip(thing["geometry"], other["geometry"], strict=True):
            assert (mine["type"], mine["lod"]) == (its["type"], its["lod"])
            own = [vertices[i] for i in indices(mine["boundaries"])]
            assert own == [document["vertices"][i] for i in indices(its["boundaries"])]
    assert not read


# The rules of CityJSON


def test_there_are_as_many_buildings_as_asked_for(
    sequence: Path, document: dict[str, Any], truth: dict[str, Any]
) -> None:
    identifiers = [identifier for identifier, _, _ in city_features(sequence)]
    assert len(identifiers) == len(set(identifiers)) == BUILDINGS
    assert set(document["CityObjects"]) == set(identifiers) == set(truth)


@pytest.mark.parametrize("buildings", [1, 2, 37])
def test_a_small_city_is_a_city(city: str, buildings: int, tmp_path: Path) -> None:
    document = json.loads(make(tmp_path / "small", city, buildings).read_bytes())
    assert len(document["CityObjects"]) == buildings


def test_the_header_says_version_system_and_scale(city: str, sequence: Path, document: dict[str, Any]) -> None:
    first = header(sequence)
    assert first["CityObjects"] == {}
    assert first["vertices"] == []
    for told in (first, document):
        assert told["type"] == "CityJSON"
        assert told["version"] in ("1.1", "2.0")
        assert told["transform"]["scale"] == [0.001] * 3
        assert re.fullmatch(r"https://www\.opengis\.net/def/crs/EPSG/0/\d+", told["metadata"]["referenceSystem"])
    assert str(PRESETS[city].epsg) in first["metadata"]["referenceSystem"]


def test_geometry_has_the_depth_and_the_lod_of_its_type(sequence: Path) -> None:
    for _, thing, _ in city_features(sequence):
        assert thing["type"] == "Building"
        assert [(g["type"], g["lod"][0]) for g in thing["geometry"]] == [("MultiSurface", "0"), ("Solid", "1")]
        for geometry in thing["geometry"]:
            assert re.fullmatch(r"[0-3](\.[0-3])?", geometry["lod"])
            depth, inner = 0, geometry["boundaries"]
            while isinstance(inner, list):
                depth, inner = depth + 1, inner[0]
            assert depth == {"MultiSurface": 3, "Solid": 4}[geometry["type"]]


def test_every_vertex_is_used_and_every_index_exists(sequence: Path, document: dict[str, Any]) -> None:
    for _, thing, vertices in city_features(sequence):
        used = set(indices([g["boundaries"] for g in thing["geometry"]]))
        assert used == set(range(len(vertices)))
        assert len({tuple(vertex) for vertex in vertices}) == len(vertices)
        assert all(type(value) is int for vertex in vertices for value in vertex)
    geometries = [g["boundaries"] for thing in document["CityObjects"].values() for g in thing["geometry"]]
    assert set(indices(geometries)) == set(range(len(document["vertices"])))


def test_solids_are_closed(sequence: Path) -> None:
    for identifier, thing, _ in city_features(sequence):
        edges: Counter[tuple[int, int]] = Counter()
        for face in solid_of(thing):
            for ring in face:
                assert len(set(ring)) == len(ring) >= 3
                edges.update(zip(ring, ring[1:] + ring[:1], strict=True))
        assert set(edges.values()) == {1}, identifier
        assert all((there, here) in edges for here, there in edges), identifier


def test_solids_face_outwards(sequence: Path, truth: dict[str, dict[str, str]]) -> None:
    for identifier, thing, vertices in city_features(sequence):
        points: list[Point] = [(x, y, z) for x, y, z in vertices]
        ground, roof, *walls = solid_of(thing)
        for face, sign in ((ground, -1), (roof, 1)):
            normals = [newell([points[i] for i in ring]) for ring in face]
            assert all(n[:2] == (0, 0) for n in normals), "ground and roof are level"
            assert normals[0][2] * sign > 0
            assert all(n[2] * sign < 0 for n in normals[1:]), "holes run the other way"
        # The divergence theorem over all rings, exactly: six times the volume, in cubic millimetres.
        origin = points[0]
        volume = 0
        for face in (ground, roof, *walls):
            for ring in face:
                moved = [(x - origin[0], y - origin[1], z - origin[2]) for x, y, z in (points[i] for i in ring)]
                n = newell(moved)
                volume += sum(a * b for a, b in zip(n, moved[0], strict=True))
        area = footprint_of(thing, vertices).area
        height = max(p[2] for p in points) - min(p[2] for p in points)
        assert volume / 6e9 == pytest.approx(area * height / 1e9, rel=1e-9)
        assert Decimal(height) / 1000 == Decimal(truth[identifier]["height"])


def test_footprints_are_valid_apart_from_each_other_and_of_many_shapes(
    sequence: Path, truth: dict[str, dict[str, str]]
) -> None:
    read = [(identifier, footprint_of(thing, vertices)) for identifier, thing, vertices in city_features(sequence)]
    polygons = [polygon for _, polygon in read]
    assert all(polygon.is_valid and polygon.exterior.is_ccw for polygon in polygons)
    pairs = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    assert (pairs[0] == pairs[1]).all(), "two buildings meet"
    corners = Counter((len(p.exterior.coords) - 1, len(p.interiors)) for p in polygons)
    assert corners[4, 0] > corners[6, 0] > 0
    assert corners[8, 0] > 0
    assert corners[4, 1] > 0, "courtyards"
    for identifier, polygon in read:
        assert polygon.area / 1e6 == pytest.approx(float(truth[identifier]["footprint_area"]), abs=0.051)


def test_footprints_alone_on_request(city: str, tmp_path: Path) -> None:
    made = make(tmp_path / "flat", city, 100, "--format", "cityjsonseq", "--lod", 0, "--truth", tmp_path / "truth")
    truth = truth_rows(tmp_path / "truth")
    for identifier, thing, vertices in city_features(made):
        assert [g["type"] for g in thing["geometry"]] == ["MultiSurface"]
        assert set(indices(thing["geometry"][0]["boundaries"])) == set(range(len(vertices)))
        row = truth[identifier]
        assert row["zmin"] == row["zmax"] == ""
        assert (row["height"] == "") == (row["height_method"] == "")
    assert {row["height_method"] for row in truth.values()} == {"measured", ""}


# The command


def test_three_cities_at_once_share_the_buildings(tmp_path: Path) -> None:
    done = run("all", "--buildings", 100, "--out", tmp_path, "--format", "cityjsonseq", "--truth")
    assert done.returncode == 0, done.stderr
    counts = {city: sum(1 for _ in city_features(tmp_path / f"{city}.city.jsonl")) for city in CITIES}
    assert counts == {"cn.qingdao": 34, "kz.almaty": 33, "uz.tashkent": 33}
    for city in CITIES:
        assert len(truth_rows(tmp_path / f"{city}.truth.csv")) == counts[city]
        assert (tmp_path / f"{city}.mapping.yaml").stat().st_size > 0


@pytest.mark.parametrize(
    "arguments",
    [("xx.nowhere",), ("kz.almaty", "--buildings", 0), ("kz.almaty", "--lod", 2), ("all", "--mapping-out", "m.yaml")],
)
def test_nonsense_is_refused(arguments: tuple[object, ...], tmp_path: Path) -> None:
    done = run(*arguments, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "usage:" in done.stderr
    assert not (tmp_path / "out").exists()


def test_quarters_hold_just_enough(city: str) -> None:
    made = quarters(PRESETS[city], City(PRESETS[city], 1, 1, True).chance, 5000)
    assert made.first[-1] < 5000
    assert (np.hypot(made.x, made.y)[1:] >= np.hypot(made.x, made.y)[:-1]).all(), "from the centre outwards"
