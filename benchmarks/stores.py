"""The two stores beside each other, over the same rows, interleaved, medians; a JSON line for each work.

    .venv/bin/python -m benchmarks.stores [--buildings 1000000] [--rounds 5]

PostgreSQL is a cluster of its own, as the tests have it, on loopback and this machine's cores. ``first_ms`` is when the
first batch was there; ``grown_mib`` what the process's greatest memory grew by while PostgreSQL's rows were read whole
for the first time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from cimfed.query.expression import Box, Comparator, Comparison, Literal, Property
from cimfed.query.query import Aggregate, Function, Measure, Read
from cimfed_node.stores.base import Store, View
from tests.contract.benches import DuckDBBench, PostGISBench
from tests.postgres import running
from tests.unit.node import rows as made

TALL = Comparison(Comparator.GT, Property("height"), Literal(Decimal(87)))
COUNTED = (Measure(Function.COUNT), Measure(Function.MEAN, "height"), Measure(Function.SUM, "floor_area"))
WORKS: dict[str, Read | Aggregate] = {
    "all rows": Read("building"),
    "all rows without geometry": Read("building", None, ("id", "function", "height", "year_built", "district")),
    "a small box": Read("building", Box(76.3, 43.3, 76.306, 43.306)),
    "half of the city": Read("building", Box(76.0, 43.0, 77.0, 43.3)),
    "an eighth by height": Read("building", TALL, ("id", "height")),
    "one object": Read("building", Comparison(Comparator.EQ, Property("id"), Literal("b1000"))),
    "group by function": Aggregate("building", COUNTED, ("function",)),
    "group by district, of the tall": Aggregate("building", COUNTED, ("district",), TALL),
}


def city(number: int) -> pa.Table:
    """Footprints of 5 to 9 corners and attributes, by a fixed seed."""
    dice = np.random.default_rng(1)
    x, y, radius = 76 + dice.random(number) * 0.6, 43 + dice.random(number) * 0.6, 1e-4 + dice.random(number) * 2e-4
    shapes: Any = shapely.buffer(shapely.points(x, y), radius, quad_segs=1)
    bounds = shapely.bounds(shapes)
    columns: dict[str, Any] = {
        "city": pa.repeat(made.CITY, number),
        "id": pa.array([f"b{at}" for at in range(number)]),
        "geometry_lod0": pa.array(shapely.to_wkb(shapes, flavor="iso")),
        "bbox": pa.StructArray.from_arrays([bounds[:, at] for at in range(4)], ["xmin", "ymin", "xmax", "ymax"]),
        "function": pa.array(["residential", "office", "retail", "school"]).take(dice.integers(0, 4, number)),
        "height": pa.array(dice.integers(3, 100, number)).cast(pa.decimal128(21, 2)),
        "year_built": pa.array(dice.integers(1900, 2025, number)),
        "floor_area": pa.array(dice.integers(50, 9000, number)).cast(pa.decimal128(21, 1)),
        "district": pa.array([f"district-{at}" for at in range(40)]).take(dice.integers(0, 40, number)),
    }
    schema = made.schema(tuple(columns))
    return pa.table([columns[at.name].cast(at.type) for at in schema], schema=schema)


def run(store: Store, view: View, request: Read | Aggregate) -> tuple[float, float, int, int]:
    """Seconds to the end and to the first batch, rows and bytes."""
    began = time.perf_counter()
    first, rows, size = 0.0, 0, 0
    reader = store.read(view, request) if isinstance(request, Read) else store.aggregate(view, request)
    while (batch := reader.read_next()) is not None:
        first = first or time.perf_counter() - began
        rows, size = rows + batch.num_rows, size + batch.nbytes
    reader.close()
    return time.perf_counter() - began, first, rows, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--buildings", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cimfed-bench-") as folder:
        Path(folder).chmod(0o755)
        with running(Path(folder) / "cluster") as cluster:
            compare(Path(folder), cluster, city(given.buildings), given.rounds)


def compare(folder: Path, cluster: Any, rows: pa.Table, rounds: int) -> None:
    stores: dict[str, tuple[Store, View]] = {}
    for name in ("postgis", "duckdb"):
        (folder / name).mkdir()
        bench = PostGISBench(folder / name, cluster) if name == "postgis" else DuckDBBench(folder / name)
        began = time.perf_counter()
        view = bench.view(rows)
        say(work=f"snapshot and view, {name}", seconds=time.perf_counter() - began, mib=view.size / 2**20)
        stores[name] = bench.store, view
    before = peak(anew=True)
    run(*stores["postgis"], WORKS["all rows"])
    grown = peak() - before
    for work, request in WORKS.items():
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in stores}
        found: set[int] = set()
        for _ in range(rounds + 1):
            for name, (store, view) in stores.items():
                seconds, first, number, _ = run(store, view, request)
                times[name].append((seconds, first))
                found.add(number)
        (number,) = found
        line: dict[str, Any] = {"work": work, "rows": number}
        for name, measured in times.items():
            seconds, first = (statistics.median(column) for column in zip(*measured[1:], strict=True))
            line[name] = {"ms": round(seconds * 1e3, 1), "first_ms": round(first * 1e3, 1)}
        line["ratio"] = round(line["postgis"]["ms"] / line["duckdb"]["ms"], 2)
        say(**line)
    say(work="memory of a whole read, postgis", grown_mib=grown)


def peak(*, anew: bool = False) -> float:
    """The greatest memory of this process in MiB; ``anew``: from now on (Linux)."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def say(**line: Any) -> None:
    print(json.dumps({name: round(value, 2) if isinstance(value, float) else value for name, value in line.items()}))


if __name__ == "__main__":
    main()
