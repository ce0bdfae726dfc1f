"""Ed25519 keys as a token holds them: found by name, their public half read, used once.

A token holds a private and a public object of one id. Two forms of each attribute are taken, since modules differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cimfed.errors import BadConfig
from cimfed.trust.keys import PublicKey
from cimfed.trust.token.uri import TokenKey

if TYPE_CHECKING:
    import pkcs11

ED25519 = bytes.fromhex("06032b6570")  # the curve's OID (RFC 8410), in DER
_CURVES = (ED25519, b"\x13\x0cedwards25519")  # both forms that PKCS #11 3.0 has for CKA_EC_PARAMS
_OCTETS = b"\x04\x20"  # DER before the 32 bytes of a CKA_EC_POINT; some modules write the bytes alone


@dataclass(frozen=True)
class OpenedKey:
    private: Any
    public: PublicKey
    start: int  # of the module

    def sign(self, message: bytes) -> bytes:
        import pkcs11

        signature: bytes = self.private.sign(message, mechanism=pkcs11.Mechanism.EDDSA)
        return signature


def find_key(session: pkcs11.Session, key: TokenKey, start: int) -> OpenedKey:
    import pkcs11

    attribute = pkcs11.Attribute
    named = {attribute.LABEL: key.object, attribute.ID: key.id}
    named = {word: value for word, value in named.items() if value is not None}
    found = private_keys(session, named)
    if len(found) > 1:
        raise BadConfig(f"{len(found)} private keys fit", place=key.name, remedy="Name one by id=")
    if not found:
        if next(iter(session.get_objects(named)), None) is not None:
            raise BadConfig("what has this name on the token is no private key", place=key.name)
        raise BadConfig("the token has no such key", place=key.name, remedy="cimfed policy new-key makes one")
    private = found[0]
    if private[attribute.KEY_TYPE] is not pkcs11.KeyType.EC_EDWARDS:
        raise BadConfig("this is no Ed25519 key", place=key.name)
    halves = list(
        session.get_objects(
            {**named, attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY, attribute.ID: private[attribute.ID]}
        )
    )
    if len(halves) != 1:
        raise BadConfig("the token must hold one public key of the same name and id", place=key.name)
    return OpenedKey(private, public_key(halves[0], key), start)


def private_keys(session: pkcs11.Session, named: dict[Any, Any]) -> list[Any]:
    import pkcs11

    return list(session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, **named}))


def public_key(public: Any, key: TokenKey) -> PublicKey:
    import pkcs11

    if bytes(public[pkcs11.Attribute.EC_PARAMS]) not in _CURVES:
        raise BadConfig("this is no Ed25519 key", place=key.name)
    point = bytes(public[pkcs11.Attribute.EC_POINT])
    return PublicKey(point[2:] if len(point) == 34 and point.startswith(_OCTETS) else point)


def pin_text(pin: bytes, key: TokenKey) -> str:
    try:
        return pin.decode()
    except UnicodeDecodeError:
        raise BadConfig("the PIN is not UTF-8", place=key.name) from None
