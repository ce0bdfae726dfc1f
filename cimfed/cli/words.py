"""A group of commands one of which goes without its name: `cimfed requests` is `cimfed requests list`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class Unsaid(TyperGroup):
    """``unsaid``: the command that is meant where the first word is none. ``bare``: also where there is no word."""

    unsaid = ""
    bare = False

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [self.unsaid, *args]
        elif not args and self.bare:
            args = [self.unsaid]
        return super().parse_args(ctx, args)


class UnsaidList(Unsaid):
    unsaid, bare = "list", True
