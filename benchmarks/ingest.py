"""`scripts/bench ingest`: imports beside `ogr2ogr` into GeoPackage on the same file; a JSON line for each.

Every run is a process of its own: seconds from its start to its end, the most memory that it had, and its processor
time, which is more than the seconds where it used both cores. GDAL reads no CityJSONSeq: beside that stands its run on
the GeoJSON of the same buildings, which has their footprints alone.

An import does what ogr2ogr does not: maps attributes and codes to the vocabulary, checks every geometry, places it by
one coordinate operation, derives footprints and heights, finds duplicates, sorts by place, keeps the original, hashes.
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow.parquet as pq
import shapely

from alliance import BIN, Alliance

ROOT = Path(__file__).resolve().parent.parent
CITY = "kz.almaty"
MIB = 1 << 20


@dataclass(frozen=True)
class Run:
    seconds: float
    processor: float
    memory: int  # bytes


def timed(*command: str) -> Run:
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/")
    assert process.stderr is not None
    printed = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} ended with {process.returncode}:\n{printed.decode(errors='replace')}")
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def median(runs: Sequence[Run]) -> Run:
    return Run(
        statistics.median(run.seconds for run in runs),
        statistics.median(run.processor for run in runs),
        max(run.memory for run in runs),
    )


class Imports:
    """Each import has a new home: a copy of the first."""

    def __init__(self, folder: Path) -> None:
        alliance = Alliance(folder / "alliance")
        with contextlib.closing(alliance):
            alliance.found()
        key = folder / "steward.key"
        alliance.run("cimfed", "policy", "new-key", str(key), "--no-passphrase")
        self._new, self.home = alliance.home(CITY), folder / "home"
        alliance.run(
            "cimfed-node", "init", CITY,
            "--home", str(self._new), "--federation", alliance.federation, "--address", "127.0.0.1:1",
            "--root", str(alliance.root),
            "--steward-key", str(key.with_suffix(".pub")), "--directory", alliance.service,
        )  # fmt: skip

    def run(self, file: Path, *more: str) -> Run:
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self._new, self.home)
        return timed(
            str(BIN / "cimfed-node"), "import", str(file), "--collection", "building", "--home", str(self.home), *more
        )

    @property
    def rows(self) -> Path:
        (found,) = (self.home / "snapshots").glob("*/building.parquet")
        return found


def write_geojson(rows: Path, path: Path) -> None:
    """The footprints and attributes of a snapshot as one FeatureCollection in CRS84."""
    names = ["id", "function", "height", "storeys_above", "year_built", "district"]
    with path.open("wb") as file:
        file.write(b'{"type":"FeatureCollection","features":[\n')
        first = True
        for batch in pq.ParquetFile(rows).iter_batches(20_000, columns=[*names, "geometry_lod0"]):
            shapes = shapely.to_geojson(shapely.from_wkb(batch.column("geometry_lod0").to_numpy(zero_copy_only=False)))
            for properties, shape in zip(batch.select(names).to_pylist(), shapes, strict=True):
                file.write(b"" if first else b",\n")
                first = False
                text = orjson.dumps(properties, default=float)
                file.write(b'{"type":"Feature","properties":%b,"geometry":%b}' % (text, shape.encode()))
        file.write(b"\n]}\n")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench ingest")
    parser.add_argument("--quick", action="store_true", help="100,000 buildings")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args(argv)
    buildings = 100_000 if arguments.quick else 1_000_000
    ogr2ogr = shutil.which("ogr2ogr")
    if ogr2ogr is None:
        raise SystemExit("ogr2ogr is missing: apt-get install gdal-bin")
    folder = Path(tempfile.mkdtemp(prefix="cimfed-bench-"))
    try:
        imports = Imports(folder)
        sequence, geojson, geopackage = folder / "city.city.jsonl", folder / "city.geojson", folder / "city.gpkg"
        subprocess.run(
            [sys.executable, str(ROOT / "scripts/make_city"), CITY, "--buildings", str(buildings),
             "--out", str(sequence), "--format", "cityjsonseq"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        mapping = ("--mapping", str(ROOT / f"scripts/mappings/{CITY}.yaml"))
        ours: dict[str, list[Run]] = {}
        peers: dict[str, list[Run]] = {}
        for _ in range(arguments.rounds):
            ours.setdefault("CityJSONSeq", []).append(imports.run(sequence, *mapping))
            if not geojson.exists():
                write_geojson(imports.rows, geojson)
            geopackage.unlink(missing_ok=True)
            peers.setdefault("GeoJSON", []).append(
                timed(ogr2ogr, "-f", "GPKG", str(geopackage), str(geojson), "-nln", "building")
            )
            ours.setdefault("GeoJSON", []).append(imports.run(geojson))
            ours.setdefault("GeoPackage", []).append(imports.run(geopackage, "--id", "id"))
        files = {"CityJSONSeq": sequence, "GeoJSON": geojson, "GeoPackage": geopackage}
        peer = median(peers["GeoJSON"])
        print(json.dumps({"work": "ogr2ogr, GeoJSON into GeoPackage", **figures(peer, geojson, buildings)}), flush=True)
        for form, runs in ours.items():
            ratio = round(median(runs).seconds / peer.seconds, 2)
            print(
                json.dumps(
                    {"work": f"import, {form}", **figures(median(runs), files[form], buildings), "ratio": ratio}
                ),
                flush=True,
            )
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def figures(run: Run, file: Path, buildings: int) -> dict[str, object]:
    return {
        "file_mib": round(file.stat().st_size / MIB),
        "seconds": round(run.seconds, 1),
        "processor_seconds": round(run.processor, 1),
        "buildings_a_second": round(buildings / run.seconds),
        "memory_mib": round(run.memory / MIB),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
