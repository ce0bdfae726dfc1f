"""What the operator's commands print of an import or an activation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

from cimfed import console
from cimfed.command import Command
from cimfed_node.activate import Building, Report
from cimfed_node.ingest import ImportReport, Preview

SHOWN = 8  # values or names in one cell


@contextmanager
def bar(*columns: ProgressColumn) -> Iterator[Callable[[str, int, int], None]]:
    """A bar that shows what is being done and how much of it is done, out of how much; on a terminal only."""
    shown = (TextColumn("{task.description}"), BarColumn(), *columns, TimeElapsedColumn())
    with Progress(*shown, console=console.err, transient=True, disable=not console.err.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield lambda what, done, total: progress.update(task, description=what, completed=done, total=total)


@contextmanager
def building_progress() -> Iterator[Building]:
    """A bar over the views that are being built."""
    with bar(MofNCompleteColumn()) as update:
        yield lambda grant, done, total: update(f"view of {grant}", done, total)


def show(report: Report) -> None:
    """The grants that are in force, and how many of their collection's rows each gives."""
    if report.grants:
        rows = [
            (
                item.grant,
                item.collection,
                "no snapshot yet" if item.rows is None else f"{item.rows:,}",
                None if item.of is None else f"{item.of:,}",
            )
            for item in report.grants
        ]
        console.out.print(console.table(("grant", "collection", "rows", "of"), rows))
    for note in _notes(report):
        console.say(f"note: {note}")


def tell(command: Command, report: Report) -> None:
    """The same, as text or as fields of the command's object."""
    if not command.as_json:
        show(report)
        return
    command.put(policy=report.version, grants=[vars(item) for item in report.grants])
    for note in _notes(report):
        command.note(note)


def _notes(report: Report) -> list[str]:
    empty = [
        f"{item.grant} gives nothing: all rows of {item.collection} lie outside the declared extent and "
        "its area, or do not meet its rows; see whether longitude comes first"
        for item in report.grants
        if item.of and not item.rows
    ]
    return [*empty, *report.notes]


def show_preview(found: Preview) -> None:
    console.say(f"format: {', '.join(found.formats)}")
    show_import(found.report)
    for bad in found.bad:
        console.say(f"bad: {bad}")
    names = list(dict.fromkeys(name for row in found.rows for name in row))
    if found.rows:
        filled = [name for name in names if any(row.get(name) is not None for row in found.rows)]
        heads = ("property", *(f"row {at + 1}" for at in range(len(found.rows))))
        console.out.print(
            console.table(heads, [(name, *(_short(row.get(name)) for row in found.rows)) for name in filled])
        )
        if lacking := [name for name in names if name not in filled]:
            console.say(f"empty in these rows: {', '.join(lacking)}")


def show_import(report: ImportReport) -> None:
    operation = report.operation
    accuracy = "accuracy unknown" if operation.accuracy_m is None else f"accurate to {operation.accuracy_m:g} m"
    declared = ", declared by cimfed and not one of PROJ's" if operation.declared else ""
    console.say(f"from {operation.crs} by {operation.name} ({accuracy}{declared})")
    if operation.vertical:
        console.say(f"heights stay in {operation.vertical}")
    elif report.nulls.get("zmin", report.rows) < report.rows:
        console.say("heights stay in a system that is unknown: name it with --vertical")
    if report.matched:
        derived = {name: f"{count:,}" for name, count in report.derived.items()}
        rows = [(name, _counts(columns), derived.get(name)) for name, columns in report.matched.items()]
        rows += [(name, "", count) for name, count in derived.items() if name not in report.matched]
        console.out.print(console.table(("property", "from (objects)", "derived"), rows))
    for (name, column), values in report.unmapped.items():
        console.say(f"not understood as {name}: {column} {_counts(values)}; kept in ext")
    if report.unclaimed:
        console.say(f"kept in ext: {_counts(report.unclaimed)}")
    for what, counts in (("left out", report.skipped), ("geometries left out", report.dropped)):
        if counts:
            console.say(f"{what}: {_counts({name or 'by --where': count for name, count in counts.items()})}")
    for what, count in (
        ("footprints made valid", report.repaired),
        ("duplicates", report.duplicates),
        ("bad", report.bad),
    ):
        if count:
            console.say(f"{what}: {count:,}")
    for note in report.notes:
        console.say(f"note: {note}")


def _counts(counts: object) -> str:
    """``name (count)``, the most frequent first."""
    assert hasattr(counts, "items")
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} ({count:,})" for name, count in ordered[:SHOWN])
    return shown + (f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else "")


def _short(value: object) -> str:
    if isinstance(value, dict):  # a box, or names by language
        sides = all(isinstance(part, float) for part in value.values())
        value = ", ".join(f"{part:.4f}" if sides else f"{key}: {part}" for key, part in value.items())
    text = "" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
