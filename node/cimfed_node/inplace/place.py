"""Where a relation's coordinates are: one operation of PROJ, pinned as for files, and proof that PostGIS does the same.

``ST_Transform`` chooses an operation by itself, point by point, from its own copy of PROJ. So what it gives for a grid
over the relation's extent and for points of its rows is compared with the pinned operation; more than ``TOLERANCE_M``
apart and the relation is refused. Nothing is assumed: the largest difference is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyproj

from cimfed.errors import BadFile
from cimfed.model.names import CityName
from cimfed_node.ingest.arrays import Floats
from cimfed_node.ingest.crs import CRS84, FORMS, WORLD, Area, SourceCrs, parse_crs
from cimfed_node.ingest.georef import MARGIN, Georeference, georeference
from cimfed_node.inplace.fragments import Sql, joined, lit, name, q
from cimfed_node.inplace.relation import GeometryColumn, Relation
from cimfed_node.inplace.session import Session

TOLERANCE_M = 0.01
SAMPLES = 10_000  # rows that the operation is chosen by before the extent is known
CHECKED = 1_000  # rows of which a point is measured
_GRID = 20  # points along each side of the extent
_HEIGHT = 50.0  # metres that must come out as they went in
_LONLAT = (CRS84, "EPSG:4326", "EPSG:4979")
WGS84 = 4326  # PostGIS puts longitude first
_EQUAL_AREA = 6933


@dataclass(frozen=True)
class Place:
    """``srid``: of the horizontal CRS. ``source_box``: source coordinates that may be asked for a place at all;
    ``area_box``: degrees that the data may stand in. ``difference_m``: the largest one measured between PostGIS and
    the pinned operation.
    """

    reference: Georeference
    srid: int
    source_box: Area
    area_box: Area
    difference_m: float = 0.0
    notes: tuple[str, ...] = field(default=())

    @property
    def grid(self) -> float:
        return self.reference.grid

    @property
    def identity(self) -> bool:
        return self.reference.source.name in _LONLAT

    def moved(self, geometry: Sql) -> Sql:
        if self.identity:
            return geometry
        return q("ST_Transform(ST_SetSRID({}, {}), {})", geometry, lit(self.srid), lit(WGS84))

    def area(self, geometry: Sql) -> Sql:
        """Square metres: planar in a projected CRS, else by an equal-area projection."""
        source = self.reference.source
        if source.projected:
            return q("ST_Area({}) * {}::double precision", geometry, lit(source.unit**2))
        return q("ST_Area(ST_Transform(ST_SetSRID({}, {}), {}))", geometry, lit(WGS84), lit(_EQUAL_AREA))


def _srid(session: Session, source: SourceCrs, told: int) -> int:
    """The horizontal part in PostGIS's own table; only of what stands there does it keep an operation from row to
    row."""
    assert source.horizontal is not None
    authority = source.horizontal.to_authority(min_confidence=100) or ("", "0")
    code = int(authority[1]) if authority[1].isdigit() else 0
    rows = session.rows(
        q(
            "SELECT srid FROM spatial_ref_sys WHERE upper(auth_name) = {} AND auth_srid = {} ORDER BY srid LIMIT 1",
            lit(authority[0].upper()),
            lit(code),
        ),
        "spatial_ref_sys",
    )
    if rows or told:
        return int(rows[0][0]) if rows else told
    raise BadFile(
        f"PostGIS does not know {source.name}",
        place="spatial_ref_sys",
        remedy="Insert it there, or export the table and import the file",
    )


def source_crs(
    session: Session, relation: Relation, columns: list[GeometryColumn], named: str | None
) -> tuple[SourceCrs, int, tuple[str, ...]]:
    """The CRS of the geometry columns: what was asked for, else what they say; its SRID; notes."""
    srids = sorted({srid for column in columns for srid in _srids(session, relation, column)})
    told = [parsed for srid in srids if srid and (parsed := _known(session, srid, named)) is not None]
    if named is None and (len(told) > 1 or (told and 0 in srids)):
        raise BadFile(
            f"its geometries have several SRIDs: {', '.join(map(str, srids))}",
            place=relation.name,
            remedy="Give a view of the rows of one SRID, or one that transforms them to one",
        )
    if named is None and not told and srids:
        raise BadFile("its geometry has SRID 0: no coordinate reference system", place=relation.name, remedy=FORMS)
    source = parse_crs(named, "--crs") if named else told[0] if told else parse_crs(CRS84, relation.name)
    if source.horizontal is None:
        raise BadFile(
            "GCJ-02 cannot be taken in place: PostGIS has no operation for it",
            place=relation.name,
            remedy="Export the table and import the file with --crs GCJ-02",
        )
    notes = [
        f"{relation.name} says {other.name}; {source.name} was used as --crs asks"
        for other in told
        if other.name != source.name
    ]
    return source, _srid(session, source, srids[0] if told and not named else 0), tuple(notes)


def _srids(session: Session, relation: Relation, column: GeometryColumn) -> set[int]:
    if column.srid:
        return {column.srid}
    found = session.rows(
        q(
            "SELECT DISTINCT ST_SRID({0}::geometry) FROM {1} AS s WHERE {0} IS NOT NULL LIMIT 10",
            name(column.name),
            relation.source,
        ),
        relation.name,
    )
    return {row[0] for row in found}


def _known(session: Session, srid: int, named: str | None) -> SourceCrs | None:
    rows = session.rows(
        q("SELECT auth_name, auth_srid, srtext FROM spatial_ref_sys WHERE srid = {}", lit(srid)), "spatial_ref_sys"
    )
    authority, code, text = rows[0] if rows else ("EPSG", srid, None)
    for form in (f"{authority}:{code}" if authority and code else None, text):
        if form:
            try:
                return parse_crs(form, "spatial_ref_sys")
            except BadFile:
                continue
    if named:
        return None
    raise BadFile(
        f"SRID {srid} is no coordinate reference system that PROJ knows", place="spatial_ref_sys", remedy=FORMS
    )


def settle(
    session: Session,
    relation: Relation,
    columns: list[GeometryColumn],
    source: SourceCrs,
    srid: int,
    city: CityName,
    wanted: str | None,
    notes: tuple[str, ...] = (),
) -> Place:
    """Choose the operation by where the rows are, and prove that PostGIS does the same."""
    country = city.split(".", 1)[0]
    sample = _corners(session, relation, columns, None, SAMPLES)
    reference = georeference(source, sample, country=country, wanted=wanted)
    place = _around(reference, srid)
    extent = _corners(session, relation, columns, place.source_box, None)
    if len(extent) and wanted is None:
        reference = georeference(source, _ends(extent), country=country)
        place = _around(reference, srid)
    difference = 0.0
    if not place.identity:
        points = _corners(session, relation, columns, place.source_box, CHECKED)
        difference = _measure(session, place, np.vstack((points, _lattice(extent))))
    return replace(place, difference_m=difference, notes=(*notes, *reference.operation.notes))


def _around(reference: Georeference, srid: int) -> Place:
    west, south, east, north = reference.source.area or WORLD
    area = (west - MARGIN, max(south - MARGIN, -90.0), east + MARGIN, min(north + MARGIN, 90.0))
    if west <= east:
        area = (max(area[0], -180.0), area[1], min(area[2], 180.0), area[3])
        lon = np.linspace(area[0], area[2], 50)
    else:
        lon = np.concatenate((np.linspace(area[0], 180.0, 50), np.linspace(-180.0, area[2], 50)))
    lat = np.linspace(area[1], area[3], 50)
    lattice = np.array([(x, y) for x in lon for y in lat])
    if reference.source.name in _LONLAT:
        return Place(reference, srid, area, area)
    back = reference.backward(lattice)
    back = back[np.isfinite(back).all(axis=1)]
    (x1, y1), (x2, y2) = back.min(axis=0), back.max(axis=0)
    return Place(reference, srid, (float(x1), float(y1), float(x2), float(y2)), area)


def _corners(
    session: Session, relation: Relation, columns: list[GeometryColumn], box: Area | None, limit: int | None
) -> Floats:
    """Corners of the bounding boxes of some rows, or of all of them together; of finite ones, inside of a box."""
    found: list[Floats] = []
    for column in columns:
        west, south, east, north = box or (-1e12, -1e12, 1e12, 1e12)
        corners = q(
            "SELECT ST_XMin(g) AS a, ST_YMin(g) AS b, ST_XMax(g) AS c, ST_YMax(g) AS d"
            " FROM (SELECT {}::geometry AS g FROM {} AS s) AS r",
            name(column.name),
            relation.source,
        )
        kept = q(
            "SELECT a, b, c, d FROM ({}) AS r WHERE a >= {} AND b >= {} AND c <= {} AND d <= {}",
            *(corners, lit(west), lit(south), lit(east), lit(north)),
        )
        if limit is not None:
            query = q("{} LIMIT {}", kept, lit(limit))
        else:
            query = q("SELECT min(a), min(b), max(c), max(d) FROM ({}) AS r HAVING count(*) > 0", kept)
        rows = np.array(session.rows(query, relation.name), np.float64).reshape(-1, 4)
        found += [rows[:, :2], rows[:, 2:]]
    return np.vstack(found) if found else np.empty((0, 2))


def _ends(points: Floats) -> Floats:
    (a, b), (c, d) = points.min(axis=0), points.max(axis=0)
    return np.array([[a, b], [a, d], [c, b], [c, d]])


def _lattice(points: Floats) -> Floats:
    if not len(points):
        return np.empty((0, 2))
    (a, b), (c, d) = points.min(axis=0), points.max(axis=0)
    x, y = np.meshgrid(np.linspace(a, c, _GRID), np.linspace(b, d, _GRID))
    return np.column_stack((x.ravel(), y.ravel()))


def _measure(session: Session, place: Place, points: Floats) -> float:
    """The largest difference in metres between PostGIS and the pinned operation."""
    if not len(points):
        return 0.0
    source = place.reference.source
    triples = q(
        "SELECT ST_X(g), ST_Y(g), ST_Z(g) FROM (SELECT {} AS g FROM (SELECT ST_MakePoint(x, y, {}) AS p"
        " FROM unnest({}::double precision[], {}::double precision[]) WITH ORDINALITY AS u(x, y, n) ORDER BY n"
        " OFFSET 0) AS r) AS m",
        place.moved(name("p")),
        lit(_HEIGHT),
        q("ARRAY[{}]", joined([lit(float(x)) for x in points[:, 0]])),
        q("ARRAY[{}]", joined([lit(float(y)) for y in points[:, 1]])),
    )
    theirs = np.array(session.rows(triples, source.name), np.float64).reshape(-1, 3)
    ours = place.reference.forward(points)
    both = np.isfinite(ours).all(axis=1)
    _, _, apart = pyproj.Geod(ellps="WGS84").inv(ours[both, 0], ours[both, 1], theirs[both, 0], theirs[both, 1])
    distance: Any = np.nan_to_num(np.abs(apart), nan=np.inf)
    worst = float(max(distance.max(initial=0.0), np.abs(theirs[both, 2] - _HEIGHT).max(initial=0.0)))
    if worst > TOLERANCE_M:
        raise BadFile(
            f"PostGIS moves its points by another operation than {place.reference.operation.name!r}: up to"
            f" {worst:.3f} m apart",
            place=source.name,
            remedy="Name the operation that PostGIS takes with --operation, or export the table and import the file",
        )
    return round(worst, 6)
