"""Where commands get a passphrase, or a token's PIN: a file, a prompt on the terminal, or knowingly none. Never an
argument."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from cimfed.errors import BadConfig
from cimfed.trust.identity_files import asks_for, load_signing_key, read
from cimfed.trust.keys import Signer
from cimfed.trust.token.uri import TOKEN_KEY, TokenKey, parse_token_key

FileOption = Annotated[
    Path | None, typer.Option("--passphrase-file", help="A file whose first line is the key's passphrase or PIN.")
]
TokenOption = Annotated[str, typer.Option("--key", help=TOKEN_KEY)]
NoneOption = Annotated[bool, typer.Option("--no-passphrase", help="Leave the private key file unencrypted.")]


def new_passphrase(file: Path | None, none: bool) -> bytes | None:
    """For a key to be made; None where the user asked for none."""
    if none and file is not None:
        raise BadConfig("--passphrase-file and --no-passphrase exclude each other")
    if none:
        return None
    return chosen("Passphrase for the new key: ", file)


def chosen(prompt: str, file: Path | None) -> bytes:
    """One that is given for the first time."""
    if file is not None:
        return _first_line(file)
    first = _ask(prompt)
    if first != _ask("The same again: "):
        raise BadConfig("the two passphrases differ")
    return first


def open_key(place: Path | TokenKey, file: Path | None) -> Signer:
    """A signing key, asking for its passphrase or PIN where it has one that no file is named for."""
    return load_signing_key(place, secret_of(place, file))


def secret_of(place: Path | TokenKey, file: Path | None) -> bytes | None:
    """The passphrase of a key that is there, or the PIN of its token."""
    what = asks_for(place)
    if what is None:
        return None
    return known(f"{what}: ", file)


def known(prompt: str, file: Path | None) -> bytes:
    """One that was chosen before."""
    return _first_line(file) if file is not None else _ask(prompt)


def secret_for(token: TokenKey | None, file: Path | None, none: bool) -> bytes | None:
    """The PIN of a token, or the passphrase of a key file that is to be made."""
    return new_passphrase(file, none) if token is None else secret_of(token, file)


def token_option(text: str) -> TokenKey | None:
    return parse_token_key(text) if text else None


def _first_line(file: Path) -> bytes:
    line = read(file).split(b"\n", 1)[0].rstrip(b"\r")
    if not line:
        raise BadConfig("the passphrase is empty", place=str(file))
    return line


def _ask(prompt: str) -> bytes:
    if not sys.stdin.isatty():
        raise BadConfig(
            "a passphrase or PIN is needed", remedy="Give --passphrase-file, or --no-passphrase for a new key"
        )
    given = getpass.getpass(prompt)
    if not given:
        raise BadConfig("the passphrase is empty")
    return given.encode()
