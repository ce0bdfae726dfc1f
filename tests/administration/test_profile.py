"""Profiles as a partner has them, against a real directory service: looked at, chosen, done away with, joined again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cimfed.client.profile import PARTS, read_profile
from cimfed.trust.card import parse_card
from tests.service import Running, serving

JOIN = ("cimfed", "join")
OPEN = "--no-passphrase"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        running.join_gateway()
        yield running


def home(service: Running, profile: str) -> Path:
    return service.folder / "profiles" / profile


def profiles(service: Running) -> dict[str, bool]:
    """By name, whether it is the one that is meant."""
    found = service.ok("cimfed", "profile", "list", "--json").json["profiles"]
    return {each["profile"]: each["meant"] for each in found}


def test_a_join_that_is_refused_leaves_nothing_and_the_next_invitation_works(service: Running) -> None:
    token = service.token("partner", "inst.iitd")
    service.ok("cimfed", "requests", "withdraw", "inst.iitd", "--yes")
    said = service.run(*JOIN, token, OPEN)
    assert said.code == 4
    assert "Ask the administrator for another" in said.err
    assert "is removed again" in said.err
    assert not (service.folder / "profiles").exists()
    refused = service.run(*JOIN, token, OPEN, "--json").json
    assert refused["error"]["reason"] == "bad_invitation"
    service.ok(*JOIN, service.token("partner", "inst.iitd"), OPEN)
    assert service.ok("cimfed", "profile", "default").out == "sco\n"


def test_a_token_that_was_used_elsewhere_costs_no_keys_there(service: Running) -> None:
    token = service.token("partner", "inst.iitd")
    service.ok(*JOIN, token, "--profile", "first", OPEN)
    card = (home(service, "first") / "card.json").read_bytes()
    assert service.refused(*JOIN, token, "--profile", "second", OPEN) == "conflict"
    assert profiles(service) == {"first": True}
    assert (home(service, "first") / "card.json").read_bytes() == card
    assert service.ok(*JOIN, token, "--profile", "first", OPEN, "--json").json["state"] == "waiting"


@pytest.mark.parametrize("program", ["cimfed-node", "cimfed-gateway"])
def test_a_home_goes_that_was_made_for_an_invitation_that_does_not_count(service: Running, program: str) -> None:
    name = {"cimfed-node": "kz.almaty", "cimfed-gateway": "gw.east"}[program]
    token = service.token("member", name)
    service.ok("cimfed", "requests", "withdraw", name, "--yes")
    words = ("--home", "new", "--address", "localhost:9")
    words += ("--steward-key", str(service.steward(name))) if name == "kz.almaty" else ()
    (service.folder / "new").mkdir()
    (service.folder / "new" / "notes.txt").write_text("")
    assert service.refused(program, "join", token, *words) == "bad_invitation"
    assert [path.name for path in (service.folder / "new").iterdir()] == ["notes.txt"]
    assert service.ok(program, "join", service.token("member", name), *words, "--json").json["state"] == "waiting"


def test_keys_that_were_denied_are_handed_in_again_by_the_next_invitation(service: Running) -> None:
    token = service.token("partner", "inst.iitd")
    service.ok(*JOIN, token, OPEN)
    card = (home(service, "sco") / "card.json").read_bytes()
    service.ok("cimfed", "requests", "deny", "inst.iitd", "--reason", "fingerprint?", "--yes")
    said = service.run(*JOIN, token, OPEN)
    assert said.code == 4
    assert "for another invitation: the same command" in said.err
    service.ok(*JOIN, service.token("partner", "inst.iitd"), OPEN)
    assert (home(service, "sco") / "card.json").read_bytes() == card
    service.approve("inst.iitd", "--country", "IN")
    assert service.ok("cimfed", "profile", "show", "--json").json["state"] == "listed"


def test_who_was_invited_by_a_wrong_name_joins_by_the_right_one_and_is_meant(service: Running) -> None:
    service.ok(*JOIN, service.token("partner", "inst.iitb"), OPEN)
    service.ok("cimfed", "requests", "deny", "inst.iitb", "--reason", "a typing error", "--yes")
    said = service.ok(*JOIN, service.token("partner", "inst.iitd"), OPEN)
    assert "inst.iitd is meant from now on where no profile is named: sco can ask nothing" in said.out
    assert profiles(service) == {"inst.iitd": True, "sco": False}
    assert read_profile(str(home(service, "inst.iitd"))).name == "inst.iitd"
    said = service.run(*JOIN, service.token("partner", "inst.pku"), OPEN, "--profile", "sco")
    assert said.code == 5
    assert "cimfed profile remove sco" in said.err


def test_a_profile_in_use_stays_the_one_that_is_meant_until_another_is_chosen(service: Running) -> None:
    service.join_partner("inst.iitd", "first")
    said = service.ok(*JOIN, service.token("partner", "inst.pku"), "--profile", "second", OPEN)
    assert "cimfed profile default second" in said.out
    assert service.refused("cimfed", "profile", "show") == "bad_config"
    assert "cimfed profile default" in service.run("cimfed", "profile", "show").err
    assert service.ok("cimfed", "profile", "default", "second", "--dry-run", "--json").json["changed"] is False
    assert profiles(service) == {"first": False, "second": False}
    assert service.ok("cimfed", "profile", "default", "second", "--json").json["changed"] is True
    assert service.ok("cimfed", "profile", "default", "second", "--json").json["changed"] is False
    assert profiles(service) == {"first": False, "second": True}
    assert service.ok("cimfed", "profile", "show", "--json").json["name"] == "inst.pku"
    assert service.refused("cimfed", "profile", "default", "third") == "not_found"
    assert service.refused("cimfed", "profile", "default", "./second") == "bad_config"


def test_what_is_shown_is_how_the_directory_lists_the_key(service: Running) -> None:
    service.ok(*JOIN, service.token("partner", "inst.iitd"), OPEN)
    card = parse_card((home(service, "sco") / "card.json").read_bytes())

    def state() -> str:
        found = service.ok("cimfed", "profile", "show", "sco", "--json").json
        assert found["keys"] == [card.keys[0].id.hex()]
        assert found["fingerprint"] == card.fingerprint
        return str(found["state"])

    assert state() == "not_listed"
    service.approve("inst.iitd", "--country", "IN")
    assert state() == "listed"
    service.ok("cimfed", "partner", "suspend", "inst.iitd", "--for", "2h", "--reason", "holiday", "--yes")
    assert state() == "suspended"
    service.ok("cimfed", "partner", "suspend", "inst.iitd", "--lift", "--reason", "back", "--yes")
    service.ok("cimfed", "revoke", card.keys[0].id.hex(), "--reason", "stolen", "--yes")
    assert state() == "revoked"


def test_who_removes_a_profile_is_told_what_is_lost_and_asked(service: Running) -> None:
    service.join_partner("inst.iitd", "sco")
    key = parse_card((home(service, "sco") / "card.json").read_bytes()).keys[0].id.hex()
    remove = ("cimfed", "profile", "remove", "sco")
    assert service.refused(*remove) == "not_confirmed"
    assert service.run(*remove, typed="n\n").code == 1
    said = service.ok(*remove, "--dry-run")
    assert f"access key {key[:16]}" in said.out
    assert "These keys are lost, unless you keep a copy" in said.out
    assert "stays listed" in said.out
    assert "cimfed partner remove inst.iitd" in said.out
    found = service.ok(*remove, "--dry-run", "--json").json
    assert (found["changed"], found["affected"]) == (False, {"keys": [key], "state": "listed"})
    assert profiles(service) == {"sco": True}
    assert service.ok(*remove, "--yes", "--json").json["changed"] is True
    assert not home(service, "sco").exists()
    assert "inst.iitd" in service.directory.partners
    assert service.refused(*remove, "--yes") == "not_found"


def test_what_cimfed_did_not_make_stays_and_is_named(service: Running) -> None:
    service.ok(*JOIN, service.token("partner", "inst.iitd"), OPEN)
    (home(service, "sco") / "answer.receipt").write_text("")
    said = service.ok("cimfed", "profile", "remove", "sco", "--yes")
    assert "cimfed requests deny inst.iitd" in said.out
    assert "answer.receipt" in said.out
    assert [path.name for path in home(service, "sco").iterdir()] == ["answer.receipt"]


def test_half_of_a_profile_is_named_by_join_and_removed_like_a_whole_one(service: Running) -> None:
    token = service.token("partner", "inst.iitd")
    service.ok(*JOIN, token, OPEN)
    (home(service, "sco") / "profile.toml").unlink()
    said = service.run(*JOIN, token, OPEN)
    assert said.code == 5
    assert "cimfed profile remove sco" in said.err
    service.ok("cimfed", "profile", "remove", "sco", "--yes")
    assert not home(service, "sco").exists()


def test_a_folder_that_is_no_profile_is_not_touched(service: Running) -> None:
    (service.folder / "project" / "keys").mkdir(parents=True)
    (service.folder / "profiles" / "notes").mkdir(parents=True)
    assert service.refused("cimfed", "profile", "remove", "./project", "--yes") == "not_found"
    assert service.refused("cimfed", "profile", "remove", "notes", "--yes") == "not_found"
    assert service.refused("cimfed", "profile", "remove", "../project", "--yes") == "not_found"
    assert (service.folder / "project" / "keys").is_dir()
    (service.folder / "project" / "profile.toml").write_text("[package]\n")
    assert service.refused("cimfed", "profile", "remove", "./project", "--yes") == "bad_config"
    assert (service.folder / "project" / "keys").is_dir()


def test_a_profile_whose_service_is_away_is_removed_all_the_same(service: Running) -> None:
    service.ok(*JOIN, service.token("partner", "inst.iitd"), OPEN)
    file = home(service, "sco") / "profile.toml"
    file.write_text(file.read_text().replace(service.address, "127.0.0.1:1"))
    assert service.ok("cimfed", "profile", "show", "--json").json["state"] == "unknown"
    assert service.ok("cimfed", "profile", "remove", "sco", "--yes", "--json").json["affected"]["state"] == "unknown"
    assert not any((home(service, "sco") / part).exists() for part in PARTS)
