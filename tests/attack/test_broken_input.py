"""Broken input of every kind, through the command: one error that says where and why, or one line of quarantine.

After a refusal the home is what it was: files, snapshots, views, scratch and every row of the control database.
``--broken-table`` prints what came of each kind.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cimfed import console
from cimfed.model.vocabulary import VOCABULARY, Collection
from cimfed_node import cli
from cimfed_node.ingest import importer
from cimfed_node.ingest.mapping import Mapping, shipped
from tests.attack.broken.catalogue import KINDS
from tests.attack.broken.in_place import KINDS as RELATIONS
from tests.attack.broken.kind import Kind
from tests.attack.broken.printed import PROPERTY
from tests.federation.world import City, World, buildings
from tests.postgres import Cluster, Database

GRANT = """
  - id: heights
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact}
    geometry: {max_lod: 0}
"""
LINE = re.compile(r"error (?P<reason>[a-z_]+): (?P<message>.*?)(?: \(at (?P<place>.+?)\))?(?:\. (?P<remedy>[A-Z'].*))?")
FOREIGN = re.compile(
    r"Traceback|Errno|GDAL|OGR[A-Z]|lxml|libxml|[Aa]rrow|psycopg|sqlite3|duckdb|DuckDB|pyogrio|shapely|GEOS|orjson|"
    r"ifcopenshell|thrift|Thrift|Error\b|Exception|0x[0-9a-fA-F]|/vsi|std::|nullptr|xml[A-Z]|object at|<class|\bNone\b"
)
"""Words of libraries and of Python, which say nothing to an operator."""


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@cache
def _shipped(name: str) -> Mapping:
    return shipped(name, VOCABULARY.collections[name])


def _of_collection(name: str, _: Collection) -> Mapping:
    return _shipped(name)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """A city with a snapshot, a policy and a view of it. It does not wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importer, "shipped", _of_collection)
        patch.setattr(os, "fsync", lambda _: None)
        world = World(tmp_path_factory.mktemp("broken"))
        world.add_partner()
        city = world.add_city("nl.amsterdam")
        city.adopt(buildings(city.name, [{"at": (4.9, 52.3)}]))
        city.activate(GRANT)
        yield city


@pytest.fixture
def command(city: City, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The program itself, in this process."""
    monkeypatch.setenv("CIMFED_NODE_HOME", str(city.home.path))
    monkeypatch.setattr(console.out, "_width", 200)

    def command(*argv: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            console.run(partial(cli.app, argv))
        printed = capsys.readouterr()
        return Said(int(ended.value.code or 0), printed.out, printed.err)

    return command


def state(city: City) -> dict[str, str]:
    """Every file of the home, by what changes where it is written, and the control database by its rows."""
    found, folders = {}, [str(city.home.path)]
    for folder in folders:
        for entry in os.scandir(folder):
            if entry.name.startswith(city.home.database.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
                found[entry.path] = ""
            else:
                about = entry.stat(follow_symlinks=False)
                found[entry.path] = f"{about.st_ino} {about.st_size} {about.st_mtime_ns}"
    database = sqlite3.connect(f"file:{city.home.database}?mode=ro", uri=True)
    try:
        found["rows"] = "\n".join(database.iterdump())
    finally:
        database.close()
    return found


def children() -> set[str]:
    """Processes that this one has started and that have not ended."""
    listed = Path("/proc/self/task").glob("*/children")
    return {child for one in listed for child in one.read_text().split()}


@pytest.mark.parametrize("name", KINDS)
def test_broken_input_has_one_error_or_one_line_of_quarantine(
    name: str,
    city: City,
    command: Callable[..., Said],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    kind = KINDS[name]
    folder = tmp_path / "files"
    folder.mkdir()
    files = kind.files(folder)
    options = [option.replace("{}", str(folder)) for option in kind.options]
    arguments = ["import", *map(str, files), "--collection", kind.collection, *options]
    quarantine = tmp_path / "bad.jsonl"
    before, running, inside = state(city), children(), sorted(tmp_path.rglob("*"))
    row = name.split(": ", 1)
    if kind.code == 0:
        said = command(*arguments)
        assert (said.code, said.err) == (0, "")
        assert kind.says in said.out
        assert rows(city, kind.collection) == set(kind.good)
        record_property(PROPERTY, [*row, "mended", "", "", kind.says])
        return
    if kind.bad is None and "--quarantine" not in options and len(name) % 2:  # it changes nothing: half of them have it
        arguments += ["--quarantine", str(quarantine)]
    told = refusal(command(*arguments), kind, tmp_path)
    assert state(city) == before
    assert sorted(tmp_path.rglob("*")) == inside
    place, message = told["place"], told["message"]
    if kind.bad is not None:
        said = command(*arguments, "--quarantine", str(quarantine))
        assert (said.code, said.err) == (0, "")
        (entry,) = map(json.loads, quarantine.read_text().splitlines())
        found, _, line = kind.at.partition(":")
        assert (entry["file"], entry["object"], entry.get("line", 0)) == (found, kind.bad, int(line or 0))
        assert kind.says in entry["reason"]
        assert not FOREIGN.search(entry["reason"])
        assert rows(city, kind.collection) == set(kind.good)
        place, message = f"{kind.at}: {kind.bad or '(no id)'}", entry["reason"]
    assert children() == running
    outcome = "error" if kind.bad is None else "quarantine"
    record_property(PROPERTY, [*row, outcome, told["reason"], place, message])


@pytest.fixture(scope="module")
def connected(city: City, postgres: Cluster) -> Database:
    """A database that the city is connected to, whose tables each test makes and drops."""
    database = postgres.database()
    cli.app(["postgis", "connect", database.url, "--home", str(city.home.path)], standalone_mode=False)
    return database


@pytest.mark.parametrize("name", RELATIONS)
def test_a_broken_relation_has_one_error_or_one_line_of_quarantine(
    name: str,
    city: City,
    connected: Database,
    command: Callable[..., Said],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    kind = RELATIONS[name]
    quarantine = tmp_path / "bad.jsonl"
    before = state(city)
    with connected.connect(autocommit=True) as connection:
        for statement in kind.made:
            connection.execute(statement.encode())
    try:
        arguments = ["import", "--collection", "building", "--in-place", connected.url]
        arguments += ["--table", kind.table, *kind.options]
        relations = tables(connected)
        if kind.bad is None and len(name) % 2:
            arguments += ["--quarantine", str(quarantine)]
        said = command(*arguments)
        told, details = parts(said, 2, "bad_file")
        assert "secret-word" not in said.err
        assert state(city) == before
        assert tables(connected) == relations
        assert not quarantine.exists()
        place, message = told["place"], told["message"]
        if kind.bad is None:
            assert kind.says in message, message
            assert place == kind.at
            assert details == []
        else:
            assert (message, place) == ("1 bad rows; nothing was imported", kind.at)
            (detail,) = details
            assert detail.endswith(f": 1 rows: {kind.bad or '(no id)'}")
            assert kind.says in detail
            said = command(*arguments, "--quarantine", str(quarantine))
            assert (said.code, said.err) == (0, "")
            assert "1 rows, in place" in said.out
            (entry,) = map(json.loads, quarantine.read_text().splitlines())
            assert (entry["file"], entry["object"]) == (kind.at, kind.bad)
            place, message = f"{kind.at}: {kind.bad or '(no id)'}", entry["reason"]
    finally:
        with connected.connect(autocommit=True) as connection:
            connection.execute("DROP VIEW IF EXISTS v")
            connection.execute("DROP TABLE IF EXISTS t CASCADE")
    outcome = "error" if kind.bad is None else "quarantine"
    record_property(PROPERTY, ["PostGIS in place", name, outcome, told["reason"], place, message])


def tables(database: Database) -> list[Any]:
    """Every relation of the database, with its size."""
    with database.connect() as connection:
        return connection.execute(
            "SELECT oid, relname, pg_relation_size(oid) FROM pg_class WHERE relkind IN ('r', 'v', 'm') ORDER BY oid"
        ).fetchall()


def parts(said: Said, code: int, reason: str) -> tuple[dict[str, str], list[str]]:
    """The one error that was said, and its details."""
    assert (said.code, said.out) == (code, "")
    first, *details = said.err.splitlines()
    assert not FOREIGN.search(said.err), said.err
    assert len(first) < 500
    told = LINE.fullmatch(first)
    assert told is not None, first
    assert told["reason"] == reason
    return {name: value or "" for name, value in told.groupdict().items()}, details


def refusal(said: Said, kind: Kind, folder: Path) -> dict[str, str]:
    """The parts of the one error that was said, which are those of the kind."""
    told, details = parts(said, kind.code, kind.reason)
    assert str(folder) not in said.err or "{}" in "".join(kind.options), "a path that nobody named"
    if kind.bad is None:
        assert kind.says in told["message"], said.err
        assert told["place"].startswith(kind.at), said.err
        assert len(details) == (1 if "bad objects" in kind.says else 0), said.err
    else:
        (detail,) = details
        assert detail.startswith(f"  {kind.at}: {kind.bad or '(no id)'}: "), detail
        assert kind.says in detail
        assert told["message"] == "1 bad objects; nothing was imported"
        assert told["place"] == kind.at.partition(":")[0]
    return told


def rows(city: City, collection: str) -> set[str]:
    """The ids of the current snapshot, as another program reads them."""
    database = sqlite3.connect(f"file:{city.home.database}?mode=ro", uri=True)
    found = database.execute("SELECT id FROM snapshot WHERE collection = ? AND current", [collection]).fetchone()
    database.close()
    return set(pq.read_table(city.home.snapshots / found[0] / f"{collection}.parquet")["id"].to_pylist())
