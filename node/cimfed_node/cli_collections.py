"""`cimfed-node collections`: what lies here, and through which grants it is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cimfed import console
from cimfed_node.opening import opened
from cimfed_node.tables.publication import active_grants, active_policy, current_snapshots


def collections(home: Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")]) -> None:
    """Shows what this node holds and what its policy gives."""
    with opened(home) as (_, control), control.reading() as connection:
        snapshots, policy, grants = (
            current_snapshots(connection),
            active_policy(connection),
            active_grants(connection),
        )
    rows = [
        (
            entry.collection,
            entry.id[:12],
            f"{entry.rows:,}",
            ", ".join(f"{corner:.4f}" for corner in entry.extent) if entry.extent else "",
            entry.operation,
            "unknown" if entry.accuracy is None else f"{entry.accuracy:g} m",
            ", ".join(f"{item.grant} {item.view[:12]}" for item in grants if item.collection == entry.collection),
        )
        for entry in snapshots.values()
    ]
    heads = ("collection", "snapshot", "rows", "extent (CRS84)", "operation", "accuracy", "grant and view")
    console.out.print(console.table(heads, rows))
    console.say(f"policy version {policy.version} is in force" if policy else "no policy is active: nothing is given")
