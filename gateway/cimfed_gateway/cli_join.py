"""`cimfed-gateway join`: a gateway's way in, by an invitation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import joining
from cimfed.command import DRY_RUN, JSON, Command
from cimfed.errors import BadConfig
from cimfed.fresh import Fresh
from cimfed.model.names import Kind, gateway_name
from cimfed.trust.token.uri import TOKEN_KEY, parse_token_key
from cimfed_gateway.config import FILE, Home
from cimfed_gateway.setup import PARTS, Plan, check_plan, make_home


def join(
    token: joining.TokenArgument,
    home: Annotated[Path, typer.Option(help="The gateway's folder.", envvar="CIMFED_GATEWAY_HOME")],
    address: Annotated[str, typer.Option(help="host:port that partners dial.")] = "",
    wait: joining.WaitOption = False,
    listen: Annotated[str, typer.Option(help="host:port to bind; the address's port where not given.")] = "",
    key: Annotated[str, typer.Option(help=TOKEN_KEY)] = "",
    former: joining.FormerOption = "",
    former_passphrase_file: joining.FormerPassphraseOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
) -> None:
    """Joins a federation: makes the gateway's keys, settings and card, and hands in the card for the administrator."""
    with Command("gateway-join", as_json, dry_run=dry_run, yes=True) as command:
        met = joining.invited(token, Kind.GATEWAY)
        invitation = met.invitation
        again = (home / FILE).exists()
        if again:
            there = Home.load(home)
            joining.check_same(met, there.name, there.settings.federation, home)
            joining.check_card(home / "card.json", address)
        elif not address:
            raise BadConfig("a new gateway has an address", place="--address")
        else:
            plan = Plan(
                gateway_name(invitation.name),
                invitation.federation,
                address,
                met.root,
                met.directory.service.address,
                listen,
                parse_token_key(key) if key else None,
            )
            check_plan(home, plan)
        joining.say_met(command, met, home, again, former)
        if not command.goes_on(""):
            return
        fresh = None if again else Fresh.made(home, PARTS, lambda: make_home(home, plan))
        joining.send(command, met, home / "card.json", wait, former, former_passphrase_file, fresh)
