"""The query: what a partner signs. Frozen values; ``cimfed.wire.queries`` gives their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from cimfed.model.names import CityName, Federation, GatewayName
from cimfed.query.expression import Expression


@dataclass(frozen=True)
class Read:
    """Rows of a collection. ``properties`` None: all that the grant gives, geometry included.

    Geometry is asked for by column name (``geometry_lod0`` ...); ``compression`` of Arrow buffers: "", "lz4", "zstd".
    ``original``: the untouched object of each row as well, in two columns more that are no properties.
    """

    collection: str
    where: Expression | None = None
    properties: tuple[str, ...] | None = None
    compression: str = ""
    original: bool = False


class Function(StrEnum):
    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True)
class Measure:
    """``count`` counts rows and is of no property; the others skip nulls."""

    function: Function
    of: str = ""

    @property
    def name(self) -> str:
        """The result column: ``count``, ``sum_floor_area`` ..."""
        return f"{self.function}_{self.of}" if self.of else str(self.function)


@dataclass(frozen=True)
class Aggregate:
    """Groups by properties of the collection; ``city`` is one of them."""

    collection: str
    measures: tuple[Measure, ...]
    group_by: tuple[str, ...] = ()
    where: Expression | None = None


@dataclass(frozen=True)
class Catalog:
    """What each city lists or grants to this partner; all collections where None."""

    collection: str | None = None


Request: TypeAlias = Read | Aggregate | Catalog


@dataclass(frozen=True)
class Query:
    """What is asked, of whom, for what, and how long it may be presented by whom.

    ``cities`` empty: all members. ``via``: gateways that may present it; empty: the partner itself only.
    ``grants``: the grant chosen for a city. Times are microseconds since the epoch, ``nonce`` is 16 random bytes.
    """

    federation: Federation
    request: Request
    purpose: str
    issued: int
    expires: int
    nonce: bytes
    cities: tuple[CityName, ...] = ()
    via: tuple[GatewayName, ...] = ()
    grants: Mapping[CityName, str] = field(default_factory=dict)
