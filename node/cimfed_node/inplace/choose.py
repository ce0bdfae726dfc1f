"""Which columns of a relation are what: the id, LoD0, the finer levels."""

from __future__ import annotations

from cimfed.errors import BadFile
from cimfed_node.ingest.mapping import Mapping as MappingDocument
from cimfed_node.inplace.relation import GeometryColumn, Kind, Relation
from cimfed_node.inplace.request import InPlaceRequest

_WITHOUT_GEOMETRY = frozenset({"observation"})
_LOD0 = ("geometry_lod0", "lod0")


def id_column(request: InPlaceRequest, mapping: MappingDocument, relation: Relation) -> str:
    """What ``--id`` names, else the first of the mapping's that is there, else the column that is unique."""
    usable = {column.name for column in relation.columns if column.kind is not Kind.BINARY}
    if request.id_column is not None and request.id_column not in usable:
        raise BadFile(
            f"there is no column {request.id_column!r} to take ids from", place=relation.name, remedy=_known(usable)
        )
    named = [request.id_column] if request.id_column else [c for c in (*mapping.id, *relation.unique) if c in usable]
    if not named:
        raise BadFile("no column holds the ids", place=relation.name, remedy=_known(usable))
    return named[0]


def _known(columns: set[str]) -> str:
    return f"Name a column with --id, out of: {', '.join(sorted(columns)[:20])}"


def geometry_columns(
    request: InPlaceRequest, relation: Relation
) -> tuple[GeometryColumn | None, dict[int, GeometryColumn]]:
    """LoD0's column and the finer levels'."""
    known = {column.name: column for column in relation.geometries}
    for wanted in (*([request.geometry] if request.geometry else []), *request.levels.values()):
        if wanted not in known:
            raise BadFile(
                f"there is no geometry column {wanted!r}",
                place=relation.name,
                remedy=f"There are: {', '.join(known) or 'none'}",
            )
    levels = {level: known[column] for level, column in request.levels.items()}
    if request.geometry is not None:
        main: GeometryColumn | None = known[request.geometry]
    else:
        free = [c for c in relation.geometries if c.level is None and c not in levels.values()]
        flat = [c for c in free if c.name in _LOD0] or free
        if len(flat) > 1:
            raise BadFile(
                f"it has several geometry columns: {', '.join(c.name for c in flat)}",
                place=relation.name,
                remedy="Name the one with footprints, lines or points with --geometry",
            )
        main = flat[0] if flat else None
    for column in relation.geometries:
        if column.level is not None and column != main and column not in levels.values():
            if column.level in levels:
                raise BadFile(
                    f"{levels[column.level].name!r} and {column.name!r} are both of LoD {column.level}",
                    place=relation.name,
                    remedy="Give a view with one column for each level",
                )
            levels[column.level] = column
    if main is None and not levels and request.collection not in _WITHOUT_GEOMETRY:
        raise BadFile(
            "it has no geometry column",
            place=relation.name,
            remedy="Give a view with one: of coordinates in columns, ST_SetSRID(ST_Point(x, y), 4326)",
        )
    return main, levels
