"""Ed25519 signing keys: made, kept in files, used and checked.

Private keys are made where they are used and never travel. A file is PKCS #8 PEM, mode 0600, encrypted by a
passphrase for the offline roles. ``Signer`` is all that the rest of cimfed knows of a private key, so that a
PKCS #11 token fits the same three methods. The functions here take and give bytes; the command line does the files.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cimfed.errors import BadConfig
from cimfed.model.names import KeyId

ALGORITHM = "ed25519"
# y of the points of small order in each encoding, the sign bit off (RFC 8032 5.1.7; libsodium has the same list).
# A signature for such a "key" can be made without a private one, and then vouches for nothing.
_SMALL = frozenset(
    [y.to_bytes(32, "little") for y in (0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18)]
    + [
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    ]
)


@dataclass(frozen=True)
class PublicKey:
    """An Ed25519 public key. The algorithm is bound to the key in the directory, never read from a message."""

    raw: bytes  # 32 bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32:
            raise BadConfig("an Ed25519 public key has 32 bytes")
        if self.raw[:31] + bytes([self.raw[31] & 0x7F]) in _SMALL:
            raise BadConfig("this public key is nobody's: everyone can sign for it")

    @property
    def id(self) -> KeyId:
        return KeyId(hashlib.sha256(self.raw).digest())

    def verifies(self, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def text(self) -> str:
        """The form that directories, cards and ``*.pub`` files hold: ``ed25519:<64 hex digits>``."""
        return f"{ALGORITHM}:{self.raw.hex()}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        algorithm, _, digits = text.strip().partition(":")
        if algorithm != ALGORITHM or len(digits) != 64:
            raise BadConfig("not a public key", remedy="Give ed25519:<64 hex digits>, as in a .pub file")
        try:
            return cls(bytes.fromhex(digits))
        except ValueError:
            raise BadConfig("not a public key: not hex digits") from None


class Signer(Protocol):
    """What signs: a key file today, a token later."""

    @property
    def public(self) -> PublicKey: ...

    def sign(self, message: bytes) -> bytes:
        """The 64 bytes of an Ed25519 signature."""
        ...

    def close(self) -> None:
        """Forgets the key; signing again is an error."""
        ...


def settled(signer: Signer) -> Signer:
    """The one key that a signer signs with now, where it may change from one to the next."""
    choose = getattr(signer, "settled", None)
    found: Signer = signer if choose is None else choose()
    return found


def works(signer: Signer) -> bool:
    """Whether it signs for its own public key: a server that cannot must not say that it serves."""
    signer, message = settled(signer), b"cimfed self-test"
    return signer.public.verifies(signer.sign(message), message)


class KeySigner:
    """A ``Signer`` over a private key held in memory."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key: Ed25519PrivateKey | None = key
        self._public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> KeySigner:
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> KeySigner:
        """Of the 32 bytes of RFC 8032's private key: for test vectors."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> PublicKey:
        return self._public

    def sign(self, message: bytes) -> bytes:
        if self._key is None:
            raise BadConfig("this signer is closed")
        return self._key.sign(message)

    def close(self) -> None:
        self._key = None

    def to_pem(self, passphrase: bytes | None) -> bytes:
        if self._key is None:
            raise BadConfig("this signer is closed")
        encryption: serialization.KeySerializationEncryption = (
            serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        )
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: bytes | None) -> KeySigner:
        try:
            key = serialization.load_pem_private_key(pem, passphrase)
        except TypeError:
            if passphrase is None:
                raise BadConfig("the key file is encrypted", remedy="Give its passphrase") from None
            raise BadConfig("the key file is not encrypted", remedy="Give no passphrase") from None
        except ValueError:
            raise BadConfig("the key file cannot be read, or the passphrase is wrong") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise BadConfig("the key file holds no Ed25519 key")
        return cls(key)
