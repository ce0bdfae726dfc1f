"""Coordinates, levels of detail, 3DCityDB and fingerprints, against what an import of the files gives."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
import shapely
from psycopg import sql
from pyproj import Transformer

from cimfed.errors import BadFile
from cimfed.model.names import CityName
from cimfed_node.inplace import InPlaceRequest, fingerprint, harmonise_in_place, pin, reading
from tests.contract.inplace.making import Field, alike, compared, difference, harmonised, loaded
from tests.ingest.making import Row, feature, features, imported
from tests.lacking import real
from tests.postgres import Database


def local(x: float, y: float, side: float = 20.0) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]}


@pytest.mark.parametrize(
    ("srid", "city", "x", "y"),
    [
        (28992, "nl.delft", 85_000.0, 446_000.0),
        (4549, "cn.shanghai", 642_000.0, 3_460_000.0),
        (3857, "uz.tashkent", 7_700_000.0, 5_050_000.0),
        (32642, "uz.tashkent", 520_000.0, 4_570_000.0),
    ],
)
def test_systems(tmp_path: Path, database: Database, srid: int, city: str, x: float, y: float) -> None:
    rows = [feature(f"r{n}", local(x + 300 * n, y + 200 * n), measuredHeight=n + 0.5) for n in range(9)]
    fields = [Field("measuredHeight", "double precision")]
    _, made = compared(tmp_path, database, fields, rows, srid=srid, city=city)
    assert made.facts["crs"] == f"EPSG:{srid}"
    assert made.facts["postgis_difference_m"] <= 0.01
    assert made.report.derived == {"footprint_area": 9, "footprint": 9} or made.report.derived["footprint_area"] == 9


def test_another_operation_than_postgis_takes_is_refused(database: Database) -> None:
    """EPSG:28412 has several operations around Tashkent; PostGIS takes its own."""
    with database.connect() as connection:
        connection.execute("CREATE TABLE b (id int PRIMARY KEY, geom geometry(Point, 28412))")
        connection.execute("INSERT INTO b SELECT n, ST_SetSRID(ST_Point(12522000 + 900 * n, 4574000 + 700 * n), 28412)"
                           " FROM generate_series(1, 20) AS n")  # fmt: skip
    outcomes: list[Any] = []
    for operation in (None, "EPSG:5044", "EPSG:15865"):
        try:
            _, made = harmonised(database, "b", city="uz.tashkent", operation=operation)
            outcomes.append(made.facts["postgis_difference_m"])
        except BadFile as error:
            outcomes.append(error.message)
    told = [found for found in outcomes if isinstance(found, str)]
    assert told
    assert all("PostGIS moves its points by another operation" in found for found in told)
    assert all(found <= 0.01 for found in outcomes if not isinstance(found, str))


def surfaces(document: dict[str, Any], id: str) -> dict[int, tuple[str, str]]:
    """Finest geometry of each class of LoD of an object and its children, as EWKT of a polyhedral surface."""
    scale, shift = document["transform"]["scale"], document["transform"]["translate"]
    points = [[v * s + t for v, s, t in zip(vertex, scale, shift, strict=True)] for vertex in document["vertices"]]
    found: dict[int, tuple[str, list[Any]]] = {}

    def ring(indices: list[int]) -> str:
        return "(" + ", ".join(" ".join(map(repr, points[i])) for i in [*indices, indices[0]]) + ")"

    def visit(one: str) -> None:
        thing = document["CityObjects"][one]
        for geometry in thing.get("geometry", []):
            faces = geometry["boundaries"]
            if geometry["type"] == "Solid":
                faces = [face for shell in faces for face in shell]
            lod = str(geometry["lod"])
            held = found.get(int(lod[0]))
            if held is None or lod > held[0]:
                found[int(lod[0])] = (lod, list(faces))
            elif lod == held[0]:
                held[1].extend(faces)
        for child in thing.get("children", []):
            visit(child)

    visit(id)
    return {
        level: (lod, "POLYHEDRALSURFACE Z (" + ", ".join("(" + ", ".join(map(ring, f)) + ")" for f in faces) + ")")
        for level, (lod, faces) in found.items()
    }


def body_differences(ours: Row, theirs: Row) -> list[str]:
    """All but what in place does not give: volumes; the way of a footprint; vertices on its edges."""
    skipped = ("volume", "volume_method", "footprint_method", "footprint_area", "geometry_lod0", "ext")
    found = difference(ours, theirs, skipped)
    if not alike(ours["geometry_lod0"], theirs["geometry_lod0"]):
        apart = shapely.symmetric_difference(ours["geometry_lod0"], theirs["geometry_lod0"], grid_size=1e-9).area
        if apart > 1e-8 * theirs["geometry_lod0"].length:
            found.append(f"geometry_lod0: {apart / theirs['geometry_lod0'].area}")
    if abs(ours["footprint_area"] - theirs["footprint_area"]) > theirs["footprint_area"] / 500:
        found.append(f"footprint_area: {ours['footprint_area']} against {theirs['footprint_area']}")
    return found


@pytest.mark.parametrize(
    ("name", "crs", "city"),
    [("rotterdam/rotterdam_subset.city.json", 28992, "nl.rotterdam"), ("delft/delft.city.json", 28992, "nl.delft")],
)
def test_bodies(tmp_path: Path, database: Database, name: str, crs: int, city: str) -> None:
    raw = real(name).read_bytes()
    document = json.loads(raw)
    theirs, _ = imported(tmp_path, raw, city=city, crs=f"EPSG:{crs}")
    with database.connect() as connection:
        connection.execute(
            "CREATE TABLE bodies (id text PRIMARY KEY, geom_lod1 geometry(PolyhedralSurfaceZ, 28992),"
            " geom_lod2 geometry(PolyhedralSurfaceZ, 28992), geom_lod3 geometry(PolyhedralSurfaceZ, 28992))"
        )
        for id in theirs:
            shapes = surfaces(document, id)
            values = [f"SRID={crs};{shapes[level][1]}" if level in shapes else None for level in (1, 2, 3)]
            connection.execute(
                "INSERT INTO bodies VALUES (%s, %s::geometry, %s::geometry, %s::geometry)", [id, *values]
            )
    ours, made = harmonised(database, "bodies", city=city)
    assert ours.keys() == theirs.keys()
    given = ("height", "height_method", "name", "year_built", "function", "roof_type", "storeys_above", "storeys_below")
    apart = {}
    for id in ours:
        for column in given:
            if theirs[id].get("height_method") != "derived" or column not in ("height", "height_method"):
                theirs[id][column] = ours[id][column]  # attributes are not loaded here
        found = body_differences(ours[id], theirs[id])
        if found:
            apart[id] = found
    assert not apart, apart
    assert any("LoD" in note for note in made.report.notes)
    assert "volumes are not worked out in place" in made.report.notes


def test_the_fingerprint_tells_every_change_and_no_order(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE b (id int PRIMARY KEY, name text, size float8, geom geometry(Point, 4326))")
        connection.execute("INSERT INTO b SELECT n, 'n' || n, n / 7.0, ST_SetSRID(ST_Point(n, 2), 4326)"
                           " FROM generate_series(1, 50) AS n")  # fmt: skip
    request = InPlaceRequest(CityName("xx.city"), "building", table="b")

    def taken(**settings: str) -> Any:
        with psycopg.connect(database.url) as connection:
            for name, value in settings.items():
                connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            connection.commit()
            made = harmonise_in_place(connection, request)
            with reading(connection) as session:
                again = fingerprint(session, sql.SQL(made.source), made.hashed, made.relation)  # type: ignore[arg-type]
            assert again == made.fingerprint
            return again

    first = taken()
    assert taken(extra_float_digits="-10", DateStyle="SQL, DMY", TimeZone="Asia/Tashkent") == first
    changes = [
        "UPDATE b SET name = 'other' WHERE id = 7",
        "UPDATE b SET size = size + 1e-12 WHERE id = 7",
        "UPDATE b SET geom = ST_Translate(geom, 0, 1e-12) WHERE id = 7",
        "DELETE FROM b WHERE id = 7",
        "UPDATE b SET name = NULL WHERE id = 9",
    ]
    seen = {first.sum}
    for change in changes:
        with database.connect() as connection:
            connection.execute(change)  # type: ignore[call-overload]
        seen.add(taken().sum)
    assert len(seen) == len(changes) + 1
    with database.connect() as connection:
        connection.execute("CREATE TABLE copy AS SELECT * FROM b ORDER BY id DESC")
        connection.execute("DROP TABLE b")
        connection.execute("ALTER TABLE copy RENAME TO b")
    last = taken()
    assert last.sum in seen
    assert last.rows == 49


def test_levels_by_name_are_of_bodies_only(database: Database) -> None:
    with database.connect() as connection:
        connection.execute("CREATE TABLE b (id int PRIMARY KEY, lod1_plan geometry(Polygon, 28992))")
        connection.execute("INSERT INTO b VALUES (1, ST_SetSRID(ST_MakeEnvelope(85000, 446000, 85010, 446010), 28992))")
    ours, _ = harmonised(database, "b", city="nl.delft")
    assert ours["1"]["footprint_method"] == "given"
    assert ours["1"]["geometry_lod1"] is None


def test_a_bare_area_has_its_size(database: Database) -> None:
    """Ten metres by ten, whichever way the area is had."""
    with database.connect() as connection:
        connection.execute("CREATE TABLE plane (id int PRIMARY KEY, geom geometry(Polygon, 28992))")
        connection.execute("INSERT INTO plane VALUES (1, ST_MakeEnvelope(85000, 446000, 85010, 446010, 28992))")
        connection.execute("CREATE VIEW round AS SELECT id, ST_Transform(geom, 4326) AS geom FROM plane")
    assert str(harmonised(database, "plane", city="nl.delft")[0]["1"]["footprint_area"]) == "100.0"
    assert float(
        harmonised(database, "round", city="nl.delft", id_column="id")[0]["1"]["footprint_area"]
    ) == pytest.approx(100, abs=0.2)


@pytest.mark.parametrize(("srid", "x", "y"), [(28992, 100_000, 450_000), (4549, 500_000, 3_500_000), (4490, 110, 30)])
def test_places_near_and_far(tmp_path: Path, database: Database, srid: int, x: float, y: float) -> None:
    """Points from here to beyond all maps: PostGIS never raises, and the ones that stand stand where an import puts
    them. An import takes some more: projections come round, and a northing of 34,000 km may lie in China."""
    random = Random(srid)
    far = [0.0, 1e-3, 1.0, 2.0, 5.0, 20.0, 1e3, 1e10, 1e200]
    points = [tuple(v * (1 + random.choice(far) * random.uniform(-1, 1)) for v in (x, y)) for _ in range(150)]
    rows = [
        feature(f"p{n}", {"type": "Point", "coordinates": list(point)}) for n, point in enumerate([(x, y), *points])
    ]
    with database.connect() as connection:
        loaded(connection, "things", [], rows, srid)
    document = {**features(*rows), "crs": {"type": "name", "properties": {"name": f"EPSG:{srid}"}}}
    theirs, _ = imported(tmp_path / "files", document, quarantine=tmp_path / "theirs.jsonl")
    ours, _ = harmonised(database, "things", id_column="fid", quarantine=tmp_path / "ours.jsonl")
    assert 1 <= len(ours) < len(rows)
    assert ours.keys() <= theirs.keys()
    assert not {id: d for id in ours if (d := difference(ours[id], theirs[id]))}
    forward = Transformer.from_crs("OGC:CRS84", f"EPSG:{srid}", always_xy=True)
    for id in theirs.keys() - ours.keys():
        told = rows[int(id[1:])]["geometry"]["coordinates"]
        assert math.dist(forward.transform(*theirs[id]["geometry_lod0"].coords[0]), told) > 1000


def test_a_materialised_view_of_it(database: Database) -> None:
    """What views are made of, under the settings that the statement relies on."""
    with database.connect() as connection:
        connection.execute("CREATE TABLE b (id int PRIMARY KEY, name text, geom geometry(Point, 28992))")
        connection.execute("INSERT INTO b VALUES (1, 'één', ST_SetSRID(ST_Point(85000, 446000), 28992))")
        connection.commit()
        made = harmonise_in_place(connection, InPlaceRequest(CityName("nl.delft"), "building", table="b"))
        with connection.transaction():
            pin(connection, "public")
            shape = f"SELECT t.id, t.name_texts, t.bbox_xmin FROM ({made.select}) AS t"
            connection.execute(f"CREATE MATERIALIZED VIEW public.seen AS {shape}")  # type: ignore[call-overload]
            connection.execute(f"CREATE MATERIALIZED VIEW public.whole AS {made.select}")  # type: ignore[call-overload]
        rows = connection.execute("SELECT id, name_texts, bbox_xmin FROM seen NATURAL JOIN whole").fetchall()
    assert made.extent is not None
    assert rows == [("1", ["één"], made.extent[0])]
