"""Revoking as it is typed, against a real directory service behind real TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cimfed.errors import KeyRevoked, UnknownPeer
from cimfed.model.instants import parse_instant
from cimfed.rpc import clock
from cimfed.trust.directory import layout
from tests.service import Running, serving

HOUR = 3_600_000_000
DAY = 24 * HOUR


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        yield running


def test_a_revoked_key_counts_no_more_and_its_owner_is_named_before(service: Running) -> None:
    service.join_gateway()
    service.join_partner()
    (access,) = service.directory.partner("inst.iitd").keys
    digits = access.key.id.hex()
    words = ("cimfed", "revoke", digits[:12], "--reason", "on a stolen laptop")
    assert service.refused(*words) == "not_confirmed"
    said = service.ok(*words, "--dry-run")
    assert f"access key {digits[:16]} of inst.iitd" in said.out
    assert "inst.iitd has no other access key: it can ask nothing" in said.out
    assert service.directory.revoked == ()
    found = service.ok(*words, "--yes", "--json").json
    assert (found["changed"], found["subject"]) == (True, digits)
    assert [key["owner"] for key in found["affected"]["keys"]] == ["inst.iitd"]
    with pytest.raises(KeyRevoked):
        service.directory.access_key(access.key.id, clock.now())
    assert service.ok(*words, "--yes", "--json").json["changed"] is False


def test_a_revoked_party_is_off_the_list_with_all_its_keys_and_stays_so(service: Running) -> None:
    service.join_gateway("gw.east")
    service.join_gateway("gw.west")
    said = service.ok("cimfed", "revoke", "gw.east", "--reason", "taken over", "--yes").out
    assert "other gateways: gw.west" in said
    service.ok("cimfed", "revoke", "gw.west", "--reason", "likewise", "--yes")
    with pytest.raises(UnknownPeer):
        service.directory.gateway("gw.east")
    found = service.ok("cimfed", "revoke", "list", "--json").json["revoked"]
    assert {(item["subject"], item["reason"]) for item in found} == {("gw.east", "taken over"), ("gw.west", "likewise")}


def test_a_tls_issuing_key_is_revoked_too(service: Running) -> None:
    service.join_gateway()
    (issuer,) = service.directory.gateway("gw.alliance").issuers
    service.ok("cimfed", "revoke", issuer.id.hex(), "--reason", "copied", "--yes")
    assert service.directory.gateway("gw.alliance").issuers == ()


def test_what_is_not_listed_is_revoked_only_when_that_is_said(service: Running) -> None:
    unknown = "ab" * 32
    assert service.refused("cimfed", "revoke", unknown, "--reason", "x", "--yes") == "not_found"
    assert service.refused("cimfed", "revoke", "inst.nobody", "--reason", "x", "--yes") == "not_found"
    assert service.refused("cimfed", "revoke", "abc", "--reason", "x", "--yes") == "bad_config"
    assert service.refused("cimfed", "revoke", unknown, "--reason", "x\ny", "--yes") == "bad_directory"
    for subject in (unknown, "inst.nobody"):
        service.ok("cimfed", "revoke", subject, "--reason", "x", "--unlisted", "--yes")
    assert [item.subject for item in service.directory.revoked] == [unknown, "inst.nobody"]


def test_the_keys_of_board_and_stewards_are_exchanged_not_revoked(service: Running) -> None:
    service.join_city()
    for key in ("office/board.pub", service.steward("kz.almaty")):
        assert service.refused("cimfed", "revoke", key, "--reason", "x", "--yes") == "bad_config"
    assert service.refused("cimfed", "revoke", "dir.alliance", "--reason", "x", "--yes") == "bad_config"


def test_a_revoked_registrar_can_administer_nothing(service: Running) -> None:
    service.ok("cimfed", "revoke", "office/registrar.pub", "--reason", "stolen", "--yes")
    said = service.run("cimfed", "member", "invite", "gw.alliance", "--yes")
    assert said.code == 4
    assert "error bad_signature: key " in said.err
    assert "cimfed key list" in said.err


def test_the_list_is_renewed_for_a_day_without_a_question(service: Running) -> None:
    before = service.directory
    said = service.ok("cimfed", "revoke", "renew", "--json").json
    ends = parse_instant(said["expires"])
    assert ends is not None
    assert clock.now() + 23 * HOUR < ends <= clock.now() + DAY
    after = service.directory
    assert after.versions[layout.REVOKER] == before.versions[layout.REVOKER] + 1
    assert after.revoked == before.revoked


def test_what_has_ended_is_renewed_after_its_end(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day and an hour later the revoker's word has ended: no follower takes the directory, and the commands mend it.

    The service's clock goes on with everybody's, so its timestamp is a new one.
    """
    service.ok("cimfed", "revoke", "gw.gone", "--unlisted", "--reason", "x", "--yes")
    now = clock.now
    monkeypatch.setattr(clock, "now", lambda: now() + DAY + HOUR)
    service.renew()
    assert service.directory.expires < clock.now()
    assert "known last" in service.ok("cimfed", "directory", "status").out
    service.ok("cimfed", "revoke", "renew", "--yes")
    assert service.directory.expires > clock.now()
    assert [item.subject for item in service.directory.revoked] == ["gw.gone"]
    assert "known last" not in service.ok("cimfed", "directory", "status").out


def test_who_revokes_the_last_key_of_the_registrar_is_told_what_that_means(service: Running) -> None:
    said = service.ok("cimfed", "revoke", "office/registrar.pub", "--reason", "stolen", "--dry-run")
    assert "0 of the 1 that must sign" in said.out
    assert "cimfed directory rotate-root --registrar" in said.out
    service.ok("cimfed", "revoke", "office/registrar.pub", "--reason", "stolen", "--yes")
    said = service.run("cimfed", "doctor", "--home", "office")
    assert said.code == 1
    assert "registrar.key was revoked" in said.out
    assert "key_revoked: 1 of the registrar's keys must sign, and 0 of them are not revoked" in said.out


def test_a_key_of_a_role_that_is_not_revoked_is_named_rightly(service: Running) -> None:
    said = service.run("cimfed", "revoke", "service/keys/online.pub", "--reason", "copied", "--yes")
    assert "an online key is not revoked here" in said.err
