"""Two administrators at once: one version of the directory never gets two contents."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cimfed.cli import registrar
from cimfed.errors import Conflict
from cimfed.model.names import Federation, partner_name
from cimfed.rpc import clock
from cimfed.trust.directory.edit import DAY, with_partner
from cimfed.trust.directory.listing import Listing
from cimfed.trust.identity_files import make_identity


def test_two_publications_at_once_are_one_and_a_conflict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, sco, now = tmp_path / "registrar", Federation("sco"), clock.now()
    registrar.found(sco, home, None, 90)
    cards = [make_identity(tmp_path / name, name, sco, now) for name in ("inst.tsinghua", "inst.iitd")]
    put = registrar.replace_file
    written: list[bytes] = []

    def slowly(path: Path, content: bytes) -> None:
        time.sleep(0.3)
        written.append(content)
        put(path, content)

    def add(number: int) -> str:
        def edit(listing: Listing) -> Listing:
            return with_partner(listing, cards[number], "CN", ("researcher",), (now, now + DAY))

        try:
            registrar.change(home, None, edit)
        except Conflict:
            return "conflict"
        return partner_name(cards[number].name)

    monkeypatch.setattr(registrar, "replace_file", slowly)
    with ThreadPoolExecutor(2) as threads:
        said = list(threads.map(add, (0, 1)))
    assert sorted(said)[0] == "conflict"
    assert len(written) == 1
    assert list(registrar.current(home).partners) == [name for name in said if name != "conflict"]
