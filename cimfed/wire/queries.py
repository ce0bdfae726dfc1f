"""Queries as the exact bytes that partners sign, and back.

Decoding gives a query or an error, whatever the bytes: unknown fields anywhere, unset oneofs, unspecified enum
values, names that are none and lists beyond the limits are refused, since a part that was not understood must not be
passed over. It is no judgement of the query: its time and addressees are checked by trust's numbered checks, what is
asked by ``cimfed.query.check``. ``encode_query`` takes what that check passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import TypeVar

from cimfed.errors import BadConfig, BadQuery, TooLarge
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, city_name, federation, gateway_name
from cimfed.query.check import MAX_NAME
from cimfed.query.query import Aggregate, Catalog, Function, Measure, Query, Read, Request
from cimfed.v1 import query_pb2
from cimfed.wire.envelopes import parse
from cimfed.wire.filters import decode_filter, encode_filter, known, of_enum

NONCE = 16  # bytes
LAST_TIME = 253_402_300_800_000_000  # microseconds; the year 10,000
_T = TypeVar("_T")
_FUNCTIONS = {function: getattr(query_pb2, f"FUNCTION_{function.name}") for function in Function}
_FUNCTION_OF = {number: function for function, number in _FUNCTIONS.items()}
_COMPRESSIONS = {
    "": query_pb2.COMPRESSION_NONE,
    "lz4": query_pb2.COMPRESSION_LZ4,
    "zstd": query_pb2.COMPRESSION_ZSTD,
}
_COMPRESSION_OF = {int(number): name for name, number in _COMPRESSIONS.items()}


def encode_query(query: Query) -> bytes:
    """TooLarge when it would not fit an envelope."""
    message = query_pb2.Query(
        federation=query.federation,
        cities=query.cities,
        purpose=query.purpose,
        grants=[query_pb2.GrantChoice(city=city, grant=query.grants[city]) for city in sorted(query.grants)],
        via=query.via,
        issued=query.issued,
        expires=query.expires,
        nonce=query.nonce,
    )
    match query.request:
        case Read() as read:
            message.read.CopyFrom(_read(read))
        case Aggregate() as aggregate:
            message.aggregate.CopyFrom(_aggregate(aggregate))
        case Catalog(collection):
            message.catalog.CopyFrom(query_pb2.Catalog(collection=collection or ""))
    data = message.SerializeToString()
    if len(data) > LIMITS.envelope:
        raise TooLarge(f"the query has {len(data)} bytes, more than {LIMITS.envelope}")
    return data


def _read(read: Read) -> query_pb2.Read:
    return query_pb2.Read(
        collection=read.collection,
        where=None if read.where is None else encode_filter(read.where),
        all_properties=read.properties is None,
        properties=read.properties,
        compression=_COMPRESSIONS[read.compression],
        original=read.original,
    )


def _aggregate(aggregate: Aggregate) -> query_pb2.Aggregate:
    return query_pb2.Aggregate(
        collection=aggregate.collection,
        where=None if aggregate.where is None else encode_filter(aggregate.where),
        group_by=aggregate.group_by,
        measures=[
            query_pb2.Measure(function=_FUNCTIONS[measure.function], property=measure.of)
            for measure in aggregate.measures
        ],
    )


def decode_query(data: bytes) -> Query:
    """BadQuery, TooLarge or TooDeep for bytes that are no query of this release."""
    message = query_pb2.Query()
    try:
        parse(message, data, "the query")
    except BadQuery as error:  # protobuf stops at 100 levels of messages
        raise BadQuery(
            error.message, place="query", remedy=f"Filters nest at most {LIMITS.filter_depth} deep"
        ) from None
    known(message, "query")
    for name in ("cities", "grants", "via"):
        _limit(getattr(message, name), name)
    if len(message.nonce) != NONCE:
        raise BadQuery(f"the nonce has {NONCE} bytes", place="nonce")
    if not (0 <= message.issued < LAST_TIME and 0 <= message.expires < LAST_TIME):
        raise BadQuery("a time is out of range", place="issued")
    return Query(
        federation=_named(federation, message.federation, "federation"),
        request=_decode_request(message),
        purpose=message.purpose,
        issued=message.issued,
        expires=message.expires,
        nonce=message.nonce,
        cities=tuple(_named(city_name, name, "cities") for name in message.cities),
        via=tuple(_named(gateway_name, name, "via") for name in message.via),
        grants=_decode_grants(message),
    )


def _decode_request(message: query_pb2.Query) -> Request:
    match message.WhichOneof("request"):
        case "read":
            return _decode_read(message.read)
        case "aggregate":
            return _decode_aggregate(message.aggregate)
        case "catalog":
            known(message.catalog, "catalog")
            name = message.catalog.collection
            return Catalog(_label(name, "collection") if name else None)
        case _:
            raise BadQuery("the query asks for nothing", place="request")


def _decode_read(message: query_pb2.Read) -> Read:
    known(message, "read")
    _limit(message.properties, "properties")
    if message.all_properties == bool(message.properties):
        raise BadQuery("a read names its properties, or asks for all of them", place="properties")
    named = tuple(_label(name, "properties") for name in message.properties)
    return Read(
        collection=_label(message.collection, "collection"),
        where=decode_filter(message.where) if message.HasField("where") else None,
        properties=None if message.all_properties else named,
        compression=of_enum(_COMPRESSION_OF, message.compression, "the compression", "compression"),
        original=message.original,
    )


def _decode_aggregate(message: query_pb2.Aggregate) -> Aggregate:
    known(message, "aggregate")
    _limit(message.group_by, "group_by")
    _limit(message.measures, "measures")
    return Aggregate(
        collection=_label(message.collection, "collection"),
        measures=tuple(map(_decode_measure, message.measures)),
        group_by=tuple(_label(name, "group_by") for name in message.group_by),
        where=decode_filter(message.where) if message.HasField("where") else None,
    )


def _decode_measure(message: query_pb2.Measure) -> Measure:
    known(message, "measures")
    function = of_enum(_FUNCTION_OF, message.function, "a measure's function", "measures")
    return Measure(function, _label(message.property, "measures") if message.property else "")


def _decode_grants(message: query_pb2.Query) -> dict[CityName, str]:
    grants: dict[CityName, str] = {}
    for choice in message.grants:
        known(choice, "grants")
        city = _named(city_name, choice.city, "grants")
        if city in grants:
            raise BadQuery("a city has two grants", place=f"grants: {city}")
        grants[city] = _label(choice.grant, "grants")
    return grants


def _named(kind: Callable[[str], _T], name: str, place: str) -> _T:
    try:
        return kind(name)
    except BadConfig as error:
        raise BadQuery(error.message, place=place) from None


def _label(name: str, place: str) -> str:
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
        raise BadQuery(f"a name has 1 to {MAX_NAME} printable characters", place=place)
    return name


def _limit(items: Sized, place: str) -> None:
    if len(items) > LIMITS.list_items:
        raise TooLarge(f"a list has at most {LIMITS.list_items} items", place=place)
