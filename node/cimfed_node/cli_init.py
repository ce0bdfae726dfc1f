"""`cimfed-node init`: a new node, whose card goes to the administrator by another way. Thin: see ``setup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console
from cimfed.model.names import city_name, federation
from cimfed.rpc import clock
from cimfed.trust.identity_files import load_public_key, read
from cimfed.trust.token.uri import TOKEN_KEY, parse_token_key
from cimfed_node.setup import Plan, make_home


def init(
    city: Annotated[str, typer.Argument(help="The member city, such as kz.almaty.")],
    home: Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")],
    federation_name: Annotated[str, typer.Option("--federation", help="Such as sco.")],
    address: Annotated[str, typer.Option(help="host:port that gateways dial.")],
    root: Annotated[
        Path, typer.Option(exists=True, help="The root.json of the federation's directory: pinned from now on.")
    ],
    steward_key: Annotated[
        list[Path], typer.Option(exists=True, help="A steward's public key, a .pub file: pinned from now on.")
    ],
    directory: Annotated[str, typer.Option(help="host:port of the directory service.")],
    service_user: Annotated[str, typer.Option(help="The Unix user that serves, of its own: name or number.")] = "",
    listen: Annotated[str, typer.Option(help="host:port to bind; the address's port where not given.")] = "",
    key: Annotated[str, typer.Option(help=TOKEN_KEY)] = "",
) -> None:
    """Makes the node's keys, settings and card."""
    plan = Plan(
        city_name(city),
        federation(federation_name),
        address,
        read(root),
        tuple(load_public_key(path) for path in steward_key),
        directory,
        service_user,
        listen,
        parse_token_key(key) if key else None,
    )
    made, card = make_home(home, plan, clock.now())
    console.say(f"{city} has its keys in {made.keys}, fingerprint {card.fingerprint}")
    console.say("Next:")
    console.say(f"  give {made.path / 'card.json'} to the administrator (cimfed member add)")
    console.say(f"  cimfed-node import FILE... --collection building --home {home}")
    console.say(f"  cimfed-node activate POLICY.policy.json --home {home}    (cimfed policy sign makes it)")
    console.say(f"  cimfed-node serve --home {home}")
