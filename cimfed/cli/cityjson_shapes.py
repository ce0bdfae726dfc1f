"""WKB columns as CityJSON geometry: boundaries and vertices as JSON text, made of whole columns.

Areas become MultiSurface (CompositeSurface in relief), lines MultiLineString, points MultiPoint. A boundary of surfaces
stays one: whether it encloses a body is not told by an answer, so nothing is called a Solid, and no surface is called a
roof or wall. Rings are not closed, as CityJSON wants them, and have no point twice in a row. What has no height of its
own gets that of its row.

Vertices are whole numbers of ``SCALE`` from ``translate``, and each stands once in its feature.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import shapely

from cimfed.client.geo import geometries
from cimfed.errors import BadAnswer

pc: Any = pyarrow.compute  # its stubs do not know that scalars may stand beside arrays
Array = np.ndarray[Any, np.dtype[Any]]

SCALE = (1e-9, 1e-9, 1e-4)
"""Degrees, degrees, metres: steps of 0.1 mm."""
LARGEST = 2**53  # what every reader of JSON takes for a whole number
NONE, POINT, LINE, AREA = range(4)
_KIND = np.array([NONE, POINT, LINE, -1, AREA, POINT, LINE, AREA, -1])  # by GEOS's type and one
_TYPES = {POINT: "MultiPoint", LINE: "MultiLineString", AREA: "MultiSurface"}


@dataclass(frozen=True)
class Drawn:
    """Of each row: ``geometry`` as JSON members without their brackets, null where there is none; ``kinds``: which of
    POINT, LINE, AREA are among them; ``vertices``, as JSON arrays with commas, and how many. ``box``: of all."""

    geometry: pa.Array[Any]
    kinds: Mapping[int, Array]
    vertices: pa.Array[Any]
    counts: Array
    box: Array | None


@dataclass(frozen=True)
class _Part:
    """All geometries of one level and kind. ``counts``: members, from the innermost to those of each row."""

    level: int
    kind: int
    row: Array
    points: Array
    counts: tuple[Array, ...]


def place_of(columns: Mapping[int, pa.Array[Any]]) -> tuple[float, float, float] | None:
    """Where to count from: a round place near the first geometry. None where there is none."""
    for column in columns.values():
        for shape in geometries(column):
            if shape is not None and not shape.is_empty:
                x, y = shapely.get_coordinates(shape)[0]
                return float(np.floor(x * 100) / 100), float(np.floor(y * 100) / 100), 0.0
    return None


def draw(
    columns: Mapping[int, pa.Array[Any]],
    rows: int,
    translate: tuple[float, float, float],
    heights: Array,
    surface: str = _TYPES[AREA],
    base: int | None = None,
) -> Drawn:
    """``columns``: by level of detail. ``heights``: of rows, for what has none. ``base``: number of the first vertex
    where rows share one list of vertices; None where each has its own."""
    parts = [part for level, column in columns.items() for part in _parts(level, geometries(column), rows)]
    row = np.concatenate([part.row for part in parts]) if parts else np.empty(0, np.int64)
    points = np.concatenate([part.points for part in parts]) if parts else np.empty((0, 3))
    points[:, 2] = np.where(np.isnan(points[:, 2]), heights[row], points[:, 2])
    with np.errstate(over="ignore"):
        numbers = np.rint((points - translate) / SCALE)
    if not (np.abs(numbers) < LARGEST).all():
        raise BadAnswer("a geometry of the answer has a coordinate that is far from the earth")
    rank, owner, unique = _once(row, numbers.astype(np.int64))
    counts = np.bincount(owner, minlength=rows)
    index = rank + base if base is not None else rank - (np.cumsum(counts) - counts)[row]
    texts: list[pa.Array[Any]] = []
    kinds = {kind: np.zeros(rows, np.bool_) for kind in _TYPES}
    start = 0
    for part in parts:
        own, counts_of = _without_repeats(part, index[start : start + len(part.row)])
        inner: pa.Array[Any] = pa.array(own).cast(pa.string())
        start += len(part.row)
        for members in counts_of:
            inner = _nest(inner, members)
        there = part.counts[-1] > 0
        kinds[part.kind] |= there
        head = f'{{"type":"{surface if part.kind == AREA else _TYPES[part.kind]}","lod":"{part.level}","boundaries":'
        texts.append(pc.if_else(pa.array(there), _join(head, inner, "}"), pa.scalar(None, pa.string())))
    columns_of = [pa.array(unique[:, axis]).cast(pa.string()) for axis in range(3)]
    each = _join("[", columns_of[0], ",", columns_of[1], ",", columns_of[2], "]")
    ends = [unique.min(axis=0), unique.max(axis=0)] if len(unique) else []
    return Drawn(
        listed(texts, rows),
        kinds,
        pc.binary_join(_lists(each, counts), ","),
        counts,
        np.array(ends) * SCALE + translate if ends else None,
    )


def _parts(level: int, shapes: Array, rows: int) -> Iterator[_Part]:
    kinds = np.where(shapely.is_empty(shapes), NONE, _KIND[shapely.get_type_id(shapes) + 1])
    if (kinds < 0).any():
        raise BadAnswer("a geometry of the answer is of a kind that CityJSON does not hold")
    for kind in _TYPES:
        at = np.flatnonzero(kinds == kind)
        if not len(at):
            continue
        members, member_of = shapely.get_parts(shapes[at], return_index=True)
        there = ~shapely.is_empty(members)
        members, member_of = members[there], at[member_of[there]]
        whole = np.bincount(member_of, minlength=rows)
        if kind == AREA:
            rings, ring_of = shapely.get_rings(members, return_index=True)
            points, of = shapely.get_coordinates(rings, include_z=True, return_index=True)
            inside = np.append(of[1:] == of[:-1], False)  # but the last of each ring, which is its first
            points, of = points[inside], of[inside]
            counts = (np.bincount(of, minlength=len(rings)), np.bincount(ring_of, minlength=len(members)), whole)
            yield _Part(level, kind, member_of[ring_of[of]], points, counts)
            continue
        points, of = shapely.get_coordinates(members, include_z=True, return_index=True)
        yield _Part(
            level,
            kind,
            member_of[of],
            points,
            (whole,) if kind == POINT else (np.bincount(of, minlength=len(members)), whole),
        )


def _once(row: Array, numbers: Array) -> tuple[Array, Array, Array]:
    """Of each point the place among the different points of all rows, and of these their row and their numbers."""
    order = np.lexsort((numbers[:, 2], numbers[:, 1], numbers[:, 0], row))
    sorted_row, sorted_numbers = row[order], numbers[order]
    new = np.ones(len(row), np.bool_)
    new[1:] = (sorted_row[1:] != sorted_row[:-1]) | (sorted_numbers[1:] != sorted_numbers[:-1]).any(axis=1)
    rank = np.empty(len(row), np.int64)
    rank[order] = np.cumsum(new) - 1
    return rank, sorted_row[new], sorted_numbers[new]


def _without_repeats(part: _Part, index: Array) -> tuple[Array, tuple[Array, ...]]:
    """Vertex numbers and counts without a ring's points that the next one is once more; three are left of a ring."""
    if part.kind != AREA:
        return index, part.counts
    points, *whole = part.counts
    ends = np.cumsum(points)
    following = np.arange(len(index)) + 1
    some = points > 0
    following[(ends - 1)[some]] = (ends - points)[some]
    ring = np.repeat(np.arange(len(points)), points)
    again = index[following] == index
    again &= (points - np.bincount(ring[again], minlength=len(points)) >= 3)[ring]
    return index[~again], (np.bincount(ring[~again], minlength=len(points)), *whole)


def _lists(texts: pa.Array[Any], counts: Array) -> pa.Array[Any]:
    return pa.ListArray.from_arrays(pa.array(np.append(0, np.cumsum(counts)), pa.int32()), texts)


def _nest(texts: pa.Array[Any], counts: Array) -> pa.Array[Any]:
    return _join("[", pc.binary_join(_lists(texts, counts), ","), "]")


def listed(texts: Iterable[pa.Array[Any]], rows: int) -> pa.Array[Any]:
    """Of each row those that are there, with commas between them; null where none is.

    Arrow leaves out a row that has nothing to join (seen with 26), so each has an empty text before the others.
    """
    joined = pc.binary_join_element_wise(pa.repeat("", rows), *texts, ",", null_handling="skip")
    found: pa.Array[Any] = pc.if_else(
        pc.equal(joined, ""), pa.scalar(None, pa.string()), pc.utf8_slice_codeunits(joined, 1)
    )
    return found


def _join(*parts: Any) -> pa.Array[Any]:
    joined: pa.Array[Any] = pc.binary_join_element_wise(*parts, "")
    return joined
