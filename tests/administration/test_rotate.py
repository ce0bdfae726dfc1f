"""Changing keys as it is typed, against a real directory service behind real TLS."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cimfed import joining
from cimfed.client.profile import read_profile
from cimfed.model.names import Kind
from cimfed.trust.card import parse_card
from cimfed.trust.identity_files import load_issuing_key, load_signer, load_signing_key
from cimfed.trust.next_keys import former_keys, load_issuing_key_in_use
from tests.service import Running, serving


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        yield running


GATEWAY = ("cimfed-gateway", "key", "rotate", "--home", "gw.alliance")


def test_a_gateway_changes_its_signing_key_by_two_cards(service: Running) -> None:
    service.join_gateway()
    home = service.folder / "gw.alliance"
    (old,) = service.directory.gateway("gw.alliance").keys
    said = service.ok(*GATEWAY, "--json").json
    assert (said["state"], said["changed"]) == ("waiting", True)
    card = parse_card((home / "card.json").read_bytes())
    assert card.keys[0] == old
    assert len(card.keys) == 2
    assert service.ok(*GATEWAY, "--json").json["fingerprint"] == said["fingerprint"] == card.fingerprint
    assert service.refused(*GATEWAY, "--finish", "--yes") == "conflict"
    assert "comes" in service.approve("gw.alliance").out
    assert service.directory.gateway("gw.alliance").keys == card.keys
    assert "comes into use by itself" in service.ok(*GATEWAY).out
    assert service.refused(*GATEWAY, "--finish") == "not_confirmed"
    service.ok(*GATEWAY, "--finish", "--yes")
    assert load_signer(home, Kind.GATEWAY).public == old
    service.approve("gw.alliance")
    service.ok(*GATEWAY, "--finish", "--yes")
    assert service.directory.gateway("gw.alliance").keys == card.keys[1:]
    assert load_signer(home, Kind.GATEWAY).public == card.keys[1]
    assert former_keys(home) == [old]
    assert parse_card((home / "card.json").read_bytes()).keys == card.keys[1:]
    assert service.refused(*GATEWAY, "--finish", "--yes") == "not_found"


def test_a_nodes_tls_issuing_key_changes_likewise(service: Running) -> None:
    service.join_city()
    home, rotate = service.folder / "kz.almaty", ("cimfed-node", "key", "rotate", "--home", "kz.almaty", "--tls")
    (old,) = service.directory.member("kz.almaty").issuers
    service.ok(*rotate)
    service.approve("kz.almaty")
    first, second = service.directory.member("kz.almaty").issuers
    assert first == old
    assert load_issuing_key(home).issuer == old
    service.ok(*rotate, "--finish", "--yes")
    service.approve("kz.almaty")
    service.ok(*rotate, "--finish", "--yes")
    assert service.directory.member("kz.almaty").issuers == (second,)
    assert load_issuing_key(home).issuer == second


def test_both_keys_may_change_at_once(service: Running) -> None:
    service.join_gateway()
    service.ok(*GATEWAY)
    service.ok(*GATEWAY, "--tls")
    (entry,) = service.ok("cimfed", "requests", "--json").json["requests"]
    assert entry["replaced"] == 1
    assert "waiting, new keys, in place of 1 before" in service.ok("cimfed", "requests").out
    assert "it waits in place of 1 before it, all of gw.alliance" in service.approve("gw.alliance").out
    gateway = service.directory.gateway("gw.alliance")
    assert (len(gateway.keys), len(gateway.issuers)) == (2, 2)
    service.ok(*GATEWAY, "--finish", "--yes")
    service.approve("gw.alliance")
    service.ok(*GATEWAY, "--finish", "--yes")
    after = service.directory.gateway("gw.alliance")
    assert (after.keys, after.issuers) == (gateway.keys[1:], gateway.issuers[1:])


def test_a_partner_asks_with_the_new_key_once_its_directory_lists_it(service: Running) -> None:
    service.join_gateway()
    (service.folder / "secret").write_text("correct horse\n")
    token = service.token("partner", "inst.iitd")
    service.ok("cimfed", "join", token, "--profile", "iitd", "--passphrase-file", "secret")
    service.approve("inst.iitd", "--country", "IN")
    profile = read_profile(str(service.folder / "profiles" / "iitd"))
    rotate = ("cimfed", "key", "rotate", "--profile", "iitd", "--passphrase-file", "secret")
    service.ok(*rotate)
    service.ok(*rotate, "--tls")
    old = load_signing_key(profile.access_key, b"correct horse").public
    assert profile.access_key.name == "access.key"
    service.approve("inst.iitd")
    assert profile.access_key.name == "access.key"
    service.refresh(profile)
    assert profile.access_key.name == "access.next.key"
    assert profile.encrypted
    new = load_signing_key(profile.access_key, b"correct horse").public
    partner = service.directory.partner("inst.iitd")
    assert [key.key for key in partner.keys] == [old, new]
    assert profile.issuing_key().issuer == partner.issuers[1]
    service.ok(*rotate, "--finish", "--yes")
    service.approve("inst.iitd")
    service.ok(*rotate, "--finish", "--yes")
    assert [key.key for key in service.directory.partner("inst.iitd").keys] == [new]
    assert profile.access_key.name == "access.key"
    assert load_signing_key(profile.access_key, b"correct horse").public == new
    assert profile.issuing_key().issuer == partner.issuers[1]


def test_a_revoked_key_is_told_before_another_is_made(service: Running) -> None:
    service.join_gateway()
    service.join_partner()
    key = service.directory.partner("inst.iitd").keys[0].key
    service.ok("cimfed", "revoke", key.id.hex(), "--reason", "stolen", "--yes")
    assert service.refused("cimfed", "key", "rotate", "--profile", "inst.iitd") == "key_revoked"
    assert not list((service.folder / "profiles" / "inst.iitd" / "keys").glob("*.next.*"))


def test_a_denied_card_leaves_the_old_key_and_the_next_try_makes_another(service: Running) -> None:
    service.join_gateway()
    service.ok(*GATEWAY)
    denied = parse_card((service.folder / "gw.alliance" / "card.json").read_bytes())
    service.ok("cimfed", "requests", "deny", "gw.alliance", "--reason", "call us first", "--yes")
    said = service.run(*GATEWAY)
    assert said.err.startswith("error not_admitted: the administrator has denied it: call us first. ")
    assert "the same command begins anew" in said.err
    assert parse_card((service.folder / "gw.alliance" / "card.json").read_bytes()).keys == denied.keys[:1]
    service.ok(*GATEWAY)
    assert parse_card((service.folder / "gw.alliance" / "card.json").read_bytes()).keys[1] != denied.keys[1]


class Crash(BaseException):
    pass


@pytest.mark.parametrize("after", ["the card", "the key", "the certificate"])
def test_keys_go_on_changing_after_a_finish_that_broke_off(
    service: Running, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    service.join_gateway()
    home = service.folder / "gw.alliance"
    old = load_signer(home, Kind.GATEWAY).public
    for words in ((), ("--tls",), ("--finish", "--yes")):
        service.ok(*GATEWAY, *words)
        if words:
            service.approve("gw.alliance")
    listed = service.directory.gateway("gw.alliance")

    def broken(moves: int) -> None:
        def replace(source: str | Path, target: str | Path) -> None:
            nonlocal moves
            if str(source).endswith((".next.key", ".next.pem")):
                if moves == 0:
                    raise Crash
                moves -= 1
            rename(source, target)

        rename = os.replace
        monkeypatch.setattr(os, "replace", replace)

    with monkeypatch.context():
        broken(["the card", "the key", "the certificate"].index(after))
        with pytest.raises(Crash):
            service.ok(*GATEWAY, "--finish", "--yes")
        monkeypatch.undo()
    if after == "the certificate":  # what is left to move is moved by the next change
        assert service.refused(*GATEWAY, "--finish", "--yes") == "not_found"
    else:
        service.ok(*GATEWAY, "--finish", "--yes")
    assert former_keys(home) == [old]
    assert (load_signer(home, Kind.GATEWAY).public,) == listed.keys
    assert (load_issuing_key_in_use(home).issuer,) == listed.issuers
    service.ok(*GATEWAY, "--tls")
    service.ok(*GATEWAY)
    service.approve("gw.alliance")
    after_all = service.directory.gateway("gw.alliance")
    assert (after_all.keys[:1], after_all.issuers[:1]) == (listed.keys, listed.issuers)


def test_waiting_ends_when_the_card_is_listed(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    service.join_gateway()
    monkeypatch.setattr(joining, "pause", lambda: service.approve("gw.alliance"))
    assert service.ok(*GATEWAY, "--wait", "--json").json["state"] == "listed"
    assert service.ok(*GATEWAY, "--finish", "--wait", "--yes", "--json").json["state"] == "listed"
    assert len(service.directory.gateway("gw.alliance").keys) == 1


def test_a_dry_run_makes_no_key(service: Running) -> None:
    service.join_gateway()
    before = sorted((service.folder / "gw.alliance" / "keys").iterdir())
    assert service.ok(*GATEWAY, "--dry-run", "--json").json["changed"] is False
    assert sorted((service.folder / "gw.alliance" / "keys").iterdir()) == before


def test_a_partner_with_further_keys_is_not_left_without_them(service: Running) -> None:
    service.join_gateway()
    service.join_partner()
    root = "office/directory/root.json"
    service.ok("cimfed", "profile", "new", "lab", "inst.iitd", "--federation", "sco", "--root", root,
               "--directory", service.address, "--gateway", "gw.alliance", "--no-passphrase")  # fmt: skip
    card = service.folder / "profiles" / "lab" / "card.json"
    service.ok("cimfed", "key", "issue", "inst.iitd", "--card", card, "--yes")
    assert service.refused("cimfed", "key", "rotate", "--profile", "inst.iitd") == "conflict"
