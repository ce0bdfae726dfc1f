"""What the operator's commands print of an import or an activation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn

from cimfed import console
from cimfed_node.activate import Building, Report


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
            (item.grant, item.collection, "no snapshot yet" if item.rows is None else item.rows, item.of)
            for item in report.grants
        ]
        console.out.print(console.table(("grant", "collection", "rows", "of"), rows))
    for item in report.grants:
        if item.of and not item.rows:
            console.say(
                f"note: {item.grant} gives nothing: all rows of {item.collection} lie outside the declared extent and "
                "its area, or do not meet its rows; see whether longitude comes first"
            )
    for note in report.notes:
        console.say(f"note: {note}")
