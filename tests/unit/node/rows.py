"""Rows of buildings for tests: as plain dicts, as Arrow tables, as snapshots on disk, and random ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from hypothesis import strategies as st

from cimfed.model.names import CityName
from cimfed.model.schema import field
from cimfed.model.vocabulary import VOCABULARY
from cimfed_node.ingest.snapshot import Snapshot
from tests.unit.cimfed.query.trees import instants, numbers, texts

CITY = CityName("kz.almaty")
BUILDING = VOCABULARY.collections["building"]
COLUMNS = ("city", "id", "geometry_lod0", "bbox", "valid_from", "function", "height", "year_built", "floor_area")

Row = Mapping[str, Any]


def schema(columns: Sequence[str] = COLUMNS) -> pa.Schema:
    return pa.schema([field(prop) for name, prop in BUILDING.properties.items() if name in columns])


def table(rows: Sequence[Row], columns: Sequence[str] = COLUMNS) -> pa.Table:
    """Properties that a row lacks are null."""
    fields = schema(columns)
    return pa.table(
        [pa.array([row.get(at.name) for row in rows], type=at.type) for at in fields],
        schema=fields,
    )


def plain(batches: pa.Table) -> list[dict[str, Any]]:
    return [dict(row) for row in batches.to_pylist()]


def placed(row: Row, geometry: shapely.Geometry | None) -> dict[str, Any]:
    """The row at a place: its lod0 geometry and the box of that."""
    if geometry is None:
        return {**row, "geometry_lod0": None, "bbox": None}
    box = dict(zip(("xmin", "ymin", "xmax", "ymax"), shapely.bounds(geometry).tolist(), strict=True))
    return {**row, "geometry_lod0": shapely.to_wkb(geometry, flavor="iso"), "bbox": box}


def building(number: int, geometry: shapely.Geometry | None = None, **properties: Any) -> dict[str, Any]:
    return placed({"city": CITY, "id": f"b{number}", **properties}, geometry)


def write_snapshot(folder: Path, rows: pa.Table, *, row_group: int = 61_440) -> Snapshot:
    """A snapshot that holds these rows; its id is a hash of its file here."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "rows.parquet"
    pq.write_table(rows, temporary, compression="zstd", row_group_size=row_group)
    id = hashlib.sha256(temporary.read_bytes()).hexdigest()
    (folder / id).mkdir(exist_ok=True)
    temporary.rename(folder / id / "building.parquet")
    return Snapshot(
        id=id,
        city=CITY,
        collection="building",
        folder=folder / id,
        rows=rows.num_rows,
        extent=None,
        times=(None, None),
        vocabulary=VOCABULARY.version,
        licence="",
        attribution="",
        inventory={},
    )


# Random rows and literals. Values are few and close to each other and to the ends of their types, so that filters
# meet them.

_HEIGHTS = st.one_of(
    st.integers(-300, 300).map(lambda value: Decimal(value).scaleb(-2)),
    st.sampled_from([Decimal("9999999999999999.99"), Decimal("-9999999999999999.99")]),
)
_AREAS = st.one_of(
    st.integers(-30, 30).map(lambda value: Decimal(value).scaleb(-1)),
    st.sampled_from([Decimal("99999999999999999.9"), Decimal("-99999999999999999.9")]),
)
_YEARS = st.one_of(st.integers(-3, 3), st.sampled_from([2**63 - 1, -(2**63)]))
_WORDS = st.one_of(st.sampled_from(["", "a", "Z", "é", "e\u0301", "Ж", "｡", "𐀀", "a'b", 'a"b', "%", "$1"]), texts)
_TIMES = st.one_of(
    st.sampled_from([datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)]),
    instants,
)
_SIDES = st.one_of(st.sampled_from([-180.0, -0.0, 0.0, 0.1, 180.0, 90.0]), st.floats(-180, 180))


def _near(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Decimal]:
    """Numbers at the values, a little beside them, and anywhere that a literal may be."""
    beside = st.sampled_from(["0", "0.001", "-0.001", "0.5", "-0.5"]).map(Decimal)
    shifted = st.tuples(values.map(Decimal), beside).map(lambda pair: pair[0] + pair[1])
    fits = shifted.filter(lambda value: abs(value) < 10**10)
    return st.one_of(fits, numbers(), values.map(Decimal).filter(lambda value: abs(value) < 2**63))


LITERALS: Mapping[str, st.SearchStrategy[Any]] = {
    "function": _WORDS,
    "height": _near(_HEIGHTS).filter(lambda value: _digits(value) <= 19),
    "year_built": _near(_YEARS).filter(lambda value: _digits(value) <= 19),
    "floor_area": _near(_AREAS).filter(lambda value: _digits(value) <= 19),
    "valid_from": _TIMES,
}


def _digits(value: Decimal) -> int:
    digits = value.as_tuple().digits
    return 99 if int("".join(map(str, digits))) >= 2**63 else len(digits)


@st.composite
def _boxes(draw: st.DrawFn) -> dict[str, float] | None:
    if draw(st.integers(0, 4)) == 0:
        return None
    xmin, xmax = sorted((draw(_SIDES), draw(_SIDES)))
    ymin, ymax = sorted((draw(_SIDES) / 2, draw(_SIDES) / 2))
    return {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}


@st.composite
def rows(draw: st.DrawFn, max_size: int = 12) -> list[dict[str, Any]]:
    """Rows of all ``COLUMNS``; their geometry is the rectangle of their box."""
    found: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, max_size))):
        box = draw(_boxes())
        found.append(
            {
                "city": CITY,
                "id": f"b{number}",
                "bbox": box,
                "geometry_lod0": None if box is None else shapely.to_wkb(shapely.box(*box.values()), flavor="iso"),
                "function": draw(st.none() | _WORDS),
                "height": draw(st.none() | _HEIGHTS),
                "year_built": draw(st.none() | _YEARS),
                "floor_area": draw(st.none() | _AREAS),
                "valid_from": draw(st.none() | _TIMES),
            }
        )
    return found
