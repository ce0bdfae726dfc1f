"""Composing the YAML of a steward's file into plain values, with the line and column of each.

Rules, each an error with its place:
1. One document; at most 1 MiB, 32 levels and 100,000 values.
2. No anchors, aliases, tags or merge keys: what stands there is what is meant, and nothing grows by reference.
3. Keys are plain words, none twice in one mapping.
4. Scalars stay text: YAML's own guesses (no, 1_000, 0x10, 2026-10-01) play no part.

Built on the events of PyYAML's parser with a stack of our own, so that depth is bounded before it costs anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

from cimfed.errors import BadPolicy
from cimfed.model.limits import MIB
from cimfed.policy.cursor import Cursor, Path, text_place

MAX_TEXT = MIB
MAX_DEPTH = 32
MAX_VALUES = 100_000


@dataclass
class _Open:
    """A list or mapping whose end has not come yet; ``key`` is the mapping's key that waits for its value."""

    value: list[Any] | dict[str, Any]
    path: Path
    key: str | None = None


@dataclass
class _Composer:
    source: str
    marks: dict[tuple[Path, bool], tuple[int, int]] = field(default_factory=dict)
    open: list[_Open] = field(default_factory=list)
    root: Any = None
    documents: int = 0
    values: int = 0

    def error(self, mark: Any, message: str, remedy: str | None = None) -> BadPolicy:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return BadPolicy(message, place=f"{self.source}:{line}:{column}", remedy=remedy)

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise self.error(event.start_mark, "a policy file holds one document")
            case yaml.AliasEvent():
                raise self.error(event.start_mark, "no aliases here", "Write the value out")
            case yaml.ScalarEvent():
                self.scalar(event)
            case yaml.SequenceStartEvent():
                self.enter(event, [])
            case yaml.MappingStartEvent():
                self.enter(event, {})
            case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                self.open.pop()

    def scalar(self, event: yaml.ScalarEvent) -> None:
        self.plain(event)
        parent = self.open[-1] if self.open else None
        if parent is None or parent.key is not None or isinstance(parent.value, list):
            self.place(event.value, event)
            return
        if event.value in parent.value:
            line, _ = self.marks[(*parent.path, event.value), True]
            raise self.error(event.start_mark, f"{event.value[:64]!r} stands here twice, first on line {line}")
        parent.key = event.value
        self.mark((*parent.path, event.value), True, event)

    def enter(self, event: yaml.CollectionStartEvent, value: list[Any] | dict[str, Any]) -> None:
        self.plain(event)
        parent = self.open[-1] if self.open else None
        if parent is not None and parent.key is None and isinstance(parent.value, dict):
            raise self.error(event.start_mark, "a key is a word, not a list or mapping")
        if len(self.open) >= MAX_DEPTH:
            raise self.error(event.start_mark, f"more than {MAX_DEPTH} levels deep")
        self.open.append(_Open(value, self.place(value, event)))

    def plain(self, event: yaml.NodeEvent) -> None:
        if event.anchor is not None:
            raise self.error(event.start_mark, "no anchors here", "Write the value out where it is used")
        if event.tag is not None:  # type: ignore[attr-defined]
            raise self.error(event.start_mark, "no tags here", "Leave the word with the ! out")
        self.values += 1
        if self.values > MAX_VALUES:
            raise self.error(event.start_mark, f"more than {MAX_VALUES} values", "Give the area as a file")

    def place(self, value: Any, event: yaml.NodeEvent) -> Path:
        """Puts a value where it belongs and gives its path."""
        path: Path = ()
        if self.open:
            parent = self.open[-1]
            if isinstance(parent.value, list):
                path = (*parent.path, len(parent.value))
                parent.value.append(value)
            else:
                assert parent.key is not None
                path = (*parent.path, parent.key)
                parent.value[parent.key] = value
                parent.key = None
        else:
            self.root = value
        self.mark(path, False, event)
        return path

    def mark(self, path: Path, key: bool, event: yaml.NodeEvent) -> None:
        start = event.start_mark
        self.marks[path, key] = (start.line + 1, start.column + 1) if start else (1, 1)


def load(text: str, source: str) -> Cursor:
    """The document of a text; ``source`` is the file's name in places."""
    if len(text) > MAX_TEXT:
        raise BadPolicy(
            f"more than {MAX_TEXT} characters", place=f"{source}:1:1", remedy="Give areas as files of their own"
        )
    composer = _Composer(source)
    remedy = "Check indentation, colons, quotes and brackets near this place"
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        raise composer.error(error.problem_mark or error.context_mark, "this is not well-formed YAML", remedy) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise BadPolicy("a character that YAML does not allow", place=f"{source}:{line}:{column}") from None
    except (yaml.YAMLError, ValueError, OverflowError):  # an escape such as "\UFFFFFFFF" names no character
        raise BadPolicy("this is not well-formed YAML", place=f"{source}:1:1", remedy=remedy) from None
    if not composer.documents:
        raise BadPolicy("the file is empty", place=f"{source}:1:1")
    return Cursor(composer.root, (), text_place(composer.marks, source))
