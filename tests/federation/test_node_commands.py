"""The operator's commands, typed as an operator types them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cimfed.errors import BadConfig
from cimfed.rpc.settings import check_bind
from cimfed.trust.keys import KeySigner
from cimfed_node.config import FILE, Home
from cimfed_node.tables import Control
from tests.federation.commands import eventually
from tests.federation.world import City, World
from tests.ingest.writing import write

COMMAND = str(Path(sys.executable).parent / "cimfed-node")
GRANTS = """
  - id: wards
    subject: {country: [CN]}
    purpose: [research]
    collection: admin_unit
    columns: {id: exact, name: exact}
    geometry: {max_lod: 0}
"""


def run(*argv: str, expect: int = 0, **environment: str) -> str:
    """What a command prints, both ways; its exit code must be the expected one."""
    done = subprocess.run(
        [COMMAND, *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "COLUMNS": "200", **environment},
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def wards(tmp_path: Path) -> Path:
    def ward(number: int) -> dict[str, object]:
        west = 69.2 + number / 100
        ring = [[west, 41.3], [west + 0.01, 41.3], [west + 0.01, 41.31], [west, 41.31], [west, 41.3]]
        return {
            "type": "Feature",
            "id": f"w{number}",
            "properties": {"name": f"Ward {number}", "flavour": "salt"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }

    path = tmp_path / "wards.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [ward(number) for number in range(3)]}))
    return path


def test_from_an_empty_folder_to_a_node_that_serves(tmp_path: Path, wards: Path) -> None:
    world = World(tmp_path)
    steward = world.add_city("ru.moscow")  # for its steward's key and a second member
    pub = tmp_path / "steward.pub"
    pub.write_text(steward.steward.public.text + "\n")
    home = str(tmp_path / "node")
    identity = [
        "--federation", "sco", "--address", "127.0.0.1:1", "--root", str(world.root),
        "--steward-key", str(pub), "--directory", world.board.service.address,
    ]  # fmt: skip
    said = run("init", "uz.tashkent", "--home", home, *identity)
    assert "Next:" in said
    assert "card.json" in said
    assert "already" in run("init", "uz.tashkent", "--home", home, *identity, expect=5)
    assert "no policy is active" in run("collections", CIMFED_NODE_HOME=home)

    dry = run("import", str(wards), "--collection", "admin_unit", "--home", home, "--dry-run")
    assert "Ward 0" in dry
    assert "flavour" in dry
    assert list(Path(home, "snapshots").iterdir()) == []
    said = run("import", str(wards), "--collection", "admin_unit", "--home", home, "--licence", "CC0-1.0")
    assert "3 rows" in said
    assert "no policy is active" in said

    city = City(world, world.cities["ru.moscow"].home, steward.steward)
    policy = tmp_path / "p.policy.json"
    policy.write_bytes(city.sign(GRANTS))
    assert "not of uz.tashkent" in run("activate", str(policy), "--home", home, expect=2)
    city.home = Home.load(Path(home))
    policy.write_bytes(city.sign(GRANTS))
    said = run("activate", str(policy), "--home", home)
    assert "version 2 is in force now" in said
    assert "wards" in said
    assert "│ 3    │ 3  │" in said  # all of all
    assert "in force already" in run("activate", str(policy), "--home", home)
    policy.write_bytes(city.sign(GRANTS.replace("geometry:", "rows: \"id = 'w7'\"\n    geometry:")))
    said = run("activate", str(policy), "--home", home)
    assert "│ 0    │ 3  │" in said
    assert "wards gives nothing" in said
    shown = run("collections", "--home", home)
    assert "admin_unit" in shown
    assert "69.2000, 41.3000, 69.2300, 41.3100" in shown

    with Path(home, FILE).open("a") as settings:
        settings.write(f'mirrors = ["{world.files}"]\n')
    ready = tmp_path / "ready"
    log = tmp_path / "serve.log"
    with log.open("wb") as file:
        node = subprocess.Popen(
            [COMMAND, "serve", "--home", home, "--port", "0", "--ready-file", str(ready)],
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
    try:
        assert node.stdout is not None
        line = node.stdout.readline()
        assert line.startswith("listening on 127.0.0.1:"), log.read_text()
        node.send_signal(signal.SIGTERM)
        assert node.wait(30) == 0
        assert ready.read_text().strip() == line.removeprefix("listening on ").strip()
    finally:
        node.kill()
        node.wait()
    if os.geteuid() == 0:
        assert "served as root" in log.read_text()
    Control.open(Path(home, "control", "control.sqlite")).close()


def test_a_node_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    assert "cimfed-node init" in run("collections", "--home", str(tmp_path), expect=3)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def init(world: World, *more: str, expect: int = 0, **change: object) -> str:
    """Makes ``node`` beside the world's directory; gives what was said."""
    pub = world.folder / "steward.pub"
    pub.write_text(KeySigner.generate().public.text + "\n")
    options = {
        "federation": "sco", "address": "node.example:8443", "root": world.root,
        "steward-key": pub, "directory": world.board.service.address,
        **{name.replace("_", "-"): value for name, value in change.items()},
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return run("init", "uz.tashkent", "--home", str(world.folder / "node"), *words, *more, expect=expect)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"address": "foo"}, "bad_config: 'foo' is not an address (at --address)"),
        ({"address": "foo:99999"}, "(at --address)"),
        ({"listen": "foo:99999"}, "bad_config: 'foo:99999' is not host:port (at --listen)"),
        ({"root": "steward.pub"}, "bad_directory: this is no root of a directory"),
        ({"root": "none.json"}, "does not exist"),
        ({"directory": "foo"}, "bad_config: 'foo' is not an address (at --directory)"),
        ({"steward_key": "none.pub"}, "does not exist"),
    ],
)
def test_init_refuses_what_is_wrong_and_leaves_nothing(world: World, change: dict[str, str], said: str) -> None:
    files = {name: world.folder / value if "." in value else value for name, value in change.items()}
    assert said in init(world, expect=2, **files)
    assert not (world.folder / "node").exists()


def test_it_does_not_serve_before_it_has_a_directory_of_its_own_federation(world: World) -> None:
    init(world, federation="other", listen="127.0.0.1:0")
    home = world.folder / "node"
    assert "the directory was never fetched here" in run("serve", "--home", str(home), expect=7)
    with (home / FILE).open("a") as file:
        file.write(f'mirrors = ["{world.files}"]\n')
    assert "this is the directory of sco, not of other" in run("serve", "--home", str(home), expect=7)


def test_a_typo_in_the_settings_is_told_with_the_word_that_was_meant(world: World) -> None:
    init(world)
    home = world.folder / "node"
    before = (home / "node.toml").read_text()
    for line, meant in (
        ('listn = "x"', "Did you mean listen? The words are federation, listen,"),
        ("engine = {memroy = 1}", "Did you mean memory? The words are memory, threads, workers"),
    ):
        (home / "node.toml").write_text(f"{before}{line}\n")
        assert meant in run("collections", "--home", str(home), expect=2)


def test_a_mapping_is_not_written_over(world: World, wards: Path) -> None:
    init(world)
    out = world.folder / "mapping.yaml"
    command = ("import", str(wards), "--collection", "admin_unit", "--home", str(world.folder / "node"))
    run(*command, "--write-mapping", str(out))
    out.write_text("mine")
    assert "already exists" in run(*command, "--write-mapping", str(out), expect=5)
    assert out.read_text() == "mine"


def test_an_import_holds_the_operators_lock_from_its_beginning(world: World, wards: Path, tmp_path: Path) -> None:
    """The import waits for a mapping from a pipe that nobody has written to yet: another one is refused meanwhile."""
    init(world)
    home = str(world.folder / "node")
    pipe = tmp_path / "mapping.yaml"
    os.mkfifo(pipe)
    slow = subprocess.Popen(
        [COMMAND, "import", str(wards), "--collection", "admin_unit", "--mapping", str(pipe), "--home", home],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def writer() -> int:
        """The pipe's end for writing, once somebody reads it."""
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            assert slow.poll() is None
            return -1

    handle = eventually(writer, lambda found: found >= 0)
    try:
        second = run("import", str(wards), "--collection", "admin_unit", "--home", home, expect=5)
        assert "another import or activation is running" in second
    finally:
        os.close(handle)
        slow.kill()
        slow.wait()
    assert "3 rows" in run("import", str(wards), "--collection", "admin_unit", "--home", home)


def test_a_policy_that_another_steward_signed_or_nobody_is_told_apart(world: World, tmp_path: Path) -> None:
    init(world)
    city = world.add_city("uz.tashkent")
    policy = tmp_path / "p.policy.json"
    policy.write_bytes(city.sign(GRANTS))
    said = run("activate", str(policy), "--home", str(world.folder / "node"), expect=4)
    assert str(policy) in said
    assert "Compare steward_keys in node.toml with steward.pub" in said
    plain = tmp_path / "policy.yaml"
    plain.write_text("format: cimfed/policy/v1\n")
    said = run("activate", str(plain), "--home", str(world.folder / "node"), expect=4)
    assert str(plain) in said
    assert "cimfed policy sign" in said


def test_a_port_in_use_is_one_line_with_the_systems_reason(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        init(world, "--listen", bind)
        said = run("serve", "--home", str(world.folder / "node"), expect=2).splitlines()
    assert said[-1] == f"error bad_config: cannot listen: Address already in use (at {bind})"
    assert not any(line.startswith("E0") for line in said)
    with pytest.raises(BadConfig, match="Cannot assign requested address"):
        check_bind("192.0.2.1:0")
    with pytest.raises(BadConfig, match="cannot listen"):
        check_bind("no.such.host.invalid:0")
    check_bind("127.0.0.1:0")
    check_bind("[::]:0")


def test_the_version_is_shown() -> None:
    assert run("--version") == f"cimfed-node {version('cimfed-node')}\n"


def test_layers_and_encodings_are_named_on_the_command_line(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add_city("ru.moscow")
    home = str(world.cities["ru.moscow"].home.path)
    point = {"type": "Point", "coordinates": [37.6, 55.7]}
    path = tmp_path / "город.gpkg"
    for layer, name in (("дома", "Дом"), ("районы", "Арбат")):
        made = [{"properties": {"nr": 1, "name": name}, "geometry": point}]
        write(path, made, "GPKG", layer=layer, append=path.exists())
    names = ["--collection", "admin_unit", "--home", home, "--id", "nr"]
    assert "Name one of them with --layer" in run("import", str(path), *names, expect=2)
    assert "Арбат" in run("import", str(path), *names, "--layer", "районы", "--dry-run")
    said = run("import", str(path), *names, "--layer", "районы")
    assert "1 rows" in said
    table = tmp_path / "районы.csv"
    table.write_bytes("nr;lon;lat;name\n1;37.6;55.7;Арбат\n".encode("cp1251"))
    names += ["--crs", "EPSG:4326"]
    assert "--encoding Windows-1251" in run("import", str(table), *names, "--dry-run", expect=2)
    assert "Арбат" in run("import", str(table), *names, "--encoding", "windows-1251", "--dry-run")
