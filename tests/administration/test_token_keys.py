"""Keys on tokens on the command line: made, signed with, and never a PIN in an argument."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cimfed.errors import BadConfig
from cimfed.trust.card import parse_card
from cimfed.trust.envelope import PayloadType, from_json, verify
from cimfed.trust.identity_files import load_public_key, load_signer, make_identity
from cimfed.trust.token.module import module_of
from tests.administration import test_commands
from tests.administration.test_commands import POLICY, Cli
from tests.tokens import PIN, Soft
from tests.unit.cimfed.parties import GATEWAY, SCO

command = test_commands.cimfed
NOW = 1_800_000_000_000_000


@pytest.fixture
def pin(command: Cli) -> Path:
    path = Path("pin").absolute()
    path.touch(0o600)
    path.write_bytes(PIN + b"\n")
    return path


class TestStewards:
    def test_a_policy_is_signed_with_a_key_that_was_made_on_a_token(
        self,
        command: Cli,
        token: Soft,
        pin: Path,
    ) -> None:
        uri = token.key().uri
        made = command("policy", "new-key", uri, "--out", "steward.pub", "--passphrase-file", pin)
        assert made.code == 0
        assert "made pkcs11:token=city;object=steward, key id" in made.out
        Path("p.yaml").write_text(POLICY.format(version=1, height="exact", lod=0))
        signed = command(
            *("policy", "sign", "p.yaml", "--key", uri, "--out", "p.policy.json", "--passphrase-file", pin)
        )
        assert signed.code == 0, signed.err
        public = load_public_key(Path("steward.pub"))
        envelope = from_json(Path("p.policy.json").read_bytes(), 1 << 20)
        assert verify(envelope, PayloadType.POLICY, (public,))
        assert module_of(token.key()).unused

    def test_without_out_the_public_key_is_printed(self, command: Cli, token: Soft, pin: Path) -> None:
        made = command("policy", "new-key", token.key(pin_source=pin).uri)
        assert "public key: ed25519:" in made.out

    def test_the_public_half_of_a_key_that_is_there_is_given(self, command: Cli, token: Soft, pin: Path) -> None:
        key = Ed25519PrivateKey.generate()
        token.put(key, "old")
        text = f"ed25519:{key.public_key().public_bytes_raw().hex()}\n"
        uri = token.key("old", pin_source=pin).uri
        assert command("policy", "public-key", uri).out == text
        assert command("policy", "public-key", uri, "--out", "old.pub").code == 0
        assert Path("old.pub").read_text() == text
        command("policy", "new-key", "file.key", "--no-passphrase")
        assert command("policy", "public-key", "file.key").out == Path("file.pub").read_text()

    def test_nobody_at_the_terminal_gives_no_pin(self, command: Cli, token: Soft) -> None:
        asked = command("policy", "new-key", token.key().uri)
        assert asked.code == 2
        assert "a passphrase or PIN is needed" in asked.err

    def test_a_pin_in_the_uri_is_refused_and_not_repeated(self, command: Cli, token: Soft) -> None:
        refused = command("policy", "new-key", f"{token.key().uri}&pin-value={PIN.decode()}")
        assert refused.code == 2
        assert "a PIN must not stand in a URI" in refused.err
        assert PIN.decode() not in refused.out + refused.err

    def test_a_public_key_file_that_is_there_stops_it_before_a_key_is_made(
        self,
        command: Cli,
        token: Soft,
        pin: Path,
    ) -> None:
        Path("steward.pub").touch()
        assert command("policy", "new-key", token.key(pin_source=pin).uri, "--out", "steward.pub").code == 5
        with token.session() as session:
            assert list(session.get_objects()) == []


class TestParties:
    def test_a_card_is_of_the_key_on_the_token_which_the_home_names(
        self,
        command: Cli,
        token: Soft,
        pin: Path,
    ) -> None:
        key = token.key("node", pin_source=pin)
        command("policy", "new-key", key.uri, "--out", "node.pub")
        card = make_identity(Path("home"), GATEWAY, SCO, NOW, "127.0.0.1:5001", token=key)
        assert card.keys == (load_public_key(Path("node.pub")),)
        assert parse_card(Path("home/card.json").read_bytes()) == card
        assert b"PRIVATE KEY" not in Path("home/keys/gateway.key").read_bytes()
        signer = load_signer(Path("home"), card.kind)
        assert signer.public == card.keys[0]
        signer.close()

    def test_nothing_is_made_where_the_token_has_no_such_key(self, token: Soft, pin: Path) -> None:
        with pytest.raises(BadConfig, match="has no such key"):
            make_identity(Path("home"), GATEWAY, SCO, NOW, "127.0.0.1:5001", token=token.key("node", pin_source=pin))
        assert not Path("home").exists()
