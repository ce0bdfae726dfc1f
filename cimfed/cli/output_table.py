"""Rows and coverage for people: tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import shapely
from rich.markup import escape
from rich.table import Table

from cimfed import console
from cimfed.cli.output import Rows
from cimfed.client.coverage import CityCoverage, Coverage, Word
from cimfed.client.geo import PREFIX
from cimfed.model.instants import instant_text
from cimfed.model.texts import plain

WIDEST = 40  # characters of a cell


def print_rows(rows: Rows, count: int) -> None:
    """Reads an answer's rows to their verified end and prints the first, as many of each city."""
    shown, total = first_rows(rows, count)
    if shown.num_rows:
        console.out.print(rows_table(shown))
    if total > shown.num_rows:
        console.err.print(f"{shown.num_rows} of {total:,} rows; -o FILE writes all, --rows N shows more")
    elif not total:
        console.err.print("no rows")


def first_rows(rows: Rows, count: int) -> tuple[pa.Table, int]:
    """Up to ``count`` rows, city by city, and how many there are."""
    if isinstance(rows, pa.Table):
        return _fair(rows, count), rows.num_rows
    kept: dict[str, list[pa.RecordBatch]] = {}
    total = 0
    for batch in rows:
        city = batch["city"][0].as_py()
        found = kept.setdefault(city, [])
        missing = count - sum(part.num_rows for part in found)
        if missing > 0:
            found.append(batch.slice(0, missing))
        total += batch.num_rows
    table = pa.Table.from_batches([part for city in sorted(kept) for part in kept[city]], rows.schema)
    return _fair(_had(table), count), total


def _had(table: pa.Table) -> pa.Table:
    return table.select([name for name in table.column_names if table[name].null_count < table.num_rows])


def _fair(table: pa.Table, count: int) -> pa.Table:
    """So many rows, each city its share; without a city column the first ones."""
    if table.num_rows <= count or "city" not in table.column_names:
        return table.slice(0, count)
    cities = [str(city) for city in table["city"].to_pylist()]
    left = {city: 0 for city in sorted(set(cities))}
    available = {city: cities.count(city) for city in left}
    while sum(left.values()) < count:
        for city in left:
            if left[city] < available[city] and sum(left.values()) < count:
                left[city] += 1
    picked = []
    for at, city in enumerate(cities):
        if left[city] > 0:
            left[city] -= 1
            picked.append(at)
    return table.take(picked)


def rows_table(rows: pa.Table) -> Table:
    table = Table(header_style="bold")
    names = [name for name in rows.column_names if name != "bbox" and not name.startswith(PREFIX)]
    names += [name for name in rows.column_names if name.startswith(PREFIX)]
    for name in names:
        kind = rows.schema.field(name).type
        number = pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind)
        whole = number or name == "city"
        table.add_column(name, justify="right" if number else "left", overflow="fold", no_wrap=whole)
    for row in rows.select(names).to_pylist(maps_as_pydicts="lossy"):
        table.add_row(*(escape(cell(name, value)) for name, value in row.items()))
    return table


def cell(name: str, value: Any) -> str:
    """A value as short text: geometries by type and size, names by language, instants in UTC."""
    if value is None:
        return ""
    if name.startswith(PREFIX):
        return shape_text(value)
    if isinstance(value, dict):
        text = ", ".join(f"{language}: {name}" for language, name in value.items())
    elif hasattr(value, "timestamp"):
        text = instant_text(int(value.timestamp() * 1_000_000))
    elif isinstance(value, float):
        text = f"{value:.4f}".rstrip("0").rstrip(".")
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    else:
        text = str(value)
    text = plain(text)
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def shape_text(wkb: bytes) -> str:
    try:
        shape = shapely.from_wkb(wkb)
    except (shapely.errors.ShapelyError, NotImplementedError):  # the second of curves
        return "not a geometry"
    if isinstance(shape, shapely.Point) and not shape.is_empty:
        return f"Point {shape.x:.5f} {shape.y:.5f}"
    return f"{shape.geom_type}{' Z' if shape.has_z else ''}, {shapely.get_num_coordinates(shape)} points"


def coverage_table(coverage: Coverage) -> Table:
    """Every member that was asked, what came of it, and on whose word."""
    through = f"through {coverage.gateway}, " if coverage.gateway else ""
    table = Table(
        title=f"coverage: {through}version {coverage.directory_version} of the directory",
        title_justify="left",
        title_style="bold",
        header_style="bold",
    )
    table.add_column("city", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("rows", no_wrap=True, justify="right")
    table.add_column("word of", no_wrap=True)
    table.add_column("grant", no_wrap=True)
    table.add_column("notes", overflow="fold", ratio=1)
    for line in coverage:
        if not line.asked:
            continue
        colour = "red" if line.missing else "green"
        table.add_row(
            line.city,
            f"[{colour}]{line.outcome}[/{colour}]",
            f"{line.rows:,}" if line.word is Word.CITY else "",
            f"its {line.word}" if line.word is Word.STEWARD else f"the {line.word}",
            escape(plain(line.grant)),
            escape(plain("; ".join(_notes(line)))),
        )
    return table


def _notes(line: CityCoverage) -> Iterator[str]:
    if line.reason:
        yield ": ".join(part for part in (line.reason, line.message) if part)
    if line.masks:
        yield "coarsened: " + ", ".join(f"{name} {mask}" for name, mask in line.masks.items())
    if line.absent:
        yield "not given: " + ", ".join(line.absent)
    if line.obligations:
        yield "obligations: " + ", ".join(line.obligations)
    if line.policy_version:
        yield f"policy {line.policy_version}"
