"""One SELECT that gives a relation's rows in the columns of the common vocabulary.

The layout: one column for each property of the collection, in its order and under its name, but for two: ``name`` is
``name_languages`` and ``name_texts``, two text[] sorted by language, and ``bbox`` is four doubles in degrees
(``CORNERS``). Decimals are numeric(18, scale), times timestamptz, ``ext`` text of JSON, geometries PostGIS geometry of
SRID 4326 with longitude first. Bad rows are never in it: the statement's own condition leaves them out.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from cimfed.model.names import CityName
from cimfed.model.vocabulary import Collection, Property, Type
from cimfed_node.ingest.mapping import Mapping as MappingDocument
from cimfed_node.inplace.cells import Cell, document
from cimfed_node.inplace.claims import Claim, Codes, by_key, constant, layers, stays
from cimfed_node.inplace.fragments import NULL, Sql, coalesced, joined, lit, name, nest, q
from cimfed_node.inplace.relation import Kind, Relation
from cimfed_node.inplace.shapes import Shaping

_TYPES = {
    Type.TEXT: "text",
    Type.CODE: "text",
    Type.JSON: "text",
    Type.INTEGER: "bigint",
    Type.TIME: "timestamptz",
    Type.GEOMETRY: "geometry",
}
_ID = 1024  # characters of an id
NO_ID = "no id"
CORNERS = ("bbox_xmin", "bbox_ymin", "bbox_xmax", "bbox_ymax")
"""Of the bounding box: PostgreSQL keeps ``xmin`` and ``xmax`` for itself."""

_BY_IMPORT = frozenset({"city", "id", "ext", "footprint_method"})


@dataclass(frozen=True)
class Statement:
    """``texts``: the relation with the texts of its cells. ``rows``: everything, with ``row_id`` and ``row_bad`` (why a
    row is bad, null where it is good). ``select``: the good rows in the vocabulary's columns."""

    texts: Sql
    rows: Sql
    select: Sql
    claims: tuple[Claim, ...]
    cells: tuple[Cell, ...]


def names_columns(group: list[tuple[str, Sql]]) -> dict[str, Sql]:
    """The columns that hold a map of languages to texts: two arrays of one length, null where there is no name."""
    if not group:
        return {"name_languages": q("NULL::text[]"), "name_texts": q("NULL::text[]")}
    languages = joined([q("CASE WHEN {} IS NOT NULL THEN {}::text END", text, lit(tag)) for tag, text in group])
    texts = joined([text for _, text in group])
    return {
        "name_languages": q("NULLIF(array_remove(ARRAY[{}]::text[], NULL), '{{}}'::text[])", languages),
        "name_texts": q("NULLIF(array_remove(ARRAY[{}]::text[], NULL), '{{}}'::text[])", texts),
    }


def columns_of(collection: Collection) -> list[str]:
    """The names of the statement's columns, in order."""
    found: list[str] = []
    for prop in collection.properties.values():
        if prop.type is Type.NAMES:
            found += names_columns([])
        elif prop.type is Type.BOX:
            found += CORNERS
        else:
            found.append(prop.name)
    return found


def cells_of(relation: Relation) -> dict[str, Cell]:
    """All columns that are attributes, by name."""
    usable = [column for column in relation.columns if column.kind is not Kind.BINARY]
    return {column.name: Cell(column, number) for number, column in enumerate(usable)}


def first_layers(cells: dict[str, Cell], shaping: Shaping | None) -> list[dict[str, Sql]]:
    """Values and geometries as they stand, then texts."""
    values: dict[str, Sql] = {f"x{cell.number}": cell.value() for cell in cells.values()}
    if shaping is not None:
        values |= shaping.source()
    texts: dict[str, Sql] = {}
    for cell in cells.values():
        texts |= cell.texts()
    return [values, texts]


def statement(
    city: CityName,
    collection: Collection,
    mapping: MappingDocument,
    relation: Relation,
    id_column: str,
    claims: list[Claim],
    codes: Codes,
    shaping: Shaping,
) -> Statement:
    cells = cells_of(relation)
    upper = [*first_layers(cells, shaping), *layers(claims, codes), *shaping.layers()]
    upper.append(_results(city, collection, mapping, cells, id_column, claims, shaping))
    rows = nest(relation.source, *upper)
    chosen = joined([q("s.{}", name(column)) for column in columns_of(collection)])
    select = q("SELECT {} FROM {} AS s WHERE s.row_bad IS NULL", chosen, rows)
    return Statement(
        nest(relation.source, *first_layers(cells, None)), rows, select, tuple(claims), tuple(cells.values())
    )


def _results(
    city: CityName,
    collection: Collection,
    mapping: MappingDocument,
    cells: dict[str, Cell],
    id_column: str,
    claims: list[Claim],
    shaping: Shaping,
) -> dict[str, Sql]:
    groups = by_key(claims)
    id_text = cells[id_column].t
    no_id = q("CASE WHEN {0} IS NULL OR char_length({0}) > {1} THEN {2} END", id_text, lit(_ID), lit(NO_ID))
    layer: dict[str, Sql] = {
        "row_id": id_text,
        "row_bad": q("COALESCE({}, s.attributes_bad, s.shape_bad)", no_id),
        "row_mended": name("mended"),
    }
    own: dict[str, Sql] = {}
    for prop in collection.properties.values():
        rule = mapping.rules.get(prop.name)
        group = groups.get((prop.name, ""), [])
        if rule is not None and rule.constant is not None:
            own[prop.name] = constant(prop, rule.constant)
        elif group:
            own[prop.name] = coalesced([claim.v for claim in group], _type(prop))
    for prop in collection.properties.values():
        if prop.type is Type.NAMES:
            tags = sorted(language for owner, language in groups if owner == prop.name)
            layer |= names_columns([(tag, coalesced([c.v for c in groups[prop.name, tag]], "text")) for tag in tags])
        elif prop.type is Type.BOX:
            corners = ("ST_XMin", "ST_YMin", "ST_XMax", "ST_YMax")
            layer |= {
                corner: q(f"{call}(s.lod0)::double precision") for corner, call in zip(CORNERS, corners, strict=True)
            }
        else:
            value = _value(prop, city, collection, own, cells, id_column, claims, shaping)
            layer[prop.name] = q("({})::" + _type(prop), value)
    return layer


def _value(
    prop: Property,
    city: CityName,
    collection: Collection,
    own: dict[str, Sql],
    cells: dict[str, Cell],
    id_column: str,
    claims: list[Claim],
    shaping: Shaping,
) -> Sql:
    match prop.name:
        case "city":
            return lit(str(city))
        case "id":
            return cells[id_column].t
        case "ext":
            left = [(cell, stays(cell, claims, skipped=column == id_column)) for column, cell in cells.items()]
            return document([pair for pair in left if pair[0].column.name != id_column])
        case "footprint_method":
            return name("method")
    if prop.type is Type.GEOMETRY:
        return sql.SQL(f"s.lod{prop.name[-1]}")
    given = own.get(prop.name)
    subject = prop.name.removesuffix("_method")
    if subject != prop.name and subject in collection.properties:
        return _method(prop, collection.properties[subject], own, shaping)
    derived = shaping.derived(prop.name, prop.scale)
    return coalesced([part for part in (given, derived) if part is not None], _type(prop))


def _method(prop: Property, subject: Property, own: dict[str, Sql], shaping: Shaping) -> Sql:
    """What the mapping says, else given (the first code) or derived."""
    derived = shaping.derived(subject.name, subject.scale)
    cases = []
    if subject.name in own:
        cases.append(q("WHEN {} IS NOT NULL THEN {}", own[subject.name], lit(prop.codes[0])))
    if derived is not None:
        cases.append(q("WHEN {} IS NOT NULL THEN 'derived'", derived))
    made = q("CASE {} END", joined(cases, " ")) if cases else NULL
    return coalesced([*([own[prop.name]] if prop.name in own else []), made], "text")


def _type(prop: Property) -> str:
    return f"numeric(18, {prop.scale})" if prop.type is Type.DECIMAL else _TYPES[prop.type]


def derivable(collection: Collection) -> frozenset[str]:
    """Only what a ``_method`` column can tell from given values."""
    return frozenset(p for p in ("height", "footprint_area") if f"{p}_method" in collection.properties)
