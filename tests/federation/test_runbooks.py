"""Every page of docs/runbooks runs as it stands: what its commands print, and what they end with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from alliance import free_port
from tests.federation.runbooks import ALMATY, Hosts, hosts
from tests.federation.tours import Block, blocks

PAGES = Path(__file__).resolve().parents[2] / "docs" / "runbooks"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Hosts]:
    with hosts(tmp_path / "alliance", ALMATY) as made:
        yield made


def sections(page: str) -> dict[str, list[Block]]:
    """The blocks under each heading, in the order of the page."""
    parts = re.split(r"^## (.+)$", (PAGES / page).read_text("utf-8"), flags=re.MULTILINE)
    assert not blocks(parts[0])
    return {title: found for title, text in zip(parts[1::2], parts[2::2], strict=True) if (found := blocks(text))}


def key_of(at: Hosts, name: str, what: str) -> str:
    _, printed = at.line(f"cimfed key list {name} --json")
    (found,) = (key for key in json.loads(printed)["keys"] if key["what"] == what and key["valid_now"])
    return str(found["key"])[:16]


def test_trouble_with_clocks(at: Hosts) -> None:
    off = {
        "A partner's clock is ahead": ("cimfed", 120),
        "A partner's clock is behind": ("cimfed", -120),
        "A node's clock is behind": ("cimfed-node", -120),
        "A node's clock is ahead": ("cimfed-node", 40),
        "The directory service's clock is behind": ("cimfed-gateway.directory", -120),
        "The directory service's clock is ahead": ("cimfed-gateway.directory", 40),
    }
    page = sections("clock-trouble.md")
    at.take(page.pop("All is well"))
    assert list(page) == list(off)
    for title, trouble in off.items():
        at.set_clock(*trouble)
        at.take(page[title])
        assert set(at.clocks.values()) == {0}


def test_a_leaked_key(at: Hosts) -> None:
    at.alliance.admit("inst.auditor", "KZ", "auditor")
    at.given["AUDITOR"] = str(at.alliance.profiles / "inst.auditor" / "sco")
    keys = {
        "An access key": ("inst.tsinghua", "access key"),
        "A node's key": ("kz.almaty", "node's key"),
        "A gateway's key": ("gw.alliance", "gateway's key"),
    }
    for name in ("board", "revoker"):
        at.line(f"cp office/{name}.key {name}.key")
    at.line("cp office/registrar.pub registrar.pub")
    for title, part in sections("leaked-key.md").items():
        if title in keys:
            at.given["KEY"] = key_of(at, *keys[title])
        at.take(part)


def test_a_lost_share_of_the_board(at: Hosts) -> None:
    names = ("amina", "bolat", "chen")
    for name in names:
        at.line(f"cimfed key new {name}.key")
    apart = " ".join(f"--add {name}.pub" for name in names)
    for line in (
        f"cimfed directory rotate-root {apart} --remove office/board.pub --threshold 2 --out apart.json",
        *(f"cimfed directory sign apart.json --key {key}.key" for key in ("office/board", "amina", "bolat")),
        "cimfed directory publish apart.json",
    ):
        assert at.line(line)[0] == 0, at.line(line)
    _, status = at.line("cimfed directory status --json")
    before = {role["role"]: role for role in json.loads(status)["roles"]}["root"]
    for part in sections("lost-root-share.md").values():
        at.take(part)
    _, status = at.line("cimfed directory status --json")
    after = {role["role"]: role for role in json.loads(status)["roles"]}["root"]
    assert (after["version"], after["threshold"]) == (before["version"] + 1, 2)
    assert len(set(before["keys"]) & set(after["keys"])) == 2
    assert len(after["keys"]) == 3


def test_a_compromised_gateway(at: Hosts) -> None:
    at.alliance.admit("inst.auditor", "KZ", "auditor")
    at.given["AUDITOR"] = str(at.alliance.profiles / "inst.auditor" / "sco")
    at.given["ADDRESS"] = f"127.0.0.1:{free_port()}"
    for part in sections("compromised-gateway.md").values():
        at.take(part)


def test_a_new_city(at: Hosts) -> None:
    at.city = "kg.bishkek"
    at.given["ADDRESS"] = f"127.0.0.1:{free_port()}"
    for part in sections("new-city.md").values():
        at.take(part)


def test_every_page_is_run_and_named_in_the_index() -> None:
    here = Path(__file__).read_text("utf-8")
    index = (PAGES / "README.md").read_text("utf-8")
    for page in PAGES.glob("*.md"):
        if page.name != "README.md":
            assert f'sections("{page.name}")' in here
            assert f"]({page.name})" in index
