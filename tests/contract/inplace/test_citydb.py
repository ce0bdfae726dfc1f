"""3DCityDB version 5 in place: the same objects as in a CityJSON file give the same rows.

The schema here has the tables and columns of 3DCityDB that matter, and its ways: an attribute of several parts is
several rows, a body hangs on a property with a LoD, what belongs to a feature is another feature that it contains.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cimfed.errors import BadFile
from cimfed.model.names import CityName
from cimfed_node.inplace import InPlaceRequest, harmonise_in_place
from tests.contract.inplace.making import citydb_rows
from tests.contract.inplace.test_places_and_bodies import body_differences, surfaces
from tests.ingest.making import imported
from tests.lacking import real
from tests.postgres import Database

SCHEMA = """
CREATE SCHEMA citydb;
CREATE TABLE citydb.objectclass (id integer PRIMARY KEY, superclass_id integer, classname text);
CREATE TABLE citydb.feature (id bigserial PRIMARY KEY, objectclass_id integer NOT NULL, objectid text,
    creation_date timestamptz, termination_date timestamptz, valid_from timestamptz, valid_to timestamptz);
CREATE TABLE citydb.geometry_data (id bigserial PRIMARY KEY, geometry geometry(GeometryZ, 28992), feature_id bigint);
CREATE TABLE citydb.property (id bigserial PRIMARY KEY, feature_id bigint, parent_id bigint, name text, val_int bigint,
    val_double double precision, val_string text, val_timestamp timestamptz, val_uri text, val_uom text, val_lod text,
    val_geometry_id bigint, val_feature_id bigint, val_relation_type integer);
"""
CLASSES = {901: "Building", 902: "BuildingPart", 709: "WallSurface", 710: "GroundSurface", 904: "BuildingRoom",
           909: "Storey", 800: "Road", 300: "LandUse", 400: "WaterBody", 500: "PlantCover"}  # fmt: skip


class City:
    """A schema that is filled feature by feature."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        connection.execute(SCHEMA)  # type: ignore[call-overload]
        for id, name in CLASSES.items():
            connection.execute("INSERT INTO citydb.objectclass VALUES (%s, NULL, %s)", [id, name])

    def feature(self, classname: str, objectid: str | None, **columns: Any) -> int:
        number = next(id for id, name in CLASSES.items() if name == classname)
        return self._insert("feature", objectclass_id=number, objectid=objectid, **columns)

    def property(self, feature: int, name: str, **values: Any) -> int:
        return self._insert("property", feature_id=feature, name=name, **values)

    def body(self, feature: int, lod: str, ewkt: str) -> None:
        shape = self._insert("geometry_data", geometry=ewkt, feature_id=feature)
        self.property(feature, f"lod{lod[0]}Solid", val_lod=lod, val_geometry_id=shape)

    def contains(self, one: int, other: int, name: str = "boundary") -> None:
        self.property(one, name, val_feature_id=other, val_relation_type=1)

    def _insert(self, table: str, **values: Any) -> int:
        columns, slots = ", ".join(values), ", ".join(["%s"] * len(values))
        query = f"INSERT INTO citydb.{table} ({columns}) VALUES ({slots}) RETURNING id"
        found = self.connection.execute(query, list(values.values())).fetchone()  # type: ignore[call-overload]
        assert found is not None
        return int(found[0])


def test_buildings_as_in_their_file(tmp_path: Path, database: Database) -> None:
    document = json.loads(real("rotterdam/rotterdam_subset.city.json").read_bytes())
    numbered = list(enumerate((id, o) for id, o in document["CityObjects"].items() if o["type"] == "Building"))
    for number, (_, thing) in numbered:
        thing["attributes"] = {
            "function": "1000" if number % 2 else "office",
            "measuredHeight": 3.125 + number,
            "storeysAboveGround": number,
            "yearOfConstruction": 1900 + number,
            "roofType": "1030",
            "name": f"huis {number}",
            "valid_from": "2020-01-02T03:04:05Z",
        }
    with database.connect() as connection:
        city = City(connection)
        for number, (id, thing) in numbered:
            given = thing["attributes"]
            building = city.feature("Building", id, valid_from=given["valid_from"])
            for name in ("function", "roofType", "name"):
                city.property(building, name, val_string=given[name])
            city.property(building, "name", val_string="second")
            height = city.property(building, "height")
            city.property(building, "value", parent_id=height, val_double=given["measuredHeight"], val_uom="m")
            city.property(building, "status", parent_id=height, val_string="measured")
            city.property(building, "storeysAboveGround", val_int=given["storeysAboveGround"])
            city.property(
                building, "dateOfConstruction", val_timestamp=f"{given['yearOfConstruction']}-06-01T00:00:00Z"
            )
            city.property(building, "owner", val_string="de stad")
            owner = building
            if number % 3 == 0:  # the body is a part's
                owner = city.feature("BuildingPart", f"{id}-part")
                city.contains(building, owner, "buildingPart")
            for lod, ewkt in surfaces(document, id).values():
                city.body(owner, lod, f"SRID=28992;{ewkt}")
            wall = city.feature("WallSurface", None)
            city.contains(owner, wall)
            city.body(wall, "2", "SRID=28992;POLYHEDRALSURFACE Z (((0 0 0, 9 0 0, 9 9 99, 0 0 0)))")
            room = city.feature("BuildingRoom", f"{id}-room")
            city.contains(building, room, "buildingRoom")
            city.body(room, "3", "SRID=28992;POLYHEDRALSURFACE Z (((0 0 0, 9 0 0, 9 9 99, 0 0 0)))")
        gone = city.feature("Building", "gone", termination_date="2020-01-01T00:00:00Z")
        city.property(gone, "function", val_string="1000")
    theirs, _ = imported(tmp_path / "files", document, city="nl.rotterdam", crs="EPSG:28992")
    ours, made = citydb_rows(database, "building", city="nl.rotterdam", quarantine=None)
    assert ours.keys() == theirs.keys()
    assert not {id: d for id in ours if (d := body_differences(ours[id], theirs[id]))}
    assert all(row["ext"] == {"properties": {"owner": "de stad"}} for row in ours.values())
    assert made.report.matched["height"] == {"height": len(ours)}
    parts, _ = citydb_rows(database, "building_part", city="nl.rotterdam", quarantine=tmp_path / "bad")
    assert {row["building"] for row in parts.values()} == {id for number, (id, _) in numbered if number % 3 == 0}


@pytest.mark.parametrize(
    ("collection", "classname"),
    [("storey", "Storey"), ("room", "BuildingRoom"), ("transportation", "Road"), ("land_use", "LandUse"),
     ("water_body", "WaterBody"), ("vegetation", "PlantCover")],
)  # fmt: skip
def test_other_collections(database: Database, collection: str, classname: str) -> None:
    with database.connect() as connection:
        city = City(connection)
        one = city.feature(classname, "one")
        city.property(one, "usage", val_string="quite unknown")
        city.body(
            one, "1", "SRID=28992;MULTIPOLYGON Z (((85000 446000 1, 85010 446000 1, 85010 446010 1, 85000 446000 1)))"
        )
        city.feature("Building", "another")
    ours, made = citydb_rows(database, collection, city="nl.delft")
    assert ours.keys() == {"one"}
    assert ours["one"]["geometry_lod0"].is_valid
    assert str(ours["one"]["zmin"]) == "1.00"
    assert made.relation == f"citydb: {collection}"


def test_no_citydb(database: Database) -> None:
    request = InPlaceRequest(CityName("xx.city"), "building", citydb="nowhere")
    with database.connect() as connection, pytest.raises(BadFile, match="no schema of 3DCityDB version 5") as caught:
        harmonise_in_place(connection, request)
    assert caught.value.remedy
    with database.connect() as connection, pytest.raises(BadFile, match="no class for the collection sensor"):
        harmonise_in_place(connection, InPlaceRequest(CityName("xx.city"), "sensor", citydb="nowhere"))
