"""Untouched objects, from the city's file to the partner's: what arrives is what stands in the file, by plain json.

Real models go all the way: import, policy, view, node, gateway, client, files, and an import of those.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import cimfed
from cimfed.errors import UnknownProperty
from cimfed.model.answer import Outcome
from cimfed.model.names import CityName
from cimfed.model.vocabulary import VOCABULARY
from cimfed_node.activate import Report
from cimfed_node.ingest import ImportRequest, import_files
from tests.federation.test_export import LEVELS, rows_of
from tests.federation.world import City, World, buildings
from tests.ingest.citygml import as_citygml
from tests.ingest.making import BLOCK, as_bytes, city_feature, city_object, header, solid
from tests.lacking import real
from tests.unit.cimfed.policy.documents import untouched

DELFT, ZURICH, SHANGHAI, ROTTERDAM = "nl.delft", "ch.zurich", "cn.shanghai", "nl.rotterdam"
FILES = {
    DELFT: "delft/delft.city.json",
    ZURICH: "zurich/zurich_subset_lod2.city.json",
    SHANGHAI: "shanghai/shanghai_buildings.geojson",
    ROTTERDAM: "rotterdam/rotterdam_subset.city.json",
}
SYSTEMS = {ROTTERDAM: "EPSG:7415"}  # what its file leaves out


def brought_in(city: City, *files: Path, collection: str = "building") -> Any:
    request = ImportRequest(
        files=files,
        city=CityName(city.name),
        collection=collection,
        crs=SYSTEMS.get(city.name),
        on_duplicate="first",  # type: ignore[arg-type]
        licence="CC-BY-4.0",
    )
    snapshot, _ = import_files(request, city.home.snapshots)
    with city.control() as control:
        city.publisher(control).adopt(snapshot)
    return snapshot


def add(world: World, name: str, grants: str) -> Report:
    city = world.add_city(name)
    brought_in(city, real(FILES[name]))
    return city.activate(grants)


@pytest.fixture
def federation(world: World) -> World:
    """Three cities that give objects untouched, and one that gives the same rows without."""
    world.add_gateway()
    world.add_partner()
    for name in (DELFT, ZURICH, SHANGHAI):
        add(world, name, untouched())
    add(world, ROTTERDAM, untouched(original="false"))
    return world


def source(name: str) -> Any:
    return json.loads(real(FILES[name]).read_bytes())


# A CityJSON geometry with the real coordinates in the place of numbers of vertices


def placed(document: Mapping[str, Any], vertices: list[list[int]]) -> Callable[[Any], Any]:
    scale, translate = document["transform"]["scale"], document["transform"]["translate"]

    def point(number: int) -> tuple[float, ...]:
        return tuple(at * by + to for at, by, to in zip(vertices[number], scale, translate, strict=True))

    def of(node: Any) -> Any:
        return point(node) if isinstance(node, int) else [of(item) for item in node]

    return of


def plain_object(node: Mapping[str, Any], place: Callable[[Any], Any]) -> dict[str, Any]:
    geometries = [{**item, "boundaries": place(item["boundaries"])} for item in node.get("geometry", [])]
    return {**node, "geometry": geometries}


def check_cityjson(document: Mapping[str, Any], head: Mapping[str, Any], features: list[Mapping[str, Any]]) -> None:
    """Every object of the document is in one feature, and says there what it says in the document."""
    left_out = ("CityObjects", "vertices")
    assert {k: v for k, v in head.items() if k not in left_out} == {
        k: v for k, v in document.items() if k not in left_out
    }
    assert (head["CityObjects"], head["vertices"]) == ({}, [])
    at_home, seen = placed(document, document["vertices"]), set[str]()
    for item in features:
        assert item["type"] == "CityJSONFeature"
        assert item["id"] in item["CityObjects"]
        place = placed(head, item["vertices"])
        for id, node in item["CityObjects"].items():
            assert id not in seen
            seen.add(id)
            assert plain_object(node, place) == plain_object(document["CityObjects"][id], at_home)
    kept = {id for id, node in document["CityObjects"].items() if node["type"].startswith("Building")}
    assert seen == kept


async def command(world: World, *argv: str) -> tuple[int, str]:
    """`cimfed ARGV` as a program of its own, and what it says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from cimfed.cli.main import main; main()", *argv, "--profile", str(world.profile()),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={"COLUMNS": "200"},
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode()


class Running:
    """Nodes of all cities, a gateway."""

    def __init__(self, world: World, *names: str) -> None:
        self.world, self.names = world, names or tuple(world.cities)

    async def __aenter__(self) -> None:
        self._stack = AsyncExitStack()
        for name in self.names:
            await self._stack.enter_async_context(self.world.node(name))
        await self._stack.enter_async_context(self.world.gateway())

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


async def test_objects_arrive_as_they_stand_in_the_citys_file(federation: World, tmp_path: Path) -> None:
    async with Running(federation):
        code, said = await command(
            federation, "read", "building", "--purpose", "research", "--original", "-o", str(tmp_path / "got")
        )
        assert code == 6, said  # nl.rotterdam does not give them
        assert "building has no property 'original'" in said
        again, said = await command(
            federation, "read", "building", "--purpose", "research", "--original", "-o", str(tmp_path / "got")
        )
        assert again == 5, said  # it is there already
    got = tmp_path / "got"
    assert {path.name for path in got.iterdir()} == {
        name + end
        for name in (f"{DELFT}.city.jsonl", f"{ZURICH}.city.jsonl", f"{SHANGHAI}.geojson")
        for end in ("", ".metadata.json")
    }
    for name in (DELFT, ZURICH):
        head, *features = map(json.loads, (got / f"{name}.city.jsonl").read_text("utf-8").splitlines())
        check_cityjson(source(name), head, features)
    there, here = source(SHANGHAI), json.loads((got / f"{SHANGHAI}.geojson").read_bytes())
    kept = {str(item["properties"]["id"]): item for item in reversed(there.pop("features"))}  # the first of each id
    given = {str(item["properties"]["id"]): item for item in here.pop("features")}
    assert here == there
    assert given.keys() <= kept.keys()
    assert given == {id: kept[id] for id in given}
    names = [str(item["properties"]["id"]) for item in source(SHANGHAI)["features"]]
    assert given.keys() == {id for id in names if names.count(id) == 1}
    for name in (DELFT, ZURICH, SHANGHAI):
        (about,) = got.glob(f"{name}.*.metadata.json")
        told = json.loads(about.read_bytes())
        assert (told["format"], told["request"], told["original"]["city"]) == ("cimfed/provenance/v1", "read", name)
        assert told["original"]["file"] == Path(FILES[name]).name
        assert {line["city"]: line["outcome"] for line in told["cities"]}[ROTTERDAM] == "refused"


async def test_what_is_saved_is_imported_as_the_citys_own_file_is(federation: World, tmp_path: Path) -> None:
    async with Running(federation, DELFT, SHANGHAI):
        code, said = await command(
            federation, "read", "building", "--purpose", "research", "--original", "-o", str(tmp_path / "got"),
            "--city", DELFT, "--city", SHANGHAI,
        )  # fmt: skip
    assert code == 0, said
    for name, end in ((DELFT, ".city.jsonl"), (SHANGHAI, ".geojson")):
        city = federation.cities[name]
        first = rows_of(brought_in(city, real(FILES[name])))
        again = rows_of(brought_in(city, tmp_path / "got" / f"{name}{end}"))
        assert again.keys() <= first.keys()
        assert {id: {k: v for k, v in row.items() if k not in LEVELS} for id, row in again.items()} == {
            id: {k: v for k, v in first[id].items() if k not in LEVELS} for id in again
        }
        assert all(again[id][level] == first[id][level] for id in again for level in LEVELS)


async def test_the_library_gives_each_row_its_object_and_header(federation: World) -> None:
    async with Running(federation), cimfed.connect_async(str(federation.profile())) as fed:
        answer = fed.read(
            "building", where="height > 5", properties=["id", "height"], purpose="research", original=True
        )
        table = await answer.to_table()
        plain = await fed.read(
            "building",
            where="height > 5",
            properties=["id", "height"],
            purpose="research",
            cities=[DELFT, ZURICH, SHANGHAI],
        ).to_table()
    assert table.column_names == ["city", "id", "height", "original", "original_header"]
    assert table.select(plain.column_names).to_pydict() == plain.to_pydict()
    assert {line.city: (line.outcome, line.reason) for line in answer.coverage if line.city == ROTTERDAM} == {
        ROTTERDAM: (Outcome.REFUSED, "unknown_property")
    }
    assert answer.headers.keys() == {DELFT, ZURICH, SHANGHAI}
    for row in table.to_pylist():
        if row["original"] is not None:
            item = json.loads(row["original"])
            said = answer.headers[row["city"]][row["original_header"]]
            assert said["file"] == Path(FILES[row["city"]]).name
            assert str(item.get("id", item.get("properties", {}).get("id"))) == row["id"]
        else:
            assert row["city"] == SHANGHAI
    assert answer.provenance["original"] is True


async def test_rows_narrow_what_is_given(federation: World) -> None:
    low = federation.cities[DELFT].activate(untouched(rows="height < 6"))
    async with Running(federation, DELFT), cimfed.connect_async(str(federation.profile())) as fed:
        table = await fed.read("building", purpose="research", cities=[DELFT], original=True).to_table()
    assert 0 < table.num_rows < len(rows_of(brought_in(federation.cities[DELFT], real(FILES[DELFT]))))
    assert max(table["height"].to_pylist()) < 6
    for id, text in zip(table["id"].to_pylist(), table["original"].to_pylist(), strict=True):
        assert json.loads(text)["id"] == id
    assert low.notes == (f"untouched gives {table.num_rows} untouched objects",)


def road(id: str, **more: Any) -> dict[str, Any]:
    return city_object("Road", solid(), attributes={"name": id}, **more)


async def test_a_family_of_which_a_row_is_hidden_is_not_given(world: World) -> None:
    world.add_gateway()
    world.add_partner()
    city = world.add_city("kz.almaty")
    lines = [
        header(),
        city_feature("r1", {"r1": road("r1", children=["r2"]), "r2": road("r2", parents=["r1"])}, BLOCK),
        city_feature("r3", {"r3": road("r3")}, BLOCK),
    ]
    path = world.folder / "roads.city.jsonl"
    path.write_bytes(b"".join(as_bytes(line) + b"\n" for line in lines))
    brought_in(city, path, collection="transportation")
    found = {}
    for rows in ("id IS NOT NULL", "id <> 'r2'", "id <> 'r1'"):
        city.activate(untouched("transportation", rows=f'"{rows}"'))
        async with Running(world), cimfed.connect_async(str(world.profile())) as fed:
            table = await fed.read("transportation", purpose="research", original=True).to_table()
        found[rows] = dict(zip(table["id"].to_pylist(), table["original"].to_pylist(), strict=True))
    whole_family = found.pop("id IS NOT NULL")
    assert sorted(id for id in ("r1", "r2") if whole_family[id] is not None) in (["r1"], ["r2"])  # at the first of them
    assert json.loads(whole_family["r1"] or whole_family["r2"]) == json.loads(as_bytes(lines[1]))
    for given in found.values():
        assert json.loads(given.pop("r3")) == json.loads(as_bytes(lines[2]))
        assert list(given.values()) == [None]


async def test_files_of_a_city_that_are_two_stay_two(world: World, tmp_path: Path) -> None:
    """Each with a transform of its own."""
    world.add_gateway()
    world.add_partner()
    city = world.add_city("kz.almaty")
    files = []
    for number, scale in ((1, 0.001), (2, 0.01)):
        head = header(scale=scale)
        item = city_feature(f"b{number}", {f"b{number}": city_object("Building", solid())}, BLOCK)
        files.append(world.folder / f"part {number}.city.jsonl")
        files[-1].write_bytes(as_bytes(head) + b"\n" + as_bytes(item) + b"\n")
    brought_in(city, *files)
    city.activate(untouched())
    async with Running(world):
        code, said = await command(
            world, "read", "building", "--purpose", "research", "--original", "-o", str(tmp_path / "got")
        )
    assert code == 0, said
    heads = {}
    for name in ("kz.almaty.city.jsonl", "kz.almaty_2.city.jsonl"):
        head, item = map(json.loads, (tmp_path / "got" / name).read_text("utf-8").splitlines())
        about = json.loads((tmp_path / "got" / f"{name}.metadata.json").read_bytes())
        heads[about["original"]["file"]] = (head["transform"]["scale"][0], item["id"])
    assert heads == {"part 1.city.jsonl": (0.001, "b1"), "part 2.city.jsonl": (0.01, "b2")}


@pytest.mark.parametrize("version", ["2.0", "3.0"])
async def test_members_of_citygml_arrive_as_a_citymodel(world: World, tmp_path: Path, version: str) -> None:
    """Member by member as ElementTree reads them, and as an import reads them again."""
    world.add_gateway()
    world.add_partner()
    city = world.add_city(DELFT)
    path = world.folder / "delft.gml"
    document = source(DELFT)
    document["CityObjects"] = {
        id: node for id, node in document["CityObjects"].items() if node["type"].startswith("Building")
    }
    path.write_text(as_citygml(document, version, "EPSG:7415"), "utf-8")
    first = rows_of(brought_in(city, path))
    city.activate(untouched(rows="height > 5"))
    async with Running(world):
        code, said = await command(
            world, "read", "building", "--purpose", "research", "--original", "-o", str(tmp_path / "got")
        )
    assert code == 0, said
    there, here = members(path), members(tmp_path / "got" / f"{DELFT}.gml")
    again = rows_of(brought_in(city, tmp_path / "got" / f"{DELFT}.gml"))
    assert 0 < len(again) == len(here) < len(first)
    assert set(here) <= set(there)
    assert again == {id: first[id] for id in again}
    assert again.keys() == {id for id, row in first.items() if row["height"] is not None and row["height"] > 5}


def members(path: Path) -> list[str]:
    root = ElementTree.parse(path).getroot()
    found = [child for child in root if child.tag.endswith("}cityObjectMember")]
    for child in found:
        child.tail = None
    return [ElementTree.canonicalize(ElementTree.tostring(child)) for child in found]


async def test_a_snapshot_that_keeps_none_refuses_and_activation_says_so(world: World) -> None:
    world.add_gateway()
    world.add_partner()
    city = world.add_city("kz.almaty")
    city.adopt(buildings(city.name, [{"at": (70, 40)}]))
    report = city.activate(untouched())
    assert report.notes == ("untouched gives no untouched objects: the snapshot keeps none",)
    async with Running(world), cimfed.connect_async(str(world.profile())) as fed:
        answer = fed.read("building", purpose="research", original=True)
        with pytest.raises(UnknownProperty):
            await answer.to_table()
        assert (await fed.read("building", purpose="research").to_table()).num_rows == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "need a folder"),
        (["-o", "-"], "need a folder"),
        (["-o", "x", "--lod", "1"], "come whole"),
        (["-o", "x", "--format", "csv"], "come whole"),
        (["-o", "x", "-p", "height"], "come whole"),
        (["-o", "x", "--no-geometry"], "come whole"),
        (["-o", "no/such/x"], "there is no folder"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    world: World, options: list[str], says: str
) -> None:
    world.add_gateway()
    world.add_partner()
    code, said = await command(world, "read", "building", "--purpose", "research", "--original", *options)
    assert code == 2
    assert says in said


def test_the_vocabulary_has_no_property_of_these_names() -> None:
    for collection in VOCABULARY.collections.values():
        assert not {"original", "original_header"} & set(collection.properties)
