"""`doctor` of nodes, over real homes beside real servers."""

from __future__ import annotations

import copy
import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from cimfed.doctor import ask
from cimfed.doctor.finding import Code, Severity
from cimfed.model.names import Kind
from cimfed.trust.directory.mirrors import Folder
from cimfed.trust.files import create_file
from cimfed.trust.next_keys import make_next_issuer, make_next_signing
from cimfed.trust.token.make import make_token_key
from cimfed_gateway import doctor as gateway_doctor
from cimfed_node import doctor as node_doctor
from cimfed_node.config import Home
from cimfed_node.database import connect
from cimfed_node.tables.blocks import Block, put_block
from tests.federation.doctoring import (
    ALMATY,
    GRANTS,
    HERE,
    QINGDAO,
    at,
    examined,
    finding,
    furnished,
    gateway_home,
    home_of,
    serving,
    told,
)
from tests.federation.world import FEDERATION, World, named
from tests.postgres import Database
from tests.tokens import PIN, Soft


@pytest.fixture
def world(tmp_path: Path) -> World:
    return furnished(tmp_path)


@pytest.mark.parametrize(("seconds", "way"), [(-45, "45 s behind dir.alliance"), (45, "45 s ahead of dir.alliance")])
async def test_a_clock_that_is_off_is_measured(world: World, seconds: float, way: str) -> None:
    async with serving(world), world.gateway():
        exam = await examined(node_doctor.examine, home_of(world.cities[ALMATY]), at(world, seconds))
    found = finding(exam, Code.CLOCK_OFF)
    assert found.severity is Severity.ERROR
    assert way in found.what


async def test_a_clock_that_drifts_is_told_before_it_is_refused(world: World) -> None:
    async with serving(world, at(world, 20)):
        exam = await examined(node_doctor.examine, home_of(world.cities[ALMATY]), world.clock)
    assert "it is 20 s behind" in finding(exam, Code.CLOCK_DRIFTS).what


async def test_a_party_that_was_taken_off_hears_it_from_the_directory_and_from_others(world: World) -> None:
    async with serving(world), world.gateway(), world.node(QINGDAO):
        home, gateway = home_of(world.cities[ALMATY]), gateway_home(world)
        world.remove(ALMATY)
        world.board.revoke("gw.alliance", "its operator left", world.clock())
        node = await examined(node_doctor.examine, home, world.clock)
        other = await examined(gateway_doctor.examine, gateway, world.clock)
    assert finding(node, Code.NOT_LISTED).about == ALMATY
    assert "its operator left" in finding(other, Code.REVOKED).what
    assert finding(other, Code.PEER_REFUSES).about == QINGDAO


async def test_a_gateway_that_does_not_know_the_issuer_of_a_node_takes_no_call(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other")
    (tmp_path / "other").mkdir()
    stranger = other.add_city(ALMATY)
    async with serving(world), world.gateway():
        home = home_of(world.cities[ALMATY])
        for name in ("tls.key", "tls.pem"):
            (home.keys / name).write_bytes((stranger.home.keys / name).read_bytes())
        exam = await examined(node_doctor.examine, home, world.clock)
    assert "TLS comes to nothing" in finding(exam, Code.PEER_REFUSES).what
    assert finding(exam, Code.ISSUER_NOT_LISTED).severity is Severity.ERROR


async def test_without_anybody_to_ask_a_node_says_until_when_it_goes_on(world: World) -> None:
    exam = await examined(node_doctor.examine, home_of(world.cities[ALMATY]), world.clock)
    assert finding(exam, Code.MIRRORS_AWAY).until == world.directory.expires
    assert {Code.PEER_UNREACHABLE, Code.NOT_SERVING, Code.CLOCK_UNMEASURED} <= told(exam, Severity.WARNING)
    assert told(exam, Severity.ERROR) == {Code.MIRRORS_AWAY}


async def test_one_that_takes_connections_and_says_nothing_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "LIMIT", 3.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with serving(world):
            world.at("gw.alliance", silent.getsockname()[1])
            exam = await examined(node_doctor.examine, home_of(world.cities[ALMATY]), world.clock)
    found = [each for each in exam.findings if each.about == "gw.alliance"]
    assert [each.severity for each in found] == [Severity.WARNING]
    assert found[0].code is Code.PEER_UNREACHABLE
    assert any(each.about == "dir.alliance" and each.severity is Severity.OK for each in exam.findings)


async def test_a_home_that_never_fetched_the_directory_gets_it_for_once_and_stays_as_it_is(world: World) -> None:
    async with serving(world), world.node(ALMATY) as node:
        city = world.cities[ALMATY]
        settings = city.home.settings.model_copy(
            update={"directory": world.board.service.address, "address": f"127.0.0.1:{node.server.port}"}
        )
        home = Home(city.home.path, settings)
        before = tree(home.path)
        exam = await examined(node_doctor.examine, home, world.clock)
        assert tree(home.path) == before
    assert told(exam, Severity.ERROR) == set()
    assert "nothing is kept here" in finding(exam, Code.DIRECTORY_BEHIND).what


def tree(folder: Path) -> dict[str, bytes]:
    """Every file; but SQLite's own, which come and go with whoever reads."""
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


async def test_mirrors_that_lie_or_lag_are_told_apart(world: World, tmp_path: Path) -> None:
    async with serving(world):
        home = home_of(world.cities[ALMATY])
        old, false, empty = tmp_path / "old", tmp_path / "false", tmp_path / "empty"
        Folder(world.files).copy_to(old)
        world.publish(world.listing)
        Folder(world.files).copy_to(false)
        for path in (false / "targets" / "partners").iterdir():
            path.write_bytes(b"{}")
        for path in (false / "metadata").glob("*.registrar.json"):
            path.unlink()
        stamp = Folder(false)["metadata/timestamp.json"]
        Folder(false).put("metadata/timestamp.json", stamp.replace(b'"version"', b'"version" ', 1))
        mirrors = tuple(str(path) for path in (old, false, empty))
        asked = Home(home.path, home.settings.model_copy(update={"mirrors": mirrors}))
        exam = await examined(node_doctor.examine, asked, world.clock)
        later = await examined(node_doctor.examine, asked, at(world, 31))
    assert {each.about for each in exam.findings if each.code is Code.MIRROR_FALSE} == {str(false), str(empty)}
    assert Code.MIRROR_BEHIND not in told(exam)
    assert finding(later, Code.MIRROR_BEHIND).about == str(old)
    assert finding(later, Code.DIRECTORY_BEHIND).severity is Severity.WARNING


async def test_a_mirror_that_tells_another_story_is_told(world: World, tmp_path: Path) -> None:
    async with serving(world):
        other = copy.copy(world.board)
        other.files = dict(world.board.files)
        other.revoke("inst.one", "lost", world.clock())
        world.board.revoke("inst.two", "lost", world.clock())
        for path, content in other.files.items():
            Folder(tmp_path / "other").put(path, content)
        home = home_of(world.cities[ALMATY])
        settings = home.settings.model_copy(update={"mirrors": (str(tmp_path / "other"),)})
        exam = await examined(node_doctor.examine, Home(home.path, settings), world.clock)
    found = [each for each in exam.findings if each.code is Code.DIRECTORY_FORKED]
    assert {each.about for each in found} == {str(tmp_path / "other")}
    assert all(each.severity is Severity.ERROR for each in found)


@pytest.mark.parametrize("damage", ["cut", "gone", "another file"])
@pytest.mark.parametrize("follows", [True, False])
async def test_a_damaged_root_is_one_finding_and_no_mirrors_fault(world: World, damage: str, follows: bool) -> None:
    async with serving(world), world.gateway():
        home = home_of(world.cities[ALMATY])
        root = home.directory / "root.json"
        content = root.read_bytes()
        root.unlink()
        if damage != "gone":
            root.write_bytes(content[:-100] if damage == "cut" else b"{}")
        if not follows:
            shutil.rmtree(home.directory / "files")
        mirrors = (str(world.files),)
        asked = Home(home.path, home.settings.model_copy(update={"mirrors": mirrors}))
        exam = await examined(node_doctor.examine, asked, world.clock)
        root.unlink(missing_ok=True)
        root.write_bytes(content)
        mended = await examined(node_doctor.examine, asked, world.clock)
    assert told(exam) - HERE == {Code.ROOT_DAMAGED}
    found = finding(exam, Code.ROOT_DAMAGED)
    assert (found.check, found.about) == ("directory", str(root))
    assert "from a backup" in found.remedy
    assert any(each.check == "clock" and each.severity is Severity.OK for each in exam.findings)
    assert Code.ROOT_DAMAGED not in told(mended)


async def test_what_is_wrong_in_a_home_is_told_all_at_once(world: World) -> None:
    """Nothing that is broken keeps another check from being made."""
    async with serving(world):
        city = world.cities[ALMATY]
        home = home_of(city)
        with city.control() as control, control.writing() as transaction:
            put_block(transaction, Block("all", world.clock(), "test", "we look into it"))
        (home.keys / "node.key").chmod(0o644)
        (home.keys / "tls.key").write_bytes(b"none")
        home.keys.chmod(0o755)
        (home.path / "card.json").unlink()
        home.policy_file(1).write_bytes(b"{}")
        settings = home.settings.model_copy(update={"service_user": "nobody-of-that-name"})
        exam = await examined(node_doctor.examine, Home(home.path, settings), world.clock)
    assert told(exam) >= {
        Code.KEY_UNUSABLE,
        Code.TLS_UNUSABLE,
        Code.KEYS_OPEN,
        Code.CARD_OTHER,
        Code.POLICY_UNREADABLE,
        Code.BLOCKED_ALL,
        Code.SERVICE_USER_WRONG,
    }
    assert Code.CHECK_FAILED not in told(exam)


async def test_a_damaged_database_is_told_and_all_else_is_looked_at(world: World) -> None:
    async with serving(world):
        home = home_of(world.cities[ALMATY])
        content = bytearray(home.database.read_bytes())
        content[4096:12288] = b"?" * 8192
        home.database.write_bytes(content)
        exam = await examined(node_doctor.examine, home, world.clock)
    assert told(exam, Severity.ERROR) == {Code.DATABASE_DAMAGED}
    assert {"keys", "tls", "directory", "listing", "peers", "clock", "disk", "versions"} <= {
        each.check for each in exam.findings
    }


async def test_policy_and_directory_that_differ_are_told(world: World) -> None:
    async with serving(world):
        city = world.cities[ALMATY]
        second, third = city.sign(GRANTS), city.sign(GRANTS)
        city.put_in_force(second)
        unpublished = await examined(node_doctor.examine, home_of(city), world.clock)
        world.publish_routing(city, third)
        newer = await examined(node_doctor.examine, home_of(city), world.clock)
        city.put_in_force(third)
        well = await examined(node_doctor.examine, home_of(city), world.clock)
    assert Code.POLICY_UNPUBLISHED in told(unpublished, Severity.WARNING)
    assert "published version 3, here version 2 is in force" in finding(newer, Code.POLICY_OTHER).what
    assert not {Code.POLICY_OTHER, Code.POLICY_UNPUBLISHED} & told(well)


async def test_while_keys_change_the_old_the_next_or_both_may_be_listed(world: World) -> None:
    async with serving(world), world.gateway():
        home = home_of(world.cities[ALMATY])
        key = make_next_signing(home.path, Kind.CITY, None, None)
        issuer = make_next_issuer(home.path, FEDERATION, ALMATY, world.clock())
        member = world.listing.members[home.city]
        for keys, issuers in (
            (member.keys, member.issuers),
            ((*member.keys, key), (*member.issuers, issuer)),
            ((key,), (issuer,)),
        ):
            changed = replace(member, keys=keys, issuers=issuers)
            cards = world.listing.successions
            if len(keys) > 1:
                cards = (*cards, named(changed, home.path, Kind.CITY))
            members = {**world.listing.members, member.name: changed}
            world.publish(replace(world.listing, members=members, successions=cards))
            exam = await examined(node_doctor.examine, home_of(world.cities[ALMATY]), world.clock)
            assert told(exam) <= HERE | {Code.NOT_SERVING}, exam.findings
            assert any(each.about == "gw.alliance" and each.severity is Severity.OK for each in exam.findings)


async def test_a_node_whose_key_is_on_a_token_signs_or_is_told(tmp_path: Path, token: Soft) -> None:
    pin = tmp_path / "pin"
    create_file(pin, PIN, 0o600)
    key = token.key("node", pin_source=pin)
    make_token_key(key, PIN)
    city = World(tmp_path).add_city(ALMATY, key)
    exam = await examined(node_doctor.examine, city.home, city.world.clock)
    assert any(each.what.endswith("node.key signs (on a token)") for each in exam.findings)
    token.take_away()
    exam = await examined(node_doctor.examine, city.home, city.world.clock)
    assert finding(exam, Code.KEY_UNUSABLE).about.endswith("node.key")
    token.bring_back()


async def test_the_citys_postgresql_is_reached_as_the_service_reaches_it_or_not(
    world: World, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "LIMIT", 30.0)
    home = world.cities[ALMATY].home
    connect(home, database.url)
    well = await examined(node_doctor.examine, home, world.clock)
    assert [each.code for each in well.findings if each.check == "postgis"] == [Code.OK]
    login = json.loads(home.database_of_service.read_text())
    home.database_of_service.write_text(
        json.dumps(login | {"conninfo": "host=127.0.0.1 port=1 dbname=x password=4711"})
    )
    away = finding(await examined(node_doctor.examine, home, world.clock), Code.POSTGIS_AWAY)
    assert "4711" not in str(away)
