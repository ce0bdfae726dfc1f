"""kill -9 at any step of an erasure: it is not begun, or the next command completes it, whichever that is."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cimfed_node.ingest.snapshot import ERASING, PLAN, ids_on_disk, read_snapshot
from cimfed_node.operate import clear_away
from cimfed_node.tables.acts import acts, erased_digests
from cimfed_node.tables.publication import active_grants, current_snapshots, known_snapshots, views
from tests.federation.test_crashes import GRANT, Child, Crashes
from tests.federation.world import City, World

ROWS = 80


class Erasures:
    """One node with three snapshots of which each has all objects that were not erased."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.drawn = random.Random(seed)
        self.world = World(folder)
        self.city: City = self.world.add_city("kz.almaty")
        self.left = [f"ward-{number}" for number in range(ROWS)]
        self.done = 0
        self.child = Child(str(self.city.home.path))
        for number in range(3):
            path = folder / f"{number}.geojson"
            made = [
                {"type": "Feature", "id": id, "properties": {"name": f"{id} {number}"}, "geometry": None}
                for id in self.left
            ]
            path.write_text(json.dumps({"type": "FeatureCollection", "features": made}))
            self.run("import", str(path), "--collection", "admin_unit")
            if number == 1:
                self.city.activate(GRANT % ", name: exact")

    def run(self, *argv: str, step: int = 0) -> tuple[int, str, str]:
        ready, self.child = self.child, Child(str(self.city.home.path))
        found = ready.run(*argv, step=step)
        assert found[0] in ((0, -9) if step else (0,)), found
        return found

    def erase(self, step: int = 0) -> tuple[int, int]:
        """Exit code, and the number of steps that it took."""
        id = self.left[self.drawn.randrange(len(self.left))]
        before = ids_on_disk(self.city.home.snapshots)
        code, said, _ = self.run(
            "snapshots", "erase", "--collection", "admin_unit", "--id", id, "--reason", "law", "--yes", step=step
        )
        begun = (self.city.home.snapshots / ERASING / PLAN).exists()
        if begun:
            assert code == -9
        self.next_command()
        after = ids_on_disk(self.city.home.snapshots)
        if not before & after:
            self.left.remove(id)
            self.done += 1
        else:
            assert not begun
            assert before == after
            assert code == -9
        self.check()
        return code, 0 if code else int(said.splitlines()[-1])

    def next_command(self) -> None:
        match self.drawn.randrange(3):
            case 0:
                clear_away(self.city.home)
            case 1:
                with self.city.control() as control:
                    self.city.publisher(control).tidy()
            case 2:
                self.run("snapshots", "prune", "--keep", "9", "--yes")

    def check(self) -> None:
        home, expected = self.city.home, set(self.left)
        for id in ids_on_disk(home.snapshots):
            snapshot = read_snapshot(home.snapshots / id, verify=True)
            assert set(pq.read_table(snapshot.path)["id"].to_pylist()) == expected
            with pa.input_stream(str(snapshot.originals[0]), compression="zstd") as stream:
                lines = [json.loads(line) for line in stream.read().splitlines()]
            assert {line["object"]["id"] for line in lines if "ids" in line} == expected
        with self.city.control() as control, control.reading() as connection:
            assert set(known_snapshots(connection)) == ids_on_disk(home.snapshots)
            assert len(known_snapshots(connection)) == 3
            assert current_snapshots(connection)["admin_unit"].rows == len(expected)
            (grant,) = active_grants(connection)
            view = views(connection, home.place)[grant.view]
            assert [act.act for act in acts(connection)].count("erase") == self.done
            assert len(erased_digests(connection)) == self.done
        table = pq.read_table(view.source)
        assert set(table["id"].to_pylist()) == expected
        assert {dict(name)["und"].split()[1] for name in table["name"].to_pylist()} == {"2"}
        Crashes.no_orphans(self.city)


def rounds(folder: Path, seed: int, number: int | None) -> None:
    """``number``: of steps that are drawn; None: every one."""
    erasures = Erasures(folder, seed)
    try:
        code, steps = erasures.erase()
        assert code == 0
        wanted = range(1, steps + 1)
        for step in wanted if number is None else sorted(erasures.drawn.sample(wanted, number)):
            erasures.erase(step)
    finally:
        erasures.child.end()
        print(f"seed {seed}: {steps} steps, {erasures.done} erased")


def test_a_killed_erasure_is_not_begun_or_completed(tmp_path: Path) -> None:
    rounds(tmp_path, random.SystemRandom().randrange(1_000_000), 8)


@pytest.mark.full
def test_an_erasure_killed_at_any_step_is_not_begun_or_completed(tmp_path: Path) -> None:
    rounds(tmp_path, 1, None)
