"""Whom a change at this city touches: whose queries were answered lately, and how many answers run now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cimfed.command import Command
from cimfed.model.instants import instant_text
from cimfed_node.tables import Transaction
from cimfed_node.tables.admissions import Asked, asked

DAYS = 30  # that "lately" goes back
_DAY = 86_400_000_000  # microseconds


def lately(connection: Transaction, now: int) -> list[Asked]:
    return asked(connection, now - DAYS * _DAY, now)


def say_affected(command: Command, hit: Sequence[Asked], what: str) -> None:
    """Text, and ``affected`` of the object. ``what`` becomes of the answers that run: such as "end"."""
    found = _affected(hit)
    command.put(affected=found)
    for row in found["organisations"]:
        command.say(f"  {row['organisation']}: {row['queries']:,} queries answered in {DAYS} days, last {row['last']}")
    if not hit:
        command.say(f"  no query that it touches was answered in the last {DAYS} days")
    if found["running"]:
        command.say(f"  {found['running']} answers that run now {what}")


def _affected(hit: Sequence[Asked]) -> dict[str, Any]:
    queries: dict[str, int] = {}
    last: dict[str, int] = {}
    for line in hit:
        queries[line.organisation] = queries.get(line.organisation, 0) + line.queries
        last[line.organisation] = max(last.get(line.organisation, 0), line.last)
    return {
        "running": sum(line.running for line in hit),
        "days": DAYS,
        "organisations": [
            {"organisation": name, "queries": count, "last": instant_text(last[name])}
            for name, count in queries.items()
        ],
    }
