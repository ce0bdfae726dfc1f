"""kill -9 at any step of an update or an append: the snapshot before or the one after, whole, and no orphans."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cimfed_node.ingest.snapshot import ids_on_disk, read_snapshot
from cimfed_node.tables.publication import active_grants, current_snapshots, views
from tests.federation.test_crashes import Child, Crashes
from tests.federation.world import World

GRANT = """
  - id: all
    subject: {country: [CN]}
    purpose: [research]
    collection: observation
    columns: {id: exact, value: exact}
"""
Rows = dict[str, int]


class Followed:
    """One node whose readings are appended to and updated."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.drawn = random.Random(seed)
        self.world = World(folder)
        self.city = self.world.add_city("kz.almaty")
        self.file = folder / "readings.csv"
        self.child = Child(str(self.city.home.path))
        self.number = 0
        self.rows: Rows = {}
        self.rows = self.run("import", self.new(5), 0)[0]
        self.city.activate(GRANT)

    def new(self, count: int) -> Rows:
        self.number += count
        return {f"r{at}": self.drawn.randrange(1000) for at in range(self.number - count, self.number)}

    def run(self, act: str, rows: Rows, step: int) -> tuple[Rows, int]:
        """What is in force after it, and how many steps it took; killed before ``step``."""
        lines = (f"{id},2026-01-01T00:00Z,{value}\n" for id, value in rows.items())
        self.file.write_text("id,time,value\n" + "".join(lines))
        ready, self.child = self.child, Child(str(self.city.home.path))
        words = ["import", str(self.file), "--collection", "observation", *([] if act == "import" else [f"--{act}"])]
        code, said, errors = ready.run(*words, step=step)
        assert code in ((0, -9) if step else (0,)), errors
        return self.rows | rows, 0 if code else int(said.splitlines()[-1])

    def follow(self, act: str, step: int = 0) -> int:
        rows = self.new(3) | ({id: -1 for id in self.drawn.sample(sorted(self.rows), 2)} if act == "update" else {})
        after, steps = self.run(act, rows, step)
        with self.city.control() as control:
            self.city.publisher(control).tidy()
        found = self.found()
        assert found in ((self.rows, after) if step else (after,))
        self.rows = found
        return steps

    def found(self) -> Rows:
        """What is in force, in the snapshot and in the view, every snapshot being whole."""
        home = self.city.home
        held = {id: read_snapshot(home.snapshots / id, verify=True) for id in ids_on_disk(home.snapshots)}
        with self.city.control() as control, control.reading() as connection:
            current = held[current_snapshots(connection)["observation"].id]
            (grant,) = active_grants(connection)
            view = views(connection, home.place)[grant.view]
        rows = [row for path in current.paths for row in pq.read_table(path).to_pylist()]
        found = {row["id"]: int(row["value"]) for row in rows}
        assert len(rows) == len(found) == current.rows
        assert {row["id"]: int(row["value"]) for row in pq.read_table(view.source).to_pylist()} == found
        Crashes.no_orphans(self.city)
        return found


def rounds(folder: Path, seed: int, number: int | None) -> None:
    followed = Followed(folder, seed)
    try:
        for act in ("append", "update"):
            wanted = range(1, followed.follow(act) + 1)
            for step in wanted if number is None else sorted(followed.drawn.sample(wanted, number)):
                followed.follow(act, step)
    finally:
        followed.child.end()
        print(f"seed {seed}: {len(followed.rows)} rows")


def test_a_killed_follower_leaves_the_old_rows_or_the_new_ones(tmp_path: Path) -> None:
    rounds(tmp_path, random.SystemRandom().randrange(1_000_000), 4)


@pytest.mark.full
def test_one_killed_at_any_step_leaves_the_old_rows_or_the_new_ones(tmp_path: Path) -> None:
    rounds(tmp_path, 1, None)
