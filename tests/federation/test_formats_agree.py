"""The same buildings as CityGML, CityJSON and GeoPackage give the same views, row for row and in the same order.

The files are made here of 500 real buildings: CityGML by a writer of its own, GeoPackage by GDAL out of outlines that
shapely makes. Three cities of one name import one each and put the same policy in force.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import Transformer

from cimfed.console import out
from cimfed_node import cli
from cimfed_node.tables.publication import active_grants
from cimfed_node.tables.publication import views as views_of
from tests.federation.world import City, World
from tests.ingest.citygml import as_citygml
from tests.ingest.writing import write
from tests.lacking import real

CITY = "cn.shanghai"
FILE = "derived/shanghai_lod1_4549.city.json"
NUMBER = 500
CELL = 360 / 2**31  # degrees: the side of what counts as one place
ATTRIBUTES = "id: exact, name: exact, height: exact, function: exact, storeys_above: exact, ext: exact"
FLAT = f"""
  - id: outlines
    subject: {{country: [CN]}}
    purpose: [research]
    collection: building
    columns: {{{ATTRIBUTES}, footprint_area: exact}}
    geometry: {{max_lod: 0}}
  - id: bands
    subject: {{country: [CN]}}
    purpose: [planning]
    collection: building
    columns: {{height: {{band: 5}}, function: exact}}
    rows: height >= 10
"""
BODIES = f"""
  - id: bodies
    subject: {{country: [CN]}}
    purpose: [research]
    collection: building
    columns: {{{ATTRIBUTES}, footprint_area: exact, volume: exact, zmin: exact, zmax: exact}}
    geometry: {{max_lod: 1}}
"""
Import = Callable[[str, Path, str], dict[str, pa.Table]]


def buildings() -> dict[str, Any]:
    """The first 500 of the file that have a body."""
    document: dict[str, Any] = json.loads(real(FILE).read_text())
    chosen = [(id, node) for id, node in document["CityObjects"].items() if node.get("geometry")][:NUMBER]
    assert len(chosen) == NUMBER
    return document | {"CityObjects": dict(chosen)}


def outlines(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What a GeoPackage can hold of them: the floor of each, and the attributes as columns."""
    scale, move = document["transform"]["scale"], document["transform"]["translate"]
    points = [[c * s + m for c, s, m in zip(vertex, scale, move, strict=True)] for vertex in document["vertices"]]
    made = []
    for id, node in document["CityObjects"].items():
        (geometry,) = node["geometry"]
        faces = [[[points[i] for i in ring] for ring in face] for face in geometry["boundaries"][0]]
        floor = min(faces, key=lambda face: max(z for ring in face for _, _, z in ring))
        shell, *holes = [[(x, y) for x, y, _ in ring] for ring in floor]
        attributes = {"gid": id, **node.get("attributes", {})}
        shape = shapely.geometry.mapping(shapely.Polygon(shell, holes))
        made.append({"type": "Feature", "properties": attributes, "geometry": shape})
    return made


@pytest.fixture
def views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """The views of a city that imported a file, by grant; the city's secret is the same each time, as keys need it."""
    monkeypatch.setattr(out, "_width", 200)

    def views(name: str, file: Path, grants: str, *options: str) -> dict[str, pa.Table]:
        folder = tmp_path / name
        folder.mkdir()
        world = World(folder)
        city = world.add_city(CITY)
        city.home.secret.write_bytes(bytes(32))
        monkeypatch.setenv("CIMFED_NODE_HOME", str(city.home.path))
        cli.app(["import", str(file), "--collection", "building", *options], standalone_mode=False)
        city.activate(grants)
        return standing(city)

    return views


def standing(city: City) -> dict[str, pa.Table]:
    with city.control() as control, control.reading() as connection:
        found = {view.id: view for view in views_of(connection, city.home.place).values()}
        grants = active_grants(connection)
    return {item.grant: pq.read_table(city.home.views / found[item.view].source) for item in grants}


def in_order(view: pa.Table) -> tuple[list[Any], list[Any]]:
    """Rows that have a place of their own, in the view's order, and those after them that share one, which stand in an
    order that each view draws: here by id."""
    rows = view.to_pylist()
    centres = [((b["xmin"] + b["xmax"]) / 2, (b["ymin"] + b["ymax"]) / 2) for b in (row["bbox"] for row in rows)]
    cells = [tuple(int((degrees + 180) / CELL) for degrees in centre) for centre in centres]
    shared = [cells.count(cell) > 1 for cell in cells]
    assert shared == sorted(shared)
    own = len(rows) - sum(shared)
    assert own > 0.9 * len(rows)
    return rows[:own], sorted(rows[own:], key=lambda row: row["id"])


def same(one: pa.Table, other: pa.Table) -> None:
    """Every column of every row; geometries to the bit."""
    assert one.schema.equals(other.schema)
    for expected, found in zip(in_order(one), in_order(other), strict=True):
        assert [row["id"] for row in found] == [row["id"] for row in expected]
        assert found == expected


def drawn(view: pa.Table) -> list[Any]:
    """Rows of a view without places, whose order is its own."""
    return sorted(map(repr, view.to_pylist()))


def test_citygml_cityjson_and_geopackage_give_the_same_views_row_for_row(views: Import, tmp_path: Path) -> None:
    document = buildings()
    (tmp_path / "x.city.json").write_text(json.dumps(document))
    (tmp_path / "x.gml").write_text(as_citygml(document, "2.0", "EPSG:4549"))
    write(tmp_path / "x.gpkg", outlines(document), "GPKG", crs="EPSG:4549")
    made = {
        "json": views("json", tmp_path / "x.city.json", FLAT + BODIES, "--crs", "EPSG:4549"),
        "gml": views("gml", tmp_path / "x.gml", FLAT + BODIES),
        "gpkg": views("gpkg", tmp_path / "x.gpkg", FLAT, "--id", "gid"),
    }
    first = made["json"]
    tall = sum(node["attributes"]["measuredHeight"] >= 10 for node in document["CityObjects"].values())
    assert {name: view.num_rows for name, view in first.items()} == {
        "outlines": NUMBER,
        "bands": tall,
        "bodies": NUMBER,
    }
    assert set(first["bodies"]["id"].to_pylist()) == set(document["CityObjects"])
    assert first["bodies"]["geometry_lod1"].null_count == first["bodies"]["height"].null_count == 0
    same(first["bodies"], made["gml"]["bodies"])
    for other in ("gml", "gpkg"):
        same(first["outlines"], made[other]["outlines"])
        assert drawn(first["bands"]) == drawn(made[other]["bands"])


def test_the_outlines_of_the_view_are_those_that_plain_geometry_makes(views: Import, tmp_path: Path) -> None:
    """What all three agree upon is right: moved back to the file's system, it is the floor of each building."""
    document = buildings()
    (tmp_path / "x.gml").write_text(as_citygml(document, "2.0", "EPSG:4549"))
    view = views("gml", tmp_path / "x.gml", FLAT)["outlines"]
    found = dict(zip(view["id"].to_pylist(), shapely.from_wkb(view["geometry_lod0"].to_pylist()), strict=True))
    back = Transformer.from_crs("EPSG:4490", "EPSG:4549", always_xy=True)
    for one in outlines(document):
        floor = shapely.geometry.shape(one["geometry"])
        moved = shapely.transform(found[one["properties"]["gid"]], lambda xy: np.column_stack(back.transform(*xy.T)))
        assert shapely.symmetric_difference(floor, moved).area < 0.01 * floor.length
