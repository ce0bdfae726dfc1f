"""CityJSON of rows of every collection and of whatever a city may put into them."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely

from cimfed.cli import output, output_cityjson
from cimfed.cli.output import Target
from cimfed.errors import BadAnswer, BadConfig
from cimfed.model.schema import field
from cimfed.model.vocabulary import VOCABULARY
from tests.oracle import cityjson

SQUARE = shapely.box(76.9, 43.2, 76.901, 43.201)
BLOCK = shapely.MultiPolygon(
    [
        shapely.Polygon([(76.9, 43.2, 5), (76.901, 43.2, 5), (76.901, 43.201, 5.00049)]),
        shapely.Polygon(
            [(76.9, 43.2, 5), (76.9, 43.2, 9), (76.901, 43.2, 9), (76.901, 43.2, 5)],
            [[(76.9002, 43.2, 6), (76.9002, 43.2, 7), (76.9004, 43.2, 7)]],
        ),
    ]
)
LINE = shapely.LineString([(76.9, 43.2), (76.91, 43.21), (76.92, 43.2)])
POINT = shapely.Point(76.9, 43.2, 7)
KINDS = {
    "area": SQUARE,
    "areas": shapely.MultiPolygon([SQUARE, shapely.box(77, 43, 77.1, 43.1)]),
    "line": LINE,
    "lines": shapely.MultiLineString([LINE.coords, [(0, 0), (1, 1)]]),
    "point": POINT,
    "points": shapely.MultiPoint([(1, 2, 3), (4, 5, 6)]),
}


def rows_of(collection: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows as an answer has them; geometries as shapes."""
    schema = pa.schema([field(prop) for prop in VOCABULARY.collections[collection].properties.values()])
    made = [
        {
            name: shapely.to_wkb(value, flavor="iso") if isinstance(value, shapely.Geometry) else value
            for name, value in {"city": "kz.almaty", "id": f"b{number}", **row}.items()
        }
        for number, row in enumerate(rows)
    ]
    return pa.table([pa.array([row.get(at.name) for row in made], type=at.type) for at in schema], schema=schema)


def save(path: Path, table: pa.Table, collection: str, lod: int | None = None) -> None:
    output.write(table, Target.of(str(path), None, lod, True), collection)


def features(
    folder: Path, collection: str, *rows: Mapping[str, Any], lod: int | None = None, alone: bool = False
) -> list[dict[str, Any]]:
    """As plain json reads them from a sequence that keeps every rule; the document of the same rows holds the same."""
    save(folder / "x.city.jsonl", rows_of(collection, rows), collection, lod)
    head, found = cityjson.read_sequence(folder / "x.city.jsonl", alone=alone)
    save(folder / "x.city.json", rows_of(collection, rows), collection, lod)
    document = cityjson.read_document(folder / "x.city.json", alone=alone)
    assert document["transform"] == head["transform"]
    assert document["metadata"] == head["metadata"]
    assert sum(len(feature["vertices"]) for feature in found) == len(document["vertices"])
    for feature in found:
        own = feature["CityObjects"][feature["id"]]
        there = document["CityObjects"][feature["id"]]
        assert there.keys() == own.keys()
        assert (there["type"], there.get("attributes")) == (own["type"], own.get("attributes"))
    return found


def only(folder: Path, collection: str, **row: Any) -> dict[str, Any]:
    (feature,) = features(folder, collection, row)
    found: dict[str, Any] = feature["CityObjects"][feature["id"]]
    return found


def test_every_level_has_its_geometry_to_the_millimetre(tmp_path: Path) -> None:
    row = {"geometry_lod0": SQUARE, "geometry_lod1": BLOCK, "zmin": Decimal("5.00")}
    save(tmp_path / "x.city.jsonl", rows_of("building", [row]), "building")
    head, (feature,) = cityjson.read_sequence(tmp_path / "x.city.jsonl")
    footprint, block = feature["CityObjects"]["kz.almaty/b0"]["geometry"]
    assert [(part["type"], part["lod"]) for part in (footprint, block)] == [
        ("MultiSurface", "0"),
        ("MultiSurface", "1"),
    ]
    places = cityjson.places(feature, head)
    drawn = [[[places[number] for number in ring] for ring in surface] for surface in block["boundaries"]]
    told = [[list(ring.coords)[:-1] for ring in (part.exterior, *part.interiors)] for part in BLOCK.geoms]
    for surface, expected in zip(drawn, told, strict=True):
        for ring, points in zip(surface, expected, strict=True):
            assert len(ring) == len(points)
            for place, point in zip(ring, points, strict=True):
                assert place[:2] == pytest.approx(point[:2], abs=5.1e-10)  # degrees: half a step
                assert place[2] == pytest.approx(point[2], abs=5.1e-5)  # metres
    (ring,) = footprint["boundaries"][0]
    assert {places[number][2] for number in ring} == {5.0}  # a footprint lies where the row begins


def test_a_level_can_be_chosen_and_geometry_left_out(tmp_path: Path) -> None:
    row = {"geometry_lod0": SQUARE, "geometry_lod1": BLOCK}
    (feature,) = features(tmp_path, "building", row, lod=1)
    assert [part["lod"] for part in feature["CityObjects"]["kz.almaty/b0"]["geometry"]] == ["1"]
    output.write(rows_of("building", [row]), Target.of(str(tmp_path / "y.city.jsonl"), None, None, False), "building")
    _, (feature,) = cityjson.read_sequence(tmp_path / "y.city.jsonl")
    assert feature["vertices"] == []
    assert "geometry" not in feature["CityObjects"]["kz.almaty/b0"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("collection", output_cityjson.TYPES)
def test_every_collection_holds_every_kind_of_geometry(collection: str, kind: str, tmp_path: Path) -> None:
    """What the type of a collection may not have makes a generic object; what it may have keeps the type."""
    found = only(tmp_path, collection, geometry_lod0=KINDS[kind], building="h1")
    (geometry,) = found["geometry"]
    surface = "CompositeSurface" if found["type"] == "TINRelief" else "MultiSurface"
    expected = {"a": surface, "l": "MultiLineString", "p": "MultiPoint"}[kind[0]]
    assert geometry["type"] == expected
    own = output_cityjson.TYPES[collection]
    if found["type"] != own:
        assert expected not in cityjson.ALLOWED[own]
        assert found["type"] == ("SolitaryVegetationObject" if collection == "vegetation" else "GenericCityObject")


@pytest.mark.parametrize(
    ("collection", "function", "kind"),
    [
        ("transportation", "tram", "Railway"),
        ("transportation", "ferry", "Waterway"),
        ("transportation", "square", "TransportSquare"),
        ("transportation", "residential", "Road"),
        ("transportation", None, "Road"),
        ("vegetation", "wood", "PlantCover"),
        ("vegetation", "tree", "SolitaryVegetationObject"),
    ],
)
def test_functions_say_more_of_a_type(collection: str, function: str | None, kind: str, tmp_path: Path) -> None:
    assert only(tmp_path, collection, geometry_lod0=SQUARE, function=function)["type"] == kind


def test_parts_stand_under_their_building(tmp_path: Path) -> None:
    rows = [{"building": "h1", "geometry_lod1": BLOCK}, {"building": "h1"}, {"building": None}, {"building": "b3"}]
    found = features(tmp_path, "building_part", *rows)
    types = [feature["CityObjects"][feature["id"]]["type"] for feature in found]
    assert types == ["BuildingPart", "BuildingPart", "GenericCityObject", "GenericCityObject"]
    building = {
        "type": "Building",
        "attributes": {"city": "kz.almaty", "id": "h1"},
        "children": ["kz.almaty/b0"],
    }
    assert found[0]["CityObjects"]["kz.almaty/h1"] == building
    document = cityjson.read_document(tmp_path / "x.city.json")
    building["children"] = ["kz.almaty/b0", "kz.almaty/b1"]
    assert document["CityObjects"]["kz.almaty/h1"] == building


def test_attributes_have_the_vocabularys_names(tmp_path: Path) -> None:
    found = only(
        tmp_path,
        "building",
        name=[("und", "House"), ("zh", "楼")],
        height=Decimal("12.50"),
        storeys_above=3,
        valid_from=datetime(2020, 1, 1, tzinfo=UTC),
        zmin=Decimal("1.25"),
        zmax=Decimal("13.75"),
        bbox={"xmin": 76.9, "ymin": 43.2, "xmax": 76.901, "ymax": 43.201},
        ext='{"bag:id": 7, "height": "tall", "nested": {"a": [1.5, null]}}',
    )
    assert found["attributes"] == {
        "city": "kz.almaty",
        "id": "b0",
        "name": "House",
        "name:zh": "楼",
        "height": 12.5,
        "storeys_above": 3,
        "valid_from": "2020-01-01T00:00:00.000000Z",
        "bag:id": 7,
        "nested": {"a": [1.5, None]},
        "ext": {"height": "tall"},
    }
    assert found["geographicalExtent"] == [76.9, 43.2, 1.25, 76.901, 43.201, 13.75]


def test_heights_stay_attributes_where_there_is_no_box(tmp_path: Path) -> None:
    found = only(tmp_path, "building", zmin=Decimal("1.25"), zmax=Decimal("3.00"))
    assert (found["attributes"]["zmin"], found["attributes"]["zmax"]) == (1.25, 3)
    assert "geographicalExtent" not in found


HOSTILE_EXT = [
    "not json",
    "",
    "[1]",
    '{"a": NaN}',
    '{"a": 1e999}',
    '{"a": "\\ud800"}',
    '{"a": ' + "9" * 5000 + "}",
    '{"a":' * 100_000,
    "{" + '"a":{' * 5000 + "}" * 5000 + "}",
]


@pytest.mark.parametrize("text", HOSTILE_EXT)
def test_ext_that_json_cannot_say_again_stays_text(text: str, tmp_path: Path) -> None:
    assert only(tmp_path, "building", ext=text)["attributes"]["ext"] == text


def test_hostile_values_break_no_line(tmp_path: Path) -> None:
    nasty = 'a\n"},"b":{\x00\x1f\u2028\\'
    rows = [
        {"id": nasty, "source": nasty, "name": [(nasty, nasty), ("und", None)], "district": "x" * 100_000},
        {"id": None, "ext": json.dumps({nasty: nasty, "city": 1, "name:en": 2})},
        {"id": "", "height": Decimal("9999999999999999.99"), "storeys_above": 2**63 - 1, "name": []},
        {"id": "e1", "geometry_lod0": shapely.Polygon(), "geometry_lod1": shapely.MultiPolygon()},
        {"id": "e2", "geometry_lod0": shapely.Point(), "bbox": dict.fromkeys(("xmin", "ymin", "xmax", "ymax"), 1e308)},
    ]
    found = features(tmp_path, "building", *rows, alone=True)
    assert [feature["id"] for feature in found] == [
        f"kz.almaty/{name}" for name in (nasty, "/2", "", "e1", "e2")
    ]  # the second has no id: its number stands there
    first, second, *_ = (feature["CityObjects"][feature["id"]]["attributes"] for feature in found)
    assert (first["source"], first[f"name:{nasty}"], first["name"]) == (nasty, nasty, None)
    assert (second[nasty], second["ext"]) == (nasty, {"city": 1, "name:en": 2})


@pytest.mark.parametrize("suffix", ["city.jsonl", "city.json", "city.jsonl.gz"])
@pytest.mark.parametrize(
    "wkb",
    [
        b"\x01",
        shapely.to_wkb(shapely.Point(1e300, 0)),
        shapely.to_wkb(shapely.Point(0, 0, float("inf")), flavor="iso"),
        shapely.to_wkb(shapely.GeometryCollection([shapely.Point(0, 0)])),
    ],
)
def test_what_has_no_place_is_not_written(wkb: bytes, suffix: str, tmp_path: Path) -> None:
    good = [{"geometry_lod0": SQUARE}] * (output_cityjson.ROWS + 1)
    with pytest.raises(BadAnswer):
        save(tmp_path / f"x.{suffix}", rows_of("building", [*good, {"geometry_lod0": wkb}]), "building")
    assert os.listdir(tmp_path) == []


def test_no_number_for_a_height_is_no_height(tmp_path: Path) -> None:
    point = shapely.to_wkb(shapely.Point(1, 2, float("nan")), flavor="iso")
    (feature,) = features(tmp_path, "facility", {"geometry_lod0": point, "zmin": Decimal("3.00")})
    assert feature["vertices"][0][2] == 30_000


def test_a_document_holds_no_id_twice(tmp_path: Path) -> None:
    table = rows_of("building", [{"id": "same"}, {"id": "same"}])
    with pytest.raises(BadAnswer, match="two objects"):
        save(tmp_path / "x.city.json", table, "building")
    parts = rows_of("building_part", [{"id": "p", "building": "q"}, {"id": "q", "building": "r"}])
    with pytest.raises(BadAnswer, match="two objects"):
        save(tmp_path / "x.city.json", parts, "building_part")
    assert os.listdir(tmp_path) == []


def test_many_rows_are_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_cityjson, "ROWS", 3)
    rows = [{"geometry_lod0": shapely.box(n / 1000, 0, n / 1000 + 0.001, 0.001)} for n in range(10)]
    rows[4] = {}
    found = features(tmp_path, "building", *rows)
    document = cityjson.read_document(tmp_path / "x.city.json")
    for feature in found:
        (own,) = feature["CityObjects"][feature["id"]].get("geometry", [None])
        (there,) = document["CityObjects"][feature["id"]].get("geometry", [None])
        assert (own is None) == (there is None) == (feature["id"] == "kz.almaty/b4")
        if own is not None:
            ring = [feature["vertices"][number] for number in own["boundaries"][0][0]]
            assert ring == [document["vertices"][number] for number in there["boundaries"][0][0]]


def test_gzip_holds_the_same(tmp_path: Path) -> None:
    table = rows_of("building", [{"geometry_lod0": SQUARE}, {"geometry_lod1": BLOCK}])
    for name in ("x.city.jsonl", "x.city.jsonl.gz"):
        save(tmp_path / name, table, "building")
    assert gzip.decompress((tmp_path / "x.city.jsonl.gz").read_bytes()) == (tmp_path / "x.city.jsonl").read_bytes()


def test_an_empty_answer_is_an_empty_model(tmp_path: Path) -> None:
    assert features(tmp_path, "building") == []


def test_observations_and_groups_are_no_objects(tmp_path: Path) -> None:
    target = Target.of(str(tmp_path / "x.city.jsonl"), None, None, True)
    for collection in ("observation", None):
        with pytest.raises(BadConfig, match="CityJSON"):
            output.check(target, collection)
    output.check(target, "building")
    output.check(Target.of(str(tmp_path / "x.csv"), None, None, True), None)
    assert set(VOCABULARY.collections) - set(output_cityjson.TYPES) == {"observation"}
