"""Our keys as The Update Framework's, and back.

A key's id there is ours: SHA-256 of its 32 bytes. Anything else is refused, so that no key can stand under two ids and
count twice for a threshold (the framework counts ids).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from securesystemslib.signer import Key, Signature, SSlibKey
from securesystemslib.signer import Signer as FrameworkSigner
from tuf.api.metadata import Role

from cimfed.errors import BadConfig, BadDirectory
from cimfed.trust.keys import ALGORITHM, PublicKey, Signer


def framework_key(key: PublicKey) -> SSlibKey:
    return SSlibKey(key.id.hex(), ALGORITHM, ALGORITHM, {"public": key.raw.hex()})


def public_key(id: str, key: Key) -> PublicKey:
    """BadDirectory for a key of another kind, for one that is nobody's, and for one under another id than its own."""
    if not isinstance(key, SSlibKey) or (key.keytype, key.scheme) != (ALGORITHM, ALGORITHM):
        raise BadDirectory("a key is not Ed25519", place=id[:16])
    try:
        found = PublicKey(bytes.fromhex(key.keyval["public"]))
    except (BadConfig, ValueError, KeyError, TypeError, AttributeError):
        raise BadDirectory("a key cannot be read, or is nobody's", place=id[:16]) from None
    if found.id.hex() != id:
        raise BadDirectory("a key stands under another id than its own", place=id[:16])
    return found


def role_keys(role: Role, keys: Mapping[str, Key]) -> tuple[PublicKey, ...]:
    """The keys of a role, in the order in which it names them."""
    try:
        return tuple(public_key(id, keys[id]) for id in role.keyids)
    except KeyError:
        raise BadDirectory("a role names a key that is not there") from None


def keys_by_id(keys: Iterable[PublicKey]) -> dict[str, Key]:
    return {key.id.hex(): framework_key(key) for key in keys}


class RoleSigner(FrameworkSigner):
    """One of our signers, as the framework calls one."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    @property
    def public_key(self) -> Key:
        return framework_key(self._signer.public)

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key, secrets_handler: object = None) -> RoleSigner:
        raise NotImplementedError("a signer is made of one of ours")

    def sign(self, payload: bytes) -> Signature:
        return Signature(self._signer.public.id.hex(), self._signer.sign(payload).hex())
