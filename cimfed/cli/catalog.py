"""`cimfed catalog`: what the cities grant and list."""

from __future__ import annotations

from typing import Annotated, Any

import pyarrow as pa
import typer
from rich.markup import escape
from rich.table import Table

from cimfed import console, passphrase
from cimfed.cli import asking
from cimfed.cli.output import Rows, Target, check
from cimfed.model.texts import plain

LISTED = "(listed only)"
IMPLIED = ("city", "bbox")
"""Properties that every grant, or every grant with geometry, gives."""


def catalog(
    collection: Annotated[str | None, typer.Argument(help="Only this collection.")] = None,
    purpose: Annotated[str | None, typer.Option("--purpose", help="Only grants that serve this purpose.")] = None,
    city: asking.CityOption = None,
    require: asking.RequireOption = "any",
    output: asking.OutputOption = None,
    format: asking.FormatOption = None,
    receipt: asking.ReceiptOption = None,
    json: asking.JsonOption = False,
    timeout: asking.TimeoutOption = None,
    profile: asking.ProfileOption = None,
    gateway: asking.GatewayOption = None,
    direct: asking.DirectOption = None,
    passphrase_file: passphrase.FileOption = None,
) -> None:
    """Shows what each city grants to you, and what it lists without granting; files have one row for a property."""
    target = Target.of(output, format, None, True)
    check(target, None)
    ending = asking.Ending.of(receipt, json, target.path)
    with asking.federation(profile, gateway, direct, passphrase_file) as fed:
        answer = fed.catalog(
            collection, purpose=purpose, cities=city or None, require=asking.required(require), timeout=timeout
        )
        asking.put_out(
            answer,
            target,
            "catalog",
            ending,
            print_grants,
            answer.to_table,
        )


def print_grants(rows: Rows) -> None:
    """One line for each grant: for which purposes, which properties, how many rows, until when.

    What a narrow terminal has no room for is wrapped, not cut: one must be able to type it.
    """
    assert isinstance(rows, pa.Table)
    grants: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        grants.setdefault((row["city"], row["collection"], row["grant"] or LISTED), []).append(row)
    if not grants:
        console.err.print("nothing is granted to you or listed")
        return
    table = Table(header_style="bold", padding=(0, 1 if console.out.width >= 100 else 0))
    for name in ("city", "collection", "grant", "purposes", "properties"):
        table.add_column(name, overflow="fold")
    for name in ("rows", "until"):
        table.add_column(name, overflow="fold", justify="right")
    for key, found in sorted(grants.items()):
        table.add_row(*(escape(plain(cell)) for cell in (*key, *_line(found))))
    console.out.print(table)


def _line(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    first = rows[0]
    until = first["valid_to"]
    return (
        str(first["purposes"] or ""),
        ", ".join(_property(row) for row in rows if row["property"] not in IMPLIED),
        "" if first["rows"] is None else f"{first['rows']:,}",
        f"{until:%Y-%m-%d}" if until is not None else "",
    )


def _property(row: dict[str, Any]) -> str:
    mask = row["mask"]
    return f"{row['property']}" + (f" {mask}" if mask and mask != "exact" else "")
