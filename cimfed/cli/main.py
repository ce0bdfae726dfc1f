"""`cimfed`: the commands of administrators, stewards and partners, each group in its own module."""

from __future__ import annotations

import typer

from cimfed import console
from cimfed.cli import directory, member, partner, policy, profile, receipt
from cimfed.cli.aggregate import aggregate
from cimfed.cli.catalog import catalog
from cimfed.cli.read import read

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(read)
app.command()(aggregate)
app.command()(catalog)
app.add_typer(receipt.app, name="receipt")
app.add_typer(directory.app, name="directory")
app.add_typer(member.app, name="member")
app.add_typer(partner.app, name="partner")
app.add_typer(policy.app, name="policy")
app.add_typer(profile.app, name="profile")


def main() -> None:
    console.run(app)
