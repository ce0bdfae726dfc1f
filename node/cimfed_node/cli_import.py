"""`cimfed-node import`: files to a snapshot, the snapshot into force, and what was found on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import TaskProgressColumn, TimeRemainingColumn

from cimfed import console, paths
from cimfed.errors import BadConfig, NoRoom
from cimfed.trust.files import create_file
from cimfed_node.cli_in_place import Wanted, import_in_place
from cimfed_node.config import Home
from cimfed_node.database import operator_login
from cimfed_node.ingest import ImportRequest, OnDuplicate, import_files, preview, write_mapping
from cimfed_node.ingest.belonging import OnErased
from cimfed_node.ingest.update import Base, read_ids, take_out
from cimfed_node.opening import opened
from cimfed_node.operate import publisher
from cimfed_node.printing import bar, building_progress, show, show_import, show_preview
from cimfed_node.snapshots import discard, erased_here, since_current, to_follow
from cimfed_node.stores.base import Engine


def import_(
    home: Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")],
    collection: Annotated[str, typer.Option(help="Such as building: its snapshot is replaced.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="CityJSON, CityGML, GeoJSON, GeoPackage, Shapefile, IFC, CSV and others."),
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="A mapping document; else the one that is shipped.")] = None,
    crs: Annotated[str | None, typer.Option(help="EPSG code, WKT, PROJJSON; prevails over the files'.")] = None,
    vertical: Annotated[
        str | None, typer.Option(help="Height system, by EPSG code or name: recorded and shown, never converted.")
    ] = None,
    place: Annotated[
        str | None,
        typer.Option(
            metavar="LON,LAT[,ROTATION]", help="Of an IFC project's origin; y axis turned clockwise from north."
        ),
    ] = None,
    operation: Annotated[str | None, typer.Option(help="A PROJ operation by name or EPSG:code.")] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="The attribute that holds the id.")] = None,
    on_duplicate: Annotated[
        OnDuplicate, typer.Option(help="What becomes of objects with one id.")
    ] = OnDuplicate.REFUSE,
    quarantine: Annotated[Path | None, typer.Option(help="Takes bad objects; without it any of them stops.")] = None,
    where: Annotated[list[str], typer.Option(help="column=value: only these rows; several must all hold.")] = [],  # noqa: B006
    time_zone: Annotated[str | None, typer.Option(help="Of times without an offset, such as Asia/Tashkent.")] = None,
    layer: Annotated[str | None, typer.Option(help="Of a file with several.")] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="Of CSV, Shapefile, MapInfo: such as GB18030, Windows-1251; prevails over theirs."),
    ] = None,
    licence: Annotated[str, typer.Option(help="Of the data, for the catalogue: an SPDX name or a link.")] = "",
    attribution: Annotated[str, typer.Option(help="Whom users of the data must name.")] = "",
    update: Annotated[
        bool, typer.Option("--update", help="Rows replace those of the same id or are added; the others stay.")
    ] = False,
    append: Annotated[
        bool, typer.Option("--append", help="Readings are added to those that are there, at the cost of the new ones.")
    ] = False,
    remove: Annotated[
        Path | None, typer.Option(help="Ids to take out, one a line; with --update, files may be none.")
    ] = None,
    on_erased: Annotated[
        OnErased, typer.Option(help="What becomes of objects that were erased here, and of what belongs to them.")
    ] = OnErased.REFUSE,
    engine: Annotated[
        Engine | None,
        typer.Option(help="What answers: duckdb, from files; or postgis, to which the node is connected."),
    ] = None,
    in_place: Annotated[
        str,
        typer.Option(metavar="URL", help="A PostGIS database, whose table stays where it is; not needed again later."),
    ] = "",
    table: Annotated[str, typer.Option(help="In place: the table or view, as schema.name.")] = "",
    citydb: Annotated[str, typer.Option(help="In place: a schema of 3DCityDB version 5.")] = "",
    geometry: Annotated[
        str | None, typer.Option(help="In place: the geometry column, where there are several.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only shows what would be imported, and how.")] = False,
    mapping_out: Annotated[
        Path | None,
        typer.Option("--write-mapping", help="Writes the mapping in force to a file to edit; imports nothing."),
    ] = None,
) -> None:
    """Imports files, or a table in place, as a collection's new snapshot, and rebuilds the active policy's views."""
    if quarantine is not None:
        paths.in_folder(quarantine)
    if mapping_out is not None:
        paths.new_file(mapping_out)
    if in_place or table or citydb:
        if files or update or append or remove is not None or where:
            raise BadConfig("a table in place is imported whole, and without files", place="--in-place")
        of_files = {
            "--vertical": vertical, "--place": place, "--time-zone": time_zone, "--layer": layer,
            "--encoding": encoding,
            "--on-duplicate": on_duplicate is not OnDuplicate.REFUSE, "--on-erased": on_erased is OnErased.LEAVE_OUT,
            "--engine": engine is Engine.DUCKDB,
        }  # fmt: skip
        if given := [option for option, value in of_files.items() if value]:
            raise BadConfig("this is for files, and a table in place was named", place=given[0])
        wanted = Wanted(
            in_place, table, citydb, collection, geometry, mapping, crs, operation, id_column, quarantine,
            licence, attribution, on_erased,
        )  # fmt: skip
        import_in_place(home, wanted, dry_run, mapping_out)
        return
    if geometry is not None:
        raise BadConfig("this is for tables in place", place="--geometry", remedy="Name one with --table")
    request = ImportRequest(
        files=tuple(files or ()),
        city=Home.load(home).city,
        collection=collection,
        mapping=mapping,
        crs=crs,
        vertical=vertical,
        place=place,
        operation=operation,
        id_column=id_column,
        on_duplicate=on_duplicate,
        quarantine=quarantine,
        where=tuple(_pair(text) for text in where),
        time_zone=time_zone,
        engine=engine,
        layer=layer,
        encoding=encoding,
        licence=licence,
        attribution=attribution,
    )
    if remove is not None and not update:
        raise BadConfig("there is nothing to take out of a snapshot that is made anew", remedy="Say --update too")
    if append and update:
        raise BadConfig("--append and --update are two ways: choose one")
    if not request.files and remove is None:
        raise BadConfig("no file was named", place="FILES")
    if engine is Engine.POSTGIS:
        operator_login(Home.load(home))
    if dry_run or mapping_out is not None:
        found = preview(request)
        show_preview(found)
        if mapping_out is not None:
            create_file(mapping_out, write_mapping(found.mapping).encode())
            console.say(f"the mapping in force is in {mapping_out}")
        return
    with opened(home) as (at, control), (publishing := publisher(at, control)).alone():
        base = None
        if update or append:
            base = Base(to_follow(at, control, collection, verify=update), read_ids(remove), append)
        if base is not None and not request.files:
            snapshot, notes = take_out(base, at.snapshots, at.room())
            for note in notes:
                console.say(f"note: {note}")
        else:
            with bar(TaskProgressColumn(), TimeRemainingColumn()) as progress:
                snapshot, report = import_files(
                    request, at.snapshots, progress, base, erased_here(at, control, on_erased), at.room()
                )
            show_import(report)
        changed = None if append else since_current(at, control, snapshot)
        try:
            with building_progress() as building:
                published = publishing.adopt(
                    snapshot, building, act="update" if update else "append" if append else "import"
                )
        except (NoRoom, OSError):
            discard(at, control, snapshot)
            raise
    console.say(f"snapshot {snapshot.id[:12]} of {collection} is current: {snapshot.rows:,} rows")
    if append:
        console.say(f"against the one before: {report.rows:,} added")
    if changed is not None:
        console.say(
            f"against the one before: {changed.added:,} added, {changed.changed:,} changed, "
            f"{changed.removed:,} removed, {changed.same:,} as they were"
        )
    show(published)


def _pair(text: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not column or not equals:
        raise BadConfig(f"{text[:64]!r} is no condition", place="--where", remedy="Write column=value")
    return column, value
