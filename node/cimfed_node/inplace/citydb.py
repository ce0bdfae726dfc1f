"""A schema of 3DCityDB version 5 as a relation: one row for each feature of a collection's classes.

There every attribute is a row of ``property``: its name, its parent where it is part of another one, and its value in
the ``val_*`` column of its type. The subselect pivots them into the columns that the shipped mappings know, the first
value by the rows' own ids where there are several. What has no column of its own stays together in ``properties``, one
JSON object. Geometries are the most refined of each class of LoD, of the feature itself and of its parts; boundary
surfaces stand in where one of these has none of its own. Rooms and installations give it none. Only features that were
not terminated are taken; implicit geometries are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from cimfed.errors import BadFile
from cimfed_node.inplace.fragments import Sql, joined, lit, name, q
from cimfed_node.inplace.relation import Column, GeometryColumn, Kind, Relation, check_rows
from cimfed_node.inplace.session import Session

CLASSES: dict[str, tuple[str, ...]] = {
    "building": ("Building",),
    "building_part": ("BuildingPart",),
    "storey": ("Storey",),
    "room": ("BuildingRoom",),
    "transportation": ("Road", "Railway", "Square", "Waterway", "Track"),
    "land_use": ("LandUse",),
    "water_body": ("WaterBody",),
    "vegetation": ("PlantCover", "SolitaryVegetationObject"),
    "city_furniture": ("CityFurniture",),
    "bridge": ("Bridge",),
    "tunnel": ("Tunnel",),
    "relief": ("TINRelief",),
}
"""Collection -> class names of the schema's ``objectclass``."""

_TABLES = ("feature", "property", "geometry_data", "objectclass")
_CONTAINS = 1  # val_relation_type of what is part of a feature
_DEPTH = 8  # generations: building, part, room, surface, opening ...


@dataclass(frozen=True)
class _Attribute:
    """``value``: the column of ``property`` that holds it; ``nested``: the part of the attribute that has the value."""

    column: str
    attribute: str
    value: str
    kind: Kind
    nested: str = ""


_ATTRIBUTES = (
    _Attribute("function", "function", "val_string", Kind.TEXT),
    _Attribute("class", "class", "val_string", Kind.TEXT),
    _Attribute("usage", "usage", "val_string", Kind.TEXT),
    _Attribute("name", "name", "val_string", Kind.TEXT),
    _Attribute("height", "height", "val_double", Kind.FLOAT, nested="value"),
    _Attribute("storeysAboveGround", "storeysAboveGround", "val_int", Kind.INTEGER),
    _Attribute("storeysBelowGround", "storeysBelowGround", "val_int", Kind.INTEGER),
    _Attribute("yearOfConstruction", "dateOfConstruction", "val_timestamp", Kind.TIMESTAMPTZ),
    _Attribute("yearOfDemolition", "dateOfDemolition", "val_timestamp", Kind.TIMESTAMPTZ),
    _Attribute("roofType", "roofType", "val_string", Kind.TEXT),
    _Attribute("species", "species", "val_string", Kind.TEXT),
    _Attribute("averageHeight", "averageHeight", "val_double", Kind.FLOAT),
    _Attribute("trunkDiameter", "trunkDiameter", "val_double", Kind.FLOAT),
    _Attribute("crownDiameter", "crownDiameter", "val_double", Kind.FLOAT),
)
_TYPES = {Kind.TEXT: "text", Kind.FLOAT: "double precision", Kind.INTEGER: "bigint", Kind.TIMESTAMPTZ: "timestamptz"}


def citydb_relation(session: Session, schema: str, collection: str) -> Relation:
    """Raises BadFile where the schema is none of 3DCityDB version 5, or has no class for the collection."""
    shown = f"{schema}: {collection}"
    classes = CLASSES.get(collection)
    if classes is None:
        raise BadFile(
            f"3DCityDB has no class for the collection {collection}",
            place=schema,
            remedy=f"It has some for {', '.join(CLASSES)}",
        )
    found = session.rows(
        q(
            "SELECT c.relname, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),"
            " c.oid::bigint"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname = {} AND c.relname = ANY({}) AND c.relkind IN ('r', 'p', 'v', 'm')",
            lit(schema),
            lit(list(_TABLES)),
        ),
        shown,
    )
    missing = sorted(set(_TABLES) - {row[0] for row in found})
    if missing:
        raise BadFile(
            f"it is no schema of 3DCityDB version 5: there is no {', '.join(missing)}",
            place=schema,
            remedy="Name the schema (often citydb); version 4 is brought to 5 by citydb-tool",
        )
    if not all(row[1] for row in found):
        raise BadFile(
            "the role has no right to read it",
            place=schema,
            remedy=f"GRANT USAGE ON SCHEMA {schema} and SELECT ON ALL TABLES IN it TO the role",
        )
    for _, _, oid in found:
        check_rows(session, oid, shown)
    columns = [
        Column("objectid", Kind.TEXT, "text"),
        *(Column(a.column, a.kind, _TYPES[a.kind]) for a in _ATTRIBUTES),
        Column("valid_from", Kind.TIMESTAMPTZ, "timestamptz"),
        Column("valid_to", Kind.TIMESTAMPTZ, "timestamptz"),
        Column("building_id", Kind.TEXT, "text"),
        Column("storey_id", Kind.TEXT, "text"),
        Column("properties", Kind.JSON, "jsonb", document=True),
    ]
    geometries = [GeometryColumn("geometry_lod0"), *(GeometryColumn(f"geometry_lod{n}") for n in (1, 2, 3))]
    return Relation(shown, _source(schema, classes), tuple(columns), tuple(geometries), ("objectid",))


def _source(schema: str, classes: tuple[str, ...]) -> Sql:
    """Features joined with their pivoted properties and their geometries, each made by one grouping."""
    tables = {table: name(schema, table) for table in _TABLES}
    pivots = [_pivot(attribute) for attribute in _ATTRIBUTES]
    known = sorted({a.attribute for a in _ATTRIBUTES if not a.nested})
    rest = q(
        "jsonb_object_agg(p.name, {0} ORDER BY p.id DESC) FILTER (WHERE p.parent_id IS NULL AND {0} IS NOT NULL"
        " AND p.name IS NOT NULL AND NOT p.name = ANY({1}))",
        q(
            "COALESCE(to_jsonb(p.val_int), to_jsonb(p.val_double), to_jsonb(p.val_string),"
            " to_jsonb(p.val_timestamp AT TIME ZONE 'UTC'), to_jsonb(p.val_uri))"
        ),
        lit(known),
    )
    levels = joined([_level(level) for level in range(4)])
    return q(
        "(WITH RECURSIVE chosen AS MATERIALIZED (SELECT f.* FROM {feature} AS f JOIN {objectclass} AS o"
        " ON o.id = f.objectclass_id WHERE o.classname = ANY({classes}) AND f.termination_date IS NULL),"
        " family(root, member, id, surface, depth) AS (SELECT c.id, c.id, c.id, false, 0 FROM chosen AS c UNION"
        " SELECT y.root, CASE WHEN o.classname LIKE '%Surface' THEN y.member ELSE f.id END, f.id,"
        " o.classname LIKE '%Surface', y.depth + 1 FROM family AS y"
        " JOIN {property} AS p ON p.feature_id = y.id AND p.val_relation_type = {contains}"
        " JOIN {feature} AS f ON f.id = p.val_feature_id AND f.termination_date IS NULL"
        " JOIN {objectclass} AS o ON o.id = f.objectclass_id WHERE y.depth < {deepest}"
        " AND (o.classname LIKE '%Surface' OR (o.classname LIKE '%Part' AND NOT y.surface))),"
        " pivoted AS (SELECT p.feature_id, {pivots}, {rest} AS properties FROM {property} AS p"
        " LEFT JOIN {property} AS u ON u.id = p.parent_id WHERE p.feature_id IN (SELECT c.id FROM chosen AS c)"
        " GROUP BY p.feature_id),"
        " graded AS (SELECT y.root, left(p.val_lod, 1) AS class, rank() OVER (PARTITION BY y.root, y.member,"
        ' left(p.val_lod, 1) ORDER BY y.surface, p.val_lod COLLATE "C" DESC) AS place, y.depth, p.id AS told, g.id,'
        " g.geometry FROM family AS y JOIN {property} AS p ON p.feature_id = y.id AND p.val_lod ~ '^[0-3]'"
        " JOIN {geometry_data} AS g ON g.id = p.val_geometry_id AND g.geometry IS NOT NULL),"
        " shaped AS (SELECT root, {levels} FROM (SELECT DISTINCT ON (root, class, id) * FROM graded WHERE place = 1)"
        " AS g GROUP BY root),"
        " above AS (SELECT p.val_feature_id AS id, min(f.objectid) FILTER (WHERE o.classname LIKE 'Building%')"
        " AS building_id, min(f.objectid) FILTER (WHERE o.classname = 'Storey') AS storey_id FROM {property} AS p"
        " JOIN {feature} AS f ON f.id = p.feature_id JOIN {objectclass} AS o ON o.id = f.objectclass_id"
        " WHERE p.val_feature_id IS NOT NULL GROUP BY p.val_feature_id)"
        " SELECT c.objectid, {columns}, c.valid_from, c.valid_to, a.building_id, a.storey_id, v.properties,"
        " {geometries} FROM chosen AS c LEFT JOIN pivoted AS v ON v.feature_id = c.id"
        " LEFT JOIN shaped AS h ON h.root = c.id LEFT JOIN above AS a ON a.id = c.id)",
        **tables,
        classes=lit(list(classes)),
        contains=lit(_CONTAINS),
        deepest=lit(_DEPTH),
        pivots=joined(pivots),
        rest=rest,
        levels=levels,
        columns=joined([q("v.{}", name(a.column)) for a in _ATTRIBUTES]),
        geometries=joined([name("h", f"geometry_lod{level}") for level in range(4)]),
    )


def _pivot(attribute: _Attribute) -> Sql:
    """The first value by id: of the attribute, or of the named part of it."""
    if attribute.nested:
        where = q(
            "((u.name = {0} AND u.parent_id IS NULL AND p.name = {1}) OR (p.parent_id IS NULL AND p.name = {0}))",
            lit(attribute.attribute),
            lit(attribute.nested),
        )
    else:
        where = q("(p.parent_id IS NULL AND p.name = {})", lit(attribute.attribute))
    return q(
        "(array_agg(p.{0} ORDER BY p.id) FILTER (WHERE {1} AND p.{0} IS NOT NULL))[1] AS {2}",
        name(attribute.value),
        where,
        name(attribute.column),
    )


def _level(level: int) -> Sql:
    """All geometries of a class of LoD as one; a single one as it stands."""
    own = q("g.class = {}", lit(str(level)))
    return q(
        "CASE count(*) FILTER (WHERE {0}) WHEN 0 THEN NULL WHEN 1 THEN (array_agg(g.geometry) FILTER (WHERE {0}))[1]"
        " ELSE ST_Collect(g.geometry ORDER BY g.depth, g.told) FILTER (WHERE {0}) END AS {1}",
        own,
        name(f"geometry_lod{level}"),
    )
