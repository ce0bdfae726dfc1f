"""A node's backup, and what a return from it means: nothing is answered twice, nothing drawn back comes alive again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cimfed.archive.manifest import Manifest
from cimfed.archive.place import arriving_file
from cimfed.archive.write import Part, write
from cimfed.errors import BadBackup, BadConfig, CimfedError, ClockBehind, Conflict, NoRoom, PolicyBehind
from cimfed.model.instants import instant_text
from cimfed.model.names import city_name
from cimfed.policy.payload import from_payload, routing_entry
from cimfed.tlog import log
from cimfed.tlog.check import check
from cimfed.tlog.checkpoints import publish
from cimfed.trust.card import parse_card
from cimfed.trust.directory.edit import with_member
from cimfed.trust.envelope import PayloadType, from_json, seal
from cimfed.trust.tlog.entries import Restored as RestoredLog
from cimfed.trust.tls import Use
from cimfed.v1 import query_pb2
from cimfed_node.backup import prepared
from cimfed_node.config import Home
from cimfed_node.ingest.snapshot import ids_on_disk, read_snapshot
from cimfed_node.restore import Restored, restore
from cimfed_node.serve import Keys
from cimfed_node.setup import Plan, make_home
from cimfed_node.tables.acts import acts
from cimfed_node.tables.admissions import clock_mark, decisions, take_slot
from cimfed_node.tables.publication import current_snapshots, known_snapshots, views
from cimfed_node.tables.schema import SCHEMA_VERSION
from tests.board import Board
from tests.federation import raw
from tests.federation.test_crashes import CHILD
from tests.federation.world import FEDERATION, SECOND, City, World, buildings
from tests.lacking import lacking

Said = Callable[..., str]
NAME = "kz.almaty"
PASSPHRASE = b"a long passphrase"
GRANTS = """
  - id: massing
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: {band: 5}}
    geometry: {max_lod: 0}
"""
ROWS = [{"height": Decimal(number % 90), "at": (76.9 + number / 1e4, 43.2)} for number in range(300)]
COUNT = [query_pb2.Measure(function=query_pb2.FUNCTION_COUNT)]


@pytest.fixture
def city(tmp_path: Path) -> City:
    world = World(tmp_path)
    world.clock.offset = -60 * SECOND  # so that it can be moved on: TLS has a clock of its own
    world.board = Board(FEDERATION, world.clock())
    world.add_partner("inst.tsinghua", "CN")
    city = world.add_city(NAME)
    city.adopt(buildings(NAME, ROWS[:100]))
    city.adopt(buildings(NAME, ROWS))
    city.activate(GRANTS)
    return city


def back_up(city: City, file: Path, **how: Any) -> Manifest:
    with city.control() as control:
        publishing = city.publisher(control)
        with prepared(city.home, control, publishing, city.world.clock(), **how) as made, arriving_file(file) as out:
            write(out, made.manifest, made.parts)
    return made.manifest


def come_back(old: City, file: Path, **how: Any) -> tuple[City, Restored]:
    """The city's new home, which the world serves from now on."""
    path = old.world.folder / "new"
    done = restore(file, path, old.world.clock, passphrase=lambda: PASSPHRASE, **how)
    new = City(old.world, Home.load(path), old.steward, old.version)
    old.world.cities[NAME] = new
    return new, done


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.backup"


class Asking:
    """inst.tsinghua's queries to a node, one by one; each can be presented again."""

    def __init__(self, world: World, port: int) -> None:
        self.world, self.member = world, world.directory.member(NAME)
        leaf = world.parties["inst.tsinghua"].leaves[Use.CLIENT].current(world.clock())
        self.caller = raw.Caller(port, NAME, self.member.issuers[0].pem, leaf)

    def query(self, **fields: Any) -> query_pb2.Query:
        now = self.world.clock()
        fields = fields or {"read": raw.read()}
        return raw.query(now, **{"expires": now + 600 * SECOND, **fields})

    async def __call__(self, asked: query_pb2.Query | None = None) -> raw.Answer:
        asked = asked or self.query()
        keys = [key.raw for key in self.member.keys]
        signer = self.world.parties["inst.tsinghua"].signer
        return await self.caller.answer(keys, asked, raw.ask(signer, asked))


@contextmanager
def changed(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection, connection:
        yield connection


# The round trip


async def test_a_backup_taken_under_load_gives_the_same_answers_and_none_twice(city: City, file: Path) -> None:
    world = city.world
    shapes: list[dict[str, Any]] = [
        {"read": raw.read()},
        {"read": raw.read("building", "id", "height")},
        {"aggregate": query_pb2.Aggregate(collection="building", group_by=["height"], measures=COUNT)},
    ]
    async with world.node(NAME) as node:
        ask = Asking(world, node.server.port)
        early = ask.query()
        assert (await ask(early)).outcome == "answered"
        before = [await ask(ask.query(**shape)) for shape in shapes]
        answered = 0
        ready = asyncio.Event()

        async def load() -> None:
            nonlocal answered
            while True:
                assert (await ask()).outcome == "answered"
                answered += 1
                ready.set()

        busy = [asyncio.create_task(load()) for _ in range(3)]
        await ready.wait()
        begun = answered
        manifest = await asyncio.to_thread(back_up, city, file, passphrase=PASSPHRASE)
        assert answered > begun  # queries went on
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        late = ask.query()
        assert (await ask(late)).outcome == "answered"
        assert (await ask(late)).reason == "replayed"
        await ask.caller.channel.close()

    new, done = await asyncio.to_thread(come_back, city, file)
    assert (done.has_keys, done.policy, done.card) == (True, 1, None)
    assert manifest.contents["policy"] == "1"
    with new.control() as control, control.reading() as connection:
        assert len(decisions(connection)) < 4 + answered + 2  # the log is shorter than it was: late is not in it
    world.clock.offset += 31 * SECOND
    async with world.node(NAME) as node:
        ask = Asking(world, node.server.port)
        after = [await ask(ask.query(**shape)) for shape in shapes]
        for old, now in zip(before, after, strict=True):
            assert now.rows is not None
            assert now.rows.equals(old.rows)
            for name in ("view", "snapshot", "policy", "rows", "grant"):
                assert now.manifest.get(name) == old.manifest.get(name), name
        for asked in (early, late):
            assert ((await ask(asked)).outcome, (await ask(asked)).reason) == ("refused", "expired_query")
        with changed(new.home.database) as connection:
            connection.execute("UPDATE clock SET restored = 0")
        assert (await ask(early)).reason == "replayed"  # its nonce came along
        assert (await ask(late)).outcome == "answered"  # what would happen without the rule
        await ask.caller.channel.close()


async def test_a_query_of_a_clock_that_is_ahead_is_refused_just_after_the_return(city: City, file: Path) -> None:
    back_up(city, file, passphrase=PASSPHRASE)
    come_back(city, file)
    async with city.world.node(NAME) as node:
        ask = Asking(city.world, node.server.port)
        now = city.world.clock()
        for issued in (now - 10 * SECOND, now, now + 25 * SECOND):
            assert (await ask(ask.query(read=raw.read(), issued=issued))).reason == "expired_query"
        city.world.clock.offset += 31 * SECOND
        assert (await ask()).outcome == "answered"
        await ask.caller.channel.close()


# What a return means


async def test_a_policy_that_was_replaced_since_gives_nothing_until_the_current_one_is_active(
    city: City, file: Path
) -> None:
    world = city.world
    back_up(city, file, passphrase=PASSPHRASE)
    city.activate(GRANTS.replace("CN", "KZ"))  # what inst.tsinghua had was drawn back
    current = city.home.policy_file(2).read_bytes()
    new, done = come_back(city, file)
    assert done.policy == 1
    with pytest.raises(PolicyBehind, match=r"version 1 .* version 2"):
        async with world.node(NAME):
            pass
    new.put_in_force(current)
    world.clock.offset += 31 * SECOND
    async with world.node(NAME) as node:
        ask = Asking(world, node.server.port)
        assert (await ask()).reason == "not_granted"
        await ask.caller.channel.close()


async def test_a_serving_node_learns_that_its_policy_is_behind(city: City, file: Path) -> None:
    world = city.world
    back_up(city, file, passphrase=PASSPHRASE)
    new, _ = come_back(city, file)
    world.clock.offset += 31 * SECOND
    async with world.node(NAME) as node:
        ask = Asking(world, node.server.port)
        assert (await ask()).outcome == "answered"
        second = new.sign(GRANTS.replace("exact,", '"null",'))
        world.publish_routing(new, second)
        for shape in ({"read": raw.read()}, {"catalog": query_pb2.Catalog()}):
            refused = await ask(ask.query(**shape))
            assert (refused.outcome, refused.reason) == ("refused", "policy_behind")
        new.put_in_force(second)
        assert (await ask()).outcome == "answered"
        third = new.sign(GRANTS)  # in the new life a routing entry may come first, as it always may
        world.publish_routing(new, third)
        assert (await ask()).outcome == "answered"
        await ask.caller.channel.close()


def test_the_policy_that_the_directory_names_by_the_same_number_is_the_same(city: City, file: Path) -> None:
    back_up(city, file, passphrase=PASSPHRASE)
    world = city.world
    payload = from_json(city.sign(GRANTS.replace("research", "other"), version=1), 2**20).payload
    entry = seal(PayloadType.ROUTING, routing_entry(from_payload(payload), payload), city.steward)
    world.board.route(city.name, entry, city.steward, world.clock())
    new, _ = come_back(city, file)

    async def serve() -> None:
        async with city.world.node(NAME):
            pass

    with pytest.raises(PolicyBehind):
        asyncio.run(serve())
    assert new.home.path.exists()


def test_the_clock_goes_on_and_what_ran_is_gone(city: City, file: Path) -> None:
    with city.control() as control, control.writing() as connection:
        view = next(iter(views(connection, city.home.place)))
        take_slot(connection, 77, "inst.tsinghua", view, city.world.clock() + 10**9)
    manifest = back_up(city, file, passphrase=PASSPHRASE)
    new, _ = come_back(city, file)
    with new.control() as control, control.reading() as connection:
        assert clock_mark(connection) >= manifest.taken
        assert connection.exec_driver_sql("SELECT count(*) FROM slot").scalar() == 0
        restored = connection.exec_driver_sql("SELECT restored FROM clock").scalar()
        last, before, *_ = acts(connection)[:3]
        done = [act for act in acts(connection) if act.act in ("backup", "restore")]
    assert restored == clock_mark_of(new) and restored >= manifest.taken  # noqa: PT018
    assert [act.act for act in done] == ["restore", "backup"]
    assert done[0].subject == manifest.digest
    assert last.time >= before.time


def clock_mark_of(city: City) -> int:
    with city.control() as control, control.reading() as connection:
        return clock_mark(connection)


def test_the_log_begins_a_generation_that_says_what_is_known_of_the_one_before(city: City, file: Path) -> None:
    with city.control() as control, control.writing() as connection:
        publish(connection, city.home.log_origin, city.signer, city.world.clock())
    back_up(city, file, passphrase=PASSPHRASE)
    with city.control() as control, control.reading() as connection:
        old = log.head(connection)  # the backup's own act was its last line
    new, done = come_back(city, file)
    assert done.log == "sco/kz.almaty/2"
    with new.control() as control, control.writing() as connection:
        entries = [(at.generation, entry) for at, entry in log.history(connection)]
        first = next(entry for generation, entry in entries if generation == 2)
        assert isinstance(first, RestoredLog)
        assert (first.origin, first.size, first.root) == ("sco/kz.almaty", old.size, old.root)
        assert [generation for generation, _ in entries] == [1] * old.size + [2] * (len(entries) - old.size)
        made = publish(connection, new.home.log_origin, new.signer, city.world.clock(), every=0)
        assert made is not None
        assert made.note.text.startswith("sco/kz.almaty/2\n")
        check(connection, new.home.log_origin, [new.signer.public])
    subprocess.run(["rm", "-r", new.home.path], check=True)
    with pytest.raises(BadConfig, match="of generation 1: the next one cannot be 1"):
        come_back(city, file, generation=1)
    assert come_back(city, file, generation=3)[1].log == "sco/kz.almaty/3"  # 2 was begun by the first return


def test_a_host_whose_clock_is_behind_the_backup_restores_nothing(city: City, file: Path) -> None:
    back_up(city, file, passphrase=PASSPHRASE)
    city.world.clock.offset -= 60 * SECOND
    with pytest.raises(ClockBehind):
        come_back(city, file)
    assert not (city.world.folder / "new").exists()
    assert not list(city.world.folder.glob(".new*"))


def test_snapshots_that_were_current_are_and_the_others_are_forgotten(city: City, file: Path) -> None:
    back_up(city, file, passphrase=PASSPHRASE)
    new, done = come_back(city, file)
    with city.control() as control, control.reading() as connection:
        old = current_snapshots(connection)
        assert len(known_snapshots(connection)) == 2
    with new.control() as control, control.reading() as connection:
        assert current_snapshots(connection) == old
        assert known_snapshots(connection).keys() == {old["building"].id} == ids_on_disk(new.home.snapshots)
        (view,) = views(connection, new.home.place).values()
    read_snapshot(new.home.snapshots / old["building"].id, verify=True)
    assert done.report is not None
    assert [(grant.grant, grant.rows) for grant in done.report.grants] == [("massing", len(ROWS))]
    assert Path(view.source).parent == new.home.views
    assert json.loads(new.home.current_record.read_bytes()) == {"building": [old["building"].id]}


def modes(home: Home) -> dict[str, int]:
    return {
        str(path.relative_to(home.path)): path.stat().st_mode
        for path in (home.path, *home.path.rglob("*"))
        if path.name not in ("control.sqlite-wal", "control.sqlite-shm") and home.snapshots not in path.parents
    }


def test_modes_are_those_of_a_home_that_was_made_here(city: City, file: Path) -> None:
    back_up(city, file, passphrase=PASSPHRASE)
    new, _ = come_back(city, file)
    old, now = modes(city.home), modes(new.home)
    del old["keys/tls.pem"]  # public there; here it is as private as the others
    assert {name: old[name] for name in now if name in old} == {name: now[name] for name in now if name in old}
    assert {"keys/node.key", "keys/city.secret", "control/control.sqlite", "policies/1.policy.json"} <= now.keys()


def test_where_views_cannot_be_built_it_says_so_and_does_not_serve(city: City, file: Path) -> None:
    soon = instant_text(city.world.clock() + 10 * SECOND)
    city.activate(GRANTS, valid=f"[2020-01-01T00:00Z, {soon}]")
    back_up(city, file, passphrase=PASSPHRASE)
    city.world.clock.offset += 20 * SECOND
    _, done = come_back(city, file)
    assert done.report is None
    assert any("validity ended" in note and "does not serve" in note for note in done.notes)

    async def serve() -> None:
        async with city.world.node(NAME):
            pass

    with pytest.raises(BadConfig, match="view of massing was not built"):
        asyncio.run(serve())


# Keys


async def test_without_keys_it_does_not_serve_until_they_and_the_views_are_there(city: City, file: Path) -> None:
    back_up(city, file)
    assert not [name for name in unpacked(city, file) if "key" in name]
    new, done = come_back(city, file)
    assert (done.has_keys, done.report) == (False, None)
    assert not list(new.home.keys.iterdir())
    with pytest.raises(BadConfig):
        Keys.load(new.home)
    for path in city.home.keys.iterdir():
        (new.home.keys / path.name).write_bytes(path.read_bytes())
        (new.home.keys / path.name).chmod(0o600)
    with pytest.raises(BadConfig, match="view of massing was not built"):
        async with city.world.node(NAME):
            pass
    new.put_in_force(new.home.policy_file(1).read_bytes())
    city.world.clock.offset += 31 * SECOND
    async with city.world.node(NAME) as node:
        ask = Asking(city.world, node.server.port)
        assert (await ask()).outcome == "answered"
        await ask.caller.channel.close()


async def test_new_keys_are_another_identity_that_is_admitted_anew(city: City, file: Path) -> None:
    back_up(city, file, passphrase=PASSPHRASE)
    new, done = come_back(city, file, new_keys=True)
    old = parse_card((city.home.path / "card.json").read_bytes())
    card = parse_card((new.home.path / "card.json").read_bytes())
    assert done.card == card
    assert card.keys != old.keys
    assert card.issuers != old.issuers
    assert (card.stewards, card.address, card.name) == (old.stewards, old.address, old.name)
    assert new.home.secret.read_bytes() != city.home.secret.read_bytes()
    world = city.world
    world.publish(with_member(replace(world.listing, members={}), card))
    world.clock.offset += 31 * SECOND
    async with world.node(NAME) as node:
        ask = Asking(world, node.server.port)
        assert (await ask()).outcome == "answered"
        await ask.caller.channel.close()


def test_keys_are_opened_by_their_passphrase_and_only_with_the_rest_unchanged(city: City, file: Path) -> None:
    back_up(city, file, passphrase=PASSPHRASE)
    with pytest.raises(BadConfig, match="passphrase is wrong"):
        restore(file, city.world.folder / "new", city.world.clock, passphrase=lambda: b"another")
    parts = unpacked(city, file)
    parts["policies/9.policy.json"] = b"{}"
    with pytest.raises(BadConfig, match="the backup was altered"):
        come_back(city, packed(city, parts))
    assert not (city.world.folder / "new").exists()


def test_no_data_is_left_out_where_that_is_asked_for(city: City, file: Path) -> None:
    whole = back_up(city, city.world.folder / "whole", passphrase=PASSPHRASE)
    manifest = back_up(city, file, passphrase=PASSPHRASE, data=False)
    assert not [member for member in manifest.members if member.name.startswith("snapshots/")]
    assert {member.name for member in manifest.members} < {member.name for member in whole.members}
    assert not [member for member in whole.members if member.name.startswith("views/")]
    new, done = come_back(city, file)
    with new.control() as control, control.reading() as connection:
        assert current_snapshots(connection) == {}
    assert done.report is not None
    assert [(grant.grant, grant.rows) for grant in done.report.grants] == [("massing", None)]
    new.adopt(buildings(NAME, ROWS))  # the data is imported again
    with new.control() as control, control.reading() as connection:
        assert current_snapshots(connection)["building"].rows == len(ROWS)


# What is refused


def unpacked(city: City, file: Path) -> dict[str, bytes]:
    with subprocess.Popen(["cat", file], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        content = pa.CompressedInputStream(pa.py_buffer(cat.stdout.read()), "zstd").read()
    (city.world.folder / "t").mkdir()
    subprocess.run(["tar", "-xf", "-", "-C", city.world.folder / "t"], input=content, check=True)
    at = city.world.folder / "t"
    found = {str(path.relative_to(at)): path.read_bytes() for path in sorted(at.rglob("*")) if path.is_file()}
    del found["manifest.json"]
    return found


def packed(city: City, files: dict[str, bytes], **changes: Any) -> Path:
    """A backup of these files under a manifest that agrees with them."""
    parts = [Part.of_bytes(name, content) for name, content in files.items()]
    facts = {"program": "cimfed-node", "release": "0", "party": NAME, "federation": "sco", "taken": 0, **changes}
    facts.setdefault("schema", SCHEMA_VERSION)
    path = city.world.folder / f"hostile{len(list(city.world.folder.iterdir()))}"
    with path.open("wb") as out:
        write(out, made := Manifest(members=tuple(part.member for part in parts), **facts), parts)
    assert made.members
    return path


def with_trigger(content: bytes, folder: Path, statement: str) -> bytes:
    path = folder / "changed.sqlite"
    path.write_bytes(content)
    with changed(path) as connection:
        connection.execute(statement)
    return path.read_bytes()


def test_hostile_contents_are_refused_and_leave_nothing(city: City, file: Path) -> None:
    back_up(city, file)
    good = unpacked(city, file)
    folder = city.world.folder
    id = next(iter(ids_on_disk(city.home.snapshots) & {name.split("/")[1] for name in good if "snapshots/" in name}))
    database = good["control/control.sqlite"]
    trigger = "CREATE TRIGGER t AFTER INSERT ON nonce BEGIN DELETE FROM nonce; END"
    second = World(folder / "t").add_city("uz.tashkent")
    cases: dict[str, dict[str, bytes]] = {
        "keys/node.key": {**good, "keys/node.key": b"x"},
        "views/x.parquet": {**good, "views/x.parquet": b"x"},
        "postgis.json": {**good, "postgis.json": b"{}"},
        "policies/0.policy.json": {**good, "policies/0.policy.json": b"x"},
        "operator.lock": {**good, "operator.lock": b""},
        "control/control.sqlite-wal": {**good, "control/control.sqlite-wal": b"x"},
        "lacks": {name: content for name, content in good.items() if name != "node.toml"},
        "cannot be read": {**good, "control/control.sqlite": b"x" * 4096},
        "other tables": {**good, "control/control.sqlite": with_trigger(database, folder, trigger)},
        "other tables ": {
            **good, "control/control.sqlite": with_trigger(database, folder, "CREATE VIEW v AS SELECT 1")
        },
        "the database": {**good, "control/control.sqlite": database[:8192] + bytes(4096) + database[12288:]},
        "of another city": {**good, "node.toml": (second.home.path / "node.toml").read_bytes()},
        "of another party": {**good, "card.json": (second.home.path / "card.json").read_bytes()},
        "card": {**good, "card.json": b"{}"},
        "a snapshot": {**good, f"snapshots/{id}/building.parquet": b"x"},
        "a snapshot ": {**good, f"snapshots/{id}/more": b"x"},
        "a snapshot  ": {**good, f"snapshots/{'0' * 64}/inventory.json": b"{}"},
    }  # fmt: skip
    before = {path.name for path in folder.iterdir()}
    for said, files in cases.items():
        path = packed(city, files)
        with pytest.raises(BadBackup) as caught:
            come_back(city, path)
        assert said.strip() in str(caught.value), (said, caught.value)
        path.unlink()
        assert {at.name for at in folder.iterdir()} == before
    come_back(city, packed(city, good))  # so it was the change


def test_another_city_digest_schema_or_program_is_refused(city: City, file: Path) -> None:
    manifest = back_up(city, file, passphrase=PASSPHRASE)
    with pytest.raises(BadBackup, match=r"not of uz\.tashkent"):
        come_back(city, file, city="uz.tashkent")
    with pytest.raises(BadBackup, match="another backup"):
        come_back(city, file, digest="0" * 64)
    files = unpacked(city, file)
    for changes in ({"schema": SCHEMA_VERSION + 1}, {"schema": 1}, {"program": "cimfed-gateway"}):
        with pytest.raises(BadBackup):
            come_back(city, packed(city, files, **changes))
    assert not (city.world.folder / "new").exists()
    come_back(city, file, city=NAME, digest=manifest.digest.upper())


def test_a_home_that_exists_is_not_restored_over(city: City, file: Path) -> None:
    back_up(city, file, passphrase=PASSPHRASE)
    come_back(city, file)
    for path in (city.home.path, city.world.folder / "new"):
        before = {at: at.read_bytes() for at in path.rglob("*") if at.is_file()}
        with pytest.raises(Conflict):
            restore(file, path, city.world.clock, passphrase=lambda: PASSPHRASE)
        assert {at: at.read_bytes() for at in path.rglob("*") if at.is_file()} == before


def test_a_backup_waits_for_no_import_and_lets_none_begin(city: City, file: Path) -> None:
    with city.control() as control, city.publisher(control).alone(), pytest.raises(Conflict):
        back_up(city, file)
    assert not file.exists()
    with (
        city.control() as control,
        prepared(city.home, control, city.publisher(control), city.world.clock()),
        pytest.raises(Conflict),
    ):
        city.adopt(buildings(NAME, ROWS[:1]))


def test_a_damaged_snapshot_makes_no_backup(city: City, file: Path) -> None:
    with city.control() as control, control.reading() as connection:
        path = read_snapshot(city.home.snapshots / current_snapshots(connection)["building"].id).path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CimfedError, match="makes no backup"):
        back_up(city, file)
    path.unlink()
    with pytest.raises(CimfedError, match="is missing"):
        back_up(city, file)
    assert not list(city.world.folder.glob("*a.backup*"))
    assert not list(city.home.scratch.iterdir())


# The commands


def test_the_commands_say_what_is_in_it_and_what_follows(city: City, said: Said, tmp_path: Path) -> None:
    (tmp_path / "pass").write_bytes(PASSPHRASE + b"\n")
    path = str(tmp_path / "night.backup")
    told = said("backup", path)
    assert "keys are not in it" in told
    assert oct(os.stat(path).st_mode & 0o777) == "0o600"
    checked = said("backup", path, "--check")
    digest = checked.split("digest ")[1].split()[0]
    assert len(digest) == 64
    assert digest in told
    assert f"{path} is whole" in checked
    assert "conflict" in said("backup", path, expect=5)
    told = said("restore", path, "--home", str(tmp_path / "a"), "--digest", digest, "--city", NAME)
    for words in ("restored to", "put the keys", "activate CURRENT.policy.json", "must never serve again"):
        assert words in told
    assert "somebody answers" not in told
    assert "conflict" in said("restore", path, "--home", str(tmp_path / "a"), expect=5)
    data = (tmp_path / "night.backup").read_bytes()
    (tmp_path / "cut").write_bytes(data[:-100])
    assert "bad_backup" in said("backup", str(tmp_path / "cut"), "--check", expect=2)
    assert "bad_backup" in said("restore", str(tmp_path / "cut"), "--home", str(tmp_path / "b"), expect=2)
    assert not (tmp_path / "b").exists()
    sealed = str(tmp_path / "sealed")
    by = ("--passphrase-file", str(tmp_path / "pass"))
    assert "keys are not in it" not in said("backup", sealed, "--with-keys", *by)
    assert "is needed. Give --passphrase-file" in said("restore", sealed, "--home", str(tmp_path / "c"), expect=2)
    told = said("restore", sealed, "--home", str(tmp_path / "c"), *by)
    assert "put the keys" not in told
    assert "massing" in told
    told = said("restore", sealed, "--home", str(tmp_path / "d"), "--new-keys")
    assert parse_card((tmp_path / "d" / "card.json").read_bytes()).fingerprint in told
    assert "--passphrase-file" in said("backup", str(tmp_path / "e"), *by, expect=2)
    lines = said("snapshots", "log").count("backup")
    assert "conflict" in said("backup", sealed, "--with-keys", expect=5)  # before it asks or writes anything down
    assert "there is no folder" in said("backup", str(tmp_path / "none" / "a"), expect=2)
    assert said("snapshots", "log").count("backup") == lines == 2
    assert not list(tmp_path.glob(".*"))


def test_whoever_answers_at_the_address_is_told(city: City, said: Said, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        root, stewards = city.world.root.read_bytes(), city.home.steward_keys
        plan = Plan(city_name("uz.tashkent"), city.home.federation, address, root, stewards, "localhost:1")
        make_home(tmp_path / "uz", plan, city.world.clock())
        said("backup", str(tmp_path / "uz.backup"), "--home", str(tmp_path / "uz"))
        told = said("restore", str(tmp_path / "uz.backup"), "--home", str(tmp_path / "new"))
    assert f"somebody answers at {address}" in told
    assert "Two with one key" in told


def test_standard_output_gets_the_backup_and_nothing_else(city: City, file: Path) -> None:
    program = Path(sys.executable).with_name("cimfed-node")
    argv = [program, "backup", "-", "--home", city.home.path]
    ended = subprocess.run(argv, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    file.write_bytes(ended.stdout)
    city.world.clock.offset = 0
    assert come_back(city, file)[1].policy == 1


# Full disks, kills


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False)
    if made.returncode:
        lacking("leave to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_leaves_nothing_of_a_backup_or_a_restore(city: City, disk: Path, file: Path) -> None:
    drawn = random.Random(1)
    small = back_up(city, file, passphrase=PASSPHRASE)
    noise = [{"height": Decimal(1), "parcel_id": drawn.randbytes(200).hex()} for _ in range(12_000)]
    city.adopt(buildings(NAME, noise))
    with pytest.raises(NoRoom):
        back_up(city, disk / "a", passphrase=PASSPHRASE)
    assert not list(disk.iterdir())
    whole = city.world.folder / "whole"
    assert back_up(city, whole, passphrase=PASSPHRASE).size > 2**20 > small.size + 2**17
    # Foreseen; and as it comes, while files, the database and views are written.
    for path, free in ((whole, 2**20), *((file, small.size + more) for more in (4096, 2**14, 2**16, 2**17))):
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(2**20 - free))
        with pytest.raises(NoRoom):
            restore(path, disk / "new", city.world.clock, passphrase=lambda: PASSPHRASE)
        assert list(disk.iterdir()) == [ballast]
        ballast.unlink()
    restore(file, disk / "new", city.world.clock, passphrase=lambda: PASSPHRASE)


def killed(folder: Path, step: int, *argv: str) -> tuple[int, str, str]:
    """A command that kills itself before the n-th step that changes something below the folder; its code and words."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "COLUMNS": "200"},
    )  # fmt: skip
    order = json.dumps({"home": str(folder), "step": step, "argv": argv}) + "\n"
    said, errors = process.communicate(order, timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode, said, errors


def kills(city: City, number: int | None, seed: int) -> None:
    """``number`` of kills that are drawn, or one at each step."""
    city.world.clock.offset = 0  # the commands go by the host's
    folder, drawn = city.world.folder, random.Random(seed)
    (folder / "pass").write_bytes(PASSPHRASE)
    sealed = ("--passphrase-file", str(folder / "pass"))
    backup = ("backup", str(folder / "k.backup"), "--home", str(city.home.path), "--with-keys", *sealed)
    restored = ("restore", str(folder / "good.backup"), "--home", str(folder / "k.home"), *sealed)
    _, said, _ = killed(folder, 0, "backup", str(folder / "good.backup"), *backup[2:])
    steps_of_backup = int(said.split()[-1])
    _, said, _ = killed(folder, 0, "restore", str(folder / "good.backup"), "--home", str(folder / "first"), *sealed)
    steps_of_restore = int(said.split()[-1])
    before = {path.name for path in folder.iterdir()}
    for words, steps, made in ((backup, steps_of_backup, "k.backup"), (restored, steps_of_restore, "k.home")):
        points = range(1, steps + 1) if number is None else sorted(drawn.sample(range(1, steps + 1), number))
        for step in points:
            code, _, _ = killed(folder, step, *words)
            there = {path.name for path in folder.iterdir()} - before
            assert there <= {made, f".{made}.partial"}, step
            assert (code == 0) <= (made in there), step
            if made in there:  # then it is whole
                if made == "k.backup":
                    restore(folder / made, folder / "tried", city.world.clock, passphrase=lambda: PASSPHRASE)
                    subprocess.run(["rm", "-r", folder / "tried"], check=True)
                else:
                    same(folder / "first", folder / made)
                subprocess.run(["rm", "-r", folder / made], check=True)
        code, _, errors = killed(folder, 0, *words)  # the next one is not in the way of what is left
        assert code == 0, errors
        assert {path.name for path in folder.iterdir()} == before | {made}
        subprocess.run(["rm", "-r", folder / made], check=True)
        assert not list(city.home.scratch.iterdir())


def same(one: Path, other: Path) -> None:
    """The same files, but for the database's times and tokens."""
    listed = [{str(path.relative_to(at)) for path in at.rglob("*")} for at in (one, other)]
    assert listed[0] == listed[1]
    for name in listed[0]:
        if (one / name).is_file() and not name.startswith(("control/", "views/")):
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_killed_at_points_that_are_drawn_there_is_nothing_or_the_whole(city: City) -> None:
    kills(city, 5, random.SystemRandom().randrange(1_000_000))


@pytest.mark.full
def test_killed_at_every_point_there_is_nothing_or_the_whole(city: City) -> None:
    kills(city, None, 0)
