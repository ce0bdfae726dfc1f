"""`log verify` and `log export` of nodes and gateways, typed as their operators type them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cimfed.errors import LogInconsistent
from cimfed.model.names import Kind
from cimfed.tlog import checkpoints
from cimfed.tlog.schema import EntryId
from cimfed.trust.card import parse_card
from cimfed.trust.identity_files import load_signer
from cimfed.trust.keys import KeySigner
from cimfed.trust.tlog import export
from cimfed.trust.tlog.entries import Act, Decision, Entry, Other, Outcome, Passed, Position, Returned
from cimfed_gateway.config import Home
from cimfed_gateway.tables import Journal
from tests.federation import raw
from tests.federation.test_gateway_commands import init
from tests.federation.test_gateway_commands import run as gateway
from tests.federation.test_node_commands import run as node
from tests.federation.test_node_service import furnished, opened
from tests.federation.world import World


def exported(path: Path, home: Path) -> list[Entry | Other]:
    keys = parse_card((home / "card.json").read_bytes()).keys
    with path.open("rb") as lines:
        return [entry for _, entry in export.verified(lines, lambda _: keys)]


async def asked_twice(world: World) -> tuple[Path, dict[str, object]]:
    """The home of a node that was asked the same twice and has ended, and the first answer's manifest."""
    async with opened(furnished(world)) as desk:
        asked = raw.query(read=raw.read("building", "id"))
        answer = await desk.ask(asked)
        assert (await desk.ask(asked)).reason == "replayed"
        return desk.world.cities["kz.almaty"].home.path, dict(answer.manifest)


async def test_a_nodes_log_says_what_happened_and_verifies_to_its_last_entry(tmp_path: Path) -> None:
    home, manifest = await asked_twice(World(tmp_path))
    said = node("log", "verify", "--home", str(home))
    file = tmp_path / "log.jsonl"
    assert f"written to {file}" in node("log", "export", str(file), "--home", str(home))
    found = exported(file, home)
    assert f"sco/kz.almaty: {len(found)} entries" in said
    assert "newer" not in said  # the node signed all of it when it ended
    assert [entry.act for entry in found if isinstance(entry, Act)] == ["import", "activate"]
    first, second = [entry for entry in found if isinstance(entry, Decision)]
    (ended,) = [entry for entry in found if isinstance(entry, Outcome)]
    assert (first.position, first.grant, first.reason) == (manifest["decision"], manifest["grant"], "")
    assert (second.reason, second.request_hash) == ("replayed", first.request_hash)
    assert (ended.decision, ended.outcome, ended.rows) == (first.position, "answered", manifest["rows"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert "conflict" in node("log", "export", str(file), "--home", str(home), expect=5)


async def test_a_nodes_log_that_was_changed_is_found_and_the_node_does_not_start(tmp_path: Path) -> None:
    world = World(tmp_path)
    home, _ = await asked_twice(world)
    database = home / "control" / "control.sqlite"
    second = EntryId(1, 1).row
    with closing(sqlite3.connect(database)) as connection, connection:
        (content,) = connection.execute("SELECT content FROM log_entry WHERE id = ?", [second]).fetchone()
        changed = json.dumps(json.loads(content) | {"operator": "nobody"}, sort_keys=True, separators=(",", ":"))
        connection.execute("UPDATE log_entry SET content = ? WHERE id = ?", [changed.encode(), second])
    said = node("log", "verify", "--home", str(home), expect=8)
    assert "log_inconsistent" in said
    assert "(at entries 0 to 1)" in said
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE log_head SET size = 0, peaks = x''")
    with pytest.raises(LogInconsistent):
        async with opened(world):
            pytest.fail("it serves")


def test_a_gateways_log_is_verified_and_exported(tmp_path: Path) -> None:
    init(World(tmp_path))
    home = tmp_path / "gw"
    assert "not_found" in gateway("log", "verify", "--home", str(home), expect=3)
    at = Home.load(home)
    passed = Passed(1, Position(5), b"r" * 32, b"k" * 32, "inst.x", "kz.almaty")
    returned = Returned(2, passed.position, "kz.almaty=answered")
    with closing(Journal.open(at.journal)) as journal:
        journal.begin(passed)
        with journal.writing() as connection:
            checkpoints.publish(connection, at.log_origin, load_signer(home, Kind.GATEWAY), 3)
        journal.end(returned)
    said = gateway("log", "verify", "--home", str(home))
    assert "sco/gw.alliance: 2 entries" in said
    assert "1 signed checkpoints agree; 1 entries are newer than the last one" in said
    gateway("log", "export", str(tmp_path / "log.jsonl"), "--home", str(home))
    assert exported(tmp_path / "log.jsonl", home) == [passed, returned]


def test_a_checkpoint_by_an_earlier_key_is_good_once_that_is_named(tmp_path: Path) -> None:
    init(World(tmp_path))
    home, earlier = tmp_path / "gw", KeySigner.generate()
    at = Home.load(home)
    with closing(Journal.open(at.journal)) as journal, journal.writing() as connection:
        checkpoints.publish(connection, at.log_origin, earlier, 1)
    assert "forged" in gateway("log", "verify", "--home", str(home), expect=8)
    (tmp_path / "old.pub").write_text(earlier.public.text + "\n")
    assert "agree" in gateway("log", "verify", "--key", str(tmp_path / "old.pub"), "--home", str(home))


async def test_the_pages_example_reads_an_exported_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, _ = await asked_twice(World(tmp_path))
    node("log", "export", str(tmp_path / "log.jsonl"), "--home", str(home))
    page = (Path(__file__).parents[2] / "docs" / "log.md").read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(page.partition("```python\n")[2].partition("```")[0], {})
    assert capsys.readouterr().out.splitlines() == [
        "inst.tsinghua building massing granted",
        "inst.tsinghua building massing replayed",
    ]
