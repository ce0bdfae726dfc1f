"""Where commands get a passphrase: a file, a prompt on the terminal, or knowingly none. Never an argument."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from cimfed.errors import BadConfig
from cimfed.trust.identity_files import encrypted, load_signing_key, read
from cimfed.trust.keys import KeySigner

FileOption = Annotated[
    Path | None, typer.Option("--passphrase-file", help="A file whose first line is the key's passphrase.")
]
NoneOption = Annotated[bool, typer.Option("--no-passphrase", help="Leave the private key file unencrypted.")]


def new_passphrase(file: Path | None, none: bool) -> bytes | None:
    """For a key to be made; None where the user asked for none."""
    if none and file is not None:
        raise BadConfig("--passphrase-file and --no-passphrase exclude each other")
    if none:
        return None
    if file is not None:
        return _first_line(file)
    first = _ask("Passphrase for the new key: ")
    if first != _ask("The same again: "):
        raise BadConfig("the two passphrases differ")
    return first


def open_key(path: Path, file: Path | None) -> KeySigner:
    """The key in a file, asking for its passphrase where it has one."""
    if not encrypted(path):
        return load_signing_key(path)
    return load_signing_key(path, _first_line(file) if file is not None else _ask(f"Passphrase of {path}: "))


def _first_line(file: Path) -> bytes:
    line = read(file).split(b"\n", 1)[0].rstrip(b"\r")
    if not line:
        raise BadConfig("the passphrase is empty", place=str(file))
    return line


def _ask(prompt: str) -> bytes:
    if not sys.stdin.isatty():
        raise BadConfig("a passphrase is needed", remedy="Give --passphrase-file, or --no-passphrase for a new key")
    given = getpass.getpass(prompt)
    if not given:
        raise BadConfig("the passphrase is empty")
    return given.encode()
