"""`scripts/bench revocation`: how long a revoked key goes on, at every node, through either gateway; JSON lines.

Three cities, two gateways and the directory service are processes of their own. A partner asks every city directly and
through both gateways, over and over, and reads a long answer from each city, as slowly as keeps it running. Then its
key is revoked by `cimfed revoke` at the revoker's office, which is on neither gateway. Measured from the moment that
the directory service had published it: until each asker was refused for it, and until each running answer had ended,
by the log of its node (what had left before lies in buffers on the way).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cimfed
from alliance import GATEWAY, Alliance, City, running
from cimfed.errors import CimfedError, NotFound
from scenarios import generated

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
PARTNER = "inst.tsinghua"
SECOND = "gw.second"
REACH = 5.0  # seconds
PATIENCE = 30.0
PACE = 1.5  # seconds between two batches of a running answer
SIZES = {"cn.qingdao": 100_000, "kz.almaty": 500_000, "uz.tashkent": 100_000}
"""Buildings: an answer must be longer than what lies in buffers on the way. Almaty gives no solids."""


class Asker(threading.Thread):
    """Does something over and over until it is refused; ``ended`` is when, ``reason`` why."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._work = work
        self.working = threading.Event()
        self.ended = 0.0
        self.reason = ""

    def run(self) -> None:
        try:
            while True:
                self._work()
                self.working.set()
        except CimfedError as error:
            self.ended, self.reason = time.monotonic(), error.reason
            self.working.set()


def asking(profile: str, **way: str) -> Callable[[], None]:
    """Small questions, one after the other."""
    fed = cimfed.connect(profile, **way)
    number = iter(range(sys.maxsize))

    def ask() -> None:
        fed.aggregate("building", where=f"height > {next(number) / 1000}", purpose="research").to_table()

    return ask


def reading(profile: str, city: str) -> Callable[[], None]:
    """One long answer, a batch now and then."""
    fed = cimfed.connect(profile, city=city)
    batches = iter(fed.read("building", purpose="research"))

    def read() -> None:
        if next(batches, None) is None:
            raise NotFound("the answer ended before the key was revoked: make the cities larger")
        time.sleep(PACE)

    return read


def ended_by_log(alliance: Alliance, city: str, published: float) -> tuple[float, str] | None:
    """Seconds after the publication (a wall clock's) at which the node ended an answer, and why; None: not yet."""
    file = alliance.folder / f"{city}.log.jsonl"
    alliance.run("cimfed-node", "log", "export", str(file), "--home", str(alliance.home(city)))
    lines = [json.loads(json.loads(line).get("entry", "{}")) for line in file.read_text("utf-8").splitlines()]
    file.unlink()
    for entry in lines:
        if entry.get("type") == "outcome" and entry.get("reason") == "policy_changed":
            return entry["time"] / 1e6 - published, entry["reason"]
    return None


def measure(alliance: Alliance, cities: list[City]) -> list[dict[str, object]]:
    profile = str(alliance.profiles / PARTNER / "sco")
    askers = [
        *(Asker(f"question to {city.name}", asking(profile, city=city.name)) for city in cities),
        *(Asker(f"question through {name}", asking(profile, gateway=name)) for name in (GATEWAY, SECOND)),
    ]
    readers = [Asker(f"running answer of {city.name}", reading(profile, city.name)) for city in cities]
    for asker in (*askers, *readers):
        asker.start()
    for asker in (*askers, *readers):
        if not asker.working.wait(PATIENCE) or asker.ended:
            raise SystemExit(f"{asker.name}: {asker.reason or 'no answer'} before anything was revoked")
    shown = alliance.run("cimfed", "key", "list", PARTNER, "--home", str(alliance.office), "--json")
    (key,) = (item["key"] for item in json.loads(shown)["keys"] if item["what"] == "access key")
    begun = time.monotonic()
    alliance.run("cimfed", "revoke", key, "--reason", "benchmark", "--home", str(alliance.office), "--yes")
    published, wall = time.monotonic(), time.time()
    for asker in askers:
        asker.join(PATIENCE)
        if not asker.ended:
            raise SystemExit(f"{asker.name} was not refused within {PATIENCE:g} s")
    lines: list[dict[str, object]] = [{"work": "cimfed revoke, to its end", "seconds": round(published - begun, 2)}]
    for asker in askers:
        after = max(0.0, asker.ended - published)
        lines.append({"work": asker.name, "ended after": round(after, 2), "reason": asker.reason})
    last = max(asker.ended for asker in askers) - published
    for city in cities:
        deadline = time.monotonic() + PATIENCE
        while (found := ended_by_log(alliance, city.name, wall)) is None:
            if time.monotonic() > deadline:
                raise SystemExit(f"the running answer of {city.name} was not ended")
        lines.append({"work": f"running answer of {city.name}", "ended after": round(found[0], 2), "reason": found[1]})
        last = max(last, found[0])
    lines.append({"work": "everywhere", "ended after": round(last, 2), "reach": REACH, "reached": last <= REACH})
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench revocation")
    parser.add_argument("--quick", action="store_true", help="once instead of three times")
    arguments = parser.parse_args()
    last = []
    for _ in range(1 if arguments.quick else 3):
        with tempfile.TemporaryDirectory(prefix="cimfed-revocation-") as folder:
            alliance = Alliance(Path(folder))
            for city, buildings in SIZES.items():
                command = [sys.executable, str(SCRIPTS / "make_city"), city, "--buildings", str(buildings)]
                file = alliance.folder / f"{city}.city.jsonl"
                subprocess.run([*command, "--format", "cityjsonseq", "--out", str(file)], check=True, stdout=sys.stderr)
            cities = generated(alliance.folder, SCRIPTS / "mappings", SIZES)
            alliance.found()
            alliance.add_gateway(SECOND)
            alliance.join_all(cities)
            alliance.admit(PARTNER, "CN", "researcher")
            with running(alliance, [*(city.name for city in cities), GATEWAY, SECOND]):
                for line in measure(alliance, cities):
                    print(json.dumps(line), flush=True)
                    last.append(line)
    ended = [float(str(line["ended after"])) for line in last if line["work"] == "everywhere"]
    print(json.dumps({"work": "everywhere, median", "ended after": statistics.median(ended), "reach": REACH}))


if __name__ == "__main__":
    main()
