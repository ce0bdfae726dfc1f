"""What a CityJSON file holds is in the snapshot's original: every object, level, surface, attribute and appearance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest import originals
from tests.ingest.making import BLOCK, city_feature, city_object, cityjson, header, imported, lines, solid
from tests.lacking import real

FILES = {
    "delft": ("delft/delft.city.json", "nl.delft"),
    "rotterdam": ("rotterdam/rotterdam_subset.city.json", "nl.rotterdam"),
    "zurich": ("zurich/zurich_subset_lod2.city.json", "ch.zurich"),
    "shanghai": ("derived/shanghai_lod1_4549.city.json", "cn.shanghai"),
}


def placed(node: Any, vertices: list[Any]) -> Any:
    """Boundaries with every vertex number replaced by the vertex."""
    if type(node) is list:
        return [placed(item, vertices) for item in node]
    return tuple(vertices[node])


def resolved(node: dict[str, Any], vertices: list[Any]) -> dict[str, Any]:
    geometries = node.get("geometry")
    if geometries is None:
        return node
    return node | {"geometry": [g | {"boundaries": placed(g["boundaries"], vertices)} for g in geometries]}


def families(document: dict[str, Any], kinds: tuple[str, ...]) -> dict[str, Any]:
    """Objects of these types and all that is below them, with vertices in place of their numbers."""
    objects = document["CityObjects"]
    waiting = [id for id, node in objects.items() if node["type"] in kinds and not node.get("parents")]
    found = {}
    while waiting:
        id = waiting.pop()
        found[id] = resolved(objects[id], document["vertices"])
        waiting += objects[id].get("children", [])
    return found


def kept(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header, and the objects of all originals with vertices in place of their numbers."""
    (first,), objects = originals.read(folder)
    found: dict[str, Any] = {}
    for line in objects:
        feature = line["object"]
        assert feature["type"] == "CityJSONFeature"
        for id, node in feature["CityObjects"].items():
            assert id not in found
            found[id] = resolved(node, feature["vertices"])
    return first["header"], found


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_kept_whole(name: str, tmp_path: Path) -> None:
    file, city = FILES[name]
    raw = real(file).read_bytes()
    document = json.loads(raw)
    told = {} if "metadata" in document else {"crs": "EPSG:28992"}
    imported(tmp_path, raw, city=city, **told)
    head, objects = kept(tmp_path)
    assert objects == families(document, ("Building",))
    assert len(objects) > 10
    assert head == {key: value for key, value in document.items() if key not in ("CityObjects", "vertices")}
    if name == "rotterdam":
        textured = [g for node in objects.values() for g in node.get("geometry", []) if "texture" in g]
        assert textured
        assert head["appearance"]["textures"]


EXTENDED: dict[str, Any] = {
    "extensions": {"Noise": {"url": "https://example.org/noise.ext.json", "version": "1.1"}},
    "+census": {"year": 2020, "tables": [[1, 2], [3, 4]]},
}
NOISY = {
    "n": {
        **city_object("+NoiseBuilding", solid("2"), attributes={"measuredHeight": 9.5, "+noise": {"dB": [40, 51.5]}}),
        "+barrier": {"of": "concrete"},
        "children": ["p"],
    },
    "p": city_object("BuildingPart", solid("2", 8), parents=["n"]),
    "b": city_object("Building", solid(), attributes={"+noise": {"dB": [1]}, "+owner": "city"}),
}
NOISY_VERTICES = [*BLOCK, *[[x + 20_000, y, z] for x, y, z in BLOCK]]
NOISE = 'format: cimfed/mapping/v1\nextends: building\ntypes: ["+NoiseBuilding"]\n'


@pytest.mark.parametrize("sequence", [False, True], ids=["document", "sequence"])
def test_what_an_extension_adds_is_read_and_kept(sequence: bool, tmp_path: Path) -> None:
    data: Any = cityjson(NOISY, NOISY_VERTICES, **EXTENDED)
    if sequence:
        families = ({"n": NOISY["n"], "p": NOISY["p"]}, {"b": NOISY["b"]})
        features = [city_feature(next(iter(one)), one, NOISY_VERTICES) for one in families]
        data = lines(header(**EXTENDED), *features)
    rows, report = imported(tmp_path, data)
    assert rows["b"]["ext"] == {"+noise": {"dB": [1]}, "+owner": "city"}
    assert report.skipped == {"+NoiseBuilding": 1}
    rows, report = imported(tmp_path / "noise", data, mapping=NOISE)
    assert set(rows) == {"n"}
    assert rows["n"]["height"] == 9.5
    assert rows["n"]["ext"] == {"+noise": {"dB": [40, 51.5]}}
    assert rows["n"]["footprint_area"] == 400  # with its part
    head, objects = kept(tmp_path / "noise")
    assert head | EXTENDED == head
    assert objects["n"]["+barrier"] == {"of": "concrete"}
    assert objects == {id: resolved(NOISY[id], NOISY_VERTICES) for id in ("n", "p")}


# CityJSON 1.0


def test_the_first_version_is_read_as_the_ones_after_it(tmp_path: Path) -> None:
    """Vertices without a transform, levels as numbers, a URN, a group that names its members, an address alone."""
    objects = {
        "a": city_object(
            "Building", solid() | {"lod": 1.2}, attributes={"function": "1000"}, address={"City": "Tashkent"}
        ),
        "g": {"type": "CityObjectGroup", "members": ["a", "x"]},
        "x": city_object("GenericCityObject", solid() | {"lod": 2}),
    }
    old = {
        "type": "CityJSON",
        "version": "1.0",
        "metadata": {"referenceSystem": "urn:ogc:def:crs:EPSG::7415"},
        "CityObjects": objects,
        "vertices": [[121_000 + x / 1000, 487_000 + y / 1000, z / 1000] for x, y, z in BLOCK],
    }
    rows, report = imported(tmp_path / "old", old)
    new, _ = imported(tmp_path / "new", cityjson(objects, BLOCK))
    assert rows == new
    assert report.skipped == {"CityObjectGroup": 1, "GenericCityObject": 1}
    head, kept_objects = kept(tmp_path / "old")
    assert head["version"] == "1.0"
    assert kept_objects == {"a": resolved(objects["a"], old["vertices"])}  # type: ignore[arg-type]
    generic = "format: cimfed/mapping/v1\nextends: building\ntypes: [GenericCityObject]\n"
    rows, _ = imported(tmp_path / "generic", old | {"version": "1.0.3"}, mapping=generic)
    assert set(rows) == {"x"}
    assert rows["x"]["geometry_lod2"] is not None


def test_the_first_version_with_a_transform_and_as_a_sequence(tmp_path: Path) -> None:
    objects = {"a": city_object("Building", solid())}
    rows, report = imported(tmp_path / "one", cityjson(objects, BLOCK, version="1.0"))
    other, _ = imported(tmp_path / "two", lines(header("1.0"), city_feature("a", objects, BLOCK)))
    new, _ = imported(tmp_path / "new", cityjson(objects, BLOCK))
    assert rows == other == new
    assert report.rows == 1
