"""What the operator's commands print of an import or an activation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cimfed import console
from cimfed_node.activate import Building, Report


@contextmanager
def building_progress() -> Iterator[Building]:
    """A bar over the views that are being built; on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console.err, transient=True, disable=not console.err.is_terminal) as progress:
        task = progress.add_task("views", total=None)

        def building(grant: str, done: int, total: int) -> None:
            progress.update(task, description=f"view of {grant}", completed=done, total=total)

        yield building


def show(report: Report) -> None:
    """The grants that are in force, and what each gives."""
    if report.grants:
        rows = [
            (item.grant, item.collection, "no snapshot yet" if item.rows is None else item.rows)
            for item in report.grants
        ]
        console.out.print(console.table(("grant", "collection", "rows"), rows))
    for note in report.notes:
        console.say(f"note: {note}")
