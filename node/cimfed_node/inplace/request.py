"""What harmonising in place is asked to do, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cimfed.model.names import CityName
from cimfed.model.routing import Extent
from cimfed.model.vocabulary import Collection
from cimfed_node.ingest.report import ImportReport
from cimfed_node.ingest.request import collection_named
from cimfed_node.inplace.fingerprint import Fingerprint


@dataclass(frozen=True)
class InPlaceRequest:
    """One relation of a city's database for one collection.

    ``table``: ``schema.table`` as SQL writes it; ``citydb``: a schema of 3DCityDB version 5 instead. ``mapping``,
    ``crs``, ``operation``, ``id_column``, ``quarantine``: as in ``ImportRequest``. ``geometry``: the column that gives
    LoD0, where there are several; ``levels``: columns that give finer levels, where their names do not say so
    (``geom_lod2``).
    """

    city: CityName
    collection: str
    table: str = ""
    citydb: str = ""
    mapping: Path | None = None
    crs: str | None = None
    operation: str | None = None
    id_column: str | None = None
    geometry: str | None = None
    levels: Mapping[int, str] = field(default_factory=dict)
    quarantine: Path | None = None

    @property
    def vocabulary(self) -> Collection:
        return collection_named(self.collection)


@dataclass(frozen=True)
class InPlace:
    """A relation as the vocabulary sees it.

    ``select``: the statement; its columns are ``columns``, which ``harmonise`` explains. ``source``: the relation as
    it stands after FROM, and ``hashed``: its columns that ``fingerprint`` is of. ``facts``: what an inventory records
    besides: CRS, operation, mapping. ``times``: microseconds since the epoch.
    """

    relation: str
    source: str
    hashed: tuple[str, ...]
    select: str
    columns: tuple[str, ...]
    rows: int
    extent: Extent | None
    times: tuple[int | None, int | None]
    fingerprint: Fingerprint
    facts: Mapping[str, Any]
    report: ImportReport
