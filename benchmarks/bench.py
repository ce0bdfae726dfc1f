"""`scripts/bench`: this project's works beside their peers, interleaved, medians, one JSON line for each.

The alliance is a real one: gateway and three nodes as processes on loopback, mTLS, signatures, policies, logs. The
peers read the very view files that the nodes serve. Ratios carry over to other machines, absolute times do not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.flight as flight

from alliance import GATEWAY, Alliance, City, running
from flight_server import plain_engine
from scenarios import EXTENTS, policy

ROOT = Path(__file__).resolve().parent.parent
PARTNER = "inst.tsinghua"
COLUMNS = ("city", "id", "function", "height", "year_built", "district", "geometry_lod0")
GRANT = """\
  - id: everything
    subject: {org: [inst.tsinghua]}
    purpose: [benchmark]
    collection: building
    columns: {id: exact, function: exact, height: exact, year_built: exact, district: exact}
    geometry: {max_lod: 0}
"""


@dataclass(frozen=True)
class Work:
    """``rate``: the figure is rows a second and must reach ``reach`` of the peer's; else seconds, at most that."""

    name: str
    ours: Callable[[], int]
    peer: Callable[[], int]
    reach: float
    rate: bool

    def measure(self, rounds: int) -> dict[str, object]:
        for warm in (self.ours, self.peer):
            warm()
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        counts = set()
        for _ in range(rounds):
            for side, run in (("ours", self.ours), ("peer", self.peer)):
                begin = time.perf_counter()
                counts.add(run())
                times[side].append(time.perf_counter() - begin)
        if len(counts) != 1:
            raise SystemExit(f"{self.name}: the two sides count differently: {counts}")
        rows = counts.pop()
        ours, peer = (statistics.median(times[side]) for side in ("ours", "peer"))
        if self.rate:
            ours, peer = rows / ours, rows / peer
        ratio = ours / peer
        return {
            "work": self.name,
            "ours": round(ours, 4),
            "peer": round(peer, 4),
            "ratio": round(ratio, 3),
            "reach": self.reach,
            "holds": ratio >= self.reach if self.rate else ratio <= self.reach,
        }


def build(folder: Path, buildings: int) -> Alliance:
    """The alliance, its data imported and its policies active; nothing runs yet."""
    alliance = Alliance(folder)
    alliance.found()
    for number, (name, extent) in enumerate(EXTENTS.items()):
        count = buildings // 3 + (1 if number < buildings % 3 else 0)
        file = folder / f"{name}.city.jsonl"
        subprocess.run(
            [
                sys.executable, str(ROOT / "scripts/make_city"), name, "--buildings", str(count),
                "--out", str(file), "--format", "cityjsonseq",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        imports = (str(file), "--collection", "building", "--mapping", str(ROOT / f"scripts/mappings/{name}.yaml"))
        alliance.join(City(name, (imports,), policy(name, {"building": extent}, GRANT)))
        file.unlink()
    alliance.admit(PARTNER, "CN", "researcher")
    return alliance


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true", help="100,000 buildings, fewer rounds")
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    buildings, rounds = (100_000, 5) if arguments.quick else (1_000_000, 7)
    rounds = arguments.rounds or rounds

    folder = Path(tempfile.mkdtemp(prefix="cimfed-bench-"))
    try:
        begin = time.perf_counter()
        alliance = build(folder, buildings)
        print(f"{buildings:,} buildings in three cities, {time.perf_counter() - begin:.0f} s", file=sys.stderr)
        with running(alliance, [*EXTENTS, GATEWAY]):
            return run(alliance, rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(alliance: Alliance, rounds: int) -> int:
    import cimfed

    os.environ.update(alliance.environment(PARTNER))
    views = [str(path) for name in EXTENTS for path in sorted((alliance.home(name) / "views").glob("*.parquet"))]
    sources = "read_parquet([" + ", ".join(f"'{view}'" for view in views) + "])"
    engine = plain_engine()
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "benchmarks/flight_server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    holds = True
    try:
        peer = flight.connect(f"grpc://127.0.0.1:{int(server.stdout.readline())}")
        with cimfed.connect("sco") as fed:

            def our_read() -> int:
                answer = fed.read("building", properties=list(COLUMNS), purpose="benchmark", require="all")
                return sum(batch.num_rows for batch in answer)

            def their_read() -> int:
                ticket = flight.Ticket(f"SELECT {', '.join(COLUMNS)} FROM {sources}".encode())
                return sum(chunk.data.num_rows for chunk in peer.do_get(ticket))

            def our_groups() -> int:
                measures = ["count", "mean:height", "sum:height"]
                return fed.aggregate(
                    "building", measures=measures, by=["function"], purpose="benchmark"
                ).to_table().num_rows  # fmt: skip

            def their_groups() -> int:
                return engine.execute(
                    f"SELECT function, count(*), avg(height), sum(height) FROM {sources} GROUP BY function"
                ).to_arrow_table().num_rows  # fmt: skip

            for work in (
                Work("relayed read beside Arrow Flight, rows/s", our_read, their_read, 0.4, rate=True),
                Work("group-by beside one DuckDB, s", our_groups, their_groups, 2.0, rate=False),
            ):
                figures = work.measure(rounds)
                holds = holds and bool(figures["holds"])
                print(json.dumps(figures), flush=True)
    finally:
        server.stdin.close()
        server.wait(10)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
