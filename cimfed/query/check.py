"""Checks of a query that need the vocabulary and nothing else: the same at the client, the gateway and the node.

What depends on a city's view (is the property there?) is the view's business. So with ``leave_unknown`` a name that
the vocabulary lacks passes, untyped: a node's vocabulary may be older than the client's, and its view answers for
hidden and unknown names alike. Without it (the client) such a name is refused with a suggestion.

Whatever passes is total for every engine: sizes within the limits, literals as in ``cimfed.query.literals``,
compared only with properties of their own kind (numbers with INTEGER and DECIMAL, text with TEXT and CODE, instants
with TIME), boxes finite and in range. NAMES, JSON, GEOMETRY and BOX can be tested for null only; no property is
boolean yet. Places read ``where: height``, ``group_by: name``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection as Sized
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from cimfed.errors import BadQuery, TooLarge, UnknownProperty
from cimfed.model.limits import LIMITS
from cimfed.model.originals import ORIGINAL, ORIGINAL_HEADER
from cimfed.model.vocabulary import COMPARABLE, NUMERIC, VOCABULARY, Collection, Property, Type, Vocabulary
from cimfed.query.expression import (
    And,
    Between,
    Box,
    Comparison,
    Expression,
    In,
    IsNull,
    Literal,
    Not,
    Operand,
    Or,
    operands,
    walk,
)
from cimfed.query.literals import check_literal
from cimfed.query.query import Aggregate, Catalog, Function, Query, Read, Request
from cimfed.query.size import check_size

COMPRESSIONS = ("", "lz4", "zstd")
MAX_NAME = 64  # characters
_PURPOSE = re.compile("[a-z][a-z0-9-]{0,63}")
_KIND = {
    Type.TEXT: "text",
    Type.CODE: "text",
    Type.INTEGER: "a number",
    Type.DECIMAL: "a number",
    Type.TIME: "a time",
}


def check(query: Query, vocabulary: Vocabulary = VOCABULARY, *, leave_unknown: bool = False) -> None:
    """BadQuery, UnknownProperty, TooDeep or TooLarge, with the place."""
    if not _PURPOSE.fullmatch(query.purpose):
        raise BadQuery(
            "the purpose is not a label",
            place="purpose",
            remedy="Name it in small Latin letters, digits and hyphens, such as heat-planning",
        )
    _check_list(query.cities, "cities")
    _check_list(query.via, "via")
    _check_list(query.grants, "grants")
    check_request(query.request, vocabulary, leave_unknown=leave_unknown)


def check_request(request: Request, vocabulary: Vocabulary = VOCABULARY, *, leave_unknown: bool = False) -> None:
    """What is asked, without who asks whom."""
    if isinstance(request, Catalog) and request.collection is None:
        return
    collection = collection_of(request, vocabulary)
    names = _Names(collection, leave_unknown)
    match request:
        case Read():
            if request.properties is not None:
                _check_some(request.properties, "properties", "name the properties, or none at all for all of them")
                for name in request.properties:
                    names.find(name, "properties")
                if request.original and (taken := {ORIGINAL, ORIGINAL_HEADER}.intersection(request.properties)):
                    raise BadQuery("untouched objects are no property to name", place=_place("properties", min(taken)))
            if request.compression not in COMPRESSIONS:
                raise BadQuery("compression is none, lz4 or zstd", place="compression")
        case Aggregate():
            _check_aggregate(request, names)
    if not isinstance(request, Catalog) and request.where is not None:
        check_filter(request.where, collection, leave_unknown=leave_unknown)


def collection_of(request: Request, vocabulary: Vocabulary = VOCABULARY) -> Collection:
    """The collection that is asked; BadQuery when the vocabulary has none of this name."""
    name = request.collection or ""
    try:
        return vocabulary.collections[name]
    except KeyError:
        raise BadQuery(
            f"there is no collection {name[:MAX_NAME]!r}",
            place="collection",
            remedy=_suggest(name, vocabulary.collections) or f"There are {', '.join(vocabulary.collections)}",
        ) from None


def check_filter(tree: Expression, collection: Collection, *, leave_unknown: bool = False) -> None:
    """A filter, or a policy's predicate, over one collection."""
    check_size(tree)
    names = _Names(collection, leave_unknown)
    for node in walk(tree):
        for operand in operands(node):
            if isinstance(operand, Literal):
                check_literal(operand.value, "where")
        match node:
            case Comparison(_, left, right):
                _check_comparison((left, right), names)
            case In(item, values):
                if not values:
                    raise BadQuery("the list of IN is empty", place=_place("where", item.name))
                _check_length(values, _place("where", item.name))
                _check_comparison((item, *values), names)
            case Between(item, low, high):
                _check_comparison((item, low, high), names)
            case IsNull(item):
                names.find(item.name, "where")
            case Box():
                _check_box(node)
            case And(items) | Or(items):
                if len(items) < 2:
                    raise BadQuery("AND and OR join two or more", place="where")
            case Not():
                pass


class _Names:
    """Finds properties by name; None for one outside the vocabulary that is left to the view."""

    def __init__(self, collection: Collection, leave_unknown: bool) -> None:
        self.collection = collection
        self.leave_unknown = leave_unknown

    def find(self, name: str, where: str, remedy: str | None = None) -> Property | None:
        found = self.collection.properties.get(name)
        if found is not None:
            return found
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise BadQuery(f"a name has 1 to {MAX_NAME} printable characters", place=where)
        if self.leave_unknown:
            return None
        raise UnknownProperty(
            f"{self.collection.name} has no property {name!r}",
            place=_place(where, name),
            remedy=_suggest(name, self.collection.properties) or remedy,
        )

    def comparable(self, name: str, where: str, remedy: str | None = None) -> Property | None:
        found = self.find(name, where, remedy)
        if found is not None and found.type not in COMPARABLE:
            raise BadQuery(
                f"{name} is {found.type} and cannot be compared",
                place=_place(where, name),
                remedy="For a place use a box" if found.type in (Type.GEOMETRY, Type.BOX) else None,
            )
        return found


def _check_comparison(compared: tuple[Operand, ...], names: _Names) -> None:
    found = [operand.name for operand in compared if not isinstance(operand, Literal)]
    if not found:
        raise BadQuery("a comparison needs a property", place="where")
    first, *others = found
    kinds: set[str] = set()
    for operand in compared:
        if isinstance(operand, Literal):
            kinds.add(_kind_of(operand, first))
        else:
            quotes = "Text stands in single quotes" if operand.name in others else None
            known = names.comparable(operand.name, "where", quotes)
            if known is not None:
                kinds.add(_KIND[known.type])
    if len(kinds) > 1:
        raise BadQuery(
            f"{first} is compared with something of another kind: {' and '.join(sorted(kinds))}",
            place=_place("where", first),
        )


def _kind_of(literal: Literal, name: str) -> str:
    match literal.value:
        case bool():
            raise BadQuery("no property is true or false", place=_place("where", name))
        case str():
            return "text"
        case Decimal():
            return "a number"
        case datetime():
            return "a time"


def _check_box(box: Box) -> None:
    in_range = -180 <= box.xmin <= 180 and -180 <= box.xmax <= 180 and -90 <= box.ymin <= box.ymax <= 90
    if not in_range:  # NaN neither
        raise BadQuery(
            "a box is xmin, ymin, xmax, ymax in degrees, ymin not above ymax",
            place="where: geometry",
            remedy="x is the longitude; a box with xmin > xmax crosses the antimeridian",
        )


def _check_aggregate(request: Aggregate, names: _Names) -> None:
    _check_some(request.measures, "measures", "name a measure, such as count")
    _check_list(request.group_by, "group_by")
    for name in request.group_by:
        names.comparable(name, "group_by")
    for measure in request.measures:
        place = _place("measures", measure.name)
        if measure.function is Function.COUNT:
            if measure.of:
                raise BadQuery("count counts rows and is of no property", place=place)
            continue
        if not measure.of:
            raise BadQuery(f"{measure.function} needs a property", place=place)
        found = names.comparable(measure.of, "measures")
        if found and measure.function in (Function.SUM, Function.MEAN) and found.type not in NUMERIC:
            raise BadQuery(f"{measure.of} is no number", place=place)


def _check_some(items: Sized[object], place: str, message: str) -> None:
    if not items:
        raise BadQuery(message, place=place)
    _check_list(items, place)


def _check_list(items: Sized[object], place: str) -> None:
    _check_length(items, place)
    seen = set()
    for item in items:
        if item in seen:
            raise BadQuery("something is named twice", place=_place(place, str(getattr(item, "name", item))))
        seen.add(item)


def _check_length(items: Sized[object], place: str) -> None:
    if len(items) > LIMITS.list_items:
        raise TooLarge(f"a list has at most {LIMITS.list_items} items", place=place)


def _place(where: str, name: str) -> str:
    return f"{where}: {name[:MAX_NAME]}"


def _suggest(name: str, known: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(name[:MAX_NAME], known, n=1)
    return f"Did you mean {close[0]}?" if close else None
