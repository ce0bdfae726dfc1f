"""A node's home: its settings, its modes, and who may open what."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cimfed.errors import BadConfig, Conflict, NotFound
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, Federation
from cimfed.rpc import clock
from cimfed.trust.card import parse_card
from cimfed.trust.keys import KeySigner
from cimfed_node.config import FILE, Home
from cimfed_node.serve import Keys, drop_to
from cimfed_node.setup import Plan, make_home
from tests.board import Board
from tests.lacking import root

BOARD = Board("sco", 1_700_000_000_000_000)
STEWARD = KeySigner.generate().public
ROOT = os.geteuid() == 0


def plan(root: bytes = BOARD.root, **changes: str) -> Plan:
    return Plan(
        city=CityName("kz.almaty"),
        federation=Federation("sco"),
        address=changes.pop("address", "node.example:8443"),
        root=root,
        steward_keys=(STEWARD,),
        directory="dir.example:5000",
        **changes,
    )


def test_init_makes_a_home_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "home"
    made, card = make_home(path, plan(), 1_700_000_000_000_000)
    home = Home.load(path)
    assert home.settings == made.settings
    assert (home.city, home.federation, home.settings.listen) == ("kz.almaty", "sco", "0.0.0.0:8443")
    assert (home.steward_keys, home.settings.directory, home.limits) == ((STEWARD,), "dir.example:5000", LIMITS)
    assert (home.directory / "root.json").read_bytes() == BOARD.root
    read = parse_card((path / "card.json").read_bytes())
    assert (read.name, read.address, read.stewards, read.fingerprint) == (
        "kz.almaty",
        "node.example:8443",
        (STEWARD,),
        card.fingerprint,
    )
    assert Keys.load(home).signer.public == read.keys[0]
    assert len(home.secret.read_bytes()) == 32


def test_init_never_goes_over_a_node(tmp_path: Path) -> None:
    make_home(tmp_path / "home", plan(), 1)
    before = {path: path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()}
    with pytest.raises(Conflict):
        make_home(tmp_path / "home", plan(), 1)
    assert {path: path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()} == before


def test_a_node_on_a_loopback_listens_there_alone(tmp_path: Path) -> None:
    made, _ = make_home(tmp_path / "home", plan(address="127.0.0.1:9"), 1)
    assert made.settings.listen == "127.0.0.1:9"


def test_keys_and_snapshots_are_the_operators_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        home, _ = make_home(tmp_path / "home", plan(), 1)
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in home.path.rglob("*")}
    assert modes[home.keys] == modes[home.snapshots] == 0o700
    assert all(mode == 0o600 for path, mode in modes.items() if path.parent == home.keys and path.suffix != ".pem")
    assert modes[home.database] == 0o660
    assert all(mode & 0o007 == 0 for path, mode in modes.items() if path.is_dir())


def test_a_key_that_others_may_read_is_not_served_with(tmp_path: Path) -> None:
    home, _ = make_home(tmp_path / "home", plan(), 1)
    (home.keys / "node.key").chmod(0o644)
    with pytest.raises(BadConfig, match="others may read"):
        Keys.load(home)


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('colour = "red"', "colour"),
        ("limits = {groups = 2000000}", "limits"),
        ("limits = {flux = 1}", "limits"),
        ("engine = {memory = 1}", "engine.memory"),
        ("steward_keys = []", ""),
    ],
)
def test_settings_are_understood_or_refused_at_their_place(tmp_path: Path, line: str, place: str) -> None:
    make_home(tmp_path / "home", plan(), 1)
    with (tmp_path / "home" / FILE).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BadConfig) as error:
        Home.load(tmp_path / "home")
    assert place in (error.value.place or "")
    with pytest.raises(NotFound):
        Home.load(tmp_path)


def test_limits_may_be_set_lower(tmp_path: Path) -> None:
    make_home(tmp_path / "home", plan(), 1)
    with (tmp_path / "home" / FILE).open("a") as file:
        file.write("limits = {concurrent_per_partner = 2, statement_time = 1.5}\n")
    home = Home.load(tmp_path / "home")
    assert (home.limits.concurrent_per_partner, home.limits.statement_time) == (2, 1.5)
    assert isinstance(home.limits.concurrent_per_partner, int)


def test_a_variable_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_home(tmp_path / "home", plan(), 1)
    monkeypatch.setenv("CIMFED_NODE_ENGINE", "much")
    with pytest.raises(BadConfig, match="environment"):
        Home.load(tmp_path / "home")


# The service's own user


@pytest.mark.skipif(ROOT, reason="root may become anybody")
def test_another_user_than_the_services_is_refused(tmp_path: Path) -> None:
    home, _ = make_home(tmp_path / "home", plan(), 1)
    settings = home.settings.model_copy(update={"service_user": "root"})
    with pytest.raises(BadConfig, match="is to be served as root"):
        drop_to(Home(home.path, settings))


def test_a_user_that_this_host_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="no user"):
        make_home(tmp_path / "home", plan(service_user="nobody-of-this-name"), 1)


AS_SERVICE = """
import sys
from pathlib import Path
from cimfed.rpc import clock
from cimfed.trust.directory.follow import Follower
from cimfed.trust.directory.mirrors import Always, Folder
from cimfed_node.config import Home
from cimfed_node.serve import Keys, drop_to
from cimfed_node.tables import Control
from cimfed_node.stores.duckdb import DuckDBStore

home = Home.load(Path(sys.argv[1]))
Keys.load(home)
"".encode("utf-16be")  # loads the codec while Python's own files can still be read
assert drop_to(home) == ""
refused = []
for path in (home.snapshots / "x" / "building.parquet", home.keys / "node.key", home.secret):
    try:
        open(path, "rb")
    except PermissionError:
        refused.append(path.name)
try:
    (home.views / "new").touch()
except PermissionError:
    refused.append("views")
control = Control.open(home.database)
with control.writing() as connection:
    connection.exec_driver_sql("UPDATE clock SET mark = 7")
store = DuckDBStore(home.views)
store.self_test()
directories = Follower(home.directory, home.federation, Always(Folder(Path(sys.argv[2]))), clock.now)
assert directories.refresh().version == 1
print(*refused, (home.views / "a").read_text())
"""


def test_the_service_writes_its_log_and_its_directory_and_opens_neither_snapshots_nor_keys() -> None:
    root()
    # pytest's own folders let nobody in
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        folder.chmod(0o755)
        board = Board("sco", clock.now())
        home, _ = make_home(folder / "home", plan(root=board.root, service_user="nobody"), 1)
        for path, content in board.files.items():
            (folder / "mirror" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "mirror" / path).write_bytes(content)
        command = [sys.executable, "-c", AS_SERVICE, str(home.path), str(folder / "mirror")]
        (home.snapshots / "x").mkdir()
        (home.snapshots / "x" / "building.parquet").write_bytes(b"rows")
        (home.views / "a").write_text("a view")
        (home.views / "a").chmod(0o640)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "building.parquet node.key city.secret views a view", done.stderr
        # The operator's next transaction finds a database that is still shared.
        assert home.database.stat().st_mode & 0o777 == 0o660
        home.snapshots.chmod(0o755)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "can open the snapshots" in done.stderr
    finally:
        shutil.rmtree(folder)
