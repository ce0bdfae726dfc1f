"""`cimfed member add`: lists a city or a gateway by its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed.cli import passphrase, registrar
from cimfed.errors import BadConfig, BadDirectory, BadSignature
from cimfed.model.limits import LIMITS
from cimfed.model.names import Kind
from cimfed.trust.directory.edit import with_gateway, with_member
from cimfed.trust.directory.listing import Listing
from cimfed.trust.envelope import Envelope, from_json
from cimfed.trust.identity_files import read

app = typer.Typer(no_args_is_help=True, help="Cities and gateways.")


@app.command()
def add(
    card: Annotated[Path, typer.Argument(help="The card.json that `cimfed-node init` or `cimfed-gateway init` made.")],
    home: registrar.HomeOption,
    routing: Annotated[
        Path | None, typer.Option(help="The .routing.json beside the city's signed policy; it may come later.")
    ] = None,
    fingerprint: registrar.FingerprintOption = None,
    replace: registrar.ReplaceOption = False,
    days: registrar.DaysOption = registrar.LIFE_DAYS,
    passphrase_file: passphrase.FileOption = None,
) -> None:
    """Lists a city or gateway, or lists it anew after a change.

    Compare the fingerprint with the one that its operator sees, by another way than the card came.
    """
    facts = registrar.read_card(card, home, Kind.CITY, Kind.GATEWAY)
    if facts.kind is Kind.GATEWAY and routing is not None:
        raise BadConfig("a gateway has no routing entry")
    entry = None if routing is None else routing_of(routing)

    def edit(listing: Listing) -> Listing:
        return with_gateway(listing, facts) if facts.kind is Kind.GATEWAY else with_member(listing, facts, entry)

    registrar.list_card(facts, home, passphrase_file, edit, days, fingerprint, replace)


def routing_of(path: Path) -> Envelope:
    """A signed routing entry's file; whose it is and who signed it is checked with the listing."""
    try:
        return from_json(read(path), LIMITS.envelope)
    except BadSignature as error:
        raise BadDirectory(error.message, place=str(path)) from None
