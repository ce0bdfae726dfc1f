"""What an import is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cimfed.errors import BadConfig
from cimfed.model.names import CityName
from cimfed.model.vocabulary import VOCABULARY, Collection
from cimfed_node.stores.base import Engine


class OnDuplicate(StrEnum):
    """What becomes of several objects with one id.

    MERGE unites their geometries and takes, attribute by attribute, the first that is not null: the rule for
    objects that were cut at the edges of map tiles.
    """

    REFUSE = "refuse"
    FIRST = "first"  # the first in reading order
    MERGE = "merge"
    SUFFIX = "suffix"  # the second becomes ``id~2``, the third ``id~3``


@dataclass(frozen=True)
class ImportRequest:
    """Files of one city for one collection.

    ``mapping``: a mapping document (``cimfed_node.ingest.mapping``); None: the shipped one of the collection.
    ``crs``: EPSG code, URN, URL, WKT, PROJJSON or ``GCJ-02``; it prevails over what the files say.
    ``vertical``: the height system, by EPSG code or in words; it prevails over what the files say.
    ``place``: where the origin of an IFC project lies: longitude, latitude and by how many degrees its y axis is turned
    clockwise from the north; it prevails over what the file says.
    ``operation``: a coordinate operation by name or ``EPSG:code``, out of those that PROJ has for the CRS.
    ``id_column``: the attribute that holds the id; it prevails over ids of the format.
    ``quarantine``: a file that bad objects are written to as JSON lines; None: any bad object stops the import.
    ``layer``: of files with several. ``encoding``: of CSV, Shapefile and MapInfo; it prevails over what they say.
    ``time_zone``: of times without an offset, by its IANA name.
    ``where``: (column, value) pairs that a row of any format but CityJSON must all have, compared as text.
    ``engine``: what the views are made and served by; None: as those of the snapshot that this one follows, else files.
    """

    files: tuple[Path, ...]
    city: CityName
    collection: str
    mapping: Path | None = None
    crs: str | None = None
    vertical: str | None = None
    place: str | None = None
    operation: str | None = None
    id_column: str | None = None
    on_duplicate: OnDuplicate = OnDuplicate.REFUSE
    quarantine: Path | None = None
    where: tuple[tuple[str, str], ...] = ()
    layer: str | None = None
    encoding: str | None = None
    time_zone: str | None = None
    engine: Engine | None = None
    licence: str = ""
    attribution: str = ""

    @property
    def vocabulary(self) -> Collection:
        return collection_named(self.collection)


def collection_named(name: str) -> Collection:
    """BadConfig where the vocabulary has none of that name."""
    try:
        return VOCABULARY.collections[name]
    except KeyError:
        raise BadConfig(
            f"there is no collection {name[:64]!r}", remedy=f"Use one of {', '.join(VOCABULARY.collections)}"
        ) from None
