"""Objects that share an id: found over the whole snapshot, then refused or kept by the rule that was asked for.

Only the rows that share an id are looked at one by one. Merging works on finished rows: geometries are united level by
level, heights span all pieces, what was derived is derived again, every other property is the first that is not null.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cimfed.errors import BadFile
from cimfed.model.vocabulary import Collection, Type
from cimfed_node.ingest.arrays import taken
from cimfed_node.ingest.canonical import canonical
from cimfed_node.ingest.footprint import areal
from cimfed_node.ingest.georef import Georeference
from cimfed_node.ingest.hilbert import hilbert_keys
from cimfed_node.ingest.request import OnDuplicate
from cimfed_node.ingest.shapes import collected
from cimfed_node.ingest.spill import Spill

Row = dict[str, Any]
Places = list[tuple[int, int]]  # chunk and row of each, in reading order

_GRID = 1e-9  # degrees: 0.1 mm, so that pieces cut at one edge grow together


def find(spill: Spill) -> dict[str, Places]:
    """The ids that stand for several rows."""
    columns = [spill.chunk(number).column("id") for number in range(spill.chunks)]
    counts = pc.value_counts(pa.chunked_array([c for column in columns for c in column.chunks], pa.string()))
    shared = counts.field("values").filter(pc.greater(counts.field("counts"), pa.scalar(1)))
    groups: dict[Any, list[tuple[int, int, int]]] = {id: [] for id in shared.to_pylist()}
    for number, column in enumerate(columns if groups else ()):
        hits = np.flatnonzero(pc.is_in(column, value_set=shared).to_numpy())
        for row in hits.tolist():
            groups[column[row].as_py()].append((number, int(spill.reading(number)[row]), row))
    return {id: [(number, row) for number, _, row in sorted(places)] for id, places in groups.items()}


def settle(
    spill: Spill,
    groups: Mapping[str, Places],
    rule: OnDuplicate,
    collection: Collection,
    reference: Georeference,
) -> None:
    """Apply the rule: take rows out of their chunks and add what replaces them. Raises BadFile to refuse."""
    if rule is OnDuplicate.REFUSE and groups:
        first = ", ".join(repr(id) for id in list(groups)[:20])
        raise BadFile(
            f"{len(groups):,} ids stand for several objects each: {first}",
            place="id",
            remedy="Name another column with --id, or say what to do with --on-duplicate first, merge or suffix",
        )
    fresh: list[Row] = []
    held = _ids(spill) if rule is OnDuplicate.SUFFIX and groups else set()
    for id, places in groups.items():
        if rule is OnDuplicate.FIRST:
            _skip(spill, places[1:])
            continue
        members = [spill.chunk(number).slice(row, 1).to_pylist()[0] for number, row in places]
        if rule is OnDuplicate.MERGE:
            _skip(spill, places)
            fresh.append(_merged(members, collection, reference))
        else:
            _skip(spill, places[1:])
            for number, member in enumerate(members[1:], 2):
                renamed = f"{id}~{number}"
                if renamed in held:
                    raise BadFile(f"the id {renamed!r} is taken", place="id", remedy="Use another --on-duplicate")
                fresh.append(member | {"id": renamed})
    if fresh:
        table = pa.Table.from_pylist(fresh, schema=spill.schema)
        bounds = shapely.bounds(shapely.from_wkb(np.array([row["geometry_lod0"] for row in fresh], object)))
        keys = hilbert_keys(bounds)
        order = np.argsort(keys, kind="stable")
        spill.add(taken(table, order), keys[order], order)


def _skip(spill: Spill, places: Places) -> None:
    for number, row in places:
        spill.skip(number, row)


def _ids(spill: Spill) -> set[Any]:
    return {id for number in range(spill.chunks) for id in spill.chunk(number).column("id").to_pylist()}


def _merged(members: list[Row], collection: Collection, reference: Georeference) -> Row:
    row: Row = {}
    for name, prop in collection.properties.items():
        values = [member[name] for member in members if member[name] is not None]
        if not values:
            row[name] = None
        elif name == "geometry_lod0":
            row[name] = _united(values)
        elif prop.type is Type.GEOMETRY:
            parts = shapely.get_parts(shapely.from_wkb(np.array(values, object)))
            row[name] = shapely.to_wkb(shapely.multipolygons(parts), byte_order=1, flavor="iso")
        elif prop.type is Type.NAMES:
            row[name] = sorted({k: v for names in reversed(values) for k, v in names}.items())
        elif prop.type is Type.JSON:
            row[name] = canonical({k: v for text in reversed(values) for k, v in orjson.loads(text).items()})
        else:
            row[name] = min(values) if name == "zmin" else max(values) if name == "zmax" else values[0]
    if row["geometry_lod0"] is not None:
        corners = shapely.bounds(shapely.from_wkb(row["geometry_lod0"])).tolist()
        row["bbox"] = dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    for name in collection.properties:
        subject = name.removesuffix("_method")
        if subject != name and subject in collection.properties:
            given = [m for m in members if m[subject] is not None and m[name] != "derived"]
            if given:
                row[subject], row[name] = given[0][subject], given[0][name]
            elif row[subject] is not None:
                row[subject] = _derived(subject, row, members, collection, reference)
    return row


def _derived(
    subject: str, row: Row, members: list[Row], collection: Collection, reference: Georeference
) -> Decimal | None:
    if subject == "height":
        return None if row["zmax"] is None else Decimal(row["zmax"] - row["zmin"])
    if subject == "footprint_area":
        source = shapely.transform(shapely.from_wkb(row["geometry_lod0"]), reference.backward)
        area = float(reference.areas(np.array([source], object))[0])
        return round(Decimal(area), collection.properties[subject].scale)
    return sum((m[subject] for m in members if m[subject] is not None), Decimal(0))


def _united(values: list[bytes]) -> Any:
    pieces = shapely.from_wkb(np.array(values, object))
    kinds = set(shapely.get_dimensions(pieces).tolist())
    if 2 in kinds:
        whole = areal(shapely.union_all(pieces[shapely.get_dimensions(pieces) == 2], grid_size=_GRID))
        whole = shapely.orient_polygons(whole)
    elif len(kinds) == 1:
        whole = collected(shapely.get_parts(pieces))
    else:
        whole = pieces[0]
    return shapely.to_wkb(whole, byte_order=1, flavor="iso")
