"""WKB of another party: exactly the vocabulary's geometries pass, in columns of any length."""

from __future__ import annotations

import struct

import numpy as np
import pyarrow as pa
import pytest
import shapely

from cimfed.client.columns import Shaper, read_schema
from cimfed.errors import BadAnswer
from cimfed.model.names import CityName
from cimfed.query.query import Read
from cimfed.wire.wkb import check_shapes

ALMATY = CityName("kz.almaty")
FOOTPRINT = pa.schema([("geometry_lod0", pa.binary())])
MANY = 300  # values, which are walked together; one is walked alone

RING = [(np.cos(t), np.sin(t)) for t in np.linspace(0, 6.28, 30)]
HOLE = [(0.1, 0.1), (0.1, 0.2), (0.2, 0.2)]
SHAPES = [
    shapely.Point(1, 2),
    shapely.LineString(RING),
    shapely.Polygon(RING, [HOLE, HOLE]),
    shapely.MultiPoint(RING),
    shapely.MultiLineString([RING, HOLE]),
    shapely.MultiPolygon([shapely.Polygon(RING, [HOLE]), shapely.box(3, 3, 4, 4)]),
]
WHOLE = [
    shapely.to_wkb(made, flavor="iso", byte_order=order)
    for shape in SHAPES
    for made in (shape, shapely.force_3d(shape, 7))
    for order in (0, 1)
]


def header(code: int, count: int, order: str = "<") -> bytes:
    return struct.pack(f"{order}BII", order == "<", code, count)


def point(code: int = 1, order: str = "<") -> bytes:
    return struct.pack(f"{order}BI{'ddd' if code > 1000 else 'dd'}", order == "<", code, *range(2 + (code > 1000)))


def nested(code: int, levels: int, order: str = "<") -> bytes:
    return header(code, 1, order) * levels + point(order=order)


def plainly(wkb: bytes) -> bool:
    """A second implementation: one value, one byte after the other."""
    at = 0

    def number(order: str) -> int:
        nonlocal at
        (found,) = struct.unpack_from(f"{order}I", wkb, at)
        at += 4
        return int(found)

    def geometry(expected: int | None) -> None:
        nonlocal at
        order = {0: ">", 1: "<"}[wkb[at]]
        at += 1
        code = number(order)
        assert code == expected or (expected is None and code % 1000 in range(1, 7) and code // 1000 in (0, 1))
        width = 24 if code > 1000 else 16
        match code % 1000:
            case 1:
                at += width
            case 2:
                points(order, width)
            case 3:
                rings = number(order)
                assert rings or expected is None
                for _ in range(rings):
                    points(order, width)
            case _:
                for _ in range(number(order)):
                    geometry(code - 3)

    def points(order: str, width: int) -> None:
        nonlocal at
        count = number(order)
        assert count or len(wkb) == 9
        at += count * width
        assert at <= len(wkb)

    try:
        geometry(None)
    except (AssertionError, IndexError, KeyError, struct.error):
        return False
    return at == len(wkb)


def passes(*values: bytes | None) -> bool:
    try:
        check_shapes(ALMATY, "geometry_lod0", pa.array(values, pa.binary()))
    except BadAnswer:
        return False
    return True


def shaped(wkb: bytes) -> pa.RecordBatch:
    batch = pa.record_batch([pa.array([wkb], pa.binary())], schema=FOOTPRINT)
    shaper = Shaper(ALMATY, FOOTPRINT, read_schema(Read("building")))
    return shaper.shape(batch.serialize().to_pybytes(), 1)


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("wkb", WHOLE)
def test_geometries_of_the_vocabulary_pass_whole_and_only_whole(wkb: bytes, count: int) -> None:
    assert shaped(wkb)["geometry_lod0"][0].as_py() == wkb
    assert passes(*[wkb] * count)
    for broken in (wkb[:-1], wkb + b"\0", wkb[:-8], wkb[:9], wkb[:5], wkb[:1], b""):
        assert not passes(*[wkb] * (count - 1), broken), len(broken)


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6])
def test_empty_geometries_pass_and_empty_parts_do_not(code: int, count: int) -> None:
    empty = header(code, 0) if code > 1 else struct.pack("<BIdd", 1, 1, np.nan, np.nan)
    assert shapely.from_wkb(empty).is_empty
    assert passes(*[empty] * count)
    assert not passes(*[empty + b"\0"] * count)
    if code in (2, 3):
        assert not passes(*[header(code + 3, 2) + empty * 2] * count)
    assert not passes(*[header(3, 2) + struct.pack("<II", 0, 0)] * count)


@pytest.mark.parametrize("count", [1, MANY])
def test_members_may_be_in_either_byte_order(count: int) -> None:
    assert passes(*[header(4, 2) + point() + point(order=">")] * count)
    assert passes(*[header(1004, 2, ">") + point(1001) + point(1001, ">")] * count)


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize(
    "wkb",
    [
        *(nested(code, levels) for code in (4, 5, 6, 7, 1004, 1006, 1007) for levels in (2, 3, 1800)),
        header(7, 0),
        header(7, 1) + point(),
        header(6, 1) + point(),
        header(4, 1) + point(1001),
        header(1004, 1) + point(),
        *(header(code, 0) for code in (0, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 1007, 1008, 2001, 2003, 3003, 4003)),
        header(8, 3) + bytes(48),
        b"\x02" + point()[1:],
        b"\xff" + point()[1:],
        header(4, 1) + b"\xff" + point()[1:],
        header(4, 2**32 - 1) + point(),
        header(3, 2**32 - 1) + bytes(64),
        header(2, 2**32 - 1) + bytes(64),
        header(3, 1) + struct.pack("<I", 2**32 - 1) + bytes(64),
        *(shapely.to_wkb(shapely.force_3d(shape, 7), flavor="extended") for shape in SHAPES),
        shapely.to_wkb(shapely.set_srid(SHAPES[2], 4326), include_srid=True, flavor="extended"),
    ],
    ids=lambda wkb: f"{wkb[:9].hex()}-{len(wkb)}",
)
def test_what_is_none_of_the_vocabulary_is_refused(wkb: bytes, count: int) -> None:
    """Collections, curves, M, EWKB's flags, members of another kind, counts past the end, however short."""
    with pytest.raises(BadAnswer, match="geometry_lod0"):
        shaped(wkb)
    assert not passes(*[WHOLE[0]] * (count - 1), wkb)
    assert not passes(wkb, *[WHOLE[0]] * (count - 1))
    assert not passes(*[wkb] * count)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [4, 6, 7, 1006, 1007])
def test_geometries_nested_without_end_do_not_reach_a_reader(kind: int, order: str) -> None:
    """GEOS would call itself until the process ends."""
    with pytest.raises(BadAnswer, match="geometry_lod0"):
        shaped(nested(kind, 400_000, order))


def test_nulls_are_passed_over_and_slices_are_their_own() -> None:
    good = WHOLE[5]
    column = pa.array([b"junk", None, *[good, None] * MANY, b"junk"], pa.binary())
    check_shapes(ALMATY, "g", column.slice(1, 2 * MANY + 1))
    check_shapes(ALMATY, "g", column.slice(1, 3))
    check_shapes(ALMATY, "g", column.slice(1, 1))
    check_shapes(ALMATY, "g", column.slice(0, 0))
    for part in (column, column.slice(0, 2), column.slice(2 * MANY)):
        with pytest.raises(BadAnswer):
            check_shapes(ALMATY, "g", part)


def test_a_changed_byte_is_judged_as_a_plain_reader_does() -> None:
    random = np.random.default_rng(7)
    verdicts = set()
    for _ in range(3000):
        value = bytearray(WHOLE[random.integers(len(WHOLE))])
        for _ in range(random.integers(1, 3)):
            at = random.integers(min(len(value), 40)) if random.random() < 0.8 else random.integers(len(value))
            value[at] = random.choice([0, 1, 2, 3, 4, 5, 6, 7, 0xEB, 0x80, value[at] ^ 1])
        wkb = bytes(value)
        verdict = plainly(wkb)
        verdicts.add(verdict)
        assert passes(wkb) == verdict, wkb.hex()
        assert passes(*[wkb] * 120) == verdict, wkb.hex()
    assert verdicts == {True, False}
