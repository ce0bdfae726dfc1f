"""What every command of cimfed shares: errors as one line with their reason, exit codes, tables.

Rules:
1. Results go to standard output; progress, coverage and errors to standard error.
2. A ``CimfedError`` is one line with reason, place and remedy, one for each of its details, and its exit code. Secrets
   are never printed.
3. Any other exception is a fault of ours: its class and the way to report it, exit code 1, the trace only on request
   (``CIMFED_TRACE=1``), since it may hold data.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cimfed.errors import CimfedError
from cimfed.model.texts import plain

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def run(app: typer.Typer) -> None:
    """The entry point of a program: never shows a trace unless asked to."""
    try:
        app()
    except CimfedError as error:
        err.print(f"[red]error[/red] {_shown(error.line)}")
        for detail in error.details:
            err.print(f"  {_shown(detail)}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("CIMFED_TRACE"):
            raise
        err.print(f"[red]error[/red] internal: {type(error).__name__}; set CIMFED_TRACE=1 to see where")
        sys.exit(1)


def say(text: str) -> None:
    """One line of a result; not wrapped, so that paths can be copied."""
    out.print(plain(text), markup=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """A table whose cells are text as it stands; None is an empty cell."""
    made = Table(*columns, title=title, title_justify="left", header_style="bold")
    for row in rows:
        made.add_row(*("" if cell is None else _shown(str(cell)) for cell in row))
    return made


def _shown(text: str) -> str:
    """As markup that shows just this text, whoever wrote it."""
    return escape(plain(text))
