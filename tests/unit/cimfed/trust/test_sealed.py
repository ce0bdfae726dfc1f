"""Sealed keys: opened by their passphrase and what they are bound to, and by nothing else."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from cimfed.errors import BadBackup, BadConfig
from cimfed.trust.sealed import open_keys, seal_keys

KEYS = {"node.key": b"-----BEGIN PRIVATE KEY-----\n", "city.secret": bytes(range(32))}


def test_keys_come_back_and_do_not_show() -> None:
    sealed = seal_keys(KEYS, b"correct horse", b"bound")
    assert open_keys(sealed, b"correct horse", b"bound") == KEYS
    assert b"PRIVATE" not in sealed
    assert b"node.key" not in sealed
    assert seal_keys(KEYS, b"correct horse", b"bound") != sealed


def test_the_scheme_is_scrypt_and_aes_gcm_and_nothing_more() -> None:
    document = json.loads(seal_keys(KEYS, b"pass", b"bound"))
    salt, nonce, sealed = (base64.b64decode(document[name]) for name in ("salt", "nonce", "sealed"))
    key = Scrypt(salt=salt, length=32, n=131_072, r=8, p=1).derive(b"pass")
    content = json.loads(AESGCM(key).decrypt(nonce, sealed, b"cimfed/sealed-keys/v1bound"))
    assert {name: base64.b64decode(text) for name, text in content.items()} == KEYS


def test_another_passphrase_or_another_backup_does_not_open_them() -> None:
    sealed = seal_keys(KEYS, b"pass", b"bound")
    for passphrase, bound in ((b"Pass", b"bound"), (b"pass", b"other")):
        with pytest.raises(BadConfig, match="passphrase is wrong, or the backup was altered"):
            open_keys(sealed, passphrase, bound)


def test_any_change_is_seen() -> None:
    document = json.loads(seal_keys(KEYS, b"pass", b""))
    for name in ("salt", "nonce", "sealed"):
        raw = bytearray(base64.b64decode(document[name]))
        raw[-1] ^= 1
        with pytest.raises(BadConfig):
            open_keys(json.dumps({**document, name: base64.b64encode(raw).decode()}).encode(), b"pass", b"")


@pytest.mark.parametrize(
    "change", [{"format": "cimfed/sealed-keys/v2"}, {"salt": ""}, {"nonce": "AAAA"}, {"sealed": "%"}, {"salt": 1}]
)
def test_what_is_malformed_is_refused(change: dict[str, object]) -> None:
    document = json.loads(seal_keys(KEYS, b"pass", b""))
    with pytest.raises(BadBackup):
        open_keys(json.dumps({**document, **change}).encode(), b"pass", b"")
    for content in (b"", b"[]", b"{", bytes(2**21)):
        with pytest.raises(BadBackup):
            open_keys(content, b"pass", b"")


def test_a_sealed_name_that_leads_elsewhere_is_refused() -> None:
    with pytest.raises(BadBackup):
        open_keys(seal_keys({"../x": b""}, b"pass", b""), b"pass", b"")
