"""A party's own keys as files: made once by ``init``, loaded by what serves or asks.

This file does I/O, which the rest of ``cimfed.trust`` does not. It keeps these rules:

1. private keys are made here, in files of mode 0600 that did not exist before (O_EXCL), and never leave them;
2. a private key file that others may read is not used;
3. nothing here prints or logs a key.

A home holds ``keys/<role>.key`` (Ed25519, PKCS #8 PEM; role node, gateway, access or directory), ``keys/tls.key`` and
``keys/tls.pem`` (the TLS issuing key, unencrypted, and its certificate) and ``card.json`` for the administrator.

Wherever a signing key is named, a ``pkcs11:`` URI may stand for the file, and in a key file the URI for the key. What
is called a passphrase here is then the token's PIN.
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
from cimfed.trust.token.make import make_token_key
from cimfed.trust.token.signer import TokenSigner
from cimfed.trust.token.uri import SCHEME, TokenKey, parse_token_key

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
    token: TokenKey | None = None,
) -> Card:
    """Makes the keys of a party and its card under ``home``. Conflict where there are keys already.

    Nothing is written before the card is known to be good. ``passphrase`` encrypts the signing key. With ``token`` that
    key, which is there already, signs, and no other is made.
    """
    kind = kind_of(name)
    signer: Signer
    if token is None:
        signer = made = KeySigner.generate()
        kept = made.to_pem(passphrase)
    else:
        signer = load_signing_key(token, passphrase)
        kept = _naming(token)
    try:
        issuing = IssuingKey.make(federation, name, now)
        card = Card(kind, name, federation, address, (issuing.issuer,), (signer.public,), tuple(stewards))
        content = seal_card(card, signer)
    finally:
        signer.close()
    (home / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
    create_file(_key_path(home, kind), kept, PRIVATE)
    create_file(home / "keys" / "tls.key", issuing.to_pem(), PRIVATE)
    create_file(home / "keys" / "tls.pem", issuing.issuer.pem)
    create_file(home / "card.json", content)
    return card


def make_signing_key(place: Path | TokenKey, secret: bytes | None, public: Path | None = None) -> PublicKey:
    """An offline role's key (steward, registrar), in a file or on a token; ``secret`` is its passphrase or PIN.

    The public half goes to ``public``, or beside a key file to ``<path without suffix>.pub``.
    """
    if isinstance(place, TokenKey):
        made = make_token_key(place, _pin(place, secret))
    else:
        signer = KeySigner.generate()
        create_file(place, signer.to_pem(secret), PRIVATE)
        made, public = signer.public, public or place.with_suffix(".pub")
    if public is not None:
        create_file(public, f"{made.text}\n".encode())
    return made


def name_signing_key(path: Path, token: TokenKey, pin: bytes | None) -> PublicKey:
    """A key file that names a key on a token, which is there already, and beside it ``<path without suffix>.pub``."""
    signer = load_signing_key(token, pin)
    signer.close()
    create_file(path, _naming(token), PRIVATE)
    create_file(path.with_suffix(".pub"), f"{signer.public.text}\n".encode())
    return signer.public


def load_signer(home: Path, kind: Kind, passphrase: bytes | None = None) -> Signer:
    """The signing key of the party whose home this is."""
    return load_signing_key(_key_path(home, kind), passphrase)


def load_signing_key(place: Path | TokenKey, passphrase: bytes | None = None) -> Signer:
    """Of a file or on a token. BadConfig, and KeyUnavailable for a token that is away."""
    token = place if isinstance(place, TokenKey) else token_in(place)
    if token is not None:
        return TokenSigner(token, _pin(token, passphrase))
    assert isinstance(place, Path)
    try:
        return KeySigner.from_pem(read_private(place), passphrase)
    except BadConfig as error:
        raise BadConfig(error.message, place=str(place), remedy=error.remedy) from None


def token_in(path: Path) -> TokenKey | None:
    """The key on a token that a key file names; None where the file holds a key itself."""
    content = read_private(path)
    if not content.startswith(SCHEME.encode()):
        return None
    try:
        return parse_token_key(content.decode().strip())
    except UnicodeDecodeError:
        raise BadConfig("not a URI of a key", place=str(path)) from None
    except BadConfig as error:
        raise BadConfig(f"{error.place}: {error.message}", place=str(path), remedy=error.remedy) from None


def read_secret(path: Path) -> bytes:
    """A passphrase or PIN: the first line of a file that nobody else may read."""
    line = read_private(path).split(b"\n", 1)[0].rstrip(b"\r")
    if not line:
        raise BadConfig("the first line, which is to be a PIN, is empty", place=str(path))
    return line


def _pin(token: TokenKey, given: bytes | None) -> bytes:
    if given is not None:
        return given
    if token.pin_source is None:
        raise BadConfig(
            "the token asks for a PIN",
            place=token.name,
            remedy="Write pin-source=file:/path of a file that nobody else may read, or give --passphrase-file",
        )
    return read_secret(token.pin_source)


def load_issuing_key(home: Path) -> IssuingKey:
    """The TLS issuing key of the party whose home this is."""
    return issuing_key_of(home / "keys" / "tls.key", home / "keys" / "tls.pem")


def issuing_key_of(key: Path, certificate: Path) -> IssuingKey:
    """BadConfig names the one of the two files that it is about."""
    path = certificate
    try:
        issuer = Issuer(read(certificate))
        _ = issuer.certificate
        path = key
        return IssuingKey.from_pem(read_private(key), issuer)
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


def asks_for(place: Path | TokenKey) -> str | None:
    """What must be given for a signing key: the PIN of a token that names no file of it, or a key file's passphrase."""
    token = place if isinstance(place, TokenKey) else token_in(place)
    if token is not None:
        return None if token.pin_source else f"PIN for {token.name}"
    assert isinstance(place, Path)
    return f"Passphrase of {place}" if b"ENCRYPTED" in read(place).split(b"\n", 1)[0] else None


def _naming(token: TokenKey) -> bytes:
    return f"{token.uri}\n".encode()


def _key_path(home: Path, kind: Kind) -> Path:
    return home / "keys" / f"{ROLES[kind]}.key"


def read_private(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise BadConfig("others may read this secret", place=str(path), remedy=f"chmod 600 {path}")
            return file.read()
    except FileNotFoundError:
        raise BadConfig("there is no such file", place=str(path)) from None
    except OSError as error:
        raise BadConfig(f"the file cannot be read: {error.strerror}", place=str(path)) from None
