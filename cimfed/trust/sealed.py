"""Private keys of a home in one sealed piece, for a backup: the one way in which they may travel.

The parts are the cryptography library's own: scrypt (RFC 7914) makes a key of the passphrase, AES-256-GCM encrypts
and authenticates, over the files' names and contents and over what the caller binds them to. The parameters are the
format's: one that names others is refused, so that nobody else decides what opening costs.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping

import rfc8785
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from cimfed.errors import BadBackup, BadConfig

FORMAT = "cimfed/sealed-keys/v1"
COST, BLOCKS, LANES = 2**17, 8, 1  # 128 MiB and less than a second
LARGEST = 2**20  # bytes of a sealed piece
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def seal_keys(files: Mapping[str, bytes], passphrase: bytes, bound: bytes) -> bytes:
    """``files`` by name; ``bound``: what must be given again to open them."""
    salt, nonce = os.urandom(16), os.urandom(12)
    content = rfc8785.dumps({name: base64.b64encode(data).decode() for name, data in files.items()})
    text = AESGCM(_key(passphrase, salt)).encrypt(nonce, content, FORMAT.encode() + bound)
    parts = {"salt": salt, "nonce": nonce, "sealed": text}
    return rfc8785.dumps({"format": FORMAT} | {name: base64.b64encode(part).decode() for name, part in parts.items()})


def open_keys(sealed: bytes, passphrase: bytes, bound: bytes) -> dict[str, bytes]:
    """BadBackup for another format; BadConfig for a wrong passphrase or another ``bound``, which look the same."""
    try:
        document = json.loads(sealed) if len(sealed) <= LARGEST else None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise BadBackup("the keys are sealed in another format")
        salt, nonce, text = (base64.b64decode(document[name], validate=True) for name in ("salt", "nonce", "sealed"))
        if len(salt) != 16 or len(nonce) != 12:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadBackup("the sealed keys are malformed") from None
    try:
        content = AESGCM(_key(passphrase, salt)).decrypt(nonce, text, FORMAT.encode() + bound)
    except InvalidTag:
        raise BadConfig("the passphrase is wrong, or the backup was altered") from None
    files: dict[str, str] = json.loads(content)
    if not all(_NAME.fullmatch(name) for name in files):
        raise BadBackup("a sealed key has no plain file's name")
    return {name: base64.b64decode(data) for name, data in files.items()}


def _key(passphrase: bytes, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=COST, r=BLOCKS, p=LANES).derive(passphrase)
