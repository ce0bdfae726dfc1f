"""Whatever format the same features come in, the rows are those of the GeoJSON, and what the JSON itself says."""

from __future__ import annotations

import json
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import shapely

from cimfed_node.ingest import OnDuplicate
from tests.ingest.making import Row, imported, refused, same
from tests.ingest.writing import ENDINGS, write
from tests.lacking import real

MERGE = OnDuplicate.MERGE
DATA: dict[str, tuple[str, str, dict[str, Any]]] = {
    "shanghai buildings": ("shanghai/shanghai_buildings.geojson", "building", {"on_duplicate": MERGE}),
    "shanghai roads": ("shanghai/shanghai_roads.geojson", "transportation", {"on_duplicate": MERGE}),
    "shanghai pois": ("shanghai/shanghai_pois.geojson", "facility", {"on_duplicate": MERGE}),
    "delhi": ("delhi/Delhi_Wards.geojson", "admin_unit", {"id_column": "#"}),
    "moscow": ("moscow/moscow_districts.geojson", "admin_unit", {"id_column": "cartodb_id"}),
    "tashkent": ("tashkent/tashkent_districts.geojson", "admin_unit", {"id_column": "ADM2_EN"}),
}
EXACT = ("GPKG", "FlatGeobuf", "GeoParquet")  # keep names, types and coordinates as they are
LOOSE = ("ESRI Shapefile", "SQLite", "OpenFileGDB", "GML", "LIBKML", "MapInfo File")


@cache
def features_of(name: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(real(DATA[name][0]).read_bytes())["features"]
    for one in made:
        if "id" in one:
            one["properties"].setdefault("id", one["id"])
    return made


@pytest.fixture(scope="module")
def as_geojson(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The rows of each GeoJSON, imported once."""

    @cache
    def rows(name: str) -> dict[str, Row]:
        file, collection, options = DATA[name]
        return imported(tmp_path_factory.mktemp("geojson"), real(file), collection=collection, **options)[0]

    return rows


def without_nulls(ext: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in ext.items() if value is not None}


def agree(row: Row, expected: Row, within: float) -> None:
    """Every property is the same, to the bit but for coordinates that a format rounds."""
    for key, value in expected.items():
        if key.startswith("geometry_") and value is not None:
            assert same(row[key], value, within), key
        elif key == "bbox":
            assert tuple(row[key].values()) == pytest.approx(tuple(value.values()), abs=within)
        elif key == "footprint_area" and value is not None:
            assert float(row[key]) == pytest.approx(float(value), rel=1e-3 if within else 0)
        elif key == "ext":
            assert row[key] == without_nulls(value)
        else:
            assert row[key] == value, key


@pytest.mark.parametrize("driver", EXACT)
@pytest.mark.parametrize("name", DATA)
def test_formats_that_keep_everything_give_the_rows_of_the_geojson(
    name: str, driver: str, as_geojson: Any, tmp_path: Path
) -> None:
    path = write(tmp_path / f"x.{ENDINGS[driver]}", features_of(name), driver)
    rows, report = imported(tmp_path / "import", path, collection=DATA[name][1], **DATA[name][2])
    expected = as_geojson(name)
    assert set(rows) == set(expected)
    lists = {"subway_routes", "all_bus_shield_texts", "all_bus_networks"}  # text in these columns: no JSON is declared
    for id, row in rows.items():
        for key in lists & row["ext"].keys():
            row["ext"][key] = json.loads(row["ext"][key])
        agree(row, expected[id], 0.0)
    assert report.operation.accuracy_m == 0


@pytest.mark.parametrize("driver", LOOSE)
def test_other_formats_give_the_names_and_places_of_the_geojson(driver: str, as_geojson: Any, tmp_path: Path) -> None:
    """Moscow: Cyrillic names, areas in several parts."""
    path = write(tmp_path / f"x.{ENDINGS[driver]}", features_of("moscow"), driver)
    rows, report = imported(tmp_path / "import", path, collection="admin_unit", id_column="cartodb_id")
    expected = as_geojson("moscow")
    assert set(rows) == set(expected)
    for id, row in rows.items():
        assert row["name"] == expected[id]["name"]
        assert row["ext"]["name_lat"] == expected[id]["ext"]["name_lat"]
        assert set(row["ext"]) - {"gml_id", "id"} == set(expected[id]["ext"])
        assert shapely.symmetric_difference(row["geometry_lod0"], expected[id]["geometry_lod0"]).area < 1e-6
    assert report.notes == ()


def test_the_rows_of_a_geopackage_are_what_the_json_says(tmp_path: Path) -> None:
    """Without any import of the GeoJSON: names and geometry straight from it."""
    made = features_of("moscow")
    path = write(tmp_path / "x.gpkg", made, "GPKG")
    rows, _ = imported(tmp_path / "import", path, collection="admin_unit", id_column="cartodb_id")
    assert len(rows) == len(made)
    for one in made:
        row = rows[str(one["properties"]["cartodb_id"])]
        assert row["name"] == {"und": one["properties"]["name"]}
        assert row["ext"]["created_at"] == one["properties"]["created_at"]
        whole = shapely.geometry.shape(one["geometry"])
        assert shapely.equals_exact(
            row["geometry_lod0"].normalize(), shapely.orient_polygons(shapely.make_valid(whole)).normalize(), 1e-12
        )


def test_a_shapefile_has_names_of_ten_bytes_and_the_mapping_names_these(tmp_path: Path) -> None:
    made = [one | {"properties": {"buildings_height": 12.5, "nr": 7}} for one in features_of("moscow")[:1]]
    path = write(tmp_path / "x.shp", made, "ESRI Shapefile")
    rows, _ = imported(tmp_path / "a", path, id_column="nr")
    assert rows["7"]["ext"] == {"buildings_": 12.5}
    mapping = "format: cimfed/mapping/v1\nid: [nr]\nproperties: {height: buildings_}\n"
    rows, _ = imported(tmp_path / "b", path, mapping=mapping)
    assert rows["7"]["height"] == 12.5


def test_what_lies_in_a_zip_gives_the_rows_of_the_file(as_geojson: Any, tmp_path: Path) -> None:
    made = features_of("moscow")
    (tmp_path / "in").mkdir()
    for driver in ("ESRI Shapefile", "GPKG", "LIBKML", "OpenFileGDB"):
        path = write(tmp_path / "in" / f"дома.{ENDINGS[driver]}", made, driver)
        archive = tmp_path / f"{ENDINGS[driver]}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for one in sorted((tmp_path / "in").rglob("*")):
                if (
                    one.is_file()
                    and (one.stem == path.stem or path in one.parents)
                    and (driver == "ESRI Shapefile" or one == path or path in one.parents)
                ):
                    out.write(one, f"deep/er/{one.relative_to(tmp_path / 'in')}")
        rows, _ = imported(tmp_path / driver, archive, collection="admin_unit", id_column="cartodb_id")
        assert {id: row["name"] for id, row in rows.items()} == {
            id: row["name"] for id, row in as_geojson("moscow").items()
        }, driver
        if path.is_file():
            path.unlink()


def test_a_layer_is_named_where_there_are_several(tmp_path: Path) -> None:
    path = tmp_path / "x.gpkg"
    made = features_of("moscow")
    write(path, made[:3], "GPKG", layer="районы")
    write(path, made[3:5], "GPKG", layer="other", append=True)
    error = refused(tmp_path / "none", path, collection="admin_unit", id_column="#")
    assert "2 layers: 'районы', 'other'" in error.message
    assert "--layer" in (error.remedy or "")
    rows, _ = imported(tmp_path / "a", path, collection="admin_unit", id_column="cartodb_id", layer="районы")
    assert {row["name"]["und"] for row in rows.values()} == {one["properties"]["name"] for one in made[:3]}
    error = refused(tmp_path / "b", path, collection="admin_unit", layer="third")
    assert "'third' is not in the file" in error.message


def test_the_key_of_a_table_is_an_id_where_it_is_named_and_no_attribute(tmp_path: Path) -> None:
    made = features_of("moscow")[:2]
    path = write(tmp_path / "x.gpkg", made, "GPKG", FID="OBJECTID")
    rows, _ = imported(tmp_path / "a", path, collection="admin_unit", id_column="OBJECTID")
    assert set(rows) == {"1", "2"}
    assert all("OBJECTID" not in row["ext"] for row in rows.values())
    rows, _ = imported(tmp_path / "b", path, collection="admin_unit", id_column="#")
    assert set(rows) == {"#1", "#2"}
    error = refused(tmp_path / "c", path, collection="admin_unit")
    assert "no ids" in error.message
    assert "OBJECTID" in (error.remedy or "")


@pytest.mark.parametrize(("driver", "table"), [("ESRI Shapefile", "dbf"), ("MapInfo File", "dat")])
def test_rows_that_are_marked_as_deleted_are_none(driver: str, table: str, tmp_path: Path) -> None:
    made = [
        {"properties": {"nr": number}, "geometry": {"type": "Point", "coordinates": [69 + number, 41]}}
        for number in range(5)
    ]
    path = write(tmp_path / f"x.{ENDINGS[driver]}", made, driver)
    raw = bytearray(path.with_suffix(f".{table}").read_bytes())
    raw[int.from_bytes(raw[8:10], "little") + 2 * int.from_bytes(raw[10:12], "little")] = ord("*")
    path.with_suffix(f".{table}").write_bytes(raw)
    if table == "dat":  # MapInfo takes its shape away too
        places = bytearray(path.with_suffix(".id").read_bytes())
        places[8:12] = bytes(4)
        path.with_suffix(".id").write_bytes(places)
    rows, _ = imported(tmp_path / "import", path, id_column="nr")
    assert set(rows) == {"0", "1", "3", "4"}
