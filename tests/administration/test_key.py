"""Keys shown, issued and renewed as it is typed, against a real directory service behind real TLS."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cimfed.model.instants import parse_instant
from cimfed.rpc import clock
from cimfed.trust.card import parse_card
from cimfed.trust.directory.edit import DAY
from tests.service import Running, serving


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path) as running:
        yield running


def keys(service: Running, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = service.ok("cimfed", "key", *words, "--json").json["keys"]
    return found


def test_every_key_of_the_directory_is_listed_with_its_owner_and_its_end(service: Running) -> None:
    service.join_gateway()
    service.join_city()
    service.join_partner()
    found = keys(service, "list")
    assert sorted((key["owner"] or "", str(key["what"])) for key in found) == [
        ("", "board's key"), ("", "online key"), ("", "registrar's key"), ("", "revoker's key"),
        ("dir.alliance", "TLS issuing key"), ("dir.alliance", "log key"),
        ("gw.alliance", "TLS issuing key"), ("gw.alliance", "gateway's key"),
        ("inst.iitd", "TLS issuing key"), ("inst.iitd", "access key"),
        ("kz.almaty", "TLS issuing key"), ("kz.almaty", "node's key"), ("kz.almaty", "steward's key"),
    ]  # fmt: skip
    assert all(key["valid_now"] and key["listed"] for key in found)
    (access,) = (key for key in keys(service, "list", "inst.iitd") if key["what"] == "access key")
    valid = access["valid"]
    assert isinstance(valid, list)
    start, end = map(parse_instant, valid)
    assert start is not None
    assert end is not None
    assert start <= clock.now() < end == start + 366 * DAY
    service.ok("cimfed", "revoke", "inst.iitd", "--reason", "x", "--yes")
    assert [key["valid_now"] for key in keys(service, "list", "inst.iitd")] == [False, False]
    assert service.refused("cimfed", "key", "list", "inst.nobody") == "not_found"


def test_a_key_is_found_by_its_file_its_id_its_card_and_its_owner(service: Running) -> None:
    service.join_city()
    public = service.steward("kz.almaty")
    digits = hashlib.sha256(bytes.fromhex(public.read_text().strip().split(":")[1])).hexdigest()
    for words in ((str(public),), (digits[:8],), (digits,), (public.read_text().strip(),)):
        (found,) = keys(service, "inspect", *words)
        assert (found["key"], found["owner"], found["what"]) == (digits, "kz.almaty", "steward's key")
    assert digits in [key["key"] for key in keys(service, "inspect", "kz.almaty")]
    card = service.ok("cimfed", "key", "inspect", "kz.almaty/card.json", "--json").json
    assert (card["listed"], len(card["keys"])) == (True, 3)
    (tls,) = keys(service, "inspect", "kz.almaty/keys/tls.pem")
    assert (tls["owner"], tls["what"]) == ("kz.almaty", "TLS issuing key")
    service.ok("cimfed", "key", "new", "other.key", "--no-passphrase")
    (other,) = keys(service, "inspect", "other.pub")
    assert (other["owner"], other["listed"], other["valid_now"]) == (None, False, False)
    assert service.refused("cimfed", "key", "inspect", "other.key") == "bad_config"
    assert service.refused("cimfed", "key", "inspect", "uz.tashkent") == "not_found"


def test_a_partner_gets_a_further_key_and_keeps_the_one_it_has(service: Running) -> None:
    service.join_gateway()
    service.join_partner()
    (first,) = service.directory.partner("inst.iitd").keys
    root = "office/directory/root.json"
    service.ok("cimfed", "profile", "new", "lab", "inst.iitd", "--federation", "sco", "--root", root,
               "--directory", service.address, "--gateway", "gw.alliance", "--no-passphrase")  # fmt: skip
    card = service.folder / "profiles" / "lab" / "card.json"
    words = ("cimfed", "key", "issue", "inst.iitd", "--card", card, "--key-days", "30")
    assert "no key that is listed for inst.iitd has signed this card" in service.ok(*words, "--dry-run").out
    own = service.folder / "profiles" / "inst.iitd" / "keys" / "access.key"
    assert "signed by key" in service.ok("cimfed", "key", "endorse", card, "--key", own).out
    assert service.refused(*words) == "not_confirmed"
    said = service.ok(*words, "--yes").out
    assert "goes" not in said
    assert "no key that is listed" not in said
    partner = service.directory.partner("inst.iitd")
    assert [key.key for key in partner.keys] == [first.key, *parse_card(card.read_bytes()).keys]
    assert partner.keys[0].valid == first.valid
    assert partner.keys[1].valid[1] < first.valid[1]
    assert len(partner.issuers) == 2
    assert service.refused("cimfed", "key", "issue", "inst.other", "--card", card, "--yes") == "bad_directory"


def test_a_partners_keys_are_renewed_all_or_one(service: Running) -> None:
    service.join_gateway()
    service.ok("cimfed", "join", service.token("partner", "inst.iitd"), "--no-passphrase")
    service.approve("inst.iitd", "--country", "IN", "--key-days", "10")
    (before,) = service.directory.partner("inst.iitd").keys
    service.ok("cimfed", "key", "renew", "inst.iitd", "--key-days", "20", "--yes")
    (after,) = service.directory.partner("inst.iitd").keys
    assert after.valid == (before.valid[0], before.valid[1] + 10 * DAY)
    assert service.refused("cimfed", "key", "renew", "inst.iitd", "--only", "00000000", "--yes") == "not_found"
    assert service.refused("cimfed", "key", "renew", "inst.nobody", "--yes") == "not_found"
    digits = after.key.id.hex()[:8]
    said = service.ok("cimfed", "key", "renew", "inst.iitd", "--only", digits, "--dry-run", "--json").json
    assert said["changed"] is False
