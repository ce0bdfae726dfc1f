"""`cimfed partner add | invite | list | suspend | remove`: partner institutions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import passphrase
from cimfed.cli import cards, office, parties, standing
from cimfed.command import DRY_RUN, JSON, YES, Command
from cimfed.model.names import Kind
from cimfed.rpc import clock
from cimfed.trust.directory.edit import DAY, with_card

app = typer.Typer(no_args_is_help=True, help="Partner institutions.")

CountryOption = Annotated[
    str | None, typer.Option(help="Two capitals as in ISO 3166-1, such as CN; kept where it is listed already.")
]
RoleOption = Annotated[
    list[str] | None, typer.Option(help="A role that policies may name; again for more. Kept if none is given.")
]
KeyDaysOption = Annotated[
    int, typer.Option(help="New access keys are valid for so many days from today.", min=1, max=office.MAX_DAYS)
]
KINDS = (Kind.PARTNER,)
NAME = Annotated[str, typer.Argument(help="Such as inst.iitd.")]


@app.command()
def invite(
    name: NAME,
    home: office.HomeOption,
    valid: parties.ValidOption = "72h",
    new_keys: parties.NewKeysOption = False,
    key: office.KeyOption = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Invites a partner: prints a token that is good once. Its program joins with it, and you approve its card."""
    with Command("partner-invite", as_json, dry_run=dry_run, yes=yes) as command:
        parties.invite(command, office.read_office(home), name, KINDS, valid, new_keys, key, passphrase_file)


@app.command()
def add(
    card: Annotated[Path, typer.Argument(help="The card.json that `cimfed profile new` made.")],
    home: office.HomeOption,
    country: CountryOption = None,
    role: RoleOption = None,
    key_days: KeyDaysOption = 365,
    fingerprint: cards.FingerprintOption = None,
    replace: cards.ReplaceOption = False,
    days: office.DaysOption = office.LIFE_DAYS,
    key: office.KeyOption = "",
    out: office.OutOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Lists a partner and its access key, or lists it anew after a change.

    Compare the fingerprint with the one that the partner sees, by another way than the card came. What it may see is
    for each city's policy to say.
    """
    with Command("partner-add", as_json, dry_run=dry_run, yes=yes) as command:
        at = office.read_office(home)
        facts = cards.read_card(card, at, Kind.PARTNER)
        roles, valid = tuple(role) if role else None, validity(key_days)
        cards.list_card(
            command, facts, at, lambda listing: with_card(listing, facts, country, roles, valid), fingerprint, replace,
            key=key, passphrase_file=passphrase_file, out=out, days=days,
        )  # fmt: skip


@app.command("list")
def list_(
    home: office.HomeOption,
    key: office.KeyOption = "",
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
) -> None:
    """Shows who is invited, waits, is listed, suspended or revoked."""
    with Command("partners", as_json) as command:
        standing.list_parties(command, office.read_office(home), KINDS, key, passphrase_file)


@app.command()
def suspend(
    name: NAME,
    home: office.HomeOption,
    reason: parties.ReasonOption,
    how_long: parties.ForOption = "",
    lift: parties.LiftOption = False,
    days: office.DaysOption = office.LIFE_DAYS,
    key: office.KeyOption = "",
    out: office.OutOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Takes a partner off the list for a while: it is answered nothing, and asked nothing."""
    with Command("partner-suspend", as_json, dry_run=dry_run, yes=yes) as command:
        at, how_long = office.read_office(home), parties.length(how_long, lift)
        parties.suspend(command, at, name, KINDS, how_long, reason, key, passphrase_file, out, days)


@app.command()
def remove(
    name: NAME,
    home: office.HomeOption,
    reason: parties.ReasonOption,
    days: office.DaysOption = office.LIFE_DAYS,
    key: office.KeyOption = "",
    out: office.OutOption = None,
    passphrase_file: passphrase.FileOption = None,
    as_json: JSON = False,
    dry_run: DRY_RUN = False,
    yes: YES = False,
) -> None:
    """Takes a partner off the list. It can be invited again; where keys may be in other hands, revoke it."""
    with Command("partner-remove", as_json, dry_run=dry_run, yes=yes) as command:
        parties.remove(command, office.read_office(home), name, KINDS, reason, key, passphrase_file, out, days)


def validity(days: int) -> tuple[int, int]:
    """From today on, for so many days."""
    today = clock.now() // DAY * DAY
    return today, today + (days + 1) * DAY
