"""The gateway's commands, typed as its operator types them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.federation.world import World

COMMAND = str(Path(sys.executable).parent / "cimfed-gateway")


def run(*argv: str, expect: int = 0) -> str:
    done = subprocess.run(
        [COMMAND, *argv],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "COLUMNS": "200"},
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def init(world: World, expect: int = 0, **change: object) -> str:
    options = {
        "federation": "sco", "address": "gw.example:8443", "root": world.root,
        "directory": world.board.service.address, **{name.replace("_", "-"): value for name, value in change.items()},
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return run("init", "gw.alliance", "--home", str(world.folder / "gw"), *words, expect=expect)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "foo"}, "bad_config: 'foo' is not an address (at --address)"),
        ({"listen": "foo:99999"}, "is not host:port (at --listen)"),
        ({"directory": "foo"}, "bad_config: 'foo' is not an address (at --directory)"),
        ({"root": __file__}, "bad_directory: this is no root of a directory"),
        ({"root": "/no/root.json"}, "does not exist"),
    ],
)
def test_init_refuses_what_is_wrong_and_leaves_nothing(world: World, change: dict[str, str], said: str) -> None:
    assert said in init(world, expect=2, **change)
    assert not (world.folder / "gw").exists()


def test_it_does_not_serve_before_it_has_a_directory_of_its_own_federation(world: World) -> None:
    init(world, federation="other", listen="127.0.0.1:0")
    serve = "serve", "--home", str(world.folder / "gw")
    assert "the directory was never fetched here" in run(*serve, expect=7)
    with (world.folder / "gw" / "gateway.toml").open("a") as file:
        file.write(f'mirrors = ["{world.files}"]\n')
    assert "this is the directory of sco, not of other" in run(*serve, expect=7)


def test_a_typo_in_the_settings_is_told_with_the_word_that_was_meant(world: World) -> None:
    init(world)
    with (world.folder / "gw" / "gateway.toml").open("a") as file:
        file.write("city_tme = 5\n")
    assert "Did you mean city_time?" in run("serve", "--home", str(world.folder / "gw"), expect=2)


def test_the_version_is_shown() -> None:
    assert run("--version") == f"cimfed-gateway {version('cimfed-gateway')}\n"
