"""`cimfed partner add`: lists a partner institution by its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed.cli import passphrase, registrar
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.trust.directory.edit import DAY, with_partner
from cimfed.trust.directory.listing import Listing

app = typer.Typer(no_args_is_help=True, help="Partner institutions.")


@app.command()
def add(
    card: Annotated[Path, typer.Argument(help="The card.json that `cimfed profile new` made.")],
    home: registrar.HomeOption,
    country: Annotated[
        str | None, typer.Option(help="Two letters as in ISO 3166-1, such as CN; kept where it is listed already.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="A role that policies may name; again for more. Kept if none is given.")
    ] = None,
    key_days: Annotated[
        int, typer.Option(help="New access keys are valid for so many days from today.", min=1, max=registrar.MAX_DAYS)
    ] = 365,
    fingerprint: registrar.FingerprintOption = None,
    replace: registrar.ReplaceOption = False,
    days: registrar.DaysOption = registrar.LIFE_DAYS,
    passphrase_file: passphrase.FileOption = None,
) -> None:
    """Lists a partner and its access key, or lists it anew after a change.

    Compare the fingerprint with the one that the partner sees, by another way than the card came. What it may see is
    for each city's policy to say.
    """
    facts = registrar.read_card(card, home, Kind.PARTNER)
    today = clock.now() // DAY * DAY
    valid = (today, today + (key_days + 1) * DAY)

    def edit(listing: Listing) -> Listing:
        return with_partner(listing, facts, country, tuple(role) if role else None, valid)

    registrar.list_card(facts, home, passphrase_file, edit, days, fingerprint, replace)
