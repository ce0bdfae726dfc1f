"""Where the views of one engine lie: made there by a builder, and cleared away when nothing names them any more."""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol

from cimfed.policy.shape import Shape
from cimfed_node.ingest.snapshot import Snapshot
from cimfed_node.stores.base import View


class Builder(Protocol):
    def build(self, snapshot: Snapshot, shape: Shape) -> View:
        """The view of a shape of a snapshot, whole or not there; one that stands already is used as it is."""

    def close(self) -> None: ...


class Shelf(Protocol):
    """One for each engine that a home has."""

    def builder(self) -> Builder:
        """Opens the building engine; the caller closes it."""

    def sweep(self, known: Set[str]) -> None:
        """Removes views whose id is not among ``known``, and what a builder that was killed left half done."""
