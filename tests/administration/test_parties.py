"""Listing, suspending and removing parties as it is typed, against a real directory service behind real TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cimfed.errors import UnknownPeer
from cimfed.rpc import clock
from cimfed.trust.tlog.entries import Admission
from tests.service import Running, serving

HOUR = 3_600_000_000
WHY = ("--reason", "an inquiry")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        yield running


def states(service: Running, group: str, *more: str) -> dict[str, str]:
    found = service.ok("cimfed", group, "list", "--json", *more).json["parties"]
    return {party["name"]: party["state"] for party in found}


def test_everybody_is_shown_with_a_state_from_the_invitation_on(service: Running) -> None:
    token = service.token("member", "gw.new")
    assert states(service, "member") == {"gw.new": "invited"}
    service.ok("cimfed-gateway", "join", token, "--home", "new", "--address", "localhost:9")
    assert states(service, "member") == {"gw.new": "waiting"}
    service.approve("gw.new")
    service.join_gateway("gw.east")
    service.join_gateway("gw.west")
    service.ok("cimfed", "member", "suspend", "gw.east", "--for", "2h", *WHY, "--yes")
    service.ok("cimfed", "revoke", "gw.west", *WHY, "--yes")
    assert states(service, "member") == {"gw.east": "suspended", "gw.new": "listed", "gw.west": "revoked"}
    assert states(service, "partner") == {}


def test_without_a_registrars_key_the_list_is_what_the_directory_says(service: Running) -> None:
    service.token("member", "gw.new")
    service.join_gateway()
    (service.office / "registrar.key").unlink()
    said = service.ok("cimfed", "member", "list", "--json").json
    assert [party["name"] for party in said["parties"]] == ["gw.alliance"]
    assert "shown to a registrar" in said["notes"][0]


def test_a_suspended_party_is_off_the_list_until_its_time_and_then_on_it_by_itself(service: Running) -> None:
    service.join_gateway()
    words = ("cimfed", "member", "suspend", "gw.alliance", *WHY)
    assert service.refused(*words, "--for", "2h") == "not_confirmed"
    assert service.refused(*words, "--yes") == "bad_config"
    assert service.refused(*words, "--for", "2h", "--lift", "--yes") == "bad_config"
    assert service.ok(*words, "--for", "2h", "--dry-run", "--json").json["changed"] is False
    service.directory.gateway("gw.alliance")
    found = service.ok(*words, "--for", "2h", "--yes", "--json").json
    assert found["affected"] == {"party": "gw.alliance", "gateways": []}
    with pytest.raises(UnknownPeer):
        service.directory.gateway("gw.alliance")
    service.directory.as_of(clock.now() + 2 * HOUR + 1).gateway("gw.alliance")
    service.ok("cimfed", "member", "suspend", "gw.alliance", "--lift", *WHY, "--yes")
    service.directory.gateway("gw.alliance")


def test_a_removed_party_is_gone_and_who_depends_on_it_is_told_before(service: Running) -> None:
    service.join_gateway()
    service.join_partner()
    service.join_city()
    words = ("cimfed", "member", "remove", "kz.almaty", *WHY)
    assert "kz.almaty gives nothing; 1 partners are listed" in service.ok(*words, "--dry-run").out
    assert service.refused("cimfed", "partner", "remove", "kz.almaty", *WHY, "--yes") == "bad_config"
    service.ok(*words, "--yes")
    assert not service.directory.published.members
    assert service.refused(*words, "--yes") == "not_found"
    said = service.ok("cimfed", "partner", "remove", "inst.iitd", *WHY, "--yes", "--json").json
    assert said["affected"] == {"party": "inst.iitd", "cities": []}
    assert service.token("member", "kz.almaty")


def test_the_log_of_the_service_has_the_reason_before_the_publication(service: Running) -> None:
    service.join_gateway()
    service.ok("cimfed", "member", "suspend", "gw.alliance", "--for", "90m", *WHY, "--yes")
    *_, told, published = service.log()
    assert isinstance(told, Admission)
    assert (told.step, told.name, told.reason) == ("suspended", "gw.alliance", "an inquiry")
    assert published.type == "publication"
