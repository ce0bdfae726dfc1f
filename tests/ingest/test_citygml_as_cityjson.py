"""The same buildings as CityJSON and as CityGML come to the same rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from tests.ingest.citygml import as_citygml
from tests.ingest.making import BLOCK, Row, block, city_object, cityjson, imported, solid
from tests.lacking import real

RD_URN = "urn:ogc:def:crs,crs:EPSG::28992,crs:EPSG::5709"
# file, collection, city, srsName, whether its axes come swapped, the level that the bodies are given
FILES: dict[str, tuple[str, str, str, str, bool, str | None]] = {
    "shanghai": ("derived/shanghai_lod1_4549.city.json", "building", "cn.shanghai", "EPSG:4549", False, "2"),
    "shanghai, northing first": (
        "derived/shanghai_lod1_4549.city.json",
        "building",
        "cn.shanghai",
        "urn:ogc:def:crs:EPSG::4549",
        True,
        "2",
    ),
    "delft": ("delft/delft.city.json", "building", "nl.delft", RD_URN, False, None),
    "zurich": (
        "zurich/zurich_subset_lod2.city.json",
        "building",
        "ch.zurich",
        "http://www.opengis.net/def/crs/EPSG/0/2056",
        False,
        None,
    ),
    "zurich's parts": (
        "zurich/zurich_subset_lod2.city.json",
        "building_part",
        "ch.zurich",
        "urn:ogc:def:crs:EPSG::2056",
        False,
        None,
    ),
    "rotterdam": ("rotterdam/rotterdam_subset.city.json", "building", "nl.rotterdam", "EPSG:28992", False, None),
}


def document_of(file: str, lod: str | None) -> dict[str, Any]:
    """The buildings of a file; the bodies are said to be of another level where CityGML has boundary surfaces only
    there."""
    document: dict[str, Any] = json.loads(real(file).read_text())
    objects = {k: o for k, o in document["CityObjects"].items() if o["type"] in ("Building", "BuildingPart")}
    for node in objects.values():
        for geometry in node.get("geometry", []):
            geometry["lod"] = lod or geometry["lod"]
    return document | {"CityObjects": objects}


def equal(one: Row, other: Row) -> None:
    """Every property; geometries point by point."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if name.startswith("geometry_"):
            assert (value is None) == (other[name] is None), name
            assert value is None or shapely.equals_exact(value, other[name], tolerance=0), name
        else:
            assert value == other[name], name


@pytest.mark.parametrize("version", ["2.0", "3.0"])
@pytest.mark.parametrize("name", FILES)
def test_real_buildings_come_alike_from_both(name: str, version: str, tmp_path: Path) -> None:
    file, collection, city, srs, swapped, lod = FILES[name]
    document = document_of(file, lod)
    options: dict[str, Any] = {"collection": collection, "city": city}
    told = {} if "metadata" in document else {"crs": srs}
    expected, _ = imported(tmp_path / "json", document, **options, **told)
    text = as_citygml(document, version, srs, swapped=swapped)
    rows, report = imported(tmp_path / "gml", gzip.compress(text.encode()), **options)
    assert set(rows) == set(expected)
    assert len(rows) == {"building": len(expected), "building_part": 161}[collection]
    for id, row in rows.items():
        heights = row["ext"].pop("heights", [])
        assert [told["value"] for told in heights] == [row["height"] for _ in heights] or heights[0]["value"] > 0
        equal(row, expected[id])
    assert report.bad == 0
    if name == "shanghai":
        assert {row["footprint_method"] for row in rows.values()} == {"ground_surface"}
        assert sum(row["volume"] is not None for row in rows.values()) > 500


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_a_building_of_parts_comes_alike_from_both(version: str, tmp_path: Path) -> None:
    objects = {
        "b": {"type": "Building", "children": ["p", "q"], "attributes": {"measuredHeight": 30.5, "function": "1000"}},
        "p": city_object("BuildingPart", solid("2", 0), parents=["b"], attributes={"name": "тепло", "name:zh": "热"}),
        "q": city_object("BuildingPart", solid("2", 8), parents=["b"]),
    }
    document = cityjson(objects, BLOCK + block(20, 0, 10, 10, 2, 8))
    text = as_citygml(document, version, "urn:ogc:def:crs,crs:EPSG::28992,crs:EPSG::5709")
    for collection in ("building", "building_part"):
        expected, _ = imported(tmp_path / collection / "json", document, collection=collection)
        rows, _ = imported(tmp_path / collection / "gml", text, collection=collection)
        assert set(rows) == set(expected)
        for id, row in rows.items():
            row["ext"].pop("heights", None)
            equal(row, expected[id])
