"""WKB of another party: what the vocabulary's geometries are, and nothing else.

A geometry of ours is a point, a line, a polygon or a multi of one of these, plain or with Z (ISO 19125, ISO WKB; no
EWKB flags, no M, no curves), and every value is walked from its first byte to its last before GEOS sees it. For GEOS
reads a collection within a collection by calling itself, so 400 KiB of nothing but headers end the process, 16 KiB take
it a second to write as GeoJSON (both seen with 3.14), and what it cannot write it reads all the same.

Most values are a polygon of one ring, which its length tells whole. The others of a column are walked at once: each
step passes one header and one list of points of every value that is not at its end. When few values are left (those of
many parts), or only one was there, they are walked one by one. Coordinates are not looked at. A geometry may be empty,
but none of its members or rings: 9 bytes would cost as much as a polygon.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from cimfed.errors import BadAnswer

pc: Any = pyarrow.compute  # its stubs do not know that scalars may stand beside arrays
Array = np.ndarray[Any, np.dtype[Any]]

_POINT, _LINE, _POLYGON = 1, 2, 3  # codes, to which Z adds a thousand
_SIMPLE = (1, 2, 3, 1001, 1002, 1003)
_MULTI = (4, 5, 6, 1004, 1005, 1006)
_TO_MEMBER = 3  # from the code of a multi-geometry to that of its members
_Z = 1000
_CODE, _COUNT, _AFTER = 1, 5, 9  # where code, count and what is counted stand, from a header's begin
_RING = 13  # bytes of a polygon of one ring before its points
_FEW = 100  # values that are walked sooner one by one than together (measured)
_LITTLE, _BIG = struct.Struct("<I"), struct.Struct(">I")


class _Broken(Exception):
    """A value is no WKB of the vocabulary."""


def check_shapes(party: str, name: str, column: pa.Array[Any]) -> None:
    """BadAnswer where a value of a WKB column is anything but a simple or a multi-geometry, whole."""
    if column.null_count == len(column):
        return
    _, offsets, data = column.buffers()
    assert offsets is not None
    bounds = np.frombuffer(memoryview(offsets), np.int32)[column.offset :][: len(column) + 1].astype(np.int64)
    at, end = bounds[:-1], bounds[1:]
    if column.null_count:
        there = pc.is_valid(column).to_numpy(zero_copy_only=False)
        at, end = at[there], end[there]
    try:
        _check(at + _AFTER <= end)
        assert data is not None  # only values without bytes could do without
        values = _Bytes(data)
        others = ~values.footprints(at, end)
        if others.any():
            _walk(values, at[others], end[others])
    except _Broken:
        raise BadAnswer(f"{party}: a geometry of {name} is not WKB of a simple or a multi-geometry") from None


class _Bytes:
    """Numbers at any place of a buffer, for many places at once. The caller has compared them with the values' ends."""

    def __init__(self, data: pa.Buffer) -> None:
        self.all = memoryview(data).cast("B")
        self._bytes: Array = np.frombuffer(self.all, np.uint8)
        self._words = np.ndarray((len(self._bytes) - 3,), "<u4", self.all, 0, (1,))

    def footprints(self, at: Array, end: Array) -> Array:
        """Which values are a little-endian polygon of one ring, to the last byte. All have a header."""
        length = end - at
        second = np.where(length >= _RING, at, at[0])  # any place that has as many bytes, where this one has not
        if length[0] < _RING:
            return np.zeros(len(at), bool)
        points = self._words[second + _AFTER].astype(np.int64)
        found: Array = (self._bytes[at] == 1) & (self._words[at + _CODE] == _POLYGON) & (self._words[at + _COUNT] == 1)
        found &= (points > 0) & (length == _RING + 16 * points)
        return found

    def orders(self, at: Array) -> Array:
        """Whether what begins there is big-endian."""
        orders = self._bytes[at]
        _check(orders <= 1)
        return np.equal(orders, 0)

    def numbers(self, at: Array, big: Array) -> Array:
        found = self._words[at]
        if big.any():
            found = np.where(big, found.byteswap(), found)
        return found.astype(np.int64)


@dataclass
class _Values:
    """How far each value has been walked. All arrays are of one length."""

    at: Array
    end: Array
    code: Array  # of its members, a simple geometry being its own
    members: Array  # that are left
    lists: Array  # of points, that are left of the member that was begun
    big: Array  # and that member's byte order

    def where(self, kept: Array) -> _Values:
        return _Values(*(values[kept] for values in vars(self).values()))


def _walk(data: _Bytes, at: Array, end: Array) -> None:
    left = _begin(data, at, end)
    while len(left.at) >= _FEW:
        _headers(data, left)
        _points(data, left)
        going = (left.lists > 0) | (left.members > 0)
        if not going.all():
            _check(left.at[~going] == left.end[~going])
            left = left.where(going)
    for value in zip(*(values.tolist() for values in vars(left).values()), strict=True):
        _walk_one(data.all, *value)


def _begin(data: _Bytes, at: Array, end: Array) -> _Values:
    """Those that are not empty: a multi-geometry's own header is passed, a simple one is its only member."""
    big = data.orders(at)
    code = data.numbers(at + _CODE, big)
    count = data.numbers(at + _COUNT, big)
    multi = np.isin(code, _MULTI)
    _check(multi | np.isin(code, _SIMPLE))
    empty = (count == 0) & (code % _Z != _POINT)
    _check((at + _AFTER == end)[empty])
    values = _Values(
        np.where(multi, at + _AFTER, at),
        end,
        np.where(multi, code - _TO_MEMBER, code),
        np.where(multi, count, 1),
        np.zeros_like(at),
        big,
    )
    return values.where(~empty) if empty.any() else values


def _headers(data: _Bytes, left: _Values) -> None:
    """Passes the header of a member, with a point's coordinates, where one is due."""
    due = np.flatnonzero(left.lists == 0)
    at, code = left.at[due], left.code[due]
    _check(at + _AFTER <= left.end[due])
    big = data.orders(at)
    _check(data.numbers(at + _CODE, big) == code)
    kind, count = code % _Z, data.numbers(at + _COUNT, big)
    polygon = kind == _POLYGON
    _check(~polygon | (count > 0))
    left.at[due] = at + np.where(polygon, _AFTER, np.where(kind == _POINT, _COUNT + _width(code), _COUNT))
    left.lists[due] = np.where(polygon, count, kind == _LINE)
    left.members[due] -= 1
    left.big[due] = big


def _points(data: _Bytes, left: _Values) -> None:
    """Passes a list of points, those of a line or a ring, where one is due."""
    due = np.flatnonzero(left.lists)
    at = left.at[due]
    _check(at + 4 <= left.end[due])
    count = data.numbers(at, left.big[due])
    _check(count > 0)
    left.at[due] = at + 4 + count * _width(left.code[due])
    left.lists[due] -= 1


def _width(code: Array) -> Array:
    """Bytes of a point."""
    return np.where(code > _Z, 24, 16)


def _check(good: Array) -> None:
    if not good.all():
        raise _Broken


def _walk_one(data: memoryview, at: int, end: int, code: int, members: int, lists: int, big: bool) -> None:
    """The same for one value, from where it stands."""
    kind, width = code % _Z, 24 if code > _Z else 16
    number = (_BIG if big else _LITTLE).unpack_from
    while lists or members:
        if lists:
            if at + 4 > end or not (count := number(data, at)[0]):
                raise _Broken
            at += 4 + count * width
            lists -= 1
            continue
        if at + _AFTER > end or data[at] > 1:
            raise _Broken
        number = (_LITTLE if data[at] else _BIG).unpack_from
        if number(data, at + _CODE)[0] != code:
            raise _Broken
        members -= 1
        if kind == _POINT:
            at += _COUNT + width
        elif kind == _LINE:
            at, lists = at + _COUNT, 1
        else:
            at, lists = at + _AFTER, number(data, at + _COUNT)[0]
            if not lists:
                raise _Broken
    if at != end:
        raise _Broken
