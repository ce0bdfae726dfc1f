"""What differs between engines: the one interface that the compilers of this package write through.

All methods return SQL text. ``value`` and ``item`` are texts that the compiler made; literals never pass through
here but as placeholders.
"""

from __future__ import annotations

from typing import Any, Protocol

from cimfed.model.vocabulary import Property
from cimfed.query.aggregate import State
from cimfed.query.expression import Box
from cimfed_node.sql.statement import Parameters


class Dialect(Protocol):
    def name(self, name: str) -> str:
        """A quoted identifier."""

    def column(self, name: str) -> str:
        """A column of the table, whatever aliases the statement gives."""

    def table(self, source: str, parameters: Parameters) -> str:
        """The rows of a view or snapshot; one table a statement."""

    def comparable(self, prop: Property) -> str:
        """A column as it stands in a comparison; text must compare bytewise."""

    def typed(self, placeholder: str, prop: Property) -> str:
        """A placeholder that the engine takes for a value of the property's type."""

    def widened(self, item: str, scale: int) -> str:
        """A number as a decimal that has ``scale`` decimals and room for any 64-bit integer before the point."""

    def null(self, prop: Property) -> str:
        """A null of the property's type."""

    def touches(self, box: Box, parameters: Parameters) -> str:
        """Whether the row's ``bbox`` and the box share a point; unknown where there is no ``bbox``."""

    def state(self, state: State, of: Property | None) -> str:
        """The partial state of a group: exact sums, text by bytes; ``of`` is None for the count of rows."""

    def band(self, prop: Property, width: Any, parameters: Parameters) -> str:
        """Floor to a multiple of the width, by modulus; null where that leaves the property's range."""

    def within(self, area: bytes, parameters: Parameters) -> str:
        """Whether the row's geometry_lod0 is covered by an area (closed); not true where there is none."""

    def shuffled(self, key: bytes, parameters: Parameters) -> str:
        """An order of the rows that says nothing without the key."""
