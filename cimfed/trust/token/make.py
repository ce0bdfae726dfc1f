"""New keys on tokens. They are made there, cannot leave, and are kept only if the token says so and they sign."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cimfed.errors import BadConfig, Conflict, KeyUnavailable
from cimfed.trust.keys import PublicKey
from cimfed.trust.token.module import errors_of, module_of
from cimfed.trust.token.objects import ED25519, OpenedKey, pin_text, private_keys, public_key
from cimfed.trust.token.uri import TokenKey

if TYPE_CHECKING:
    import pkcs11

_TEST = b"cimfed self-test"


def make_token_key(key: TokenKey, pin: bytes) -> PublicKey:
    """Makes a key on the token, which it cannot leave. Conflict where a private key has this name or id."""
    import pkcs11

    if key.object is None:
        raise BadConfig("a new key needs a name", place=key.name, remedy="Write object=LABEL")
    module = module_of(key)
    module.enter()
    try:
        with module.lock, errors_of(key):
            session = module.session(key, pin_text(pin, key), rw=True)
            for attribute, value in ((pkcs11.Attribute.LABEL, key.object), (pkcs11.Attribute.ID, key.id)):
                if value is not None and private_keys(session, {attribute: value}):
                    raise Conflict("the token has a key of this name or id already", place=key.name)
            private, public = _generate(session, key)
            try:
                return _checked(private, public, key)
            except BaseException:
                for half in (private, public):
                    with suppress(pkcs11.PKCS11Error):
                        half.destroy()
                raise
    finally:
        module.leave()


def _generate(session: pkcs11.Session, key: TokenKey) -> tuple[Any, Any]:
    """Private and public half."""
    import pkcs11

    curve = session.create_domain_parameters(
        pkcs11.KeyType.EC_EDWARDS, {pkcs11.Attribute.EC_PARAMS: ED25519}, local=True
    )
    public, private = curve.generate_keypair(
        mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
        store=True,
        label=key.object,
        id=secrets.token_bytes(8) if key.id is None else key.id,
        private_template={
            pkcs11.Attribute.PRIVATE: True,
            pkcs11.Attribute.SENSITIVE: True,
            pkcs11.Attribute.EXTRACTABLE: False,
        },
    )
    return private, public


def _checked(private: Any, public: Any, key: TokenKey) -> PublicKey:
    """The public half of a key that cannot leave and that signs."""
    import pkcs11

    if not private[pkcs11.Attribute.SENSITIVE] or private[pkcs11.Attribute.EXTRACTABLE]:
        raise BadConfig("this token would give the private key away: the key was not kept", place=key.name)
    opened = OpenedKey(private, public_key(public, key), 0)
    if not opened.public.verifies(opened.sign(_TEST), _TEST):
        raise KeyUnavailable("the token does not sign with the key that it made: it was not kept", place=key.name)
    return opened.public
