"""`cimfed-node block | unblock | blocks` as an operator types them, beside a node that serves and answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest

import cimfed
from cimfed.trust.tls import Use
from cimfed_node.serve import Node
from tests.federation import raw
from tests.federation.test_node_commands import COMMAND, run
from tests.federation.tours import blocks
from tests.federation.world import City, World, buildings
from tests.oracle.wire import streams

GRANTS = """
  - id: all
    subject: {role: [researcher]}
    purpose: [research]
    collection: building
    columns: {id: exact, function: exact}
"""
DOCS = Path(__file__).resolve().parents[2] / "docs"
NAMES = ("kz.almaty", "uz.tashkent")
ROWS = 40_000  # of 1,200 bytes: far more than a connection holds back
REASON = ("--reason", "a laptop was stolen")
Said = Callable[..., str]


def furnished(world: World, rows: int = 1) -> World:
    world.add_gateway()
    world.add_gateway("gw.second")
    world.add_partner()
    world.add_partner("inst.iitd", "IN")
    for name in NAMES:
        city = world.add_city(name)
        base = buildings(name, [{"function": "office" * 200, "height": Decimal(3)}])
        table = base.take(pa.array([0] * rows, pa.int64()))
        ids = pa.array([f"b{number}" for number in range(rows)])
        city.adopt(table.set_column(table.column_names.index("id"), base.schema.field("id"), ids))
        city.activate(GRANTS)
        city.limits = {
            "batch_bytes": 256 * 1024,
            "head_bytes": 1024 * 1024,
            "recheck_seconds": 0.05,
            "ending_seconds": 60,
        }
    return world


@pytest.fixture
def city(tmp_path: Path) -> City:
    """A city that has fetched the directory."""
    city = furnished(World(tmp_path)).cities["uz.tashkent"]
    city.world.keep(city.home.directory)
    return city


def id_of(city: City, name: str) -> str:
    return hashlib.sha256(city.world.parties[name].signer.public.raw).hexdigest()


def typed(city: City, *argv: str, expect: int = 0) -> str:
    """A command in a process of its own, at a city that has never fetched the directory."""
    assert not (city.home.directory / "files").exists()
    return run(*argv, CIMFED_NODE_HOME=str(city.home.path), expect=expect)


def caller(world: World, node: Node, name: str) -> raw.Caller:
    assert world.directory is not None
    leaf = world.parties["inst.tsinghua"].leaves[Use.CLIENT].current(world.clock())
    return raw.Caller(node.server.port, name, world.directory.member(name).issuers[0].pem, leaf)


@pytest.mark.parametrize("what", ["organisation", "key", "everybody"])
async def test_a_block_ends_an_answer_that_runs_signed_and_refuses_the_next(tmp_path: Path, what: str) -> None:
    world = furnished(World(tmp_path), ROWS)
    city = world.cities["uz.tashkent"]
    whom = {"organisation": "inst.tsinghua", "key": id_of(city, "inst.tsinghua"), "everybody": "--all"}[what]
    signer = world.parties["inst.tsinghua"].signer
    assert world.directory is not None
    keys = [key.raw for key in world.directory.member(city.name).keys]
    async with world.node(city.name) as node, caller(world, node, city.name) as calling:
        asked = raw.query(read=raw.read())
        call = calling.call(raw.READ, raw.ask(signer, asked))
        frames = [await call.read() for _ in range(3)]
        (stream,) = node.service.running.values()
        assert stream.checking is not None
        printed = await asyncio.to_thread(typed, city, "block", whom, *REASON, "--yes", "--json")
        affected = json.loads(printed)["affected"]
        assert affected["running"] == 1
        assert [(item["organisation"], item["queries"]) for item in affected["organisations"]] == [("inst.tsinghua", 1)]
        await asyncio.wait([stream.checking], timeout=60)
        while (data := await call.read()) is not grpc.aio.EOF:
            frames.append(data)
        followed = streams.City(city.name, keys, hashlib.sha256(asked.SerializeToString()).digest(), "sco", "building")
        for data in frames:
            followed.take(streams.read_frame(data))
        manifest = followed.finish()
        assert (manifest["outcome"], manifest["reason"]) == ("refused", "blocked")
        assert 0 < manifest["rows"] < ROWS

        async def next_one() -> raw.Answer:
            query = raw.query(read=raw.read("building", "id"))
            return await calling.answer(keys, query, raw.ask(signer, query))

        assert ((await next_one()).outcome, (await next_one()).reason) == ("refused", "blocked")
        await asyncio.to_thread(typed, city, "unblock", whom, "--yes")
        answer = await next_one()
        assert answer.outcome == "answered"
        assert answer.rows is not None
        assert answer.rows.num_rows == ROWS


async def test_a_blocked_gateway_gets_a_refusal_of_that_city_alone(city: City, said: Said) -> None:
    world = city.world
    async with (
        world.node(NAMES[0]),
        world.node(NAMES[1]),
        world.gateway(),
        cimfed.connect_async(str(world.profile())) as fed,
    ):
        await asyncio.to_thread(said, "block", "gw.alliance", *REASON, "--yes")
        answer = fed.read("building", properties=["id"], purpose="research")
        assert (await answer.to_table())["city"].to_pylist() == ["kz.almaty"]
        told = answer.coverage["uz.tashkent"]
        assert (str(told.outcome), told.reason) == ("refused", "blocked")
        await asyncio.to_thread(said, "unblock", "gw.alliance", "--yes")
        answer = fed.read("building", properties=["id"], purpose="research")
        assert sorted((await answer.to_table())["city"].to_pylist()) == sorted(NAMES)


def shown(said: Said) -> list[str]:
    return [item["subject"] for item in json.loads(said("blocks", "--json"))["blocks"]]


def test_what_was_typed_is_found_in_the_directory_or_taken_as_it_is(city: City, said: Said) -> None:
    key = id_of(city, "inst.iitd")
    made = json.loads(said("block", key[:8].upper(), *REASON, "--yes", "--json"))
    assert (made["schema"], made["subject"], made["party"], made["changed"]) == (
        "cimfed/block/v1", key, "inst.iitd", True,
    )  # fmt: skip
    said("block", city.world.parties["gw.second"].signer.public.text, *REASON, "--yes")
    assert "the directory does not list this" in said("block", "ab" * 32, *REASON, "--yes")
    assert shown(said) == ["ab" * 32, id_of(city, "gw.second"), key]
    for word, code, remedy in (
        ("inst.tsingua", 3, "Did you mean inst.tsinghua?"),
        ("cd" * 4, 3, "Give all 64 digits"),
        ("abcdef0", 2, "8 to 64 hex digits"),
        ("kz.almaty", 2, "Block partners, gateways or keys"),
        ("nobody", 2, "8 to 64 hex digits"),
    ):
        assert remedy in said("block", word, *REASON, "--yes", expect=code), word
    assert "or say --all" in said("block", *REASON, "--yes", expect=2)
    assert "or say --all" in said("block", "inst.iitd", "--all", *REASON, "--yes", expect=2)
    assert len(shown(said)) == 3
    said("block", "inst.tsingua", "--unlisted", *REASON, "--yes")
    assert "inst.tsingua" in shown(said)
    for subject in shown(said):
        said("unblock", subject[:9] if "." not in subject else subject, "--yes")
    assert "nobody is blocked here" in said("blocks")


def test_digits_that_two_keys_begin_with_are_not_enough(
    city: City, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    twins = ["0123456789" + "a" * 54, "0123456789" + "b" * 54]
    monkeypatch.setattr("cimfed_node.blocking._ids", lambda _: zip(twins, ["inst.iitd", "gw.second"], strict=True))
    went = said("block", "0123456789", *REASON, "--yes", expect=2)
    assert all(twin in went for twin in twins)
    said("block", "0123456789b", *REASON, "--yes")
    said("block", twins[0], *REASON, "--yes")
    assert "2 keys begin so" in said("unblock", "01234567", "--yes", expect=2)
    said("unblock", "0123456789a", "--yes")
    assert shown(said) == [twins[1]]


@pytest.mark.parametrize("damage", ["gone", "broken", "another's"])
def test_without_a_directory_names_and_whole_ids_are_taken_as_they_are(city: City, said: Said, damage: str) -> None:
    match damage:
        case "gone":
            shutil.rmtree(city.home.directory / "files")
        case "broken":
            (city.home.directory / "files" / "metadata" / "timestamp.json").write_bytes(b"{")
        case _:
            other = World(city.world.folder)
            (city.home.directory / "root.json").write_bytes(other.board.root)
    key = id_of(city, "inst.iitd")
    assert "needs its whole id" in said("block", key[:8], *REASON, "--yes", expect=2)
    assert "nobody looked" in said("block", key, *REASON, "--yes")
    said("block", "inst.tsinghua", *REASON, "--yes")
    assert shown(said) == ["inst.tsinghua", key]
    said("unblock", key[:8], "--yes")
    assert shown(said) == ["inst.tsinghua"]


def test_a_dry_run_says_who_is_affected_and_blocks_nobody(city: City, said: Said) -> None:
    dry = json.loads(said("block", "--all", *REASON, "--dry-run", "--json"))
    assert (dry["dry_run"], dry["changed"], dry["subject"]) == (True, False, "all")
    assert dry["affected"] == {"running": 0, "days": 30, "organisations": []}
    assert "to be blocked: everybody" in said("block", "--all", *REASON, "--dry-run")
    assert "not_confirmed" in said("block", "--all", *REASON, expect=2)
    assert shown(said) == []
    said("block", "--all", *REASON, "--yes")
    assert "to be lifted" in said("unblock", "--all", "--dry-run")
    assert "not_confirmed" in said("unblock", "--all", expect=2)
    assert shown(said) == ["all"]


def test_a_block_stands_once_and_every_act_has_its_line(city: City, said: Said) -> None:
    said("block", "inst.iitd", *REASON, "--yes")
    again = json.loads(said("block", "inst.iitd", "--reason", "again", "--yes", "--json"))
    assert (again["changed"], again["reason"]) == (False, REASON[1])
    assert "is blocked already" in said("block", "inst.iitd", "--reason", "again", "--yes")
    assert "there is no such block" in said("unblock", "inst.tsinghua", "--yes", expect=3)
    said("block", "--all", *REASON, "--yes")
    table = said("blocks")
    assert "everybody" in table
    assert REASON[1] in table
    assert "everybody is blocked still" in said("unblock", "inst.iitd", "--reason", "found again", "--yes")
    lines: list[dict[str, Any]] = json.loads(said("snapshots", "log", "--json"))["acts"]
    assert [(line["act"], line["subject"], line["reason"]) for line in lines[:3]] == [
        ("unblock", "inst.iitd", "found again"),
        ("block", "all", REASON[1]),
        ("block", "inst.iitd", REASON[1]),
    ]
    assert all(line["operator"] for line in lines)
    assert "between 1 and 500" in said("block", "inst.tsinghua", "--reason", " ", "--yes", expect=2)


def test_the_page_shows_an_error_as_the_command_gives_it(city: City) -> None:
    (shown,) = (block.text for block in blocks((DOCS / "commands.md").read_text("utf-8")) if block.word == "json")
    typed = subprocess.run(
        [COMMAND, "block", "inst.tsingua", *REASON, "--json", "--home", city.home.path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert typed.stdout == shown
    assert typed.returncode == 3
