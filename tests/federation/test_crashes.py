"""kill -9 at any point of an import, activation, rollback or prune: the old state or the new one, and no orphans.

The commands are those of the program, in a process that has loaded it already. It is killed after a time that is drawn,
or, since most of the time goes where nothing is changed, by itself just before the n-th step that changes a file.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cimfed_node.ingest.snapshot import ids_on_disk, read_snapshot
from cimfed_node.operate import clear_away
from cimfed_node.tables.publication import active_grants, active_policy, current_snapshots, known_snapshots, views
from tests.federation.world import City, World

CHILD = """
import atexit, json, os, signal, sys
import cimfed_node.cli as program
order = json.loads(sys.stdin.readline())
seen = 0
def step(event, arguments):
    global seen
    changes = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod")
    if event == "open" and isinstance(arguments[2], int):
        changes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    path = str(arguments[0]) if changes else ""
    if changes and (not path.startswith("/") or path.startswith(order["home"])):
        seen += 1
        if seen == order["step"]:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(step)
atexit.register(lambda: print(seen))
print("begun", flush=True)
sys.argv = ["cimfed-node", *order["argv"]]
program.main()
"""
FILES = 4
ROWS = 200
GRANT = """
  - {id: all, subject: {country: [CN]}, purpose: [research], collection: admin_unit, columns: {id: exact%s}}
"""


@dataclass(frozen=True)
class State:
    """What is in force: the version of the policy and which of the files."""

    version: int
    file: int


class Child:
    """A process that has loaded the program and waits for its words."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "COLUMNS": "200"},
        )

    def run(self, *argv: str, step: int = 0, after: float | None = None) -> tuple[int, str, str]:
        """Exit code, output and errors; killed before a step, or ``after`` seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"home": self._home, "step": step, "argv": [*argv, "--home", self._home]}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        self._process.stdout.readline()
        try:
            said = self._process.communicate(timeout=60 if after is None else after)
        except subprocess.TimeoutExpired:
            self._process.kill()
            said = self._process.communicate()
        return self._process.returncode, *said

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


class Crashes:
    """One node, and rounds of a command that is killed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.drawn = random.Random(seed)
        self.world = World(folder)
        self.city = self.world.add_city("kz.almaty")
        self.home = self.city.home
        self.folder = folder
        self.files = [self._file(number) for number in range(FILES)]
        self.child = Child(str(self.home.path))
        self.steps: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.came: Counter[str] = Counter()
        self.known: dict[str, int] = {}
        self.state = State(0, 0)

    def _file(self, number: int) -> Path:
        def ward(at: int) -> dict[str, object]:
            west, south = 76.5 + at % 20 / 100, 43.1 + at // 20 / 100
            ring = [[west, south], [west + 0.01, south], [west + 0.01, south + 0.01], [west, south]]
            return {
                "type": "Feature",
                "id": f"{number}-{at}",
                "properties": {"name": f"Ward {at}"},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }

        path = self.folder / f"{number}.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [ward(at) for at in range(ROWS)]}))
        return path

    def sign(self) -> Path:
        """The next version; odd ones give names."""
        version = self.city.version + 1
        path = self.folder / f"{version}.policy.json"
        path.write_bytes(self.city.sign(GRANT % (", name: exact" if version % 2 else ""), version=version))
        return path

    def words(self, act: str, file: int) -> list[str]:
        if act == "import":
            return ["import", str(self.files[file]), "--collection", "admin_unit"]
        if act == "activate":
            return ["activate", str(self.sign())]
        if act == "rollback":
            return [
                "snapshots",
                "rollback",
                "--yes",
                "admin_unit",
                next(id for id, of in self.known.items() if of == file),
            ]
        return ["snapshots", "prune", "--keep", "0", "--yes"]

    def next_child(self) -> Child:
        """The one that is ready, while another gets ready."""
        ready, self.child = self.child, Child(str(self.home.path))
        return ready

    def whole(self, act: str, file: int) -> None:
        """A command that nobody kills: its steps and its time."""
        begun = time.monotonic()
        code, said, errors = self.next_child().run(*self.words(act, file))
        assert code == 0, errors
        self.steps[act] = int(said.splitlines()[-1])
        self.seconds[act] = time.monotonic() - begun
        self.state = self.found()

    def round(self) -> None:
        others = {self.known[id] for id in ids_on_disk(self.home.snapshots)} - {self.state.file}
        act = self.drawn.choice(["import", "activate", *(["rollback", "prune", "prune"] if others else ["import"])])
        file = self.state.file
        if act == "import":
            file = self.drawn.choice([number for number in range(FILES) if number != file])
        elif act == "rollback":
            file = self.drawn.choice(sorted(others))
        words = self.words(act, file)
        before, after = self.state, replace(self.state, file=file)
        if act == "activate":
            after = replace(after, version=self.city.version)
        disk = ids_on_disk(self.home.snapshots)
        if self.drawn.random() < 0.6:
            code, _, errors = self.next_child().run(*words, step=self.drawn.randint(1, self.steps[act]))
        else:
            code, _, errors = self.next_child().run(*words, after=self.drawn.uniform(0, 1.1 * self.seconds[act]))
        assert code in (0, -9), errors
        self.state = self.found()
        assert self.state in ((after,) if code == 0 else (before, after)), (act, before, after)
        now = ids_on_disk(self.home.snapshots)
        if act == "prune":
            assert now <= disk
            assert code != 0 or {self.known[id] for id in now} == {self.state.file}
        else:
            assert disk <= now
            assert {self.known[id] for id in now - disk} <= {after.file}
        self.came[f"{act}: {'ended' if code == 0 else 'old' if self.state == before else 'new'}"] += 1

    def found(self) -> State:
        """What is in force, all of it whole: snapshots by their hashes, views by what they give."""
        for id in ids_on_disk(self.home.snapshots):
            snapshot = read_snapshot(self.home.snapshots / id, verify=True)
            ids = pq.read_table(snapshot.path)["id"].to_pylist()
            self.known[id] = int(ids[0].partition("-")[0])
            assert set(ids) == {f"{self.known[id]}-{at}" for at in range(ROWS)}
        with self.city.control() as control, control.reading() as connection:
            policy = active_policy(connection)
            current = current_snapshots(connection)["admin_unit"]
            (grant,) = active_grants(connection)
            view = views(connection, self.home.place)[grant.view]
        assert policy is not None
        state = State(policy.version, self.known[current.id])
        rows = pq.read_table(view.source)
        assert rows.column_names == ["city", "id", *(["name"] if policy.version % 2 else [])]
        assert set(rows["id"].to_pylist()) == {f"{state.file}-{at}" for at in range(ROWS)}
        return state

    async def opens(self) -> None:
        async with self.world.node("kz.almaty"):
            pass

    def next_command(self) -> None:
        """One of those that sweep; it changes nothing that is in force."""
        with self.city.control() as control:
            publishing = self.city.publisher(control)
            match self.drawn.randrange(4):
                case 0:
                    clear_away(self.home)
                case 1:
                    publishing.tidy()
                case 2:
                    publishing.activate(self.home.policy_file(self.state.version).read_bytes(), "again")
                case 3:
                    with control.reading() as connection:
                        current = current_snapshots(connection)["admin_unit"]
                    publishing.adopt(read_snapshot(self.home.snapshots / current.id))
        assert self.found() == self.state
        self.no_orphans(self.city)

    @staticmethod
    def no_orphans(city: City) -> None:
        home = city.home
        with city.control() as control, control.reading() as connection:
            standing = set(views(connection, home.place))
            recorded = set(known_snapshots(connection))
        assert {path.name for path in home.views.iterdir()} == {
            f"{view}.{end}" for view in standing for end in ("parquet", "json")
        }
        assert {path.name for path in home.snapshots.iterdir()} == ids_on_disk(home.snapshots)
        assert recorded <= ids_on_disk(home.snapshots)
        assert not list(home.scratch.iterdir())
        assert not [path for at in (home.path, home.policies) for path in at.glob(".*")]


async def rounds(folder: Path, number: int, seed: int) -> None:
    crashes = Crashes(folder, seed)
    try:
        code, _, errors = crashes.next_child().run(*crashes.words("import", 0))
        assert code == 0, errors
        crashes.whole("activate", 0)
        crashes.whole("import", 1)
        crashes.whole("rollback", 0)
        crashes.whole("prune", 0)
        for _ in range(number):
            await asyncio.to_thread(crashes.round)
            await crashes.opens()
            crashes.next_command()
    finally:
        crashes.child.end()
        print(f"seed {seed}:", dict(sorted(crashes.came.items())), crashes.steps)
    assert sum(count for what, count in crashes.came.items() if not what.endswith("ended")) >= number // 4


async def test_a_killed_command_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    await rounds(tmp_path, 20, random.SystemRandom().randrange(1_000_000))


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
async def test_many_killed_commands_leave_the_old_state_or_the_new_one(tmp_path: Path, seed: int) -> None:
    await rounds(tmp_path, 40, seed)
