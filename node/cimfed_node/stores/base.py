"""What every store is: views in, Arrow batches out.

A store knows nothing of partners, grants or policies: it is given a view and a request, and what the view does not
hold cannot come out. ``tests/contract/store_contract.py`` says what each store must do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cimfed.model.names import CityName
from cimfed.model.originals import ORIGINAL
from cimfed.query.query import Aggregate, Read

if TYPE_CHECKING:  # names alone: most commands of an operator read no batch
    import pyarrow as pa

ORIGINALS_END = ".original.parquet"
MAX_BATCH = 7 * 2**19
"""Bytes (3.5 MiB): a larger batch is split, so that frames stay under their limit; one row is never split."""


class Engine(StrEnum):
    """What holds a view and answers from it."""

    DUCKDB = "duckdb"  # files in the node's home, by the embedded engine
    POSTGIS = "postgis"  # relations in a database of the city's


@dataclass(frozen=True)
class View:
    """One grant's rows, columns, masks and geometry of one snapshot, immutable.

    ``source``: where the engine finds the rows: a file's path, or a relation's name.
    ``schema``: columns in the vocabulary's order, masks in their metadata.
    ``widths``: Arrow bytes of a row by column, on average; of untouched objects too, where it has them.
    ``sha256``: of the file, empty for a relation.
    """

    id: str
    city: CityName
    collection: str
    snapshot: str
    shape_hash: bytes
    compiler: str
    engine: Engine
    source: str
    schema: pa.Schema
    rows: int
    widths: Mapping[str, float]
    size: int
    sha256: bytes

    @property
    def originals(self) -> Path | None:
        """The file of the rows' untouched objects (``views.originals``); None where the view gives none."""
        return Path(self.source).with_suffix(ORIGINALS_END) if ORIGINAL in self.widths else None


@dataclass(frozen=True)
class Place:
    """What a row of the control database leaves out of a view: whose it is, and the folder that its file lies in."""

    city: CityName
    views: Path


class Reader(Protocol):
    """A statement under way. One thread at a time reads and closes; ``interrupt`` may come from any other.

    ``absent``: requested properties that the view lacks, in the order of the schema.
    """

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def absent(self) -> tuple[str, ...]: ...

    def read_next(self) -> pa.RecordBatch | None:
        """The next batch, never empty; None at the end, and only when every row was given.

        Blocks; the statement starts with the first call. Raises TimedOut, TooLarge, ViewGone, or CimfedError with
        reason ``internal``, also after ``interrupt``. After an error or the end there is nothing more.
        """

    def interrupt(self) -> None:
        """Stop at once; returns without waiting. Whenever it comes, no later ``read_next`` succeeds."""

    def close(self) -> None:
        """Give everything back; again is harmless. Waits for a ``read_next`` under way: interrupt it first."""


class Store(Protocol):
    """Refusals come from ``read`` and ``aggregate`` themselves, before anything runs."""

    def read(self, view: View, request: Read) -> Reader:
        """Raises BadQuery, UnknownProperty, TooDeep, TooLarge."""

    def aggregate(self, view: View, request: Aggregate) -> Reader:
        """Partial states (``cimfed.query.aggregate``). More groups than the limit are TooLarge while reading."""

    def self_test(self) -> None:
        """CimfedError unless the engine is set up as it must be and computes what it must."""

    def close(self) -> None: ...
