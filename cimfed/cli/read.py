"""`cimfed read`: rows of a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from cimfed.cli import asking, output_table, passphrase
from cimfed.cli.output import Target, check


def read(
    collection: Annotated[str, typer.Argument(help="Such as building, admin_unit, facility.")],
    where: asking.WhereOption = None,
    bbox: asking.BboxOption = None,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", "-p", help="A column; again for more. All that is granted if none."),
    ] = None,
    purpose: asking.PurposeOption = None,
    grant: asking.GrantOption = None,
    city: asking.CityOption = None,
    require: asking.RequireOption = "any",
    output: asking.OutputOption = None,
    format: asking.FormatOption = None,
    lod: Annotated[
        int | None,
        typer.Option(
            "--lod", min=0, max=3, help="Geometry of GeoJSON and GeoPackage, else the footprint; of CityJSON, else all."
        ),
    ] = None,
    geometry: Annotated[
        bool, typer.Option("--geometry/--no-geometry", help="Leave geometries out of the output.")
    ] = True,
    rows: asking.RowsOption = 20,
    receipt: asking.ReceiptOption = None,
    json: asking.JsonOption = False,
    timeout: asking.TimeoutOption = None,
    compression: Annotated[str, typer.Option("--compression", help="On the wire: lz4 or zstd.")] = "",
    profile: asking.ProfileOption = None,
    gateway: asking.GatewayOption = None,
    direct: asking.DirectOption = None,
    passphrase_file: passphrase.FileOption = None,
) -> None:
    """Asks for rows of a collection and shows or writes them, verified.

    cimfed read building --purpose research --where "height > 50" -o tall.city.jsonl

    The name of a file says its format. Each says which city gave what under which licence and obligations, in itself or
    in FILE.metadata.json beside it.

    Ends with 0 when every city answered, 6 when some are missing, 4 when nobody grants it, 7 when too few can be
    reached, 8 when the answer does not verify.
    """
    target = Target.of(output, format, lod, geometry)
    check(target, collection)
    ending = asking.Ending.of(receipt, json, target)
    with asking.federation(profile, gateway, direct, passphrase_file) as fed:
        answer = fed.read(
            collection,
            where=where,
            bbox=asking.box(bbox),
            properties=properties or None,
            purpose=purpose,
            grants=asking.pairs(grant),
            cities=city or None,
            require=asking.required(require),
            timeout=timeout,
            compression=compression,
        )
        asking.put_out(answer, target, collection, ending, lambda found: output_table.print_rows(found, rows))
