"""Invitations and requests as they are typed, against a real directory service behind real TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cimfed import joining
from cimfed.client.profile import read_profile
from cimfed.model.names import Kind
from cimfed.trust.card import parse_card
from cimfed.trust.hashing import sha256
from cimfed.trust.identity_files import load_signer
from cimfed.trust.invitation import parse_invitation
from tests.service import Running, serving


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        yield running


def test_a_partner_a_city_and_a_gateway_join_by_invitations_and_are_listed(service: Running) -> None:
    service.join_gateway()
    service.join_city()
    service.join_partner()
    directory = service.directory
    assert (set(directory.members), set(directory.gateways)) == ({"kz.almaty"}, {"gw.alliance"})
    partner = directory.partner("inst.iitd")
    assert (partner.country, partner.roles) == ("IN", ("researcher",))
    profile = read_profile(str(service.folder / "profiles" / "inst.iitd"))
    assert profile.gateway == "gw.alliance"
    signer = load_signer(profile.home, Kind.PARTNER)
    assert [key.key for key in partner.keys] == [signer.public]
    assert profile.root == (service.folder / "office" / "directory" / "root.json").read_bytes()
    assert "nobody waits, and nobody is invited" in service.ok("cimfed", "requests").out


def test_a_token_stands_alone_on_standard_output_and_names_the_root(service: Running) -> None:
    said = service.ok("cimfed", "partner", "invite", "inst.iitd", "--yes")
    invitation = parse_invitation(said.out)
    assert said.out == invitation.text + "\n"
    assert (invitation.name, invitation.service) == ("inst.iitd", service.address)
    assert invitation.root == sha256((service.folder / "office" / "directory" / "root.json").read_bytes())
    found = service.ok("cimfed", "member", "invite", "gw.east", "--valid", "2h", "--yes", "--json").json
    assert parse_invitation(found["token"]).name == "gw.east"
    assert found["root"] == invitation.root.hex()
    listed = service.ok("cimfed", "requests", "list", "--json").json["invitations"]
    assert [item["name"] for item in listed] == ["gw.east", "inst.iitd"]


def test_who_is_invited_must_be_of_the_groups_kind_and_not_listed_yet(service: Running) -> None:
    assert service.refused("cimfed", "partner", "invite", "kz.almaty", "--yes") == "bad_config"
    assert service.refused("cimfed", "member", "invite", "dir.other", "--yes") == "bad_config"
    assert service.refused("cimfed", "member", "invite", "kz.almaty", "--valid", "2 hours", "--yes") == "bad_config"
    assert service.refused("cimfed", "member", "invite", "kz.almaty", "--valid", "31d", "--yes") == "bad_config"
    assert service.refused("cimfed", "member", "invite", "kz.almaty") == "not_confirmed"
    assert service.refused("cimfed", "member", "invite", "kz.almaty", "--new-keys", "--yes") == "not_found"
    said = service.ok("cimfed", "member", "invite", "kz.almaty", "--dry-run")
    assert said.out == ""
    assert service.ok("cimfed", "requests", "--json").json["invitations"] == []


def test_nothing_is_made_before_the_service_has_shown_the_root_that_the_token_names(service: Running) -> None:
    real = parse_invitation(service.token("member", "gw.alliance"))
    false = type(real)(real.federation, real.name, real.service, bytes(32), real.secret).text
    away = type(real)(real.federation, real.name, "127.0.0.1:1", real.root, real.secret).text
    words = ("--home", "gateway", "--address", "localhost:9")
    assert service.refused("cimfed-gateway", "join", false, *words) == "bad_directory"
    assert service.refused("cimfed-gateway", "join", away, *words) == "node_unreachable"
    assert service.refused("cimfed-node", "join", real.text, "--home", "gateway") == "bad_config"
    assert service.ok("cimfed-gateway", "join", real.text, *words, "--dry-run", "--json").json["changed"] is False
    assert not (service.folder / "gateway").exists()


def test_what_could_not_be_sent_is_sent_again_by_the_same_command(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = service.token("member", "gw.alliance")
    words = ("cimfed-gateway", "join", token, "--home", "gateway", "--address", "localhost:9")
    with monkeypatch.context() as away:
        away.setattr("cimfed.rpc.service.JOIN", "/cimfed.v1.AdmissionService/Nobody")
        assert service.run(*words).code != 0
    card = (service.folder / "gateway" / "card.json").read_bytes()
    said = service.ok(*words, "--json").json
    assert said["state"] == "waiting"
    assert said["fingerprint"] == parse_card(card).fingerprint
    assert (service.folder / "gateway" / "card.json").read_bytes() == card
    service.approve("gw.alliance")
    assert service.ok(*words, "--json").json["state"] == "listed"


def test_a_token_may_come_on_standard_input_where_nobody_sees_it(service: Running) -> None:
    token = service.token("member", "gw.alliance")
    words = ("cimfed-gateway", "join", "-", "--home", "gateway", "--address", "localhost:9", "--json")
    assert service.run(*words, typed=token + "\n").json["state"] == "waiting"
    assert service.run(*words, typed="").json["error"]["reason"] == "bad_config"
    assert service.run(*words, typed="x" * 5000).json["error"]["reason"] == "bad_config"


def test_waiting_ends_when_the_party_is_listed_or_denied(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator decides while the newcomer looks: at its first look the request still waits."""
    looks: list[str] = []

    def decide() -> None:
        looks.append(service_name)
        if service_name == "gw.east":
            service.approve("gw.east")
        else:
            service.ok("cimfed", "requests", "deny", "gw.west", "--reason", "who are you?", "--yes")

    monkeypatch.setattr(joining, "pause", decide)
    service_name = "gw.east"
    token = service.token("member", "gw.east")
    words = ("--address", "localhost:9", "--wait", "--json")
    said = service.ok("cimfed-gateway", "join", token, "--home", "east", *words)
    assert said.json["state"] == "listed"
    service_name = "gw.west"
    token = service.token("member", "gw.west")
    refused = service.run("cimfed-gateway", "join", token, "--home", "west", *words)
    assert (refused.code, refused.json["error"]["reason"]) == (4, "not_admitted")
    assert "who are you?" in refused.json["error"]["message"]
    assert looks == ["gw.east", "gw.west"]


def test_waiting_may_be_broken_off_and_gone_on_with(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(joining, "pause", interrupt)
    words = ("cimfed-gateway", "join", service.token("member", "gw.alliance"), "--home", "gateway")
    said = service.run(*words, "--address", "localhost:9", "--wait", "--json")
    assert (said.code, said.out) == (130, "")
    assert "run the same command again" in said.err
    service.approve("gw.alliance")
    assert service.ok(*words, "--wait", "--json").json["state"] == "listed"


def test_a_home_whose_key_was_revoked_uses_no_invitation_up(service: Running) -> None:
    """The registrar's approval would change nothing, and the partner would be as before."""
    service.join_gateway()
    service.join_partner()
    key = service.directory.partner("inst.iitd").keys[0].key
    service.ok("cimfed", "revoke", key.id.hex(), "--reason", "stolen", "--yes")
    token = service.ok("cimfed", "partner", "invite", "inst.iitd", "--new-keys", "--yes").out.strip()
    again = ("cimfed", "join", token, "--profile", "inst.iitd", "--no-passphrase")
    assert service.refused(*again, "--dry-run") == "key_revoked"
    assert service.refused(*again) == "key_revoked"
    service.ok("cimfed", "join", token, "--profile", "renewed", "--former", "inst.iitd", "--no-passphrase")
    service.approve("inst.iitd")
    assert key not in [listed.key for listed in service.directory.partner("inst.iitd").keys]


def test_a_request_is_approved_by_its_fingerprint_and_by_no_other(service: Running) -> None:
    token = service.token("member", "gw.alliance")
    service.ok("cimfed-gateway", "join", token, "--home", "gateway", "--address", "localhost:9")
    fingerprint = parse_card((service.folder / "gateway" / "card.json").read_bytes()).fingerprint
    assert fingerprint in service.ok("cimfed", "requests").out
    approve = ("cimfed", "requests", "approve", "gw.alliance")
    assert service.refused(*approve, "--fingerprint", "0" * 32) == "bad_directory"
    assert service.refused(*approve) == "not_confirmed"
    assert service.ok(*approve, "--yes", "--dry-run", "--json").json["changed"] is False
    assert service.refused("cimfed", "requests", "approve", "gw.other", "--yes") == "not_found"
    assert not service.directory.gateways
    found = service.ok(*approve, "--fingerprint", fingerprint, "--json").json
    assert (found["changed"], found["fingerprint"], found["version"]) == (True, fingerprint, 2)
    assert service.refused(*approve, "--yes") == "not_found"


def test_a_new_partner_needs_a_country(service: Running) -> None:
    service.join_gateway()
    service.ok("cimfed", "join", service.token("partner", "inst.iitd"), "--no-passphrase")
    assert service.refused("cimfed", "requests", "approve", "inst.iitd", "--yes") == "bad_directory"
    for wrong, meant in (("UK", "GB"), ("India", "IN"), ("IX", "such as KZ")):
        said = service.run("cimfed", "requests", "approve", "inst.iitd", "--yes", "--country", wrong)
        assert said.code == 2
        assert f"'{wrong}' is not a country (at --country)" in said.err
        assert meant in said.err
    assert "inst.iitd" not in service.directory.partners
    service.approve("inst.iitd", "--country", "IN")


def test_a_partner_whose_federation_has_several_gateways_names_one(service: Running) -> None:
    service.join_gateway("gw.east")
    service.join_gateway("gw.west")
    token = service.token("partner", "inst.iitd")
    assert service.refused("cimfed", "join", token, "--no-passphrase") == "bad_config"
    assert service.refused("cimfed", "join", token, "--no-passphrase", "--gateway", "gw.north") == "not_found"
    assert not (service.folder / "profiles").exists()
    service.ok("cimfed", "join", token, "--no-passphrase", "--gateway", "gw.west")
    assert read_profile(str(service.folder / "profiles" / "sco")).gateway == "gw.west"


def test_a_party_that_has_lost_its_keys_comes_with_new_ones(service: Running) -> None:
    service.join_gateway()
    (old,) = service.directory.gateway("gw.alliance").keys
    assert service.refused("cimfed", "member", "invite", "gw.alliance", "--yes") == "conflict"
    token = service.token("member", "gw.alliance", "--new-keys")
    service.ok("cimfed-gateway", "join", token, "--home", "anew", "--address", "localhost:9")
    said = service.approve("gw.alliance").out
    assert re.search(rf"key {old.id.hex()[:16]} goes", said)
    assert old not in service.directory.gateway("gw.alliance").keys


def test_an_invitation_is_taken_back(service: Running) -> None:
    token = service.token("member", "gw.alliance")
    service.ok("cimfed", "requests", "withdraw", "gw.alliance", "--yes")
    words = ("--home", "gateway", "--address", "localhost:9")
    assert service.refused("cimfed-gateway", "join", token, *words) == "bad_invitation"
    assert service.refused("cimfed", "requests", "withdraw", "gw.alliance", "--yes") == "not_found"


def test_a_card_that_is_there_is_not_handed_in_for_another_address_or_steward(service: Running) -> None:
    steward, other = service.steward("kz.almaty"), service.steward("uz.tashkent")
    words = ("cimfed-node", "join", service.token("member", "kz.almaty"), "--home", "almaty")
    service.ok(*words, "--address", "localhost:9", "--steward-key", steward)
    service.ok(*words, "--address", "localhost:9", "--steward-key", steward)
    service.ok(*words)
    for more in (("--address", "almaty.example:8443"), ("--steward-key", other)):
        said = service.run(*words, *more)
        assert said.code == 5
        assert f"(at {more[0]})" in said.err
    words = ("cimfed-gateway", "join", service.token("member", "gw.east"), "--home", "east")
    service.ok(*words, "--address", "localhost:9")
    assert service.refused(*words, "--address", "localhost:10") == "conflict"


def test_who_approves_sees_the_address_and_the_stewards_that_will_be_listed(service: Running) -> None:
    words = ("--home", "almaty", "--address", "localhost:9", "--steward-key", service.steward("kz.almaty"))
    service.ok("cimfed-node", "join", service.token("member", "kz.almaty"), *words)
    card = parse_card((service.folder / "almaty" / "card.json").read_bytes())
    said = service.ok("cimfed", "requests", "approve", "kz.almaty", "--dry-run").out
    assert "address localhost:9" in said
    assert f"steward's key {card.stewards[0].id.hex()[:16]}" in said


def test_a_dry_run_of_an_invitation_finds_what_stands_against_it(service: Running) -> None:
    service.join_gateway("gw.east")
    service.join_gateway("gw.west")
    service.ok("cimfed", "revoke", "gw.west", "--reason", "taken over", "--yes")
    service.token("member", "kz.almaty")
    invite = ("cimfed", "member", "invite")
    before = service.log()
    for words, reason in (
        (("gw.east",), "conflict"),
        (("gw.west", "--new-keys"), "conflict"),
        (("kz.almaty",), "conflict"),
        (("uz.tashkent", "--new-keys"), "not_found"),
        (("uz.tashkent", "--valid", "31d"), "bad_config"),
    ):
        assert service.refused(*invite, *words, "--dry-run") == reason
        assert service.refused(*invite, *words, "--yes") == reason
    assert service.log() == before
    assert "--new-keys" in service.run(*invite, "gw.east", "--yes").err
    assert "cimfed requests withdraw kz.almaty" in service.run(*invite, "kz.almaty", "--yes").err
    service.ok(*invite, "uz.tashkent", "--dry-run")


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_an_address_that_nobody_can_dial_is_not_joined_with(service: Running, host: str) -> None:
    address = ("--address", f"{host}:8443", "--listen", "127.0.0.1:8443")
    for words in (
        ("cimfed-gateway", "join", service.token("member", "gw.east"), "--home", "new"),
        ("cimfed-node", "join", service.token("member", "kz.almaty"), "--home", "new",
         "--steward-key", service.steward("kz.almaty")),
        ("cimfed-gateway", "directory", "init", "dir.other", "--federation", "sco", "--home", "new"),
    ):  # fmt: skip
        said = service.run(*words, *address[: 2 if "init" in words else 4])
        assert said.code == 2
        assert f"nobody can dial {host}:8443 (at --address)" in said.err
    assert not (service.folder / "new").exists()


def test_a_steward_of_two_cities_has_a_key_for_each(service: Running) -> None:
    service.join_city("kz.almaty")
    words = ("--home", "new", "--address", "localhost:9", "--steward-key", service.steward("kz.almaty"))
    service.ok("cimfed-node", "join", service.token("member", "uz.tashkent"), *words)
    said = service.run("cimfed", "requests", "approve", "uz.tashkent", "--yes")
    assert "a key of uz.tashkent is already listed for kz.almaty (at uz.tashkent). Each has keys of its own" in said.err
