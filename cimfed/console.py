"""What every command of cimfed shares: errors as one line with their reason, exit codes, tables.

What commands that administer something share besides is in ``cimfed.command``.

Rules:
1. Results go to standard output; progress, coverage and errors to standard error.
2. A ``CimfedError`` is one line with reason, place and remedy, one for each of its details, and its exit code. Secrets
   are never printed.
3. What the system refuses (``OSError``: a folder that is not there, a full disk) is such a line too: ``bad_config``.
4. Ctrl-C and SIGTERM end a command in good order: what it has begun to write goes away, and there is no trace.
5. Any other exception is a fault of ours: its class and the way to report it, exit code 1, the trace only on request
   (``CIMFED_TRACE=1``), since it may hold data.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cimfed.errors import BadConfig, CimfedError
from cimfed.model.texts import plain


def _width(stream: TextIO) -> int | None:
    """What bounds a line: the terminal's width, or COLUMNS. A file or a pipe has no width, and nothing is wrapped."""
    return None if stream.isatty() or "COLUMNS" in os.environ else 1000


out = Console(highlight=False, soft_wrap=False, width=_width(sys.stdout))
err = Console(stderr=True, highlight=False, soft_wrap=True, width=_width(sys.stderr))


def run(program: Callable[[], object]) -> None:
    """The entry point of a program: never shows a trace unless asked to."""
    try:
        with _interruptible():
            program()
    except CimfedError as error:
        _fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get("CIMFED_TRACE"):
            raise
        _fail(told(error))


def told(error: Exception) -> CimfedError:
    """What is said of an exception: rules 2, 3 and 5."""
    if isinstance(error, CimfedError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        return BadConfig(os.strerror(error.errno), place=_file_of(error))
    return CimfedError(f"{type(error).__name__}; set CIMFED_TRACE=1 to see where")


def _fail(error: CimfedError) -> NoReturn:
    err.print(f"[red]error[/red] {_shown(error.line)}")
    for detail in error.details:
        err.print(f"  {_shown(detail)}")
    sys.exit(error.exit_code)


def _file_of(error: OSError) -> str | None:
    """What the error is about; of two files (a rename) the one that the user knows."""
    name = error.filename2 or error.filename
    return None if name is None else os.fsdecode(name) if isinstance(name, bytes) else str(name)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM raise here, so that ``finally`` blocks run. Servers have their own handlers while they run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(*_: object) -> NoReturn:
        raise SystemExit(128 + signal.SIGTERM)

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, terminate)}
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def loading() -> Iterator[None]:
    """While modules are imported a signal ends the program as the system does: nothing was begun, and an exception that
    is raised in the middle of an import may be lost there, or be shown as a trace."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in found.items() if callable(handler)}  # not where it is ignored
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(text: str) -> None:
    """One line of a result; not wrapped, so that paths can be copied."""
    out.print(plain(text), markup=False, soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """A table whose cells are text as it stands, and all of it: broken where it is too wide, never cut, so that an id
    can be copied. None is an empty cell."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else _shown(str(cell)) for cell in row))
    return made


def _shown(text: str) -> str:
    """As markup that shows just this text, whoever wrote it."""
    return escape(plain(text))
