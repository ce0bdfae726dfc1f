"""`cimfed partner add`: lists a partner institution by its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed.cli import passphrase, registrar
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.trust.publish import DAY, with_partner

app = typer.Typer(no_args_is_help=True, help="Partner institutions.")


@app.command()
def add(
    card: Annotated[Path, typer.Argument(help="The card.json that `cimfed profile new` made.")],
    home: registrar.HomeOption,
    country: Annotated[str, typer.Option(help="Two letters as in ISO 3166-1, such as CN.")],
    role: Annotated[list[str] | None, typer.Option(help="A role that policies may name; again for more.")] = None,
    key_days: Annotated[int, typer.Option(help="New access keys are valid for so many days from today.", min=1)] = 365,
    days: registrar.DaysOption = registrar.LIFE_DAYS,
    passphrase_file: passphrase.FileOption = None,
) -> None:
    """Lists a partner and its access key, or lists it anew after a change.

    Compare the fingerprint with the one that the partner sees, by another way than the card came. What it may see is
    for each city's policy to say.
    """
    facts = registrar.card_of(card, home, Kind.PARTNER)
    today = clock.now() // DAY * DAY
    registrar.change(
        home,
        passphrase_file,
        lambda listing: with_partner(listing, facts, country, tuple(role or ()), (today, today + (key_days + 1) * DAY)),
        days,
    )
