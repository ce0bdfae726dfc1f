"""Geometry of a relation as the vocabulary has it: LoD0 valid and in OGC:CRS84, finer levels as surfaces, heights.

The counterpart of ``ingest.shapes``, ``footprint`` and ``table.place``, layer by layer. What may make PostGIS raise is
tested before it is called: coordinates that are not finite, places that no projection has, geometries made of surfaces,
which GEOS does not know, collections of several kinds. Footprints of bodies are projections of all their surfaces;
semantics are not looked at, and volumes are not worked out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from cimfed_node.ingest.limits import LIMITS
from cimfed_node.ingest.table import PLACED_WRONGLY
from cimfed_node.inplace.fragments import NULL, Sql, all_of, any_of, coalesced, lit, measured, name, q
from cimfed_node.inplace.place import Place
from cimfed_node.inplace.relation import GeometryColumn

MIXED = "a GeometryCollection of points, lines or areas together"
NOTHING_LEFT = "a geometry of which nothing is left once it is made valid"
TOO_HIGH = "heights beyond any planet"
TOO_MANY = f"more than {LIMITS.vertices:,} vertices"
LEVELS = (1, 2, 3)

_MAKE_VALID = "ST_MakeValid({}, 'method=structure keepcollapsed=false')"
_SURFACES = "('POLYHEDRALSURFACE', 'TIN', 'TRIANGLE')"
_AREAL = q("ST_Dimension({}) = 2", name("flat"))


@dataclass(frozen=True)
class Shaping:
    """``main``: the column that gives LoD0; ``levels``: those that give the finer ones. ``derives``: properties that
    may be derived."""

    main: GeometryColumn | None
    levels: Mapping[int, GeometryColumn]
    place: Place
    derives: frozenset[str]

    def source(self) -> dict[str, Sql]:
        """The first layer's share: the geometries as they stand."""
        layer = {"g": _raw(self.main)}
        return layer | {f"l{level}": _raw(column) for level, column in self.levels.items()}

    def layers(self) -> list[dict[str, Sql]]:
        """Names that later layers and the result use: ``lod0`` to ``lod3``, ``zlow``, ``zhigh``, ``area``, ``method``,
        ``mended``, ``shape_bad``."""
        return [
            self._bodies(),
            self._footprints(),
            self._flat(),
            self._checked(),
            self._placed(),
            self._again(),
            {"sound_moved": q("CASE WHEN s.moved IS NOT NULL THEN ST_IsValid(s.moved) END")},
            self._last(),
            self._final(),
        ]

    def _bodies(self) -> dict[str, Sql]:
        """``s1`` to ``s3``: the surfaces of each level as MultiPolygon Z, not yet moved. ``gs``: those of the main
        column's own bodies."""
        layer: dict[str, Sql] = {"gt": sql.SQL("GeometryType(s.g)")}
        layer["gs"] = q(
            "CASE WHEN GeometryType(s.g) IN " + _SURFACES + " AND {} THEN {} END",
            _finite(name("g")),
            _polygons(name("g")),
        )
        for level in self.levels:
            column = name(f"l{level}")
            layer[f"lf{level}"] = q("{} IS NULL OR {}", column, _finite(column))
            layer[f"s{level}"] = q(
                "CASE WHEN ST_NDims({0}) >= 3 AND NOT ST_IsEmpty({0}) AND {1} THEN {2} END",
                *(column, _finite(column), _polygons(column)),
            )
        return layer

    def _footprints(self) -> dict[str, Sql]:
        """``under``: the projection of the finest surfaces, where the main column gives no area, line or point."""
        finest = coalesced([*(name(f"s{level}") for level in sorted(self.levels, reverse=True))], "geometry")
        body = coalesced([name("gs"), finest], "geometry")
        needed = q("(s.g IS NULL OR ST_IsEmpty(s.g) OR s.gt IN " + _SURFACES + ")")
        return {"finest": finest, "under": q("CASE WHEN {} THEN {} END", needed, _projection(body, self.place.grid))}

    def _flat(self) -> dict[str, Sql]:
        """``flat``: the geometry in the plane that LoD0 is made of. ``kinds``: how many kinds a collection holds."""
        members = (
            "FROM (SELECT CASE GeometryType(d.geom) WHEN 'TRIANGLE' THEN ST_MakePolygon(ST_ExteriorRing(d.geom))"
            " ELSE d.geom END AS geom"
            " FROM ST_Dump(CASE WHEN ST_HasArc(s.g) THEN ST_CurveToLine(s.g) ELSE s.g END) AS d) AS m"
            " WHERE NOT ST_IsEmpty(m.geom)"
        )
        finite = _finite(name("g"))
        return {
            "kinds": q(
                "CASE WHEN s.gt = 'GEOMETRYCOLLECTION' AND {} THEN"
                " (SELECT count(DISTINCT ST_Dimension(m.geom)) " + members + ") ELSE 1 END",
                finite,
            ),
            "flat": q(
                "CASE WHEN s.g IS NULL OR ST_IsEmpty(s.g) OR s.gt IN " + _SURFACES + " THEN s.under"
                " WHEN s.gt = 'GEOMETRYCOLLECTION' THEN CASE WHEN {0} THEN (SELECT CASE count(*) WHEN 1 THEN"
                " ST_GeometryN(ST_Collect(ST_Force2D(m.geom)), 1) ELSE ST_Collect(ST_Force2D(m.geom)) END "
                + members
                + ") END"
                " WHEN ST_HasArc(s.g) THEN CASE WHEN {0} THEN ST_CurveToLine(ST_Force2D(s.g)) END"
                " ELSE ST_Force2D(s.g) END",
                finite,
            ),
            "whole": q(
                "(s.g IS NULL OR (CASE WHEN s.gt = 'GEOMETRYCOLLECTION' OR s.gt IN " + _SURFACES + " OR ST_HasArc(s.g)"
                " THEN {} ELSE true END))",
                finite,
            ),
        }

    def _checked(self) -> dict[str, Sql]:
        """``sound``: valid as it is; ``inside``: where the CRS is used, roughly. GEOS calls invalid what is not
        finite."""
        flat = name("flat")
        return {
            "sound": q("CASE WHEN s.kinds > 1 THEN false ELSE COALESCE(ST_IsValid({}), true) END", flat),
            "inside": q("s.whole AND COALESCE({}, true)", _within(flat, self.place.source_box)),
        }

    def _placed(self) -> dict[str, Sql]:
        """``mid``: ``flat`` made valid, in source coordinates; null where it cannot stand."""
        flat = name("flat")
        good = q(
            "CASE WHEN {0} IS NOT NULL AND s.kinds <= 1 AND s.inside THEN CASE WHEN s.sound THEN {0}"
            " WHEN {1} AND {2} THEN {3} END END",
            *(flat, _finite(flat), _AREAL, _mended(flat)),
        )
        return {"mid": good}

    def _again(self) -> dict[str, Sql]:
        """``moved``: in OGC:CRS84; the finer levels too."""
        layer: dict[str, Sql] = {
            "moved": self.place.moved(name("mid")),
            "metres2": self.place.area(name("mid")) if "footprint_area" in self.derives else NULL,
        }
        for level in self.levels:
            column = name(f"s{level}")
            layer[f"i{level}"] = q(
                "s.lf{} AND COALESCE({}, true)", sql.SQL(str(level)), _within(column, self.place.source_box)
            )
            layer[f"t{level}z"] = q(
                "CASE WHEN COALESCE({}, true) THEN {} END",
                _within(column, self.place.source_box),
                self.place.moved(column),
            )
        return layer

    def _last(self) -> dict[str, Sql]:
        """``last``: ``moved`` made valid."""
        moved = name("moved")
        last = q("CASE WHEN s.sound_moved THEN {0} WHEN {1} THEN {2} END", moved, _AREAL, _mended(moved))
        return {"last": last, "zlow": q("ST_ZMin(s.finest)"), "zhigh": q("ST_ZMax(s.finest)")}

    def _final(self) -> dict[str, Sql]:
        moved = name("moved")
        last, low, high = name("last"), name("zlow"), name("zhigh")
        placed: list[Sql] = [q("s.inside"), q("COALESCE({}, true)", self._in_area(moved))]
        for level in self.levels:
            placed += [name(f"i{level}"), q("COALESCE({}, true)", self._in_area(name(f"t{level}z")))]
        bad = [
            q("CASE WHEN ST_NPoints(s.g) > {} THEN {} END", lit(LIMITS.vertices), lit(TOO_MANY)),
            q("CASE WHEN s.kinds > 1 THEN {} END", lit(MIXED)),
            q("CASE WHEN NOT {} THEN {} END", all_of(placed), lit(PLACED_WRONGLY)),
            q("CASE WHEN s.flat IS NOT NULL AND {} IS NULL THEN {} END", last, lit(NOTHING_LEFT)),
            q("CASE WHEN abs({}) >= 1e9 OR abs({}) >= 1e9 THEN {} END", low, high, lit(TOO_HIGH)),
        ]
        layer: dict[str, Sql] = {
            "lod0": q("ST_SetSRID(ST_ForcePolygonCCW({}), 4326)", last),
            "mended": q("s.flat IS NOT NULL AND NOT (s.sound AND COALESCE(s.sound_moved, true))"),
            "area": q("CASE WHEN {} THEN s.metres2 END", _AREAL),
            "method": q(
                "CASE WHEN {} THEN CASE WHEN s.under IS NOT NULL THEN 'projection' ELSE 'given' END END", _AREAL
            ),
            "shape_bad": coalesced(bad, "text"),
        }
        for level in LEVELS:
            had = q("ST_SetSRID({}, 4326)", name(f"t{level}z")) if level in self.levels else q("NULL::geometry")
            layer[f"lod{level}"] = had
        return layer

    def _in_area(self, geometry: Sql) -> Sql:
        west, south, east, north = self.place.area_box
        if west <= east:
            return _within(geometry, self.place.area_box)
        return q(
            "({} AND {})",
            _within(geometry, (-180.0, south, 180.0, north)),
            any_of([q("ST_XMin({}) >= {}", geometry, lit(west)), q("ST_XMax({}) <= {}", geometry, lit(east))]),
        )

    def derived(self, prop: str, scale: int) -> Sql | None:
        """What geometry says of a property; null in a row where it says nothing."""
        if prop in ("zmin", "zmax"):
            return measured(name("zlow" if prop == "zmin" else "zhigh"), scale) if self.bodies else None
        if prop not in self.derives:
            return None
        if prop == "height":
            height = q("CASE WHEN s.zhigh > s.zlow THEN s.zhigh - s.zlow END")
            return measured(height, scale) if self.bodies else None
        return measured(name("area"), scale) if prop == "footprint_area" else None

    @property
    def bodies(self) -> bool:
        return bool(self.levels)


def _raw(column: GeometryColumn | None) -> Sql:
    if column is None:
        return q("NULL::geometry")
    return q("s.{}::geometry", name(column.name))


def _finite(geometry: Sql) -> Sql:
    """Neither NaN nor infinity anywhere; for geometries that GEOS has not looked at."""
    return q("ST_AsText({}) !~* 'nan|inf'", geometry)


def _mended(geometry: Sql) -> Sql:
    """The areas in a geometry made valid; null where there are none."""
    return q(
        "(SELECT CASE WHEN NOT ST_IsEmpty(a.areas) THEN CASE WHEN ST_NumGeometries(a.areas) = 1 THEN"
        " ST_GeometryN(a.areas, 1) ELSE a.areas END END"
        " FROM (SELECT ST_CollectionExtract(" + _MAKE_VALID + ", 3) AS areas OFFSET 0) AS a)",
        geometry,
    )


def _polygons(geometry: Sql) -> Sql:
    """All surfaces as one MultiPolygon Z."""
    return q(
        "(SELECT ST_Multi(ST_Collect(ST_Force3DZ(CASE GeometryType(d.geom) WHEN 'TRIANGLE' THEN"
        " ST_MakePolygon(ST_ExteriorRing(d.geom)) ELSE d.geom END))) FROM ST_Dump({}) AS d"
        " WHERE GeometryType(d.geom) IN ('POLYGON', 'TRIANGLE') AND NOT ST_IsEmpty(d.geom))",
        geometry,
    )


def _projection(surfaces: Sql, grid: float) -> Sql:
    """What surfaces cover in the plane, on a grid that leaves no slivers."""
    return q(
        "(SELECT ST_CollectionExtract(ST_UnaryUnion(ST_Collect(f.geom), {}), 3) FROM (SELECT "
        + _MAKE_VALID
        + " AS geom FROM ST_Dump({}) AS d) AS f WHERE ST_Area(f.geom) > 0)",
        lit(grid),
        sql.SQL("ST_Force2D(d.geom)"),
        surfaces,
    )


def _within(geometry: Sql, box: tuple[float, float, float, float]) -> Sql:
    """Whether all of a geometry stands in a box; NaN, which is above all numbers there, does not. Null where there is
    no geometry."""
    west, south, east, north = box
    return q(
        "(ST_XMin({0}) >= {1} AND ST_YMin({0}) >= {2} AND ST_XMax({0}) <= {3} AND ST_YMax({0}) <= {4})",
        *(geometry, lit(west), lit(south), lit(east), lit(north)),
    )
