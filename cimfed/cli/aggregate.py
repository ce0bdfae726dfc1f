"""`cimfed aggregate`: groups of rows, added up over all cities."""

from __future__ import annotations

from typing import Annotated

import typer

from cimfed import passphrase
from cimfed.cli import asking, output_table
from cimfed.cli.output import Target, check


def aggregate(
    collection: Annotated[str, typer.Argument(help="Such as building, admin_unit, facility.")],
    measure: Annotated[
        list[str] | None,
        typer.Option(
            "--measure", help="count, or sum, mean, min, max of a property as in mean:height; again for more."
        ),
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="A property to group by, or city; again for more.")
    ] = None,
    where: asking.WhereOption = None,
    bbox: asking.BboxOption = None,
    purpose: asking.PurposeOption = None,
    grant: asking.GrantOption = None,
    city: asking.CityOption = None,
    require: asking.RequireOption = "all",
    output: asking.OutputOption = None,
    format: asking.FormatOption = None,
    rows: asking.RowsOption = 100,
    receipt: asking.ReceiptOption = None,
    json: asking.JsonOption = False,
    timeout: asking.TimeoutOption = None,
    profile: asking.ProfileOption = None,
    gateway: asking.GatewayOption = None,
    direct: asking.DirectOption = None,
    passphrase_file: passphrase.FileOption = None,
) -> None:
    """Adds up what all cities say. Unless --require says otherwise, a missing city is an error (7)."""
    target = Target.of(output, format, None, True)
    check(target, None)
    ending = asking.Ending.of(receipt, json, target.path)
    with asking.federation(profile, gateway, direct, passphrase_file) as fed:
        answer = fed.aggregate(
            collection,
            measure or ["count"],
            by=by or (),
            where=where,
            bbox=asking.box(bbox),
            purpose=purpose,
            grants=asking.pairs(grant),
            cities=city or None,
            require=asking.required(require),
            timeout=timeout,
        )
        asking.put_out(answer, target, collection, ending, lambda found: output_table.print_rows(found, rows))
