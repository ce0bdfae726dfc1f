"""What came of each kind of broken input, as a table at the end of a run that was asked for it."""

from __future__ import annotations

import sys
from collections import Counter

import pytest

HEADS = ("format", "kind", "outcome", "reason", "place", "message")
WIDEST = 40  # of all cells but the message's
PROPERTY = "broken"
"""The name under which a test records its row."""


def show(reporter: pytest.TerminalReporter) -> None:
    """Rows of the tests that passed, by format; on a terminal, messages are cut to its width."""
    passed = reporter.stats.get("passed", ())
    rows = [row for report in passed for key, row in report.user_properties if key == PROPERTY]
    rows.sort(key=lambda row: str(row[0]))
    reporter.section(f"{len(rows)} kinds of broken input")
    widths = [min(WIDEST, max(len(row[at]) for row in (HEADS, *rows))) for at in range(len(HEADS) - 1)]
    for row in (HEADS, *rows):
        cells = [cell[:width].ljust(width) for cell, width in zip(row, widths, strict=False)]
        line = "  ".join([*cells, row[-1]])
        reporter.line(line[: reporter._tw.fullwidth] if sys.stdout.isatty() else line)
    for (form, outcome), count in Counter((row[0], row[2]) for row in rows).items():
        reporter.line(f"{form}: {outcome}: {count}")
