"""`cimfed-gateway init`: a new gateway, whose card goes to the administrator by another way. Thin: see ``setup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console
from cimfed.model.names import federation, gateway_name
from cimfed.trust.identity_files import read
from cimfed.trust.token.uri import TOKEN_KEY, parse_token_key
from cimfed_gateway.setup import Plan, make_home


def init(
    name: Annotated[str, typer.Argument(help="Such as gw.alliance.")],
    home: Annotated[Path, typer.Option(help="The gateway's folder.", envvar="CIMFED_GATEWAY_HOME")],
    federation_name: Annotated[str, typer.Option("--federation", help="Such as sco.")],
    address: Annotated[str, typer.Option(help="host:port that partners dial.")],
    root: Annotated[
        Path, typer.Option(exists=True, help="The root.json of the federation's directory: pinned from now on.")
    ],
    directory: Annotated[str, typer.Option(help="host:port of the directory service.")],
    listen: Annotated[str, typer.Option(help="host:port to bind; the address's port where not given.")] = "",
    key: Annotated[str, typer.Option(help=TOKEN_KEY)] = "",
) -> None:
    """Makes the gateway's keys, settings and card."""
    plan = Plan(
        gateway_name(name),
        federation(federation_name),
        address,
        read(root),
        directory,
        listen,
        parse_token_key(key) if key else None,
    )
    card = make_home(home, plan)
    console.say(f"{name} has its keys in {home / 'keys'}, fingerprint {card.fingerprint}")
    console.say("Next:")
    console.say(f"  give {home / 'card.json'} to the administrator (cimfed member add)")
    console.say(f"  cimfed-gateway serve --home {home}")
