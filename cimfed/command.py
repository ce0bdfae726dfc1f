"""What every administrative command keeps: ``--json``, ``--dry-run``, ``--yes``, and how it ends (docs/commands.md).

    @app.command()
    def block(party: str, as_json: JSON = False, dry_run: DRY_RUN = False, yes: YES = False) -> None:
        with Command("block", as_json, dry_run=dry_run, yes=yes) as command:
            command.say(f"to be blocked: {party}")
            command.put(subject=party, affected={"running": 2})
            if command.goes_on(f"Block {party}?"):
                ...
                command.say(f"{party} is blocked")

Rules:
1. What is wrong is an error of ``cimfed.errors``; its exit code is the command's.
2. With ``--json`` standard output is one object: what was ``put``, or the error. Text goes to standard error alone.
3. A command that changes something says first what it changes and who is affected; ``goes_on`` is asked right before
   the change, and nothing was changed until it gave True.
4. Without ``--yes`` it asks at a terminal. Where there is none, it does nothing: a script says that it means it.
"""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from cimfed import console
from cimfed.errors import CimfedError, Declined, NotConfirmed

JSON = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, also of an error.")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Only say what would change and who is affected.")]
YES = Annotated[bool, typer.Option("--yes", help="Do not ask; needed where there is no terminal.")]

ERROR = "cimfed/error/v1"
_ENDINGS = (typer.Exit, typer.Abort, typer.BadParameter)  # how typer ends a command, with words of its own


class Command:
    """One run of a command. ``name``: what its schema is called by, ``cimfed/<name>/v1``; fields are added, never
    changed. ``dry_run`` None: it changes nothing anyway.
    """

    def __init__(self, name: str, as_json: bool = False, *, dry_run: bool | None = None, yes: bool = False) -> None:
        self.as_json = as_json
        self._name, self._dry_run, self._yes = name, dry_run, yes
        self.schema = f"cimfed/{name}/v1"
        self._fields: dict[str, Any] = {"schema": self.schema}
        self._notes: list[str] = []
        self._said: list[str] = []
        if dry_run is not None:
            self._fields |= {"dry_run": dry_run, "changed": False}

    def put(self, **fields: Any) -> None:
        """Fields of the object; one that stands is replaced."""
        self._fields |= fields

    def say(self, line: str) -> None:
        """A line of the result as text."""
        self._said.append(line)
        if not self.as_json:
            console.say(line)

    def show(self, shown: RenderableType) -> None:
        """A table of the result, or the like, as text."""
        if not self.as_json:
            console.out.print(shown)

    def note(self, text: str) -> None:
        """What whoever runs it should know besides: text, and ``notes`` of the object."""
        self._notes.append(text)
        self.say(f"note: {text}")

    def goes_on(self, question: str) -> bool:
        """Whether to change it now: False in a dry run. NotConfirmed where nobody can be asked, Declined after a no.

        From True on the object says ``changed``; ``put(changed=False)`` where it turns out that nothing was.
        """
        if self._dry_run:
            self.say("nothing was changed (--dry-run)")
            return False
        self.confirm(question)
        self._fields["changed"] = True
        return True

    def agreed(self) -> None:
        """What the question asks was answered otherwise: it is not asked any more."""
        self._yes = True

    def foretold(self) -> bool:
        """Whether this was a dry run, for a command whose standard output is a result alone."""
        return bool(self._dry_run)

    def confirm(self, question: str) -> None:
        if self._yes:
            return
        if not sys.stdin.isatty():
            raise NotConfirmed(
                "this asks before it does anything, and there is no terminal to ask at",
                remedy="Say --yes, or --dry-run to see what it would do",
            )
        if self.as_json:
            for line in self._said:
                console.err.print(line, markup=False)
        try:
            agreed = typer.confirm(question, err=True)
        except typer.Abort:  # the end of the input, or Ctrl-C
            agreed = False
        if not agreed:
            raise Declined("nothing was changed")

    def __enter__(self) -> Command:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The object, once all is done. What was raised goes on to ``console.run``, which says it as text."""
        if not self.as_json:
            return
        if error is None:
            notes = {"notes": self._notes} if self._notes else {}
            print(json.dumps(self._fields | notes, ensure_ascii=False))
        elif isinstance(error, Exception) and not isinstance(error, _ENDINGS):
            known = console.told(error)
            print(json.dumps({"schema": ERROR, "command": self._name, "error": _facts(known)}, ensure_ascii=False))


def _facts(error: CimfedError) -> dict[str, Any]:
    return {
        "reason": error.reason,
        "message": error.message,
        "place": error.place,
        "remedy": error.remedy,
        "details": list(error.details),
        "retry_after": error.retry_after,
        "exit_code": error.exit_code,
    }
