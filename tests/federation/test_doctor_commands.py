"""`doctor` of everybody else, and the commands as they are typed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cimfed.cli.doctor import examine_office, examine_profile
from cimfed.cli.office import make_office
from cimfed.client.profile import read_profile
from cimfed.doctor.finding import Code, Severity
from cimfed.rpc.settings import toml
from cimfed.trust.directory.mirrors import Folder
from cimfed.trust.files import create_file
from cimfed.trust.keys import KeySigner
from cimfed_gateway import doctor as gateway_doctor
from cimfed_gateway.directory import doctor as directory_doctor
from cimfed_node import doctor as node_doctor
from tests.federation.doctoring import (
    ALMATY,
    HERE,
    QINGDAO,
    at,
    directory_home,
    examined,
    finding,
    furnished,
    gateway_home,
    home_of,
    serving,
    told,
)
from tests.federation.world import FEDERATION, World

BIN = Path(sys.executable).parent


@pytest.fixture
def world(tmp_path: Path) -> World:
    return furnished(tmp_path)


async def test_a_federation_that_is_well_has_nothing_to_be_said_of(world: World) -> None:
    async with serving(world), world.node(ALMATY), world.node(QINGDAO), world.gateway():
        node = await examined(node_doctor.examine, home_of(world.cities[ALMATY]), world.clock)
        gateway = await examined(gateway_doctor.examine, gateway_home(world), world.clock)
        profile = await examined(examine_profile, read_profile(str(world.profile())), None, world.clock)
    assert told(node) <= HERE, node.findings
    assert told(gateway) <= HERE, gateway.findings
    assert told(profile) <= HERE | {Code.KEY_UNENCRYPTED}, profile.findings
    asked = {found.about for found in gateway.findings if found.check == "peers"}
    assert asked == {"dir.alliance", "gw.alliance", ALMATY, QINGDAO}


async def test_a_profile_hears_of_its_gateway_and_its_key(world: World) -> None:
    async with serving(world):
        profile = read_profile(str(world.profile()))
        away = await examined(examine_profile, profile, None, world.clock)
        late = await examined(examine_profile, profile, None, at(world, 25 * 86_400))
        world.remove("gw.alliance")
        gone = await examined(examine_profile, profile, None, world.clock)
    assert finding(away, Code.PEER_UNREACHABLE).severity is Severity.ERROR
    assert Code.ACCESS_KEY_ENDING in told(late)
    assert "does not list gw.alliance" in finding(gone, Code.PEER_REFUSES).what


async def test_a_directory_service_is_looked_at_with_its_own_keys(world: World) -> None:
    async with serving(world):
        home = directory_home(world)
        well = await examined(directory_doctor.examine, home, world.clock)
        home.online_key.write_bytes(KeySigner.generate().to_pem(None))
        wrong = await examined(directory_doctor.examine, home, at(world, 14 * 60))
    assert told(well) <= HERE
    assert finding(wrong, Code.KEY_NOT_LISTED).check == "directory"
    assert finding(wrong, Code.ROLE_ENDING).about == "timestamp"
    stopped = await examined(directory_doctor.examine, home, world.clock)
    assert Code.NOT_SERVING in told(stopped, Severity.WARNING)


async def test_a_damaged_root_is_one_finding_of_a_profile_an_office_and_the_service_too(
    world: World, tmp_path: Path
) -> None:
    async with serving(world), world.gateway():
        profile = read_profile(str(world.profile()))
        office = make_office(tmp_path / "office", FEDERATION, world.board.service.address, world.board.root)
        home = directory_home(world)
        for folder in (profile.directory, office.home / "directory", home.repository):
            (folder / "root.json").write_bytes(world.board.root[:-100])
        for exam in (
            await examined(examine_profile, profile, None, world.clock),
            await examined(examine_office, office, None, world.clock),
            await examined(directory_doctor.examine, home, world.clock),
        ):
            assert told(exam, Severity.ERROR) == {Code.ROOT_DAMAGED}, exam.findings
            assert finding(exam, Code.ROOT_DAMAGED).about.endswith("root.json")


async def test_an_office_is_told_which_key_is_for_what_and_what_ends(world: World, tmp_path: Path) -> None:
    async with serving(world):
        office = make_office(tmp_path / "office", FEDERATION, world.board.service.address, world.board.root)
        secret = tmp_path / "secret"
        create_file(secret, b"correct horse\n", 0o600)
        create_file(office.home / "registrar.key", world.board.registrar.to_pem(b"correct horse"), 0o600)
        create_file(office.home / "old.key", KeySigner.generate().to_pem(None), 0o600)
        exam = await examined(examine_office, office, secret, world.clock)
        late = await examined(examine_office, office, secret, at(world, 61 * 86_400))
    assert any("registrar.key signs for registrar" in each.what for each in exam.findings)
    assert finding(exam, Code.KEY_WITHOUT_ROLE).about == str(office.home / "old.key")
    assert told(exam, Severity.ERROR) == set()
    assert Code.PARTNERS_ENDING in told(late)
    assert "registrar" in {each.about for each in late.findings if each.code is Code.ROLE_ENDING}


# The commands


def typed(*argv: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(BIN / argv[0]), *argv[1:]],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    return done.returncode, done.stdout, done.stderr


async def test_the_commands_end_with_0_or_with_1_and_tell_the_same_as_json(world: World, tmp_path: Path) -> None:
    async with serving(world), world.node(ALMATY), world.gateway():
        home, gateway = home_of(world.cities[ALMATY]), gateway_home(world)
        file = home.path / "node.toml"
        text = file.read_text().replace("127.0.0.1:1", home.settings.address)
        file.write_text(text.replace("localhost:1", home.settings.directory))
        facts = gateway.settings.model_dump(include={"name", "federation", "listen", "directory"})
        create_file(gateway.path / "gateway.toml", toml(facts))
        profile = world.profile()
        office = make_office(tmp_path / "office", FEDERATION, world.board.service.address, world.board.root)
        service = directory_home(world)
        facts = service.settings.model_dump(include={"name", "federation", "listen"})
        create_file(service.path / "directory.toml", toml(facts))
        commands = {
            ALMATY: ("cimfed-node", "doctor", "--home", str(home.path)),
            "gw.alliance": ("cimfed-gateway", "doctor", "--home", str(gateway.path)),
            "dir.alliance": ("cimfed-gateway", "directory", "doctor", "--home", str(service.path)),
            "inst.tsinghua": ("cimfed", "doctor", "--profile", str(profile)),
            str(office.home): ("cimfed", "doctor", "--home", str(office.home)),
        }
        for party, command in commands.items():
            code, out, err = await asyncio.to_thread(typed, *command, "--json")
            said = json.loads(out)
            assert (code, err, said["errors"]) == (0, "", 0), said
            assert (said["schema"], said["party"]) == ("cimfed/doctor/v1", party)
            assert len(said["findings"]) > 5
        code, out, err = await asyncio.to_thread(typed, *commands[ALMATY])
        assert (code, err) == (0, "")
        assert f"{ALMATY}: no errors" in out.splitlines()[-1]
        (home.keys / "node.key").chmod(0o644)
        Folder(tmp_path / "false").put("metadata/timestamp.json", b"{}")
        file.write_text(f'mirrors = ["{tmp_path / "false"}"]\n{file.read_text()}')
        code, out, err = await asyncio.to_thread(typed, *commands[ALMATY])
        assert (code, err) == (1, "")
        assert "error    keys      key_unusable: " in out
        code, out, _ = await asyncio.to_thread(typed, *commands[ALMATY], "--json")
        assert (code, json.loads(out)["errors"]) == (1, 2)


def test_what_is_no_home_is_no_finding(tmp_path: Path) -> None:
    assert typed("cimfed-node", "doctor", "--home", str(tmp_path))[0] == 3
    assert typed("cimfed", "doctor", "--home", str(tmp_path))[0] == 3
    assert typed("cimfed", "doctor", "--home", str(tmp_path), "--profile", "sco")[0] == 2
