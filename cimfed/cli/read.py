"""`cimfed read`: rows of a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase, paths
from cimfed.cli import asking, output_table
from cimfed.cli.output import STDOUT, Format, Target, check
from cimfed.cli.output_original import Written, write_originals
from cimfed.errors import BadConfig
from cimfed.model.texts import plain

ID = "id"
"""The one column that is asked for beside untouched objects: they hold all others."""


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
    original: Annotated[
        bool,
        typer.Option(
            "--original", help="Objects as the cities' files had them, in a new folder: -o FOLDER. Where it is granted."
        ),
    ] = False,
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

    With --original a new folder gets a file for each city and each of its own files, in their format and coordinates.

    Ends with 0 when every city answered, 6 when some are missing, 4 when nobody grants it, 7 when too few can be
    reached, 8 when the answer does not verify.
    """
    if original:
        folder = _folder(output, properties, format, lod, geometry)
        ending = asking.Ending.of(receipt, json, folder)
    else:
        target = Target.of(output, format, lod, geometry)
        check(target, collection)
        ending = asking.Ending.of(receipt, json, target.path)
    with asking.federation(profile, gateway, direct, passphrase_file) as fed:
        answer = fed.read(
            collection,
            where=where,
            bbox=asking.box(bbox),
            properties=[ID] if original else properties or None,
            purpose=purpose,
            grants=asking.pairs(grant),
            cities=city or None,
            require=asking.required(require),
            timeout=timeout,
            compression=compression,
            original=original,
        )
        if original:
            with asking.accounted(answer, ending):
                written = write_originals(answer, lambda city: answer.headers[city], folder, lambda: answer.provenance)
                if not ending.json:
                    console.err.print(_said(written, folder), markup=False)
            return
        asking.put_out(answer, target, collection, ending, lambda found: output_table.print_rows(found, rows))


def _folder(
    output: str | None, properties: list[str] | None, format: Format | None, lod: int | None, geometry: bool
) -> Path:
    """Where untouched objects go; they come whole, in their own formats."""
    if properties or format is not None or lod is not None or not geometry:
        raise BadConfig(
            "untouched objects come whole, in their files' own formats",
            place="--original",
            remedy="Leave --property, --format, --lod and --no-geometry out",
        )
    if output is None or output == STDOUT:
        raise BadConfig("untouched objects need a folder", place="--original", remedy="Name a new one: -o FOLDER")
    return paths.new_folder(Path(output))


def _said(written: Written, folder: Path) -> str:
    where = f" in {written.files:,} files in {plain(str(folder))}" if written.files else ": nothing was written"
    lacking = written.rows - written.objects
    return f"{written.objects:,} objects{where}" + (f"; {lacking:,} rows have none" if lacking else "")
