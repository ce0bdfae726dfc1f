"""A statement and the parameters that it is run with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Statement:
    """``parameters[i]`` stands for the placeholder ``$i+1`` of ``text``."""

    text: str
    parameters: tuple[Any, ...] = ()


@dataclass
class Parameters:
    """Collects the values of a statement while its text is written."""

    values: list[Any] = field(default_factory=list)

    def bind(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"

    def statement(self, text: str) -> Statement:
        return Statement(text, tuple(self.values))
