"""Cards: proof of possession, strict form; keys on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785

from cimfed.errors import BadConfig, BadDirectory, Conflict
from cimfed.model.names import Federation, Kind
from cimfed.trust.card import parse_card, seal_card
from cimfed.trust.envelope import PayloadType, from_json, seal, to_json
from cimfed.trust.identity_files import (
    load_issuing_key,
    load_public_key,
    load_signer,
    load_signing_key,
    make_identity,
    make_signing_key,
)
from cimfed.trust.keys import KeySigner
from tests.unit.cimfed.parties import CITY, GATEWAY, PARTNER, SCO, Party

NOW = 1_800_000_000_000_000
PARTIES = {name: Party.make(name, NOW) for name in (CITY, GATEWAY, PARTNER)}


@pytest.mark.parametrize("name", PARTIES)
def test_a_card_reads_back(name: str) -> None:
    card = PARTIES[name].card()
    assert parse_card(seal_card(card, PARTIES[name].signer)) == card


def test_a_card_with_a_key_of_another_is_refused() -> None:
    stolen = replace(PARTIES[CITY].card(), keys=(PARTIES[GATEWAY].signer.public,))
    with pytest.raises(BadDirectory):
        seal_card(stolen, PARTIES[CITY].signer)
    two = replace(PARTIES[CITY].card(), keys=(PARTIES[CITY].signer.public, PARTIES[GATEWAY].signer.public))
    with pytest.raises(BadDirectory):
        seal_card(two, PARTIES[CITY].signer)


@pytest.mark.parametrize(
    "change",
    [
        {"address": ""},
        {"address": "nowhere"},
        {"stewards": ()},
        {"keys": ()},
        {"issuers": (PARTIES[GATEWAY].issuing.issuer,)},
        {"issuers": ()},
        {"federation": Federation("other")},
        {"name": "uz.tashkent"},
    ],
)
def test_a_card_that_no_reader_would_take_is_not_made(change: dict) -> None:
    with pytest.raises(BadDirectory):
        seal_card(replace(PARTIES[CITY].card(), **change), PARTIES[CITY].signer)


def test_a_card_of_another_kind_than_its_name_is_refused() -> None:
    signer = PARTIES[CITY].signer
    document = json.loads(from_json(seal_card(PARTIES[CITY].card(), signer), 10**6).payload)
    for change in ({"kind": "gateway"}, {"extra": 1}, {"format": "cimfed/card/v1"}, {"keys": 7}):
        forged = to_json(seal(PayloadType.CARD, rfc8785.dumps({**document, **change}), signer))
        with pytest.raises(BadDirectory):
            parse_card(forged)


def test_a_party_that_changes_keys_has_both_on_its_card_and_both_sign_it() -> None:
    old, new = PARTIES[CITY], Party.make(CITY, NOW)
    issuers, keys = (old.issuing.issuer, new.issuing.issuer), (old.signer.public, new.signer.public)
    card = replace(old.card(), issuers=issuers, keys=keys)
    assert parse_card(seal_card(card, old.signer, new.signer)) == card
    for alone in (old.signer, new.signer):
        with pytest.raises(BadDirectory):
            seal_card(card, alone)


def test_the_fingerprint_changes_with_any_key() -> None:
    card = PARTIES[CITY].card()
    other = replace(card, stewards=(KeySigner.generate().public,))
    assert card.fingerprint != other.fingerprint


class TestFiles:
    def test_an_identity_is_made_once_and_loads_again(self, tmp_path: Path) -> None:
        steward = KeySigner.generate().public
        card = make_identity(tmp_path, CITY, SCO, NOW, "127.0.0.1:1", [steward])
        assert parse_card((tmp_path / "card.json").read_bytes()) == card
        assert load_signer(tmp_path, Kind.CITY).public == card.keys[0]
        assert (load_issuing_key(tmp_path).issuer,) == card.issuers
        before = (tmp_path / "keys" / "node.key").read_bytes()
        with pytest.raises(Conflict):
            make_identity(tmp_path, CITY, SCO, NOW, "127.0.0.1:1", [steward])
        assert (tmp_path / "keys" / "node.key").read_bytes() == before

    def test_nothing_is_written_for_facts_that_are_wrong(self, tmp_path: Path) -> None:
        with pytest.raises(BadDirectory):
            make_identity(tmp_path / "home", CITY, SCO, NOW, "nowhere", [KeySigner.generate().public])
        assert not (tmp_path / "home").exists()

    def test_private_keys_are_for_their_owner_alone(self, tmp_path: Path) -> None:
        make_identity(tmp_path, PARTNER, SCO, NOW)
        for path in (tmp_path / "keys").glob("*.key"):
            assert path.stat().st_mode & 0o777 == 0o600
        loose = tmp_path / "keys" / "access.key"
        loose.chmod(0o640)
        with pytest.raises(BadConfig, match="others may read"):
            load_signer(tmp_path, Kind.PARTNER)

    def test_an_offline_key_is_encrypted_and_has_its_public_half_beside_it(self, tmp_path: Path) -> None:
        path = tmp_path / "steward.key"
        public = make_signing_key(path, b"correct horse")
        assert b"ENCRYPTED" in path.read_bytes()
        assert load_public_key(tmp_path / "steward.pub") == public
        assert load_signing_key(path, b"correct horse").public == public
        with pytest.raises(BadConfig):
            load_signing_key(path)
        with pytest.raises(Conflict):
            make_signing_key(path, None)

    def test_what_is_no_key_file_is_refused_with_its_path(self, tmp_path: Path) -> None:
        path = tmp_path / "steward.pub"
        path.write_text("garbage")
        with pytest.raises(BadConfig) as caught:
            load_public_key(path)
        assert caught.value.place == str(path)
        with pytest.raises(BadConfig):
            load_signing_key(tmp_path / "missing.key")
