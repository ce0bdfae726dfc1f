"""A party's own keys as files: made once by ``init``, loaded by what serves or asks.

This file does I/O, which the rest of ``cimfed.trust`` does not. It keeps these rules:

1. private keys are made here, in files of mode 0600 that did not exist before (O_EXCL), and never leave them;
2. a private key file that others may read is not used;
3. nothing here prints or logs a key.

A home holds ``keys/<role>.key`` (Ed25519, PKCS #8 PEM; role node, gateway, access or directory), ``keys/tls.key`` and
``keys/tls.pem`` (the TLS issuing key, unencrypted, and its certificate) and ``card.json`` for the administrator.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cimfed.errors import BadConfig
from cimfed.model.names import Federation, Kind, kind_of
from cimfed.trust.card import Card, seal_card
from cimfed.trust.files import create_file
from cimfed.trust.keys import KeySigner, PublicKey, Signer
from cimfed.trust.tls import Issuer, IssuingKey

ROLES = {Kind.CITY: "node", Kind.GATEWAY: "gateway", Kind.PARTNER: "access", Kind.DIRECTORY: "directory"}
PRIVATE = 0o600


def make_identity(
    home: Path,
    name: str,
    federation: Federation,
    now: int,
    address: str = "",
    stewards: Sequence[PublicKey] = (),
    passphrase: bytes | None = None,
) -> Card:
    """Makes the keys of a party and its card under ``home``. Conflict where there are keys already.

    Nothing is written before the card is known to be good. ``passphrase`` encrypts the signing key.
    """
    kind = kind_of(name)
    signer = KeySigner.generate()
    issuing = IssuingKey.make(federation, name, now)
    card = Card(kind, name, federation, address, (issuing.issuer,), (signer.public,), tuple(stewards))
    content = seal_card(card, signer)
    (home / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
    create_file(_key_path(home, kind), signer.to_pem(passphrase), PRIVATE)
    create_file(home / "keys" / "tls.key", issuing.to_pem(), PRIVATE)
    create_file(home / "keys" / "tls.pem", issuing.issuer.pem)
    create_file(home / "card.json", content)
    return card


def make_signing_key(path: Path, passphrase: bytes | None) -> PublicKey:
    """An offline role's key (steward, registrar): ``path`` and beside it ``<path without suffix>.pub``."""
    signer = KeySigner.generate()
    create_file(path, signer.to_pem(passphrase), PRIVATE)
    create_file(path.with_suffix(".pub"), f"{signer.public.text}\n".encode())
    return signer.public


def load_signer(home: Path, kind: Kind, passphrase: bytes | None = None) -> Signer:
    """The signing key of the party whose home this is."""
    return load_signing_key(_key_path(home, kind), passphrase)


def load_signing_key(path: Path, passphrase: bytes | None = None) -> KeySigner:
    try:
        return KeySigner.from_pem(_read_private(path), passphrase)
    except BadConfig as error:
        raise BadConfig(error.message, place=str(path), remedy=error.remedy) from None


def load_issuing_key(home: Path) -> IssuingKey:
    """The TLS issuing key of the party whose home this is."""
    path = home / "keys" / "tls.key"
    try:
        return IssuingKey.from_pem(_read_private(path), Issuer(read(home / "keys" / "tls.pem")))
    except BadConfig as error:
        raise BadConfig(error.message, place=str(path), remedy=error.remedy) from None


def load_public_key(path: Path) -> PublicKey:
    """Of a ``.pub`` file."""
    content = read(path)
    try:
        return PublicKey.parse(content.decode("ascii"))
    except (BadConfig, UnicodeDecodeError):
        raise BadConfig("not a public key file: one line, ed25519:<64 hex digits>", place=str(path)) from None


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BadConfig("there is no such file", place=str(path)) from None
    except OSError as error:
        raise BadConfig(f"the file cannot be read: {error.strerror}", place=str(path)) from None


def encrypted(path: Path) -> bool:
    """Whether a key file asks for a passphrase."""
    return b"ENCRYPTED" in read(path).split(b"\n", 1)[0]


def _key_path(home: Path, kind: Kind) -> Path:
    return home / "keys" / f"{ROLES[kind]}.key"


def _read_private(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise BadConfig("others may read this private key", place=str(path), remedy=f"chmod 600 {path}")
            return file.read()
    except FileNotFoundError:
        raise BadConfig("the key file is not there", place=str(path)) from None
    except OSError as error:
        raise BadConfig(f"the key file cannot be read: {error.strerror}", place=str(path)) from None
