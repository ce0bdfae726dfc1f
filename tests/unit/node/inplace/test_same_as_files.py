"""A table harmonised in place gives the rows that an import of the same objects from a file gives."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import shapely
from pyproj import Transformer

from tests.lacking import program, real
from tests.postgres import Database
from tests.unit.node.ingest.making import feature, features, imported
from tests.unit.node.inplace.making import Field, compared, difference, harmonised

SHANGHAI = {
    "shanghai_buildings": "building",
    "shanghai_landuse": "land_use",
    "shanghai_pois": "facility",
    "shanghai_roads": "transportation",
}


def by_ogr(database: Database, path: Path, table: str) -> None:
    """Load a file as cities do."""
    command = [program("ogr2ogr"), "-f", "PostgreSQL", f"PG:{database.url}", str(path), "-nln", table]
    command += ["-lco", "LAUNDER=NO", "-lco", "GEOMETRY_NAME=geom", "-lco", "FID=row", "-nlt", "GEOMETRY"]
    command += ["-oo", "DATE_AS_STRING=YES"]  # it would make a date of text that is empty in some rows
    subprocess.run(command, check=True, timeout=120, stdin=subprocess.DEVNULL)


def once(path: Path) -> dict[str, Any]:
    """The features of a file with the first of each id, nulls left out: a table cannot tell null from nothing."""
    document = json.loads(path.read_text("utf-8"))
    found: dict[Any, Any] = {}
    for one in document["features"]:
        one["properties"] = {key: value for key, value in one["properties"].items() if value is not None}
        if one["properties"].get("id") is not None:
            found.setdefault(one["properties"]["id"], one)
    return {**document, "features": list(found.values())}


@pytest.mark.parametrize(("name", "collection"), SHANGHAI.items())
def test_shanghai_as_ogr2ogr_loads_it(tmp_path: Path, database: Database, name: str, collection: str) -> None:
    document = once(real(f"shanghai/{name}.geojson"))
    path = tmp_path / "once.geojson"
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    by_ogr(database, path, "layer")
    theirs, report = imported(tmp_path / "files", document, collection=collection)
    ours, made = harmonised(database, "public.layer", collection)
    assert len(ours) > 50
    for row in ours.values():
        row["ext"].pop("row")  # ogr2ogr's own number
    assert ours.keys() == theirs.keys()
    assert {id: d for id in ours if (d := difference(ours[id], theirs[id]))} == {}
    assert made.report.matched == report.matched
    assert made.report.nulls == report.nulls
    assert made.report.repaired == report.repaired


@pytest.mark.parametrize("name", ["delft/delft.city.json", "rotterdam/rotterdam_subset.city.json"])
def test_dutch_footprints_in_their_own_coordinates(tmp_path: Path, database: Database, name: str) -> None:
    raw = real(name).read_bytes()
    objects = json.loads(raw)["CityObjects"]
    rows, _ = imported(tmp_path / "city", raw, crs="EPSG:7415")
    back = Transformer.from_crs("OGC:CRS84", "EPSG:28992", always_xy=True)
    made = []
    for id, row in rows.items():
        shape = shapely.transform(row["geometry_lod0"], lambda xy: shapely.get_coordinates(
            shapely.points(*back.transform(xy[:, 0], xy[:, 1]))))  # fmt: skip
        attributes = {k: v for k, v in objects[id].get("attributes", {}).items() if type(v) in (str, int, float)}
        made.append(feature(id, json.loads(shapely.to_geojson(shape)), **attributes))
    assert len(made) > 10
    document = {**features(*made), "crs": {"type": "name", "properties": {"name": "EPSG:28992"}}}
    path = tmp_path / "rd.geojson"
    for one in document["features"]:
        one["properties"]["fid"] = one["id"]
    path.write_text(json.dumps(document), encoding="utf-8")
    by_ogr(database, path, "panden")
    theirs, report = imported(tmp_path / "files", document, city="nl.delft", id_column="fid")
    ours, found = harmonised(database, "panden", city="nl.delft", id_column="fid")
    assert ours.keys() == theirs.keys()
    for row in ours.values():
        row["ext"] = {key: value for key, value in row["ext"].items() if key not in ("row", "id")}  # ogr2ogr's own
    assert {id: d for id in ours if (d := difference(ours[id], theirs[id]))} == {}
    assert found.report.operation == report.operation
    assert 0.0 <= found.facts["postgis_difference_m"] <= 0.01
    assert found.report.nulls == report.nulls


def test_a_tie_is_rounded_as_it_is_written(tmp_path: Path, database: Database) -> None:
    rows = [
        feature("a", measuredHeight=2.675, name="Ünïcode", kind="office"),
        feature("b", None, start_date="1998-05-03"),
    ]
    fields = [Field("measuredHeight", "double precision"), Field("name"), Field("kind"), Field("start_date", "date")]
    ours, _ = compared(tmp_path, database, fields, rows)
    assert str(ours["a"]["height"]) == "2.68"
