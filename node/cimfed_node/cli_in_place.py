"""`cimfed-node import --in-place` and `cimfed-node postgis connect`: a city's own PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console
from cimfed.errors import BadConfig
from cimfed.trust.files import create_file
from cimfed_node import database
from cimfed_node.config import Home
from cimfed_node.ingest import write_mapping
from cimfed_node.ingest.belonging import OnErased
from cimfed_node.opening import opened
from cimfed_node.operate import publisher
from cimfed_node.printing import building_progress, show, show_import, show_preview
from cimfed_node.snapshots import discard, erased_here

app = typer.Typer(no_args_is_help=True, help="The city's own PostgreSQL with PostGIS, where views can lie.")


@dataclass(frozen=True)
class Wanted:
    """What the command line says of a relation; see ``InPlaceRequest``. ``url`` empty: the one connected to."""

    url: str
    table: str
    citydb: str
    collection: str
    geometry: str | None
    mapping: Path | None
    crs: str | None
    operation: str | None
    id_column: str | None
    quarantine: Path | None
    licence: str
    attribution: str
    on_erased: OnErased


@app.command()
def connect(
    url: Annotated[str, typer.Argument(help="postgresql://operator@host/database: the role that reads your tables.")],
    home: Annotated[Path, typer.Option(help="The node's folder.", envvar="CIMFED_NODE_HOME")],
    schema: Annotated[str, typer.Option(help="Of the views; made if need be. Else called like the city.")] = "",
    serving: Annotated[
        str, typer.Option(help="The URL of the role that serves; else it is made, with a password that is drawn.")
    ] = "",
) -> None:
    """Connects the node to a database: makes the schemas and the role that serves, and tries them."""
    at = Home.load(home)
    moved = at.database_of_operator.exists() and not database.is_same_database(at, url)
    before = at.database_of_service.read_bytes() if at.database_of_service.exists() else None
    login = database.connect(at, url, schema=schema, serving=serving)
    console.say(f"views will lie in the schema {login.schema}; {login.serving} serves them and can read nothing else")
    if moved:
        console.say("note: import again what lies in the other database")
    if before not in (None, at.database_of_service.read_bytes()):
        console.say("note: a node that serves knows the old login: start it again")


def import_in_place(home: Path, wanted: Wanted, dry_run: bool, mapping_out: Path | None) -> None:
    """The relation stays where it is: the snapshot says what it is and how it is harmonised."""
    if bool(wanted.table) == bool(wanted.citydb):
        raise BadConfig("one relation is imported in place", remedy="Name --table SCHEMA.TABLE, or --citydb SCHEMA")
    database.check_libraries()
    from cimfed_node.inplace import InPlaceRequest, connecting, harmonise_in_place, preview_in_place, seal_in_place

    with opened(home) as (at, control):
        request = InPlaceRequest(
            city=at.city,
            collection=wanted.collection,
            table=wanted.table,
            citydb=wanted.citydb,
            geometry=wanted.geometry,
            mapping=wanted.mapping,
            crs=wanted.crs,
            operation=wanted.operation,
            id_column=wanted.id_column,
            quarantine=wanted.quarantine,
        )
        if dry_run or mapping_out is not None:
            with connecting(wanted.url or database.operator_login(at).conninfo) as connection:
                previewed = preview_in_place(connection, request)
            show_preview(previewed)
            if mapping_out is not None:
                create_file(mapping_out, write_mapping(previewed.mapping).encode())
                console.say(f"the mapping in force is in {mapping_out}")
            return
        if wanted.url and not database.is_login(at, wanted.url):
            if at.database_of_operator.exists() and not database.is_same_database(at, wanted.url):
                raise BadConfig(
                    "the node is connected to another database, where its views lie",
                    place="--in-place",
                    remedy="Leave --in-place out to import from that one; or move the node to this one with "
                    "cimfed-node postgis connect, and import again what lies in the other",
                )
            login = database.connect(at, wanted.url)
            console.say(f"views will lie in the schema {login.schema}; {login.serving} serves them")
        with (publishing := publisher(at, control)).alone():
            with connecting(database.operator_login(at).conninfo) as connection:
                found = harmonise_in_place(connection, request, erased_here(at, control, wanted.on_erased))
            terms = (wanted.licence, wanted.attribution)
            snapshot = seal_in_place(found, at.city, wanted.collection, terms, at.snapshots)
            show_import(found.report)
            try:
                with building_progress() as building:
                    published = publishing.adopt(snapshot, building)
            except BaseException:
                discard(at, control, snapshot)
                raise
    console.say(f"snapshot {snapshot.id[:12]} of {wanted.collection} is current: {snapshot.rows:,} rows, in place")
    show(published)
