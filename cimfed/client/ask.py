"""From what a caller writes to a signed query: filters are parsed here, never on a server."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cimfed.errors import BadQuery, NotFound
from cimfed.model.names import CityName, Federation, Kind, city_name, gateway_name, kind_of
from cimfed.query.check import check
from cimfed.query.cql2 import parse
from cimfed.query.expression import And, Box, Expression
from cimfed.query.query import Aggregate, Catalog, Function, Measure, Query, Read, Request
from cimfed.trust.envelope import Envelope, PayloadType, seal
from cimfed.trust.keys import Signer
from cimfed.wire.queries import encode_query

Where = str | Expression | None
Bbox = Sequence[float] | None
Measures = Sequence[str | Measure] | Mapping[str, str | Sequence[str]]

QUERY_LIFE = 120_000_000
"""Microseconds for which a query may be presented: time to reach every city, too little to be worth stealing."""


@dataclass(frozen=True)
class Question:
    """A request and all that the caller says about it. ``timeout`` in seconds, for the whole answer.

    ``require``: ``all``, ``any`` or how many cities must answer. ``serving``: of a catalogue, only what serves this
    purpose; a catalogue itself is asked for none.
    """

    request: Request
    purpose: str
    cities: tuple[CityName, ...] = ()
    grants: Mapping[CityName, str] = field(default_factory=dict)
    require: str | int = "any"
    timeout: float | None = None
    serving: str = ""

    def __post_init__(self) -> None:
        known = self.require in ("all", "any") or (
            isinstance(self.require, int) and not isinstance(self.require, bool) and self.require > 0
        )
        if not known:
            raise BadQuery(f"require is all, any or a number above zero, not {self.require!r}", place="require")
        if self.timeout is not None and not _is_span(self.timeout):
            raise BadQuery("timeout is a number of seconds above zero", place="timeout")

    def check_members(self, source: str, members: Collection[str]) -> None:
        """By the directory: NotFound for a city that it does not list; BadQuery for what needs a city not asked."""
        direct = kind_of(source) is Kind.CITY
        for city in (*self.cities, *self.grants, *((source,) if direct else ())):
            if city not in members:
                raise not_listed(city, members)
        asked = (source,) if direct else self.cities or members
        for city in self.grants:
            if city not in asked:
                raise BadQuery(f"{city} is not asked, so no grant of it can be used", place="grants")
        if isinstance(self.require, int) and self.require > len(asked):
            raise BadQuery(f"{self.require} answers are required, but {len(asked)} cities are asked", place="require")


def not_listed(name: str, known: Iterable[str]) -> NotFound:
    close = difflib.get_close_matches(name, known, n=1)
    return NotFound(f"the directory does not list {name}", remedy=f"Did you mean {close[0]}?" if close else None)


def _is_span(timeout: object) -> bool:
    return isinstance(timeout, int | float) and not isinstance(timeout, bool) and 0 < timeout < math.inf


def question(
    request: Request,
    purpose: str | None,
    cities: Iterable[str] | None,
    grants: Mapping[str, str] | None,
    require: str | int,
    timeout: float | None,
) -> Question:
    if not purpose:
        raise BadQuery("name the purpose", place="purpose", remedy="Cities grant by purpose, such as research")
    if isinstance(cities, str):
        cities = [cities]
    if cities is not None:
        cities = list(cities)
        if not cities or not all(isinstance(city, str) for city in cities):
            raise BadQuery("cities are names, at least one", place="cities", remedy="Leave it out to ask all")
    if not isinstance(grants, Mapping | None):
        raise BadQuery("grants is a mapping of cities to the ids of their grants", place="grants")
    return Question(
        request,
        purpose,
        tuple(city_name(name) for name in cities or ()),
        {city_name(city): grant for city, grant in (grants or {}).items()},
        require,
        timeout,
    )


def read_request(
    collection: str,
    where: Where,
    bbox: Bbox,
    properties: Iterable[str] | None,
    compression: str,
    original: bool = False,
) -> Read:
    if isinstance(properties, str):
        properties = [properties]
    names = None if properties is None else tuple(properties)
    return Read(collection, filter_of(where, bbox), names, compression, original)


def aggregate_request(
    collection: str, measures: str | Measures, by: Iterable[str], where: Where, bbox: Bbox
) -> Aggregate:
    by = [by] if isinstance(by, str) else by
    return Aggregate(collection, measures_of(measures), tuple(by), filter_of(where, bbox))


def catalog_request(collection: str | None) -> Catalog:
    return Catalog(collection)


def filter_of(where: Where, bbox: Bbox) -> Expression | None:
    """Text (CQL2) or a tree, and a box (xmin, ymin, xmax, ymax in degrees), both of which must hold."""
    if not isinstance(where, Where):
        raise BadQuery("a filter is text in CQL2, or an expression tree", place="where")
    tree = parse(where) if isinstance(where, str) else where
    if bbox is None:
        return tree
    try:
        xmin, ymin, xmax, ymax = (float(value) for value in bbox)
    except (TypeError, ValueError):
        raise BadQuery("a box is four numbers: xmin, ymin, xmax, ymax", place="bbox") from None
    box = Box(xmin, ymin, xmax, ymax)
    match tree:
        case None:
            return box
        case And(items):
            return And((box, *items))
        case _:
            return And((box, tree))


def measures_of(measures: str | Measures) -> tuple[Measure, ...]:
    """``["count", "mean:height"]``, or ``{"*": "count", "height": ["mean", "max"]}``."""
    if isinstance(measures, str):
        measures = [measures]
    if isinstance(measures, Mapping):
        pairs = [
            (function, "" if name == "*" else name)
            for name, functions in measures.items()
            for function in ([functions] if isinstance(functions, str) else functions)
        ]
        return tuple(_measure(function, name) for function, name in pairs)
    return tuple(
        item if isinstance(item, Measure) else _measure(*(item.split(":", 1) if ":" in item else (item, "")))
        for item in measures
    )


def _measure(function: str, of: str) -> Measure:
    try:
        return Measure(Function(function), of)
    except ValueError:
        raise BadQuery(
            f"there is no measure {function[:64]!r}",
            place="measures",
            remedy=f"There are {', '.join(Function)}; a mean of heights is mean:height",
        ) from None


def make_query(question: Question, federation: Federation, source: str, now: int, nonce: bytes) -> Query:
    """The query, checked. ``source``: the gateway that presents it, or the one city that is asked itself."""
    direct = kind_of(source) is Kind.CITY
    if direct and question.cities not in ((), (source,)):
        raise BadQuery(f"only {source} is asked here", place="cities", remedy="Ask a gateway for other cities")
    query = Query(
        federation=federation,
        request=question.request,
        purpose=question.purpose,
        issued=now,
        expires=now + QUERY_LIFE,
        nonce=nonce,
        cities=(city_name(source),) if direct else question.cities,
        via=() if direct else (gateway_name(source),),
        grants=dict(question.grants),
    )
    check(query)
    return query


def sign(query: Query, signer: Signer) -> Envelope:
    return seal(PayloadType.QUERY, encode_query(query), signer)
