"""A table harmonised in place gives the rows that an import of the same objects from a file gives."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import shapely
import yaml
from pyproj import Transformer

from cimfed_node.ingest.mapping import write_mapping
from tests.contract.inplace.making import Field, compared, difference, harmonised, loaded, previewed
from tests.ingest.making import feature, features, imported
from tests.lacking import program, real
from tests.postgres import Database

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


def test_times_and_decimals_of_their_own_types(tmp_path: Path, database: Database) -> None:
    """A column of a type of its own gives what its text in a file gives."""
    fields = [
        Field("measuredHeight", "numeric(12, 4)"),
        Field("floor_area", "real"),
        Field("start_date", "date"),
        Field("valid_from", "timestamptz"),
        Field("valid_to", "timestamp"),
        Field("built", "date"),
        Field("seen", "timestamptz"),
        Field("name", "char(8)"),
        Field("count", "bigint"),
    ]
    rows = [
        feature("a", measuredHeight=12.345, floor_area=0.25, start_date="1999-12-31", built="2001-02-03", count=2**53),
        feature("b", measuredHeight=-0.125, valid_from="2020-01-02T03:04:05.123456+00:00", name="huis"),
        feature("c", floor_area=1234.5, valid_to="2020-02-29T23:59:59", seen="2020-01-02T03:04:05Z", count=5),
        feature("d", valid_from="2020-06-01T00:00:00+05:30", start_date="0001-01-01"),
        feature("e", measuredHeight=2.675, floor_area=0.05),
    ]
    ours, _ = compared(tmp_path, database, fields, rows)
    assert [str(ours[id]["height"]) for id in "abe"] == ["12.34", "-0.12", "2.68"]


def test_the_mapping_that_a_preview_gives(tmp_path: Path, database: Database) -> None:
    """Written, read again and used, it gives the same rows."""
    rows = [feature(str(n), kind="office" if n % 2 else "pub", height=str(n), name=f"n{n}") for n in range(1, 9)]
    with database.connect() as connection:
        loaded(connection, "things", [Field("kind"), Field("height"), Field("name"), Field("rest")], rows)
    seen = previewed(database, "things", id_column="fid")
    assert seen.report.unmapped == {("function", "kind"): {"pub": 4}}
    assert len(seen.rows) == 5
    assert all(row["geometry_lod0"].startswith("POLYGON") for row in seen.rows)
    path = tmp_path / "m.yaml"
    path.write_text(write_mapping(seen.mapping), encoding="utf-8")
    assert yaml.safe_load(path.read_text("utf-8"))["properties"]["function"]["codes"] == {
        "office": "office",
        "pub": None,
    }
    first, _ = harmonised(database, "things", id_column="fid")
    second, made = harmonised(database, "things", mapping=path)
    assert not {id: d for id in first if (d := difference(first[id], second[id]))}
    assert made.report.unmapped == {}
