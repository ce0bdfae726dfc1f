from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import BadPolicy
from cimfed.model.routing import parse_routing
from cimfed.policy.area import normalised, read_area, to_geojson
from cimfed.policy.cursor import Cursor, json_place
from cimfed.policy.payload import from_payload, policy_hash, routing_entry, to_payload
from cimfed.policy.rows import read_tree, tree
from cimfed.query.expression import (
    And,
    Between,
    Box,
    Comparator,
    Comparison,
    Expression,
    In,
    IsNull,
    Literal,
    Not,
    Or,
    Property,
)
from tests.unit.cimfed.policy.documents import CENTRE, EXAMPLE, GRANT, HEAD, SALT, grant, policy

SIGNED = to_payload(policy(EXAMPLE))


def test_a_signed_policy_is_read_back_as_it_was_composed() -> None:
    assert from_payload(SIGNED) == policy(EXAMPLE)


def test_a_country_that_is_none_any_more_stands_in_what_was_signed() -> None:
    """Else a city would give nothing from the day on that a code goes."""
    document = json.loads(SIGNED)
    document["grants"][0]["subject"]["country"] = ["CN", "YU"]
    assert from_payload(rfc8785.dumps(document)).grants[0].subjects.country == {"CN", "YU"}


def test_the_payload_is_canonical_json_with_areas_and_rows_embedded() -> None:
    document = json.loads(SIGNED)
    assert rfc8785.dumps(document) == SIGNED
    assert document["salt"] == SALT.hex()
    massing = document["grants"][0]
    assert massing["area"]["within"]["type"] == "Polygon"
    assert {tuple(position) for position in massing["area"]["within"]["coordinates"][0]} == {
        tuple(position) for position in CENTRE["coordinates"][0]
    }
    assert massing["rows"] == {
        "op": "and",
        "args": [
            {"op": "=", "args": [{"property": "usage_state"}, "in_use"]},
            {"op": ">", "args": [{"property": "height"}, {"number": "3"}]},
        ],
    }
    assert massing["columns"] == {"id": "exact", "function": "exact", "height": {"band": "5"}, "floor_area": "null"}
    assert massing["valid"] == ["2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"]


def test_equal_policies_have_equal_bytes_whatever_the_order_of_words() -> None:
    one = grant("purpose: [a, b]", "columns: {height: exact, function: 'null'}", "via: [gw.a, direct]")
    other = grant("via: [direct, gw.a]", "columns: {function: 'null', height: exact}", "purpose: [b, a]")
    assert to_payload(one) == to_payload(other)


def changed(change: Any) -> bytes:
    document = json.loads(SIGNED)
    change(document)
    return rfc8785.dumps(document)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format="cimfed/policy/v2"),
        lambda d: d.update(restrictions=[]),
        lambda d: d.update(version="42"),
        lambda d: d.update(version=42.5),
        lambda d: d.pop("salt"),
        lambda d: d.update(salt="00"),
        lambda d: d.update(city=None),
        lambda d: d.update(valid=["2026-10-01T00:00Z", "2027-04-01T00:00:00Z"]),
        lambda d: d["declared"]["building"].update(extent=["76.7", "43.1", "77.1", "43.4"]),
        lambda d: d["listed"].update(building=["height", "function"]),
        lambda d: d["grants"][0]["subject"]["org"].reverse() or d["grants"][0]["subject"]["org"].append("inst.a"),
        lambda d: d["grants"][0]["columns"].update(height={"band": "5.0"}),
        lambda d: d["grants"][0]["columns"].update(height={"band": 5}),
        lambda d: d["grants"][0].update(rows="height > 3"),
        lambda d: d["grants"][0].update(area={"within": "areas/centre.geojson"}),
        lambda d: d["grants"][0].update(area={"within": {"type": "Feature", "geometry": CENTRE}}),
        lambda d: d["grants"][0]["area"]["within"]["coordinates"][0][1].append(3),
        lambda d: d["grants"][0]["rows"]["args"][1]["args"].__setitem__(1, {"number": "3.0"}),
        lambda d: d["grants"][0]["rows"]["args"][1]["args"].__setitem__(1, 3),
        lambda d: d["grants"][0]["rows"]["args"][1]["args"].__setitem__(1, {"number": "3", "timestamp": "x"}),
        lambda d: d["grants"][0]["rows"].update(op="xor"),
        lambda d: d["grants"][0]["rows"]["args"].clear(),
        lambda d: d["grants"].append(d["grants"][0]),
        lambda d: d.update(grants=[], listed={}, declared={}),
    ],
)
def test_a_payload_that_says_the_same_otherwise_or_something_else_is_refused(change: Any) -> None:
    with pytest.raises(BadPolicy):
        from_payload(changed(change))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"null",
        SIGNED + b" ",
        SIGNED + b"\n",
        b"\xef\xbb\xbf" + SIGNED,
        SIGNED.decode().encode("utf-16"),
        SIGNED.replace(b'"version":42', b'"version":42,"version":42'),
        SIGNED.replace(b'"version":42', b'"version":42.0'),
        SIGNED.replace(b'"version":42', b'"version":' + b"9" * 5000),
        SIGNED.replace(b"research", b"re\\u0073earch"),
        SIGNED.replace(b"in_use", b"\\ud800"),
        b"[" * 1_000_000,
        b'{"format":' * 100_000,
        b" " * (16 * 1024 * 1024 + 1),
        b"[" + b"[]," * 1_000_000 + b"[]]",
    ],
    ids=range(16),
)
def test_other_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(BadPolicy):
        from_payload(payload)


def test_an_error_in_a_payload_names_its_place() -> None:
    with pytest.raises(BadPolicy) as caught:
        from_payload(changed(lambda d: d["grants"][1]["columns"].update(level={"prefix": 2})), "almaty.policy.json")
    assert caught.value.place == "almaty.policy.json:grants[1].columns.level.prefix"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_policy_or_bad_policy(payload: bytes) -> None:
    with pytest.raises(BadPolicy):
        from_payload(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in steps for found in paths(item, (*path, key)))]


@given(st.sampled_from(paths(json.loads(SIGNED))[1:]), JSON)
def test_a_payload_with_anything_in_any_place_is_a_policy_or_bad_policy(path: tuple[Any, ...], value: Any) -> None:
    document = json.loads(SIGNED)
    where = document
    for step in path[:-1]:
        where = where[step]
    where[path[-1]] = value
    payload = rfc8785.dumps(document)
    try:
        found = from_payload(payload)
    except BadPolicy:
        return
    assert to_payload(found) == payload


# Rows

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1).flatmap(
    lambda n: st.integers(0, 9).map(lambda scale: Decimal(f"{n}E-{scale}"))
)
instants = st.datetimes(timezones=st.just(UTC))
height, function, since = Property("height"), Property("function"), Property("valid_from")
leaves = st.one_of(
    st.builds(Comparison, st.sampled_from(Comparator), st.just(height), numbers.map(Literal)),
    st.builds(Comparison, st.sampled_from(Comparator), texts.map(Literal), st.just(function)),
    st.builds(Between, st.just(since), instants.map(Literal), instants.map(Literal)),
    st.builds(In, st.just(function), st.lists(texts.map(Literal), min_size=1, max_size=3).map(tuple)),
    st.sampled_from([height, function, since]).map(IsNull),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(And),
        st.lists(inner, min_size=2, max_size=3).map(tuple).map(Or),
    ),
    max_leaves=8,
)


@given(trees)
def test_any_condition_survives_signing(rows: Expression) -> None:
    small = grant("columns: {}")
    signed = to_payload(replace(small, grants=(replace(small.grants[0], rows=rows),)))
    assert from_payload(signed).grants[0].rows == rows


def test_a_number_has_one_text() -> None:
    texts = {
        rfc8785.dumps(tree(Comparison(Comparator.EQ, height, Literal(Decimal(number)))))
        for number in ("5", "5.0", "5.00", "0.5E1", "+5")
    }
    assert texts == {b'{"args":[{"property":"height"},{"number":"5"}],"op":"="}'}


def test_a_place_among_the_rows_cannot_be_signed() -> None:
    small = grant("columns: {}")
    with pytest.raises(BadPolicy):
        to_payload(replace(small, grants=(replace(small.grants[0], rows=Box(1.0, 2.0, 3.0, 4.0)),)))


def test_a_condition_deeper_than_the_limit_is_refused() -> None:
    node: Any = {"op": "isNull", "args": [{"property": "height"}]}
    for _ in range(64):
        node = {"op": "not", "args": [node]}
    with pytest.raises(BadPolicy):
        read_tree(Cursor(node, (), json_place("p")))
    assert isinstance(read_tree(Cursor(node["args"][0], (), json_place("p"))), Not)


# Areas


@given(
    st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=3, max_size=12).map(
        lambda points: shapely.MultiPoint(points).convex_hull
    )
)
def test_any_area_survives_signing_to_the_bit(hull: shapely.Geometry) -> None:
    if not isinstance(hull, shapely.Polygon) or not hull.is_valid:
        return
    if hull.bounds[2] - hull.bounds[0] > 180:  # its edges may be ambiguous: tests/unit/cimfed/policy/test_document.py
        return

    def signed_and_read(wkb: bytes) -> bytes:
        text = json.loads(rfc8785.dumps(to_geojson(wkb)), parse_float=str, parse_int=str)
        return read_area(Cursor(text, (), json_place("p")))

    wkb = normalised(signed_and_read(shapely.to_wkb(hull)))
    assert signed_and_read(wkb) == wkb
    assert shapely.equals(shapely.from_wkb(wkb), hull)


def test_the_vertices_of_a_signed_area_are_taken_in_their_order() -> None:
    document = json.loads(SIGNED)
    ring = document["grants"][0]["area"]["within"]["coordinates"][0]
    ring.reverse()
    found = from_payload(rfc8785.dumps(document)).grants[0].area
    assert found is not None
    assert shapely.get_coordinates(shapely.from_wkb(found)).tolist() == ring


# Hashes and the routing entry


def prefixed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def test_the_hashes_are_those_of_the_page() -> None:
    assert policy_hash(SIGNED) == hashlib.sha256(SIGNED).digest()
    entry = parse_routing(routing_entry(policy(EXAMPLE), SIGNED))
    assert entry.policy_hash == hashlib.sha256(prefixed(b"cimfed policy salted v1", SALT, SIGNED)).digest()


def test_the_routing_entry_tells_collections_and_extents_and_nobody() -> None:
    payload = routing_entry(policy(EXAMPLE), SIGNED)
    entry = parse_routing(payload)
    assert (entry.city, entry.version, entry.valid) == ("kz.almaty", 42, policy(EXAMPLE).valid)
    assert entry.collections == {"building": (76.7, 43.1, 77.1, 43.4), "admin_unit": None}
    for secret in ("tsinghua", "massing", "research", "43.2", "MoU", "gw.alliance"):
        assert secret.encode() in SIGNED
        assert secret.encode() not in payload


def test_a_granted_collection_is_published_also_where_it_is_not_declared() -> None:
    small = policy(HEAD + "listed: {facility: [fuel]}\n" + GRANT)
    assert parse_routing(routing_entry(small, to_payload(small))).collections == {"building": None, "facility": None}


def test_times_keep_their_microseconds() -> None:
    small = grant("valid: [2026-01-01T00:00:00.000001Z, 2026-01-01T00:00:01.5Z]")
    (found,) = from_payload(to_payload(small)).grants
    start = int(datetime(2026, 1, 1, tzinfo=timezone(timedelta(0))).timestamp()) * 1_000_000
    assert found.valid == (start + 1, start + 1_500_000)
