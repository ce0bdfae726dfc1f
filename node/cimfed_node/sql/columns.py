"""Which columns a statement may speak of, and how it says no to the others.

A property that the vocabulary lacks, one that a view hides and one that was never there are refused in the same
words, so that a refusal tells nothing of what is hidden.
"""

from __future__ import annotations

from collections.abc import Collection as Names
from dataclasses import dataclass

from cimfed.errors import BadQuery, UnknownProperty
from cimfed.model.vocabulary import COMPARABLE, NUMERIC, Collection, Property
from cimfed_node.sql.dialect import Dialect


@dataclass(frozen=True)
class Columns:
    """The columns of one table. ``lenient``: a property of the vocabulary that is not there is null (policies)."""

    collection: Collection
    present: Names[str]
    lenient: bool = False

    def find(self, name: str, place: str) -> Property:
        prop = self.collection.properties.get(name)
        if prop is None or not (self.lenient or name in self.present):
            raise self.unknown(name, place)
        return prop

    def comparable(self, name: str, place: str) -> Property:
        """A property that may be compared or grouped by."""
        prop = self.find(name, place)
        if prop.type not in COMPARABLE:
            raise BadQuery(f"{name} is {prop.type} and cannot be compared", place=f"{place}: {name}")
        return prop

    def numeric(self, name: str, place: str) -> Property:
        """A property that can be added up."""
        prop = self.find(name, place)
        if prop.type not in NUMERIC:
            raise BadQuery(f"{name} is no number", place=f"{place}: {name}")
        return prop

    def item(self, prop: Property, dialect: Dialect) -> str:
        return dialect.comparable(prop) if prop.name in self.present else dialect.null(prop)

    def unknown(self, name: str, place: str) -> UnknownProperty:
        name = name[:64]
        return UnknownProperty(f"{self.collection.name} has no property {name!r}", place=f"{place}: {name}")
