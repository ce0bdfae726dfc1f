"""The operator's commands, typed as an operator types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cimfed_node.config import Home
from cimfed_node.tables import Control
from tests.federation.world import City, World

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
        "--federation", "sco", "--address", "127.0.0.1:1", "--registrar-key", str(world.registrar_pub),
        "--steward-key", str(pub), "--directory", str(world.file),
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
    assert "in force already" in run("activate", str(policy), "--home", home)
    shown = run("collections", "--home", home)
    assert "admin_unit" in shown
    assert "69.2000, 41.3000, 69.2300, 41.3100" in shown

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
