"""Three cities and a gateway: their logs are cosigned, receipts are completed, and a log in two versions is found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import cimfed
from cimfed import console
from cimfed.cli.main import app
from cimfed.cli.office import make_office
from cimfed.client.receipts import logged_in, verify_receipt
from cimfed.errors import CimfedError, DataLoss, NotGranted
from cimfed.model.instants import datetime_of
from cimfed.tlog import check, checkpoints, log
from cimfed.tlog.database import Database
from cimfed.trust.directory.follow import Follower
from cimfed.trust.directory.mirrors import Always
from cimfed.trust.tlog.checkpoint import Origin
from cimfed.trust.tlog.entries import Decision, decode
from cimfed.trust.tlog.export import line
from cimfed.wire.receipts import decode_receipt, encode_receipt
from cimfed_node.serve import Node
from tests.federation.world import FEDERATION, Files, World, buildings

HEIGHTS = {"kz.almaty": (3, 12, 40), "uz.tashkent": (9, 21), "cn.qingdao": (60,)}
GRANTS = """
  - id: massing
    subject: {country: [CN]}
    purpose: [research]
    collection: building
    columns: {id: exact, height: exact}
"""
PARTNER, OTHER, GATEWAY = "inst.tsinghua", "inst.iitd", "gw.alliance"


def put(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def got(file: Path) -> bytes:
    return file.read_bytes()


@dataclass
class Alliance:
    world: World
    nodes: dict[str, Node]
    office: Path
    capture: pytest.CaptureFixture[str]

    async def settle(self) -> None:
        """Every log is signed as it is, and cosigned."""
        keepers = [*(node.log for node in self.nodes.values()), *self.world.keepers.values()]
        for node in self.nodes.values():
            await node.service.settled()
        for journal in self.world.journals.values():
            journal.settle()
        for keeper in keepers:
            await keeper.publish(every=0)
            assert len(await keeper.cosigner.once()) == 2

    async def ask(self, partner: str = PARTNER) -> bytes:
        async with cimfed.connect_async(str(self.world.profile(partner))) as fed:
            answer = fed.read("building", purpose="research", properties=["id", "height"], require=1)
            with suppress(NotGranted):  # which leaves a receipt, too
                await answer.to_table()
            return bytes(answer.receipt)

    def current(self) -> None:
        """The office and the partners have the directory as it is now."""
        Follower(
            self.office / "directory", FEDERATION, Always(Files(self.world.board.files)), self.world.clock
        ).refresh()
        for name in (PARTNER, OTHER):
            self.world.profile(name)

    async def run(self, *argv: str, expect: int = 0) -> tuple[str, str]:
        """What a command says, as text; and of its error."""
        self.current()
        return await asyncio.to_thread(self._run, argv, expect)

    async def json(self, *argv: str, expect: int = 0) -> dict[str, Any]:
        said, _ = await self.run(*argv, "--json", expect=expect)
        found: dict[str, Any] = json.loads(said)
        return found

    async def audit(self, *argv: str, expect: int = 0) -> dict[str, Any]:
        """With the office, over the connection of a partner."""
        return await self.json("audit", *argv, *self.by_office, expect=expect)

    @property
    def by_office(self) -> tuple[str, ...]:
        return "--home", str(self.office), "--profile", str(self.world.parties[PARTNER].home)

    def _run(self, argv: tuple[str, ...], expect: int) -> tuple[str, str]:
        self.capture.readouterr()
        code, error = 0, ""
        try:
            app(list(argv), standalone_mode=False)
        except CimfedError as refused:
            code, error = refused.exit_code, str(refused)
        said = self.capture.readouterr().out
        assert code == expect, said + error
        return said, error


@pytest.fixture
async def alliance(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Alliance]:
    monkeypatch.setattr(console.out, "_width", 200)
    world.add_gateway()
    world.add_partner()
    world.add_partner(OTHER, "IN")
    for name, heights in HEIGHTS.items():
        city = world.add_city(name)
        city.adopt(buildings(name, [{"height": height} for height in heights]))
        city.activate(GRANTS)
    office = make_office(world.folder / "office", FEDERATION, world.board.service.address, world.board.root).home
    (office / "registrar.key").write_bytes(world.board.registrar.to_pem(None))
    (office / "registrar.key").chmod(0o600)
    async with AsyncExitStack() as serving:
        nodes = {name: await serving.enter_async_context(world.node(name)) for name in HEIGHTS}
        await serving.enter_async_context(world.gateway())
        yield Alliance(world, nodes, office, capsys)


@pytest.fixture
def receipt_file(tmp_path: Path) -> Path:
    return tmp_path / "answer.receipt"


async def completed(alliance: Alliance, file: Path) -> dict[str, Any]:
    put(file, await alliance.ask())
    await alliance.settle()
    profile = str(alliance.world.parties[PARTNER].home)
    return await alliance.json("receipt", "complete", str(file), "--profile", profile)


async def test_a_receipt_is_completed_and_verifies_offline_with_the_client_alone(
    alliance: Alliance, receipt_file: Path
) -> None:
    said = await completed(alliance, receipt_file)
    assert said["missing"] == {}
    assert {city: set(item["cosigned"]) for city, item in said["logged"].items()} == {
        city: set(HEIGHTS) - {city} for city in HEIGHTS
    }
    report = verify_receipt(got(receipt_file), alliance.world.board.root)
    for city, item in report.logged.items():
        with alliance.nodes[city].control.reading() as connection:
            position = report.manifests[city].decision
            at = log.find(connection, log.decision_key(position))  # type: ignore[arg-type]
        assert at is not None
        assert item.index == at.index
    assert "kz.almaty: logged as entry 2, cosigned by cn.qingdao, uz.tashkent" in str(report)


async def test_before_that_a_receipt_says_that_there_is_no_proof_of_the_log_yet(alliance: Alliance) -> None:
    report = verify_receipt(await alliance.ask(), alliance.world.board.root)
    assert report.logged == {}
    assert "kz.almaty: no proof of the log yet" in str(report)


async def test_an_answers_own_receipt_can_be_completed(alliance: Alliance) -> None:
    async with cimfed.connect_async(str(alliance.world.profile())) as fed:
        answer = fed.read("building", purpose="research", properties=["id"])
        await answer.to_table()
        await alliance.settle()
        receipt = await answer.complete_receipt()
        assert receipt == answer.receipt
    assert set(verify_receipt(receipt, alliance.world.board.root).logged) == set(HEIGHTS)

    def ask() -> bytes:
        with cimfed.connect(str(alliance.world.profile())) as fed:
            answer = fed.read("building", purpose="research", properties=["id"])
            answer.to_table()
            asyncio.run_coroutine_threadsafe(alliance.settle(), loop).result()
            return answer.complete_receipt()

    loop = asyncio.get_running_loop()
    report = verify_receipt(await asyncio.to_thread(ask), alliance.world.board.root)
    assert [len(item.cosigned) for item in report.logged.values()] == [2, 2, 2]


async def test_a_refusal_is_proven_to_be_logged_too(alliance: Alliance, receipt_file: Path) -> None:
    put(receipt_file, await alliance.ask(OTHER))
    await alliance.settle()
    profile = str(alliance.world.parties[OTHER].home)
    said = await alliance.json("receipt", "complete", str(receipt_file), "--profile", profile)
    assert set(said["logged"]) == set(HEIGHTS)


async def test_a_city_that_cannot_be_reached_is_named_and_asked_again_later(
    alliance: Alliance, receipt_file: Path
) -> None:
    put(receipt_file, await alliance.ask())
    await alliance.settle()
    profile = str(alliance.world.parties[PARTNER].home)
    port = alliance.nodes["kz.almaty"].server.port
    alliance.world.at("kz.almaty", 1)
    said = await alliance.json("receipt", "complete", str(receipt_file), "--profile", profile, expect=6)
    assert said["missing"] == {"kz.almaty": "node_unreachable"}
    assert set(said["logged"]) == {"uz.tashkent", "cn.qingdao"}
    alliance.world.at("kz.almaty", port)
    said = await alliance.json("receipt", "complete", str(receipt_file), "--profile", profile)
    assert set(said["logged"]) == set(HEIGHTS)


async def test_no_byte_of_a_receipts_log_part_can_be_changed(alliance: Alliance, receipt_file: Path) -> None:
    await completed(alliance, receipt_file)
    data, root = got(receipt_file), alliance.world.board.root
    receipt, report = decode_receipt(data), verify_receipt(data, root)

    def check_log_part(changed: bytes) -> None:
        """What ``verify_receipt`` looks at, but for what is as it was: else this took minutes."""
        found = decode_receipt(changed)
        if replace(found, log=()) != replace(receipt, log=()):
            verify_receipt(changed, root)
        logged_in(found, report.manifests, report.asking, report.directory)

    start = len(encode_receipt(replace(receipt, log=())))
    assert encode_receipt(replace(receipt, log=())) == data[:start]  # the log's part is the last
    part = len(data) - len(encode_receipt(replace(receipt, log=receipt.log[1:])))
    for at in range(start, start + part):
        for flip in (0x01, 0x80):
            changed = bytearray(data)
            changed[at] ^= flip
            with pytest.raises(DataLoss):
                check_log_part(bytes(changed))


async def test_a_proof_of_another_answer_is_no_proof_of_this_one(alliance: Alliance, receipt_file: Path) -> None:
    await completed(alliance, receipt_file)
    one = decode_receipt(got(receipt_file))
    await completed(alliance, receipt_file)
    other = decode_receipt(got(receipt_file))
    with pytest.raises(DataLoss, match="another position"):
        verify_receipt(encode_receipt(replace(one, log=other.log)), alliance.world.board.root)


def revoked_later(alliance: Alliance, subject: str, folder: Path) -> str:
    """A copy of the directory's files after the revocation."""
    alliance.world.board.revoke(subject, "stolen", alliance.world.clock())
    for path, content in alliance.world.board.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return str(folder)


@pytest.mark.parametrize("signer", ["kz.almaty", PARTNER])
async def test_a_receipt_under_a_key_that_is_revoked_later_counts_once_it_was_cosigned(
    alliance: Alliance, receipt_file: Path, tmp_path: Path, signer: str
) -> None:
    before = await alliance.ask()
    await completed(alliance, receipt_file)
    alliance.world.clock.offset += 2_000_000  # cosignatures have whole seconds
    parties = alliance.world.directory.published
    key = (
        parties.members[signer].keys[0]  # type: ignore[index]
        if signer != PARTNER
        else parties.partners[signer].keys[0].key  # type: ignore[index]
    )
    now = revoked_later(alliance, key.id.hex(), tmp_path / "now")
    profile = ("--profile", str(alliance.world.parties[PARTNER].home))
    said, _ = await alliance.run("receipt", "verify", str(receipt_file), *profile, "--directory", now)
    assert f"a key of {signer} was revoked" in said
    assert "had cosigned the decision before, so it counts" in said
    facts = await alliance.json("receipt", "verify", str(receipt_file), *profile, "--directory", now)
    (revoked,) = facts["revoked"]
    assert (revoked["party"], revoked["key"]) == (signer, key.id.hex())
    assert set(revoked["cosigned_by"]) <= {"kz.almaty", "uz.tashkent", "cn.qingdao"}
    assert revoked["cosigned_by"]
    put(receipt_file, before)
    _, error = await alliance.run("receipt", "verify", str(receipt_file), *profile, "--directory", now, expect=8)
    assert "no city had cosigned the decision before" in error
    await alliance.run("receipt", "verify", str(receipt_file), *profile)  # it cannot know


async def test_a_witness_whose_own_key_was_revoked_vouches_for_nothing(
    alliance: Alliance, receipt_file: Path, tmp_path: Path
) -> None:
    await completed(alliance, receipt_file)
    alliance.world.clock.offset += 2_000_000
    for witness in ("uz.tashkent", "cn.qingdao"):
        revoked_later(alliance, witness, tmp_path / "now")
    now = revoked_later(alliance, "kz.almaty", tmp_path / "now")
    profile = ("--profile", str(alliance.world.parties[PARTNER].home))
    _, error = await alliance.run("receipt", "verify", str(receipt_file), *profile, "--directory", now, expect=8)
    assert "no city had cosigned" in error


async def test_an_auditor_reads_verifies_and_counts(alliance: Alliance) -> None:
    for _ in range(2):
        await alliance.ask()
    await alliance.ask(OTHER)
    await alliance.settle()
    cities = [word for city in HEIGHTS for word in ("--at", city)]
    whole = await alliance.audit("verify", *cities, "--at", GATEWAY)
    assert {one["log"]: len(one["cosigned"]) for one in whole["logs"]} == {
        f"sco/{name}": 2 for name in (*HEIGHTS, GATEWAY)
    }
    quarter = quarter_of(alliance)
    by_country = await alliance.audit("report", "--quarter", quarter, "--by", "country", *cities)
    assert by_country["lines"] == [
        {"country": "CN", "granted": 6, "refused": 0, "rows": 12},
        {"country": "IN", "granted": 0, "refused": 3, "rows": 0},
    ]
    by_city = await alliance.audit("report", "--quarter", quarter, "--by", "city", *cities)
    assert [(one["city"], one["granted"], one["refused"], one["rows"]) for one in by_city["lines"]] == [
        ("cn.qingdao", 2, 1, 2),
        ("kz.almaty", 2, 1, 6),
        ("uz.tashkent", 2, 1, 4),
    ]
    key = alliance.world.directory.partners[PARTNER].keys[0].key.id.hex()  # type: ignore[index]
    got = await alliance.audit("exposure", key[:12], "--since", "2020-01-01", *cities)
    assert (got["queries"], got["rows"]) == (6, 12)
    assert {one["city"] for one in got["got"]} == set(HEIGHTS)
    last = await alliance.audit("tail", "-n", "3", "--at", "kz.almaty")
    assert len(last["entries"]) == 3
    shown = await alliance.audit("show", got["got"][0]["request_hash"], *cities, "--at", GATEWAY)
    assert sorted(one["type"] for one in shown["entries"]) == ["decision"] * 3 + ["outcome"] * 3 + [
        "passed",
        "returned",
    ]


def quarter_of(alliance: Alliance) -> str:
    now = datetime_of(alliance.world.clock())
    return f"{now.year}Q{(now.month + 2) // 3}"


async def test_an_auditor_is_told_whose_log_is_missing(alliance: Alliance) -> None:
    await alliance.ask()
    await alliance.settle()
    alliance.world.at("kz.almaty", 1)
    got = await alliance.audit("exposure", PARTNER, "--since", "2020-01-01", expect=6)
    assert got["missing"]["kz.almaty"] == "node_unreachable"
    assert "uz.tashkent" in {one["city"] for one in got["got"]}


async def test_an_exported_log_is_audited_without_any_server(alliance: Alliance, tmp_path: Path) -> None:
    await alliance.ask()
    await alliance.settle()
    files = []
    for name, node in alliance.nodes.items():
        files.append(tmp_path / f"{name}.jsonl")
        with node.control.reading() as connection:
            items = check.everything(connection, Origin(FEDERATION, name))
            put(files[-1], b"".join(line(item) for item in items))
    named = [word for file in files for word in ("--file", str(file))]
    home = ("--home", str(alliance.office))
    whole = await alliance.json("audit", "verify", *named, *home)
    assert [one["beyond"] for one in whole["logs"]] == [0, 0, 0]
    live = await alliance.audit(
        "exposure", PARTNER, "--since", "2020-01-01", *[w for c in HEIGHTS for w in ("--at", c)]
    )
    filed = await alliance.json("audit", "exposure", PARTNER, "--since", "2020-01-01", *named, *home)
    assert filed["got"] == live["got"]
    content = files[0].read_bytes()
    put(files[0], content.replace(b"inst.tsinghua", b"inst.someones", 1))
    _, error = await alliance.run("audit", "verify", *named, *home, expect=8)
    assert str(files[0]) in error
    # Anybody may have altered a file: that is no fork of its city, whose signatures both files bear.
    put(tmp_path / "true.jsonl", content)
    both = ("--file", str(tmp_path / "true.jsonl"), "--file", str(files[0]))
    said, error = await alliance.run("audit", "consistency", *both, *home, expect=8)
    assert "FORKED" not in said
    assert str(files[0]) in error


async def test_two_exports_of_one_log_are_not_counted_twice(alliance: Alliance, tmp_path: Path) -> None:
    await alliance.ask()
    await alliance.settle()
    with alliance.nodes["kz.almaty"].control.reading() as connection:
        content = b"".join(line(item) for item in check.everything(connection, Origin(FEDERATION, "kz.almaty")))
    for name in ("one.jsonl", "two.jsonl"):
        put(tmp_path / name, content)
    twice = ("--file", str(tmp_path / "one.jsonl"), "--file", str(tmp_path / "two.jsonl"))
    home = ("--home", str(alliance.office))
    for counting in (("exposure", PARTNER, "--since", "2020-01-01"), ("report", "--quarter", quarter_of(alliance))):
        _, error = await alliance.run("audit", *counting, *twice, *home, expect=2)
        assert "count twice" in error
    agreed = await alliance.json("audit", "consistency", *twice, *home)
    assert [one["forks"] for one in agreed["logs"]] == [[]]


async def test_a_log_in_two_versions_is_caught_by_a_witness_and_by_an_auditor(
    alliance: Alliance, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await alliance.ask()
    await alliance.settle()
    served = [word for name in (*HEIGHTS, GATEWAY) for word in ("--at", name)]
    agreed = await alliance.audit("consistency", *served)
    assert all(not one["forks"] for one in agreed["logs"])
    assert all(len(one["agreed"]) == 2 for one in agreed["logs"])
    # The operator of kz.almaty rewrites history: other entries under other hashes, signed by the city's own key.
    node = alliance.nodes["kz.almaty"]

    def export(file: Path) -> tuple[str, str]:
        with node.control.reading() as connection:
            put(file, b"".join(line(item) for item in check.everything(connection, Origin(FEDERATION, "kz.almaty"))))
        return "--file", str(file)

    before = export(tmp_path / "before.jsonl")
    rewrite(node.control, alliance.world.cities["kz.almaty"].signer)
    assert await node.log.cosigner.once() == set()
    assert "both checkpoints are kept as evidence" in caplog.text
    found = await alliance.audit("consistency", *served, expect=8)
    (forked,) = [one for one in found["logs"] if one["forks"]]
    assert forked["log"] == "sco/kz.almaty"
    (pair,) = forked["forks"]
    assert {frozenset(one["by"]) for one in pair} == {
        frozenset(("kept", "uz.tashkent", "cn.qingdao")),
        frozenset(("kz.almaty", "uz.tashkent (refused)", "cn.qingdao (refused)")),
    }
    said, error = await alliance.run("audit", "consistency", *served, *alliance.by_office, expect=8)
    assert "sco/kz.almaty: FORKED" in said
    assert "do not agree" in error
    after = export(tmp_path / "after.jsonl")
    said, error = await alliance.run("audit", "consistency", *before, *after, "--home", str(alliance.office), expect=8)
    assert "sco/kz.almaty: FORKED" in said


def rewrite(control: Database, signer: Any) -> None:
    """The same number of entries, the first decision gone from them; every hash and a checkpoint made anew."""
    with control.writing() as connection:
        size = log.head(connection).size
        contents = [content for _, content in log.contents(connection, log.EntryId(1, 0), size)]
        entries = [decode(content) for content in contents]
        for table in ("entry", "node", "key", "checkpoint"):
            connection.exec_driver_sql(f"DELETE FROM log_{table}")
        connection.exec_driver_sql("UPDATE log_head SET size = 0, peaks = x''")
        for entry in entries:
            log.append(connection, replace(entry, organisation=OTHER) if isinstance(entry, Decision) else entry)
        checkpoints.publish(connection, Origin(FEDERATION, "kz.almaty"), signer, 1, every=0)
