"""`scripts/bench`: this project's works beside their peers, interleaved, medians, one JSON line for each.

The alliance is a real one: gateway and three nodes as processes on loopback, mTLS, signatures, policies, logs. The
peers read the very view files that the nodes serve, and must come to the same result. Ratios carry over to other
machines, absolute times do not.

Beside each line stands where our time went (standard error): milliseconds of processor time for one run, by process.
Where their sum, divided by the machine's cores, is about the time that the work took, the machine is the limit.
"""

from __future__ import annotations

import argparse
import contextlib
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
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.flight as flight

from alliance import GATEWAY, Alliance, City, running
from flight_server import plain_engine
from scenarios import EXTENTS, policy

ROOT = Path(__file__).resolve().parent.parent
PARTNER = "inst.tsinghua"
WARM = 2  # rounds before the first that counts, after one whose results are compared
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
    """``ours`` and ``peer`` give what they found, to be compared. ``rows``: of one run, for a figure in rows a second.

    The ratio of the medians must be at least ``reach`` for rows a second, at most ``reach`` for seconds.
    """

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object]
    reach: float
    rows: int = 0

    def measure(self, rounds: int, processes: dict[str, int]) -> dict[str, object]:
        if (mine := self.ours()) != (theirs := self.peer()):
            raise SystemExit(f"{self.name}: the two sides differ:\n{mine}\n{theirs}")
        for warm in (self.ours, self.peer) * WARM:
            warm()
        times: dict[str, list[float]] = {"ours": [], "peer": []}
        spent = dict.fromkeys(processes, 0.0)
        for _ in range(rounds):
            for side, run in (("ours", self.ours), ("peer", self.peer)):
                before = processor_time(processes)
                begin = time.perf_counter()
                run()
                times[side].append(time.perf_counter() - begin)
                if side == "ours":
                    after = processor_time(processes)
                    spent = {who: spent[who] + after[who] - before[who] for who in processes}
        profile = ", ".join(f"{who} {seconds / rounds * 1000:.1f}" for who, seconds in spent.items())
        whole = sum(spent.values()) / rounds * 1000
        print(f"{self.name}: {profile}; in all {whole:.1f} ms on {os.cpu_count()} cores", file=sys.stderr)
        ours, peer = (statistics.median(times[side]) for side in ("ours", "peer"))
        if self.rows:
            ours, peer = self.rows / ours, self.rows / peer
        ratio = ours / peer
        return {
            "work": self.name,
            "ours": round(ours, 4),
            "peer": round(peer, 4),
            "ratio": round(ratio, 3),
            "reach": self.reach,
            "holds": ratio >= self.reach if self.rows else ratio <= self.reach,
        }


def processor_time(processes: dict[str, int]) -> dict[str, float]:
    """Seconds that all threads of each process have run, to the nanosecond (schedstat of proc(5))."""
    return {
        who: sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
        for who, pid in processes.items()
    }


def build(alliance: Alliance, buildings: int) -> None:
    """Data imported, policies active; the directory service runs, and nothing else yet."""
    folder = alliance.folder
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


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true", help="100,000 buildings, fewer rounds")
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    buildings, rounds = (100_000, 11) if arguments.quick else (1_000_000, 15)
    rounds = arguments.rounds or rounds

    folder = Path(tempfile.mkdtemp(prefix="cimfed-bench-"))
    try:
        begin = time.perf_counter()
        with contextlib.closing(Alliance(folder)) as alliance:
            build(alliance, buildings)
            print(f"{buildings:,} buildings in three cities, {time.perf_counter() - begin:.0f} s", file=sys.stderr)
            with running(alliance, [*EXTENTS, GATEWAY]):
                return run(alliance, rounds, buildings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(alliance: Alliance, rounds: int, buildings: int) -> int:
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
    processes = {"client": os.getpid(), **{who: process.pid for who, process in alliance.servers.items()}}
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

            def our_groups() -> object:
                measures = ["count", "mean:height", "sum:height"]
                return groups(fed.aggregate("building", measures, by=["function"], purpose="benchmark").to_table())

            def their_groups() -> object:
                return groups(
                    engine.execute(
                        "SELECT function, count(*) AS count, avg(height) AS mean_height, sum(height) AS sum_height "
                        f"FROM {sources} GROUP BY function"
                    ).to_arrow_table()
                )

            for work in (
                Work("relayed read beside Arrow Flight, rows/s", our_read, their_read, 0.4, buildings),
                Work("group-by beside one DuckDB, s", our_groups, their_groups, 2.0),
            ):
                figures = work.measure(rounds, processes)
                holds = holds and bool(figures["holds"])
                print(json.dumps(figures), flush=True)
    finally:
        server.stdin.close()
        server.wait(10)
    return 0 if holds else 1


def groups(table: pa.Table) -> dict[object, tuple[int, float, Decimal]]:
    """Count, mean to six places (the peer's is a float of its own) and sum, by function."""
    return {
        row["function"]: (row["count"], round(row["mean_height"], 6), row["sum_height"]) for row in table.to_pylist()
    }


if __name__ == "__main__":
    sys.exit(main())
