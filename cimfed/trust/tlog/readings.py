"""What a registrar signs to read entries of a log: the arguments of the action ``entries``.

    at          whose log: a city, a gateway, the directory service
    generation  which of its logs, 0 for the one of now
    first       index of the first entry
    count       how many at most

Numbers are decimal texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cimfed.errors import BadQuery
from cimfed.trust.admin import Argument

ACTION = "entries"
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,14}")
_NAMES = {"at", "generation", "first", "count"}


@dataclass(frozen=True)
class Reading:
    at: str
    first: int
    count: int
    generation: int = 0

    @property
    def arguments(self) -> Mapping[str, Argument]:
        return {
            "at": self.at,
            "generation": str(self.generation),
            "first": str(self.first),
            "count": str(self.count),
        }


def reading_of(arguments: Mapping[str, Argument]) -> Reading:
    """BadQuery for anything else."""
    if arguments.keys() != _NAMES:
        raise BadQuery(f"the action takes {', '.join(sorted(_NAMES))}")
    at = arguments["at"]
    generation, first, count = (_number(arguments, name) for name in ("generation", "first", "count"))
    if not isinstance(at, str) or count == 0:
        raise BadQuery("the action reads one entry at least, of one log")
    return Reading(at, first, count, generation)


def _number(arguments: Mapping[str, Argument], name: str) -> int:
    value = arguments[name]
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise BadQuery("not a number", place=name)
    return int(value)
