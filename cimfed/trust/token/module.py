"""PKCS #11 modules of this process: loaded once, used by one thread at a time, started anew where a token was away.

Modules are started by ``C_Initialize(NULL)``, which promises them one thread at a time; so everything happens under the
module's lock. Sessions, logins and handles are the process's: they end with the module's last user, and all of them
when it is started anew. ``Module.start`` counts that: a handle of an earlier start may be another key's now.

python-pkcs11 is loaded with the first module (``cimfed[pkcs11]``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimfed.errors import BadConfig, KeyUnavailable
from cimfed.trust.token.uri import TokenKey

if TYPE_CHECKING:
    import pkcs11

_modules: dict[Path, Module] = {}
_finding = threading.Lock()


def module_of(key: TokenKey) -> Module:
    path = key.module.resolve()
    with _finding:
        return _modules.setdefault(path, Module(path))


class PinRefused(BadConfig):
    """Not to be tried again."""


class Module:
    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, threading.RLock()
        self.start = 0
        self._library: Any = None
        self._users = 0

    @property
    def unused(self) -> bool:
        return not self._users

    def enter(self) -> None:
        """One more user; loads the module. Before anything else, and ``leave`` after it."""
        with self.lock:
            self._load()
            self._users += 1

    def leave(self) -> None:
        with self.lock:
            self._users -= 1
            if not self._users:
                import pkcs11

                self.start += 1
                with suppress(pkcs11.PKCS11Error):
                    self._library.finalize()

    def restart(self) -> None:
        """Tokens that came are seen; everything that was open is void."""
        import pkcs11

        self.start += 1
        with suppress(pkcs11.PKCS11Error):
            self._library.finalize()
        self._library.initialize()

    def session(self, key: TokenKey, pin: str, rw: bool = False) -> pkcs11.Session:
        """Logged in on the token of a key. The PIN is tried once, and not where that might lock the token."""
        import pkcs11

        token = self._token(key)
        if pkcs11.TokenFlag.USER_PIN_LOCKED & token.flags:
            raise _locked(key)
        if pkcs11.TokenFlag.USER_PIN_FINAL_TRY & token.flags:
            raise BadConfig(
                "one more wrong PIN locks this token: none is tried",
                place=key.name,
                remedy="Log in once with the token's own tool",
            )
        try:
            return token.open(rw=rw, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by another user of the module
            return token.open(rw=rw)

    def _token(self, key: TokenKey) -> pkcs11.Token:
        import pkcs11

        found: list[pkcs11.Token] = []
        for slot in self._library.get_slots(token_present=True):
            with suppress(pkcs11.TokenNotPresent, pkcs11.TokenNotRecognised):
                token = slot.get_token()
                if pkcs11.TokenFlag.TOKEN_INITIALIZED & token.flags and _fits(token, key):
                    found.append(token)
        if not found:
            raise KeyUnavailable("no such token is there", place=key.name, remedy="Plug it in, or mend its name")
        if len(found) > 1:
            raise BadConfig(f"{len(found)} tokens fit", place=key.name, remedy="Name one by token= or serial=")
        return found[0]

    def _load(self) -> None:
        if self._users:
            return
        try:
            import pkcs11
        except ImportError:
            raise BadConfig("python-pkcs11 is not installed", remedy="pip install 'cimfed[pkcs11]'") from None
        if not self.path.is_file():
            raise BadConfig("there is no such PKCS #11 module", place=str(self.path))
        try:
            self._library = pkcs11.lib(str(self.path))
        except (pkcs11.PKCS11Error, AttributeError):
            raise BadConfig("this is no PKCS #11 module, or it does not start", place=str(self.path)) from None


@contextmanager
def errors_of(key: TokenKey) -> Iterator[None]:
    """What PKCS #11 says comes out as errors of ours."""
    import pkcs11

    try:
        yield
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        raise PinRefused(
            "the token refuses this PIN", place=key.name, remedy="It was tried once: a token locks itself after a few"
        ) from None
    except pkcs11.PinLocked:
        raise _locked(key) from None
    except pkcs11.PKCS11Error as error:
        raise KeyUnavailable(f"the token fails: {type(error).__name__}", place=key.name) from None


def _fits(token: pkcs11.Token, key: TokenKey) -> bool:
    serial = token.serial.decode("utf-8", "replace")
    has = (
        (key.token, token.label),
        (key.serial, serial),
        (key.manufacturer, token.manufacturer_id),
        (key.model, token.model),
    )
    return all(wanted is None or wanted == given for wanted, given in has)


def _locked(key: TokenKey) -> BadConfig:
    return BadConfig("the token has locked itself", place=key.name, remedy="Set a new PIN with the token's own tool")
