"""A value in a document and where it stands: how policies are read, from YAML and from JSON alike.

Both parsers give the same plain values (scalars as the text that stands there, lists, dicts; JSON also has true,
false and null), so that no word changes its meaning by looking like a number, a boolean or a date: ``NO`` is
Norway. A reader asks the cursor for what it expects; anything else is ``BadPolicy`` with the place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

from cimfed.errors import BadPolicy
from cimfed.model.limits import LIMITS

Path: TypeAlias = tuple[str | int, ...]
Locate: TypeAlias = Callable[[Path, bool], str]
"""The place of the value at a path, or of its key where the second argument is true."""

LATER = "not supported by this release"


@dataclass(frozen=True)
class Cursor:
    value: Any
    path: Path
    locate: Locate

    def child(self, key: str | int) -> Cursor:
        return Cursor(self.value[key], (*self.path, key), self.locate)

    def error(self, message: str, remedy: str | None = None) -> BadPolicy:
        return BadPolicy(message, place=self.locate(self.path, False), remedy=remedy)

    def key_error(self, message: str, remedy: str | None = None) -> BadPolicy:
        return BadPolicy(message, place=self.locate(self.path, True), remedy=remedy)

    def items(self, of: str, limit: int = LIMITS.list_items) -> list[Cursor]:
        """The entries of a list; ``of`` says what it lists."""
        if not isinstance(self.value, list):
            raise self.error(f"a list of {of} belongs here", "Write it in square brackets: [a, b]")
        if len(self.value) > limit:
            raise self.error(f"more than {limit} {of}")
        return [self.child(index) for index in range(len(self.value))]

    def entries(self, of: str) -> list[tuple[str, Cursor]]:
        """The entries of a mapping whose keys are the steward's own words."""
        if not isinstance(self.value, dict):
            raise self.error(f"a mapping of {of} belongs here", "Write it as {word: value}")
        if len(self.value) > LIMITS.list_items:
            raise self.error(f"more than {LIMITS.list_items} {of}")
        return [(key, self.child(key)) for key in self.value]

    def fields(
        self,
        of: str,
        required: Collection[str],
        optional: Collection[str] = (),
        later: Collection[str] = (),
    ) -> dict[str, Cursor]:
        """The entries of a mapping whose keys are words of the format.

        ``later`` are words of the format that this release does not evaluate: leaving them out would give more
        than the steward meant.
        """
        found = dict(self.entries(of))
        known = [*required, *optional]
        for key, at in found.items():
            if key in later:
                raise at.key_error(f"{key}: {LATER}", "A policy that needs it must wait for one that does")
            if key not in known:
                raise at.key_error(f"unknown word {key[:64]!r} in {of}", suggestion(key, known))
        for key in required:
            if key not in found:
                raise self.error(f"{of} must say {key}")
        return found

    def text(self, what: str) -> str:
        if not isinstance(self.value, str):
            raise self.error(f"{what} belongs here")
        if any("\ud800" <= letter <= "\udfff" for letter in self.value):
            raise self.error(f"{what} holds half of a character (a lone surrogate)")
        return self.value

    def match(self, pattern: re.Pattern[str], what: str) -> str:
        text = self.text(what)
        if not pattern.fullmatch(text):
            raise self.error(f"{text[:64]!r} is not {what}")
        return text

    def choice(self, known: Collection[str], what: str) -> str:
        text = self.text(what)
        if text not in known:
            raise self.error(f"{text[:64]!r} is not {what}", suggestion(text, known))
        return text

    def words(self, pattern: re.Pattern[str], one: str, many: str, *, empty: bool = False) -> frozenset[str]:
        """A list of different words."""
        found: set[str] = set()
        for at in self.items(many):
            word = at.match(pattern, one)
            if word in found:
                raise at.error(f"{word} is named twice")
            found.add(word)
        if not found and not empty:
            raise self.error(f"an empty list of {many} matches nothing", "Name some, or leave the key out")
        return frozenset(found)


def suggestion(word: str, known: Collection[str]) -> str:
    """What the reader can do about a word that is not among the known ones."""
    close = get_close_matches(word[:64], list(known), 1)
    return f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(known)}"


def json_place(source: str) -> Locate:
    """Places such as ``policy: grants[0].rows`` in a document that has no lines."""

    def locate(path: Path, key: bool) -> str:
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:64]}" for step in path)
        return f"{source}:{text.removeprefix('.')}" if text else source

    return locate


def text_place(marks: Mapping[tuple[Path, bool], tuple[int, int]], source: str) -> Locate:
    """Places such as ``almaty.yaml:12:5``: line and column, both from 1."""

    def locate(path: Path, key: bool) -> str:
        while (path, key) not in marks and path:
            path, key = path[:-1], False
        line, column = marks.get((path, key), (1, 1))
        return f"{source}:{line}:{column}"

    return locate
