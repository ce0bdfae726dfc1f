"""A ``Signer`` over an Ed25519 key that never leaves its token. Rules:

1. a PIN that the token refuses is never tried again;
2. a signature leaves only if the public key read at the start verifies it: no other token in its place, no handle of
   another key and no faulty signature, which could give an Ed25519 key away, goes unnoticed;
3. whatever fails while signing, the module is started anew and the key opened again, once; then ``KeyUnavailable``, and
   the token is left alone for ``PAUSE`` seconds, since an event loop may be waiting. It recovers alone.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress

from cimfed.errors import BadConfig, CimfedError, KeyUnavailable
from cimfed.trust.keys import PublicKey
from cimfed.trust.token.module import PinRefused, errors_of, module_of
from cimfed.trust.token.objects import OpenedKey, find_key, pin_text
from cimfed.trust.token.uri import TokenKey

log = logging.getLogger(__name__)

PAUSE = 2.0  # seconds


class TokenSigner:
    """Opened at once: BadConfig where module, PIN or key are not as named, KeyUnavailable where the token is away.

    ``monotonic`` gives seconds. Any thread may use it.
    """

    def __init__(self, key: TokenKey, pin: bytes, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._key, self._monotonic = key, monotonic
        self._pin: str | None = pin_text(pin, key)
        self._again = 0.0  # when the token may be tried again, where it failed
        self._module = module_of(key)
        self._module.enter()
        try:
            with self._module.lock, errors_of(key):
                self._opened: OpenedKey | None = self._open(self._pin)
                self._public = self._opened.public
        except BaseException:
            self._module.leave()
            raise

    @property
    def public(self) -> PublicKey:
        return self._public

    def sign(self, message: bytes) -> bytes:
        with self._module.lock:
            if self._pin is None:
                raise BadConfig("this signer is closed")
            if self._monotonic() < self._again:
                raise _unavailable()
            try:
                with errors_of(self._key):
                    signature = self._try(message) or self._try_anew(message, self._pin)
            except CimfedError as error:
                for_good = isinstance(error, PinRefused)
                log.error("the token does not sign%s: %s", ", and is not tried again" if for_good else "", error)
                self._again = math.inf if for_good else self._monotonic() + PAUSE
                raise _unavailable() from None
            if self._again:
                log.warning("the token signs again")
                self._again = 0.0
            return signature

    def close(self) -> None:
        with self._module.lock:
            if self._pin is not None:
                self._pin = self._opened = None
                self._module.leave()

    def _try(self, message: bytes) -> bytes | None:
        """With what is open; None where that does not do."""
        import pkcs11

        if self._opened is None or self._opened.start != self._module.start:
            return None
        with suppress(pkcs11.PKCS11Error):
            signature = self._opened.sign(message)
            if self._public.verifies(signature, message):
                return signature
        return None

    def _try_anew(self, message: bytes, pin: str) -> bytes:
        if self._tried == self._module.start:  # else another signer has started the module anew
            self._tried += 1  # also where the start fails
            self._module.restart()
        self._opened = None
        opened = self._open(pin)
        if opened.public != self._public:
            raise KeyUnavailable("another key has taken the place of the one that was open", place=self._key.name)
        signature = opened.sign(message)
        if not self._public.verifies(signature, message):
            raise KeyUnavailable("the token's signature does not verify", place=self._key.name)
        self._opened = opened
        return signature

    def _open(self, pin: str) -> OpenedKey:
        self._tried = self._module.start
        return find_key(self._module.session(self._key, pin), self._key, self._module.start)


def _unavailable() -> KeyUnavailable:
    """All that a caller may be told, who can be anyone's."""
    return KeyUnavailable("the key that signs here is not at hand", remedy="Ask again later")
