"""`cimfed audit` and `cimfed receipt complete` against real processes, the directory service among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from alliance import SERVICE, City
from cimfed.model.instants import datetime_of
from cimfed.rpc import clock
from tests.federation.commands import GATEWAY, PARTNER, Commands, eventually

CITIES = ("kz.almaty", "uz.tashkent", "cn.qingdao")
POLICY = """
format: cimfed/policy/v1
city: {city}
version: 1
valid: [2020-01-01T00:00Z, 2090-01-01T00:00Z]
grants:
  - id: catalogue-only
    subject: {{role: [researcher]}}
    purpose: [research]
    collection: building
    columns: {{id: exact}}
"""


@pytest.fixture(scope="module")
def alliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Three cities that have no data: their answers, and their logs, say so."""
    made = Commands(tmp_path_factory.mktemp("audit"))
    try:
        made.found()
        made.admit(PARTNER, "CN", "researcher")
        for name in CITIES:
            made.join(City(name, (), POLICY.format(city=name)))
        made.start_all(*CITIES, GATEWAY)
        yield made
    finally:
        made.close()


def audit(alliance: Commands, *argv: str, expect: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """What the auditor's command gives as JSON; her folder is the office, her connection the partner's."""
    words = ("--home", str(alliance.office), "--profile", "sco") if "--file" not in argv else ()
    done = alliance.process("cimfed", "audit", *argv, *words, "--json")
    assert done.returncode in expect, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ask(alliance: Commands, file: Path) -> None:
    with alliance.connect() as fed:
        answer = fed.read("building", purpose="research", require=1)
        answer.to_table()
        answer.receipt.save(file)


def counted(alliance: Commands) -> dict[str, int]:
    """Queries granted in this quarter, by city."""
    now = datetime_of(clock.now())
    report = audit(alliance, "report", "--quarter", f"{now.year}Q{(now.month + 2) // 3}", "--by", "city")
    return {one["city"]: one["granted"] for one in report["lines"]}


def test_every_log_is_cosigned_by_two_cities_the_directory_services_too(alliance: Commands, tmp_path: Path) -> None:
    ask(alliance, tmp_path / "a.receipt")  # else the gateway's is empty

    def cosigned(found: dict[str, Any]) -> dict[str, int]:
        return {one["log"]: len(one["cosigned"]) for one in found["logs"]}

    logs = {f"sco/{name}": 2 for name in (SERVICE, GATEWAY, *CITIES)}
    found = eventually(partial(audit, alliance, "verify"), lambda found: cosigned(found) == logs)
    assert found["missing"] == found["broken"] == {}
    agreed = audit(alliance, "consistency")
    assert all(len(one["agreed"]) >= 2 and not one["forks"] for one in agreed["logs"])


def test_a_receipt_is_completed_and_counted(alliance: Commands, tmp_path: Path) -> None:
    file = tmp_path / "a.receipt"
    before = counted(alliance)
    ask(alliance, file)

    def complete() -> int:
        return alliance.process("cimfed", "receipt", "complete", str(file)).returncode

    assert eventually(complete, lambda code: code == 0) == 0
    done = alliance.process("cimfed", "receipt", "verify", str(file), "--directory", alliance.service)
    assert done.returncode == 0, done.stderr
    for name in CITIES:
        others = ", ".join(sorted(set(CITIES) - {name}))
        assert f"{name}: logged as entry" in done.stdout
        assert f"cosigned by {others}" in done.stdout
    assert "no key that signed it was revoked since" in done.stdout
    after = counted(alliance)
    assert {name: granted - before.get(name, 0) for name, granted in after.items()} == dict.fromkeys(CITIES, 1)


def test_exposure_names_whom_it_could_not_ask_and_ends_with_6(alliance: Commands) -> None:
    alliance.stop("uz.tashkent")
    try:
        found = audit(alliance, "exposure", PARTNER, "--since", "2020-01-01", expect=(6,))
        assert found["missing"] == {"uz.tashkent": "node_unreachable"}
        assert {one["log"] for one in found["logs"]} == {f"sco/{name}" for name in (SERVICE, GATEWAY, *CITIES[::2])}
        words = ("--home", str(alliance.office), "--profile", "sco")
        compared = alliance.process("cimfed", "audit", "consistency", *words)
        assert compared.returncode == 6
        assert "sco/uz.tashkent: not compared with the log as it is now (node_unreachable)" in compared.stdout
    finally:
        alliance.start("uz.tashkent")


def test_exposure_says_so_where_nobody_of_that_name_or_key_is_known(alliance: Commands) -> None:
    for word in (f"{PARTNER}x", "0123456789abcdef"):
        (note,) = audit(alliance, "exposure", word, "--since", "2020-01-01")["notes"]
        assert word in note
    assert "notes" not in audit(alliance, "exposure", PARTNER, "--since", "2020-01-01")


def test_a_city_may_keep_its_entries_to_itself_and_is_named(alliance: Commands, tmp_path: Path) -> None:
    settings = alliance.home("kz.almaty") / "node.toml"
    before = settings.read_text()
    settings.write_text('audit = "off"\n' + before)
    try:
        alliance.stop("kz.almaty")
        alliance.start("kz.almaty")
        found = audit(alliance, "tail", "-n", "2", expect=(6,))
        assert found["missing"] == {"kz.almaty": "not_granted"}
        exported = tmp_path / "log.jsonl"
        alliance.run("cimfed-node", "log", "export", str(exported), "--home", str(alliance.home("kz.almaty")))
        whole = audit(alliance, "verify", "--file", str(exported), "--home", str(alliance.office))
        assert [one["log"] for one in whole["logs"]] == ["sco/kz.almaty"]
    finally:
        settings.write_text(before)
        alliance.stop("kz.almaty")
        alliance.start("kz.almaty")


def test_no_filter_and_no_data_are_in_what_an_auditor_reads(alliance: Commands) -> None:
    with alliance.connect() as fed:
        fed.read("building", where="id = 'house-4711'", purpose="research", require=1).to_table()
    for argv in (("tail", "-n", "50"), ("exposure", PARTNER, "--since", "2020-01-01")):
        assert "house-4711" not in json.dumps(audit(alliance, *argv))
