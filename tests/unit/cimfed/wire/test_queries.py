"""Queries as bytes: exact, whole, and hostile bytes are refused by errors of ours alone."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from cimfed.errors import BadQuery, CimfedError, TooDeep, TooLarge
from cimfed.model.names import CityName, Federation, GatewayName
from cimfed.query.cql2 import parse
from cimfed.query.expression import And, Expression, IsNull, Not, Or, Property
from cimfed.query.query import Aggregate, Catalog, Function, Measure, Query, Read
from cimfed.v1 import query_pb2
from cimfed.wire.queries import decode_query, encode_query
from tests.unit.cimfed.query.trees import CHARACTERS, chain, trees

labels = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
names = st.text(CHARACTERS, min_size=1, max_size=10).filter(str.isprintable)
cities = labels.map(lambda label: CityName(f"kz.{label}"))
filters = st.none() | trees(max_leaves=6)
measures = st.builds(Measure, st.sampled_from(Function), names | st.just(""))
requests = st.one_of(
    st.builds(
        Read,
        names,
        filters,
        st.none() | st.lists(names, min_size=1, max_size=3).map(tuple),
        st.sampled_from(["", "lz4", "zstd"]),
    ),
    st.builds(
        Aggregate, names, st.lists(measures, max_size=3).map(tuple), st.lists(names, max_size=3).map(tuple), filters
    ),
    st.builds(Catalog, st.none() | names),
)
times = st.integers(0, 253_402_300_799_999_999)
queries = st.builds(
    Query,
    federation=labels.map(Federation),
    request=requests,
    purpose=st.text(CHARACTERS, max_size=5),
    issued=times,
    expires=times,
    nonce=st.binary(min_size=16, max_size=16),
    cities=st.lists(cities, max_size=3).map(tuple),
    via=st.lists(labels.map(lambda label: GatewayName(f"gw.{label}")), max_size=2).map(tuple),
    grants=st.dictionaries(cities, names, max_size=3),
)


@settings(max_examples=300, deadline=None)
@given(queries)
def test_a_query_survives_its_bytes(query: Query) -> None:
    assert decode_query(encode_query(query)) == query


def query(where: Expression | None = None, **about: Any) -> Query:
    settled: dict[str, Any] = {
        "federation": Federation("sco"),
        "request": Read("building", where),
        "purpose": "research",
        "issued": 1_700_000_000_000_000,
        "expires": 1_700_000_060_000_000,
        "nonce": bytes(range(16)),
    }
    return Query(**(settled | about))


EVERYTHING = query(
    parse(
        "height > 12.5 AND NOT function IN ('office', 'школа') OR year_built BETWEEN 1900 AND 2000 OR x IS NULL"
        " OR valid_from < TIMESTAMP('2026-01-31T08:30:00.5Z') OR a = TRUE"
        " OR S_INTERSECTS(geometry, BBOX(76.5, 43, 77, 43.5))"
    ),
    cities=(CityName("kz.almaty"),),
    via=(GatewayName("gw.alliance"),),
    grants={CityName("kz.almaty"): "massing"},
)


def message(of: Query = EVERYTHING) -> query_pb2.Query:
    return query_pb2.Query.FromString(encode_query(of))


# Bytes written by hand, after the encoding page of protobuf.dev


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def text(field: int, *content: bytes | str) -> bytes:
    data = b"".join(part.encode() if isinstance(part, str) else part for part in content)
    return varint(field << 3 | 2) + varint(len(data)) + data


def test_the_bytes_are_those_of_the_wire_contract() -> None:
    tall = text(
        1, number(1, 5), text(2, text(1, "height")), text(3, text(2, text(2, number(1, 2 * 125), number(2, 1))))
    )
    here = text(5, *(bytes([at << 3 | 1]) + struct.pack("<d", corner) for at, corner in enumerate((1.5, 2, 3, 4), 1)))
    where = number(6, 2) + text(7, tall) + text(7, number(6, 1), text(7, here))
    expected = (
        text(1, "sco")
        + text(2, "kz.almaty")
        + text(3, "research")
        + text(4, text(1, "kz.almaty"), text(2, "massing"))
        + text(5, "gw.alliance")
        + number(6, 1_700_000_000_000_000)
        + number(7, 1_700_000_060_000_000)
        + text(8, bytes(range(16)))
        + text(10, text(1, "building"), text(2, where), text(4, "id"), text(4, "height"), number(5, 3))
    )
    asked = query(
        cities=(CityName("kz.almaty"),),
        via=(GatewayName("gw.alliance"),),
        grants={CityName("kz.almaty"): "massing"},
        request=Read(
            "building",
            parse("height > 12.5 AND NOT S_INTERSECTS(geometry, BBOX(1.5, 2, 3, 4))"),
            ("id", "height"),
            "zstd",
        ),
    )
    assert encode_query(asked) == expected
    assert decode_query(expected) == asked


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_query_or_an_error_of_ours(data: bytes) -> None:
    with contextlib.suppress(CimfedError):
        decode_query(data)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_changed_bytes_give_a_query_or_an_error_of_ours(data: Any) -> None:
    changed = bytearray(encode_query(EVERYTHING))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    with contextlib.suppress(CimfedError):
        found = decode_query(bytes(changed))
        assert decode_query(encode_query(found)) == found or found != found  # NaN of a box


def parts(whole: Message) -> Iterator[Message]:
    """A message and all messages in it."""
    yield whole
    for field, value in whole.ListFields():
        if field.message_type:
            for part in [value] if isinstance(value, Message) else value:
                yield from parts(part)


def test_fields_of_a_newer_release_are_refused_wherever_they_stand() -> None:
    wholes = [message(), message(query(request=Catalog("building")))]
    wholes.append(message(query(request=Aggregate("building", (Measure(Function.COUNT),), ("city",)))))
    places = 0
    for whole in wholes:
        for at, _ in enumerate(parts(whole)):
            changed = type(whole).FromString(whole.SerializeToString())
            part = list(parts(changed))[at]
            part.MergeFromString(number(999, 1))
            with pytest.raises(BadQuery, match="does not know"):
                decode_query(changed.SerializeToString())
            places += 1
    assert places > 30


def refusal(change: Any, of: Query = EVERYTHING) -> CimfedError:
    changed = message(of)
    change(changed)
    with pytest.raises(CimfedError) as caught:
        decode_query(changed.SerializeToString())
    return caught.value


SIMPLE = query(parse("height > 12.5"))


def set_where(**fields: Any) -> Any:
    return lambda whole: whole.read.where.CopyFrom(query_pb2.Expression(**fields))


def compared(**fields: Any) -> Any:
    left = query_pb2.Operand(property="height")
    return set_where(comparison=query_pb2.Comparison(**({"op": 1, "left": left, "right": left} | fields)))


def with_literal(**value: Any) -> Any:
    return compared(right=query_pb2.Operand(literal=query_pb2.Literal(**value)))


LEAF = query_pb2.Expression(is_null=query_pb2.IsNull(property="a"))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda whole: whole.ClearField("read"), "request"),
        (lambda whole: setattr(whole, "nonce", bytes(15)), "nonce"),
        (lambda whole: setattr(whole, "issued", -1), "issued"),
        (lambda whole: setattr(whole, "expires", 2**63 - 1), "issued"),
        (lambda whole: setattr(whole, "federation", ""), "federation"),
        (lambda whole: setattr(whole, "federation", "SCO"), "federation"),
        (lambda whole: whole.cities.append("inst.tsinghua"), "cities"),
        (lambda whole: whole.cities.append("kz.Almaty"), "cities"),
        (lambda whole: whole.via.append("kz.almaty"), "via"),
        (lambda whole: whole.grants.add(city="x", grant="g"), "grants"),
        (lambda whole: whole.grants.add(city="kz.almaty", grant=""), "grants"),
        (lambda whole: whole.grants.extend([query_pb2.GrantChoice(city="kz.a", grant="g")] * 2), "grants: kz.a"),
        (lambda whole: setattr(whole.read, "collection", ""), "collection"),
        (lambda whole: setattr(whole.read, "collection", "a\nb"), "collection"),
        (lambda whole: setattr(whole.read, "compression", 0), "compression"),
        (lambda whole: setattr(whole.read, "compression", 9), "compression"),
        (lambda whole: setattr(whole.read, "all_properties", False), "properties"),
        (lambda whole: whole.read.properties.append("id"), "properties"),
        (set_where(), "where"),
        (set_where(parts=[LEAF, LEAF]), "where"),
        (set_where(connective=0, parts=[LEAF, LEAF]), "where"),
        (set_where(connective=9, parts=[LEAF, LEAF]), "where"),
        (set_where(connective=query_pb2.CONNECTIVE_NOT), "where"),
        (set_where(connective=query_pb2.CONNECTIVE_NOT, parts=[LEAF, LEAF]), "where"),
        (set_where(connective=query_pb2.CONNECTIVE_AND, parts=[LEAF]), "where"),
        (set_where(connective=query_pb2.CONNECTIVE_OR), "where"),
        (set_where(is_null=query_pb2.IsNull(property="a"), parts=[LEAF]), "where"),
        (set_where(is_null=query_pb2.IsNull()), "where"),
        (set_where(**{"in": query_pb2.In(property="a")}), "where"),
        (set_where(between=query_pb2.Between(property="a")), "where"),
        (compared(op=0), "where"),
        (compared(op=7), "where"),
        (compared(left=None), "where"),
        (compared(right=query_pb2.Operand()), "where"),
        (compared(right=query_pb2.Operand(property="")), "where"),
        (with_literal(), "where"),
        (with_literal(time=2**63 - 1), "where"),
        (with_literal(time=-(2**63)), "where"),
        (with_literal(decimal=query_pb2.Decimal(unscaled=10, scale=1)), "where"),
        (with_literal(decimal=query_pb2.Decimal(unscaled=0, scale=1)), "where"),
        (with_literal(decimal=query_pb2.Decimal(unscaled=1, scale=10)), "where"),
        (with_literal(decimal=query_pb2.Decimal(unscaled=1, scale=2**32 - 1)), "where"),
    ],
)
def test_what_is_unset_unspecified_or_in_another_form_is_refused(change: Any, place: str) -> None:
    error = refusal(change, SIMPLE)
    assert isinstance(error, BadQuery)
    assert error.place == place


def test_measures_without_function_are_refused() -> None:
    count = query(request=Aggregate("building", (Measure(Function.COUNT),)))
    for number in (0, 6):
        assert refusal(lambda whole, to=number: setattr(whole.aggregate.measures[0], "function", to), count).place == (
            "measures"
        )


@pytest.mark.parametrize("kinds", [[Not] * 63, [And] * 63, [Or, Not, And] * 21])
def test_the_deepest_filter_passes_and_the_next_is_too_deep(kinds: Any) -> None:
    leaf = parse("height > 12.5")
    assert decode_query(encode_query(query(chain(kinds, leaf)))).request == Read("building", chain(kinds, leaf))
    with pytest.raises(TooDeep):
        decode_query(encode_query(query(chain([*kinds, Not], leaf))))


def test_filters_deeper_than_protobuf_reads_are_refused() -> None:
    where = b""
    for _ in range(10_000):
        where = number(6, 1) + text(7, where)
    data = text(10, text(1, "building"), text(2, where), number(3, 1), number(5, 1))
    with pytest.raises(BadQuery, match="at most 64 deep"):
        decode_query(data)


def test_nodes_are_limited() -> None:
    leaf = IsNull(Property("a"))
    assert decode_query(encode_query(query(Or((leaf,) * 2047))))
    with pytest.raises(TooLarge):
        decode_query(encode_query(query(Or((leaf,) * 2048))))


def test_lists_and_bytes_are_limited() -> None:
    for change in (
        lambda whole: whole.cities.extend(["kz.almaty"] * 1001),
        lambda whole: whole.via.extend(["gw.a"] * 1001),
        lambda whole: whole.grants.extend([query_pb2.GrantChoice()] * 1001),
        lambda whole: whole.read.properties.extend(["id"] * 1001),
    ):
        assert isinstance(refusal(change), TooLarge)
    with pytest.raises(TooLarge):
        decode_query(bytes(256 * 1024 + 1))
    with pytest.raises(TooLarge):
        encode_query(query(parse(f"a = '{'x' * 30_000}'"), purpose="y" * 250_000))


def test_instants_and_numbers_are_exact() -> None:
    for value in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)):
        tree = parse(f"t = TIMESTAMP('{value.replace(tzinfo=None).isoformat()}Z')")
        assert decode_query(encode_query(query(tree))) == query(tree)
    for digits in ("9223372036854775807", "-9223372036854775808", "-9223372036.854775808", "1e18", "0.10", "-0"):
        tree = parse(f"n = {digits}")
        found = decode_query(encode_query(query(tree))).request
        assert found.where.right.value == Decimal(digits)  # type: ignore[union-attr]
