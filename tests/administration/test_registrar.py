"""Two administrators at once: one version of a role never gets two contents."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cimfed.errors import Conflict
from cimfed.model.names import Federation, partner_name
from cimfed.rpc import clock
from cimfed.rpc.service import ServiceClient
from cimfed.trust.directory import publication
from cimfed.trust.directory.edit import DAY, with_partner
from cimfed.trust.directory.layout import REGISTRAR, Files, partners_bin
from cimfed.trust.directory.listing import Listing
from cimfed.trust.identity_files import load_signing_key, make_identity
from tests.service import serving


def test_two_publications_at_once_are_one_and_a_conflict(tmp_path: Path) -> None:
    sco, now = Federation("sco"), clock.now()
    cards = [make_identity(tmp_path / name, name, sco, now) for name in ("inst.tsinghua", "inst.iitd")]
    with serving(tmp_path) as service:
        key = load_signing_key(service.office / "registrar.key")

        def add(number: int) -> str:
            listing = with_partner(Listing(), cards[number], "CN", ("researcher",), (now, now + DAY))
            draft = publication.registrar_draft(2, sco, listing, now)
            try:
                with ServiceClient(service.address) as client:
                    client.publish(publication.sign(draft, key, {REGISTRAR: [key.public]}))
            except Conflict:
                return "conflict"
            return partner_name(cards[number].name)

        with ThreadPoolExecutor(2) as threads:
            said = list(threads.map(add, (0, 1)))
        assert sorted(said)[0] == "conflict"
        assert sorted(service.directory.partners) == [name for name in said if name != "conflict"]
        assert service.directory.versions[REGISTRAR] == 2


def test_only_what_has_changed_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a federation may be larger than a message."""
    sent: list[list[str]] = []
    publish = ServiceClient.publish

    def watched(self: ServiceClient, files: Files) -> int:
        sent.append(sorted(files))
        return publish(self, files)

    with serving(tmp_path) as service:
        service.join_gateway()
        monkeypatch.setattr(ServiceClient, "publish", watched)
        service.join_partner("inst.iitd")
        service.join_partner("inst.tsinghua")
        files = service.directory.files
    metadata, target = sent[-1]
    assert metadata.endswith(".registrar.json")
    assert target.startswith("targets/partners/")
    assert target.endswith(partners_bin("inst.tsinghua").removeprefix("partners/"))
    assert target in files
