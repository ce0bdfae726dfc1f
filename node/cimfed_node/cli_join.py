"""`cimfed-node join`: a city's way in, by an invitation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import joining
from cimfed.command import DRY_RUN, JSON, Command
from cimfed.errors import BadConfig
from cimfed.fresh import Fresh
from cimfed.model.names import Kind, city_name
from cimfed.rpc import clock
from cimfed.trust.identity_files import load_public_key
from cimfed.trust.token.uri import TOKEN_KEY, parse_token_key
from cimfed_node.config import FILE, Home
from cimfed_node.setup import PARTS, Plan, check_plan, make_home


def join(
    token: joining.TokenArgument,
    home: Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")],
    address: Annotated[str, typer.Option(help="host:port that gateways dial.")] = "",
    steward_key: Annotated[
        list[Path] | None,
        typer.Option(exists=True, help="A steward's public key, a .pub file: pinned from now on; again for more."),
    ] = None,
    wait: joining.WaitOption = False,
    service_user: Annotated[str, typer.Option(help="The Unix user that serves, of its own: name or number.")] = "",
    listen: Annotated[str, typer.Option(help="host:port to bind; the address's port where not given.")] = "",
    key: Annotated[str, typer.Option(help=TOKEN_KEY)] = "",
    former: joining.FormerOption = "",
    former_passphrase_file: joining.FormerPassphraseOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
) -> None:
    """Joins a federation: makes the node's keys, settings and card, and hands in the card for the administrator."""
    with Command("node-join", as_json, dry_run=dry_run, yes=True) as command:
        met = joining.invited(token, Kind.CITY)
        invitation = met.invitation
        again = (home / FILE).exists()
        stewards = tuple(load_public_key(path) for path in steward_key or ())
        if again:
            there = Home.load(home)
            joining.check_same(met, there.city, there.federation, home)
            joining.check_card(home / "card.json", address, stewards)
        elif not address or not stewards:
            raise BadConfig("a new node has an address and a steward", remedy="Give --address and --steward-key")
        else:
            plan = Plan(
                city_name(invitation.name),
                invitation.federation,
                address,
                met.root,
                stewards,
                met.directory.service.address,
                service_user,
                listen,
                parse_token_key(key) if key else None,
            )
            check_plan(home, plan)
        joining.say_met(command, met, home, again, former)
        if not command.goes_on(""):
            return
        fresh = None if again else Fresh.made(home, PARTS, lambda: make_home(home, plan, clock.now()))
        joining.send(command, met, home / "card.json", wait, former, former_passphrase_file, fresh)
