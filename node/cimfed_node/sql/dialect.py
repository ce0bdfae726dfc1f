"""What differs between engines: the one interface that the compilers of this package write through.

All methods return SQL text. ``item`` is text that the compiler made; literals never pass through here but as
placeholders. A property may lie in several columns of the table (``postgis``): what a SELECT gives of it is a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from cimfed.model.vocabulary import Property
from cimfed.query.aggregate import State
from cimfed.query.expression import Box
from cimfed_node.sql.statement import Parameters


class Dialect(Protocol):
    def name(self, name: str) -> str:
        """A quoted identifier."""

    def table(self, source: str | Sequence[str], parameters: Parameters) -> str:
        """The rows of a view or snapshot; one table a statement."""

    def output(self, prop: Property) -> str:
        """A property as the answer to a read or as a group's key: one item of a SELECT list, or several."""

    def kept(self, prop: Property) -> str:
        """A property of the snapshot as the view has it: one item of a SELECT list, or several."""

    def withheld(self, prop: Property) -> str:
        """Nulls instead, under the same names."""

    def comparable(self, prop: Property) -> str:
        """A column of the table as it stands in comparisons and groups; text must compare bytewise."""

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

    def order(self, placed: bool, key: bytes, parameters: Parameters) -> str | None:
        """The order of a view's rows: of what it shows, and where that ends, one that says nothing without the key.

        ``placed``: the view shows geometry_lod0. None: the snapshot's own order serves.
        """
