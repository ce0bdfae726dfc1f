"""Which cities a query need not ask: a pure function of the query and the cities' signed routing entries.

The gateway routes by it, and the client repeats it and compares. A city is ruled out only when no row of its could
be in the answer: it is not addressed, does not declare the collection, or every row that it can give (all lie whole
within the declared extent) fails the filter by its box alone. Whatever is in doubt is asked: a city without an
entry, an entry that does not hold for the query's whole life (so no clock enters, and both sides come to the same),
a filter whose boxes stand under NOT.

``A AND B`` is decided box by box and not by the intersection of the boxes: a large building touches two boxes that
do not touch each other. A catalogue question is never ruled out by collection: a city may list what it grants to
nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from cimfed.model.names import CityName
from cimfed.model.routing import Extent, RoutingEntry
from cimfed.query.expression import And, Box, Expression, Or
from cimfed.query.query import Catalog, Query


class RuledOut(StrEnum):
    """Why a city is not asked: the reason in its line of the coverage."""

    NOT_ADDRESSED = "not_addressed"  # the query names other cities
    COLLECTION = "collection"  # its routing entry does not declare it
    EXTENT = "extent"  # no row within its declared extent passes the filter


def route(query: Query, routing: Mapping[CityName, RoutingEntry | None]) -> dict[CityName, RuledOut | None]:
    """For every member that ``routing`` names, in its order: why it is ruled out, or None: it is asked."""
    addressed = frozenset(query.cities or routing)
    return {
        city: _ruled_out(query, entry) if city in addressed else RuledOut.NOT_ADDRESSED
        for city, entry in routing.items()
    }


def _ruled_out(query: Query, entry: RoutingEntry | None) -> RuledOut | None:
    if entry is None or isinstance(query.request, Catalog):
        return None
    start, end = entry.valid
    if not (start <= query.issued and query.expires <= end):
        return None
    if query.request.collection not in entry.collections:
        return RuledOut.COLLECTION
    extent = entry.collections[query.request.collection]
    if extent is None or query.request.where is None or _possible(query.request.where, extent):
        return None
    return RuledOut.EXTENT


def _possible(filter: Expression, extent: Extent) -> bool:
    """Whether the filter may be true for a row whose box lies within the extent."""
    match filter:
        case Box():
            return _touch(filter, extent)
        case And(items):
            return all(_possible(item, extent) for item in items)
        case Or(items):
            return any(_possible(item, extent) for item in items)
        case _:
            return True


def _touch(box: Box, extent: Extent) -> bool:
    xmin, ymin, xmax, ymax = extent
    if box.ymax < ymin or box.ymin > ymax:
        return False
    if box.xmin <= box.xmax:
        return box.xmin <= xmax and xmin <= box.xmax
    return box.xmin <= xmax or xmin <= box.xmax  # crosses the antimeridian
