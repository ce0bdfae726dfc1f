"""What an import or an activation writes: snapshots, views, and the pointers that say which are in force.

Files come first, pointers last, all pointers in one transaction of the caller's: a reader sees before or after, and
a crash leaves before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.engine import Connection

from cimfed_node.stores.base import Engine, Place, View
from cimfed_node.tables.schema import GrantRow, PolicyRow, SnapshotRow, ViewRow

_SNAPSHOT = SnapshotRow.__table__  # type: ignore[attr-defined]
_VIEW = ViewRow.__table__  # type: ignore[attr-defined]
_POLICY = PolicyRow.__table__  # type: ignore[attr-defined]
_GRANT = GrantRow.__table__  # type: ignore[attr-defined]

_COLUMNS = [column.label(f"view_{column.name}") for column in _VIEW.c]

# Made once: building a statement costs more than running it.
_ACTIVE = select(_POLICY).where(_POLICY.c.active)
_CURRENT = select(_SNAPSHOT).where(_SNAPSHOT.c.collection == bindparam("named"), _SNAPSHOT.c.current)
_STANDS = select(_VIEW.c.id).where(_VIEW.c.id == bindparam("named"))
_GRANTED = (
    select(_GRANT.c.grant, _GRANT.c.collection, _GRANT.c.shape_hash, _GRANT.c.view, *_COLUMNS)
    .join_from(_GRANT, _VIEW, _GRANT.c.view == _VIEW.c.id, isouter=True)
    .where(_GRANT.c.grant == bindparam("named"), _GRANT.c.policy == bindparam("version"))
)

Extent = tuple[float, float, float, float]


@dataclass(frozen=True)
class SnapshotEntry:
    """A snapshot, as the catalogue shows it. ``accuracy`` in metres, None where nobody states it."""

    id: str
    collection: str
    rows: int
    extent: Extent | None
    operation: str
    accuracy: float | None
    vertical: str
    licence: str
    attribution: str
    imported: int


@dataclass(frozen=True)
class ActivePolicy:
    version: int
    hash: bytes
    activated: int
    valid: tuple[int, int]


@dataclass(frozen=True)
class ActiveGrant:
    """A grant in force; ``view`` is empty while its collection has no snapshot."""

    grant: str
    collection: str
    shape_hash: bytes
    view: str


def active_policy(connection: Connection) -> ActivePolicy | None:
    row = connection.execute(_ACTIVE).mappings().first()
    if row is None:
        return None
    return ActivePolicy(row["version"], row["hash"], row["activated"], (row["valid_from"], row["valid_to"]))


def highest_version(connection: Connection) -> int:
    """Of any policy that was ever active here; 0 where none was."""
    return max(connection.execute(select(_POLICY.c.version)).scalars(), default=0)


def granted_view(connection: Connection, policy: int, grant: str, at: Place) -> tuple[ActiveGrant, View | None] | None:
    """A grant and its view; None where that version of the policy is no longer in force."""
    row = connection.execute(_GRANTED, {"named": grant, "version": policy}).mappings().first()
    if row is None:
        return None
    active = ActiveGrant(row["grant"], row["collection"], row["shape_hash"], row["view"] or "")
    return active, None if row["view_id"] is None else _view(row, at)


def active_grants(connection: Connection) -> list[ActiveGrant]:
    rows = connection.execute(select(_GRANT).order_by(_GRANT.c.collection, _GRANT.c.grant)).mappings()
    return [ActiveGrant(row["grant"], row["collection"], row["shape_hash"], row["view"] or "") for row in rows]


def views(connection: Connection, at: Place) -> dict[str, View]:
    """All that stand, by id."""
    return {row["view_id"]: _view(row, at) for row in connection.execute(select(*_COLUMNS)).mappings()}


def rows_by_grant(connection: Connection) -> dict[str, int]:
    """Rows of each active grant's view, where it has one."""
    found = select(_GRANT.c.grant, _VIEW.c.rows).join_from(_GRANT, _VIEW, _GRANT.c.view == _VIEW.c.id)
    return {row[0]: row[1] for row in connection.execute(found)}


def view_stands(connection: Connection, view: str) -> bool:
    return connection.execute(_STANDS, {"named": view}).first() is not None


def current_snapshots(connection: Connection) -> dict[str, SnapshotEntry]:
    """By collection."""
    rows = connection.execute(select(_SNAPSHOT).where(_SNAPSHOT.c.current).order_by(_SNAPSHOT.c.collection)).mappings()
    return {row["collection"]: _entry(row) for row in rows}


def current_snapshot(connection: Connection, collection: str) -> SnapshotEntry | None:
    row = connection.execute(_CURRENT, {"named": collection}).mappings().first()
    return None if row is None else _entry(row)


def known_snapshots(connection: Connection) -> dict[str, tuple[SnapshotEntry, bool]]:
    """Every one that ever was current and was not removed, by id, and whether it is current."""
    rows = connection.execute(select(_SNAPSHOT)).mappings()
    return {row["id"]: (_entry(row), row["current"]) for row in rows}


def drop_snapshots(connection: Connection, ids: Iterable[str]) -> None:
    """Forgets snapshots whose folders are gone; never a current one."""
    for id in ids:
        connection.execute(delete(_SNAPSHOT).where(_SNAPSHOT.c.id == id, ~_SNAPSHOT.c.current))


def put_snapshot(connection: Connection, entry: SnapshotEntry) -> None:
    """Makes a snapshot the current one of its collection. The one before stays in the table, for a way back."""
    connection.execute(update(_SNAPSHOT).where(_SNAPSHOT.c.collection == entry.collection).values(current=False))
    connection.execute(delete(_SNAPSHOT).where(_SNAPSHOT.c.id == entry.id))
    connection.execute(insert(_SNAPSHOT), _values(entry) | {"current": True})


def _values(entry: SnapshotEntry) -> dict[str, Any]:
    """All but whether it is current."""
    xmin, ymin, xmax, ymax = entry.extent or (None, None, None, None)
    return {
        "id": entry.id,
        "collection": entry.collection,
        "rows": entry.rows,
        "xmin": xmin,
        "ymin": ymin,
        "xmax": xmax,
        "ymax": ymax,
        "operation": entry.operation,
        "accuracy": entry.accuracy,
        "vertical": entry.vertical,
        "licence": entry.licence,
        "attribution": entry.attribution,
        "imported": entry.imported,
    }


def exchange_snapshot(connection: Connection, old: str, entry: SnapshotEntry) -> None:
    """Puts a snapshot in the place of another, current where that was, under the time of its import."""
    found = connection.execute(select(_SNAPSHOT).where(_SNAPSHOT.c.id == old)).mappings().first()
    if found is None:
        return
    there = connection.execute(select(_SNAPSHOT.c.current).where(_SNAPSHOT.c.id == entry.id)).scalar()
    connection.execute(delete(_SNAPSHOT).where(_SNAPSHOT.c.id.in_([old, entry.id])))
    values = _values(replace(entry, imported=found["imported"])) | {"current": found["current"] or bool(there)}
    connection.execute(insert(_SNAPSHOT), values)


def put_policy(connection: Connection, policy: ActivePolicy) -> None:
    """Puts a version in force in place of the one before."""
    connection.execute(update(_POLICY).where(_POLICY.c.active).values(active=False))
    connection.execute(delete(_POLICY).where(_POLICY.c.version == policy.version))
    connection.execute(
        insert(_POLICY),
        {
            "version": policy.version,
            "hash": policy.hash,
            "active": True,
            "activated": policy.activated,
            "valid_from": policy.valid[0],
            "valid_to": policy.valid[1],
        },
    )


def put_grants(
    connection: Connection, policy: int, grants: Iterable[ActiveGrant], built: Iterable[View], at: Place, now: int
) -> None:
    """Points every grant of the policy at its view, and no other grant at any."""
    known = set(connection.execute(select(_VIEW.c.id)).scalars())
    for view in {view.id: view for view in built}.values():
        if view.id not in known:
            connection.execute(insert(_VIEW), _row(view, at, now))
    connection.execute(delete(_GRANT))
    rows = [
        {
            "grant": grant.grant,
            "policy": policy,
            "collection": grant.collection,
            "shape_hash": grant.shape_hash,
            "view": grant.view or None,
        }
        for grant in grants
    ]
    if rows:
        connection.execute(insert(_GRANT), rows)


def drop_views(connection: Connection, unused: Iterable[str]) -> None:
    """Forgets views. Their files go after this is committed: what the table names is always there."""
    for view in unused:
        connection.execute(delete(_VIEW).where(_VIEW.c.id == view))


def _view(row: Mapping[Any, Any], at: Place) -> View:
    import pyarrow as pa  # only where a view is opened: most commands of an operator list what there is

    engine, source = Engine(row["view_engine"]), row["view_source"]
    return View(
        id=row["view_id"],
        city=at.city,
        collection=row["view_collection"],
        snapshot=row["view_snapshot"],
        shape_hash=row["view_shape_hash"],
        compiler=row["view_compiler"],
        engine=engine,
        source=str(at.views / source) if engine is Engine.DUCKDB else source,
        schema=pa.ipc.read_schema(pa.py_buffer(row["view_arrow_schema"])),
        rows=row["view_rows"],
        widths=json.loads(row["view_widths"]),
        size=row["view_size"],
        sha256=row["view_sha256"],
    )


def _row(view: View, at: Place, now: int) -> dict[str, Any]:
    is_file = view.engine is Engine.DUCKDB
    return {
        "id": view.id,
        "engine": str(view.engine),
        "source": str(Path(view.source).relative_to(at.views)) if is_file else view.source,
        "collection": view.collection,
        "snapshot": view.snapshot,
        "shape_hash": view.shape_hash,
        "compiler": view.compiler,
        "arrow_schema": view.schema.serialize().to_pybytes(),
        "rows": view.rows,
        "widths": json.dumps(dict(view.widths)),
        "size": view.size,
        "sha256": view.sha256,
        "built": now,
    }


def _entry(row: Mapping[Any, Any]) -> SnapshotEntry:
    corners = (row["xmin"], row["ymin"], row["xmax"], row["ymax"])
    return SnapshotEntry(
        id=row["id"],
        collection=row["collection"],
        rows=row["rows"],
        extent=None if None in corners else corners,
        operation=row["operation"],
        accuracy=row["accuracy"],
        vertical=row["vertical"],
        licence=row["licence"],
        attribution=row["attribution"],
        imported=row["imported"],
    )
