"""kill -9 of node, gateway and directory service at random points under load: nothing that was promised is lost.

Real processes, started by the commands; partners who ask, and present every query again; publications that go on. The
seed is printed: the same one draws the same servers and delays.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path

import pytest

from alliance import SERVICE, running
from cimfed.model.answer import Outcome
from cimfed.trust.directory import layout
from cimfed.trust.directory.mirrors import Folder
from cimfed.trust.directory.publication import parsed
from cimfed.trust.hashing import sha256
from cimfed.trust.tlog import entries
from cimfed.trust.tlog.export import items
from tests.federation.commands import GATEWAY, Commands, eventually
from tests.federation.kill_rounds import CITY, Killer, Publishing, Reader, Record, all_of_it, made

PROGRAMS = {
    CITY: ("cimfed-node",),
    GATEWAY: ("cimfed-gateway",),
    SERVICE: ("cimfed-gateway", "directory"),
}
LONGEST = 24 * 60.0  # seconds of killing: what is left of the rounds then is left out


@pytest.mark.parametrize("rounds", [10, pytest.param(500, marks=pytest.mark.full)])
def test_nothing_that_was_promised_is_lost(tmp_path: Path, rounds: int) -> None:
    seed = int(os.environ.get("CIMFED_KILL_SEED") or random.randrange(2**32))
    print(f"CIMFED_KILL_SEED={seed}")
    alliance = made(tmp_path)
    with running(alliance, [CITY, GATEWAY]):
        killer = Killer(alliance, random.Random(seed))
        with all_of_it(alliance) as (record, publishing, reader):
            eventually(lambda: record.receipts[GATEWAY], bool)
            ends = time.monotonic() + LONGEST
            while killer.rounds < rounds and time.monotonic() < ends:
                goes_on(killer.round(), record, reader)
            goes_on(GATEWAY, record, reader)
        for role in (layout.REVOKER, layout.REGISTRAR, CITY):
            eventually(partial(publishing.publish, role), bool)
        for name in PROGRAMS:
            alliance.stop(name)
    print(
        f"{killer.rounds} rounds in {LONGEST + time.monotonic() - ends:.0f} s",
        killer.killed,
        record.endings,
        record.receipts,
        record.replays,
        reader.reads,
        publishing.failed,
        sep="\n",
    )
    assert not record.wrong
    assert not reader.wrong
    logs = {name: log_of(alliance, name) for name in PROGRAMS}
    check_receipts(record, logs)
    check_replays(record, logs[CITY])
    check_publications(alliance, publishing, logs[SERVICE])
    assert killer.rounds > rounds // 2, "this computer is too slow for so many"


def goes_on(name: str, record: Record, reader: Reader) -> None:
    """Whoever was killed does its work again."""
    done = {
        GATEWAY: lambda: record.receipts[GATEWAY],
        SERVICE: lambda: reader.reads,
        CITY: lambda: record.receipts.total(),
    }[name]
    before = done()
    eventually(done, lambda now: now > before)


def log_of(alliance: Commands, name: str) -> list[entries.Entry]:
    """All of a log, which verifies."""
    program, home = PROGRAMS[name], str(alliance.home(name))
    alliance.run(*program, "log", "verify", "--home", home)
    file = alliance.folder / f"{name}.log"
    alliance.run(*program, "log", "export", str(file), "--home", home)
    with file.open("rb") as lines:
        found = [entries.decode(item) for item in items(lines) if isinstance(item, bytes)]
    return [entry for entry in found if isinstance(entry, entries.Entry)]


def check_receipts(record: Record, logs: dict[str, list[entries.Entry]]) -> None:
    """Whatever a city or a gateway signed has its decision in the log, and no other outcome than was signed."""
    decisions = {entry.position: entry for entry in logs[CITY] if isinstance(entry, entries.Decision)}
    outcomes = {entry.decision: entry for entry in logs[CITY] if isinstance(entry, entries.Outcome)}
    passed = {entry.request_hash for entry in logs[GATEWAY] if isinstance(entry, entries.Passed)}
    assert record.through <= passed
    assert record.manifests
    open_ended = 0
    for manifest in record.manifests:
        decision = decisions[manifest.decision]  # type: ignore[index]
        assert decision.request_hash == manifest.request_hash
        if manifest.outcome is Outcome.ANSWERED:
            assert not decision.reason
            outcome = outcomes.get(decision.position)
            if outcome is None:  # killed between the two
                open_ended += 1
            else:
                assert (outcome.outcome, outcome.rows) == (str(manifest.outcome), manifest.rows)
    print(f"{len(record.manifests)} manifests, {open_ended} of them without an outcome in the log")


def check_replays(record: Record, log: list[entries.Entry]) -> None:
    """No query was granted twice, presented as often as it was."""
    granted = Counter(entry.request_hash for entry in log if isinstance(entry, entries.Decision) and not entry.reason)
    assert set(granted.values()) == {1}
    assert record.replays["replayed"]


def check_publications(alliance: Commands, publishing: Publishing, log: list[entries.Entry]) -> None:
    """What was acknowledged is in the log; and what readers were ever told of is what the log says, file by file."""
    said: dict[tuple[str, int], set[bytes]] = defaultdict(set)
    for entry in log:
        if isinstance(entry, entries.Publication):
            said[entry.role, entry.version].add(entry.sha256)
    assert {role for role, _ in publishing.done} == {layout.REVOKER, layout.REGISTRAR, CITY}
    assert set(publishing.done) <= said.keys()
    files = Folder(alliance.home(SERVICE) / "repository" / "files")
    told = {(layout.ROOT, 1)}
    for path in files:  # a file that no snapshot names is of a publication that broke off
        if path.endswith(f".{layout.SNAPSHOT}.json"):
            meta = parsed(files[path]).signed.meta
            told |= {(name.removesuffix(".json"), item.version) for name, item in meta.items()}
    assert told == said.keys()
    for role, version in told:
        assert said[role, version] == {sha256(files[layout.metadata_file(role, version)])}
