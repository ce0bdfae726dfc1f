"""A party's next keys as files, beside those in use, while it changes from one to the other.

    keys/<role>.next.key  <role>.next.pub     the next signing key, and its public half
         tls.next.key     tls.next.pem        the next TLS issuing key, and its certificate
         <role>.<8 digits>.former.pub         signing keys that were in use before: what they signed still verifies

1. A next key counts once its public file is there, which is written last.
2. Nothing here changes what is in use, but ``put_in_place``, which moves the next over the one in use. After a crash in
   the middle ``load_issuing_key_in_use`` finds the key of the certificate in either place, and the next issuer that is
   made puts it where it belongs first.
3. The rules of ``cimfed.trust.identity_files`` hold here too.
"""

from __future__ import annotations

import os
from pathlib import Path

from cimfed.errors import BadConfig
from cimfed.model.names import Federation, Kind
from cimfed.trust.files import create_file
from cimfed.trust.identity_files import (
    PRIVATE,
    ROLES,
    issuing_key_of,
    load_issuing_key,
    load_public_key,
    load_signing_key,
    read,
)
from cimfed.trust.keys import KeySigner, PublicKey, Signer
from cimfed.trust.tls import Issuer, IssuingKey
from cimfed.trust.token.uri import TokenKey


def signing_key_path(home: Path, kind: Kind) -> Path:
    """Of the key in use."""
    return home / "keys" / f"{ROLES[kind]}.key"


def next_key_path(home: Path, kind: Kind) -> Path:
    return home / "keys" / f"{ROLES[kind]}.next.key"


def next_signing(home: Path, kind: Kind) -> PublicKey | None:
    """The next signing key; None where there is none."""
    public = next_key_path(home, kind).with_suffix(".pub")
    return load_public_key(public) if public.exists() and next_key_path(home, kind).exists() else None


def next_issuer(home: Path) -> Issuer | None:
    certificate = home / "keys" / "tls.next.pem"
    return Issuer(read(certificate)) if certificate.exists() else None


def make_next_signing(home: Path, kind: Kind, secret: bytes | None, token: TokenKey | None) -> PublicKey:
    """``secret`` encrypts the key, or is the PIN of ``token``, where the key is already."""
    path = next_key_path(home, kind)
    if token is None:
        made = KeySigner.generate()
        public, kept = made.public, made.to_pem(secret)
    else:
        signer = load_signing_key(token, secret)
        public, kept = signer.public, f"{token.uri}\n".encode()
        signer.close()
    for left in (path.with_suffix(".pub"), path):  # of a run that was broken off: nobody has seen it
        left.unlink(missing_ok=True)
    create_file(path, kept, PRIVATE)
    create_file(path.with_suffix(".pub"), f"{public.text}\n".encode())
    return public


def make_next_issuer(home: Path, federation: Federation, name: str, now: int) -> Issuer:
    made = IssuingKey.make(federation, name, now)
    key = home / "keys" / "tls.next.key"
    if _is_half_moved(home):
        os.replace(key, home / "keys" / "tls.key")
    key.unlink(missing_ok=True)
    create_file(key, made.to_pem(), PRIVATE)
    create_file(home / "keys" / "tls.next.pem", made.issuer.pem)
    return made.issuer


def load_next_signer(home: Path, kind: Kind, passphrase: bytes | None = None) -> Signer:
    return load_signing_key(next_key_path(home, kind), passphrase)


def load_next_issuing_key(home: Path) -> IssuingKey:
    return _issuing(home, "tls.next.key", "tls.next.pem")


def load_issuing_key_in_use(home: Path) -> IssuingKey:
    """As ``load_issuing_key``; also where ``put_in_place`` was broken off."""
    return _issuing(home, "tls.next.key", "tls.pem") if _is_half_moved(home) else load_issuing_key(home)


def drop_next(home: Path, kind: Kind, *, signing: bool, tls: bool) -> None:
    """Does away with next keys: nobody has listed them."""
    key, certificate = next_key_path(home, kind), home / "keys" / "tls.next.pem"
    for path in (
        *((key.with_suffix(".pub"), key) if signing else ()),
        *((certificate, certificate.with_suffix(".key")) if tls else ()),
    ):
        path.unlink(missing_ok=True)


def keep_former(home: Path, kind: Kind, key: PublicKey) -> None:
    """Writes down the public half of the signing key that is in use and goes."""
    kept = home / "keys" / f"{ROLES[kind]}.{key.id.hex()[:8]}.former.pub"
    kept.unlink(missing_ok=True)
    create_file(kept, f"{key.text}\n".encode())


def put_in_place(home: Path, kind: Kind) -> None:
    """Moves next keys over those in use. A card that names the next ones alone is there before it."""
    path = next_key_path(home, kind)
    if next_signing(home, kind) is not None:
        os.replace(path, signing_key_path(home, kind))
    path.with_suffix(".pub").unlink(missing_ok=True)
    certificate, key = home / "keys" / "tls.next.pem", home / "keys" / "tls.next.key"
    if certificate.exists():
        os.replace(certificate, home / "keys" / "tls.pem")
    if key.exists():
        os.replace(key, home / "keys" / "tls.key")


def former_keys(home: Path) -> list[PublicKey]:
    """Signing keys that were in use here before."""
    return [load_public_key(path) for path in sorted((home / "keys").glob("*.former.pub"))]


def _is_half_moved(home: Path) -> bool:
    """Whether ``put_in_place`` was broken off between the certificate and its key."""
    if not (home / "keys" / "tls.next.key").exists() or (home / "keys" / "tls.next.pem").exists():
        return False
    try:
        _issuing(home, "tls.next.key", "tls.pem")
    except BadConfig:
        return False  # of a key that was never finished
    return True


def _issuing(home: Path, key: str, certificate: str) -> IssuingKey:
    return issuing_key_of(home / "keys" / key, home / "keys" / certificate)
