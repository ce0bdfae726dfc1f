"""One chunk of rows as an Arrow table in the common vocabulary, all columns of the collection, in its order.

What the source lacks is derived here: height from z, areas from the footprint, volume from closed solids; a ``_method``
column says so. LoD0 is made valid before it is stored, so that no area predicate ever meets an invalid polygon.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cimfed.model.names import CityName
from cimfed.model.schema import BOX, arrow_type
from cimfed.model.schema import field as arrow_field
from cimfed.model.vocabulary import Collection, Property, Type
from cimfed_node.ingest import antimeridian
from cimfed_node.ingest.arrays import Bools, Column, Floats, Geometries, Ints, Keys, column, missing, nulls, taken
from cimfed_node.ingest.footprint import GROUND, PROJECTION, areal
from cimfed_node.ingest.georef import Georeference
from cimfed_node.ingest.hilbert import hilbert_keys
from cimfed_node.ingest.shapes import LEVELS, Shapes

PLACED_WRONGLY = "coordinates outside of the area that the CRS is used in"


@dataclass
class Derived:
    """Counts over all chunks."""

    derived: Counter[str] = field(default_factory=Counter)
    nulls: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, set[str]] = field(default_factory=dict)  # geometry column -> GeoParquet types
    repaired: int = 0
    cut: int = 0  # on the antimeridian


@dataclass(frozen=True)
class Placed:
    """LoD0 in OGC:CRS84: valid, exteriors counter-clockwise. ``areas`` in m2, NaN where it is no area."""

    geometries: Geometries
    areas: Floats
    bounds: Floats


def repair(geometries: Geometries) -> tuple[Geometries, Bools]:
    """Geometries made valid where they are not, and which were; None where nothing of an area is left."""
    invalid: Bools = np.asarray(~missing(geometries) & ~shapely.is_valid(geometries))
    if not invalid.any():
        return geometries, invalid
    mended = geometries.copy()
    dimension = shapely.get_dimensions(geometries)
    for place in np.flatnonzero(invalid).tolist():
        whole = shapely.make_valid(geometries[place], method="structure", keep_collapsed=False)
        mended[place] = areal(whole) if dimension[place] == 2 else None
    return mended, invalid


def place(shapes: Shapes, reference: Georeference, counts: Derived) -> Placed:
    """Move LoD0 to OGC:CRS84; what cannot be moved or has nothing left becomes a bad row of ``shapes``."""
    geometries = shapes.lod0
    coordinates, owner = shapely.get_coordinates(geometries, return_index=True)
    finite: Bools = np.asarray(np.isfinite(coordinates).all(axis=1))
    points = np.where(finite[:, None], coordinates, 0.0)
    lonlat = reference.forward(points)
    wrong = ~finite | reference.misplaced(points, lonlat)
    for row in np.unique(owner[wrong]).tolist():
        shapes.bad[row] = PLACED_WRONGLY
        geometries[row] = None
    if wrong.any():
        kept = ~np.isin(owner, owner[wrong])
        lonlat = lonlat[kept]
    if not reference.source.projected:
        geometries = antimeridian.unrolled(geometries)
    mended, first = repair(geometries)
    areal_rows = shapely.get_dimensions(mended) == 2
    areas = np.full(len(mended), np.nan)
    if areal_rows.any():
        areas[areal_rows] = reference.areas(mended[areal_rows])
    if first.any():
        lonlat = reference.forward(shapely.get_coordinates(mended))
    moved = shapely.set_coordinates(shapely.force_2d(mended), lonlat)
    moved, second = repair(antimeridian.unrolled(moved))
    moved, cut = antimeridian.cut(moved)
    counts.cut += cut
    lost = (first | second) & missing(moved)
    for row in np.flatnonzero(lost).tolist():
        shapes.bad[row] = "a geometry of which nothing is left once it is made valid"
    counts.repaired += int((first | second).sum() - lost.sum())
    moved = shapely.orient_polygons(moved)
    return Placed(moved, areas, shapely.bounds(moved))


def decimals(values: Ints, absent: Bools, prop: Property) -> Column:
    """Scaled integers as DECIMAL(18, scale): 16 bytes little endian, the upper half being the sign."""
    words = np.empty((len(values), 2), np.int64)
    words[:, 0] = np.where(absent, 0, values)
    words[:, 1] = words[:, 0] >> 63
    return column(arrow_type(prop), len(values), ~absent, words)


def rounded(values: Floats, scale: int) -> Ints:
    """Half to even at a scale. What is measured comes as sums of rounded decimals: noise below 1e-6 units is taken off
    first, so that a tie is one."""
    with np.errstate(invalid="ignore"):
        whole = np.rint(np.round(values * 10.0**scale, 6))
        return np.where(np.abs(whole) < 1e18, whole, 0).astype(np.int64)


class TableBuilder:
    """Makes tables of one collection of one city, and counts."""

    def __init__(self, city: CityName, collection: Collection) -> None:
        self.city = city
        self.collection = collection
        self.schema = pa.schema([arrow_field(prop) for prop in collection.properties.values()])
        self.counts = Derived()

    def build(
        self,
        ids: list[str],
        values: list[dict[str, Any]],
        ext: list[str | None],
        shapes: Shapes,
        reference: Georeference,
        active: set[str],
    ) -> tuple[pa.Table, Keys, Ints]:
        """The good rows in Hilbert order, with their keys and their numbers in the order given. Bad rows are those that
        ``shapes.bad`` has afterwards. ``active``: properties that ``values`` may hold."""
        rows = len(ids)
        placed = place(shapes, reference, self.counts)
        for extreme in (shapes.zmin, shapes.zmax):
            for row in np.flatnonzero(np.abs(extreme) >= 1e9).tolist():
                shapes.bad[row] = "heights beyond any planet"
        measured = self._measured(shapes, placed)
        given: dict[str, Any] = {"id": ids, "ext": ext}
        columns = []
        for name, prop in self.collection.properties.items():
            cells: Column
            if name == "city":
                cells = pa.array([self.city] * rows, pa.string())
            elif name in given:
                cells = pa.array(given[name], pa.string())
            elif prop.type is Type.BOX:
                cells = _boxes(placed.bounds)
            elif name == "geometry_lod0":
                cells = _wkb(placed.geometries)
            elif prop.type is Type.GEOMETRY:
                cells = shapes.lods.get(int(name[-1]), nulls(rows, pa.binary()))
            else:
                cells = self._column(prop, values, measured, shapes, active)
            columns.append(cells)
        table = pa.Table.from_arrays(columns, schema=self.schema)
        keys = hilbert_keys(placed.bounds)
        good = np.ones(rows, np.bool_)
        good[list(shapes.bad)] = False
        order = np.flatnonzero(good)[np.argsort(keys[good], kind="stable")]
        table = taken(table, order)
        self._count(table, placed.geometries[order])
        return table, keys[order], order

    def _measured(self, shapes: Shapes, placed: Placed) -> dict[str, Floats]:
        """What geometry says, by property. Only what a ``_method`` column can tell from given values: a lawn that rises
        by a metre is not grass of that height."""
        height = shapes.zmax - shapes.zmin
        height[~(height > 0)] = np.nan
        volume = shapes.volume.copy()
        volume[~(volume > 0)] = np.nan
        derived = {"height": height, "volume": volume, "footprint_area": placed.areas}
        told = {name: values for name, values in derived.items() if f"{name}_method" in self.collection.properties}
        return {"zmin": shapes.zmin, "zmax": shapes.zmax, **told}

    def _column(
        self,
        prop: Property,
        values: list[dict[str, Any]],
        measured: dict[str, Floats],
        shapes: Shapes,
        active: set[str],
    ) -> Column:
        name, rows = prop.name, len(values)
        if name == "footprint_method":
            return pa.array(shapes.method, pa.string())
        subject = name.removesuffix("_method")
        if subject != name and subject in self.collection.properties:
            return self._method(prop, subject, values, measured, active)
        if prop.type is Type.DECIMAL:
            absent, scaled = np.ones(rows, np.bool_), np.zeros(rows, np.int64)
            if name in active:
                found = [row.get(name) for row in values]
                absent = np.array([value is None for value in found], np.bool_)
                scaled[~absent] = [value for value in found if value is not None]
            if name in measured:
                derived = absent & ~np.isnan(measured[name])
                scaled = np.where(derived, rounded(measured[name], prop.scale), scaled)
                absent &= ~derived
            return decimals(scaled, absent, prop)
        if name not in active:
            return nulls(rows, arrow_type(prop))
        if prop.type is Type.NAMES:
            names = [row.get(name) for row in values]
            return pa.array([sorted(n.items()) if n else None for n in names], arrow_type(prop))
        return pa.array([row.get(name) for row in values], arrow_type(prop))

    def _method(
        self,
        prop: Property,
        subject: str,
        values: list[dict[str, Any]],
        measured: dict[str, Floats],
        active: set[str],
    ) -> Column:
        """``height_method`` and its like: what the mapping says, else given (the first code) or derived."""
        method = np.full(len(values), None, object)
        if subject in measured:
            method[~np.isnan(measured[subject])] = "derived"
        if subject in active:
            method[[subject in row for row in values]] = prop.codes[0]
        if prop.name in active:
            told = [row.get(prop.name) for row in values]
            method = np.where([one is None for one in told], method, np.array(told, object))
        return pa.array(method, pa.string())

    def _count(self, table: pa.Table, footprints: Geometries) -> None:
        counts = self.counts
        for name in table.column_names:
            cells = table.column(name)
            counts.nulls[name] += cells.null_count
            if name.endswith("_method"):
                made: Column = pc.is_in(cells, value_set=pa.array(["derived", GROUND, PROJECTION]))
                counts.derived[name.removesuffix("_method")] += made.to_numpy().sum()
        kinds = counts.kinds.setdefault("geometry_lod0", set())
        kinds |= {KINDS[kind] for kind in np.unique(shapely.get_type_id(footprints)).tolist() if kind >= 0}
        for level in LEVELS:
            name = f"geometry_lod{level}"
            if table.column(name).null_count < table.num_rows:
                counts.kinds.setdefault(name, set()).add("MultiPolygon Z")


KINDS = {
    0: "Point",
    1: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
}


def _wkb(geometries: Geometries) -> Column:
    return pa.array(shapely.to_wkb(geometries, output_dimension=2, byte_order=1, flavor="iso"), pa.binary())


def _boxes(bounds: Floats) -> Column:
    absent: Bools = np.asarray(np.isnan(bounds).any(axis=1))
    corners = [pa.array(np.ascontiguousarray(bounds[:, i]), mask=absent) for i in range(4)]
    return pa.StructArray.from_arrays(corners, fields=list(BOX), mask=pa.array(absent))
