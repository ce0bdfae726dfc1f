"""A SoftHSM for tests: a PKCS #11 module like any other, whose tokens are a folder that can be taken away."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from cimfed.trust.token.module import module_of
from cimfed.trust.token.uri import TokenKey
from tests.lacking import lacking, program

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = b"7315"


@dataclass(frozen=True)
class Soft:
    """The token ``city`` in ``folder``."""

    folder: Path

    def key(self, label: str = "steward", **more: Any) -> TokenKey:
        return TokenKey(MODULE, token="city", object=label, **more)

    def initialise(self, label: str = "city", pin: bytes = PIN) -> None:
        """One more token."""
        self._util("--init-token", "--free", "--label", label, "--pin", pin.decode(), "--so-pin", "00000000")

    def put(self, key: Any, label: str, id: str = "01", pin: bytes = PIN) -> None:
        """Puts a private key of ``cryptography`` on the token, with its public half."""
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = self.folder / "in.pem"
        path.write_bytes(pem)
        self._util("--import", str(path), "--token", "city", "--label", label, "--id", id, "--pin", pin.decode())

    def take_away(self) -> None:
        (self.folder / "tokens").rename(self.folder / "away")
        (self.folder / "tokens").mkdir()

    def bring_back(self) -> None:
        (self.folder / "tokens").rename(self.folder / "other")
        (self.folder / "away").rename(self.folder / "tokens")

    @contextmanager
    def session(self) -> Iterator[Any]:
        """python-pkcs11's own, while nobody signs."""
        import pkcs11

        library = pkcs11.lib(str(MODULE.resolve()))
        try:
            yield library.get_token(token_label="city").open(rw=True, user_pin=PIN.decode())
        finally:
            library.finalize()

    def _util(self, *arguments: str) -> None:
        subprocess.run([program("softhsm2-util"), *arguments], check=True, capture_output=True)


@contextmanager
def soft(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Soft]:
    """Every signer must have been closed in the end: another test's SoftHSM has other tokens."""
    if not MODULE.exists():
        lacking("softhsm2")
    (folder / "tokens").mkdir(parents=True)
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(settings))
    made = Soft(folder)
    made.initialise()
    yield made
    assert module_of(made.key()).unused
