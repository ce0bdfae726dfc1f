"""What a partner saves as CityJSON another city can import: every object, level of detail and attribute comes back.

Real city models go all the way: import, policy, view, node, gateway, client, file, import again. The file is held
against the specification by ``tests/oracle/cityjson.py`` on its way.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

import cimfed
from cimfed.cli import output, output_cityjson
from cimfed.cli.output import Target
from cimfed.model.names import CityName
from cimfed.model.schema import field
from cimfed.model.vocabulary import VOCABULARY, Property, Type
from cimfed_node.ingest import ImportRequest, import_files
from cimfed_node.ingest.snapshot import Snapshot
from tests.federation.world import World
from tests.lacking import real
from tests.oracle import cityjson

FILES = {
    "nl.delft": "delft/delft.city.json",
    "nl.rotterdam": "rotterdam/rotterdam_subset.city.json",
    "ch.zurich": "zurich/zurich_subset_lod2.city.json",
    "cn.shanghai": "derived/shanghai_lod1_4549.city.json",
}
SYSTEMS = {"nl.rotterdam": "EPSG:7415"}  # what its file leaves out
NEAR = 1.1e-9  # degrees: a step
LEVELS = ("geometry_lod0", "geometry_lod1", "geometry_lod2", "geometry_lod3")
ANEW = ("footprint_method", "bbox", "ext", *LEVELS)
"""What an import finds out by itself, or is compared by itself."""

Row = dict[str, Any]


def grant(collection: str) -> str:
    """Of all that the collection has."""
    names = [name for name in VOCABULARY.collections[collection].properties if name not in (*LEVELS, "city", "bbox")]
    return f"""
  - id: all
    subject: {{country: [CN]}}
    purpose: [research]
    collection: {collection}
    columns: {{{", ".join(f"{name}: exact" for name in names)}}}
    geometry: {{max_lod: 3}}
    obligations: [attribution]
"""


def brought_in(folder: Path, file: Path, city: str, collection: str = "building", again: bool = False) -> Snapshot:
    """``again``: of a file that was saved of an answer."""
    request = ImportRequest(
        files=(file,),
        city=CityName(city),
        collection=collection,
        crs=None if again else SYSTEMS.get(city),
        id_column="id" if again else None,
        licence="CC-BY-4.0",
        attribution="the city",
    )
    snapshot, _ = import_files(request, folder)
    return snapshot


def rows_of(snapshot: Snapshot) -> dict[str, Row]:
    rows: list[Row] = pq.read_table(snapshot.path).to_pylist(maps_as_pydicts="strict")
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def save(table: pa.Table, path: Path, collection: str = "building", about: Any = None) -> Path:
    output.write(table, Target.of(str(path), None, None, True), collection, about)
    return path


def check_same(before: dict[str, Row], after: dict[str, Row]) -> None:
    assert before.keys() == after.keys()
    for identifier, old in before.items():
        new = after[identifier]
        assert {k: v for k, v in new.items() if k not in ANEW} == {k: v for k, v in old.items() if k not in ANEW}
        told = json.loads(new["ext"])
        assert told.pop("city") == old["city"]
        told.pop("footprint_method", None)
        assert told.pop("building", old.get("building")) == old.get("building")  # of a part; its parent told it
        assert told == json.loads(old["ext"] or "{}"), identifier
        for level in LEVELS:
            check_shape(old[level], new[level])


def check_shape(old: bytes | None, new: bytes | None) -> None:
    """Ring by ring and point by point, in their order."""
    assert (old is None) == (new is None)
    if old is None or new is None:
        return
    for one, other in zip(rings_of(old), rings_of(new), strict=True):
        assert len(one) == len(other)
        for point, place in zip(one, other, strict=True):
            assert place[:2] == pytest.approx(point[:2], abs=NEAR)
            assert place[2:] == pytest.approx(point[2:], abs=1e-4)


def rings_of(wkb: bytes) -> Iterator[list[tuple[float, ...]]]:
    """But for points that are the one before once more."""
    shape = shapely.from_wkb(wkb)
    for part in getattr(shape, "geoms", [shape]):
        for ring in (part.exterior, *part.interiors):
            yield [point for point, _ in itertools.groupby(ring.coords)]


async def test_real_models_come_back_whole(world: World, tmp_path: Path) -> None:
    world.add_gateway()
    world.add_partner()
    before = {}
    for name, file in FILES.items():
        city = world.add_city(name)
        snapshot = brought_in(city.home.snapshots, real(file), name)
        before[name] = rows_of(snapshot)
        with city.control() as control:
            city.publisher(control).adopt(snapshot)
        city.activate(grant("building"))
    saved = {}
    for name in FILES:
        async with (
            world.node(name),
            world.gateway(),
            cimfed.connect_async(str(world.profile())) as fed,
        ):
            answer = fed.read("building", purpose="research", cities=[name])
            path = save(await answer.to_table(), tmp_path / f"{name}.city.jsonl", about=lambda of=answer: of.provenance)
            saved[name] = path
    for name, path in saved.items():
        head, features = cityjson.read_sequence(path)
        assert len(features) == len(before[name])
        (told,) = head["metadata"]["cimfed"]["cities"]
        assert (told["city"], told["licence"], told["obligations"]) == (name, "CC-BY-4.0", ["attribution"])
        check_same(before[name], rows_of(brought_in(world.folder / name / "snapshots", path, name, again=True)))


# Every property of every collection


def cube(metres: float = 10.0) -> shapely.MultiPolygon:
    """A block of three metres on a square, its faces turned outwards."""
    west, south, low, high = 76.9, 43.2, 2.0, 5.0
    east, north = west + metres / 81_000, south + metres / 111_000
    corners = [(west, south), (east, south), (east, north), (west, north)]
    floor, roof = [[(*corner, z) for corner in corners] for z in (low, high)]
    walls = [(floor[at], floor[at - 3], roof[at - 3], roof[at]) for at in range(4)]
    return shapely.MultiPolygon([shapely.Polygon(face) for face in (floor[::-1], roof, *walls)])


def value_of(prop: Property) -> Any:
    solid = cube()
    footprint = shapely.force_2d(solid.geoms[1])
    match prop.type:
        case Type.GEOMETRY:
            return shapely.to_wkb(footprint if prop.name == "geometry_lod0" else solid, flavor="iso")
        case Type.BOX:
            return dict(zip(("xmin", "ymin", "xmax", "ymax"), footprint.bounds, strict=True))
        case Type.CODE:
            return prop.codes[-1]
        case Type.NAMES:
            return [("und", "a name"), ("zh", "楼")]
        case Type.JSON:
            return '{"bag:status": ["in gebruik", 1.5, null], "Höhe": {"m": 3}}'
        case Type.TIME:
            return datetime(2020, 2, 29, 12, 30, tzinfo=UTC)
        case Type.INTEGER:
            return 1987 if prop.name.startswith("year_") else 3
        case Type.DECIMAL:
            return {"zmin": Decimal(2), "zmax": Decimal(5)}.get(prop.name, Decimal("1.5"))
        case _:
            return f'{prop.name} \\ "ё"\n'


@pytest.mark.parametrize(
    "collection", [name for name, kind in output_cityjson.TYPES.items() if kind != output_cityjson.GENERIC]
)
@pytest.mark.parametrize("suffix", ["city.jsonl", "city.jsonl.gz", "city.json"])
def test_every_property_and_level_comes_back(collection: str, suffix: str, tmp_path: Path) -> None:
    properties = VOCABULARY.collections[collection].properties
    row = {name: value_of(prop) for name, prop in properties.items()} | {"city": "kz.almaty"}
    rows = [row | {"id": f"{number}"} for number in range(3)]
    schema = pa.schema([field(prop) for prop in properties.values()])
    table = pa.table([pa.array([row[at.name] for row in rows], at.type) for at in schema], schema=schema)
    path = save(table, tmp_path / f"x.{suffix}", collection)
    found = rows_of(brought_in(tmp_path, path, "kz.almaty", collection, again=True))
    expected = {row["id"]: row for row in table.to_pylist(maps_as_pydicts="strict")}
    check_same(expected, found)
    assert all(new["footprint_area"] == Decimal("1.5") for new in found.values() if "footprint_area" in new)
