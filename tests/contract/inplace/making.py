"""Tables for tests of harmonising in place, and what an import of files makes of the same rows.

``compared`` loads features into a table, harmonises that, imports the features as GeoJSON, and finds the same rows:
numbers, texts and ``ext`` exactly, geometries within a millimetre.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import shapely
from psycopg import sql

from cimfed.model.names import CityName
from cimfed_node.inplace import InPlace, InPlaceRequest, harmonise_in_place, preview_in_place
from tests.ingest.making import Row, imported
from tests.postgres import Database

MILLIMETRE = 1e-8  # degrees


def harmonised(
    database: Database, table: str, collection: str = "building", city: str = "xx.city", **options: Any
) -> tuple[dict[str, Row], InPlace]:
    """Rows by id, as ``imported`` gives them; the statement is run as a view would run it: in a transaction of its
    own, by its text."""
    return _run(database, InPlaceRequest(CityName(city), collection, table=table, **options))


def citydb_rows(database: Database, collection: str, city: str, **options: Any) -> tuple[dict[str, Row], InPlace]:
    """The same of a schema of 3DCityDB."""
    return _run(database, InPlaceRequest(CityName(city), collection, citydb="citydb", **options))


def _run(database: Database, request: InPlaceRequest) -> tuple[dict[str, Row], InPlace]:
    with database.connect() as connection:
        made = harmonise_in_place(connection, request)
        connection.execute("SET search_path = pg_catalog, public")
        cursor = connection.execute(made.select)  # type: ignore[call-overload]
        names = [column.name for column in cursor.description]
        assert tuple(names) == made.columns
        rows = [_plain(dict(zip(names, row, strict=True))) for row in cursor]
    assert len({row["id"] for row in rows}) == len(rows) == made.rows
    return {row["id"]: row for row in rows}, made


def previewed(database: Database, table: str, collection: str = "building", **options: Any) -> Any:
    with database.connect() as connection:
        return preview_in_place(connection, InPlaceRequest(CityName("xx.city"), collection, table=table, **options))


def _plain(row: Row) -> Row:
    corners = [row.pop(f"bbox_{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")]
    row["bbox"] = None if corners[0] is None else dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    languages, texts = row.pop("name_languages"), row.pop("name_texts")
    assert languages is None or languages == sorted(languages)
    row["name"] = dict(zip(languages or (), texts or (), strict=True))
    row["ext"] = json.loads(row["ext"] or "{}")
    for name in row:
        if name.startswith("geometry_") and row[name] is not None:
            row[name] = shapely.from_wkb(bytes.fromhex(row[name]))
            assert shapely.get_srid(row[name]) == 4326
    return row


@dataclass(frozen=True)
class Field:
    """A column: its type in PostgreSQL."""

    name: str
    type: str = "text"


def loaded(
    connection: psycopg.Connection[Any],
    table: str,
    fields: Sequence[Field],
    features: Sequence[dict[str, Any]],
    srid: int = 4326,
    kind: str = "Geometry",
) -> None:
    """Features of GeoJSON as a table, by psycopg alone: ids in ``fid``, geometries in ``geom``."""
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(field.type)) for field in fields
    )
    connection.execute(
        sql.SQL("CREATE TABLE {} (fid text PRIMARY KEY, geom geometry({}, {}){} {})").format(
            sql.Identifier(table), sql.SQL(kind), sql.Literal(srid), sql.SQL("," if fields else ""), columns
        )
    )
    slots = sql.SQL(", ").join(
        [sql.SQL("%s"), sql.SQL("ST_SetSRID(%s::geometry, {})").format(srid)] + [sql.SQL("%s")] * len(fields)
    )
    insert = sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(table), slots)
    for feature in features:
        geometry = feature["geometry"]
        shape = None if geometry is None else shapely.to_wkb(shapely.from_geojson(json.dumps(geometry)), hex=True)
        values = [_given(feature["properties"].get(field.name), field) for field in fields]
        connection.execute(insert, [feature["id"], shape, *values])


def _given(value: Any, field: Field) -> Any:
    if field.type in ("json", "jsonb") and value is not None:
        return json.dumps(value, ensure_ascii=False)
    return value


def difference(one: Row, other: Row, skip: Sequence[str] = ()) -> list[str]:
    """What differs between two rows."""
    found = [name for name in {*one, *other} if name not in one or name not in other]
    for name in sorted(one.keys() & other.keys() - set(skip)):
        a, b = one[name], other[name]
        if name == "bbox" and a and b:
            equal = all(abs(a[corner] - b[corner]) < MILLIMETRE for corner in a)
        elif name.startswith("geometry_") and a is not None and b is not None:
            equal = alike(a, b)
        else:
            equal = a == b
        if not equal:
            found.append(f"{name}: {str(a)[:300]} against {str(b)[:300]}")
    return found


def alike(one: Any, other: Any) -> bool:
    """Whether two geometries have one shape within a millimetre."""
    if shapely.has_z(one) or shapely.has_z(other):
        first, second = (shapely.get_coordinates(shape, include_z=True) for shape in (one, other))
        return first.shape == second.shape and bool(np.allclose(first, second, rtol=0, atol=MILLIMETRE))
    if shapely.equals_exact(one.normalize(), other.normalize(), tolerance=MILLIMETRE):
        return True
    if one.geom_type.removeprefix("Multi") != other.geom_type.removeprefix("Multi"):
        return False
    return bool(shapely.hausdorff_distance(one.boundary, other.boundary) < MILLIMETRE)


def compared(
    folder: Path,
    database: Database,
    fields: Sequence[Field],
    features: Sequence[dict[str, Any]],
    collection: str = "building",
    srid: int = 4326,
    mapping: str | None = None,
    kind: str = "Geometry",
    **options: Any,
) -> tuple[dict[str, Row], InPlace]:
    """Harmonise in place, import as a file, find the same rows."""
    with database.connect() as connection:
        loaded(connection, "things", fields, features, srid, kind)
    document: dict[str, Any] = {"type": "FeatureCollection", "features": list(features)}
    if srid != 4326:
        document["crs"] = {"type": "name", "properties": {"name": f"EPSG:{srid}"}}
    path = None
    if mapping is not None:
        path = folder / "m.yaml"
        path.write_text(mapping, encoding="utf-8")
    theirs, report = imported(folder / "files", document, collection=collection, mapping=mapping, **options)
    ours, made = harmonised(database, "things", collection, mapping=path, id_column="fid", **options)
    assert ours.keys() == theirs.keys()
    apart = {id: d for id in ours if (d := difference(ours[id], theirs[id]))}
    assert not apart, apart
    assert made.report.matched == report.matched
    assert {k: v for k, v in made.report.unmapped.items()} == report.unmapped
    assert made.report.unclaimed == report.unclaimed
    assert made.report.nulls == report.nulls
    assert made.report.derived == report.derived
    assert made.report.repaired == report.repaired
    return ours, made
