"""`cimfed-gateway key rotate | accept`: the gateway's own keys, and others' that it takes for theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import accepting, rotating
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.model.names import Kind, federation
from cimfed.trust.identity_files import read
from cimfed.trust.token.uri import TOKEN_KEY
from cimfed_gateway.config import Home

app = typer.Typer(no_args_is_help=True, help="The gateway's own keys, and others' that it knows.")


@app.command()
def rotate(
    home: Annotated[Path, typer.Option(help="The gateway's folder.", envvar="CIMFED_GATEWAY_HOME")],
    tls: rotating.TlsOption = False,
    finish: rotating.FinishOption = False,
    wait: rotating.WaitOption = False,
    key: Annotated[str, typer.Option(help=TOKEN_KEY)] = "",
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Makes a new key beside the old one, and hands in a card that names both.

    The gateway takes the new one by itself, once the directory has listed it for fifteen minutes.
    """
    with Command("gateway-key-rotate", as_json, dry_run=dry_run, yes=yes or not finish) as command:
        at = Home.load(home)
        root = read(at.directory / "root.json")
        party = rotating.Party(
            at.path, Kind.GATEWAY, at.name, federation(at.settings.federation), at.settings.directory, root
        )
        rotating.rotate(command, party, tls=tls, finish=finish, wait=wait, key=key, passphrase_file=None)


@app.command()
def accept(
    name: accepting.NameArgument,
    home: Annotated[Path, typer.Option(help="The gateway's folder.", envvar="CIMFED_GATEWAY_HOME")],
    fingerprint: accepting.FingerprintOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Takes new keys for a party's own that none of its former keys has named: all of those were lost.

    Compare the fingerprint with the party first, not with the registrar.
    """
    with Command("gateway-key-accept", as_json, dry_run=dry_run, yes=yes) as command:
        at = Home.load(home)
        accepting.accept(command, at.directory, federation(at.settings.federation), name, fingerprint)
