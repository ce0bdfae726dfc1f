"""`cimfed key new | public`, which are `cimfed policy new-key | public-key` too: keys that people sign with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase, paths
from cimfed.trust.files import create_file
from cimfed.trust.identity_files import make_signing_key
from cimfed.trust.token.uri import TokenKey, parse_key_place


def new_key(
    place: Annotated[
        str, typer.Argument(metavar="KEY", help="Where the private key goes: a file, or a token by a pkcs11: URI.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Where the public key goes; beside a key file it is the same with .pub.")
    ] = None,
    passphrase_file: passphrase.FileOption = None,
    no_passphrase: passphrase.NoneOption = False,
) -> None:
    """Makes a signing key of a person: a steward, a registrar, a revoker, one of the board. Keep it offline."""
    to = parse_key_place(place)
    if isinstance(to, Path):
        out = out or to.with_suffix(".pub")
        paths.new_file(to)
    if out is not None:
        paths.new_file(out)
    token = to if isinstance(to, TokenKey) else None
    key = make_signing_key(to, passphrase.secret_for(token, passphrase_file, no_passphrase), out)
    console.say(f"made {to if isinstance(to, Path) else to.name}, key id {key.id.hex()[:16]}")
    console.say(f"public key: {out or key.text}")


def public_key(
    key: Annotated[str, typer.Argument(help="A private key: a file, or a pkcs11: URI.")],
    out: Annotated[Path | None, typer.Option(help="Where to write it; else it is printed.")] = None,
    passphrase_file: passphrase.FileOption = None,
) -> None:
    """Gives the public half of a key that is there, such as one that was made with a token's own tools."""
    if out is not None:
        paths.new_file(out)
    signer = passphrase.open_key(parse_key_place(key), passphrase_file)
    signer.close()
    if out is None:
        console.say(signer.public.text)
    else:
        create_file(out, f"{signer.public.text}\n".encode())
